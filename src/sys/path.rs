// SPDX-License-Identifier: GPL-2.0

//! `struct path`: the root directory of a task, and how one gets from a place to its path name.
//!
//! C headers: [`include/linux/path.h`](srctree/include/linux/path.h),
//! [`include/linux/fs_struct.h`](srctree/include/linux/fs_struct.h),
//! [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

use super::{
    bindings,
    memory,
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

/// A number that tells a place, a mount and a directory on it, from all others, for as long as a
/// reference to it is held. It is made of addresses: never print it.
pub(crate) type PathKey = (usize, usize);

/// The root directory in a `struct fs_struct`, whose lock is held.
///
/// # Invariants
///
/// `fs` points at a valid `struct fs_struct`, whose `seq.lock` is held by this object.
pub(crate) struct FsRoot<'l> {
    fs: NonNull<bindings::fs_struct>,
    _task_lock: PhantomData<&'l ()>,
}

impl FsRoot<'_> {
    /// Locks `fs` against a change of its root. C: `read_seqlock_excl()`.
    ///
    /// # Safety
    ///
    /// `fs` must stay valid until the result is dropped.
    pub(super) unsafe fn lock(fs: NonNull<bindings::fs_struct>) -> Option<Self> {
        // SAFETY: The caller ensures that `fs` is valid. The lock is the innermost one here:
        // `chroot_fs_refs()` takes it inside `alloc_lock`, too.
        unsafe { spin_lock((&raw mut (*fs.as_ptr()).seq.lock).cast()) };
        // INVARIANT: The lock was just taken.
        let this = Self {
            fs,
            _task_lock: PhantomData,
        };
        let path = this.path();
        // There is none before the kernel has mounted its first root.
        (!path.mnt.is_null() && !path.dentry.is_null()).then_some(this)
    }

    fn path(&self) -> bindings::path {
        // SAFETY: By the type invariants `fs` is valid, and `root` changes only with the lock held.
        unsafe { (*self.fs.as_ptr()).root }
    }

    /// What tells the root directory from others while it is borrowed.
    pub(crate) fn key(&self) -> PathKey {
        let path = self.path();
        (path.mnt.addr(), path.dentry.addr())
    }

    /// Takes a reference. Does not sleep. C: `path_get()`.
    pub(crate) fn to_ref(&self) -> PathRef {
        let path = self.path();
        // SAFETY: While the lock is held, `fs` keeps the references that it has to its root.
        unsafe { bindings::path_get(&path) };
        // INVARIANT: The references were just taken, and neither pointer is null.
        PathRef(path)
    }
}

impl Drop for FsRoot<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the lock is held, and by this object.
        unsafe { spin_unlock((&raw mut (*self.fs.as_ptr()).seq.lock).cast()) };
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
    /// What tells the place from others while the reference is held.
    pub(crate) fn key(&self) -> PathKey {
        (self.0.mnt.addr(), self.0.dentry.addr())
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

/// Where the way up from a place ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WayUp {
    /// At the place that was to be the root.
    AtRoot,
    /// At the root of a mount that is mounted on nothing.
    AtTop,
    /// On a directory that is not below the root of its own mount, because it was moved away.
    Escaped,
    /// Nowhere: the name was too long to go on.
    TooLong,
}

/// Room for the path name of a place, and the name that was written last.
pub(crate) struct PathBuf {
    /// All of it is in use, from `start` on as the name.
    room: KVVec<u8>,
    start: usize,
    is_cut: bool,
}

/// The longest name that is written in full, in bytes. Of a longer one only the end is written: the
/// way up is not followed further, since nobody can rename anything meanwhile.
const MAX_PATH: usize = 1 << 16;

/// The most steps that are followed: from a directory to its parent, or from a mount to that below.
const MAX_STEPS: u32 = 1 << 16;

impl PathBuf {
    /// Makes room for names of usual length.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new() -> Result<Self> {
        let room = KVVec::from_elem(0, kernel::bindings::PATH_MAX as usize, memory::charged())?;
        let start = room.len();
        Ok(Self {
            room,
            start,
            is_cut: false,
        })
    }

    /// The name that was written last.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.room.get(self.start..).unwrap_or_default()
    }

    /// Whether there is more of that name.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Writes the name that `dentry` on `mount` has when `root` is the root directory. If the way
    /// up does not lead there, it is the name from the top of the mount tree.
    ///
    /// C: `prepend_path()` in [`fs/d_path.c`](srctree/fs/d_path.c). That one copes with names that
    /// change under it; this one holds `rename_lock` instead, so that they do not.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    ///
    /// # Safety
    ///
    /// The caller must hold `namespace_sem` and references to `mount` and `dentry`, or get them from
    /// what does.
    pub(super) unsafe fn write(
        &mut self,
        mount: *const bindings::mount,
        dentry: *const bindings::dentry,
        root: Option<&bindings::path>,
    ) -> Result<WayUp> {
        loop {
            // For 7.2, where a mount can go while it is below another that was unmounted, without
            // `namespace_sem`; it is freed through RCU.
            let rcu = rcu::read_lock();
            let lock = RenameLock::lock();
            // SAFETY: RCU and `rename_lock` are held, and the caller keeps the other promises.
            let (way, needed) = unsafe { self.prepend(mount, dentry, root) };
            drop(lock);
            drop(rcu);
            let has_room = needed <= self.room.len();
            self.is_cut = !has_room || way == WayUp::TooLong;
            if has_room || self.room.len() >= MAX_PATH {
                return Ok(way);
            }
            // Not in place: what is there is of no use.
            let room = needed.checked_next_power_of_two();
            let room = room.map_or(MAX_PATH, |room| room.min(MAX_PATH));
            self.room = KVVec::new();
            self.start = 0;
            self.room = KVVec::from_elem(0, room, memory::charged())?;
        }
    }

    /// One attempt at [`PathBuf::write`]: returns how many bytes the whole name has.
    ///
    /// # Safety
    ///
    /// As for [`PathBuf::write`]; and RCU and `rename_lock` must be held.
    unsafe fn prepend(
        &mut self,
        mut mount: *const bindings::mount,
        mut dentry: *const bindings::dentry,
        root: Option<&bindings::path>,
    ) -> (WayUp, usize) {
        let mut needed = 0;
        let mut steps = 0;
        self.start = self.room.len();
        let way = loop {
            steps += 1;
            if needed > MAX_PATH || steps > MAX_STEPS {
                break WayUp::TooLong;
            }
            // SAFETY: The mount is valid: `namespace_sem` or RCU keeps each mount on the way up.
            let mnt = unsafe { &raw const (*mount).mnt };
            if root.is_some_and(|root| {
                ptr::eq(root.dentry, dentry) && ptr::eq(root.mnt.cast_const(), mnt)
            }) {
                break WayUp::AtRoot;
            }
            // SAFETY: As above. `mnt_root` is constant.
            if ptr::eq(dentry, unsafe { (*mnt).mnt_root }) {
                // SAFETY: As above.
                let (parent, mountpoint) = unsafe {
                    (
                        read_once(&raw const (*mount).mnt_parent).cast_const(),
                        read_once(&raw const (*mount).mnt_mountpoint).cast_const(),
                    )
                };
                if ptr::eq(mount, parent) {
                    break WayUp::AtTop;
                }
                steps::count(Step::Mount);
                mount = parent;
                dentry = mountpoint;
                continue;
            }
            // SAFETY: A dentry holds a reference to its parent, which `rename_lock` keeps the same.
            let parent = unsafe { read_once(&raw const (*dentry).d_parent) };
            if ptr::eq(parent, dentry) {
                needed = 0;
                self.start = self.room.len();
                break WayUp::Escaped;
            }
            // SAFETY: While `rename_lock` is held, the name stays and is that long.
            let name = unsafe {
                let name = (*dentry).d_name.name.cast::<u8>();
                slice::from_raw_parts(name, (*dentry).d_name.len as usize)
            };
            needed += self.put_before(needed, name);
            needed += self.put_before(needed, b"/");
            steps::count(Step::Name);
            dentry = parent;
        };
        if needed == 0 {
            needed += self.put_before(needed, b"/");
        }
        (way, needed)
    }

    /// Puts `bytes` before the `behind` bytes that are there, if there is room, and returns how many
    /// they are.
    fn put_before(&mut self, behind: usize, bytes: &[u8]) -> usize {
        let end = self.room.len().checked_sub(behind);
        let start = end.and_then(|end| end.checked_sub(bytes.len()));
        if let (Some(start), Some(end)) = (start, end) {
            if let Some(place) = self.room.get_mut(start..end) {
                place.copy_from_slice(bytes);
                self.start = start;
            }
        }
        bytes.len()
    }
}
