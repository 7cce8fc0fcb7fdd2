// SPDX-License-Identifier: GPL-2.0

//! `struct ns_common`: what all namespaces have, the list of all of them, and what each type tells
//! about itself.
//!
//! C headers: [`include/linux/ns_common.h`](srctree/include/linux/ns_common.h),
//! [`include/linux/nstree.h`](srctree/include/linux/nstree.h),
//! [`include/linux/proc_ns.h`](srctree/include/linux/proc_ns.h)

use super::{
    bindings,
    cgroup::Cgroup,
    id_map::IdMap,
    memory::{
        self,
        Vec, //
    },
    pid::Pid,
    read_once,
    task::is_being_killed, //
};
use crate::steps::{
    self,
    Step, //
};
use core::{
    marker::PhantomData,
    num::NonZeroU64,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed, //
        },
        rcu, //
    },
};

/// What identifies a namespace: the id that is never used again, and, to be shown, the inode number,
/// the one in `/proc/PID/ns/*`. C: `ns_common::ns_id`, `ns_common::inum`.
///
/// The kernel gives the inode number of a namespace that is gone to the next one that is made. So
/// whatever is counted, filtered or joined goes by the id.
#[derive(Clone, Copy)]
pub(crate) struct NsId {
    id: NonZeroU64,
    inum: u32,
}

impl PartialEq for NsId {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl NsId {
    /// Reads the identity of a namespace, both numbers from the same pointer.
    ///
    /// # Safety
    ///
    /// `ns` must point at the `struct ns_common` of a namespace to which there is a reference, or was
    /// one when the RCU read lock was taken that is held.
    pub(super) unsafe fn of(ns: *const bindings::ns_common) -> Option<Self> {
        // SAFETY: The caller ensures that `ns` is valid. Neither number changes once it was set, which
        // is before a task or another namespace can refer to the namespace, for as long as there is
        // a reference.
        unsafe {
            Some(Self {
                id: NonZeroU64::new(Self::id_of(ns))?,
                inum: (*ns).inum,
            })
        }
    }

    /// Reads the identity of a namespace that may be gone, though its memory is not; `None` if it is, or
    /// if `ns` is null.
    ///
    /// # Safety
    ///
    /// `ns` must be null or point at memory that is still that of a namespace.
    pub(super) unsafe fn of_live(ns: *const bindings::ns_common) -> Option<Self> {
        let ns = NonNull::new(ns.cast_mut())?.as_ptr();
        // SAFETY: The caller ensures that `ns` is valid. C accesses the count with atomic operations, too.
        unsafe {
            let refs = Atomic::from_ptr(&raw mut (*ns).count.__ns_ref.refs.counter);
            if refs.load(Acquire) > 0 {
                Self::of(ns)
            } else {
                None
            }
        }
    }

    /// Reads the id alone.
    ///
    /// # Safety
    ///
    /// As of [`NsId::of`].
    #[inline]
    pub(super) unsafe fn id_of(ns: *const bindings::ns_common) -> u64 {
        // SAFETY: The caller ensures that `ns` is valid.
        unsafe { read_once(&raw const (*ns).tree.ns_id) }
    }

    /// The id.
    pub(crate) fn id(self) -> u64 {
        self.id.get()
    }

    /// Whether it is one of those that are there since the kernel began: these are not counted, and never
    /// freed. C: `is_ns_init_id()`.
    pub(crate) fn is_initial(self) -> bool {
        self.id() <= LAST_INIT_ID
    }

    /// The inode number.
    pub(crate) fn inum(self) -> u32 {
        self.inum
    }
}

/// The type of a namespace. C: the `CLONE_NEW*` flag in `ns_common::ns_type`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Pid,
    User,
    Mnt,
    Uts,
    Ipc,
    Net,
    Cgroup,
    Time,
}

/// The ids of the initial namespaces that stand first on the list. C: `enum init_ns_id`.
const IPC_NS_INIT_ID: u64 = bindings::IPC_NS_INIT_ID as u64;
/// The highest id of an initial namespace: these are not counted and never freed.
const LAST_INIT_ID: u64 = bindings::NS_LAST_INIT_ID as u64;

/// The head of the list of all namespaces, sorted by id.
///
/// # Invariants
///
/// `head` points at the `ns_list_head` of the kernel's `ns_unified_root`.
pub(crate) struct List {
    head: NonNull<bindings::list_head>,
}

// SAFETY: The head is a static of the kernel; the list is walked under RCU.
unsafe impl Send for List {}
// SAFETY: As above.
unsafe impl Sync for List {}

impl List {
    /// Finds the list.
    ///
    /// Its head is static in [`kernel/nstree.c`](srctree/kernel/nstree.c). But the initial
    /// namespaces never leave it, and the first four are those with the ids 1 to 4: ipc, uts, user
    /// and pid. The last three of them are exported, so that the way back from the initial pid
    /// namespace is known, each step of it, and ends at the head.
    ///
    /// # Errors
    ///
    /// `ENODEV` if this kernel has another order.
    pub(crate) fn find() -> Result<Self> {
        use kernel::bindings::{
            init_pid_ns,
            init_user_ns,
            init_uts_ns, //
        };
        // CAST: Both types of each pair stand for the same structure of the kernel.
        let (user, uts) = (
            (&raw mut init_user_ns).cast::<bindings::user_namespace>(),
            (&raw mut init_uts_ns).cast::<bindings::uts_namespace>(),
        );
        let pid = (&raw mut init_pid_ns).cast::<bindings::pid_namespace>();

        let _rcu = rcu::read_lock();
        // SAFETY: The initial namespaces are statics, on the list since boot, and only the initial
        // ipc namespace, and the head, can come before the uts one, since an id is at least 1. None
        // of their predecessors can change. What is not as said is not followed.
        let head = unsafe {
            let before_pid = previous(&raw mut (*pid).ns);
            let before_user = previous(&raw mut (*user).ns);
            let ipc = previous(&raw mut (*uts).ns);
            if !ptr::eq(before_pid, &raw const (*user).ns)
                || !ptr::eq(before_user, &raw const (*uts).ns)
                || (*uts).ns.tree.ns_id != IPC_NS_INIT_ID + 1
            {
                return Err(ENODEV);
            }
            if read_once(&raw const (*ipc).tree.ns_id) != IPC_NS_INIT_ID
                || (*ipc).ns_type != kernel::bindings::CLONE_NEWIPC
            {
                return Err(ENODEV);
            }
            (*ipc).tree.ns_unified_node.ns_list_entry.prev
        };
        // INVARIANT: No id is lower than that of the initial ipc namespace, and the list is sorted.
        Ok(Self {
            head: NonNull::new(head).ok_or(ENODEV)?,
        })
    }

    /// Takes a reference to each namespace that is on the list and that `keep`, which must not
    /// sleep, says yes to; by ascending id.
    ///
    /// The list is walked in sections of [`SECTION`] namespaces, between which RCU is left. A section
    /// begins behind a namespace to which there is a reference: such a one stays on the list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINTR` if the calling process is being killed.
    pub(crate) fn collect(&self, keep: impl Fn(Kind, NsId) -> bool) -> Result<Vec<Namespace>> {
        let mut all = Vec::new();
        // The last one of the former section, if it is not in `all`.
        let mut bookmark: Option<Namespace> = None;
        // Whether `bookmark` or else the last of `all` is where to go on.
        let mut is_begun = false;
        loop {
            if is_being_killed() {
                return Err(EINTR);
            }
            // As many as there are: little for few, and soon enough for many.
            all.reserve(all.len().clamp(16, SECTION), memory::charged())?;
            let rcu = rcu::read_lock();
            let mut iter = match bookmark.as_ref().or(all.last().filter(|_| is_begun)) {
                Some(last) => self.iter_after(last, &rcu),
                None => self.iter(&rcu),
            };
            let mut steps = 0_usize;
            let mut next = None;
            let is_last = loop {
                let Some(entry) = iter.next() else {
                    break true;
                };
                steps = steps.saturating_add(1);
                let is_kept = match (entry.kind(), entry.id()) {
                    (Some(kind), Some(id)) => keep(kind, id),
                    _ => false,
                };
                if !is_kept && steps < SECTION {
                    continue;
                }
                // One that is on its way out has no reference to give.
                let Some(namespace) = entry.get() else {
                    continue;
                };
                if is_kept {
                    // There is room: at most one for each step, and the section ends before.
                    let _ = all.push_within_capacity(namespace);
                    next = None;
                } else {
                    next = Some(namespace);
                }
                if steps >= SECTION || all.len() == all.capacity() {
                    is_begun = true;
                    break false;
                }
            };
            drop(rcu);
            // Dropping the former one may sleep.
            bookmark = next;
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Takes a reference to the namespace with this inode number, if there is one: no two namespaces
    /// with references have the same.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINTR` if the calling process is being killed.
    pub(crate) fn find_by_inum(&self, kind: Option<Kind>, inum: u32) -> Result<Option<Namespace>> {
        let mut found =
            self.collect(|of, id| id.inum() == inum && kind.is_none_or(|kind| kind == of))?;
        // The youngest is the one that can have it.
        Ok(found.pop())
    }

    /// The highest id of those that are on the list.
    pub(crate) fn last_id(&self) -> u64 {
        let _rcu = rcu::read_lock();
        // SAFETY: The head is valid by the type invariants, and what leaves the list is freed through RCU.
        // The initial namespaces are on it, so that it is never empty.
        unsafe {
            let last = read_once(&raw const (*self.head.as_ptr()).prev);
            NsId::id_of(kernel::container_of!(
                last,
                bindings::ns_common,
                tree.ns_unified_node.ns_list_entry
            ))
        }
    }

    fn iter<'g>(&self, rcu: &'g rcu::Guard) -> Iter<'g> {
        Iter {
            head: self.head.as_ptr(),
            // SAFETY: The head is valid by the type invariants.
            next: unsafe { read_once(&raw const (*self.head.as_ptr()).next) },
            _rcu: rcu,
        }
    }

    /// The entries behind a namespace.
    fn iter_after<'g>(&self, last: &Namespace, rcu: &'g rcu::Guard) -> Iter<'g> {
        // SAFETY: There is a reference to the namespace, so it is on the list: it leaves that when
        // the last one is dropped.
        let next = unsafe {
            let ns = last.ptr.as_ptr();
            read_once(&raw const (*ns).tree.ns_unified_node.ns_list_entry.next)
        };
        Iter {
            head: self.head.as_ptr(),
            next,
            _rcu: rcu,
        }
    }
}

/// Namespaces that one RCU read-side critical section visits.
const SECTION: usize = 1024;

/// The namespace before `ns` on the list of all.
///
/// # Safety
///
/// `ns` must be on the list, not the first one there, and the one before it must stay there.
unsafe fn previous(ns: *mut bindings::ns_common) -> *mut bindings::ns_common {
    // SAFETY: The caller ensures that `ns` is valid.
    let link = unsafe { read_once(&raw const (*ns).tree.ns_unified_node.ns_list_entry.prev) };
    // SAFETY: The caller ensures that `link` is in a `struct ns_common`.
    unsafe {
        kernel::container_of!(
            link,
            bindings::ns_common,
            tree.ns_unified_node.ns_list_entry
        )
    }
}

/// The entries of the list of all namespaces.
///
/// # Invariants
///
/// `next` is `head`, or in a namespace that is not freed while the RCU read lock is held.
struct Iter<'g> {
    head: *mut bindings::list_head,
    next: *mut bindings::list_head,
    _rcu: &'g rcu::Guard,
}

/// A namespace on the list, that may be on its way out.
///
/// # Invariants
///
/// `0` points at a `struct ns_common` that is not freed before `'g` ends.
struct Entry<'g>(*mut bindings::ns_common, PhantomData<&'g ()>);

impl<'g> Iterator for Iter<'g> {
    type Item = Entry<'g>;

    fn next(&mut self) -> Option<Entry<'g>> {
        if ptr::eq(self.next, self.head) {
            return None;
        }
        steps::count(Step::Namespace);
        // SAFETY: By the type invariants, `next` is in a namespace.
        let ns = unsafe {
            kernel::container_of!(
                self.next,
                bindings::ns_common,
                tree.ns_unified_node.ns_list_entry
            )
        };
        // INVARIANT: A namespace leaves the list with `list_bidir_del_rcu()`, which keeps its
        // `next`, and is freed after a grace period.
        // SAFETY: By the type invariants, `next` is valid.
        self.next = unsafe { read_once(&raw const (*self.next).next) };
        // INVARIANT: As above.
        Some(Entry(ns, PhantomData))
    }
}

impl Entry<'_> {
    /// The type of the namespace.
    fn kind(&self) -> Option<Kind> {
        // SAFETY: The entry is valid by the type invariants; its type is constant.
        Kind::from_flag(unsafe { (*self.0).ns_type })
    }

    /// The identity of the namespace. Of one that is on its way out it can be any number, but no
    /// reference to such a one can be taken.
    fn id(&self) -> Option<NsId> {
        // SAFETY: The entry is valid by the type invariants.
        unsafe { NsId::of(self.0) }
    }

    /// Takes a reference, unless there is none left. C: `__ns_ref_get()`.
    fn get(&self) -> Option<Namespace> {
        // SAFETY: The entry is valid by the type invariants. `ops` is constant.
        let (ops, count) = unsafe {
            (
                (*self.0).ops,
                Atomic::from_ptr(&raw mut (*self.0).count.__ns_ref.refs.counter),
            )
        };
        let kind = self.kind()?;
        let ops = NonNull::new(ops.cast_mut())?;
        // Acquire: with `ns_id` in the same place as `ns_rcu`, as in 7.2, this is no id any more if
        // the namespace is being freed. Its count is 0 by then, and whoever sees the one must see
        // the other.
        // SAFETY: As above; C reads it without a lock, too.
        let id = unsafe { Atomic::from_ptr(&raw mut (*self.0).tree.ns_id) };
        let counted = id.load(Acquire) > LAST_INIT_ID;

        let mut old = count.load(Relaxed);
        loop {
            // At most `REFCOUNT_MAX`, as `refcount_t` wants it; a saturated count is negative.
            if old <= 0 || old == i32::MAX {
                return None;
            }
            if !counted {
                break;
            }
            match count.cmpxchg(old, old + 1, Relaxed) {
                Ok(_) => break,
                Err(now) => old = now,
            }
        }
        // INVARIANT: The reference was just taken, or the namespace needs none.
        Some(Namespace {
            ptr: NonNull::new(self.0)?,
            ops,
            kind,
            counted,
        })
    }
}

impl Kind {
    /// From the flag that `clone()` takes.
    fn from_flag(flag: u32) -> Option<Self> {
        use kernel::bindings::*;
        Some(match flag {
            CLONE_NEWPID => Kind::Pid,
            CLONE_NEWUSER => Kind::User,
            CLONE_NEWNS => Kind::Mnt,
            CLONE_NEWUTS => Kind::Uts,
            CLONE_NEWIPC => Kind::Ipc,
            CLONE_NEWNET => Kind::Net,
            CLONE_NEWCGROUP => Kind::Cgroup,
            CLONE_NEWTIME => Kind::Time,
            _ => return None,
        })
    }

    /// The name of its file in `/proc/PID/ns`. C: `proc_ns_operations::name`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Pid => "pid",
            Kind::User => "user",
            Kind::Mnt => "mnt",
            Kind::Uts => "uts",
            Kind::Ipc => "ipc",
            Kind::Net => "net",
            Kind::Cgroup => "cgroup",
            Kind::Time => "time",
        }
    }
}

/// A counted reference to a namespace. Dropping it may sleep.
///
/// # Invariants
///
/// `ptr` points at the `struct ns_common` of a namespace of the type `kind`, inside the structure
/// of that type, and `ops` at its operations. One of its references belongs to this object, unless
/// `counted` is false: then it is an initial namespace, which is not counted and never freed.
pub(crate) struct Namespace {
    ptr: NonNull<bindings::ns_common>,
    ops: NonNull<bindings::proc_ns_operations>,
    kind: Kind,
    counted: bool,
}

// SAFETY: A reference to a namespace may be used and dropped by any task.
unsafe impl Send for Namespace {}

/// A text in a `struct new_utsname`: up to 64 bytes and a NUL.
pub(crate) type UtsName = [u8; 65];

/// What only namespaces of one type have. All numbers are those of one moment.
pub(crate) enum Detail {
    /// C: `struct pid_namespace`.
    Pid {
        /// 0 for the initial one.
        level: u32,
        parent: Option<NsId>,
        /// The number that the namespace's own process 1 has in the initial one.
        reaper: Option<i32>,
        /// How many numbers are allocated, in the namespaces below it, too.
        allocated: u32,
        pid_max: i32,
        /// Whether its process 1 is gone, so that nothing can be born in it.
        dying: bool,
    },
    /// C: `struct user_namespace`.
    User {
        /// 0 for the initial one.
        level: i32,
        parent: Option<NsId>,
        /// The user who made it, as the initial user namespace numbers it.
        owner: u32,
    },
    /// C: `struct mnt_namespace`.
    Mnt {
        mounts: u32,
        /// Mounts that a running operation has charged for.
        pending: u32,
        /// Counts the changes, for `poll()`.
        event: u64,
        /// The 64-bit id of the namespace that it was copied from, where the kernel keeps it.
        origin: Option<u64>,
    },
    /// C: `struct uts_namespace`.
    Uts {
        nodename: UtsName,
        domainname: UtsName,
    },
    /// C: `struct cgroup_namespace`; see [`Namespace::cgroup_root`].
    Cgroup,
    /// C: `struct time_namespace`. Offsets in nanoseconds.
    Time { monotonic: i64, boottime: i64 },
    /// C: `struct ipc_namespace`, `struct net`: nothing more to tell.
    Other,
}

/// Where the structure around the `struct ns_common` of `$namespace` is. Never a reference: there are
/// members that others change.
///
/// # Safety
///
/// `$namespace.kind` must be that of `$type`.
macro_rules! outer {
    ($namespace:expr, $type:ident) => {
        kernel::container_of!($namespace.ptr.as_ptr(), bindings::$type, ns)
    };
}

/// The identity of the namespace that `$ptr` points at, if it is not null.
///
/// # Safety
///
/// `$ptr` must be null or point at a namespace that another namespace, to which there is a
/// reference, refers to.
macro_rules! ns_id {
    ($ptr:expr) => {{
        let ptr = $ptr;
        if ptr.is_null() {
            None
        } else {
            NsId::of(&raw const (*ptr).ns)
        }
    }};
}

impl Namespace {
    /// The type.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The identity.
    pub(crate) fn id(&self) -> Option<NsId> {
        // SAFETY: Valid by the type invariants, with a reference.
        unsafe { NsId::of(self.ptr.as_ptr()) }
    }

    /// The user namespace that owns it. C: `proc_ns_operations::owner`.
    pub(crate) fn owner(&self) -> Option<NsId> {
        // SAFETY: Both pointers are valid by the type invariants. A namespace holds a reference to
        // its owner as long as there are references to itself.
        unsafe {
            let owner = self.ops.as_ref().owner?;
            ns_id!(owner(self.ptr.as_ptr()))
        }
    }

    /// The namespace that it lies below, if it is a pid namespace and not the initial one.
    pub(crate) fn parent(&self) -> Option<NsId> {
        let ns = self.as_pid_ns()?;
        // SAFETY: There is a reference to the namespace, which has one to its parent. The member is constant.
        unsafe { ns_id!((*ns).parent) }
    }

    /// The count of references, without the one of this object, and without those of so many `others`
    /// to the same namespace. C: `__ns_ref_read()`.
    pub(crate) fn refs(&self, others: u8) -> i64 {
        // SAFETY: Valid by the type invariants.
        let refs = unsafe { &raw mut (*self.ptr.as_ptr()).count.__ns_ref.refs.counter };
        // SAFETY: As above; C accesses it with atomic operations, too.
        let refs = unsafe { Atomic::from_ptr(refs) }.load(Relaxed);
        let own = if self.counted {
            i64::from(others).saturating_add(1)
        } else {
            0
        };
        i64::from(refs).saturating_sub(own)
    }

    /// The count of active references: those of tasks, file descriptors and bind mounts. C:
    /// `__ns_ref_active_read()`.
    pub(crate) fn active(&self) -> i32 {
        // SAFETY: Valid by the type invariants.
        let active = unsafe { &raw mut (*self.ptr.as_ptr()).tree.__ns_ref_active.counter };
        // SAFETY: As above; C accesses it with atomic operations, too.
        unsafe { Atomic::from_ptr(active) }.load(Relaxed)
    }

    /// The maps of a user namespace: of user ids, and of group ids.
    pub(crate) fn id_maps(&self) -> Option<(IdMap<'_>, IdMap<'_>)> {
        if self.kind != Kind::User {
            return None;
        }
        // SAFETY: The type is right by the type invariants, and the reference of this object lasts
        // longer than the result.
        unsafe {
            let ns = outer!(self, user_namespace);
            Some((
                IdMap::of(&raw const (*ns).uid_map),
                IdMap::of(&raw const (*ns).gid_map),
            ))
        }
    }

    /// What only namespaces of this type have.
    pub(crate) fn detail(&self) -> Detail {
        match self.kind {
            Kind::Pid => self.pid_detail(),
            Kind::User => {
                // SAFETY: The type is right by the type invariants; the members are constant, and
                // a user namespace holds a reference to its parent.
                unsafe {
                    let ns = outer!(self, user_namespace);
                    Detail::User {
                        level: (*ns).level,
                        parent: ns_id!((*ns).parent),
                        owner: (*ns).owner.val,
                    }
                }
            }
            Kind::Mnt => {
                // SAFETY: The type is right by the type invariants. The first three change under
                // `namespace_sem`; here they are as good as of a moment ago.
                unsafe {
                    let ns = outer!(self, mnt_namespace);
                    Detail::Mnt {
                        mounts: read_once(&raw const (*ns).nr_mounts),
                        pending: read_once(&raw const (*ns).pending_mounts),
                        event: read_once(&raw const (*ns).event),
                        origin: Some((*ns).seq_origin).filter(|id| *id != 0),
                    }
                }
            }
            Kind::Uts => {
                // SAFETY: The type is right by the type invariants. `uts_sem`, which guards the
                // names, is not exported: who reads during a change sees a mixture of both. They
                // are arrays of `UtsName`'s size, whose last byte is always NUL.
                unsafe {
                    let name = &raw const (*outer!(self, uts_namespace)).name;
                    Detail::Uts {
                        nodename: (&raw const (*name).nodename)
                            .cast::<UtsName>()
                            .read_volatile(),
                        domainname: (&raw const (*name).domainname)
                            .cast::<UtsName>()
                            .read_volatile(),
                    }
                }
            }
            Kind::Cgroup => Detail::Cgroup,
            Kind::Time => {
                // SAFETY: The type is right by the type invariants. The offsets are constant once
                // a task is in the namespace; before that, who makes it may change them, and who
                // reads meanwhile sees a mixture.
                let offsets =
                    unsafe { (&raw const (*outer!(self, time_namespace)).offsets).read_volatile() };
                Detail::Time {
                    monotonic: nanoseconds(&offsets.monotonic),
                    boottime: nanoseconds(&offsets.boottime),
                }
            }
            Kind::Ipc | Kind::Net => Detail::Other,
        }
    }

    fn pid_detail(&self) -> Detail {
        // SAFETY: The type is right by the invariants: this is called for `Kind::Pid` only.
        let ns = unsafe { outer!(self, pid_namespace) };
        let reaper = {
            let rcu = rcu::read_lock();
            // `child_reaper` is of no use here: nothing keeps that task once it was reaped.
            // SAFETY: The namespace is valid. Its IDR may be searched under RCU, and a
            // `struct pid` found there is freed through RCU.
            unsafe {
                let pid = bindings::find_pid_ns(1, ns);
                Pid::from_place(&pid, &rcu).map(|pid| pid.nr())
            }
        };
        // SAFETY: Valid as above; `level` and `parent` are constant, and the namespace holds a
        // reference to its parent.
        unsafe {
            let allocated = read_once(&raw const (*ns).pid_allocated);
            Detail::Pid {
                level: (*ns).level,
                parent: ns_id!((*ns).parent),
                reaper,
                allocated: allocated & !kernel::bindings::PIDNS_ADDING,
                pid_max: read_once(&raw const (*ns).pid_max),
                dying: allocated & kernel::bindings::PIDNS_ADDING == 0,
            }
        }
    }

    /// The cgroup that a cgroup namespace shows as the root of the default hierarchy; `None` if it is
    /// no cgroup namespace.
    pub(crate) fn cgroup_root<'g>(&'g self, rcu: &'g rcu::Guard) -> Option<Cgroup<'g>> {
        if self.kind != Kind::Cgroup {
            return None;
        }
        // SAFETY: The type is right, as just seen. The namespace holds a reference to its
        // `root_cset` until it is freed.
        Some(unsafe { Cgroup::of_css_set((*outer!(self, cgroup_namespace)).root_cset, rcu) })
    }

    /// The pid namespace, if it is one, as it is seen from inside `sys`.
    pub(super) fn as_pid_ns(&self) -> Option<*mut bindings::pid_namespace> {
        if self.kind != Kind::Pid {
            return None;
        }
        // SAFETY: The type is right, as just seen.
        let ns = unsafe { outer!(self, pid_namespace) };
        Some(ns)
    }

    /// The mount namespace, if it is one.
    pub(crate) fn as_mnt(&self) -> Option<MntNamespace<'_>> {
        if self.kind != Kind::Mnt {
            return None;
        }
        // SAFETY: The type is right, as just seen.
        let ns = unsafe { outer!(self, mnt_namespace) };
        // INVARIANT: `self` holds a reference.
        Some(MntNamespace(NonNull::new(ns)?, PhantomData))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        // SAFETY: Both pointers are valid by the type invariants, and there is a reference to drop.
        // All types have a `put`. It may sleep, and take `namespace_sem` among others: nobody drops
        // this under RCU, with a spinlock held, or inside of `namespace_sem`.
        unsafe {
            if let Some(put) = self.ops.as_ref().put {
                put(self.ptr.as_ptr());
            }
        }
    }
}

/// A mount namespace, borrowed from a reference to it.
///
/// # Invariants
///
/// `0` points at a `struct mnt_namespace` that stays while `'n` lasts: there is a reference to it, or it is
/// an anonymous one, and `namespace_sem` is held.
#[derive(Clone, Copy)]
pub(crate) struct MntNamespace<'n>(NonNull<bindings::mnt_namespace>, PhantomData<&'n ()>);

impl MntNamespace<'_> {
    /// # Safety
    ///
    /// The namespace must stay valid as long as the result.
    pub(super) unsafe fn from_ptr(ns: NonNull<bindings::mnt_namespace>) -> Self {
        // INVARIANT: As the caller ensures.
        Self(ns, PhantomData)
    }

    /// The namespace, as it is seen from inside `sys`.
    pub(super) fn as_ptr(&self) -> *mut bindings::mnt_namespace {
        self.0.as_ptr()
    }
}

/// C: `timespec64_to_ns()`.
fn nanoseconds(time: &bindings::timespec64) -> i64 {
    // CAST: `long` has 64 bits on all machines that the kernel crate knows.
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec as i64)
}
