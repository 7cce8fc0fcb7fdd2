// SPDX-License-Identifier: GPL-2.0

//! `struct path`: the root and the working directory of a task, and the names of directories on a mount.
//!
//! C headers: [`include/linux/path.h`](srctree/include/linux/path.h),
//! [`include/linux/fs_struct.h`](srctree/include/linux/fs_struct.h),
//! [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

use super::{
    bindings,
    memory::{
        self,
        Vec, //
    },
    mount::MountNode,
    read_once,
    super_block::{
        FsNs,
        MAX_FS_NS, //
    },
};
use crate::steps::{
    self,
    Step, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
    slice,
};
use kernel::{
    bindings::{
        rename_lock,
        spin_lock,
        spin_unlock, //
    },
    prelude::*,
    sync::rcu, //
};

/// The longest path name that is shown in full, in bytes. C: `PATH_MAX`.
pub(crate) const PATH_MAX: usize = kernel::bindings::PATH_MAX as usize;

/// A directory on a mount, borrowed for as long as the RCU read lock is held.
///
/// # Invariants
///
/// Neither the mount nor the directory is freed before `'g` ends.
#[derive(Clone, Copy)]
pub(crate) struct Place<'g> {
    mnt: NonNull<bindings::vfsmount>,
    dentry: NonNull<bindings::dentry>,
    _rcu: PhantomData<&'g rcu::Guard>,
}

/// The root and the working directory of a task.
#[derive(Clone, Copy)]
pub(crate) struct FsPlaces<'g> {
    pub(crate) root: Place<'g>,
    pub(crate) cwd: Place<'g>,
}

impl<'g> FsPlaces<'g> {
    /// Reads both in a `struct fs_struct`, at the same moment. C: `get_fs_root()` and `get_fs_pwd()`,
    /// but for the references.
    ///
    /// # Safety
    ///
    /// `fs` must stay valid during the call.
    pub(super) unsafe fn of(fs: NonNull<bindings::fs_struct>, rcu: &'g rcu::Guard) -> Option<Self> {
        // SAFETY: The caller ensures that `fs` is valid.
        let lock = unsafe { FsLock::lock(fs) };
        let (root, cwd) = (lock.root(), lock.cwd());
        drop(lock);
        // SAFETY: `fs` had references to all of them while its lock was held, which was after `rcu` was
        // taken. They are directories, and so freed through RCU.
        unsafe {
            Some(Self {
                root: Place::of_path(root, rcu)?,
                cwd: Place::of_path(cwd, rcu)?,
            })
        }
    }
}

/// The namespaces that the file systems of a root and of a working directory lead to.
pub(crate) struct FsNamespaces {
    pub(crate) root: [Option<FsNs>; MAX_FS_NS],
    pub(crate) cwd: [Option<FsNs>; MAX_FS_NS],
}

impl<'g> FsPlaces<'g> {
    /// As [`FsPlaces::of`], and the namespaces of the file systems as well.
    ///
    /// # Safety
    ///
    /// `fs` must stay valid during the call.
    pub(super) unsafe fn with_namespaces(
        fs: NonNull<bindings::fs_struct>,
        rcu: &'g rcu::Guard,
    ) -> Option<(Self, FsNamespaces)> {
        // SAFETY: The caller ensures that `fs` is valid.
        let lock = unsafe { FsLock::lock(fs) };
        // SAFETY: While the lock is held, `fs` keeps the references that it has to both mounts and
        // directories, which are freed through RCU.
        let of = |path: bindings::path| unsafe {
            let place = Place::of_path(path, rcu)?;
            let mount = place.mount();
            let namespaces = mount.is_adrift().then(|| mount.namespaces(rcu));
            Some((place, namespaces.unwrap_or_default()))
        };
        let (root, cwd) = (of(lock.root())?, of(lock.cwd())?);
        Some((
            Self {
                root: root.0,
                cwd: cwd.0,
            },
            FsNamespaces {
                root: root.1,
                cwd: cwd.1,
            },
        ))
    }
}

impl<'g> Place<'g> {
    /// The place that a `struct path` stands for; `None` if there is none in it.
    ///
    /// # Safety
    ///
    /// Something must have had references to mount and directory since `_rcu` was taken, and the directory
    /// be one that is freed through RCU: not one with `DCACHE_NORCU`.
    pub(super) unsafe fn of_path(path: bindings::path, _rcu: &'g rcu::Guard) -> Option<Self> {
        // INVARIANT: As the caller ensures. A mount and a dentry without references are freed through RCU.
        Some(Self {
            mnt: NonNull::new(path.mnt)?,
            dentry: NonNull::new(path.dentry)?,
            _rcu: PhantomData,
        })
    }

    /// Whether the directory has been removed. C: `d_unlinked()`.
    pub(crate) fn is_deleted(&self) -> bool {
        let dentry = self.dentry.as_ptr();
        // SAFETY: By the type invariants the directory is not freed before `'g` ends. Neither pointer
        // is followed.
        let (hashed, parent) = unsafe {
            (
                read_once(&raw const (*dentry).d_hash.pprev),
                read_once(&raw const (*dentry).d_parent),
            )
        };
        hashed.is_null() && !ptr::eq(parent, dentry)
    }

    /// Distinguishes it from other places that are borrowed under the same RCU read lock. It is made
    /// of addresses: never print it.
    pub(crate) fn key(&self) -> (usize, usize) {
        (self.mnt.as_ptr().addr(), self.dentry.as_ptr().addr())
    }

    /// The mount.
    pub(crate) fn mount(&self) -> MountNode<'g> {
        // SAFETY: By the type invariants the mount is not freed before `'g` ends. Like all, it is
        // part of a `struct mount`.
        unsafe { MountNode::of_vfsmount(self.mnt.as_ptr()) }
    }

    /// Whether it is the root directory of the mount.
    pub(crate) fn is_mount_root(&self) -> bool {
        self.mount().is_root(self.dentry.as_ptr())
    }

    /// Writes its name, as seen from the root of the mount.
    pub(crate) fn write_name(&self, names: &mut NameBuf) -> Names {
        // SAFETY: By the type invariants the RCU read lock is held since before the directory, and
        // the mount with its root, could have been freed.
        unsafe { names.write(self.dentry.as_ptr(), self.mount().root(), None) }
    }
}

/// A counted reference to a place. Dropping it may sleep.
///
/// # Invariants
///
/// `0` holds pointers to a mount and to a directory on it, with a reference to each.
pub(crate) struct PathRef(bindings::path);

// SAFETY: The references belong to nobody in particular; any task may drop them.
unsafe impl Send for PathRef {}

impl PathRef {
    /// Takes references to the root directory in a `struct fs_struct`. Does not sleep. C:
    /// `get_fs_root()`.
    ///
    /// # Safety
    ///
    /// `fs` must stay valid during the call.
    pub(super) unsafe fn root_of(fs: NonNull<bindings::fs_struct>) -> Option<Self> {
        // SAFETY: The caller ensures that `fs` is valid.
        let lock = unsafe { FsLock::lock(fs) };
        let path = lock.root();
        if path.mnt.is_null() || path.dentry.is_null() {
            return None;
        }
        // SAFETY: While the lock is held, `fs` keeps the references that it has to its root.
        unsafe { bindings::path_get(&path) };
        // INVARIANT: The references were just taken, and neither pointer is null.
        Some(Self(path))
    }

    /// The place, as it is seen from inside `sys`.
    pub(super) fn as_raw(&self) -> &bindings::path {
        &self.0
    }
}

impl Drop for PathRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariants there are references to drop. Never inside an RCU
        // read-side critical section or with a spinlock held, as the documentation demands.
        unsafe { bindings::path_put(&self.0) };
    }
}

/// The lock of a `struct fs_struct`, held. C: `read_seqlock_excl()`.
///
/// # Invariants
///
/// The pointer is valid, and its `seq.lock` is held by this object.
struct FsLock(NonNull<bindings::fs_struct>);

impl FsLock {
    /// # Safety
    ///
    /// `fs` must stay valid until the result is dropped.
    unsafe fn lock(fs: NonNull<bindings::fs_struct>) -> Self {
        // SAFETY: The caller ensures that `fs` is valid. The lock is the innermost one here:
        // `chroot_fs_refs()` takes it inside `alloc_lock`, too.
        unsafe { spin_lock((&raw mut (*fs.as_ptr()).seq.lock).cast()) };
        // INVARIANT: The lock was just taken.
        Self(fs)
    }

    /// The root directory. Both pointers are null before the kernel has mounted its first root.
    fn root(&self) -> bindings::path {
        // SAFETY: By the type invariants `fs` is valid, and `root` changes only with the lock held.
        unsafe { (*self.0.as_ptr()).root }
    }

    /// The working directory, likewise.
    fn cwd(&self) -> bindings::path {
        // SAFETY: By the type invariants `fs` is valid, and `pwd` changes only with the lock held.
        unsafe { (*self.0.as_ptr()).pwd }
    }
}

impl Drop for FsLock {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the lock is held, and by this object.
        unsafe { spin_unlock((&raw mut (*self.0.as_ptr()).seq.lock).cast()) };
    }
}

/// `rename_lock`, held. While it is, no dentry that has a name in its directory changes it, or its
/// parent.
///
/// C: `read_seqlock_excl(&rename_lock)`. It does not disturb lookups, which only look at the
/// sequence number; it keeps out `d_move()` for the time of one path.
struct RenameLock(PhantomData<*mut ()>);

impl RenameLock {
    fn lock() -> Self {
        // SAFETY: `rename_lock` is a static of the kernel, never taken with interrupts disabled.
        unsafe { spin_lock(&raw mut rename_lock.lock) };
        Self(PhantomData)
    }
}

impl Drop for RenameLock {
    fn drop(&mut self) {
        // SAFETY: `Self::lock()` took it.
        unsafe { spin_unlock(&raw mut rename_lock.lock) };
    }
}

/// Where the way up from a directory ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WayUp {
    /// At the root of its mount. The name is whole.
    AtRoot,
    /// At the root of the file system. The directory is not below the root of its mount, because it
    /// was moved away, and has no name there.
    Escaped,
    /// After [`PATH_MAX`] bytes, which are the end of the name.
    Cut,
}

/// What the way up from a directory to the root of its mount came across.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    pub(crate) way: WayUp,
    /// The directory that was looked for is on the way, both ends included.
    pub(crate) found: bool,
    /// Something is mounted, in whatever namespace, on a directory between the two ends.
    pub(crate) has_mount_point: bool,
    /// How many directories it went up.
    pub(crate) steps: u32,
}

/// [`PATH_MAX`] bytes, which are filled from the last one on: so a path is written while somebody goes
/// up from where it ends.
///
/// # Invariants
///
/// `room` has a capacity of at least [`PATH_MAX`] bytes. Those from `start` on, up to that, are
/// written.
pub(crate) struct PathEnd {
    /// Its own length stays 0.
    room: Vec<u8>,
    start: usize,
}

impl PathEnd {
    /// Makes the room.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new() -> Result<Self> {
        // INVARIANT: None are written.
        Ok(Self {
            room: Vec::with_capacity(PATH_MAX, memory::charged())?,
            start: PATH_MAX,
        })
    }

    /// What was written.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: By the type invariants so many bytes from there on are ours, and written.
        unsafe {
            slice::from_raw_parts(
                self.room.as_ptr().add(self.start),
                PATH_MAX.wrapping_sub(self.start),
            )
        }
    }

    /// Forgets what was written.
    pub(crate) fn clear(&mut self) {
        // INVARIANT: None are written.
        self.start = PATH_MAX;
    }

    /// Puts as much of the end of `bytes` as there is room for before what is there, and says whether
    /// that is all.
    #[inline]
    pub(crate) fn put_before(&mut self, bytes: &[u8]) -> bool {
        let len = bytes.len().min(self.start);
        let end = bytes.get(bytes.len().wrapping_sub(len)..);
        let end = end.unwrap_or_default();
        // INVARIANT: As many more bytes are written below.
        self.start = self.start.wrapping_sub(end.len());
        // SAFETY: `end` is not longer than the former `start`, which was at most `PATH_MAX`. The room
        // is borrowed mutably, so `bytes` is no part of it.
        unsafe { memory::copy(end, self.room.as_mut_ptr().add(self.start)) };
        len == bytes.len()
    }
}

/// Room for the name of a directory on a mount, and the name that was written last.
pub(crate) struct NameBuf(PathEnd);

impl NameBuf {
    /// Makes the room.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(PathEnd::new()?))
    }

    /// The name that was written last: each directory below the root of the mount after a slash, so
    /// that of the root itself is empty.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Copies a name from elsewhere; of one that is too long, the end.
    pub(crate) fn copy(&mut self, name: &[u8]) {
        self.0.clear();
        self.0.put_before(name);
    }

    /// Writes the name that `dentry` has on a mount whose root directory is `top`, and looks for
    /// `wanted` on the way.
    ///
    /// C: `prepend_path()` in [`fs/d_path.c`](srctree/fs/d_path.c), the part on one mount. That one
    /// copes with names that change under it; this one holds `rename_lock` instead, so that they do
    /// not. It goes up at most [`PATH_MAX`] / 2 directories.
    ///
    /// # Safety
    ///
    /// `dentry` must not be freed meanwhile: there is a reference to it, or the RCU read lock has been
    /// held since there was one. `top` is only compared.
    pub(super) unsafe fn write(
        &mut self,
        dentry: *const bindings::dentry,
        top: *const bindings::dentry,
        wanted: Option<*const bindings::dentry>,
    ) -> Names {
        let mut dentry = dentry;
        let mut found = false;
        let mut has_mount_point = false;
        let mut steps = 0_u32;
        self.0.clear();
        let mut lock = None;
        let way = loop {
            found |= wanted.is_some_and(|wanted| ptr::eq(wanted, dentry));
            if ptr::eq(dentry, top) {
                break WayUp::AtRoot;
            }
            // Not before it is needed: most mount points are the root of the mount below.
            lock.get_or_insert_with(RenameLock::lock);
            if steps > 0 {
                // SAFETY: The directory is valid, as `parent` below.
                let flags = unsafe { read_once(&raw const (*dentry).d_flags) };
                has_mount_point |= flags & bindings::DCACHE_MOUNTED != 0;
            }
            // SAFETY: A dentry holds a reference to its parent, which `rename_lock` keeps the same, for
            // as long as there is a reference to itself. Without one, the RCU read lock is held, through
            // which both are freed.
            let parent = unsafe { read_once(&raw const (*dentry).d_parent) };
            if ptr::eq(parent, dentry) {
                self.0.clear();
                break WayUp::Escaped;
            }
            // SAFETY: While `rename_lock` is held, the name stays and is that long. It is freed with the
            // dentry.
            let name = unsafe {
                let name = (*dentry).d_name.name.cast::<u8>();
                slice::from_raw_parts(name, (*dentry).d_name.len as usize)
            };
            steps = steps.saturating_add(1);
            steps::count(Step::Name);
            if !(self.0.put_before(name) && self.0.put_before(b"/")) {
                break WayUp::Cut;
            }
            dentry = parent;
        };
        drop(lock);
        Names {
            way,
            found,
            has_mount_point,
            steps,
        }
    }
}
