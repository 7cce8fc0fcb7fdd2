// SPDX-License-Identifier: GPL-2.0

//! One consistent picture of tasks, namespaces and mounts, as plain data.
//!
//! The picture is small: each name is in it once, and what many records have in common as well. It
//! holds no reference into the kernel. Text is made of it in [`crate::render`].
//!
//! * [`budget`] bounds the memory that it takes.
//! * [`store`] is memory that can be filled where nothing may be allocated.
//! * [`paths`] keeps path names, [`ancestry`] the things that lie below one another, [`numbers`] sets of
//!   process numbers.
//! * [`tasks`] walks processes and threads, and what they keep, [`mounts`] reads mount lists, [`ns_holds`] is
//!   what keeps namespaces besides.

#![deny(unsafe_code)]

mod ancestry;
mod budget;
mod copies;
mod mounts;
mod ns_holds;
mod numbers;
mod paths;
mod store;
mod tasks;

use crate::query::{
    Query,
    Show, //
};
use crate::sys::{
    id_map::IdExtent,
    memory::{
        self,
        Box, //
    },
    mount::{
        self,
        MountOps,
        Options,
        OwnMountinfo, //
    },
    namespace::{
        Detail,
        Kind,
        List,
        Namespace,
        NsId, //
    },
    path::{
        NameBuf,
        PathRef, //
    },
    system, //
};
use budget::Budget;
use copies::Copies;
use kernel::{
    fs::LocalFile,
    prelude::*, //
};
use mounts::{
    MountFilter,
    MountLists, //
};
pub(crate) use mounts::{
    MountRecord,
    Reach, //
};
use ns_holds::NsHolds;
pub(crate) use ns_holds::{
    ChildHold,
    MountHold, //
};
use paths::PathTree;
pub(crate) use paths::{
    PathBuf,
    PathId, //
};
use store::{
    ChunkedVec,
    HashKey,
    StringId,
    StringPool, //
};
use tasks::{
    Collector,
    Filter,
    HoldFilter,
    NsIdSet, //
};
pub(crate) use tasks::{
    DirRecord,
    Held,
    HeldBy,
    HeldPlace,
    HoldRecord,
    LevelNumbers,
    Levels,
    NamespaceSet,
    TaskRecord,
    Tasks, //
};

/// Where the kernel keeps what a snapshot shows, and how it is to be taken.
pub(crate) struct Sources {
    namespaces: List,
    mounts: MountOps,
    /// The kernel's own function writes the lines of mounts.
    kernel_lines: bool,
    /// The most memory that a snapshot may take, in bytes; 0 for the default.
    max_memory: u64,
    key: HashKey,
}

impl Sources {
    /// Finds them. A snapshot may take `max_memory` bytes; 0 stands for the default.
    ///
    /// # Errors
    ///
    /// `ENODEV` if this kernel is not one that the module knows; `ENOMEM`.
    pub(crate) fn find(max_memory: u64) -> Result<Self> {
        Ok(Self {
            namespaces: List::find().inspect_err(|_| {
                pr_err!("the list of all namespaces is not where it is known to be\n")
            })?,
            mounts: MountOps::find().inspect_err(|e| {
                if *e == ENODEV {
                    pr_err!("the mountinfo of this process is not what it is known to be\n")
                }
            })?,
            kernel_lines: false,
            max_memory,
            key: HashKey::random(),
        })
    }

    /// Has the kernel's own function write all lines of mounts that it can.
    pub(crate) fn let_kernel_write_lines(&mut self) {
        self.kernel_lines = true;
    }

    /// The most memory that a snapshot takes, in bytes.
    pub(crate) fn max_memory(&self) -> u64 {
        Budget::limit(self.max_memory)
    }
}

/// A namespace.
pub(crate) struct NsRecord {
    pub(crate) kind: Kind,
    pub(crate) id: NsId,
    pub(crate) owner: Option<NsId>,
    /// Processes in it; `None` if not all processes were looked at.
    pub(crate) tasks: Option<u32>,
    pub(crate) refs: i64,
    pub(crate) active: i32,
    pub(crate) detail: Detail,
    /// Which of all cgroups is a cgroup namespace's root.
    cgroup_root: Option<u32>,
    /// Where the maps of a user namespace stand among all extents: those of user ids, and behind them
    /// those of group ids.
    id_maps: IdMaps,
    /// The 64-bit id of a mount namespace's root mount.
    pub(crate) root_mount: Option<u64>,
    /// The list of its mounts changed while it was read.
    pub(crate) is_torn: bool,
}

/// How many holds there are, in the order in which they are shown.
#[derive(Clone, Copy)]
pub(crate) struct HoldCounts {
    /// By processes.
    pub(crate) processes: usize,
    /// Of devices, by mounts.
    pub(crate) mounts: usize,
    /// Of namespaces, by mounts.
    pub(crate) ns_mounts: usize,
    /// Of namespaces, by namespaces.
    pub(crate) children: usize,
    /// Of namespaces, by nothing that was found.
    pub(crate) unknown: usize,
}

impl HoldCounts {
    /// All of them.
    pub(crate) fn total(&self) -> usize {
        self.processes
            .saturating_add(self.mounts)
            .saturating_add(self.ns_mounts)
            .saturating_add(self.children)
            .saturating_add(self.unknown)
    }
}

/// Which of [`Snapshot::id_extents`] a user namespace has.
#[derive(Clone, Copy, Default)]
struct IdMaps {
    first: u32,
    uids: u32,
    gids: u32,
}

/// The picture.
pub(crate) struct Snapshot {
    /// Nanoseconds since boot when it was begun.
    pub(crate) uptime: u64,
    show: Show,
    tasks: Box<Tasks>,
    namespaces: ChunkedVec<NsRecord>,
    mounts: ChunkedVec<MountRecord>,
    id_extents: ChunkedVec<IdExtent>,
    ns_holds: Box<NsHolds>,
    /// Which holds are shown, if any are; and whether those by mounts, and by namespaces, are.
    holds: Option<(HoldFilter, bool)>,
    strings: StringPool,
    paths: PathTree,
}

/// What a query asks for, once it is known what the inode numbers in it mean.
struct Subject<'a> {
    /// The namespace that was asked for.
    ns: Option<NsId>,
    /// Mount namespaces with a mount that was asked for.
    mnt: Option<&'a NsIdSet>,
    /// The namespaces of the process that was asked for; with `None` in it, there is no such process.
    set: Option<Option<NamespaceSet>>,
    /// What [`NamespaceSet::bits`] says of these.
    bits: u64,
    /// The mounts that are copies, if that is to be told.
    copies: Option<&'a Copies>,
    /// The namespaces to which there are references for as long as the snapshot is taken.
    held: [Option<NsId>; 2],
}

impl Subject<'_> {
    /// Whether a namespace is shown, or its mounts.
    fn has(&self, id: NsId) -> bool {
        // All namespaces come by here, and few of them are those of one process.
        if self.bits & tasks::bit(id) == 0 {
            return false;
        }
        self.ns.is_none_or(|ns| ns == id)
            && self.mnt.is_none_or(|mnt| mnt.find(&id.id()).is_some())
            && self
                .set
                .is_none_or(|set| set.is_some_and(|set| set.refers_to(id)))
    }

    /// How many references to a namespace there are for as long as the snapshot is taken.
    fn references_to(&self, id: NsId) -> u8 {
        let is_it = |held: &Option<NsId>| u8::from(*held == Some(id));
        self.held.iter().map(is_it).fold(0, u8::wrapping_add)
    }

    /// Whether the mounts of a namespace are shown.
    fn has_mounts(&self, id: NsId) -> bool {
        self.set
            .is_none_or(|set| set.and_then(|set| set.mnt()) == Some(id))
    }
}

impl Snapshot {
    /// Takes one of what `query` asks for, on behalf of the reader who opened `file`.
    ///
    /// Processes come first, then namespaces and their mounts: so a namespace that a process was seen
    /// in is among the namespaces unless both ended meanwhile.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG` if it would take more memory than it may; `EINTR` if the calling process is
    /// being killed.
    #[inline(never)]
    pub(crate) fn take(sources: &Sources, query: &Query, file: &LocalFile) -> Result<Box<Self>> {
        let budget = Budget::new(sources.max_memory());
        let uptime = system::uptime();
        let is_one = query.pid.is_some() || query.upid.is_some();
        let show = query.show();
        let show_all = Show {
            // It was asked for, as if it were a process.
            threads: show.threads || query.show.is_none() && is_one,
            ..show
        };
        let mut snapshot = Self::empty(uptime, show_all, sources.key)?;
        // What the numbers in the query mean now, they mean throughout: while there are references to
        // the namespaces, no others get their inode numbers.
        let find = |kind, inum| sources.namespaces.find_by_inum(kind, inum);
        let ns = query.ns.map(|inum| find(None, inum)).transpose()?;
        let upid_ns = query
            .upid
            .map(|upid| find(Some(Kind::Pid), upid.ns))
            .transpose()?;
        if matches!(ns, Some(None)) || matches!(upid_ns, Some(None)) {
            return Ok(snapshot);
        }
        let (ns, upid_ns) = (ns.flatten(), upid_ns.flatten());
        let mounts = MountFilter::of(query);
        let tells_copies = query.dev.is_some() || show.originals;
        let (mut mnt, mut copies) = (None, None);
        if tells_copies || !mounts.is_all() {
            let all = sources.namespaces.collect(|kind, _| kind == Kind::Mnt)?;
            budget.take::<Namespace>(all.len())?;
            if tells_copies {
                let places = (&sources.mounts, &*all);
                copies = Some(Copies::find(places, mounts, sources.key, &budget)?);
            }
            if !mounts.is_all() {
                let but = copies.as_ref().filter(|_| show.originals);
                mnt = Some(sources.mnt_namespaces_with(&all, mounts, but, &budget)?);
            }
            budget.give_back::<Namespace>(all.len());
        }
        let mut subject = Subject {
            ns: ns.as_ref().and_then(Namespace::id),
            mnt: mnt.as_ref(),
            set: None,
            bits: u64::MAX,
            copies: copies.as_ref(),
            held: [&ns, &upid_ns].map(|held| held.as_ref().and_then(Namespace::id)),
        };
        let filter = Filter {
            ns: subject.ns,
            mnt: subject.mnt,
            threads: show.threads,
            records: is_one || show.tasks || show.threads,
            kind: query.kind,
            holds: show.holds.then_some(HoldFilter {
                ns: subject.ns,
                mounts,
            }),
        };
        snapshot.holds = filter.holds.map(|holds| (holds, !is_one));
        // What is made later is kept by somebody who is not looked at.
        let last_id = show.holds.then(|| sources.namespaces.last_id());
        let mut names = NameBuf::new()?;
        let asked = (sources, query, &budget);
        let root = snapshot.add_tasks(asked, &mut names, upid_ns.as_ref(), filter)?;
        if is_one {
            let only = snapshot.tasks.only();
            let set = only.and_then(|task| snapshot.tasks.set(task.set)).copied();
            subject.bits = set.map_or(0, |set| set.bits());
            subject.set = Some(set);
        }
        if show.ns || show.mounts || show.holds && !is_one {
            snapshot.add_namespaces(
                asked,
                &mut names,
                (&subject, last_id),
                (root.as_ref(), file),
            )?;
        }
        // So that no file system stays busy for as long as the text is read.
        drop(root);
        if is_one {
            // Only now: what refers to it may be kept where it is not.
            snapshot.tasks.retain(filter);
        }
        let Self {
            tasks,
            namespaces,
            ns_holds,
            paths,
            strings,
            ..
        } = &mut *snapshot;
        tasks.forget_replaced(namespaces, sources.key, &budget)?;
        tasks.resolve(paths, strings, &budget)?;
        ns_holds.find_unknown(tasks, sources.key, &budget)?;
        Ok(snapshot)
    }

    /// One of nothing, in memory of its own.
    #[inline(never)]
    fn empty(uptime: u64, show: Show, key: HashKey) -> Result<Box<Self>> {
        let this = Self {
            uptime,
            show,
            tasks: Tasks::new(key)?,
            namespaces: ChunkedVec::new(4),
            mounts: ChunkedVec::new(16),
            id_extents: ChunkedVec::new(0),
            ns_holds: Box::new(NsHolds::new(), memory::charged())?,
            holds: None,
            strings: StringPool::new(key),
            paths: PathTree::new(key),
        };
        Ok(Box::new(this, memory::charged())?)
    }

    /// Takes one of the first `max_mounts` mounts of the calling thread's mount namespace, whose lines
    /// the kernel writes, if `by_kernel` says so.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`; `EINTR` if the calling process is being killed.
    pub(crate) fn of_own_mounts(
        sources: &Sources,
        by_kernel: bool,
        max_mounts: usize,
    ) -> Result<Box<Self>> {
        // Whatever a reader may take: that would do for no mount at all.
        let budget = Budget::new(Budget::limit(0));
        let mut snapshot = Self::empty(system::uptime(), Query::EVERYTHING.show(), sources.key)?;
        let own = mount::own_namespace();
        let namespaces = sources.namespaces.collect(|_, id| Some(id) == own)?;
        let Some(namespace) = namespaces.first() else {
            return Ok(snapshot);
        };
        let (Some(mnt), Some(id)) = (namespace.as_mnt(), namespace.id()) else {
            return Ok(snapshot);
        };
        let file = OwnMountinfo::open()?;
        let options = Options::of_system(false, by_kernel);
        let mut names = NameBuf::new()?;
        let mut lists = MountLists::new(
            &sources.mounts,
            file.file(),
            &mut names,
            options,
            &budget,
            sources.key,
        );
        lists.max_mounts = max_mounts;
        let Self {
            mounts,
            strings,
            paths,
            ..
        } = &mut *snapshot;
        let head = lists.read((namespace, mnt), 0, mounts, strings, paths)?;
        let record = NsRecord {
            kind: Kind::Mnt,
            id,
            owner: None,
            tasks: None,
            refs: 0,
            active: 0,
            detail: head.detail,
            cgroup_root: None,
            id_maps: IdMaps::default(),
            root_mount: head.root,
            is_torn: head.is_torn,
        };
        snapshot.namespaces.add(record, &budget)?;
        Ok(snapshot)
    }

    /// Adds the processes and threads that a query asks for. If it asks for one, returns its root.
    #[inline(never)]
    fn add_tasks(
        &mut self,
        (sources, query, budget): (&Sources, &Query, &Budget),
        names: &mut NameBuf,
        upid_ns: Option<&Namespace>,
        filter: Filter<'_>,
    ) -> Result<Option<PathRef>> {
        let is_one = query.pid.is_some() || query.upid.is_some();
        let show = query.show();
        let all = Filter {
            ns: None,
            mnt: None,
            ..filter
        };
        let filter = if is_one { all } else { filter };
        // Without namespaces, which say how many processes they have, they are of no use.
        if !(is_one || show.ns || show.tasks || show.threads || show.holds) {
            return Ok(None);
        }
        let strings = &mut self.strings;
        let collector = Collector::new(
            &mut self.tasks,
            strings,
            (names, &sources.mounts),
            (budget, sources.key),
            filter,
        );
        let Some(nr) = query.upid.map(|upid| upid.nr).or(query.pid) else {
            collector.collect_all(self.uptime)?;
            if show.ns {
                self.tasks.count(filter.ns, budget)?;
            }
            return Ok(None);
        };
        let root = collector.collect_one(nr, upid_ns, self.uptime)?;
        // The same process must have both numbers, if both were asked for.
        let number = self
            .tasks
            .only()
            .and_then(|task| self.tasks.levels(task).numbers.first())
            .map(|numbers| numbers.nr);
        if query.pid.is_some_and(|pid| number != Some(pid)) {
            self.tasks = Tasks::new(sources.key)?;
            return Ok(None);
        }
        Ok(root)
    }

    /// Adds the namespaces that a query asks for, and their mounts.
    #[inline(never)]
    fn add_namespaces(
        &mut self,
        (sources, query, budget): (&Sources, &Query, &Budget),
        names: &mut NameBuf,
        (subject, last_id): (&Subject<'_>, Option<u64>),
        (root, file): (Option<&PathRef>, &LocalFile),
    ) -> Result {
        let show = self.show;
        let holds = self
            .holds
            .filter(|(_, is_all)| *is_all)
            .map(|(holds, _)| holds);
        let ns_holds = holds.filter(HoldFilter::keeps_namespaces);
        let is_shown = |kind, id| (show.ns || kind == Kind::Mnt) && subject.has(id);
        // The references to namespaces are dropped when this is done, or failed. Any of them may keep
        // another one.
        let namespaces = sources
            .namespaces
            .collect(|kind, id| ns_holds.is_some() || is_shown(kind, id))?;
        budget.take::<Namespace>(namespaces.len())?;
        self.namespaces.reserve_more(namespaces.len(), budget)?;
        let options = Options::of_system(query.propagate_from, sources.kernel_lines);
        let mut lists = MountLists::new(&sources.mounts, file, names, options, budget, sources.key);
        lists.filter = MountFilter::of(query);
        lists.root = root;
        lists.copies = subject.copies;
        lists.only_originals = show.originals;
        // Of one namespace, the mounts that lead to it are others than those that are shown.
        let has_own_lists = ns_holds.is_some_and(|holds| holds.ns.is_some());
        lists.holds = ns_holds.filter(|_| !has_own_lists);
        let reads_mounts = show.mounts || holds.is_some() && !has_own_lists;
        for namespace in &namespaces {
            let Some(id) = namespace.id() else {
                continue;
            };
            if let Some(holds) = &ns_holds {
                self.ns_holds.add_child(namespace, holds, budget)?;
                let is_old = last_id.is_some_and(|last| id.id() <= last);
                if is_old && !id.is_initial() && holds.keeps_ns(id) {
                    self.ns_holds.add_kept(id, namespace.active(), budget)?;
                }
            }
            if !is_shown(namespace.kind(), id) {
                continue;
            }
            let mut record = NsRecord {
                kind: namespace.kind(),
                id,
                owner: namespace.owner(),
                tasks: subject.set.is_none().then(|| self.tasks.count_in(id)),
                refs: namespace.refs(subject.references_to(id)),
                active: namespace.active(),
                detail: Detail::Other,
                cgroup_root: self.tasks.add_cgroup_root(
                    namespace,
                    &mut self.strings,
                    lists.names,
                    budget,
                )?,
                id_maps: IdMaps::default(),
                root_mount: None,
                is_torn: false,
            };
            if let Some(mnt) = namespace.as_mnt() {
                // All that the record says about the mounts is of one moment.
                let head = if reads_mounts && subject.has_mounts(id) {
                    // CAST: There are no more than an index can say.
                    let ns = self.namespaces.len() as u32;
                    let mounts = &mut self.mounts;
                    let begin = mounts.len();
                    let head = lists.read(
                        (namespace, mnt),
                        ns,
                        mounts,
                        &mut self.strings,
                        &mut self.paths,
                    )?;
                    lists.add_holds(begin, mounts, &mut self.ns_holds.by_mount)?;
                    head
                } else {
                    lists.head(namespace, mnt)
                };
                record.detail = head.detail;
                record.root_mount = head.root;
                record.is_torn = head.is_torn;
            } else {
                record.detail = namespace.detail();
                if let Some((uids, gids)) = namespace.id_maps() {
                    // CAST: There are no more than an index can say.
                    record.id_maps.first = self.id_extents.len() as u32;
                    let IdMaps {
                        uids: of_uids,
                        gids: of_gids,
                        ..
                    } = &mut record.id_maps;
                    for (map, len) in [(uids, of_uids), (gids, of_gids)] {
                        for extent in map.iter() {
                            self.id_extents.add(extent, budget)?;
                            *len = len.saturating_add(1);
                        }
                    }
                }
            }
            self.namespaces.add(record, budget)?;
        }
        if let Some((holds, ns)) = ns_holds.and_then(|holds| Some((holds, holds.ns?))) {
            self.add_mounts_leading_to(ns, holds, &namespaces, &mut lists)?;
        }
        lists.release();
        budget.give_back::<Namespace>(namespaces.len());
        Ok(())
    }

    /// Adds the mounts that lead to a namespace, of whatever mount namespace.
    fn add_mounts_leading_to<'n>(
        &mut self,
        ns: NsId,
        holds: HoldFilter,
        namespaces: &'n [Namespace],
        lists: &mut MountLists<'n>,
    ) -> Result {
        let budget = lists.budget;
        lists.filter = MountFilter::leading_to(ns);
        lists.holds = Some(holds);
        lists.only_originals = false;
        for namespace in namespaces {
            let (Some(mnt), Some(id)) = (namespace.as_mnt(), namespace.id()) else {
                continue;
            };
            if !MountLists::has_any(lists.ops, mnt, lists.filter, None)? {
                continue;
            }
            let to = &mut *self.ns_holds;
            let begin = to.mounts.len();
            let number = to.mnt.add(id, budget)?;
            let (strings, paths) = (&mut self.strings, &mut self.paths);
            lists.read((namespace, mnt), number, &mut to.mounts, strings, paths)?;
            lists.add_holds(begin, &to.mounts, &mut to.by_mount)?;
        }
        Ok(())
    }

    /// Which kinds of records are shown.
    pub(crate) fn show(&self) -> Show {
        self.show
    }

    /// The processes and threads.
    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The namespaces, by ascending id.
    pub(crate) fn namespaces(&self) -> &ChunkedVec<NsRecord> {
        &self.namespaces
    }

    /// The mounts, by namespace in the same order, and for each by ascending id.
    pub(crate) fn mounts(&self) -> &ChunkedVec<MountRecord> {
        &self.mounts
    }

    /// How many holds are shown, of each kind.
    pub(crate) fn hold_counts(&self) -> HoldCounts {
        let (holds, is_all) = match self.holds {
            Some((holds, is_all)) => (Some(holds), is_all),
            None => (None, false),
        };
        let if_shown = |is_shown, len| if is_shown { len } else { 0 };
        let has_mounts = is_all && holds.is_some_and(|holds| holds.keeps_mounts());
        HoldCounts {
            processes: self.tasks.holds().records().len(),
            mounts: if_shown(has_mounts, self.mounts.len()),
            ns_mounts: self.ns_holds.by_mount().len(),
            children: self.ns_holds.by_child().len(),
            unknown: self.ns_holds.unknown().len(),
        }
    }

    /// What keeps namespaces besides processes.
    pub(crate) fn ns_holds(&self) -> &NsHolds {
        &self.ns_holds
    }

    /// A mount that leads to a namespace, and the mount namespace that it is in.
    pub(crate) fn leading_mount(&self, hold: &MountHold) -> Option<(&MountRecord, NsId)> {
        let own = &self.ns_holds;
        if own.mounts.len() > 0 {
            let mount = own.mounts.get(hold.mount)?;
            return Some((mount, own.mnt.get(mount.ns).copied()?));
        }
        let mount = self.mounts.get(hold.mount)?;
        Some((mount, self.namespaces.get(mount.ns)?.id))
    }

    /// The bytes of a string.
    pub(crate) fn string(&self, string: StringId) -> &[u8] {
        self.strings.get(string)
    }

    /// Spells a path.
    pub(crate) fn spell(&self, path: PathId, to: &mut PathBuf) {
        to.spell(path, &self.paths, &self.strings);
    }

    /// The maps of a user namespace: of user ids, and of group ids.
    pub(crate) fn id_maps(
        &self,
        ns: &NsRecord,
    ) -> (
        impl Iterator<Item = &IdExtent> + Clone,
        impl Iterator<Item = &IdExtent> + Clone,
    ) {
        let IdMaps { first, uids, gids } = ns.id_maps;
        let extents = |first: u32, len: u32| {
            (first..first.saturating_add(len)).filter_map(|index| self.id_extents.get(index))
        };
        (
            extents(first, uids),
            extents(first.saturating_add(uids), gids),
        )
    }

    /// The path of a cgroup namespace's root in the default hierarchy.
    pub(crate) fn cgroup_root(&self, ns: &NsRecord) -> PathId {
        ns.cgroup_root
            .map_or(PathId::UNKNOWN, |cgroup| self.tasks.cgroup_path(cgroup))
    }
}

impl Sources {
    /// The mount namespaces that have a mount that a filter keeps, and that is none of `but`.
    fn mnt_namespaces_with(
        &self,
        namespaces: &[Namespace],
        filter: MountFilter,
        but: Option<&Copies>,
        budget: &Budget,
    ) -> Result<NsIdSet> {
        let mut found = NsIdSet::new(16, self.key);
        for namespace in namespaces {
            let (Some(mnt), Some(id)) = (namespace.as_mnt(), namespace.id()) else {
                continue;
            };
            if MountLists::has_any(&self.mounts, mnt, filter, but)? {
                found.find_or_add(id.id(), budget, || id)?;
            }
        }
        Ok(found)
    }
}
