// SPDX-License-Identifier: GPL-2.0

//! What processes keep: namespaces and mounts, by descriptors, directories, programs and mapped files.
//!
//! Each table of descriptors is read once, whoever shares it; each part of what a process has in a section
//! of its own. Nothing is held between two sections but the task.

#![deny(unsafe_code)]

use super::{
    super::{
        budget::Budget,
        mounts::MountFilter,
        store::{
            CapacityExceeded,
            ChunkedVec,
            HashKey,
            Hasher,
            Interner,
            Keyed,
            NONE, //
        },
    },
    Collector,
    NamespaceSet,
    NsIdSet,
    SetKey,
    OWNERS,
    SECTION_STEPS, //
};
use crate::sys::{
    file::{
        File,
        FileKind,
        FileRef, //
    },
    files::{
        FilesKey,
        Next, //
    },
    memory::{
        charged,
        Vec, //
    },
    mm::MmKey,
    mount::Attachment,
    namespace::NsId,
    path::Place,
    super_block::{
        FsNs,
        FsRelation,
        MAX_FS_NS, //
    },
    task::{
        HeldTask,
        Task,
        TaskWalk,
        Visit, //
    },
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// Which holds are kept.
#[derive(Clone, Copy)]
pub(in super::super) struct HoldFilter {
    /// Those of this namespace; of mounts, those that are in it.
    pub(in super::super) ns: Option<NsId>,
    /// Those of these mounts.
    pub(in super::super) mounts: MountFilter,
}

impl HoldFilter {
    /// Whether holds of a namespace are kept.
    pub(in super::super) fn keeps_ns(&self, ns: NsId) -> bool {
        self.keeps_namespaces() && self.ns.is_none_or(|own| own == ns)
    }

    /// Whether holds of any namespace are kept.
    pub(in super::super) fn keeps_namespaces(&self) -> bool {
        self.mounts.is_all()
    }

    /// Whether holds of any mount are kept.
    pub(in super::super) fn keeps_mounts(&self) -> bool {
        self.ns.is_none() || !self.mounts.is_all()
    }

    fn keeps_place(&self, place: &Place<'_>, attachment: Attachment) -> bool {
        self.keeps_mounts()
            && self.mounts.keeps_node(&place.mount())
            && match attachment {
                Attachment::Attached(ns) => self.ns.is_none_or(|own| own == ns),
                Attachment::Detached | Attachment::Anonymous => self.ns.is_none(),
                Attachment::Internal => false,
            }
    }

    fn keeps_device(&self, major: u32, minor: u32) -> bool {
        self.ns.is_none() && self.mounts.keeps_device(major, minor)
    }
}

/// What a process keeps.
#[derive(Clone, Copy)]
pub(crate) enum Held {
    /// Which of all namespaces that somebody keeps.
    Ns(u32),
    /// The device of a directory's mount: which of all directories.
    Mount(u32),
    /// A block device, by the directory entry that it was opened by.
    BlockDevice { major: u16, minor: u32, place: u32 },
}

/// By what a process keeps something.
#[derive(Clone, Copy)]
pub(crate) enum HeldBy {
    /// An open file: of the namespace itself, or on the mount.
    Fd(u32),
    /// A pidfd of a process in the namespace: its number, if it still has one.
    Pidfd(u32, Option<i32>),
    /// A socket of the network namespace.
    Socket(u32),
    /// A file that was opened with credentials of the user namespace.
    Cred(u32),
    /// A file system that belongs to the namespace and is mounted where nobody sees it.
    Fs {
        /// The descriptor that leads to it, if it is one.
        fd: Option<u32>,
        /// Which of all directories does.
        place: u32,
        relation: FsRelation,
    },
    Cwd,
    Root,
    Exe,
    Map,
    /// A thread is in the namespace, and the main thread is not.
    Thread,
    /// Its children will be in the namespace, and it is not.
    ForChildren,
    /// It has ended, and its parent, or tracer, does not wait for it.
    Zombie {
        parent: i32,
        tracer: i32,
    },
}

impl HeldBy {
    /// Whether it is a descriptor.
    fn is_descriptor(self) -> bool {
        matches!(
            self,
            Self::Fd(_) | Self::Pidfd(..) | Self::Socket(_) | Self::Cred(_)
        )
    }
}

/// One thing that a process keeps.
#[derive(Clone, Copy)]
pub(crate) struct HoldRecord {
    pub(crate) held: Held,
    pub(crate) by: HeldBy,
    /// Which of all holders.
    holder: u32,
}

/// Who keeps something.
#[derive(Clone, Copy)]
pub(crate) struct Holder {
    /// The number of the process in the initial pid namespace.
    pub(crate) pid: i32,
    /// That of the thread which has what others of the process have not; 0 otherwise.
    tid: i32,
    /// Which of [`Holds::sharers`] has the same descriptors, or the same memory; [`NONE`] if nobody has.
    sharers: u32,
    /// It stands for the memory alone.
    is_memory: bool,
}

impl Holder {
    fn of(turn: &Turn<'_>, is_memory: bool) -> Self {
        Self {
            pid: turn.task.tgid(),
            tid: turn.tid,
            sharers: NONE,
            is_memory,
        }
    }

    /// The number of the thread, if other threads of the process do not have it in common.
    pub(crate) fn tid(&self) -> Option<i32> {
        Some(self.tid).filter(|tid| *tid != 0)
    }
}

/// Processes that share a table of descriptors, or memory, which are named.
const MAX_SHARERS: usize = 8;

/// Processes that have the same table of descriptors, or the same memory, as one before them.
#[derive(Clone, Copy)]
pub(crate) struct Sharers {
    pids: [i32; MAX_SHARERS],
    count: usize,
}

impl Sharers {
    /// Their numbers in the initial pid namespace, of the first ones; and whether there are more.
    pub(crate) fn pids(&self) -> (&[i32], bool) {
        let named = self.count.min(MAX_SHARERS);
        let pids = self.pids.get(..named).unwrap_or_default();
        (pids, self.count > MAX_SHARERS)
    }

    fn add(&mut self, pid: i32) {
        if self.pids().0.contains(&pid) {
            return;
        }
        if let Some(place) = self.pids.get_mut(self.count) {
            *place = pid;
        }
        self.count = self.count.saturating_add(1);
    }
}

/// All that processes keep.
pub(crate) struct Holds {
    records: ChunkedVec<HoldRecord>,
    holders: ChunkedVec<Holder>,
    namespaces: NsIdSet,
    sharers: ChunkedVec<Sharers>,
    /// The namespaces of processes that began later than the snapshot, and are not told of.
    late: NsIdSet,
}

impl Holds {
    /// Creates one of nothing.
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            records: ChunkedVec::new(0),
            holders: ChunkedVec::new(0),
            namespaces: Interner::new(0, key),
            sharers: ChunkedVec::new(0),
            late: Interner::new(0, key),
        }
    }

    /// Makes room for the next section.
    pub(super) fn reserve(&mut self, budget: &Budget) -> Result {
        self.records.reserve(budget)?;
        self.holders.reserve(budget)?;
        self.namespaces.reserve(budget)?;
        self.sharers.reserve(budget)?;
        self.late.reserve(budget)
    }

    /// The namespaces of processes that began later than the snapshot.
    pub(super) fn late(&self) -> &NsIdSet {
        &self.late
    }

    /// What is kept, by process in the order of `init_task.tasks`.
    pub(crate) fn records(&self) -> &ChunkedVec<HoldRecord> {
        &self.records
    }

    /// Who keeps something, and who else has what it is kept by.
    pub(crate) fn holder(&self, hold: &HoldRecord) -> Option<(&Holder, Option<&Sharers>)> {
        let holder = self.holders.get(hold.holder)?;
        let is_by_shared = match hold.by {
            HeldBy::Exe | HeldBy::Map => holder.is_memory,
            HeldBy::Fs { fd, .. } => fd.is_some(),
            by => by.is_descriptor(),
        };
        let sharers = self.sharers.get(holder.sharers);
        Some((holder, sharers.filter(|_| is_by_shared)))
    }

    /// The namespaces that are kept.
    pub(crate) fn ns(&self, ns: u32) -> Option<NsId> {
        self.namespaces.items().get(ns).copied()
    }

    /// Forgets the namespaces that `keep` says no to, and who keeps them.
    pub(super) fn retain_namespaces(&mut self, keep: &dyn Fn(NsId) -> bool) {
        let namespaces = self.namespaces.items();
        if namespaces.iter().copied().all(keep) {
            return;
        }
        self.records.retain(|hold| match hold.held {
            Held::Ns(ns) => namespaces.get(ns).copied().is_some_and(keep),
            _ => true,
        });
    }

    /// Checks whether there is room for what one look finds.
    fn check_room(&mut self) -> Result<(), CapacityExceeded> {
        self.records.check_room(MAX_PER_LOOK)?;
        self.holders.check_room(1)?;
        self.namespaces.check_room(MAX_PER_LOOK)
    }

    fn push_ns(&mut self, ns: NsId, by: HeldBy, holder: u32) -> Result<(), CapacityExceeded> {
        let held = Held::Ns(self.namespaces.find_or_push(ns.id(), || ns)?);
        self.push(held, by, holder)
    }

    fn push(&mut self, held: Held, by: HeldBy, holder: u32) -> Result<(), CapacityExceeded> {
        self.records.push(HoldRecord { held, by, holder })?;
        Ok(())
    }
}

/// A table of descriptors, or memory, that several tasks have, and the one in whose name it was read.
pub(super) struct Shared {
    key: u64,
    /// The task, which says whether it is still the same.
    owner: HeldTask,
    /// Which of all holders.
    holder: u32,
    /// How often it was read, for one task or another.
    readings: u32,
}

impl Keyed for Shared {
    type Key = u64;

    fn key(&self) -> u64 {
        self.key
    }

    fn hash(key: &u64, hasher: Hasher) -> Hasher {
        hasher.with(*key)
    }
}

/// How often something is read that is shared by tasks which end one after the other.
const MAX_READINGS: u32 = 4;

/// A mount tree that is in no namespace, and the descriptor that leads to it.
struct PendingTree {
    task: HeldTask,
    fd: u32,
    /// The 64-bit id of the mount that the descriptor is on.
    mount: u64,
    /// Which of all holders.
    holder: u32,
}

impl PendingTree {
    /// The file that leads to it, if that is still open; outside of every lock, in which it may not be
    /// closed.
    fn open(&self) -> Option<FileRef> {
        let rcu = rcu::read_lock();
        let task = self.task.task(&rcu);
        let lock = task.lock();
        let table = lock.descriptors()?;
        let file = match table.next(self.fd, &mut 1) {
            // It may be another one by now.
            Next::Open(fd, file) if fd == self.fd => file
                .place(&rcu)
                .filter(|place| place.mount().id() == self.mount)
                .and_then(|_| file.hold()),
            _ => None,
        };
        drop(table);
        file
    }
}

/// The mount trees that descriptors lead to and no namespace has.
pub(super) struct Trees {
    /// The one whose other mounts are told of next.
    pending: Option<PendingTree>,
    /// All that were met.
    ids: NsIdSet,
}

impl Trees {
    /// Creates one of nothing.
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            pending: None,
            ids: Interner::new(0, key),
        }
    }
}

/// Mounts of a tree that are looked at under one hold of `namespace_sem`.
const TREE_BATCH: usize = 64;

/// Descriptors that are looked at while a table is locked.
const LOOKS: usize = 16;

/// Words of a table's bitmap that are looked at meanwhile, of 64 descriptors each.
const WORDS: usize = 256;

/// Open descriptors that are looked at meanwhile.
const DESCRIPTORS: usize = 64;

/// Mappings that are looked at while a task is locked.
const MAPPINGS: usize = 64;

/// How many steps a look at a descriptor, or a part of a task, counts.
const STEPS_OF_LOOK: usize = 4;

/// Records that one look makes, at most.
const MAX_PER_LOOK: usize = 16;

/// What a look at something that a task has found, as far as it is to be told.
struct Look<'g> {
    /// The descriptor of an open file; [`NONE`] if it is not by one.
    fd: u32,
    kind: FileKind,
    /// The user namespace of the credentials with which a file was opened, if it is another one than the
    /// task's.
    user_ns: Option<NsId>,
    /// Where it is, if that is to be told, or something that is told by it.
    place: Option<Place<'g>>,
    /// The mount that it is on is to be told.
    is_place_told: bool,
    /// The namespaces of a file system that is mounted where nobody sees it.
    fs: [Option<FsNs>; MAX_FS_NS],
}

impl<'g> Look<'g> {
    /// Looks at a place, of whose file system these namespaces are told; `None` if nothing is.
    fn at_place(
        place: Place<'g>,
        attachment: Attachment,
        fs: [Option<FsNs>; MAX_FS_NS],
        filter: &HoldFilter,
    ) -> Option<Self> {
        let fs = fs.map(|fs| fs.filter(|fs| filter.keeps_ns(fs.ns)));
        let is_place_told = filter.keeps_place(&place, attachment);
        (is_place_told || fs.iter().flatten().next().is_some()).then_some(Self {
            fd: NONE,
            kind: FileKind::Other,
            user_ns: None,
            place: Some(place),
            is_place_told,
            fs,
        })
    }

    /// Looks at the program, or at a file that is mapped; `None` if nothing is told of it.
    fn at_mapped(file: &File<'_>, filter: &HoldFilter, rcu: &'g rcu::Guard) -> Option<Self> {
        let place = file.place(rcu)?;
        let attachment = place.mount().attachment();
        let fs = fs_of(file, (&place, attachment), filter, rcu);
        Self::at_place(place, attachment, fs, filter)
    }

    /// Looks at a descriptor; `None` if nothing is told of it.
    fn at_file(
        fd: u32,
        file: &File<'_>,
        own: &OwnIds,
        filter: &HoldFilter,
        rcu: &'g rcu::Guard,
    ) -> Option<Self> {
        let kind = match file.kind(rcu) {
            FileKind::Namespace(ns) | FileKind::Pidfd { ns, .. } if !filter.keeps_ns(ns) => None,
            FileKind::Socket(net) if Some(net.id()) == own.net || !filter.keeps_ns(net) => None,
            FileKind::BlockDevice(major, minor) if !filter.keeps_device(major, minor) => None,
            FileKind::Other => None,
            kind => Some(kind),
        };
        let is_foreign = |ns: &NsId| !ns.is_initial() && Some(ns.id()) != own.user;
        let user_ns = file
            .user_ns()
            .filter(|ns| is_foreign(ns) && filter.keeps_ns(*ns));
        let place = file.place(rcu);
        let mut is_of_tree = false;
        let look = place.and_then(|place| {
            let attachment = place.mount().attachment();
            // The other mounts of a tree may be told of, if this one is not.
            is_of_tree = attachment == Attachment::Anonymous && filter.keeps_mounts();
            let fs = fs_of(file, (&place, attachment), filter, rcu);
            Self::at_place(place, attachment, fs, filter)
        });
        if look.is_none() && kind.is_none() && user_ns.is_none() && !is_of_tree {
            return None;
        }
        let place = match kind {
            Some(FileKind::BlockDevice(..)) => place,
            _ if is_of_tree => place,
            _ => look.as_ref().and_then(|look| look.place),
        };
        Some(Self {
            fd,
            kind: kind.unwrap_or(FileKind::Other),
            user_ns,
            place,
            is_place_told: look.as_ref().is_some_and(|look| look.is_place_told),
            fs: look.map(|look| look.fs).unwrap_or_default(),
        })
    }
}

/// The namespaces of the file system that a file is on, if that is mounted where nobody sees it. Mounts that
/// can be seen tell of it themselves.
fn fs_of(
    file: &File<'_>,
    (place, attachment): (&Place<'_>, Attachment),
    filter: &HoldFilter,
    rcu: &rcu::Guard,
) -> [Option<FsNs>; MAX_FS_NS] {
    if attachment.is_adrift() && filter.keeps_namespaces() {
        // The file of a namespace is told of by itself.
        let is_other = |fs: &FsNs| fs.relation != FsRelation::File;
        file.fs_namespaces(place, rcu).map(|fs| fs.filter(is_other))
    } else {
        Default::default()
    }
}

/// The namespaces of a task, of which its own files say nothing new.
struct OwnIds {
    net: Option<u64>,
    user: Option<u64>,
}

impl OwnIds {
    fn of(task: &Task<'_>) -> Self {
        let nsproxy = task.lock().nsproxy();
        Self {
            net: nsproxy.and_then(|nsproxy| nsproxy.net).map(NsId::id),
            user: task.cred().1.map(NsId::id),
        }
    }
}

/// What a thread may have in common with the main thread of its process.
#[derive(Clone, Copy)]
struct Common {
    files: Option<u64>,
    /// C: `task_struct::real_fs`.
    fs: usize,
    set: SetKey,
    has_mm: bool,
}

impl Common {
    fn of(task: &Task<'_>) -> Self {
        let (_, user) = task.cred();
        let pid = task.pid().and_then(|pid| pid.upid(pid.level())?.ns());
        let lock = task.lock();
        Self {
            files: lock.files_key().map(FilesKey::as_u64),
            fs: lock.fs_key(),
            set: SetKey {
                pid: pid.map_or(0, NsId::id),
                user: user.map_or(0, NsId::id),
                nsproxy: lock.nsproxy_ids(),
            },
            has_mm: lock.mm().is_some(),
        }
    }
}

/// What is to be told of a task: of a main thread all, of another one what it has for itself.
#[derive(Clone, Copy)]
struct Parts {
    files: bool,
    fs: bool,
    mm: bool,
    set: bool,
}

impl Parts {
    fn is_any(&self) -> bool {
        self.files || self.fs || self.mm || self.set
    }
}

/// Where the look at a task goes on.
#[derive(Clone, Copy)]
enum Stage {
    /// At the table of descriptors.
    Files,
    /// At the first descriptor that is this one or more.
    Descriptors(u32),
    /// At the working directory.
    Cwd,
    /// At the root.
    Root,
    /// At the namespaces.
    Namespaces,
    /// At the program.
    Exe,
    /// At the mappings.
    Mappings(Mappings),
}

/// How far a look at mappings went.
#[derive(Clone, Copy)]
struct Mappings {
    /// The address to go on from.
    from: usize,
    /// The file that was looked at last.
    last: usize,
    /// So many are still looked at: others may make more of them for as long as it lasts.
    left: usize,
}

/// A task whose turn it is.
struct Turn<'t> {
    task: &'t HeldTask,
    filter: HoldFilter,
    parts: Parts,
    stage: Stage,
    /// Its number, if it is a thread that is not its process's main thread; 0 otherwise.
    tid: i32,
    /// The namespaces of the main thread.
    main: SetKey,
    /// Which of all holders it is, once it keeps something.
    holder: u32,
    /// The same of its memory, if it may share that.
    mm_holder: u32,
}

impl Collector<'_> {
    /// Adds what processes keep: their main threads, and what other threads have for themselves.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`; `EINTR` if the calling process is being killed.
    pub(super) fn collect_holds(&mut self, processes: &mut [HeldTask]) -> Result {
        let Some(filter) = self.filter.holds else {
            return Ok(());
        };
        for process in processes.iter_mut() {
            process.follow();
        }
        let mut turns = processes.iter().map(|task| Turn::of_process(task, filter));
        let mut turn = turns.next();
        while turn.is_some() {
            self.begin_look()?;
            let rcu = rcu::read_lock();
            let mut threads = None;
            while let Some(now) = &mut turn {
                let task = now.task.task(&rcu);
                if let Stage::Files = now.stage {
                    if !self.filter.has_kind(&task) {
                        turn = turns.next();
                        continue;
                    }
                    now.main = Common::of(&task).set;
                }
                if !self.look(&task, now, &rcu) {
                    break;
                }
                if task.threads() > 1 {
                    threads = Some((task.hold(), Common::of(&task)));
                }
                turn = turns.next();
                if threads.is_some() {
                    break;
                }
            }
            drop(rcu);
            self.collect_tree(filter)?;
            if let Some((process, main)) = threads {
                self.collect_holds_of_threads(process, main, filter)?;
            }
        }
        Ok(())
    }

    /// Adds what threads of a process keep that its main thread does not.
    fn collect_holds_of_threads(
        &mut self,
        process: HeldTask,
        main: Common,
        filter: HoldFilter,
    ) -> Result {
        let tgid = process.tgid();
        let mut walk = TaskWalk::of_threads(process);
        let mut threads = Vec::with_capacity(OWNERS, charged())?;
        let (mut last, mut has_mm) = (main, main.has_mm);
        loop {
            self.visited_holders.reserve(self.budget)?;
            let mut passed = 0_usize;
            let is_end = walk.section(|thread| {
                passed = passed.saturating_add(1);
                let Some(pid) = thread.pid().filter(|_| thread.start_boottime() < self.now) else {
                    return Visit::Next;
                };
                if pid.nr() == tgid {
                    return Visit::Next;
                }
                match self.visited_holders.insert(pid.nr()) {
                    Ok(true) => {}
                    Ok(false) => return Visit::Next,
                    Err(CapacityExceeded) => return Visit::Retry,
                }
                let own = Common::of(thread);
                let parts = Parts {
                    files: own.files.is_some() && own.files != main.files,
                    fs: own.fs != 0 && own.fs != main.fs && own.fs != last.fs,
                    mm: own.has_mm && !has_mm,
                    set: own.set != main.set,
                };
                if parts.is_any() {
                    last = own;
                    has_mm |= own.has_mm;
                    // There is room, as is seen below.
                    let _ = threads.push_within_capacity((thread.hold(), pid.nr(), parts));
                }
                if threads.len() < OWNERS && passed < SECTION_STEPS / STEPS_OF_LOOK {
                    Visit::Next
                } else {
                    Visit::Pause
                }
            })?;
            for (thread, tid, parts) in threads.drain_all() {
                self.collect_holds_of_thread(Turn {
                    parts,
                    tid,
                    main: main.set,
                    ..Turn::of_process(&thread, filter)
                })?;
            }
            if is_end {
                return Ok(());
            }
        }
    }

    /// Adds what a thread keeps, if it is not its process's main thread.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`; `EINTR` if the calling process is being killed.
    pub(super) fn collect_holds_of_one(&mut self, thread: &HeldTask, tid: i32) -> Result {
        let Some(filter) = self.filter.holds else {
            return Ok(());
        };
        let rcu = rcu::read_lock();
        let task = thread.task(&rcu);
        // Only as long as it has a number its main thread is certain to be there.
        let main = task.pid().map(|_| Common::of(&task.leader()).set);
        drop(rcu);
        let Some(main) = main else {
            return Ok(());
        };
        self.collect_holds_of_thread(Turn {
            tid,
            main,
            ..Turn::of_process(thread, filter)
        })
    }

    fn collect_holds_of_thread(&mut self, mut turn: Turn<'_>) -> Result {
        loop {
            self.begin_look()?;
            let rcu = rcu::read_lock();
            let is_end = self.look(&turn.task.task(&rcu), &mut turn, &rcu);
            drop(rcu);
            self.collect_tree(turn.filter)?;
            if is_end {
                return Ok(());
            }
        }
    }

    /// Notes the namespaces of a process that began later than the snapshot: it keeps them all the same.
    pub(super) fn note_late(&mut self, task: &Task<'_>) -> Result<(), CapacityExceeded> {
        self.steps = self.steps.saturating_add(1);
        let set = NamespaceSet {
            pid: None,
            user: task.cred().1,
            nsproxy: task.lock().nsproxy(),
        };
        for ns in set.all() {
            self.tasks.holds.late.find_or_push(ns.id(), || ns)?;
        }
        Ok(())
    }

    /// Makes room for the next section.
    fn begin_look(&mut self) -> Result {
        self.begin_section()?;
        self.shared.reserve(self.budget)?;
        self.trees.ids.reserve(self.budget)
    }

    /// Notes that a descriptor leads to a mount tree that is in no namespace, unless it is known.
    fn note_tree(
        &mut self,
        task: &Task<'_>,
        look: &Look<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), CapacityExceeded> {
        let mount = look
            .place
            .filter(|_| look.fd != NONE)
            .map(|place| place.mount());
        let Some((id, mount)) = mount.and_then(|mount| Some((mount.tree_id()?, mount.id()))) else {
            return Ok(());
        };
        if !turn.filter.keeps_mounts() || self.trees.ids.find(&id.id()).is_some() {
            return Ok(());
        }
        let holder = turn.holder(&mut self.tasks.holds)?;
        self.trees.ids.find_or_push(id.id(), || id)?;
        self.trees.pending = Some(PendingTree {
            task: task.hold(),
            fd: look.fd,
            mount,
            holder,
        });
        Ok(())
    }

    /// Adds the other mounts of the tree that was noted: they are kept by the first descriptor that leads
    /// to it.
    fn collect_tree(&mut self, filter: HoldFilter) -> Result {
        let Some(tree) = self.trees.pending.take() else {
            return Ok(());
        };
        let (mut from, mut left) = (Some(0), None);
        while let Some(next) = from {
            self.begin_look()?;
            let Some(file) = tree.open() else {
                break;
            };
            from = self.collect_branch(&tree, &file, (next, &mut left), filter);
        }
        Ok(())
    }

    /// Adds mounts of a tree from one with an id on, as long as there is room, and counts down how many are
    /// left; says where to go on.
    fn collect_branch(
        &mut self,
        tree: &PendingTree,
        file: &FileRef,
        (from, left): (u64, &mut Option<usize>),
        filter: HoldFilter,
    ) -> Option<u64> {
        let sem = self.mount_ops.lock_tree(file, from)?;
        let rcu = rcu::read_lock();
        // Others may add to it for as long as it is read.
        let left = left.get_or_insert_with(|| sem.len().saturating_mul(2));
        let mut passed = 0_usize;
        for mount in sem.mounts() {
            let id = mount.id();
            if self.steps >= SECTION_STEPS || passed >= TREE_BATCH {
                return Some(id);
            }
            passed = passed.saturating_add(1);
            if *left == 0 {
                return None;
            }
            self.steps = self.steps.saturating_add(STEPS_OF_LOOK);
            let place = mount
                .root_place(&rcu)
                .filter(|place| filter.keeps_place(place, Attachment::Anonymous));
            if let Some(place) = place.filter(|_| id != tree.mount) {
                let added = self
                    .tasks
                    .holds
                    .check_room()
                    .and_then(|()| self.add_dir(&place));
                let added = added.and_then(|dir| {
                    let (held, by) = (Held::Mount(dir), HeldBy::Fd(tree.fd));
                    self.tasks.holds.push(held, by, tree.holder)
                });
                if added.is_err() {
                    return Some(id);
                }
            }
            *left = left.saturating_sub(1);
        }
        None
    }

    /// Looks at a task until all is told, or until the section has lasted long enough or there is no more
    /// room; says whether all is told.
    fn look<'g>(&mut self, task: &Task<'g>, turn: &mut Turn<'_>, rcu: &'g rcu::Guard) -> bool {
        while self.steps < SECTION_STEPS && self.trees.pending.is_none() {
            self.steps = self.steps.saturating_add(STEPS_OF_LOOK);
            match self.look_at_stage(task, turn, rcu) {
                Ok(Some(next)) => turn.stage = next,
                Ok(None) => return true,
                Err(CapacityExceeded) => return false,
            }
        }
        false
    }

    /// Looks at one part of what a task has, and says where to go on. If it fails, the part, or the rest of
    /// it as the stage says then, is looked at again.
    fn look_at_stage<'g>(
        &mut self,
        task: &Task<'g>,
        turn: &mut Turn<'_>,
        rcu: &'g rcu::Guard,
    ) -> Result<Option<Stage>, CapacityExceeded> {
        let filter = turn.filter;
        let next = match turn.stage {
            Stage::Files => {
                if turn.parts.files && self.is_new_table(task, turn, rcu)? {
                    Stage::Descriptors(0)
                } else {
                    Stage::Cwd
                }
            }
            Stage::Descriptors(from) => match self.look_at_descriptors(task, from, turn, rcu)? {
                Some(from) => Stage::Descriptors(from),
                None => Stage::Cwd,
            },
            Stage::Cwd => {
                if turn.parts.fs {
                    self.look_at_directory(task, HeldBy::Cwd, turn, rcu)?;
                }
                Stage::Root
            }
            Stage::Root => {
                if turn.parts.fs {
                    self.look_at_directory(task, HeldBy::Root, turn, rcu)?;
                }
                Stage::Namespaces
            }
            Stage::Namespaces => {
                if turn.parts.set && filter.keeps_namespaces() {
                    self.look_at_namespaces(task, turn)?;
                }
                if !turn.parts.mm {
                    return Ok(None);
                }
                Stage::Exe
            }
            Stage::Exe => {
                let Some(mm) = task.lock().mm().map(|mm| mm.key()) else {
                    return Ok(None);
                };
                if mm.users > task.threads() && !self.is_new_mm(task, mm, turn, rcu)? {
                    return Ok(None);
                }
                let (exe, count) = {
                    let lock = task.lock();
                    let mm = lock.mm();
                    (
                        mm.as_ref().and_then(|mm| mm.exe(rcu)),
                        mm.map_or(0, |mm| mm.map_count()),
                    )
                };
                let look = exe.and_then(|exe| Look::at_mapped(&exe.file(), &filter, rcu));
                if let Some(look) = look {
                    self.add_look(&look, HeldBy::Exe, turn)?;
                }
                Stage::Mappings(Mappings {
                    from: 0,
                    last: 0,
                    left: count.saturating_mul(2).saturating_add(MAPPINGS),
                })
            }
            Stage::Mappings(Mappings { from, last, left }) => {
                let found = {
                    let lock = task.lock();
                    let mm = lock.mm();
                    mm.and_then(|mm| mm.next_mapped_file(from, last, left.min(MAPPINGS), rcu))
                };
                let Some(found) = found else {
                    return Ok(None);
                };
                self.steps = self.steps.saturating_add(found.count);
                let file = found.file.as_ref().map(FileRef::file);
                let look = file.and_then(|file| Look::at_mapped(&file, &filter, rcu));
                if let Some(look) = look {
                    self.add_look(&look, HeldBy::Map, turn)?;
                }
                match left.saturating_sub(found.count) {
                    0 => return Ok(None),
                    left => Stage::Mappings(Mappings {
                        from: found.next,
                        last: found.last,
                        left,
                    }),
                }
            }
        };
        Ok(Some(next))
    }

    /// Whether the descriptors of a task are those of nobody whose were read before. If they are, it is
    /// noted that it has them as well.
    fn is_new_table(
        &mut self,
        task: &Task<'_>,
        turn: &mut Turn<'_>,
        rcu: &rcu::Guard,
    ) -> Result<bool, CapacityExceeded> {
        let key = task.lock().files_key();
        let Some(key) = key.filter(|key| key.is_shared) else {
            return Ok(key.is_some());
        };
        self.tasks.holds.holders.check_room(1)?;
        let holder = turn.holder(&mut self.tasks.holds)?;
        let has = |task: &Task<'_>| task.lock().files_key().map(FilesKey::as_u64);
        self.is_new(key.as_u64(), holder, task, has, rcu)
    }

    /// The same of the memory.
    fn is_new_mm(
        &mut self,
        task: &Task<'_>,
        mm: MmKey,
        turn: &mut Turn<'_>,
        rcu: &rcu::Guard,
    ) -> Result<bool, CapacityExceeded> {
        // CAST: Addresses are even, so that these are none of the others.
        let key_of = |mm: MmKey| mm.address as u64 | 1;
        let has = |task: &Task<'_>| task.lock().mm().map(|mm| key_of(mm.key()));
        if turn.mm_holder == NONE {
            turn.mm_holder = self.tasks.holds.holders.push(Holder::of(turn, true))?;
        }
        self.is_new(key_of(mm), turn.mm_holder, task, has, rcu)
    }

    /// Whether what has this key is what nobody has whose was read before; `has` says which one a task has.
    fn is_new(
        &mut self,
        key: u64,
        holder: u32,
        task: &Task<'_>,
        has: impl Fn(&Task<'_>) -> Option<u64>,
        rcu: &rcu::Guard,
    ) -> Result<bool, CapacityExceeded> {
        let (shared, holds) = (&mut self.shared, &mut self.tasks.holds);
        let known = shared.find(&key);
        let Some(known) = known.and_then(|known| shared.items_mut().get_mut(known)) else {
            shared.check_room(1)?;
            shared.find_or_push(key, || Shared {
                key,
                owner: task.hold(),
                holder,
                readings: 1,
            })?;
            return Ok(true);
        };
        if has(&known.owner.task(rcu)) != Some(key) && known.readings < MAX_READINGS {
            // That one is gone, or this one is another one, in the same place in memory.
            known.holder = holder;
            known.owner = task.hold();
            known.readings = known.readings.saturating_add(1);
            return Ok(true);
        }
        if known.owner.tgid() == task.tgid() {
            return Ok(false);
        }
        let Some(first) = holds.holders.get_mut(known.holder) else {
            return Ok(false);
        };
        if first.sharers == NONE {
            first.sharers = holds.sharers.push(Sharers {
                pids: [0; MAX_SHARERS],
                count: 0,
            })?;
        }
        if let Some(sharers) = holds.sharers.get_mut(first.sharers) {
            sharers.add(task.tgid());
        }
        Ok(false)
    }

    /// Looks at some descriptors, from one on, and says where to go on; `None` at the end.
    fn look_at_descriptors<'g>(
        &mut self,
        task: &Task<'g>,
        from: u32,
        turn: &mut Turn<'_>,
        rcu: &'g rcu::Guard,
    ) -> Result<Option<u32>, CapacityExceeded> {
        let own = OwnIds::of(task);
        let mut looks = [const { None }; LOOKS];
        let mut places = looks.iter_mut();
        let mut place = places.next();
        let mut words = WORDS;
        let mut at = from;
        let mut passed = 0_usize;
        let lock = task.lock();
        let Some(table) = lock.descriptors() else {
            return Ok(None);
        };
        let is_end = loop {
            if passed >= DESCRIPTORS || place.is_none() {
                break false;
            }
            match table.next(at, &mut words) {
                Next::Open(fd, file) => {
                    passed = passed.saturating_add(1);
                    at = fd.saturating_add(1);
                    if let Some(look) = Look::at_file(fd, &file, &own, &turn.filter, rcu) {
                        if let Some(place) = place.take() {
                            *place = Some(look);
                        }
                        place = places.next();
                    }
                }
                Next::Later(later) => {
                    at = later;
                    break false;
                }
                Next::End => break true,
            }
        };
        drop(table);
        drop(lock);
        self.steps = self
            .steps
            .saturating_add(passed.saturating_mul(STEPS_OF_LOOK));
        for look in looks.iter().flatten() {
            // The mounts of a tree are told of behind the descriptor that leads to it.
            let is_turn = match self.trees.pending {
                None => Ok(()),
                Some(_) => Err(CapacityExceeded),
            };
            let added = is_turn
                .and_then(|()| self.note_tree(task, look, turn))
                .and_then(|()| self.add_look(look, HeldBy::Fd(look.fd), turn));
            if let Err(e) = added {
                turn.stage = Stage::Descriptors(look.fd);
                return Err(e);
            }
        }
        Ok((!is_end).then_some(at))
    }

    /// Looks at the working directory, or at the root.
    fn look_at_directory<'g>(
        &mut self,
        task: &Task<'g>,
        by: HeldBy,
        turn: &mut Turn<'_>,
        rcu: &'g rcu::Guard,
    ) -> Result<(), CapacityExceeded> {
        let filter = turn.filter;
        let (place, fs) = {
            let lock = task.lock();
            let Some((places, namespaces)) = lock.places_and_fs(rcu) else {
                return Ok(());
            };
            match by {
                HeldBy::Cwd => (places.cwd, namespaces.cwd),
                _ => (places.root, namespaces.root),
            }
        };
        let attachment = place.mount().attachment();
        // Mounts that can be seen tell of it themselves.
        let is_other = |fs: &FsNs| attachment.is_adrift() && fs.relation != FsRelation::File;
        let fs = fs.map(|fs| fs.filter(is_other));
        match Look::at_place(place, attachment, fs, &filter) {
            Some(look) => self.add_look(&look, by, turn),
            None => Ok(()),
        }
    }

    fn look_at_namespaces(
        &mut self,
        task: &Task<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), CapacityExceeded> {
        let (_, user) = task.cred();
        let pid = task.pid();
        let pid_ns = pid.and_then(|pid| pid.upid(pid.level())?.ns());
        let nsproxy = task.lock().nsproxy();
        let set = NamespaceSet {
            pid: pid_ns,
            user,
            nsproxy,
        };
        let filter = turn.filter;
        self.tasks.holds.check_room()?;
        let holds = &mut self.tasks.holds;
        if turn.tid != 0 {
            let nsproxy = turn.main.nsproxy;
            for ns in set.own().into_iter().flatten() {
                let is_main = nsproxy.contains(&ns.id()) || ns.id() == turn.main.user;
                if !is_main && Some(ns) != set.pid && filter.keeps_ns(ns) {
                    let holder = turn.holder(holds)?;
                    holds.push_ns(ns, HeldBy::Thread, holder)?;
                }
            }
        }
        for ns in set.of_children().into_iter().flatten() {
            if !set.is_in(ns) && filter.keeps_ns(ns) {
                let holder = turn.holder(holds)?;
                holds.push_ns(ns, HeldBy::ForChildren, holder)?;
            }
        }
        if let (Some(pid), Some(ns)) = (pid, pid_ns) {
            let is_left = task.state() == b'Z' && task.threads() < 2 && !ns.is_initial();
            if is_left && filter.keeps_ns(ns) {
                let by = HeldBy::Zombie {
                    parent: task.ppid(&pid),
                    tracer: task.tracer(&pid).unwrap_or(0),
                };
                let holder = turn.holder(holds)?;
                holds.push_ns(ns, by, holder)?;
            }
        }
        Ok(())
    }

    /// Adds what a look found, all or nothing. What is `by` is the mount, or the device, that it is on.
    fn add_look(
        &mut self,
        look: &Look<'_>,
        by: HeldBy,
        turn: &mut Turn<'_>,
    ) -> Result<(), CapacityExceeded> {
        self.tasks.holds.check_room()?;
        let place = match &look.place {
            Some(place) => self.add_dir(place)?,
            None => NONE,
        };
        let (tasks, fd) = (&mut *self.tasks, look.fd);
        let holder = turn.holder_by(by, &mut tasks.holds)?;
        // From here on there is room for all.
        if look.is_place_told {
            let is_known = match (by, tasks.dirs.items_mut().get_mut(place)) {
                (HeldBy::Map, Some(dir)) => {
                    core::mem::replace(&mut dir.mapped_by, holder) == holder
                }
                _ => false,
            };
            if !is_known {
                tasks.holds.push(Held::Mount(place), by, holder)?;
            }
        }
        match look.kind {
            FileKind::Namespace(ns) => tasks.holds.push_ns(ns, HeldBy::Fd(fd), holder)?,
            FileKind::Pidfd { ns, of } => {
                tasks.holds.push_ns(ns, HeldBy::Pidfd(fd, of), holder)?;
            }
            FileKind::Socket(net) => tasks.holds.push_ns(net, HeldBy::Socket(fd), holder)?,
            FileKind::BlockDevice(major, minor) => {
                // CAST: A major number has 12 bits.
                let major = major as u16;
                let held = Held::BlockDevice {
                    major,
                    minor,
                    place,
                };
                tasks.holds.push(held, HeldBy::Fd(fd), holder)?;
            }
            FileKind::Other => {}
        }
        if let Some(ns) = look.user_ns {
            tasks.holds.push_ns(ns, HeldBy::Cred(fd), holder)?;
        }
        for fs in look.fs.iter().flatten() {
            let by = HeldBy::Fs {
                fd: Some(fd).filter(|fd| *fd != NONE),
                place,
                relation: fs.relation,
            };
            tasks.holds.push_ns(fs.ns, by, holder)?;
        }
        Ok(())
    }
}

impl<'t> Turn<'t> {
    /// That of a main thread, of which all is told.
    fn of_process(task: &'t HeldTask, filter: HoldFilter) -> Self {
        Self {
            task,
            filter,
            parts: Parts {
                files: true,
                fs: true,
                mm: filter.keeps_mounts(),
                set: true,
            },
            stage: Stage::Files,
            tid: 0,
            main: SetKey {
                pid: 0,
                user: 0,
                nsproxy: [0; 8],
            },
            holder: NONE,
            mm_holder: NONE,
        }
    }

    /// Which of all holders it is.
    fn holder(&mut self, holds: &mut Holds) -> Result<u32, CapacityExceeded> {
        if self.holder == NONE {
            self.holder = holds.holders.push(Holder::of(self, false))?;
        }
        Ok(self.holder)
    }

    /// Which of all holders it is, by what keeps something.
    fn holder_by(&mut self, by: HeldBy, holds: &mut Holds) -> Result<u32, CapacityExceeded> {
        match by {
            HeldBy::Exe | HeldBy::Map if self.mm_holder != NONE => Ok(self.mm_holder),
            _ => self.holder(holds),
        }
    }
}
