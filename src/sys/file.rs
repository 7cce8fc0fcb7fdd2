// SPDX-License-Identifier: GPL-2.0

//! `struct file`: what an open file leads to, and what it keeps.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/net.h`](srctree/include/linux/net.h)

use super::{
    bindings,
    namespace::NsId,
    path::Place,
    pid::Pid,
    read_once,
    super_block::{
        magic,
        FsNs,
        MAX_FS_NS, //
    },
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::sync::rcu;

/// C: `FMODE_BACKING`, a number with a type that bindgen does not know.
const FMODE_BACKING: u32 = 1 << 24;

/// A file that is open, borrowed for as long as something keeps it so.
///
/// # Invariants
///
/// `ptr` points at a `struct file` to which there is a reference until `'f` ends.
#[derive(Clone, Copy)]
pub(crate) struct File<'f> {
    ptr: NonNull<bindings::file>,
    _reference: PhantomData<&'f ()>,
}

/// What an open file stands for, besides a name.
#[derive(Clone, Copy)]
pub(crate) enum FileKind {
    /// A namespace: a file of nsfs.
    Namespace(NsId),
    /// A process or a thread: a file of pidfs.
    Pidfd {
        /// The innermost pid namespace that it is in, or was.
        ns: NsId,
        /// Its number in the initial pid namespace; `None` once it has been reaped.
        of: Option<i32>,
    },
    /// A socket, and its network namespace.
    Socket(NsId),
    /// A block device, open by its special file: major and minor number.
    BlockDevice(u32, u32),
    Other,
}

impl<'f> File<'f> {
    /// # Safety
    ///
    /// There must be a reference to the file until `'f` ends.
    pub(super) unsafe fn from_ptr(ptr: NonNull<bindings::file>) -> Self {
        // INVARIANT: As the caller ensures.
        Self {
            ptr,
            _reference: PhantomData,
        }
    }

    /// The mount and the directory entry by which it was opened; `None` if that is on a mount that the
    /// kernel made for itself: a pipe, a socket, an anonymous file. C: `file_user_path()`.
    pub(crate) fn place<'g>(&self, rcu: &'g rcu::Guard) -> Option<Place<'g>> {
        let file = self.ptr.as_ptr();
        // SAFETY: The file is open by the type invariants, and its path is constant by then. It has
        // references to mount and dentry. What is mapped of a file of overlay is that of a layer, which
        // keeps the path by which it was opened as well.
        unsafe {
            let path = if read_once(&raw const (*file).f_mode) & FMODE_BACKING != 0 {
                bindings::backing_file_user_path(file).read()
            } else {
                (&raw const (*file).__bindgen_anon_1.f_path).read()
            };
            if path.dentry.is_null() {
                return None;
            }
            let flags = read_once(&raw const (*path.dentry).d_flags);
            // Such a one is freed without a wait for RCU.
            if flags & bindings::DCACHE_NORCU != 0 {
                return None;
            }
            Place::of_path(path, rcu).filter(|place| !place.mount().is_internal())
        }
    }

    /// Takes a reference.
    pub(crate) fn hold(&self) -> Option<FileRef> {
        let place = self.ptr.as_ptr();
        // SAFETY: The file is open by the type invariants.
        unsafe { FileRef::get(&place) }
    }

    /// What it stands for.
    pub(crate) fn kind(&self, rcu: &rcu::Guard) -> FileKind {
        self.special(rcu).unwrap_or(FileKind::Other)
    }

    fn special(&self, rcu: &rcu::Guard) -> Option<FileKind> {
        let file = self.ptr.as_ptr();
        // SAFETY: The file is open by the type invariants: so it has an inode, with a super block, and
        // its inode's number of a device and type are constant.
        let (inode, s_magic, mode, rdev) = unsafe {
            let inode = read_once(&raw const (*file).f_inode);
            let sb = read_once(&raw const (*inode).i_sb);
            (
                inode,
                read_once(&raw const (*sb).s_magic),
                read_once(&raw const (*inode).i_mode),
                read_once(&raw const (*inode).i_rdev),
            )
        };
        // CAST: Magic numbers have 32 bits.
        match s_magic as u32 {
            magic::NSFS => {
                // SAFETY: As long as the file is open, so is its inode in use, which holds a reference to
                // the namespace that `i_private` points to; that of the root of nsfs has none. C:
                // `nsfs_init_inode()`.
                let ns = unsafe { NsId::of_live(read_once(&raw const (*inode).i_private).cast()) };
                ns.map(FileKind::Namespace)
            }
            magic::PIDFS => {
                // SAFETY: As above, of a `struct pid`; it is not used longer than the file is open. C:
                // `pidfs_init_inode()`.
                let (pid, is_alive) = unsafe {
                    let place = (&raw const (*inode).i_private).cast();
                    let ptr = read_once::<*mut bindings::pid>(place);
                    // The root of pidfs has none.
                    let task = bindings::pid_task(ptr, bindings::PIDTYPE_PID);
                    (Pid::from_place(place, rcu)?, !task.is_null())
                };
                Some(FileKind::Pidfd {
                    ns: pid.upid(pid.level())?.ns()?,
                    of: is_alive.then(|| pid.nr()),
                })
            }
            magic::SOCKFS => {
                // SAFETY: The file is open; if it is a socket's, so is the socket. Its `sk`, if it is there,
                // keeps the memory of its network namespace, but need not keep that itself.
                unsafe {
                    let socket = bindings::sock_from_file(file);
                    let sk = read_once(&raw const (*NonNull::new(socket)?.as_ptr()).sk);
                    let sk = NonNull::new(sk)?.as_ptr();
                    let net = read_once(&raw const (*sk).__sk_common.skc_net.net);
                    NsId::of_live(&raw const (*NonNull::new(net)?.as_ptr()).ns)
                        .map(FileKind::Socket)
                }
            }
            // CAST: A type of 16 bits.
            _ if u32::from(mode) & kernel::bindings::S_IFMT == kernel::bindings::S_IFBLK => {
                let (major, minor) = super::mount::device_numbers(rdev);
                Some(FileKind::BlockDevice(major, minor))
            }
            _ => None,
        }
    }

    /// The namespaces that the file system leads to on which it was opened.
    pub(crate) fn fs_namespaces(
        &self,
        place: &Place<'_>,
        rcu: &rcu::Guard,
    ) -> [Option<FsNs>; MAX_FS_NS] {
        // SAFETY: The file is open, and has a reference to the mount.
        unsafe { place.mount().namespaces(rcu) }
    }

    /// The user namespace of the credentials with which it was opened.
    pub(crate) fn user_ns(&self) -> Option<NsId> {
        // SAFETY: The file is open by the type invariants. It has a reference to its credentials, and
        // these to their user namespace; both are constant.
        unsafe {
            let cred = read_once(&raw const (*self.ptr.as_ptr()).f_cred);
            NsId::of(&raw const (*read_once(&raw const (*cred).user_ns)).ns)
        }
    }
}

/// A counted reference to an open file.
///
/// Where it is the last one, dropping it closes the file: not at once, but when the calling task goes
/// back to user mode. C: `fput()`.
///
/// # Invariants
///
/// `0` points at a `struct file`; a reference to it belongs to this object.
pub(crate) struct FileRef(NonNull<bindings::file>);

// SAFETY: A reference to a file may be dropped by any task.
unsafe impl Send for FileRef {}

impl FileRef {
    /// # Safety
    ///
    /// `file` must be open, and a reference to it the caller's to give away.
    pub(super) unsafe fn from_raw(file: NonNull<bindings::file>) -> Self {
        // INVARIANT: As the caller ensures.
        Self(file)
    }

    /// Takes a reference to the file that `place` points to, if that is one that is not being closed. Where
    /// a pointer to a file that was closed can stay in `place`, it may be another file, and not open yet.
    ///
    /// # Safety
    ///
    /// `place` must be valid for reads, and hold null, a pointer to a `struct file` to which there is a
    /// reference, or one to what has been one since the RCU read lock was taken that is held.
    pub(super) unsafe fn get(place: *const *mut bindings::file) -> Option<Self> {
        // SAFETY: Files are freed to a cache whose memory stays such as long as the RCU read lock is held
        // (`SLAB_TYPESAFE_BY_RCU`), so that there is a count to add to, unless it is 0. The function does not
        // write to `place`.
        let file = unsafe { bindings::get_file_active(place.cast_mut()) };
        // INVARIANT: The reference was just taken.
        NonNull::new(file).map(Self)
    }

    /// The file.
    pub(crate) fn file(&self) -> File<'_> {
        // SAFETY: There is a reference as long as this object is borrowed.
        unsafe { File::from_ptr(self.0) }
    }

    /// The file, as it is seen from inside `sys`.
    pub(super) fn as_ptr(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }
}

impl Drop for FileRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariants there is a reference to drop.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}
