// SPDX-License-Identifier: GPL-2.0

//! `struct mount` and `struct mnt_namespace`: the mount lists, under `namespace_sem`.
//!
//! C header: [`fs/mount.h`](srctree/fs/mount.h)
//!
//! # How the lock is taken
//!
//! `namespace_sem` is static in [`fs/namespace.c`](srctree/fs/namespace.c), and so are the
//! functions that walk a mount list. But every open `mountinfo` file refers to them: its
//! `seq_file::op` is the kernel's `mounts_op`, and its `seq_file::private` a `struct proc_mounts`
//! that says which namespace to walk. `start` takes `namespace_sem` for reading and returns the
//! first mount, `next` the one after, and `stop` releases. So [`MountOps::find`] opens such a file
//! once, on a procfs mount of its own, and keeps `op`. The functions are meant to be called through
//! pointers, so that neither IBT nor CFI objects.

mod line;

use super::{
    bindings,
    namespace::{
        Inum,
        MntNamespace, //
    },
    path::{
        PathBuf,
        PathRef,
        WayUp, //
    },
    read_once, //
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
};
use kernel::{
    error::from_err_ptr,
    prelude::*,
    types::ScopeGuard, //
};

pub(crate) use line::{
    LineBuf,
    Options, //
};

/// C: `seq_operations::start`.
type Start = unsafe extern "C" fn(*mut bindings::seq_file, *mut i64) -> *mut c_void;
/// C: `seq_operations::next`.
type Next = unsafe extern "C" fn(*mut bindings::seq_file, *mut c_void, *mut i64) -> *mut c_void;
/// C: `seq_operations::stop`.
type Stop = unsafe extern "C" fn(*mut bindings::seq_file, *mut c_void);
/// C: `proc_mounts::show`.
type Show = unsafe extern "C" fn(*mut bindings::seq_file, *mut bindings::vfsmount) -> c_int;

/// The kernel's own functions that walk a mount list and show a mount.
///
/// # Invariants
///
/// `start`, `next` and `stop` are those of `mounts_op`, and `show` is `show_mountinfo()`.
#[derive(Clone, Copy)]
pub(crate) struct MountOps {
    start: Start,
    next: Next,
    stop: Stop,
    show: Show,
}

impl MountOps {
    /// Finds the functions through the calling process's own `mountinfo`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if what is found there is not what this module was built for; `ENOMEM`.
    pub(crate) fn find() -> Result<Self> {
        // SAFETY: An FFI call with a string constant. procfs is always there.
        let proc_fs = unsafe { bindings::get_fs_type(c"proc".as_char_ptr()) };
        if proc_fs.is_null() {
            return Err(ENODEV);
        }
        // SAFETY: `proc_fs` is valid; no module can take procfs away.
        let mnt = from_err_ptr(unsafe { bindings::kern_mount(proc_fs) })?;
        let mnt = ScopeGuard::new_with_data(mnt, |mnt| {
            // SAFETY: `kern_mount()` made it, and nobody unmounted it since.
            unsafe { bindings::kern_unmount(mnt) }
        });

        let mut path = bindings::path::default();
        // SAFETY: `mnt` is valid. The name is a string constant.
        kernel::error::to_result(unsafe {
            bindings::vfs_path_lookup(
                (**mnt).mnt_root,
                *mnt,
                c"self/mountinfo".as_char_ptr(),
                0,
                &mut path,
            )
        })
        // The file is there. But procfs calls a file that it has no memory for one that is not.
        .map_err(|e| if e == ENOENT { ENOMEM } else { e })?;
        // SAFETY: The lookup succeeded, so `path` is valid. The credentials are those of the
        // current task, which stay as long as it runs here.
        let file = unsafe {
            let current = kernel::task::Task::current_raw().cast::<bindings::task_struct>();
            let file = bindings::dentry_open(
                &path,
                kernel::bindings::O_RDONLY as c_int,
                (*current).real_cred,
            );
            // The open file has references of its own.
            bindings::path_put(&path);
            from_err_ptr(file)?
        };
        let file = ScopeGuard::new_with_data(file, |file| {
            // SAFETY: `dentry_open()` returned a reference, dropped only here.
            unsafe { bindings::fput(file) }
        });

        // SAFETY: `file` is open on a `mountinfo`, so `private_data` is its `struct seq_file`.
        unsafe { Self::of_seq_file((**file).private_data.cast::<bindings::seq_file>()) }
    }

    /// Takes the functions from an open `mountinfo` of the current task, once it is certain that
    /// the structures are what they seem.
    ///
    /// # Safety
    ///
    /// `seq` must be null or point at the `struct seq_file` of an open `mountinfo`.
    unsafe fn of_seq_file(seq: *const bindings::seq_file) -> Result<Self> {
        // SAFETY: The caller ensures that `seq` is valid; `op` is null or valid as well.
        let (op, proc_mounts) = unsafe {
            let seq = seq.as_ref().ok_or(ENODEV)?;
            (
                seq.op.as_ref().ok_or(ENODEV)?,
                seq.private.cast::<bindings::proc_mounts>(),
            )
        };
        let ns = current_mnt_ns().ok_or(ENODEV)?;
        // SAFETY: `private` is null or what `mountinfo_open()` allocated: a `struct proc_mounts`.
        let proc_mounts = unsafe { proc_mounts.as_ref() }.ok_or(ENODEV)?;
        if !ptr::eq(proc_mounts.ns, ns.as_ptr()) {
            return Err(ENODEV);
        }
        // INVARIANT: They are those of a `mountinfo` file.
        Ok(Self {
            start: op.start.ok_or(ENODEV)?,
            next: op.next.ok_or(ENODEV)?,
            stop: op.stop.ok_or(ENODEV)?,
            show: proc_mounts.show.ok_or(ENODEV)?,
        })
    }

    /// Takes `namespace_sem` for reading, to look at mounts of whatever namespace.
    pub(crate) fn lock_any(&self) -> Result<NamespaceSem<'_>> {
        let ns = current_mnt_ns().ok_or(ESRCH)?;
        // SAFETY: Only the current task itself changes its `nsproxy`, so the namespace stays until
        // the guard, which no other task can have, is dropped.
        Ok(self.lock(unsafe { MntNamespace::from_ptr(ns) }))
    }

    /// Takes `namespace_sem` for reading, to walk the mounts of `ns`.
    pub(crate) fn lock<'a>(&'a self, ns: MntNamespace<'a>) -> NamespaceSem<'a> {
        let mut proc_mounts = bindings::proc_mounts {
            ns: ns.as_ptr(),
            show: Some(self.show),
            ..Default::default()
        };
        let mut seq = bindings::seq_file {
            private: (&raw mut proc_mounts).cast(),
            ..Default::default()
        };
        let mut pos = 0;
        // SAFETY: `seq` and what `private` points to are valid during the call, which looks at
        // nothing else, and there is a reference to `ns`.
        let first = unsafe { (self.start)(&mut seq, &mut pos) };
        // INVARIANT: `start` took the semaphore, and returned the first mount of `ns`.
        let mut sem = NamespaceSem {
            ops: self,
            ns,
            first: first.cast(),
            root: None,
            _not_send: PhantomData,
        };
        // SAFETY: There is a reference to the namespace.
        sem.root = unsafe { sem.root_of(ns.as_ptr()) };
        sem
    }
}

/// The mount namespace of the current task, which keeps it until it enters another or exits.
fn current_mnt_ns() -> Option<NonNull<bindings::mnt_namespace>> {
    let current = kernel::task::Task::current_raw().cast::<bindings::task_struct>();
    // SAFETY: There is always a current task, and nobody else changes its `nsproxy`. That one is
    // shared with others, but what it refers to is constant.
    unsafe {
        let nsproxy = NonNull::new((*current).nsproxy)?.as_ptr();
        NonNull::new((*nsproxy).mnt_ns)
    }
}

/// `namespace_sem`, held for reading: no mount of any namespace comes, goes or moves.
///
/// # Invariants
///
/// The current task holds the semaphore. `first` is null or the first mount of `ns`.
pub(crate) struct NamespaceSem<'a> {
    ops: &'a MountOps,
    ns: MntNamespace<'a>,
    first: *mut bindings::mount,
    /// The place where a process finds itself that enters the namespace with `setns()`: the root
    /// of whatever is mounted on top of the namespace's root mount. C: `mntns_install()`.
    root: Option<bindings::path>,
    _not_send: PhantomData<*mut ()>,
}

impl<'a> NamespaceSem<'a> {
    /// The mounts of the namespace, in the order of its tree: by ascending 64-bit id.
    pub(crate) fn mounts(&self) -> Mounts<'_> {
        Mounts {
            next: self.first,
            sem: self,
        }
    }

    /// As [`NamespaceSem::root`], of any mount namespace.
    ///
    /// # Safety
    ///
    /// `ns` must point at a mount namespace that is not freed while the semaphore is held.
    unsafe fn root_of(&self, ns: *const bindings::mnt_namespace) -> Option<bindings::path> {
        // SAFETY: The caller ensures that `ns` is valid. `root` changes only with the semaphore
        // held for writing.
        let mut top = unsafe { read_once(&raw const (*ns).root) }.cast_const();
        if top.is_null() {
            return None;
        }
        loop {
            // SAFETY: The root mount is valid, and so is each that is mounted on it, and what is
            // mounted on what is constant, while the semaphore is held.
            let over = unsafe { read_once(&raw const (*top).overmount) };
            if over.is_null() {
                break;
            }
            steps::count(Step::Mount);
            top = over;
        }
        // SAFETY: As above.
        Some(unsafe {
            bindings::path {
                mnt: (&raw const (*top).mnt).cast_mut(),
                dentry: read_once(&raw const (*top).mnt.mnt_root),
            }
        })
    }

    /// The 64-bit id of the namespace's root mount, which lies below all that are stacked on it.
    pub(crate) fn root_id(&self) -> Option<u64> {
        // SAFETY: There is a reference to the namespace. Its root mount is null or valid while the
        // semaphore is held.
        unsafe {
            let bottom = read_once(&raw const (*self.ns.as_ptr()).root);
            (!bottom.is_null()).then(|| read_once(&raw const (*bottom).mnt_id_unique))
        }
    }

    /// Tells where a place lies, and writes its name as seen from the top of its mount tree.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn locate(&self, place: &PathRef, name: &mut PathBuf) -> Result<Location> {
        let path = place.as_raw();
        // SAFETY: `place` holds a reference to the mount, which like all mounts is part of a
        // `struct mount`.
        let mount = unsafe { kernel::container_of!(path.mnt, bindings::mount, mnt) };
        // SAFETY: `place` holds references to both, and the semaphore is held.
        unsafe { name.write(mount, path.dentry, None)? };

        // Null for a mount that was detached; a small negative number for one that the kernel made
        // for itself. C: `is_mounted()`.
        // SAFETY: The mount is valid, as above.
        let ns = unsafe { read_once(&raw const (*mount).mnt_ns) };
        if ns.is_null() || from_err_ptr(ns).is_err() {
            return Ok(Location {
                ns: None,
                is_ns_root: false,
            });
        }
        // SAFETY: A mount is in a namespace that is there, as long as the semaphore is held.
        let (inum, root) = unsafe { (Inum::of(&raw const (*ns).ns), self.root_of(ns)) };
        Ok(Location {
            ns: inum,
            is_ns_root: root.is_some_and(|root| {
                ptr::eq(root.mnt, path.mnt) && ptr::eq(root.dentry, path.dentry)
            }),
        })
    }
}

impl Drop for NamespaceSem<'_> {
    fn drop(&mut self) {
        let mut seq = bindings::seq_file::default();
        // SAFETY: By the type invariants the semaphore is held; `stop` does nothing but release it.
        unsafe { (self.ops.stop)(&mut seq, ptr::null_mut()) };
    }
}

/// Where a place lies.
#[derive(Clone, Copy)]
pub(crate) struct Location {
    /// The mount namespace that its mount belongs to, if it is mounted at all.
    pub(crate) ns: Option<Inum>,
    /// Whether it is the place where a process finds itself that enters that namespace.
    pub(crate) is_ns_root: bool,
}

/// The mounts of a namespace.
///
/// # Invariants
///
/// `next` is null or a mount of the namespace.
pub(crate) struct Mounts<'s> {
    sem: &'s NamespaceSem<'s>,
    next: *mut bindings::mount,
}

impl<'s> Iterator for Mounts<'s> {
    type Item = Mount<'s>;

    fn next(&mut self) -> Option<Mount<'s>> {
        let ptr = NonNull::new(self.next)?;
        steps::count(Step::Mount);
        let mut seq = bindings::seq_file::default();
        let mut pos = 0;
        // SAFETY: `ptr` is a mount that `start` or `next` returned, and the semaphore has been held
        // since. `next` looks at nothing in `seq`.
        let next = unsafe { (self.sem.ops.next)(&mut seq, ptr.as_ptr().cast(), &mut pos) };
        // INVARIANT: `next` returns null or the next mount of the namespace.
        self.next = next.cast();
        // INVARIANT: The mount stays while the semaphore is held.
        Some(Mount { ptr, sem: self.sem })
    }
}

/// A mount, borrowed for as long as `namespace_sem` is held.
///
/// # Invariants
///
/// `ptr` points at a mount of the namespace that `sem` walks.
pub(crate) struct Mount<'s> {
    ptr: NonNull<bindings::mount>,
    sem: &'s NamespaceSem<'s>,
}

/// Reads a member of a [`Mount`].
macro_rules! member {
    ($mount:expr, $($member:ident).+) => {{
        let mount: &Mount<'_> = $mount;
        // SAFETY: By the type invariants the mount is valid. What changes without the semaphore
        // held for writing is still read in one access.
        unsafe { read_once(&raw const (*mount.ptr.as_ptr()).$($member).+) }
    }};
}
use member;

/// Who can reach a mount.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A process whose root is that of the namespace, by its path.
    Root,
    /// The same, were there not another mount at the same place.
    Over,
    /// No such process.
    Outside,
}

impl Mount<'_> {
    /// The id that is never used again. C: `mount::mnt_id_unique`.
    pub(crate) fn id(&self) -> u64 {
        member!(self, mnt_id_unique)
    }

    /// The device number of its super block: major and minor number. C: `super_block::s_dev`.
    pub(crate) fn device(&self) -> (u32, u32) {
        let sb = member!(self, mnt.mnt_sb);
        // SAFETY: A mount has a super block while it is there; its number is constant by then.
        let dev = unsafe { read_once(&raw const (*sb).s_dev) };
        // C: `MAJOR()` and `MINOR()` of `include/linux/kdev_t.h`.
        (dev >> 20, dev & ((1 << 20) - 1))
    }

    /// Whether a process whose root is `root` sees it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn is_seen_from(&self, root: &PathRef, name: &mut PathBuf) -> Result<bool> {
        self.write_path(name, Some(root.as_raw()))
    }

    /// Writes where it is mounted, as seen from `root`, and says whether it can be seen from there.
    fn write_path(&self, name: &mut PathBuf, root: Option<&bindings::path>) -> Result<bool> {
        let dentry = member!(self, mnt.mnt_root);
        // SAFETY: The semaphore is held, and a mount has a reference to its root directory.
        let way = unsafe { name.write(self.ptr.as_ptr(), dentry, root)? };
        Ok(match way {
            WayUp::AtRoot => true,
            WayUp::AtTop | WayUp::Escaped => false,
            // Where the mounts lead is soon told.
            WayUp::TooLong => root.is_some_and(|root| self.is_below(root.mnt)),
        })
    }

    /// Who can reach it; writes where it is mounted.
    fn place(&self, name: &mut PathBuf) -> Result<Reach> {
        Ok(match self.write_path(name, self.sem.root.as_ref())? {
            true if member!(self, overmount).is_null() => Reach::Root,
            true => Reach::Over,
            false => Reach::Outside,
        })
    }

    /// Whether the way up leads over this mount.
    fn is_below(&self, root: *const bindings::vfsmount) -> bool {
        let mut mount = self.ptr.as_ptr();
        loop {
            // SAFETY: The parents of a mount of the namespace are valid, and the same, while the
            // semaphore is held.
            let (mnt, parent) = unsafe {
                (
                    &raw const (*mount).mnt,
                    read_once(&raw const (*mount).mnt_parent),
                )
            };
            if ptr::eq(mnt, root) {
                return true;
            }
            if ptr::eq(mount, parent) {
                return false;
            }
            steps::count(Step::Mount);
            mount = parent;
        }
    }
}
