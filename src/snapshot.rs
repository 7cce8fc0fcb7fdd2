// SPDX-License-Identifier: GPL-2.0

//! One consistent picture of tasks, namespaces and mounts, as plain data.
//!
//! What is collected under RCU goes into memory that was reserved before; when it does not fit, RCU
//! is left, more is reserved, and the collection starts over.

#![deny(unsafe_code)]

mod reserved;
mod tasks;

use crate::query::{
    Device,
    Query,
    Show, //
};
use crate::sys::{
    cgroup::NoPath,
    memory,
    mount::{
        LineBuf,
        Mount,
        MountOps,
        NamespaceSem,
        Options,
        Reach, //
    },
    namespace::{
        Detail,
        Inum,
        Kind,
        List,
        Namespace, //
    },
    path::PathBuf,
    system,
    task::{
        self,
        COMM_LEN, //
    },
};
use core::ops::Range;
use kernel::{
    fs::LocalFile,
    prelude::*, //
};
pub(crate) use tasks::Spaces;
use tasks::{
    Filter,
    NsSet,
    Tasks,
    MAX_CGROUP_PATH, //
};

/// Where the kernel keeps what a snapshot shows.
pub(crate) struct Sources {
    namespaces: List,
    mounts: MountOps,
}

impl Sources {
    /// Finds them.
    ///
    /// # Errors
    ///
    /// `ENODEV` if this kernel is not one that the module knows; `ENOMEM`.
    pub(crate) fn find() -> Result<Self> {
        Ok(Self {
            namespaces: List::find().inspect_err(|_| {
                pr_err!("the list of all namespaces is not where it is known to be\n")
            })?,
            mounts: MountOps::find().inspect_err(|e| {
                if *e == ENODEV {
                    pr_err!("the mountinfo of this process is not what it is known to be\n")
                }
            })?,
        })
    }
}

/// The numbers of a process in one of the pid namespaces that it is in.
#[derive(Clone, Copy)]
pub(crate) struct Level {
    pub(crate) ns: Option<Inum>,
    pub(crate) nr: i32,
    /// The number of its process group there; 0 if that is not known there.
    pub(crate) pgid: i32,
    /// The number of its session there; 0 if that is not known there.
    pub(crate) sid: i32,
}

/// A name among others.
#[derive(Clone)]
pub(crate) struct Name {
    bytes: Range<usize>,
    /// It had to be cut.
    cut: bool,
}

/// A name that is shown.
pub(crate) struct NameRef<'a> {
    pub(crate) bytes: &'a [u8],
    /// It had to be cut.
    pub(crate) cut: bool,
}

impl Name {
    fn of<'a>(&self, all: &'a [u8]) -> NameRef<'a> {
        NameRef {
            bytes: all.get(self.bytes.clone()).unwrap_or_default(),
            cut: self.cut,
        }
    }
}

/// A process or a thread.
pub(crate) struct TaskRecord {
    /// Which of all the levels are its own, from level 0 on.
    levels: Range<u32>,
    /// NULs included.
    pub(crate) comm: [u8; COMM_LEN],
    /// The number of its process in the initial pid namespace.
    pub(crate) tgid: i32,
    pub(crate) ppid: i32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) threads: u32,
    pub(crate) state: u8,
    pub(crate) is_kthread: bool,
    /// It is not on the task list.
    pub(crate) is_unlisted: bool,
    /// Nanoseconds since boot.
    pub(crate) start: u64,
    /// Which of all sets of namespaces.
    pub(crate) spaces: u32,
    /// Which of all roots; `None` once the task has given it back.
    root: Option<u32>,
    /// Which of all cgroups.
    cgroup: u32,
}

/// A root directory that processes have.
struct Root {
    /// Its path from the top of its mount tree.
    path: Name,
    ns: Option<Inum>,
    is_ns_root: bool,
}

/// A namespace.
pub(crate) struct NsRecord {
    pub(crate) kind: Kind,
    pub(crate) inum: Option<Inum>,
    pub(crate) id: u64,
    pub(crate) owner: Option<Inum>,
    /// Processes in it; `None` if not all processes were looked at.
    pub(crate) tasks: Option<u32>,
    pub(crate) refs: i64,
    pub(crate) active: i32,
    pub(crate) detail: Detail,
    /// The path of a cgroup namespace's root.
    cgroup_root: Name,
    /// The 64-bit id of a mount namespace's root mount.
    pub(crate) root_mount: Option<u64>,
}

/// A mount.
pub(crate) struct MountRecord<'a> {
    pub(crate) ns: Option<Inum>,
    /// The id that is never used again.
    pub(crate) id: u64,
    pub(crate) reach: Reach,
    /// What `mountinfo` shows.
    pub(crate) line: &'a [u8],
}

/// Where mounts go as they are seen. Their lines are as long as the text that is made of them, too
/// much to be kept twice.
pub(crate) trait MountSink {
    /// Takes one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    fn add(&mut self, mount: &MountRecord<'_>) -> Result;
}

/// The picture, but for the mounts.
pub(crate) struct Snapshot {
    /// Nanoseconds since boot when it was begun.
    pub(crate) uptime: u64,
    pub(crate) namespaces: KVVec<NsRecord>,
    show: Show,
    /// All processes were looked at, so that one knows how many are in a namespace.
    counted: bool,
    tasks: Tasks,
    roots: KVVec<Root>,
    /// Where the paths of all the above stand, but for those in `tasks`.
    strings: KVVec<u8>,
}

impl Snapshot {
    /// Takes one of what `query` asks for, on behalf of the reader who opened `file`, and hands the
    /// mounts to `mounts`.
    ///
    /// Processes come first, then namespaces, then mounts: so a namespace that a process was seen
    /// in is among the namespaces unless both ended meanwhile.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn take(
        sources: &Sources,
        query: &Query,
        file: &LocalFile,
        mounts: &mut impl MountSink,
    ) -> Result<Self> {
        let show = query.show();
        let with_device = match query.dev {
            Some(device) => Some(sources.mnt_namespaces_with(device)?),
            None => None,
        };
        let uptime = system::uptime();
        let is_one = query.pid.is_some() || query.upid.is_some();
        let filter = Filter {
            ns: query.ns,
            mnt: with_device.as_ref(),
            threads: show.threads,
        };
        let tasks = Self::tasks_of(sources, query, filter)?;
        let mut snapshot = Self {
            uptime,
            show: Show {
                // It was asked for, as if it were a process.
                threads: show.threads || query.show.is_none() && is_one,
                ..show
            },
            namespaces: KVVec::new(),
            counted: !is_one,
            tasks,
            roots: KVVec::new(),
            strings: KVVec::new(),
        };
        snapshot.locate_roots(sources)?;
        if show.ns || show.mounts {
            snapshot.add_namespaces(sources, query, with_device.as_ref(), file, mounts)?;
        }
        if is_one {
            // Only now: what refers to it may be kept where it is not.
            snapshot.tasks.retain(filter);
        }
        // So that no file system stays busy for as long as the text takes.
        snapshot.tasks.roots.release();
        Ok(snapshot)
    }

    /// Adds the namespaces that a query asks for, and their mounts.
    fn add_namespaces(
        &mut self,
        sources: &Sources,
        query: &Query,
        with_device: Option<&NsSet>,
        file: &LocalFile,
        mounts: &mut impl MountSink,
    ) -> Result {
        let show = self.show;
        let subject = (!self.counted).then(|| self.subject());
        // The references to namespaces are dropped when this is done, or failed.
        let namespaces = sources.namespaces.collect(|kind, inum| {
            (show.ns || kind == Kind::Mnt)
                && query.ns.is_none_or(|ns| inum.get() == ns)
                && subject.is_none_or(|subject| subject.refers_to(inum))
                && with_device.is_none_or(|mnt| mnt.find(inum).is_some())
        })?;
        let mut view = View {
            line: LineBuf::new(Options::of_system(query.propagate_from))?,
            path: PathBuf::new()?,
            file,
            dev: query.dev,
            root: subject.and_then(|subject| subject.root),
        };
        for namespace in &namespaces {
            // Before the record is made: all that it says about the mounts is of one moment.
            let sem = namespace.as_mnt().map(|mnt| sources.mounts.lock(mnt));
            let root_mount = sem.as_ref().and_then(NamespaceSem::root_id);
            let record = self.ns_record(namespace, root_mount)?;
            self.namespaces.push(record, memory::charged())?;
            let is_own = subject.is_none_or(|subject| subject.mnt() == namespace.inum());
            if let Some(sem) = sem.filter(|_| show.mounts && is_own) {
                self.add_mounts(&sem, namespace.inum(), &mut view, mounts)?;
            }
        }
        Ok(())
    }

    /// The processes and threads that a query asks for.
    fn tasks_of(sources: &Sources, query: &Query, filter: Filter<'_>) -> Result<Tasks> {
        let threads = filter.threads;
        let Some(upid) = query.upid else {
            return match query.pid {
                Some(pid) => Tasks::collect_one(pid, None, threads),
                // Without namespaces, which say how many processes they have, they are of no use.
                None if !(query.show().ns || query.show().tasks || query.show().threads) => {
                    Tasks::none()
                }
                None => Tasks::collect(filter),
            };
        };
        let found = sources
            .namespaces
            .collect(|kind, inum| kind == Kind::Pid && inum.get() == upid.ns)?;
        let Some(ns) = found.first() else {
            return Tasks::none();
        };
        let tasks = Tasks::collect_one(upid.nr, Some(ns), threads)?;
        // The same process must have both numbers, if both were asked for.
        let is_other = |pid| {
            let one = tasks.processes.items().first();
            let one = one.or(tasks.threads.items().first());
            one.and_then(|task| tasks.levels(task).first())
                .is_some_and(|level| level.nr != pid)
        };
        if query.pid.is_some_and(is_other) {
            return Tasks::none();
        }
        Ok(tasks)
    }

    /// The one process or thread that was asked for.
    fn subject(&self) -> Subject {
        let processes = self.tasks.processes.items().first();
        let Some(task) = processes.or(self.tasks.threads.items().first()) else {
            return Subject::default();
        };
        Subject {
            spaces: self.tasks.spaces(task).copied(),
            root: task.root,
        }
    }

    /// Which kinds of records are shown.
    pub(crate) fn show(&self) -> Show {
        self.show
    }

    /// The processes, in the order of `init_task.tasks`, and then those that are not on that list.
    pub(crate) fn tasks(&self) -> &[TaskRecord] {
        self.tasks.processes.items()
    }

    /// The threads, by process in the same order.
    pub(crate) fn threads(&self) -> &[TaskRecord] {
        self.tasks.threads.items()
    }

    /// The numbers of a process or thread, from level 0 on.
    pub(crate) fn levels(&self, task: &TaskRecord) -> &[Level] {
        self.tasks.levels(task)
    }

    /// All sets of namespaces that [`TaskRecord::spaces`] can mean.
    pub(crate) fn all_spaces(&self) -> impl ExactSizeIterator<Item = &Spaces> {
        self.tasks.all_spaces()
    }

    /// The path of a process's root, and whether that is another one than that of its mount
    /// namespace; `None` once the process has given it back.
    pub(crate) fn root(&self, task: &TaskRecord) -> Option<(NameRef<'_>, bool)> {
        // CAST: An index into memory.
        let root = self.roots.get(task.root? as usize)?;
        let ns = self.tasks.spaces(task).and_then(Spaces::mnt);
        let is_own = root.is_ns_root && (ns.is_none() || root.ns == ns);
        Some((root.path.of(&self.strings), !is_own))
    }

    /// The path of a process's cgroup in the default hierarchy.
    pub(crate) fn cgroup(&self, task: &TaskRecord) -> Option<NameRef<'_>> {
        // CAST: An index into memory.
        let cgroup = self.tasks.cgroups.items().get(task.cgroup as usize)?;
        Some(cgroup.path.of(self.tasks.cgroup_paths.items()))
    }

    /// The path of a cgroup namespace's root in the default hierarchy.
    pub(crate) fn cgroup_root(&self, ns: &NsRecord) -> NameRef<'_> {
        ns.cgroup_root.of(&self.strings)
    }

    fn ns_record(&mut self, namespace: &Namespace, root_mount: Option<u64>) -> Result<NsRecord> {
        let inum = namespace.inum();
        Ok(NsRecord {
            kind: namespace.kind(),
            inum,
            id: namespace.id(),
            owner: namespace.owner(),
            tasks: self
                .counted
                .then(|| inum.map_or(0, |inum| self.tasks.count_in(inum))),
            refs: namespace.refs(),
            active: namespace.active(),
            detail: namespace.detail(),
            cgroup_root: self.add_cgroup_root(namespace)?,
            root_mount,
        })
    }

    fn add_cgroup_root(&mut self, namespace: &Namespace) -> Result<Name> {
        let begin = self.strings.len();
        let mut room = 0;
        let mut cut = false;
        // Only a cgroup namespace has a path, and tells how long it is once there is room for it.
        while let Some(result) =
            namespace.cgroup_root(self.strings.get_mut(begin..).unwrap_or_default())
        {
            match result {
                Ok(len) => {
                    self.strings.truncate(begin.saturating_add(len));
                    break;
                }
                Err(NoPath::TooDeep) => {
                    self.strings.truncate(begin);
                    cut = true;
                    break;
                }
                Err(NoPath::TooLong) if room >= MAX_CGROUP_PATH => {
                    // All there is room for, but for the closing NUL.
                    self.strings.pop();
                    cut = true;
                    break;
                }
                Err(NoPath::TooLong) => {
                    room = room.saturating_mul(2).max(256);
                    let len = begin.saturating_add(room);
                    self.strings.resize(len, 0, memory::charged())?;
                }
            }
        }
        Ok(Name {
            bytes: begin..self.strings.len(),
            cut,
        })
    }

    /// Adds the mounts of the namespace whose mounts `sem` holds.
    fn add_mounts(
        &self,
        sem: &NamespaceSem<'_>,
        ns: Option<Inum>,
        view: &mut View<'_>,
        mounts: &mut impl MountSink,
    ) -> Result {
        // CAST: An index into memory.
        let root = view
            .root
            .map(|root| self.tasks.roots.items().get(root as usize));
        for mount in sem.mounts() {
            if task::is_being_killed() {
                return Err(EINTR);
            }
            if view.dev.is_some_and(|dev| !is_on(&mount, dev)) {
                continue;
            }
            if let Some(Some(root)) = root {
                if !mount.is_seen_from(root, &mut view.path)? {
                    continue;
                }
            }
            let id = mount.id();
            let (reach, line) = view.line.write(&mount, view.file)?;
            mounts.add(&MountRecord {
                ns,
                id,
                reach,
                line,
            })?;
        }
        Ok(())
    }

    /// Finds out where the root directories of the processes lie. No mount moves while one of them is
    /// looked at, of whatever namespace; between two there is room for others, for there may be as
    /// many as there are processes.
    fn locate_roots(&mut self, sources: &Sources) -> Result {
        let mut path = PathBuf::new()?;
        for root in self.tasks.roots.items() {
            let sem = sources.mounts.lock_any()?;
            let location = sem.locate(root, &mut path)?;
            drop(sem);
            let begin = self.strings.len();
            self.strings
                .extend_from_slice(path.as_bytes(), memory::charged())?;
            let root = Root {
                path: Name {
                    bytes: begin..self.strings.len(),
                    cut: path.is_cut(),
                },
                ns: location.ns,
                is_ns_root: location.is_ns_root,
            };
            self.roots.push(root, memory::charged())?;
        }
        Ok(())
    }
}

impl Sources {
    /// The mount namespaces that have a mount of a device.
    fn mnt_namespaces_with(&self, device: Device) -> Result<NsSet> {
        let namespaces = self.namespaces.collect(|kind, _| kind == Kind::Mnt)?;
        let mut with_device = NsSet::with_capacity(namespaces.len())?;
        for namespace in &namespaces {
            let (Some(mnt), Some(inum)) = (namespace.as_mnt(), namespace.inum()) else {
                continue;
            };
            let sem = self.mounts.lock(mnt);
            let mut has_device = false;
            for mount in sem.mounts() {
                if task::is_being_killed() {
                    return Err(EINTR);
                }
                if is_on(&mount, device) {
                    has_device = true;
                    break;
                }
            }
            drop(sem);
            if has_device {
                // There is room for all.
                let _ = with_device.find_or_add(inum, || Ok(inum));
            }
        }
        Ok(with_device)
    }
}

fn is_on(mount: &Mount<'_>, device: Device) -> bool {
    mount.device() == (device.major, device.minor)
}

/// The one process or thread that was asked for. There may be none.
#[derive(Clone, Copy, Default)]
struct Subject {
    spaces: Option<Spaces>,
    /// Which of all roots.
    root: Option<u32>,
}

impl Subject {
    fn refers_to(&self, ns: Inum) -> bool {
        let is_one = |spaces: Spaces| spaces.each().contains(&Some(ns));
        self.spaces.is_some_and(is_one)
    }

    fn mnt(&self) -> Option<Inum> {
        self.spaces.as_ref().and_then(Spaces::mnt)
    }
}

/// How mounts are shown, and which of them.
struct View<'a> {
    line: LineBuf,
    path: PathBuf,
    file: &'a LocalFile,
    /// Only those of this device.
    dev: Option<Device>,
    /// Only those that a process with this root sees.
    root: Option<u32>,
}
