// SPDX-License-Identifier: GPL-2.0

//! The walk of the processes, into memory that was reserved before.

#![deny(unsafe_code)]

mod holds;

use super::{
    ancestry::Ancestry,
    budget::Budget,
    numbers::PidBitmap,
    paths::{
        Climb,
        PathId,
        PathTree, //
    },
    store::{
        CapacityExceeded,
        ChunkedVec,
        HashKey,
        Hasher,
        Interner,
        Keyed,
        StringId,
        StringPool,
        FEW,
        NONE, //
    },
    NsRecord, //
};
use crate::query::TaskKind;
use crate::sys::{
    cgroup::Cgroup,
    memory::{
        self,
        Box,
        Vec, //
    },
    mount::{
        Attachment,
        MountOps, //
    },
    namespace::{
        Namespace,
        NsId, //
    },
    nsproxy::{
        NsProxy,
        NsProxyIds, //
    },
    path::{
        FsPlaces,
        NameBuf,
        PathRef,
        Place,
        WayUp, //
    },
    pid::Pid,
    task::{
        self,
        Cred,
        Found,
        HeldTask,
        PidType,
        Task,
        TaskWalk,
        Visit,
        COMM_LEN, //
    },
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

pub(super) use holds::HoldFilter;
pub(crate) use holds::{
    Held,
    HeldBy,
    HoldRecord,
    Holds, //
};
use holds::{
    Shared,
    Trees, //
};

/// A set of namespaces.
pub(super) type NsIdSet = Interner<NsId>;

impl Keyed for NsId {
    type Key = u64;

    fn key(&self) -> u64 {
        self.id()
    }

    fn hash(key: &u64, hasher: Hasher) -> Hasher {
        hasher.with(*key)
    }
}

/// A namespace, found by its inode number.
struct ByInum(NsId);

impl Keyed for ByInum {
    type Key = u32;

    fn key(&self) -> u32 {
        self.0.inum()
    }

    fn hash(key: &u32, hasher: Hasher) -> Hasher {
        hasher.with((*key).into())
    }
}

/// How many processes have threads in a namespace that their main threads are not in.
struct Elsewhere {
    ns: NsId,
    processes: u32,
    /// The number of the process that was counted last.
    last: i32,
}

impl Keyed for Elsewhere {
    type Key = u64;

    fn key(&self) -> u64 {
        self.ns.id()
    }

    fn hash(key: &u64, hasher: Hasher) -> Hasher {
        hasher.with(*key)
    }
}

/// What was found out about the threads of a process.
#[derive(Clone, Copy, Default)]
struct Mixed {
    /// One is in a namespace that the main thread is not in.
    is_mixed: bool,
    /// The filter keeps one.
    is_kept: bool,
}

/// How many processes are in a namespace.
struct Count {
    ns: u64,
    tasks: u32,
}

impl Keyed for Count {
    type Key = u64;

    fn key(&self) -> u64 {
        self.ns
    }

    fn hash(key: &u64, hasher: Hasher) -> Hasher {
        hasher.with(*key)
    }
}

/// Which processes and threads are collected.
#[derive(Clone, Copy)]
pub(super) struct Filter<'a> {
    /// Only what is in this namespace.
    pub(super) ns: Option<NsId>,
    /// Only what is in one of these mount namespaces.
    pub(super) mnt: Option<&'a NsIdSet>,
    /// Threads, too.
    pub(super) threads: bool,
    /// At all; otherwise processes are only counted.
    pub(super) records: bool,
    /// Only those of this kind.
    pub(super) kind: Option<TaskKind>,
    /// Which of what processes keep is collected, if any of it is.
    pub(super) holds: Option<HoldFilter>,
}

impl Filter<'_> {
    fn has_kind(&self, task: &Task<'_>) -> bool {
        self.kind
            .is_none_or(|kind| (kind == TaskKind::Kthread) == task.is_kthread())
    }

    fn keeps(&self, set: &NamespaceSet) -> bool {
        let in_mnt = |mnt: &NsIdSet| set.mnt().is_some_and(|own| mnt.find(&own.id()).is_some());
        self.records && self.ns.is_none_or(|ns| set.is_in(ns)) && self.mnt.is_none_or(in_mnt)
    }
}

/// The namespaces of a task. Most tasks share all of them with others.
#[derive(Clone, Copy)]
pub(crate) struct NamespaceSet {
    /// The innermost pid namespace that it is in.
    pub(crate) pid: Option<NsId>,
    pub(crate) user: Option<NsId>,
    /// `None` once the task has given it back.
    pub(crate) nsproxy: Option<NsProxy>,
}

impl NamespaceSet {
    pub(crate) fn mnt(&self) -> Option<NsId> {
        self.nsproxy.and_then(|nsproxy| nsproxy.mnt)
    }

    /// Those that a task is in, one of each type.
    fn own(&self) -> [Option<NsId>; 8] {
        let nsproxy = self.nsproxy.unwrap_or_default();
        [
            self.pid,
            self.user,
            nsproxy.mnt,
            nsproxy.uts,
            nsproxy.ipc,
            nsproxy.net,
            nsproxy.cgroup,
            nsproxy.time,
        ]
    }

    /// Those that its children will be in, where these can be others.
    fn of_children(&self) -> [Option<NsId>; 2] {
        let nsproxy = self.nsproxy.unwrap_or_default();
        [nsproxy.pid_for_children, nsproxy.time_for_children]
    }

    /// Whether a task is in a namespace.
    fn is_in(&self, ns: NsId) -> bool {
        self.own().contains(&Some(ns))
    }

    /// Whether a task is in a namespace, or its children will be.
    pub(super) fn refers_to(&self, ns: NsId) -> bool {
        self.is_in(ns) || self.of_children().contains(&Some(ns))
    }

    /// A bit for each of those that a task is in, or its children will be. Of most others it has none.
    pub(super) fn bits(&self) -> u64 {
        self.all().fold(0, |bits, ns| bits | bit(ns))
    }

    /// Those that a task is in, or its children will be.
    fn all(&self) -> impl Iterator<Item = NsId> {
        Iterator::chain(self.own().into_iter(), self.of_children()).flatten()
    }

    /// The set without those that `keep` says no to.
    #[cold]
    fn retain(&self, keep: impl Fn(NsId) -> bool) -> Self {
        let kept = |ns: Option<NsId>| ns.filter(|ns| keep(*ns));
        let nsproxy = self.nsproxy.map(|nsproxy| NsProxy {
            pid_for_children: kept(nsproxy.pid_for_children),
            mnt: kept(nsproxy.mnt),
            uts: kept(nsproxy.uts),
            ipc: kept(nsproxy.ipc),
            net: kept(nsproxy.net),
            cgroup: kept(nsproxy.cgroup),
            time: kept(nsproxy.time),
            time_for_children: kept(nsproxy.time_for_children),
        });
        Self {
            pid: kept(self.pid),
            user: kept(self.user),
            nsproxy,
        }
    }
}

/// The one of 64 bits that stands for a namespace.
pub(super) fn bit(ns: NsId) -> u64 {
    1 << (ns.id() % 64)
}

/// The ids of the namespaces of a [`NamespaceSet`], 0 where there is none.
#[derive(Clone, Copy)]
struct SetKey {
    pid: u64,
    user: u64,
    nsproxy: NsProxyIds,
}

impl PartialEq for SetKey {
    /// Faster than the call of `memcmp()` that a derived one comes to.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let others = (self.pid ^ other.pid) | (self.user ^ other.user);
        let pairs = self.nsproxy.iter().zip(&other.nsproxy);
        pairs.fold(others, |bits, (id, other)| bits | (id ^ other)) == 0
    }
}

/// A [`NamespaceSet`], and how many processes have it.
struct SetCount {
    key: SetKey,
    set: NamespaceSet,
    /// Which of all chains of pid namespaces.
    chain: u32,
    tasks: u32,
}

impl Keyed for SetCount {
    type Key = SetKey;

    fn key(&self) -> SetKey {
        self.key
    }

    fn hash(key: &SetKey, hasher: Hasher) -> Hasher {
        let hasher = hasher.with(key.pid).with(key.user);
        key.nsproxy
            .iter()
            .fold(hasher, |hasher, id| hasher.with(*id))
    }
}

/// The pid namespaces that all processes are in that have the same innermost one.
struct PidChain {
    /// The id of the innermost.
    innermost: u64,
    /// Which of [`Tasks::pid_namespaces`] is that of level 0.
    first: u32,
    /// How many there are.
    levels: u32,
}

impl Keyed for PidChain {
    type Key = u64;

    fn key(&self) -> u64 {
        self.innermost
    }

    fn hash(key: &u64, hasher: Hasher) -> Hasher {
        hasher.with(*key)
    }
}

/// The numbers of a process in one of the pid namespaces that it is in.
#[derive(Clone, Copy, Default)]
pub(crate) struct LevelNumbers {
    pub(crate) nr: i32,
    /// The number of its process group there; 0 if that is not known there.
    pub(crate) pgid: i32,
    /// The number of its session there; 0 if that is not known there.
    pub(crate) sid: i32,
}

/// The pid namespaces that a process is in, from level 0 on, and its numbers there: as many.
#[derive(Clone, Copy)]
pub(crate) struct Levels<'a> {
    pub(crate) namespaces: &'a [Option<NsId>],
    pub(crate) numbers: &'a [LevelNumbers],
}

/// A directory that processes have as root or working directory: which mount it is on, and its name
/// there.
#[derive(Clone, Copy, PartialEq)]
struct Dir {
    /// Which of all mounts.
    mount: u32,
    name: StringId,
    /// The device of that mount.
    device: (u32, u32),
    /// Whether that mount is in a mount namespace.
    attachment: Attachment,
    way: WayUp,
    /// It is the root of that mount, and nothing is mounted on it.
    is_topmost: bool,
    is_deleted: bool,
}

/// A [`Dir`], and who was seen to have mapped it.
struct KnownDir {
    dir: Dir,
    /// Which of all holders was the last one.
    mapped_by: u32,
}

impl Keyed for KnownDir {
    type Key = Dir;

    fn key(&self) -> Dir {
        self.dir
    }

    fn hash(key: &Dir, hasher: Hasher) -> Hasher {
        hasher.with(u64::from(key.mount) << 32 | key.name.as_u64())
    }
}

/// A directory that was met in the current section of the walk.
#[derive(Clone, Copy)]
struct RecentDir {
    key: (usize, usize),
    /// Which of all directories.
    dir: u32,
}

/// Directories that are remembered during a section, each in the place that its address says. Most
/// processes have the same as the one before.
const RECENT_DIRS: usize = 32;

impl Keyed for Cred {
    type Key = Self;

    fn key(&self) -> Self {
        *self
    }

    fn hash(key: &Self, hasher: Hasher) -> Hasher {
        hasher
            .with(u64::from(key.uid) << 32 | u64::from(key.gid))
            .with(u64::from(key.euid) << 32 | u64::from(key.egid))
            .with(key.caps)
    }
}

/// The set of namespaces that was met last.
#[derive(Clone, Copy)]
struct RecentSet {
    key: SetKey,
    /// Which of all sets.
    set: u32,
    /// The filter keeps those who have it.
    is_kept: bool,
}

/// A process or a thread.
#[derive(Clone, Copy)]
pub(crate) struct TaskRecord {
    /// Nanoseconds since boot.
    pub(crate) start: u64,
    /// Which of all numbers are its own, at level 0.
    numbers: u32,
    /// NULs included.
    pub(crate) comm: [u8; COMM_LEN],
    /// The number of its process in the initial pid namespace.
    pub(crate) tgid: i32,
    pub(crate) ppid: i32,
    /// The number of its tracer in the initial pid namespace; 0 if it has none.
    tracer: i32,
    /// The number of the thread whose namespaces and directories it has; 0 if they are its own.
    via: i32,
    /// Which of all credentials.
    pub(crate) cred: u32,
    pub(crate) threads: u32,
    /// Which of all sets of namespaces.
    pub(crate) set: u32,
    /// Which of all directories its root is; [`NONE`] once the task has given it back.
    root: u32,
    /// The same of its working directory.
    cwd: u32,
    /// Which of all cgroups.
    cgroup: u32,
    pub(crate) state: u8,
    pub(crate) seccomp: u8,
    pub(crate) has_no_new_privs: bool,
    is_cgroup_removed: bool,
    pub(crate) is_kthread: bool,
    /// It is not on the task list.
    pub(crate) is_unlisted: bool,
    /// A thread is in a namespace that the main thread is not in.
    pub(crate) is_mixed: bool,
    /// It is on the task list, and its number leads nowhere.
    pub(crate) is_unnumbered: bool,
    /// Its root lies in its mount namespace; or in any, if it has given that back.
    is_in_own_ns: bool,
}

impl TaskRecord {
    /// The number of its tracer in the initial pid namespace, if it has one.
    pub(crate) fn tracer(&self) -> Option<i32> {
        Some(self.tracer).filter(|tracer| *tracer != 0)
    }

    /// The number, in the initial pid namespace, of the thread whose namespaces and directories it has
    /// because its own are given back, if it has those of another.
    pub(crate) fn via(&self) -> Option<i32> {
        Some(self.via).filter(|via| *via != 0)
    }
}

/// A directory that a process has as root or working directory, once its path is known.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct DirRecord {
    pub(crate) path: PathId,
    /// The mount namespace that it lies in.
    pub(crate) ns: Option<NsId>,
    /// It has been removed.
    pub(crate) is_deleted: bool,
}

/// Where something is that a process keeps, once its path is known.
#[derive(Clone, Copy)]
pub(crate) struct HeldPlace {
    /// Major and minor number.
    pub(crate) device: (u32, u32),
    /// The 64-bit id.
    pub(crate) mount: u64,
    pub(crate) attachment: Attachment,
    pub(crate) path: PathId,
    /// It has been removed.
    pub(crate) is_deleted: bool,
}

/// What is collected about processes and threads.
pub(crate) struct Tasks {
    processes: ChunkedVec<TaskRecord>,
    threads: ChunkedVec<TaskRecord>,
    numbers: ChunkedVec<LevelNumbers>,
    pid_namespaces: ChunkedVec<Option<NsId>>,
    chains: Interner<PidChain>,
    /// The sets of namespaces, each once.
    sets: Interner<SetCount>,
    creds: Interner<Cred>,
    dirs: Interner<KnownDir>,
    /// The paths of `dirs`, once they are resolved.
    dir_paths: ChunkedVec<PathId>,
    /// The mounts that the directories are on.
    mounts: Ancestry,
    cgroups: Ancestry,
    /// How many processes are in each namespace, once they are counted.
    counts: Interner<Count>,
    elsewhere: Interner<Elsewhere>,
    holds: Holds,
}

/// What is needed while processes are visited.
pub(super) struct Collector<'a> {
    tasks: &'a mut Tasks,
    strings: &'a mut StringPool,
    budget: &'a Budget,
    filter: Filter<'a>,
    /// The numbers of all processes that the walk came across, kept or not.
    visited: PidBitmap,
    /// What began later, in nanoseconds since boot, is not collected.
    now: u64,
    /// A single process is collected, and nobody asks which ones were.
    is_one: bool,
    /// The same for all threads.
    visited_threads: PidBitmap,
    names: &'a mut NameBuf,
    /// The set of namespaces, the credentials and the cgroup that were met last. Most processes have the
    /// same as the one before.
    recent_set: Option<RecentSet>,
    recent_cred: Option<(Cred, u32)>,
    recent_cgroup: Option<(u64, u32)>,
    recent_dirs: [Option<RecentDir>; RECENT_DIRS],
    /// The same of [`Collector::visited`], for the threads whose holds were looked at.
    visited_holders: PidBitmap,
    /// Tables of descriptors, and memory, that several tasks have.
    shared: Interner<Shared>,
    trees: Trees,
    mount_ops: &'a MountOps,
    /// Steps that were taken in the current section.
    steps: usize,
}

/// Steps of all kinds after which a section ends: from task to task, from level to level, from a
/// cgroup, a mount or a directory to the one above.
const SECTION_STEPS: usize = 8192;

/// Threads that are looked at to find one that has not ended. Those that have, but for the main thread,
/// are off the list at once, unless somebody traces them.
const STAND_INS: usize = 256;

/// Threads of a process that are looked at in the section that the process is visited in.
const FEW_THREADS: usize = 64;

/// Whether a process has more threads than that.
fn has_many_threads(process: &Task<'_>) -> bool {
    // CAST: A number of threads.
    process.threads() as usize > FEW_THREADS
}

/// Processes whose threads are visited after the same section.
const OWNERS: usize = 64;

impl<'a> Collector<'a> {
    /// Creates one that has collected nothing. `names` is room for the names that it meets.
    pub(super) fn new(
        tasks: &'a mut Tasks,
        strings: &'a mut StringPool,
        (names, mount_ops): (&'a mut NameBuf, &'a MountOps),
        (budget, key): (&'a Budget, HashKey),
        filter: Filter<'a>,
    ) -> Self {
        Self {
            tasks,
            strings,
            budget,
            filter,
            visited: PidBitmap::new(),
            now: u64::MAX,
            is_one: false,
            recent_set: None,
            recent_cred: None,
            recent_cgroup: None,
            visited_threads: PidBitmap::new(),
            names,
            recent_dirs: [None; RECENT_DIRS],
            visited_holders: PidBitmap::new(),
            shared: Interner::new(0, key),
            trees: Trees::new(key),
            mount_ops,
            steps: 0,
        }
    }

    /// Visits all processes: those on the task list, and those that are not on it but can be found
    /// by their number, if they began before `now`, in nanoseconds since boot. What began later was not
    /// there.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`; `EINTR` if the calling process is being killed.
    pub(super) fn collect_all(mut self, now: u64) -> Result {
        let mut walk = TaskWalk::of_processes();
        // Those that were visited in this section, and whose threads are visited next.
        let mut owners = Vec::new();
        let has_owners = self.filter.threads || self.filter.holds.is_some();
        if has_owners {
            owners.reserve(OWNERS, memory::charged())?;
        }
        self.now = now;
        let mut many = None;
        loop {
            self.begin_section()?;
            let is_end = walk.section(|task| {
                if task.start_boottime() >= now {
                    return match self.filter.holds.map(|_| self.note_late(task)) {
                        None | Some(Ok(())) => Visit::Next,
                        Some(Err(CapacityExceeded)) => Visit::Retry,
                    };
                }
                let is_new = match self.add_process(task, false) {
                    Ok(is_new) => is_new,
                    Err(CapacityExceeded) => return Visit::Retry,
                };
                if is_new && has_owners {
                    // There is room, as is seen below.
                    let _ = owners.push_within_capacity(task.hold());
                }
                if is_new && has_many_threads(task) {
                    many = Some(task.hold());
                    return Visit::Pause;
                }
                if self.steps < SECTION_STEPS && owners.len() < OWNERS {
                    Visit::Next
                } else {
                    Visit::Pause
                }
            })?;
            if let Some(process) = many.take() {
                self.look_at_many(&process)?;
            }
            self.collect_holds(&mut owners)?;
            for process in owners.drain_all() {
                if self.filter.threads {
                    self.collect_threads(process)?;
                }
            }
            if is_end {
                break;
            }
        }
        self.add_unlisted(now)
    }

    /// Visits one process or thread alone: the one with the number `nr` in the pid namespace `ns`, or
    /// in the initial one; and takes references to its root.
    ///
    /// What began after `now`, in nanoseconds since boot, is not visited. Of a process all threads are
    /// visited if the filter says so, of a thread that is not its
    /// process's leader only itself, as a thread. No processes are counted.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`; `EINTR` if the calling process is being killed.
    pub(super) fn collect_one(
        mut self,
        nr: i32,
        ns: Option<&Namespace>,
        now: u64,
    ) -> Result<Option<PathRef>> {
        self.now = now;
        let (mut process, mut thread) = (None, None);
        let mut root = None;
        self.is_one = true;
        loop {
            self.begin_section()?;
            let rcu = rcu::read_lock();
            let added = match task::find(nr, ns, &rcu) {
                None => Ok(()),
                Some(Found::Process(task)) => self.add_process(&task, false).map(|_| {
                    process = Some(task.hold());
                    let via = self.stand_in(&task.leader());
                    let whose = via.as_ref().map_or(&task, |(via, _)| via);
                    root = whose.lock().root_ref();
                }),
                Some(Found::Thread(task, pid)) => self.add_thread(&task, &pid).map(|()| {
                    thread = Some((task.hold(), pid.nr()));
                    root = task.lock().root_ref();
                }),
            };
            drop(rcu);
            if added.is_ok() {
                break;
            }
        }
        if let Some((thread, tid)) = thread {
            self.collect_holds_of_one(&thread, tid)?;
        }
        if let Some(mut process) = process {
            self.look_at_many(&process)?;
            self.collect_holds(core::slice::from_mut(&mut process))?;
            if self.filter.threads {
                self.collect_threads(process)?;
            }
        }
        Ok(root)
    }

    /// Makes room for the next section.
    fn begin_section(&mut self) -> Result {
        if task::is_being_killed() {
            return Err(EINTR);
        }
        let budget = self.budget;
        self.steps = 0;
        self.recent_dirs = [None; RECENT_DIRS];
        if !self.is_one {
            self.visited.reserve(budget)?;
        }
        self.strings.reserve(budget)?;
        if self.filter.holds.is_some() {
            self.tasks.holds.reserve(budget)?;
        }
        self.tasks.reserve(budget)
    }

    /// Visits the threads of a process, in sections of their own.
    fn collect_threads(&mut self, process: HeldTask) -> Result {
        let now = self.now;
        let mut walk = TaskWalk::of_threads(process);
        loop {
            self.visited_threads.reserve(self.budget)?;
            self.begin_section()?;
            let is_end = walk.section(|thread| {
                // Reaped since the walk came to it, or not there when that began.
                let Some(pid) = thread.pid().filter(|_| thread.start_boottime() < now) else {
                    return Visit::Next;
                };
                if self.visited_threads.contains(pid.nr()) {
                    return Visit::Next;
                }
                let added = self.visited_threads.insert(pid.nr()).map(|_| ());
                match added.and_then(|()| self.add_thread(thread, &pid)) {
                    Ok(()) if self.steps < SECTION_STEPS => Visit::Next,
                    Ok(()) => Visit::Pause,
                    Err(CapacityExceeded) => {
                        self.visited_threads.remove(pid.nr());
                        Visit::Retry
                    }
                }
            })?;
            if is_end {
                return Ok(());
            }
        }
    }

    /// Adds a process, and says whether it was not there yet.
    fn add_process(
        &mut self,
        task: &Task<'_>,
        is_unlisted: bool,
    ) -> Result<bool, CapacityExceeded> {
        // A thread that execs takes over its leader's place, and number. So the number is that of
        // the process, which stays, and the rest is whoever leads it now.
        let Some(pid) = task.signal_pid(PidType::Tgid) else {
            // Reaped since the walk came to it: it did not live throughout.
            return Ok(false);
        };
        self.steps = self.steps.saturating_add(1);
        self.tasks.processes.check_room(1)?;
        if !self.is_one && !self.visited.insert(task.tgid())? {
            return Ok(false);
        }
        let leader = task.leader();
        let via = self.stand_in(&leader);
        let whose = via.as_ref().map_or(&leader, |(via, _)| via);
        let found = self
            .look_at_few(whose)
            .and_then(|mixed| self.record(&leader, &pid, via.as_ref(), mixed));
        let (set, record) = match found {
            Ok(found) => found,
            Err(e) => {
                self.visited.remove(task.tgid());
                return Err(e);
            }
        };
        // From here on there is room for all.
        if let Some(count) = self.tasks.sets.items_mut().get_mut(set) {
            count.tasks = count.tasks.saturating_add(1);
        }
        if let Some(mut record) = record {
            record.is_unlisted = is_unlisted;
            self.tasks.processes.push(record)?;
        }
        Ok(true)
    }

    fn add_thread<'g>(&mut self, thread: &Task<'g>, pid: &Pid<'g>) -> Result<(), CapacityExceeded> {
        self.steps = self.steps.saturating_add(1);
        self.tasks.threads.check_room(1)?;
        if let (_, Some(record)) = self.record(thread, pid, None, Mixed::default())? {
            self.tasks.threads.push(record)?;
        }
        Ok(())
    }

    /// Finds out whether the threads of a process are in other namespaces than `main` is, its main thread or
    /// whoever stands in for that; unless there are many.
    fn look_at_few(&mut self, main: &Task<'_>) -> Result<Mixed, CapacityExceeded> {
        let mut mixed = Mixed::default();
        if main.threads() < 2 || has_many_threads(main) {
            return Ok(mixed);
        }
        let mut looked = Ok(());
        let passed = main.for_each_thread(FEW_THREADS, |thread| {
            looked = self.look_at_thread(main, thread, &mut mixed);
            looked.is_ok()
        });
        self.steps = self.steps.saturating_add(passed);
        looked.map(|()| mixed)
    }

    /// The same of one thread. What was counted is not counted again.
    fn look_at_thread(
        &mut self,
        main: &Task<'_>,
        thread: &Task<'_>,
        mixed: &mut Mixed,
    ) -> Result<(), CapacityExceeded> {
        let (user, of_main) = (thread.cred().1, main.cred().1);
        let key = thread.nsproxy_key();
        if key == 0 || key == main.nsproxy_key() && user == of_main {
            return Ok(());
        }
        // All threads of a process are in the same pid namespace.
        let set = NamespaceSet {
            pid: None,
            user,
            nsproxy: thread.lock().nsproxy(),
        };
        let own = NamespaceSet {
            pid: None,
            user: of_main,
            nsproxy: main.lock().nsproxy(),
        };
        self.steps = self.steps.saturating_add(1);
        for ns in set.own().into_iter().flatten().filter(|ns| !own.is_in(*ns)) {
            mixed.is_mixed = true;
            let elsewhere = &mut self.tasks.elsewhere;
            let index = elsewhere.find_or_push(ns.id(), || Elsewhere {
                ns,
                processes: 0,
                last: 0,
            })?;
            if let Some(one) = elsewhere.items_mut().get_mut(index) {
                if one.last != thread.tgid() {
                    one.last = thread.tgid();
                    one.processes = one.processes.saturating_add(1);
                }
            }
        }
        mixed.is_kept |= mixed.is_mixed && self.filter.keeps(&set);
        Ok(())
    }

    /// Finds out the same of a process with many threads, in sections, and tells its record, which is the
    /// last one, or adds it.
    fn look_at_many(&mut self, process: &HeldTask) -> Result {
        let mut mixed = Mixed::default();
        let rcu = rcu::read_lock();
        let task = process.task(&rcu);
        if !has_many_threads(&task) {
            return Ok(());
        }
        let mut walk = TaskWalk::of_threads(task.hold());
        drop(rcu);
        // Others may make threads for as long as it lasts.
        let mut left = None;
        loop {
            self.begin_section()?;
            let is_end = walk.section(|thread| {
                let main = thread.leader();
                let stand_in = self.stand_in(&main);
                let main = stand_in.as_ref().map_or(&main, |(via, _)| via);
                // CAST: A number of threads.
                let left = left.get_or_insert((main.threads() as usize).saturating_mul(2));
                *left = left.saturating_sub(1);
                match self.look_at_thread(main, thread, &mut mixed) {
                    Err(CapacityExceeded) => Visit::Retry,
                    Ok(()) if self.steps < SECTION_STEPS && *left > 0 => Visit::Next,
                    Ok(()) => Visit::Pause,
                }
            })?;
            if is_end || left == Some(0) {
                break;
            }
        }
        if !mixed.is_mixed {
            return Ok(());
        }
        // CAST: An index into memory.
        let last = (self.tasks.processes.len() as u32).checked_sub(1);
        let last = last.and_then(|last| self.tasks.processes.get_mut(last));
        if let Some(record) = last.filter(|record| record.tgid == process.tgid()) {
            record.is_mixed = true;
            return Ok(());
        }
        loop {
            self.begin_section()?;
            let rcu = rcu::read_lock();
            let added = if process.is_listed_by_right() {
                self.add_mixed(&process.task(&rcu), mixed)
            } else {
                Ok(())
            };
            drop(rcu);
            if added.is_ok() {
                return Ok(());
            }
        }
    }

    /// Adds the record of a process that was counted before, if the filter keeps one of its threads.
    fn add_mixed(&mut self, task: &Task<'_>, mixed: Mixed) -> Result<(), CapacityExceeded> {
        self.tasks.processes.check_room(1)?;
        let Some(pid) = task.signal_pid(PidType::Tgid) else {
            return Ok(());
        };
        let leader = task.leader();
        let via = self.stand_in(&leader);
        if let (_, Some(record)) = self.record(&leader, &pid, via.as_ref(), mixed)? {
            self.tasks.processes.push(record)?;
        }
        Ok(())
    }

    /// The thread that stands in for the main thread of a process, which has ended, if there is one.
    fn stand_in<'g>(&mut self, leader: &Task<'g>) -> Option<(Task<'g>, i32)> {
        if leader.has_namespaces() || leader.threads() < 2 {
            return None;
        }
        let (living, passed) = leader.living_thread(STAND_INS);
        self.steps = self.steps.saturating_add(passed);
        living
    }

    /// The namespaces of a task whose numbers are `pid`, and what there is to know about it if the
    /// filter keeps it. Namespaces and directories are those of `via`, if that is there: another thread,
    /// and its number.
    fn record<'g>(
        &mut self,
        task: &Task<'g>,
        pid: &Pid<'g>,
        via: Option<&(Task<'g>, i32)>,
        mixed: Mixed,
    ) -> Result<(u32, Option<TaskRecord>), CapacityExceeded> {
        let (cred, user_ns) = task.cred();
        let user_ns = via.map_or(user_ns, |(via, _)| via.cred().1);
        let pid_ns = pid.upid(pid.level()).and_then(|upid| upid.ns());
        let lock = via.map_or(task, |(via, _)| via).lock();
        let key = SetKey {
            pid: pid_ns.map_or(0, NsId::id),
            user: user_ns.map_or(0, NsId::id),
            nsproxy: lock.nsproxy_ids(),
        };
        // All is read only if it is not known yet.
        let found = match self.recent_set.filter(|recent| recent.key == key) {
            Some(recent) => Ok(recent),
            None => Err(NamespaceSet {
                pid: pid_ns,
                user: user_ns,
                nsproxy: lock.nsproxy(),
            }),
        };
        let is_set_kept = match &found {
            Ok(recent) => recent.is_kept,
            Err(set) => self.filter.keeps(set),
        };
        let is_kept = (is_set_kept || mixed.is_kept) && self.filter.has_kind(task);
        let places = is_kept.then(|| lock.places()).flatten();
        let is_in_own_ns = places.is_some_and(|places| lock.is_in_mnt_ns(&places.root.mount()));
        drop(lock);
        let set = match found {
            Ok(recent) => recent.set,
            Err(set) => self.add_set(pid, key, set, is_set_kept)?,
        };
        if !is_kept {
            return Ok((set, None));
        }
        let (root, cwd) = match places {
            Some(FsPlaces { root, cwd }) => (self.add_dir(&root)?, self.add_dir(&cwd)?),
            None => (NONE, NONE),
        };
        let cgroup = task.cgroup();
        let record = TaskRecord {
            cgroup: self.add_cgroup(cgroup)?,
            is_cgroup_removed: cgroup.is_removed(),
            numbers: self.add_numbers(task, pid)?,
            comm: task.comm(),
            tgid: task.tgid(),
            ppid: task.ppid(pid),
            tracer: task.tracer(pid).unwrap_or(0),
            via: via.map_or(0, |(_, number)| *number),
            cred: self.add_cred(cred)?,
            threads: task.threads(),
            state: task.state(),
            seccomp: task.seccomp(),
            has_no_new_privs: task.has_no_new_privs(),
            is_kthread: task.is_kthread(),
            is_unlisted: false,
            is_mixed: mixed.is_mixed,
            is_unnumbered: false,
            start: task.start_boottime(),
            set,
            root,
            cwd,
            is_in_own_ns,
        };
        Ok((set, Some(record)))
    }

    /// Which of all sets of namespaces it is.
    fn add_set(
        &mut self,
        pid: &Pid<'_>,
        key: SetKey,
        set: NamespaceSet,
        is_kept: bool,
    ) -> Result<u32, CapacityExceeded> {
        let index = match self.tasks.sets.find(&key) {
            Some(index) => index,
            None => {
                let chain = self.add_chain(pid, &set)?;
                self.tasks.sets.find_or_push(key, || SetCount {
                    key,
                    set,
                    chain,
                    tasks: 0,
                })?
            }
        };
        self.recent_set = Some(RecentSet {
            key,
            set: index,
            is_kept,
        });
        Ok(index)
    }

    /// The pid namespaces that the numbers are valid in.
    fn add_chain(&mut self, pid: &Pid<'_>, set: &NamespaceSet) -> Result<u32, CapacityExceeded> {
        let innermost = set.pid.map_or(0, NsId::id);
        if let Some(chain) = self.tasks.chains.find(&innermost) {
            return Ok(chain);
        }
        let levels = pid.level().saturating_add(1);
        self.tasks.chains.check_room(1)?;
        // CAST: At most `MAX_PID_NS_LEVEL` and one.
        let first = self.tasks.pid_namespaces.begin_run(levels as usize, None)?;
        for level in 0..levels {
            self.steps = self.steps.saturating_add(1);
            let ns = pid.upid(level).and_then(|upid| upid.ns());
            self.tasks.pid_namespaces.push(ns)?;
        }
        self.tasks.chains.find_or_push(innermost, || PidChain {
            innermost,
            first,
            levels,
        })
    }

    fn add_numbers(&mut self, task: &Task<'_>, pid: &Pid<'_>) -> Result<u32, CapacityExceeded> {
        let pgid = task.signal_pid(PidType::Pgid);
        let sid = task.signal_pid(PidType::Sid);
        let levels = pid.level().saturating_add(1);
        let filler = LevelNumbers::default();
        // CAST: At most `MAX_PID_NS_LEVEL` and one.
        let begin = self.tasks.numbers.begin_run(levels as usize, filler)?;
        for level in 0..levels {
            let Some(upid) = pid.upid(level) else {
                break;
            };
            self.steps = self.steps.saturating_add(1);
            let beside = |other: &Option<Pid<'_>>| {
                other.as_ref().map_or(0, |pid| pid.nr_beside(level, &upid))
            };
            self.tasks.numbers.push(LevelNumbers {
                nr: upid.nr(),
                pgid: beside(&pgid),
                sid: beside(&sid),
            })?;
        }
        Ok(begin)
    }

    /// Which of all credentials they are.
    fn add_cred(&mut self, cred: Cred) -> Result<u32, CapacityExceeded> {
        if let Some((_, index)) = self.recent_cred.filter(|(recent, _)| *recent == cred) {
            return Ok(index);
        }
        let index = self.tasks.creds.find_or_push(cred, || cred)?;
        self.recent_cred = Some((cred, index));
        Ok(index)
    }

    /// Which of all directories it is.
    fn add_dir(&mut self, place: &Place<'_>) -> Result<u32, CapacityExceeded> {
        let key = place.key();
        let (_, dentry) = key;
        // The lowest bits of all addresses are alike.
        let recent = (dentry >> 6 ^ dentry >> 12) % RECENT_DIRS;
        if let Some(Some(known)) = self.recent_dirs.get(recent) {
            if known.key == key {
                return Ok(known.dir);
            }
        }
        let mount = self.tasks.mounts.add(
            place.mount(),
            self.strings,
            self.names,
            &mut self.steps,
            SECTION_STEPS,
        )?;
        let names = place.write_name(self.names);
        self.steps = self.steps.saturating_add(names.steps as usize);
        let dir = Dir {
            mount,
            name: self.strings.push(self.names.as_bytes())?,
            device: place.mount().device(),
            attachment: place.mount().attachment(),
            way: names.way,
            is_topmost: place.is_mount_root() && !place.mount().is_overmounted(),
            is_deleted: place.is_deleted(),
        };
        let dir = self.tasks.dirs.find_or_push(dir, || KnownDir {
            dir,
            mapped_by: NONE,
        })?;
        if let Some(place) = self.recent_dirs.get_mut(recent) {
            *place = Some(RecentDir { key, dir });
        }
        Ok(dir)
    }

    /// Which of all cgroups it is.
    fn add_cgroup(&mut self, cgroup: Cgroup<'_>) -> Result<u32, CapacityExceeded> {
        let id = cgroup.id();
        if let Some((_, index)) = self.recent_cgroup.filter(|(recent, _)| *recent == id) {
            return Ok(index);
        }
        let index = self.tasks.cgroups.add(
            cgroup,
            self.strings,
            self.names,
            &mut self.steps,
            SECTION_STEPS,
        )?;
        self.recent_cgroup = Some((id, index));
        Ok(index)
    }

    /// Looks for processes that can be found by their number, but are not on the task list, and adds
    /// them.
    ///
    /// That the walk did not come across a process says little: it may have been born since. One
    /// that began after `now` was not there to be hidden. The others, few if nobody hides any, are
    /// looked for on the list once more. Those that are not on it, although they live, are looked for
    /// a last time when nobody can be in the middle of linking or unlinking them.
    fn add_unlisted(&mut self, now: u64) -> Result {
        let (mut suspects, numbered) = self.suspects(now)?;
        self.find_unnumbered(&numbered)?;
        if !suspects.is_empty() {
            self.drop_listed(&mut suspects)?;
        }
        if !suspects.is_empty() {
            task::wait_for_readers();
            self.drop_listed(&mut suspects)?;
        }
        for mut suspect in suspects {
            loop {
                self.begin_section()?;
                let rcu = rcu::read_lock();
                // Under this very lock: only so is all that the task refers to kept by it.
                let added = if suspect.is_listed_by_right() {
                    self.add_process(&suspect.task(&rcu), true)
                } else {
                    Ok(false)
                };
                drop(rcu);
                if added.is_ok() {
                    break;
                }
            }
            self.look_at_many(&suspect)?;
            self.collect_holds(core::slice::from_mut(&mut suspect))?;
            if self.filter.threads {
                self.collect_threads(suspect)?;
            }
        }
        Ok(())
    }

    /// Looks for processes that are on the task list, and cannot be found by their number, and marks
    /// their records.
    ///
    /// One that the walk came across, and whose number was not there later, has ended, unless it is hidden.
    /// So it is looked for on the list once more, and, if it is there and has a number of its own, a last
    /// time when nobody can be in the middle of beginning or ending.
    fn find_unnumbered(&mut self, numbered: &PidBitmap) -> Result {
        if self.visited.is_within(numbered) {
            return Ok(());
        }
        let visited = &self.visited;
        let is_missing = |nr: i32| visited.contains(nr) && !numbered.contains(nr);
        let hidden = self.listed(|task| is_missing(task.tgid()) && task.is_without_number())?;
        if hidden.is_empty() {
            return Ok(());
        }
        task::wait_for_readers();
        let hidden =
            self.listed(|task| hidden.contains(task.tgid()) && task.is_without_number())?;
        // CAST: There are no more than an index can say.
        for index in 0..self.tasks.processes.len() as u32 {
            if let Some(record) = self.tasks.processes.get_mut(index) {
                record.is_unnumbered = hidden.contains(record.tgid);
            }
        }
        Ok(())
    }

    /// The numbers of those on the task list that `is_meant` says yes to.
    fn listed(&self, is_meant: impl Fn(&Task<'_>) -> bool) -> Result<PidBitmap> {
        let mut found = PidBitmap::new();
        let mut walk = TaskWalk::of_processes();
        loop {
            found.reserve(self.budget)?;
            let mut passed = 0_usize;
            let is_end = walk.section(|task| {
                passed = passed.saturating_add(1);
                if is_meant(task) && found.insert(task.tgid()).is_err() {
                    return Visit::Retry;
                }
                if passed < SECTION_STEPS {
                    Visit::Next
                } else {
                    Visit::Pause
                }
            })?;
            if is_end {
                return Ok(found);
            }
        }
    }

    /// The processes with numbers that the walk did not come across, and that began before `now`; and all
    /// numbers of processes.
    fn suspects(&mut self, now: u64) -> Result<(Vec<HeldTask>, PidBitmap)> {
        let mut suspects = Vec::new();
        let mut numbered = PidBitmap::new();
        let mut from = 1;
        loop {
            if task::is_being_killed() {
                return Err(EINTR);
            }
            self.budget.take::<HeldTask>(SUSPECTS)?;
            suspects.reserve(SUSPECTS, memory::charged())?;
            numbered.reserve(self.budget)?;
            let room = suspects.len().saturating_add(SUSPECTS);
            let rcu = rcu::read_lock();
            let mut examined = 0;
            while examined < NUMBERS_AT_ONCE && suspects.len() < room {
                let Some((nr, task)) = task::next_by_number(from, &rcu) else {
                    return Ok((suspects, numbered));
                };
                if task.is_some() && numbered.insert(nr).is_err() {
                    // There is room for it the next time.
                    break;
                }
                let is_suspect =
                    |task: &Task<'_>| !self.visited.contains(nr) && task.start_boottime() < now;
                if let Some(task) = task.filter(is_suspect) {
                    // There is room, as just seen.
                    let _ = suspects.push_within_capacity(task.hold());
                }
                from = nr.max(from).saturating_add(1);
                examined += 1;
            }
        }
    }

    /// Walks the task list, and drops those that are on it, and those that have been reaped.
    fn drop_listed(&mut self, suspects: &mut Vec<HeldTask>) -> Result {
        let listed = self.listed(|_| true)?;
        suspects.retain(|suspect| !listed.contains(suspect.tgid()) && suspect.is_listed_by_right());
        Ok(())
    }
}

/// Numbers that are looked up under one RCU read-side critical section.
const NUMBERS_AT_ONCE: usize = 1024;

/// Suspects that there is room for under one RCU read-side critical section.
const SUSPECTS: usize = 64;

impl Tasks {
    /// Creates one of nothing. It is large, so it is not to lie on the stack of the walks.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    #[inline(never)]
    pub(super) fn new(key: HashKey) -> Result<Box<Self>> {
        let this = Self {
            processes: ChunkedVec::new(4),
            // There may be none.
            threads: ChunkedVec::new(0),
            // A process can have 33.
            numbers: ChunkedVec::new(40),
            pid_namespaces: ChunkedVec::new(4),
            chains: Interner::new(4, key),
            sets: Interner::new(4, key),
            creds: Interner::new(4, key),
            dirs: Interner::new(4, key),
            dir_paths: ChunkedVec::new(0),
            mounts: Ancestry::new(key),
            cgroups: Ancestry::new(key),
            counts: Interner::new(8, key),
            elsewhere: Interner::new(0, key),
            holds: Holds::new(key),
        };
        Ok(Box::new(this, memory::charged())?)
    }

    /// Makes room for the next section.
    fn reserve(&mut self, budget: &Budget) -> Result {
        self.processes.reserve(budget)?;
        self.threads.reserve(budget)?;
        self.numbers.reserve(budget)?;
        self.pid_namespaces.reserve(budget)?;
        self.chains.reserve(budget)?;
        self.sets.reserve(budget)?;
        self.creds.reserve(budget)?;
        self.dirs.reserve(budget)?;
        self.mounts.reserve(budget)?;
        self.elsewhere.reserve(budget)?;
        self.cgroups.reserve(budget)
    }

    /// Drops the records that the filter does not keep.
    pub(super) fn retain(&mut self, filter: Filter<'_>) {
        let (sets, elsewhere) = (self.sets.items(), &self.elsewhere);
        // Only one process is there, so that these are its own.
        let has_thread_in = |task: &TaskRecord| {
            let in_mnt = |mnt: &NsIdSet| {
                let mut all = elsewhere.items().iter();
                all.any(|one| mnt.find(&one.ns.id()).is_some())
            };
            task.is_mixed
                && filter
                    .ns
                    .is_none_or(|ns| elsewhere.find(&ns.id()).is_some())
                && filter.mnt.is_none_or(in_mnt)
        };
        let keep = |task: &TaskRecord| {
            let is_in = sets
                .get(task.set)
                .is_some_and(|count| filter.keeps(&count.set));
            is_in || has_thread_in(task)
        };
        self.processes.retain(keep);
        self.threads.retain(keep);
    }

    /// The processes, in the order of `init_task.tasks`, and then those that are not on that list.
    pub(crate) fn processes(&self) -> &ChunkedVec<TaskRecord> {
        &self.processes
    }

    /// The threads, by process in the same order.
    pub(crate) fn threads(&self) -> &ChunkedVec<TaskRecord> {
        &self.threads
    }

    /// The one process or thread that was collected alone.
    pub(super) fn only(&self) -> Option<&TaskRecord> {
        self.processes.get(0).or(self.threads.get(0))
    }

    /// The namespaces of a process or thread.
    pub(crate) fn set(&self, set: u32) -> Option<&NamespaceSet> {
        Some(&self.sets.items().get(set)?.set)
    }

    /// The numbers of a process or thread.
    pub(crate) fn levels(&self, task: &TaskRecord) -> Levels<'_> {
        let set = self.sets.items().get(task.set);
        let chain = set.and_then(|set| self.chains.items().get(set.chain));
        let (first, levels) = chain.map_or((0, 0), |chain| (chain.first, chain.levels));
        // CAST: At most `MAX_PID_NS_LEVEL` and one.
        let levels = levels as usize;
        Levels {
            namespaces: self.pid_namespaces.run(first, levels),
            numbers: self.numbers.run(task.numbers, levels),
        }
    }

    /// How many processes are in a namespace; only after [`Tasks::count`].
    pub(super) fn count_in(&self, ns: NsId) -> u32 {
        let index = self.counts.find(&ns.id());
        let count = index.and_then(|index| self.counts.items().get(index));
        count.map_or(0, |count| count.tasks)
    }

    /// The credentials of a process.
    pub(crate) fn cred(&self, task: &TaskRecord) -> Option<&Cred> {
        self.creds.items().get(task.cred)
    }

    /// The root of a process, and whether that is another one than that of its mount namespace; `None`
    /// once the process has given it back.
    pub(crate) fn root(&self, task: &TaskRecord) -> Option<(DirRecord, bool)> {
        let known = self.dirs.items().get(task.root)?;
        let root = self.dir(task.root)?;
        let is_ns_root = known.dir.is_topmost && root.path == PathId::TOP;
        Some((root, !(is_ns_root && task.is_in_own_ns)))
    }

    /// The working directory of a process; `None` once the process has given it back.
    pub(crate) fn cwd(&self, task: &TaskRecord) -> Option<DirRecord> {
        self.dir(task.cwd)
    }

    fn dir(&self, index: u32) -> Option<DirRecord> {
        let KnownDir { dir, .. } = self.dirs.items().get(index)?;
        Some(DirRecord {
            path: self.dir_paths.get(index).copied()?,
            ns: match dir.attachment {
                Attachment::Attached(ns) => Some(ns),
                _ => None,
            },
            is_deleted: dir.is_deleted,
        })
    }

    /// What processes keep.
    pub(crate) fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Where something is that a process keeps.
    pub(crate) fn held_place(&self, place: u32) -> Option<HeldPlace> {
        let KnownDir { dir, .. } = self.dirs.items().get(place)?;
        Some(HeldPlace {
            device: dir.device,
            mount: self.mounts.id(dir.mount)?,
            attachment: dir.attachment,
            path: self.dir_paths.get(place).copied()?,
            is_deleted: dir.is_deleted,
        })
    }

    /// The path of a process's cgroup in the default hierarchy, whether that has been removed, and its
    /// id.
    pub(crate) fn cgroup(&self, task: &TaskRecord) -> (PathId, bool, u64) {
        (
            self.cgroups.path(task.cgroup),
            task.is_cgroup_removed,
            self.cgroups.id(task.cgroup).unwrap_or(0),
        )
    }

    /// The path of a cgroup that was added by [`Tasks::add_cgroup_root`].
    pub(super) fn cgroup_path(&self, cgroup: u32) -> PathId {
        self.cgroups.path(cgroup)
    }

    /// Which of all cgroups is the root of a cgroup namespace; `None` for other namespaces.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`; `EINTR` if the calling process is being killed.
    pub(super) fn add_cgroup_root(
        &mut self,
        namespace: &Namespace,
        strings: &mut StringPool,
        names: &mut NameBuf,
        budget: &Budget,
    ) -> Result<Option<u32>> {
        loop {
            if task::is_being_killed() {
                return Err(EINTR);
            }
            let mut steps = 0;
            let rcu = rcu::read_lock();
            let Some(root) = namespace.cgroup_root(&rcu) else {
                return Ok(None);
            };
            let added = self
                .cgroups
                .add(root, strings, names, &mut steps, SECTION_STEPS);
            drop(rcu);
            if let Ok(index) = added {
                return Ok(Some(index));
            }
            strings.reserve(budget)?;
            self.cgroups.reserve(budget)?;
        }
    }

    /// Forgets the namespaces that are gone and whose inode numbers others of `shown` have: in the text
    /// they would be taken for those.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn forget_replaced(
        &mut self,
        shown: &ChunkedVec<NsRecord>,
        key: HashKey,
        budget: &Budget,
    ) -> Result {
        if shown.len() <= FEW {
            self.retain_namespaces(&|ns| {
                let is_other = |other: &NsRecord| other.id.inum() == ns.inum() && other.id != ns;
                !shown.iter().any(is_other)
            });
            return Ok(());
        }
        let mut by_inum = Interner::new(8, key);
        for ns in shown.iter() {
            by_inum.find_or_add(ns.id.inum(), budget, || ByInum(ns.id))?;
        }
        self.retain_namespaces(&|ns| {
            let index = by_inum.find(&ns.inum());
            let shown = index.and_then(|index| by_inum.items().get(index));
            shown.is_none_or(|ByInum(shown)| *shown == ns)
        });
        by_inum.release(budget);
        Ok(())
    }

    /// Forgets the namespaces that `keep` says no to.
    fn retain_namespaces(&mut self, keep: &dyn Fn(NsId) -> bool) {
        // CAST: There are no more than an index can say.
        for index in 0..self.sets.items().len() as u32 {
            if let Some(count) = self.sets.items_mut().get_mut(index) {
                if !count.set.all().all(keep) {
                    count.set = count.set.retain(keep);
                }
            }
        }
        for index in 0..self.pid_namespaces.len() as u32 {
            if let Some(ns) = self.pid_namespaces.get_mut(index) {
                *ns = ns.filter(|ns| keep(*ns));
            }
        }
        // It is part of the key, but nobody looks for directories any more.
        for index in 0..self.dirs.items().len() as u32 {
            if let Some(known) = self.dirs.items_mut().get_mut(index) {
                if let Attachment::Attached(ns) = known.dir.attachment {
                    if !keep(ns) {
                        known.dir.attachment = Attachment::Detached;
                    }
                }
            }
        }
        self.holds.retain_namespaces(keep);
    }

    /// Counts the processes in each namespace, or in `only` one, once all processes were visited.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn count(&mut self, only: Option<NsId>, budget: &Budget) -> Result {
        let is_counted = |ns: &NsId| only.is_none_or(|only| only == *ns);
        let counts = &mut self.counts;
        let mut add = |ns: NsId, tasks: u32| -> Result {
            let ns = ns.id();
            let index = counts.find_or_add(ns, budget, || Count { ns, tasks: 0 })?;
            if let Some(count) = counts.items_mut().get_mut(index) {
                count.tasks = count.tasks.saturating_add(tasks);
            }
            Ok(())
        };
        for set in self.sets.items().iter() {
            for ns in set.set.own().into_iter().flatten().filter(is_counted) {
                add(ns, set.tasks)?;
            }
        }
        for one in self.elsewhere.items().iter() {
            if is_counted(&one.ns) {
                add(one.ns, one.processes)?;
            }
        }
        Ok(())
    }

    /// Calls `visit` for each namespace that a process is in, or its children will be.
    pub(super) fn for_each_namespace(&self, mut visit: impl FnMut(NsId) -> Result) -> Result {
        for count in self.sets.items().iter().filter(|count| count.tasks > 0) {
            count.set.all().try_for_each(&mut visit)?;
        }
        self.holds
            .late()
            .items()
            .iter()
            .copied()
            .try_for_each(visit)
    }

    /// Finds the paths of all directories and cgroups.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn resolve(
        &mut self,
        tree: &mut PathTree,
        strings: &mut StringPool,
        budget: &Budget,
    ) -> Result {
        let mut climb = Climb::new();
        self.cgroups.resolve(&mut climb, tree, strings, budget)?;
        self.mounts.resolve(&mut climb, tree, strings, budget)?;
        climb.release(budget);
        for KnownDir { dir, .. } in self.dirs.items().iter() {
            let from = match dir.way {
                WayUp::AtRoot => self.mounts.path(dir.mount),
                WayUp::Escaped | WayUp::Cut => PathId::UNKNOWN,
            };
            // That of one that has escaped is empty.
            let name = strings.span(dir.name);
            let (path, _) = tree.add_span(from, name, strings, budget)?;
            self.dir_paths.add(path, budget)?;
        }
        Ok(())
    }
}
