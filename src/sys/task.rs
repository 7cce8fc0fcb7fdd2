// SPDX-License-Identifier: GPL-2.0

//! `struct task_struct`: walks of the processes and of their threads, and what a task tells about
//! itself.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use super::{
    bindings,
    cgroup::Cgroup,
    files::{
        Descriptors,
        FilesKey, //
    },
    memory::{
        self,
        Vec, //
    },
    mm::Mm,
    mount::MountNode,
    namespace::{
        Namespace,
        NsId, //
    },
    nsproxy::{
        NsProxy,
        NsProxyIds, //
    },
    path::{
        FsNamespaces,
        FsPlaces,
        PathRef, //
    },
    pid::Pid,
    read_once, //
};
use crate::steps::{
    self,
    Step, //
};
use core::{
    marker::PhantomData,
    mem::offset_of,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// The longest `comm`, its closing NUL included. C: `TASK_COMM_LEN`.
pub(crate) const COMM_LEN: usize = 16;

/// Tasks that a section of a walk passes between two to which it takes a reference.
const ANCHOR_DISTANCE: usize = 256;

/// Tasks that a section passes at most, those included that were visited before.
const SECTION: usize = 4096;

/// Anchors that a section adds at most: one for each [`ANCHOR_DISTANCE`] tasks, and one where it ends.
const ANCHORS: usize = SECTION / ANCHOR_DISTANCE + 1;

/// What is to be done after a task was visited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    /// Go on with the next one.
    Next,
    /// End the section behind this one.
    Pause,
    /// End the section before this one, which is to be visited again.
    Retry,
}

/// A walk of the processes, in the order of `init_task.tasks`, or of the threads of a process, in the
/// order of their birth; in sections, between which RCU is left.
///
/// `init_task` itself, which is no process but the idle thread of the first CPU, is not visited.
///
/// Where a section ends, and at some tasks before, the walk keeps a reference. It goes on from the
/// last of these anchors that is still linked on the list; if all others were reaped, from the
/// beginning. So it is never lost. But it can come across tasks that it has passed already: the
/// visitor must know them. Each task that is linked during the whole walk is passed at least once.
pub(crate) struct TaskWalk {
    list: TaskList,
    /// In the order of the list.
    anchors: Vec<HeldTask>,
}

/// Which list is walked.
enum TaskList {
    /// C: `init_task.tasks`.
    Processes,
    /// C: `signal_struct::thread_head`, of this one's process.
    Threads(HeldTask),
}

impl TaskWalk {
    /// Begins a walk of all processes.
    pub(crate) fn of_processes() -> Self {
        Self {
            list: TaskList::Processes,
            anchors: Vec::new(),
        }
    }

    /// Begins a walk of the threads of a process, its main thread among them.
    pub(crate) fn of_threads(process: HeldTask) -> Self {
        Self {
            list: TaskList::Threads(process),
            anchors: Vec::new(),
        }
    }

    /// Calls `visit`, which must not sleep, under one RCU read lock for a number of tasks, until it
    /// says that this is enough. Says whether that was the end of the list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINTR` if the calling process is being killed.
    pub(crate) fn section(&mut self, mut visit: impl FnMut(&Task<'_>) -> Visit) -> Result<bool> {
        if is_being_killed() {
            return Err(EINTR);
        }
        self.anchors.reserve(ANCHORS, memory::charged())?;
        let rcu = rcu::read_lock();
        let mut kept = self.anchors.len();
        let mut link = loop {
            let last = kept.checked_sub(1).and_then(|last| self.anchors.get(last));
            match last {
                Some(anchor) if self.list.is_linked(anchor) => {
                    break self.list.link_of(anchor.0.as_ptr());
                }
                Some(_) => kept = kept.saturating_sub(1),
                None => break self.list.head(),
            }
        };
        // What is pushed below is behind these. They are dropped, which may free them, once RCU is
        // left.
        let old = self.anchors.len();
        if kept < old {
            steps::count(Step::Lost);
        }
        let mut passed = 0_usize;
        // The last task that was visited in this section.
        let mut last: Option<*mut bindings::task_struct> = None;
        let is_end = loop {
            // SAFETY: `link` is the head of the list, or in a task that was linked at some time since
            // `rcu` was taken; `list_del_rcu()` leaves its `next` in place, and what that points to
            // is not freed before the read-side critical section ends.
            let next = unsafe { read_once(&raw const (*link).next) };
            if ptr::eq(next, self.list.head()) {
                break true;
            }
            // INVARIANT: As just said, the task is not freed before `rcu` is dropped.
            let task = Task {
                // SAFETY: All links of the list but the head are in a `struct task_struct`.
                ptr: unsafe { self.list.task_of(next) },
                rcu: &rcu,
                _not_send: PhantomData,
            };
            steps::count(Step::Task);
            passed = passed.saturating_add(1);
            let visit = match visit(&task) {
                Visit::Next if passed >= SECTION => Visit::Pause,
                visit => visit,
            };
            if visit != Visit::Retry {
                link = next;
                last = Some(task.ptr);
            }
            if visit != Visit::Next || passed % ANCHOR_DISTANCE == 0 {
                if let Some(last) = last.take() {
                    // SAFETY: It is a task of this section, whose count is not zero before the
                    // section ends: `delayed_put_task_struct()` drops the last one.
                    let anchor = unsafe { HeldTask::get(last) };
                    // There is room.
                    let _ = self.anchors.push_within_capacity(anchor);
                }
            }
            if visit != Visit::Next {
                break false;
            }
        };
        drop(rcu);
        // The former ones that are not linked any more.
        if kept < old {
            let mut index = 0_usize;
            self.anchors.retain(|_| {
                let is_kept = !(kept..old).contains(&index);
                index = index.saturating_add(1);
                is_kept
            });
        }
        if !is_end {
            steps::rest();
        }
        Ok(is_end)
    }
}

impl TaskList {
    /// The head.
    fn head(&self) -> *mut bindings::list_head {
        match self {
            Self::Processes => {
                // CAST: Both types stand for the kernel's `struct task_struct`.
                let init = (&raw mut kernel::bindings::init_task).cast::<bindings::task_struct>();
                // SAFETY: `init_task` is a static of the kernel.
                unsafe { &raw mut (*init).tasks }
            }
            // SAFETY: The task is valid by the type invariants.
            Self::Threads(process) => unsafe { thread_head(process.0.as_ptr()) },
        }
    }

    /// The link in a task.
    fn link_of(&self, task: *mut bindings::task_struct) -> *mut bindings::list_head {
        // Only where the member lies is computed.
        match self {
            Self::Processes => task.wrapping_byte_add(offset_of!(bindings::task_struct, tasks)),
            Self::Threads(_) => {
                task.wrapping_byte_add(offset_of!(bindings::task_struct, thread_node))
            }
        }
        .cast()
    }

    /// The task around a link.
    ///
    /// # Safety
    ///
    /// `link` must be on the list, and not its head.
    unsafe fn task_of(&self, link: *mut bindings::list_head) -> *mut bindings::task_struct {
        // SAFETY: The caller ensures that it is in a task.
        unsafe {
            match self {
                Self::Processes => kernel::container_of!(link, bindings::task_struct, tasks),
                Self::Threads(_) => kernel::container_of!(link, bindings::task_struct, thread_node),
            }
        }
    }

    /// Whether a task is linked, so that a walk can go on from it under an RCU read lock that was
    /// taken before the call.
    fn is_linked(&self, task: &HeldTask) -> bool {
        match self {
            Self::Processes => task.is_listed_by_right(),
            // `__unhash_process()` clears `thread_pid` before it unlinks a thread.
            Self::Threads(_) => task.has_number(),
        }
    }
}

/// The head of the list of a process's threads. C: `signal_struct::thread_head`.
///
/// # Safety
///
/// `task` must be valid, and so must be its `signal_struct`, which goes with it.
unsafe fn thread_head(task: *mut bindings::task_struct) -> *mut bindings::list_head {
    // SAFETY: The caller ensures that both are valid.
    unsafe {
        let signal = read_once(&raw const (*task).signal);
        &raw mut (*signal).thread_head
    }
}

/// What a number stands for.
pub(crate) enum Found<'g> {
    /// A process.
    Process(Task<'g>),
    /// A thread that is not its process's main thread, and its numbers.
    Thread(Task<'g>, Pid<'g>),
}

/// The process or thread with the number `nr` in the pid namespace `ns`, or the initial one.
///
/// A process is whatever has the number as `PIDTYPE_TGID`, as in `next_tgid()` of
/// [`fs/proc/base.c`](srctree/fs/proc/base.c). While a thread execs and `de_thread()` makes it take
/// its leader's place, the numbers of the two are exchanged first, and only then does it become the
/// leader. So neither of them tells. But each number stays what it is: that of the process passes
/// from one to the other in one step.
pub(crate) fn find<'g>(nr: i32, ns: Option<&Namespace>, rcu: &'g rcu::Guard) -> Option<Found<'g>> {
    let ns = match ns {
        Some(ns) => ns.as_pid_ns()?,
        // CAST: Both types stand for the kernel's `struct pid_namespace`.
        None => (&raw mut kernel::bindings::init_pid_ns).cast(),
    };
    // SAFETY: The namespace is the initial one, or there is a reference to it, and the RCU read
    // lock, which `rcu` stands for, is held.
    let ptr = unsafe { bindings::find_pid_ns(nr, ns) };
    // SAFETY: What was found in the IDR is null or is freed through RCU.
    let pid = unsafe { Pid::from_place(&ptr, rcu) }?;
    // SAFETY: As above.
    if let Some(process) = unsafe { Task::of_pid(ptr, bindings::PIDTYPE_TGID, rcu) } {
        return Some(Found::Process(process));
    }
    // SAFETY: As above.
    let thread = unsafe { Task::of_pid(ptr, bindings::PIDTYPE_PID, rcu) }?;
    Some(Found::Thread(thread, pid))
}

/// The first process whose number in the initial pid namespace is `from` or more, and that number;
/// `None` stands for a number of something else: a thread, a process group, a session.
///
/// These are the processes that system calls find, whether they are on the task list or not.
pub(crate) fn next_by_number<'g>(
    from: i32,
    rcu: &'g rcu::Guard,
) -> Option<(i32, Option<Task<'g>>)> {
    // CAST: Both types stand for the kernel's `struct pid_namespace`.
    let ns = (&raw mut kernel::bindings::init_pid_ns).cast();
    steps::count(Step::Number);
    // SAFETY: The namespace is never freed, and its IDR may be searched under RCU.
    let ptr = unsafe { bindings::find_ge_pid(from, ns) };
    // SAFETY: What was found in the IDR is null or is freed through RCU.
    let pid = unsafe { Pid::from_place(&ptr, rcu) }?;
    // SAFETY: As above.
    let task = unsafe { Task::of_pid(ptr, bindings::PIDTYPE_TGID, rcu) };
    Some((pid.nr(), task))
}

/// Whether the calling process is being killed. C: `fatal_signal_pending()`.
pub(crate) fn is_being_killed() -> bool {
    let current = kernel::task::Task::current_raw().cast::<bindings::task_struct>();
    // SAFETY: There is always a current task. C reads the set without a lock, too.
    let signals = unsafe { read_once((&raw const (*current).pending.signal.sig).cast::<u64>()) };
    signals & (1 << (kernel::bindings::SIGKILL - 1)) != 0
}

/// Waits until all read-side critical sections of RCU, and all regions with interrupts disabled,
/// that have begun are over. C: `synchronize_rcu()`.
pub(crate) fn wait_for_readers() {
    // SAFETY: An FFI call that may sleep; nothing is held here.
    unsafe { kernel::bindings::synchronize_rcu() };
}

/// A counted reference to a task, to find one's place again.
///
/// # Invariants
///
/// `0` points at a task, one of whose references belongs to this object.
pub(crate) struct HeldTask(NonNull<bindings::task_struct>);

impl HeldTask {
    /// # Safety
    ///
    /// `ptr` must point at a task whose count is not zero.
    unsafe fn get(ptr: *mut bindings::task_struct) -> Self {
        // SAFETY: The caller ensures that there is a count to add to, hence a valid task.
        unsafe { kernel::bindings::get_task_struct(ptr.cast()) };
        // INVARIANT: The reference was just taken.
        // SAFETY: A valid task is not at address 0.
        Self(unsafe { NonNull::new_unchecked(ptr) })
    }

    /// Whether it is a process that was not yet reaped: such a one belongs on the task list. If that
    /// is seen under an RCU read lock, a walk can go on from it until that is dropped.
    ///
    /// Only of a task that is linked on the list is its `next` kept up to date. `__unhash_process()`
    /// clears `thread_pid` before it unlinks a task. `de_thread()`, which puts another thread in the
    /// place of a leader, sets the former one's `exit_signal` to -1 and drops `tasklist_lock` after
    /// it; until then nobody can unlink what its `next` points to, so that one outlives the
    /// read-side critical section.
    pub(crate) fn is_listed_by_right(&self) -> bool {
        let ptr = self.0.as_ptr();
        // SAFETY: The task is valid by the type invariants.
        self.has_number() && unsafe { read_once(&raw const (*ptr).exit_signal) } >= 0
    }

    /// Whether it was not yet reaped.
    fn has_number(&self) -> bool {
        // SAFETY: The task is valid by the type invariants. The pointer is not followed.
        unsafe { !read_once(&raw const (*self.0.as_ptr()).thread_pid).is_null() }
    }

    /// The number of the process in the initial pid namespace. C: `task_tgid_nr()`.
    pub(crate) fn tgid(&self) -> i32 {
        // SAFETY: The task is valid by the type invariants.
        unsafe { read_once(&raw const (*self.0.as_ptr()).tgid) }
    }

    /// If the task was reaped, and its process lives on with another main thread, takes a reference to that
    /// instead: `de_thread()` puts a thread that execs in the place of the main thread.
    pub(crate) fn follow(&mut self) {
        if self.has_number() {
            return;
        }
        let rcu = rcu::read_lock();
        if let Some(Found::Process(process)) = find(self.tgid(), None, &rcu) {
            *self = process.hold();
        }
    }

    /// The task itself. Before anything is asked of it that leads to another structure,
    /// [`HeldTask::is_listed_by_right`] must have held under the same RCU read lock: what a task
    /// that was reaped before refers to may be gone. What needs no more than the reference is its own
    /// state, its credentials, `signal_struct`, and what it gives back with `alloc_lock` held.
    pub(crate) fn task<'g>(&'g self, rcu: &'g rcu::Guard) -> Task<'g> {
        // INVARIANT: The reference keeps the task.
        Task {
            ptr: self.0.as_ptr(),
            rcu,
            _not_send: PhantomData,
        }
    }
}

impl Drop for HeldTask {
    fn drop(&mut self) {
        // SAFETY: By the type invariants there is a reference to drop.
        unsafe { kernel::bindings::put_task_struct(self.0.as_ptr().cast()) };
    }
}

/// A task, borrowed for as long as the RCU read lock is held.
///
/// # Invariants
///
/// `ptr` points at a `struct task_struct` that is not freed before `rcu` is dropped, and neither is
/// its `signal_struct`, which goes with it.
pub(crate) struct Task<'g> {
    ptr: *mut bindings::task_struct,
    rcu: &'g rcu::Guard,
    _not_send: PhantomData<*mut ()>,
}

/// `signal_struct::pids` of a process. C: `enum pid_type`.
#[derive(Clone, Copy)]
pub(crate) enum PidType {
    /// The process: `PIDTYPE_TGID`.
    Tgid = bindings::PIDTYPE_TGID as isize,
    /// The process group: `PIDTYPE_PGID`.
    Pgid = bindings::PIDTYPE_PGID as isize,
    /// The session: `PIDTYPE_SID`.
    Sid = bindings::PIDTYPE_SID as isize,
}

/// What the credentials of a task tell. C: `struct cred`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cred {
    /// The real user id, as the initial user namespace numbers it.
    pub(crate) uid: u32,
    /// The real group id, as the initial user namespace numbers it.
    pub(crate) gid: u32,
    /// The effective ids, likewise.
    pub(crate) euid: u32,
    pub(crate) egid: u32,
    /// The effective capabilities: bit `n` is that with the number `n`.
    pub(crate) caps: u64,
}

impl<'g> Task<'g> {
    /// The first task that a `struct pid` is the number of, as a thread or as a process. C:
    /// `pid_task()`.
    ///
    /// # Safety
    ///
    /// `pid` must be null or point at a `struct pid` that is not freed before `rcu` is dropped.
    unsafe fn of_pid(
        pid: *mut bindings::pid,
        kind: bindings::pid_type,
        rcu: &'g rcu::Guard,
    ) -> Option<Self> {
        // SAFETY: As the caller ensures; the RCU read lock is held.
        let ptr = unsafe { bindings::pid_task(pid, kind) };
        // INVARIANT: A task is freed through RCU after it was detached from its `struct pid`.
        (!ptr.is_null()).then_some(Self {
            ptr,
            rcu,
            _not_send: PhantomData,
        })
    }

    /// Takes a reference.
    pub(crate) fn hold(&self) -> HeldTask {
        // SAFETY: The task is not freed before `rcu` is dropped, and its count is not zero before
        // it is: `delayed_put_task_struct()` drops the last one.
        unsafe { HeldTask::get(self.ptr) }
    }

    /// The number of the process in the initial pid namespace. C: `task_tgid_nr()`.
    pub(crate) fn tgid(&self) -> i32 {
        // SAFETY: The task is valid by the type invariants.
        unsafe { read_once(&raw const (*self.ptr).tgid) }
    }

    /// The thread that stands for the process. C: `task_struct::group_leader`.
    ///
    /// It is the task itself if that is on the task list, unless `de_thread()` has just put another
    /// one in its place.
    pub(crate) fn leader(&self) -> Task<'g> {
        // SAFETY: The task is valid by the type invariants.
        let ptr = unsafe { read_once(&raw const (*self.ptr).group_leader) };
        // INVARIANT: A task that is not freed yet has a leader that was not released before it, or
        // that `de_thread()` put there in this read-side critical section.
        Task {
            ptr,
            rcu: self.rcu,
            _not_send: PhantomData,
        }
    }

    /// Whether it still has namespaces. It gives them back when it ends, and its directories just before.
    /// C: `exit_task_namespaces()`.
    pub(crate) fn has_namespaces(&self) -> bool {
        // SAFETY: The task is valid by the type invariants. The pointer is not followed.
        unsafe { !read_once(&raw const (*self.ptr).nsproxy).is_null() }
    }

    /// The first thread of the process that still has namespaces, if it is among so many, and its number;
    /// and how many were looked at.
    pub(crate) fn living_thread(&self, max: usize) -> (Option<(Task<'g>, i32)>, usize) {
        let mut living = None;
        let passed = self.for_each_thread(max, |thread| {
            let pid = thread.pid().filter(|_| thread.has_namespaces());
            living = pid.map(|pid| (Task { ..*thread }, pid.nr()));
            living.is_none()
        });
        (living, passed)
    }

    /// Calls `visit` for the threads of the process, for `max` at most, until it says no; says how many
    /// those were. C: `for_each_thread()`.
    pub(crate) fn for_each_thread(
        &self,
        max: usize,
        mut visit: impl FnMut(&Task<'g>) -> bool,
    ) -> usize {
        // SAFETY: The task and its `signal_struct` are valid by the type invariants.
        let head = unsafe { thread_head(self.ptr) };
        let mut link = head;
        for passed in 0..max {
            // SAFETY: `link` is the head, or in a thread that was linked at some time since `rcu` was
            // taken: as in `TaskWalk::section()`.
            link = unsafe { read_once(&raw const (*link).next) };
            if ptr::eq(link, head) {
                return passed;
            }
            // INVARIANT: As just said, the thread is not freed before `rcu` is dropped.
            let thread = Task {
                // SAFETY: All links of the list but the head are in a `struct task_struct`.
                ptr: unsafe { kernel::container_of!(link, bindings::task_struct, thread_node) },
                rcu: self.rcu,
                _not_send: PhantomData,
            };
            steps::count(Step::Task);
            if !visit(&thread) {
                return passed;
            }
        }
        max
    }

    /// What distinguishes its `nsproxy` from others that are there: an address, never print it. 0 once the
    /// task has given it back. Two tasks can have equal namespaces, and not the same `nsproxy`.
    pub(crate) fn nsproxy_key(&self) -> usize {
        // SAFETY: The task is valid by the type invariants. The pointer is not followed.
        unsafe { read_once(&raw const (*self.ptr).nsproxy) }.addr()
    }

    /// Whether it is a process that has a number in the initial pid namespace, and cannot be found by that.
    pub(crate) fn is_without_number(&self) -> bool {
        let number = self.signal_pid(PidType::Tgid).map(|pid| pid.nr());
        number.is_some_and(|nr| !matches!(find(nr, None, self.rcu), Some(Found::Process(_))))
    }

    /// The task's own numbers, or `None` once it has been reaped. C: `task_pid()`.
    pub(crate) fn pid(&self) -> Option<Pid<'g>> {
        // SAFETY: The task is valid by the type invariants. `thread_pid` holds null or a
        // `struct pid` that the task is attached to.
        unsafe { Pid::from_place(&raw const (*self.ptr).thread_pid, self.rcu) }
    }

    /// The numbers of the process group or session, or `None` once the process has been reaped.
    pub(crate) fn signal_pid(&self, kind: PidType) -> Option<Pid<'g>> {
        // SAFETY: The task and its `signal_struct` are valid by the type invariants, and `kind` is
        // an index into `pids`. Whoever changes an element leaves the former one's last reference
        // to `call_rcu()`.
        unsafe {
            let signal = read_once(&raw const (*self.ptr).signal);
            let pids = (&raw const (*signal).pids).cast::<*mut bindings::pid>();
            Pid::from_place(pids.add(kind as usize), self.rcu)
        }
    }

    /// The number of the parent process in the initial pid namespace. C: `task_ppid_nr()`.
    ///
    /// Call it only after [`Task::pid`] was there: that of a reaped task may be gone.
    pub(crate) fn ppid(&self, _alive: &Pid<'g>) -> i32 {
        // SAFETY: The task is valid by the type invariants. It was not yet reaped at some time since
        // `rcu` was taken, as `_alive` shows, so its parent at that time, and any that came after,
        // is freed only after the read-side critical section.
        unsafe {
            let parent = read_once(&raw const (*self.ptr).real_parent);
            read_once(&raw const (*parent).tgid)
        }
    }

    /// The number of the task that traces it, in the initial pid namespace. C: `ptrace_parent()`.
    ///
    /// Call it only after [`Task::pid`] was there, as [`Task::ppid`]. When a tracer lets go just then, it
    /// may be the parent that is told, as in `/proc/PID/status`.
    pub(crate) fn tracer(&self, _alive: &Pid<'g>) -> Option<i32> {
        // SAFETY: As in `ppid()`: a tracer gives up all that it traces before it is released.
        unsafe {
            if read_once(&raw const (*self.ptr).ptrace) == 0 {
                return None;
            }
            let tracer = read_once(&raw const (*self.ptr).parent);
            Some(read_once(&raw const (*tracer).pid))
        }
    }

    /// Which system calls it may make: 0 all, 1 the fewest, 2 those that a filter lets pass. C:
    /// `seccomp::mode`.
    pub(crate) fn seccomp(&self) -> u8 {
        #[cfg(CONFIG_SECCOMP)]
        // SAFETY: The task is valid by the type invariants.
        let mode = unsafe { read_once(&raw const (*self.ptr).seccomp.mode) };
        #[cfg(not(CONFIG_SECCOMP))]
        let mode = 0;
        u8::try_from(mode).unwrap_or(u8::MAX)
    }

    /// Whether `execve()` can give it no privileges any more. C: `task_no_new_privs()`.
    pub(crate) fn has_no_new_privs(&self) -> bool {
        // SAFETY: The task is valid by the type invariants.
        let flags = unsafe { read_once(&raw const (*self.ptr).atomic_flags) };
        flags & (1 << kernel::bindings::PFA_NO_NEW_PRIVS) != 0
    }

    /// The name of the task, NULs included. It may be in the middle of a change.
    pub(crate) fn comm(&self) -> [u8; COMM_LEN] {
        // SAFETY: The task is valid by the type invariants; `comm` is an array of that many bytes.
        // Its last byte is always NUL, and a reader that meets a writer sees a mixture of both, as
        // all readers of `comm` do.
        unsafe {
            (&raw const (*self.ptr).comm)
                .cast::<[u8; COMM_LEN]>()
                .read_volatile()
        }
    }

    /// The credentials that others see, and their user namespace. C: `__task_cred()`.
    pub(crate) fn cred(&self) -> (Cred, Option<NsId>) {
        // SAFETY: The task is valid by the type invariants and so has credentials; replaced ones,
        // and the user namespace that they refer to, are freed by `put_cred_rcu()`, after the
        // read-side critical section. The members read are constant once published.
        unsafe {
            let cred = read_once(&raw const (*self.ptr).real_cred);
            (
                Cred {
                    uid: (*cred).uid.val,
                    gid: (*cred).gid.val,
                    euid: (*cred).euid.val,
                    egid: (*cred).egid.val,
                    caps: (*cred).cap_effective.val,
                },
                NsId::of(&raw const (*(*cred).user_ns).ns),
            )
        }
    }

    /// How many threads the process has, those that have exited and were not yet reaped included.
    pub(crate) fn threads(&self) -> u32 {
        // SAFETY: The task and its `signal_struct` are valid by the type invariants.
        let threads = unsafe {
            let signal = read_once(&raw const (*self.ptr).signal);
            read_once(&raw const (*signal).nr_threads)
        };
        u32::try_from(threads).unwrap_or(0)
    }

    /// The state, as the letter that `ps` and `/proc/PID/stat` show. C: `task_state_to_char()`.
    pub(crate) fn state(&self) -> u8 {
        use kernel::bindings::{
            TASK_FROZEN,
            TASK_NOLOAD,
            TASK_REPORT,
            TASK_RTLOCK_WAIT,
            TASK_UNINTERRUPTIBLE, //
        };
        /// C: `TASK_IDLE`, which is no plain number in the header.
        const TASK_IDLE: u32 = TASK_UNINTERRUPTIBLE | TASK_NOLOAD;

        // SAFETY: The task is valid by the type invariants.
        let (state, exit_state) = unsafe {
            (
                read_once(&raw const (*self.ptr).__state),
                read_once(&raw const (*self.ptr).exit_state),
            )
        };
        let report = if state & (TASK_RTLOCK_WAIT | TASK_FROZEN) != 0 {
            TASK_UNINTERRUPTIBLE
        } else if state & TASK_IDLE == TASK_IDLE {
            return b'I';
        } else {
            // CAST: `exit_state` is a set of bits; C adds it in the same way.
            (state | exit_state as u32) & TASK_REPORT
        };
        // The highest bit tells, as `fls()` does in C.
        match report.checked_ilog2() {
            None => b'R',
            Some(0) => b'S',
            Some(1) => b'D',
            Some(2) => b'T',
            Some(3) => b't',
            Some(4) => b'X',
            Some(5) => b'Z',
            _ => b'P',
        }
    }

    /// Whether it is a kernel thread. C: `PF_KTHREAD`.
    pub(crate) fn is_kthread(&self) -> bool {
        // SAFETY: The task is valid by the type invariants.
        unsafe { read_once(&raw const (*self.ptr).flags) & kernel::bindings::PF_KTHREAD != 0 }
    }

    /// When the task began, in nanoseconds since boot, times of suspend included.
    pub(crate) fn start_boottime(&self) -> u64 {
        // SAFETY: The task is valid by the type invariants.
        unsafe { read_once(&raw const (*self.ptr).start_boottime) }
    }

    /// The cgroup of the task in the default hierarchy. C: `task_dfl_cgroup()`.
    pub(crate) fn cgroup(&self) -> Cgroup<'g> {
        // SAFETY: The task is valid by the type invariants, and always has a `css_set`, which is
        // freed through `kfree_rcu()`.
        unsafe { Cgroup::of_css_set(read_once(&raw const (*self.ptr).cgroups), self.rcu) }
    }

    /// Locks `alloc_lock`. C: `task_lock()`.
    pub(crate) fn lock(&self) -> TaskLock<'_, 'g> {
        // SAFETY: The task is valid by the type invariants, so is its lock, which is never taken
        // with interrupts disabled.
        unsafe { kernel::bindings::spin_lock((&raw mut (*self.ptr).alloc_lock).cast()) };
        // INVARIANT: The lock was just taken.
        TaskLock { task: self }
    }
}

/// A task whose `alloc_lock` is held.
///
/// # Invariants
///
/// The lock is held by this object.
pub(crate) struct TaskLock<'t, 'g> {
    task: &'t Task<'g>,
}

impl<'g> TaskLock<'_, 'g> {
    /// The namespaces, or `None` once the task has given them back. C: `task_nsproxy()`.
    pub(crate) fn nsproxy(&self) -> Option<NsProxy> {
        // SAFETY: The task is valid, and `nsproxy` changes only with `alloc_lock` held: it is null
        // or stays valid until this guard is dropped, longer than the borrow here.
        unsafe { Some(NsProxy::read(NonNull::new((*self.task.ptr).nsproxy)?)) }
    }

    /// The ids of the namespaces, all 0 once the task has given them back.
    pub(crate) fn nsproxy_ids(&self) -> NsProxyIds {
        // SAFETY: As above.
        unsafe {
            let nsproxy = NonNull::new((*self.task.ptr).nsproxy);
            nsproxy.map_or([0; 8], |nsproxy| NsProxy::read_ids(nsproxy))
        }
    }

    /// The root and the working directory, or `None` once the task has given them back. C:
    /// `task_struct::real_fs`.
    pub(crate) fn places(&self) -> Option<FsPlaces<'g>> {
        // SAFETY: The task is valid, and `real_fs` changes only with `alloc_lock` held: it is null
        // or stays valid until this guard is dropped.
        unsafe { FsPlaces::of(NonNull::new((*self.task.ptr).real_fs)?, self.task.rcu) }
    }

    /// The root and the working directory, and the namespaces of the file systems that they are on; `None`
    /// once the task has given them back.
    pub(crate) fn places_and_fs(
        &self,
        rcu: &'g rcu::Guard,
    ) -> Option<(FsPlaces<'g>, FsNamespaces)> {
        // SAFETY: As above.
        unsafe { FsPlaces::with_namespaces(NonNull::new((*self.task.ptr).real_fs)?, rcu) }
    }

    /// Which root and working directory it has: a number that it shares with those that have the same,
    /// and change them together. It is an address: never print it. 0 once the task has given it back.
    pub(crate) fn fs_key(&self) -> usize {
        // SAFETY: The task is valid. The pointer is not followed.
        unsafe { (*self.task.ptr).real_fs }.addr()
    }

    /// Which table of descriptors it has, or `None` once the task has given it back.
    pub(crate) fn files_key(&self) -> Option<FilesKey> {
        // SAFETY: The task is valid, and `files` changes only with `alloc_lock` held: it is null or stays
        // valid until this guard is dropped.
        unsafe { FilesKey::of((*self.task.ptr).files) }
    }

    /// The descriptors, or `None` once the task has given them back. C: `task_struct::files`.
    pub(crate) fn descriptors(&self) -> Option<Descriptors<'_>> {
        // SAFETY: The task is valid.
        Descriptors::of(unsafe { (*self.task.ptr).files }, self)
    }

    /// The memory; `None` if it has given that back, or is a kernel thread, which may use that of others.
    /// C: `get_task_mm()`, but for the reference.
    pub(crate) fn mm(&self) -> Option<Mm<'_>> {
        if self.task.is_kthread() {
            return None;
        }
        // SAFETY: The task is valid, and no kernel thread.
        unsafe { Mm::of((*self.task.ptr).mm, self) }
    }

    /// The root directory, with references. Does not sleep.
    pub(crate) fn root_ref(&self) -> Option<PathRef> {
        // SAFETY: As above.
        unsafe { PathRef::root_of(NonNull::new((*self.task.ptr).real_fs)?) }
    }

    /// Whether a mount belongs to the task's mount namespace; if it has given that back, whether it
    /// belongs to any.
    pub(crate) fn is_in_mnt_ns(&self, mount: &MountNode<'_>) -> bool {
        // SAFETY: The task is valid, and `nsproxy` changes only with `alloc_lock` held. What it
        // refers to is constant, and null in that of the first task until it has a mount namespace.
        let ns = unsafe {
            let nsproxy = NonNull::new((*self.task.ptr).nsproxy);
            nsproxy.and_then(|nsproxy| NonNull::new((*nsproxy.as_ptr()).mnt_ns))
        };
        mount.is_in(ns)
    }
}

impl Drop for TaskLock<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the lock is held, and by this object.
        unsafe { kernel::bindings::spin_unlock((&raw mut (*self.task.ptr).alloc_lock).cast()) };
    }
}
