// SPDX-License-Identifier: GPL-2.0

//! The walk of the task list, into memory that was reserved before.

#![deny(unsafe_code)]

use super::{
    reserved::{
        spread,
        Full,
        Interner,
        Keyed,
        Reserved, //
    },
    Level,
    Name,
    TaskRecord, //
};
use crate::{
    steps::{
        self,
        Step, //
    },
    sys::{
        cgroup::{
            Cgroup,
            NoPath, //
        },
        memory,
        namespace::{
            Inum,
            Namespace, //
        },
        nsproxy::NsProxy,
        path::{
            PathKey,
            PathRef, //
        },
        pid::Pid,
        task::{
            self,
            for_each_process,
            Breaks,
            Found,
            HeldTask,
            PidType,
            Task,
            Walk, //
        },
    }, //
};
use core::{
    convert::Infallible,
    ops::{
        ControlFlow,
        Range, //
    },
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// How often a walk may lose its place before it goes without breaks, which cannot get lost.
const LOST_WALKS: u32 = 3;

/// The longest path of a cgroup that is shown in full, in bytes.
pub(super) const MAX_CGROUP_PATH: usize = 1 << 16;

/// A set of namespaces.
pub(super) type NsSet = Interner<Inum>;

impl Keyed for Inum {
    type Key = Inum;

    fn key(&self) -> Inum {
        *self
    }

    fn hash(key: Inum) -> u64 {
        spread(key.get().into())
    }
}

/// How many processes are in a namespace.
struct Count {
    ns: Inum,
    tasks: u32,
}

impl Keyed for Count {
    type Key = Inum;

    fn key(&self) -> Inum {
        self.ns
    }

    fn hash(key: Inum) -> u64 {
        Inum::hash(key)
    }
}

impl Keyed for PathRef {
    type Key = PathKey;

    fn key(&self) -> PathKey {
        PathRef::key(self)
    }

    fn hash((mnt, dentry): PathKey) -> u64 {
        spread(mnt as u64 ^ spread(dentry as u64))
    }
}

impl Keyed for SpacesCount {
    type Key = Spaces;

    fn key(&self) -> Spaces {
        self.spaces
    }

    fn hash(key: Spaces) -> u64 {
        // Of an odd shift each, so that no two of them cancel out: most often they are consecutive.
        let mut shift = 0_u32;
        let mix = |hash: u64, ns: Option<Inum>| {
            shift = shift.wrapping_add(5);
            hash ^ u64::from(ns.map_or(0, Inum::get)).rotate_left(shift)
        };
        spread(key.each().into_iter().fold(0, mix))
    }
}

/// A cgroup and the name of its path.
pub(super) struct CgroupName {
    id: u64,
    pub(super) path: Name,
}

impl Keyed for CgroupName {
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }

    fn hash(key: u64) -> u64 {
        spread(key)
    }
}

/// Which processes and threads are collected.
#[derive(Clone, Copy)]
pub(super) struct Filter<'a> {
    /// Only what is in the namespace with this inode number.
    pub(super) ns: Option<u32>,
    /// Only what is in one of these mount namespaces.
    pub(super) mnt: Option<&'a NsSet>,
    /// Threads, too.
    pub(super) threads: bool,
}

impl Filter<'_> {
    fn keeps(&self, spaces: &Spaces) -> bool {
        let is_in = |ns: u32| Inum::new(ns).is_some_and(|ns| spaces.is_in(ns));
        let in_mnt = |mnt: &NsSet| spaces.mnt().is_some_and(|own| mnt.find(own).is_some());
        self.ns.is_none_or(is_in) && self.mnt.is_none_or(in_mnt)
    }
}

/// The namespaces of a task. Most tasks share all of them with others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spaces {
    /// The innermost pid namespace that it is in.
    pub(crate) pid: Option<Inum>,
    pub(crate) user: Option<Inum>,
    /// `None` once the task has given it back.
    pub(crate) nsproxy: Option<NsProxy>,
}

impl Spaces {
    pub(crate) fn mnt(&self) -> Option<Inum> {
        self.nsproxy.and_then(|nsproxy| nsproxy.mnt)
    }

    /// Those that a task is in, one of each type.
    fn own(&self) -> [Option<Inum>; 8] {
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

    /// All of them, those for children only as well.
    pub(crate) fn each(&self) -> [Option<Inum>; 10] {
        let nsproxy = self.nsproxy.unwrap_or_default();
        let [pid, user, mnt, uts, ipc, net, cgroup, time] = self.own();
        let children = [nsproxy.pid_for_children, nsproxy.time_for_children];
        let [pid_for_children, time_for_children] = children;
        [
            pid,
            user,
            mnt,
            uts,
            ipc,
            net,
            cgroup,
            time,
            pid_for_children,
            time_for_children,
        ]
    }

    fn is_in(&self, ns: Inum) -> bool {
        self.own().contains(&Some(ns))
    }
}

/// Namespaces, and how many processes are in just these.
struct SpacesCount {
    spaces: Spaces,
    tasks: u32,
}

/// How much there is to collect.
#[derive(Default)]
struct Amount {
    processes: usize,
    threads: usize,
    levels: usize,
}

impl Amount {
    /// Counts all, whatever the filter keeps: to look that up for each would take as long as to
    /// collect it.
    fn of_all(filter: Filter<'_>) -> Self {
        let mut amount = Self::default();
        let Ok(_) = for_each_process(Breaks::None, |task| {
            let threads = if filter.threads {
                // CAST: As many threads as there can be.
                task.threads() as usize
            } else {
                0
            };
            let level = task.pid().map_or(0, |pid| pid.level());
            // CAST: At most `MAX_PID_NS_LEVEL`.
            let levels = (level as usize + 1).saturating_mul(threads.saturating_add(1));
            amount.processes = amount.processes.saturating_add(1);
            amount.threads = amount.threads.saturating_add(threads);
            amount.levels = amount.levels.saturating_add(levels);
            ControlFlow::<Infallible>::Continue(())
        });
        amount.processes = Self::and_some(amount.processes);
        amount.threads = Self::and_some(amount.threads);
        amount.levels = Self::and_some(amount.levels);
        amount
    }

    /// Some more, for those that are born meanwhile.
    fn and_some(count: usize) -> usize {
        count.saturating_add(count / 16).saturating_add(64)
    }
}

/// What is collected about processes and threads.
pub(super) struct Tasks {
    pub(super) processes: Reserved<TaskRecord>,
    pub(super) threads: Reserved<TaskRecord>,
    pub(super) levels: Reserved<Level>,
    /// The sets of namespaces, each once.
    spaces: Interner<SpacesCount>,
    /// The root directories, each once.
    pub(super) roots: Interner<PathRef>,
    /// The cgroups, each once.
    pub(super) cgroups: Interner<CgroupName>,
    /// Where the paths of the cgroups stand.
    pub(super) cgroup_paths: Reserved<u8>,
    /// The numbers of all processes that the walk came across, kept or not.
    visited: Reserved<i32>,
    /// How many processes are in each namespace, once all were visited.
    counts: Interner<Count>,
    /// Where a path is written first.
    scratch: KVVec<u8>,
    scratch_short: bool,
}

impl Tasks {
    /// Nothing yet, and room for that much.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    fn with_room(room: Amount) -> Result<Self> {
        // Most processes share namespaces, roots and cgroups with others.
        let distinct = (room.processes / 8).max(room.processes.min(64));
        Ok(Self {
            processes: Reserved::with_capacity(room.processes)?,
            threads: Reserved::with_capacity(room.threads)?,
            levels: Reserved::with_capacity(room.levels)?,
            spaces: Interner::with_capacity(distinct)?,
            roots: Interner::with_capacity(distinct)?,
            cgroups: Interner::with_capacity(distinct)?,
            cgroup_paths: Reserved::with_capacity(distinct.saturating_mul(64))?,
            visited: Reserved::with_capacity(room.processes)?,
            counts: Interner::with_capacity(0)?,
            scratch: memory::zeros(4096)?,
            scratch_short: false,
        })
    }

    /// Nothing at all.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(super) fn none() -> Result<Self> {
        Self::with_room(Amount::default())
    }

    /// Walks the task list, and then looks for processes that are not on it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(super) fn collect(filter: Filter<'_>) -> Result<Self> {
        let mut tasks = Self::with_room(Amount::of_all(filter))?;
        let mut lost = 0;
        loop {
            let breaks = if lost < LOST_WALKS {
                Breaks::Allowed
            } else {
                Breaks::None
            };
            let walk = for_each_process(breaks, |task| {
                match tasks.add_process(&task, filter, false) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(full) => ControlFlow::Break(full),
                }
            });
            match walk {
                Ok(Walk::Complete) => {
                    if tasks.add_unlisted(filter)?.is_ok() {
                        tasks.count()?;
                        // It was for `add_unlisted`.
                        tasks.visited = Reserved::with_capacity(0)?;
                        return Ok(tasks);
                    }
                }
                Ok(Walk::Lost) => {
                    steps::count(Step::Lost);
                    lost = lost.saturating_add(1);
                }
                Err(Full) => {}
            }
            steps::count(Step::Restart);
            tasks.restart()?;
        }
    }

    /// Collects one process or thread alone: the one with the number `nr` in the pid namespace `ns`,
    /// or in the initial one.
    ///
    /// Of a process all threads are collected if `threads` says so, of a thread that is not its
    /// process's leader only itself, as a thread. No processes are counted.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(super) fn collect_one(nr: i32, ns: Option<&Namespace>, threads: bool) -> Result<Self> {
        let filter = Filter {
            ns: None,
            mnt: None,
            threads,
        };
        let mut tasks = Self::with_room(Amount {
            processes: 1,
            threads: 1,
            levels: 4,
        })?;
        loop {
            let rcu = rcu::read_lock();
            let added = match task::find(nr, ns, &rcu) {
                None => Ok(()),
                Some(Found::Process(task)) => tasks.add_process(&task, filter, false),
                Some(Found::Thread(task, pid)) => tasks.add_thread(&task, &pid, filter),
            };
            drop(rcu);
            match added {
                Ok(()) => return Ok(tasks),
                Err(Full) => tasks.restart()?,
            }
        }
    }

    /// Keeps only what a filter keeps.
    pub(super) fn retain(&mut self, filter: Filter<'_>) {
        let spaces = self.spaces.items();
        let keeps = |task: &mut TaskRecord| {
            // CAST: An index into memory.
            let spaces = spaces.get(task.spaces as usize);
            spaces.is_some_and(|count| filter.keeps(&count.spaces))
        };
        self.processes.retain(keeps);
        self.threads.retain(keeps);
    }

    /// The namespaces of a process or thread.
    pub(super) fn spaces(&self, task: &TaskRecord) -> Option<&Spaces> {
        // CAST: An index into memory.
        let count = self.spaces.items().get(task.spaces as usize)?;
        Some(&count.spaces)
    }

    /// All sets of namespaces that [`TaskRecord::spaces`] can mean.
    pub(super) fn all_spaces(&self) -> impl ExactSizeIterator<Item = &Spaces> {
        self.spaces.items().iter().map(|count| &count.spaces)
    }

    /// The numbers of a process or thread, from level 0 on.
    pub(super) fn levels(&self, task: &TaskRecord) -> &[Level] {
        // CAST: Indices into memory.
        let range = task.levels.start as usize..task.levels.end as usize;
        self.levels.items().get(range).unwrap_or_default()
    }

    /// How many processes are in a namespace; only after [`Tasks::collect`].
    pub(super) fn count_in(&self, ns: Inum) -> u32 {
        self.counts.find(ns).map_or(0, |count| count.tasks)
    }

    fn restart(&mut self) -> Result {
        self.processes.restart()?;
        self.threads.restart()?;
        self.levels.restart()?;
        self.spaces.restart()?;
        self.roots.restart()?;
        self.cgroups.restart()?;
        self.cgroup_paths.restart()?;
        self.visited.restart()?;
        if self.scratch_short {
            self.scratch_short = false;
            let len = self.scratch.len().saturating_mul(2);
            self.scratch.resize(len, 0, memory::charged())?;
        }
        Ok(())
    }

    fn add_process(
        &mut self,
        task: &Task<'_>,
        filter: Filter<'_>,
        is_unlisted: bool,
    ) -> Result<(), Full> {
        // A thread that execs takes over its leader's place, and number. So the number is that of
        // the process, which stays, and the rest is whoever leads it now.
        let Some(pid) = task.signal_pid(PidType::Tgid) else {
            // Reaped since the walk came to it: it did not live throughout.
            return Ok(());
        };
        self.visited.push(task.tgid())?;
        let (spaces, record) = self.record(&task.leader(), &pid, filter)?;
        // CAST: An index into memory.
        if let Some(count) = self.spaces.items_mut().get_mut(spaces as usize) {
            count.tasks = count.tasks.saturating_add(1);
        }
        if let Some(mut record) = record {
            record.is_unlisted = is_unlisted;
            self.processes.push(record)?;
        }
        if filter.threads {
            let added = task.for_each_thread(|thread| {
                // Reaped since the walk came to it.
                let Some(pid) = thread.pid() else {
                    return ControlFlow::Continue(());
                };
                match self.add_thread(&thread, &pid, filter) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(full) => ControlFlow::Break(full),
                }
            });
            if let ControlFlow::Break(full) = added {
                return Err(full);
            }
        }
        Ok(())
    }

    fn add_thread<'g>(
        &mut self,
        thread: &Task<'g>,
        pid: &Pid<'g>,
        filter: Filter<'_>,
    ) -> Result<(), Full> {
        if let (_, Some(record)) = self.record(thread, pid, filter)? {
            self.threads.push(record)?;
        }
        Ok(())
    }

    /// The namespaces of a task whose numbers are `pid`, and what there is to know about it if the
    /// filter keeps it.
    fn record<'g>(
        &mut self,
        task: &Task<'g>,
        pid: &Pid<'g>,
        filter: Filter<'_>,
    ) -> Result<(u32, Option<TaskRecord>), Full> {
        let cred = task.cred();
        let lock = task.lock();
        let spaces = Spaces {
            pid: pid.upid(pid.level()).and_then(|upid| upid.ns()),
            user: cred.user_ns,
            nsproxy: lock.nsproxy(),
        };
        let none = || Ok(SpacesCount { spaces, tasks: 0 });
        let index = self.spaces.find_or_add(spaces, none)?;
        if !filter.keeps(&spaces) {
            return Ok((index, None));
        }
        let root = match lock.root() {
            Some(root) => Some(self.roots.find_or_add(root.key(), || Ok(root.to_ref()))?),
            None => None,
        };
        drop(lock);

        let record = TaskRecord {
            levels: self.add_levels(task, pid)?,
            comm: task.comm(),
            tgid: task.tgid(),
            ppid: task.ppid(pid),
            uid: cred.uid,
            gid: cred.gid,
            threads: task.threads(),
            state: task.state(),
            is_kthread: task.is_kthread(),
            is_unlisted: false,
            start: task.start_boottime(),
            spaces: index,
            root,
            cgroup: self.add_cgroup(&task.cgroup())?,
        };
        Ok((index, Some(record)))
    }

    /// Looks for processes that can be found by their number, but are not on the task list, and adds
    /// them. The outer error is `ENOMEM`.
    ///
    /// That the walk did not come across a process says little: it may have been born since. Such
    /// processes are looked for on the list again, and those that are not on it either, although
    /// they live, once more when nobody can be in the middle of linking or unlinking them.
    fn add_unlisted(&mut self, filter: Filter<'_>) -> Result<Result<(), Full>> {
        let seen = Numbers::of(self.visited.items())?;
        let mut suspects = KVec::with_capacity(SUSPECTS, memory::charged())?;
        let mut from = 1;
        loop {
            let rcu = rcu::read_lock();
            let mut examined = 0;
            let mut is_last = false;
            while examined < NUMBERS_AT_ONCE && suspects.len() < SUSPECTS {
                let Some((nr, task)) = task::next_by_number(from, &rcu) else {
                    is_last = true;
                    break;
                };
                if let Some(task) = task.filter(|_| !seen.contains(nr)) {
                    // There is room, as just seen.
                    let _ = suspects.push_within_capacity(task.hold());
                }
                from = nr.max(from).saturating_add(1);
                examined += 1;
            }
            drop(rcu);

            if !suspects.is_empty() {
                drop_linked(&mut suspects);
            }
            if !suspects.is_empty() {
                task::wait_for_readers();
                drop_linked(&mut suspects);
            }
            let rcu = rcu::read_lock();
            for suspect in &suspects {
                // Under this very lock: only so is all that the task refers to kept by it.
                if !suspect.is_listed_by_right() {
                    continue;
                }
                let task = suspect.task(&rcu);
                if let Err(full) = self.add_process(&task, filter, true) {
                    drop(rcu);
                    return Ok(Err(full));
                }
            }
            drop(rcu);
            suspects.clear();
            if is_last {
                return Ok(Ok(()));
            }
        }
    }

    fn add_levels(&mut self, task: &Task<'_>, pid: &Pid<'_>) -> Result<Range<u32>, Full> {
        let pgid = task.signal_pid(PidType::Pgid);
        let sid = task.signal_pid(PidType::Sid);
        let begin = u32::try_from(self.levels.items().len()).map_err(|_| Full)?;
        let mut end = begin;
        for level in 0..=pid.level() {
            let Some(upid) = pid.upid(level) else {
                break;
            };
            let beside = |other: &Option<Pid<'_>>| {
                other.as_ref().map_or(0, |pid| pid.nr_beside(level, &upid))
            };
            let index = self.levels.push(Level {
                ns: upid.ns(),
                nr: upid.nr(),
                pgid: beside(&pgid),
                sid: beside(&sid),
            })?;
            end = index.saturating_add(1);
        }
        Ok(begin..end)
    }

    fn add_cgroup(&mut self, cgroup: &Cgroup<'_>) -> Result<u32, Full> {
        let id = cgroup.id();
        let (scratch, short) = (&mut self.scratch, &mut self.scratch_short);
        let paths = &mut self.cgroup_paths;
        self.cgroups.find_or_add(id, || {
            let (len, cut) = match cgroup.path(scratch) {
                Ok(len) => (len, false),
                Err(NoPath::TooDeep) => (0, true),
                Err(NoPath::TooLong) if scratch.len() >= MAX_CGROUP_PATH => {
                    (MAX_CGROUP_PATH - 1, true)
                }
                Err(NoPath::TooLong) => {
                    *short = true;
                    return Err(Full);
                }
            };
            let path = scratch.get(..len).ok_or(Full)?;
            paths.check_room(len)?;
            let begin = paths.items().len();
            for byte in path {
                paths.push(*byte)?;
            }
            Ok(CgroupName {
                id,
                path: Name {
                    bytes: begin..paths.items().len(),
                    cut,
                },
            })
        })
    }

    /// Counts the processes in each namespace.
    fn count(&mut self) -> Result {
        let sets = self.spaces.items();
        // Room for more than there can be, so that nothing is full.
        let mut counts = Interner::<Count>::with_capacity(sets.len().saturating_mul(8))?;
        for set in sets {
            for ns in set.spaces.own().into_iter().flatten() {
                let index = counts.find_or_add(ns, || Ok(Count { ns, tasks: 0 }));
                // CAST: An index into memory.
                let count = index.map(|i| counts.items_mut().get_mut(i as usize));
                if let Ok(Some(count)) = count {
                    count.tasks = count.tasks.saturating_add(set.tasks);
                }
            }
        }
        self.counts = counts;
        Ok(())
    }
}

/// Numbers that are looked up under one RCU read-side critical section.
const NUMBERS_AT_ONCE: usize = 1024;

/// Processes that are looked for on the task list in one walk.
const SUSPECTS: usize = 64;

/// Drops those that are on the task list, and those that have been reaped.
fn drop_linked(suspects: &mut KVec<HeldTask>) {
    let mut linked = [false; SUSPECTS];
    task::mark_linked(suspects, &mut linked);
    let mut marks = linked.iter();
    suspects.retain(|suspect| {
        let is_linked = marks.next().is_none_or(|mark| *mark);
        !is_linked && suspect.is_listed_by_right()
    });
}

/// A set of numbers of processes.
struct Numbers(KVVec<u64>);

impl Numbers {
    fn of(numbers: &[i32]) -> Result<Self> {
        let highest = numbers.iter().copied().max().unwrap_or(0);
        let words = usize::try_from(highest).unwrap_or(0) / 64 + 1;
        let mut set = Self(KVVec::from_elem(0, words, memory::charged())?);
        for number in numbers {
            let (word, bit) = Self::place(*number);
            if let Some(word) = set.0.get_mut(word) {
                *word |= bit;
            }
        }
        Ok(set)
    }

    fn contains(&self, number: i32) -> bool {
        let (word, bit) = Self::place(number);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(number: i32) -> (usize, u64) {
        let number = usize::try_from(number).unwrap_or(0);
        (number / 64, 1 << (number % 64))
    }
}
