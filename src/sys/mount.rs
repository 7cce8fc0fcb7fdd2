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
mod tree;

use super::{
    bindings,
    internal_mount::{
        InternalMount,
        OpenFile, //
    },
    namespace::{
        MntNamespace,
        NsId, //
    },
    path::{
        NameBuf,
        Names,
        PathRef, //
    },
    read_once,
    seq::Seq,
    super_block::{
        self,
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
    ops::Range,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    fs::LocalFile,
    prelude::*,
    sync::rcu, //
};

pub(crate) use line::{
    Flags,
    Options,
    Tail,
    Tails, //
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
    /// Finds the functions through the calling thread's own `mountinfo`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if what is found there is not what this module was built for; `ENOMEM`.
    pub(crate) fn find() -> Result<Self> {
        let file = OwnMountinfo::open()?;
        // SAFETY: The file is open on a `mountinfo`, so `private_data` is its `struct seq_file`.
        unsafe { Self::of_seq_file((*file.0.as_ptr()).private_data.cast::<bindings::seq_file>()) }
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

    /// Takes `namespace_sem` for reading, to walk the mounts of `ns` from the first one on whose 64-bit
    /// id is at least `from`.
    pub(crate) fn lock<'a>(&'a self, ns: MntNamespace<'a>, from: u64) -> NamespaceSem<'a> {
        let mut proc_mounts = bindings::proc_mounts {
            ns: ns.as_ptr(),
            show: Some(self.show),
            ..Default::default()
        };
        let mut seq = bindings::seq_file {
            private: (&raw mut proc_mounts).cast(),
            ..Default::default()
        };
        let mut pos = i64::try_from(from).unwrap_or(i64::MAX);
        // SAFETY: `seq` and what `private` points to are valid during the call, which looks at
        // nothing else, and there is a reference to `ns`.
        let first = unsafe { (self.start)(&mut seq, &mut pos) };
        // INVARIANT: `start` took the semaphore, and returned that mount of `ns`, or null.
        NamespaceSem {
            ops: self,
            ns,
            first: first.cast(),
            _not_send: PhantomData,
        }
    }
}

/// The `mountinfo` of the calling thread, which is open.
pub(crate) struct OwnMountinfo(OpenFile);

impl OwnMountinfo {
    /// Opens it, on a procfs that nobody else sees.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENODEV` if there is no procfs.
    pub(crate) fn open() -> Result<Self> {
        // A thread may have a mount namespace of its own.
        let file = InternalMount::new(c"proc")?
            .open(c"thread-self/mountinfo")
            // The file is there. But procfs calls a file that it has no memory for one that is not.
            .map_err(|e| if e == ENOENT { ENOMEM } else { e })?;
        Ok(Self(file))
    }

    /// The file.
    pub(crate) fn file(&self) -> &LocalFile {
        // SAFETY: It is open for as long as it is borrowed. Nobody else knows it, so nobody holds its
        // position.
        unsafe { LocalFile::from_raw_file(self.0.as_ptr().cast()) }
    }
}

/// The mount namespace of the calling thread.
pub(crate) fn own_namespace() -> Option<NsId> {
    let ns = current_mnt_ns()?;
    // SAFETY: The thread keeps a reference to it as long as it runs here.
    unsafe { NsId::of(&raw const (*ns.as_ptr()).ns) }
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

impl MntNamespace<'_> {
    /// The stamp of the last change of the list of mounts. C: `mnt_namespace::event`.
    fn event(&self) -> u64 {
        // SAFETY: There is a reference to the namespace.
        unsafe { read_once(&raw const (*self.as_ptr()).event) }
    }

    /// How many mounts it has; while `namespace_sem` is not held, any number of them may come or go. C:
    /// `mnt_namespace::nr_mounts`.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: There is a reference to the namespace.
        // CAST: A number of objects in memory.
        unsafe { read_once(&raw const (*self.as_ptr()).nr_mounts) as usize }
    }
}

/// `namespace_sem`, held for reading: no mount of any namespace comes, goes or moves.
///
/// # Invariants
///
/// The current task holds the semaphore. `first` is null or a mount of `ns`.
pub(crate) struct NamespaceSem<'a> {
    ops: &'a MountOps,
    ns: MntNamespace<'a>,
    first: *mut bindings::mount,
    _not_send: PhantomData<*mut ()>,
}

impl<'a> NamespaceSem<'a> {
    /// The mounts of the namespace from the first on that was asked for, by ascending 64-bit id.
    pub(crate) fn mounts(&self) -> Mounts<'_> {
        Mounts {
            next: self.first,
            sem: self,
            seq: bindings::seq_file::default(),
        }
    }

    /// The stamp of the last change of the list. C: `mnt_namespace::event`.
    pub(crate) fn event(&self) -> u64 {
        self.ns.event()
    }

    /// How many mounts the namespace has. C: `mnt_namespace::nr_mounts`.
    pub(crate) fn len(&self) -> usize {
        self.ns.len()
    }

    /// The namespace's root mount, which lies below all that are stacked on it.
    fn bottom(&self) -> Option<NonNull<bindings::mount>> {
        // SAFETY: There is a reference to the namespace. `root` changes only with the semaphore held
        // for writing.
        NonNull::new(unsafe { read_once(&raw const (*self.ns.as_ptr()).root) })
    }

    /// The 64-bit id of the namespace's root mount.
    pub(crate) fn root_id(&self) -> Option<u64> {
        let bottom = self.bottom()?;
        // SAFETY: The root mount is valid while the semaphore is held.
        Some(unsafe { read_once(&raw const (*bottom.as_ptr()).mnt_id_unique) })
    }

    /// The place where a process finds itself that enters the namespace with `setns()`: the root of
    /// whatever is mounted on top of the namespace's root mount. C: `mntns_install()`.
    fn root(&self) -> Option<bindings::path> {
        let mut top = self.bottom()?.as_ptr().cast_const();
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
        Some(unsafe { root_of(top) })
    }
}

/// The root directory of a mount.
///
/// # Safety
///
/// `mount` must point at a mount that is not freed meanwhile.
unsafe fn root_of(mount: *const bindings::mount) -> bindings::path {
    // SAFETY: The caller ensures that the mount is valid; its root is constant.
    unsafe {
        bindings::path {
            mnt: (&raw const (*mount).mnt).cast_mut(),
            dentry: read_once(&raw const (*mount).mnt.mnt_root),
        }
    }
}

impl Drop for NamespaceSem<'_> {
    fn drop(&mut self) {
        let mut seq = bindings::seq_file::default();
        // SAFETY: By the type invariants the semaphore is held; `stop` does nothing but release it.
        unsafe { (self.ops.stop)(&mut seq, ptr::null_mut()) };
    }
}

/// The mounts of a namespace.
///
/// # Invariants
///
/// `next` is null or a mount of the namespace.
pub(crate) struct Mounts<'s> {
    sem: &'s NamespaceSem<'s>,
    next: *mut bindings::mount,
    /// What `next()` wants to be given. It does not look at it.
    seq: bindings::seq_file,
}

impl<'s> Iterator for Mounts<'s> {
    type Item = Mount<'s>;

    fn next(&mut self) -> Option<Mount<'s>> {
        let ptr = NonNull::new(self.next)?;
        steps::count(Step::Mount);
        let mut pos = 0;
        // SAFETY: `ptr` is a mount that `start` or `next` returned, and the semaphore has been held
        // since. `next` looks at nothing in `seq`.
        let next = unsafe { (self.sem.ops.next)(&mut self.seq, ptr.as_ptr().cast(), &mut pos) };
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

/// Where the strings of a mount stand in the buffer that they were written to, one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Strings {
    begin: u32,
    point_end: u32,
    root_end: u32,
    end: u32,
}

/// What came of writing the strings of a mount.
pub(crate) struct Written<V> {
    pub(crate) strings: Strings,
    /// What the way up from its mount point to the root of its parent came across.
    pub(crate) names: Names,
    pub(crate) tail: Tail<V>,
    /// The flags that are shown.
    pub(crate) flags: Flags,
}

impl Strings {
    fn range(begin: u32, end: u32) -> Range<usize> {
        // CAST: A buffer is far smaller.
        begin as usize..end as usize
    }

    /// Where the name of the mount point on its parent stands, not escaped.
    pub(crate) fn point(&self) -> Range<usize> {
        Self::range(self.begin, self.point_end)
    }

    /// Where the mounted directory stands, escaped.
    pub(crate) fn root(&self) -> Range<usize> {
        Self::range(self.point_end, self.root_end)
    }

    /// Where type, source and options stand, or the whole line, if the kernel wrote that; if they were
    /// written.
    pub(crate) fn tail(&self) -> Range<usize> {
        Self::range(self.root_end, self.end)
    }
}

impl<'s> Mount<'s> {
    /// The id that is never used again. C: `mount::mnt_id_unique`.
    pub(crate) fn id(&self) -> u64 {
        member!(self, mnt_id_unique)
    }

    /// The device number of its super block: major and minor number. C: `super_block::s_dev`.
    pub(crate) fn device(&self) -> (u32, u32) {
        let sb = member!(self, mnt.mnt_sb);
        // SAFETY: A mount has a super block while it is there; its number is constant by then.
        device_numbers(unsafe { read_once(&raw const (*sb).s_dev) })
    }

    /// The namespaces that its file system leads to.
    pub(crate) fn namespaces(&self) -> [Option<FsNs>; MAX_FS_NS] {
        let rcu = rcu::read_lock();
        let (sb, root) = (member!(self, mnt.mnt_sb), member!(self, mnt.mnt_root));
        // SAFETY: The mount has references to both, while the semaphore is held.
        unsafe { super_block::namespaces(sb, root, &rcu) }
    }

    /// C: `mount::mnt_id`.
    pub(crate) fn mnt_id(&self) -> i32 {
        member!(self, mnt_id)
    }

    /// The 64-bit id, and `mount::mnt_id`, of the mount that it is mounted on; its own, if it is mounted
    /// on nothing.
    pub(crate) fn parent_ids(&self) -> (u64, i32) {
        let parent = member!(self, mnt_parent);
        // SAFETY: A mount has a parent, at least itself, while the semaphore is held.
        unsafe {
            (
                read_once(&raw const (*parent).mnt_id_unique),
                read_once(&raw const (*parent).mnt_id),
            )
        }
    }

    /// What is mounted, and where.
    pub(crate) fn spot(&self) -> Spot {
        Spot {
            root: member!(self, mnt.mnt_root).addr(),
            point: member!(self, mnt_mountpoint).addr(),
        }
    }

    /// The peer group, of a shared mount. C: `mount::mnt_group_id`.
    pub(crate) fn group(&self) -> i32 {
        member!(self, mnt_group_id)
    }

    /// Whether another mount is mounted on its root directory. C: `mount::overmount`.
    pub(crate) fn is_overmounted(&self) -> bool {
        !member!(self, overmount).is_null()
    }

    /// How it lies to a process's root directory. `names` is what the way up from its mount point to the
    /// root of its parent came across.
    pub(crate) fn relation_to(&self, root: &PathRef, names: &Names) -> Relation {
        let root = root.as_raw();
        let parent = member!(self, mnt_parent);
        // SAFETY: The mount is valid by the type invariants. It has a parent, at least itself, while
        // the semaphore is held. Only addresses are computed.
        let (own, parent) = unsafe {
            (
                &raw const (*self.ptr.as_ptr()).mnt,
                &raw const (*parent).mnt,
            )
        };
        if ptr::eq(own, root.mnt) {
            let own_root = member!(self, mnt.mnt_root);
            if ptr::eq(own_root, root.dentry) {
                Relation::Inside
            } else {
                Relation::Outside
            }
        } else if ptr::eq(parent, root.mnt) {
            Relation::OnSameMount(names.found)
        } else {
            Relation::AsParent
        }
    }

    /// Writes its strings, for the reader of `seq`; `None` if there was too little room in that. A tail
    /// that is among `tails` is not written again. On the way up from the mount point it looks for
    /// `root`.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if a callback of the file system says so.
    #[inline]
    pub(crate) fn write_strings<V: Copy + PartialEq>(
        &self,
        (seq, names, tails): (&mut Seq<'_>, &mut NameBuf, &Tails<'_, V>),
        options: Options,
        root: Option<&PathRef>,
        extent: Extent,
    ) -> Result<Option<Written<V>>> {
        let (parent, point) = (member!(self, mnt_parent), member!(self, mnt_mountpoint));
        let wanted = root.map(|root| root.as_raw().dentry.cast_const());
        // SAFETY: A mount has a parent, at least itself, and references to its root and to its mount
        // point on the parent, while the semaphore is held.
        let way = unsafe {
            let top = read_once(&raw const (*parent).mnt.mnt_root);
            names.write(point, top, wanted)
        };
        let begin = seq.position();
        seq.put(names.as_bytes());
        let point_end = seq.position();
        let (root_end, tail, flags) = self.put_strings(seq, options, extent, tails)?;
        let end = seq.position();
        if seq.has_overflowed() {
            // What was written before is kept.
            seq.rewind(begin);
            return Ok(None);
        }
        Ok(Some(Written {
            // CAST: A buffer is far smaller.
            strings: Strings {
                begin: begin as u32,
                point_end: point_end as u32,
                root_end: root_end as u32,
                end: end as u32,
            },
            names: way,
            tail,
            flags,
        }))
    }

    /// The mount that it gets events from. C: `mount::mnt_master`.
    pub(crate) fn master(&self) -> Option<Master<'s>> {
        // INVARIANT: A master is there while the semaphore is held.
        NonNull::new(member!(self, mnt_master)).map(|ptr| Master(ptr, PhantomData))
    }
}

/// How much of a mount is described.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All.
    All,
    /// Without what can be of any length: the mounted directory and the options of the file system.
    Bounded,
    /// No more than where it is mounted.
    Least,
}

/// Which directory is mounted, and on which, of whatever mount. These are addresses: never print them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) root: usize,
    pub(crate) point: usize,
}

/// How a mount lies to a process's root directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// The process sees it: its root is the root of the mount.
    Inside,
    /// The process does not see it: its root is another directory of the mount.
    Outside,
    /// It is mounted on the mount that the root is on; the process sees it if it is below the root.
    OnSameMount(bool),
    /// The process sees it if it sees the mount that it is mounted on.
    AsParent,
}

/// A mount that sends events to others, borrowed for as long as `namespace_sem` is held.
///
/// # Invariants
///
/// `0` points at a mount, and the semaphore is held while `'s` lasts.
#[derive(Clone, Copy)]
pub(crate) struct Master<'s>(NonNull<bindings::mount>, PhantomData<&'s ()>);

impl Master<'_> {
    /// Its peer group. C: `mount::mnt_group_id`.
    pub(crate) fn group(&self) -> i32 {
        // SAFETY: The mount is valid by the type invariants.
        unsafe { read_once(&raw const (*self.0.as_ptr()).mnt_group_id) }
    }

    /// The mount that it gets events from itself.
    pub(crate) fn master(&self) -> Option<Self> {
        steps::count(Step::Mount);
        // SAFETY: The mount is valid by the type invariants.
        let master = unsafe { read_once(&raw const (*self.0.as_ptr()).mnt_master) };
        // INVARIANT: A master is there while the semaphore is held.
        NonNull::new(master).map(|ptr| Self(ptr, PhantomData))
    }
}

/// Major and minor number of a device. C: `MAJOR()` and `MINOR()` of
/// [`include/linux/kdev_t.h`](srctree/include/linux/kdev_t.h).
pub(super) fn device_numbers(dev: u32) -> (u32, u32) {
    (dev >> 20, dev & ((1 << 20) - 1))
}

/// Whether a mount is attached to a mount tree that somebody can get to.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Attachment {
    /// It is in this mount namespace.
    Attached(NsId),
    /// It was unmounted while somebody used it (`umount -l`).
    Detached,
    /// It is in a tree that only a file descriptor leads to: `open_tree()`, `fsmount()`.
    Anonymous,
    /// The kernel made it for itself.
    Internal,
}

impl Attachment {
    /// Whether it is in no mount namespace, though somebody made it.
    pub(crate) fn is_adrift(self) -> bool {
        matches!(self, Self::Detached | Self::Anonymous)
    }
}

/// Which mount namespace a mount belongs to.
enum RawNs {
    /// This one, which may be anonymous.
    Ns(NonNull<bindings::mnt_namespace>),
    Detached,
    Internal,
}

/// The last address that is one; larger ones are error numbers. C: `IS_ERR_VALUE()`.
const LAST_ADDRESS: usize = usize::MAX - kernel::bindings::MAX_ERRNO as usize;

/// How often a mount that is moved again and again is looked at anew.
const MAX_MOVES: usize = 4;

/// A mount, borrowed for as long as the RCU read lock is held. It may be moved and unmounted
/// meanwhile.
///
/// # Invariants
///
/// `ptr` points at a mount that is not freed before `'g` ends, and neither is its root directory.
#[derive(Clone, Copy)]
pub(crate) struct MountNode<'g> {
    ptr: *const bindings::mount,
    _rcu: PhantomData<&'g rcu::Guard>,
}

impl<'g> MountNode<'g> {
    /// # Safety
    ///
    /// `mnt` must have been referenced by something since the RCU read lock was taken that `'g`
    /// stands for.
    pub(super) unsafe fn of_vfsmount(mnt: *const bindings::vfsmount) -> Self {
        // INVARIANT: A mount, and its root directory, is freed through RCU after the last reference
        // was dropped.
        Self {
            // SAFETY: Each `struct vfsmount` is part of a `struct mount`.
            ptr: unsafe { kernel::container_of!(mnt, bindings::mount, mnt) },
            _rcu: PhantomData,
        }
    }

    /// The id that is never used again. C: `mount::mnt_id_unique`.
    pub(crate) fn id(&self) -> u64 {
        // SAFETY: The mount is valid by the type invariants. The number is constant.
        unsafe { read_once(&raw const (*self.ptr).mnt_id_unique) }
    }

    /// The root directory.
    pub(super) fn root(&self) -> *const bindings::dentry {
        // SAFETY: The mount is valid by the type invariants. The root is constant.
        unsafe { read_once(&raw const (*self.ptr).mnt.mnt_root).cast_const() }
    }

    /// Whether `dentry` is the root directory.
    pub(super) fn is_root(&self, dentry: *const bindings::dentry) -> bool {
        ptr::eq(self.root(), dentry)
    }

    /// Whether another mount is mounted on its root directory.
    pub(crate) fn is_overmounted(&self) -> bool {
        // SAFETY: The mount is valid by the type invariants. What is mounted there is not followed.
        unsafe { !read_once(&raw const (*self.ptr).overmount).is_null() }
    }

    /// The mount namespace that it belongs to. C: `mount::mnt_ns`, if `is_mounted()`.
    #[inline]
    fn raw_ns(&self) -> RawNs {
        // SAFETY: The mount is valid by the type invariants.
        let ns = unsafe { read_once(&raw const (*self.ptr).mnt_ns) };
        // Null for a mount that was detached; a small negative number for one that the kernel made for
        // itself.
        match NonNull::new(ns) {
            None => RawNs::Detached,
            Some(ns) if ns.addr().get() > LAST_ADDRESS => RawNs::Internal,
            Some(ns) => RawNs::Ns(ns),
        }
    }

    /// Whether it belongs to `ns`; with `None`, to any mount namespace at all.
    pub(crate) fn is_in(&self, ns: Option<NonNull<bindings::mnt_namespace>>) -> bool {
        match self.raw_ns() {
            RawNs::Ns(own) => ns.is_none_or(|ns| ns == own),
            _ => false,
        }
    }

    /// Whether it is one that the kernel made for itself. C: `MNT_NS_INTERNAL`.
    #[inline]
    pub(super) fn is_internal(&self) -> bool {
        matches!(self.raw_ns(), RawNs::Internal)
    }

    /// Whether it is in no mount namespace, though somebody made it.
    pub(super) fn is_adrift(&self) -> bool {
        self.attachment().is_adrift()
    }

    /// Whether it is attached, and to what.
    #[inline]
    pub(crate) fn attachment(&self) -> Attachment {
        let ns = match self.raw_ns() {
            RawNs::Ns(ns) => ns.as_ptr(),
            RawNs::Detached => return Attachment::Detached,
            RawNs::Internal => return Attachment::Internal,
        };
        // SAFETY: `umount_tree()` clears the pointer before `free_mnt_ns()` leaves the namespace to
        // `call_rcu()`, and the RCU read lock has been held since before it was read: so the memory is
        // still there. Of one that was left just then, 7.2 keeps the `rcu_head` where the id was: that
        // is the id of no other namespace.
        let ns = unsafe {
            if read_once(&raw const (*ns).is_anon) {
                return Attachment::Anonymous;
            }
            NsId::of(&raw const (*ns).ns)
        };
        // One without an id is not there yet.
        ns.map_or(Attachment::Detached, Attachment::Attached)
    }

    /// The anonymous mount namespace that it belongs to. C: `is_anon_ns()`.
    fn anonymous(&self) -> Option<NonNull<bindings::mnt_namespace>> {
        match self.raw_ns() {
            // SAFETY: As in `attachment()`.
            RawNs::Ns(ns) if unsafe { read_once(&raw const (*ns.as_ptr()).is_anon) } => Some(ns),
            _ => None,
        }
    }

    /// The id of the anonymous mount tree that it is in, if that has other mounts as well.
    pub(crate) fn tree_id(&self) -> Option<NsId> {
        let ns = self.anonymous()?.as_ptr();
        // SAFETY: As in `attachment()`.
        unsafe {
            if read_once(&raw const (*ns).nr_mounts) < 2 {
                return None;
            }
            NsId::of(&raw const (*ns).ns)
        }
    }

    /// The device number of its super block: major and minor number. C: `super_block::s_dev`.
    pub(crate) fn device(&self) -> (u32, u32) {
        // SAFETY: The mount is valid by the type invariants. It keeps its super block in use until it loses
        // its last reference, and the number is constant; the memory of a super block is freed through RCU.
        device_numbers(unsafe {
            let sb = read_once(&raw const (*self.ptr).mnt.mnt_sb);
            read_once(&raw const (*sb).s_dev)
        })
    }

    /// The namespaces that its file system leads to.
    ///
    /// # Safety
    ///
    /// Something must have a reference to the mount during the call.
    pub(super) unsafe fn namespaces(&self, rcu: &rcu::Guard) -> [Option<FsNs>; MAX_FS_NS] {
        // SAFETY: The mount is valid by the type invariants, and as the caller ensures has references to
        // its super block and its root.
        unsafe {
            let sb = read_once(&raw const (*self.ptr).mnt.mnt_sb);
            super_block::namespaces(sb, self.root(), rcu)
        }
    }

    /// The mount that it is mounted on, itself if it is mounted on nothing, and its mount point there.
    fn parent_and_point(&self) -> (*const bindings::mount, *const bindings::dentry) {
        // SAFETY: The mount is valid by the type invariants.
        unsafe {
            (
                read_once(&raw const (*self.ptr).mnt_parent).cast_const(),
                read_once(&raw const (*self.ptr).mnt_mountpoint).cast_const(),
            )
        }
    }

    /// The mount that it is mounted on; `None` if it is mounted on nothing.
    pub(crate) fn parent(&self) -> Option<Self> {
        let (parent, _) = self.parent_and_point();
        // INVARIANT: See `up()`.
        (!ptr::eq(parent, self.ptr)).then_some(Self {
            ptr: parent,
            _rcu: PhantomData,
        })
    }

    /// The mount that it is mounted on, and the way from its mount point up to the root of that, whose
    /// name it writes to `names`; `None` if it is mounted on nothing.
    pub(crate) fn up(&self, names: &mut NameBuf) -> Option<(Self, Names)> {
        let (mut parent, mut point) = self.parent_and_point();
        // It may be moved in between. Then it is read anew, but not for as long as somebody moves it.
        for _ in 0..MAX_MOVES {
            let again = self.parent_and_point();
            if (parent, point) == again {
                break;
            }
            (parent, point) = again;
        }
        if ptr::eq(parent, self.ptr) {
            return None;
        }
        steps::count(Step::Mount);
        // INVARIANT: Whoever unmounts or moves the mount changes its parent first, and then waits for
        // RCU (`namespace_unlock()`) before the former one, and its mount point, lose the references
        // that kept them; both are freed through RCU themselves.
        let parent = Self {
            ptr: parent,
            _rcu: PhantomData,
        };
        // SAFETY: As just said, under the RCU read lock.
        let way = unsafe { names.write(point, parent.root(), None) };
        Some((parent, way))
    }
}
