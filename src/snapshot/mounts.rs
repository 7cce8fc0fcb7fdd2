// SPDX-License-Identifier: GPL-2.0

//! The mount lists, read in batches, and what follows from a whole list: where each mount is mounted,
//! and who can reach it.
//!
//! `namespace_sem` is held for one batch. Under it, nothing is allocated but by callbacks of file
//! systems, and the way up from a mount point goes no further than the root of the mount that it is
//! on. Whatever takes more is found out afterwards.

#![deny(unsafe_code)]

use super::{
    ancestry::{
        Ancestry,
        Below, //
    },
    budget::Budget,
    copies::Copies,
    ns_holds::MountHold,
    paths::{
        Above,
        Climb,
        PathId,
        PathTree,
        Steps, //
    },
    store::{
        CapacityExceeded,
        ChunkedVec,
        HashKey,
        Hasher,
        Interner,
        Keyed,
        Span,
        StringId,
        StringPool,
        NONE, //
    },
    tasks::HoldFilter, //
};
use crate::{
    query::{
        Device,
        Query, //
    },
    sys::{
        memory::{
            charged,
            Vec, //
        },
        mount::{
            Extent,
            Flags,
            Master,
            Mount,
            MountNode,
            MountOps,
            NamespaceSem,
            Options,
            Relation,
            Strings,
            Tail,
            Tails, //
        },
        namespace::{
            Detail,
            MntNamespace,
            Namespace,
            NsId, //
        },
        path::{
            NameBuf,
            PathRef,
            WayUp,
            PATH_MAX, //
        },
        seq::{
            SeqBuf,
            CUT, //
        },
        super_block::{
            FsNs,
            MAX_FS_NS, //
        },
        system,
        task, //
    },
};
use kernel::{
    fs::LocalFile,
    prelude::*, //
};

/// Mounts of a batch, at most and, as far as there is room for them, at least.
const MAX_BATCH: usize = 64;
const MIN_BATCH: usize = 8;

/// Bytes of the names that one mount has and others do not, of many mounts.
const USUAL_NAME: usize = 32;

/// In a list of so few mounts hardly any has the same tail as another.
const FEW_MOUNTS: usize = 16;

/// Bytes after which a batch ends: as many as a `mountinfo` file writes before it lets go.
const BATCH_BYTES: usize = 4096;

/// Directories and masters after which a batch ends.
const BATCH_STEPS: usize = 2048;

/// Nanoseconds after which a batch ends where the kernel's own function writes: it may take long.
const BATCH_TIME: u64 = 500_000;

/// How often a list is read again that changed meanwhile.
const MAX_REPEATS: usize = 3;

/// Who can reach a mount.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A process whose root is that of the namespace, by its path.
    Root,
    /// No such process: another mount is mounted at the same place, on top of it.
    Over,
    /// No such process: another mount covers a directory on the way there.
    Covered,
    /// No such process, and it does not see it in `mountinfo` either.
    Outside,
}

/// A mount, but for its namespace.
#[derive(Clone, Copy)]
pub(crate) struct MountRecord {
    /// The id that is never used again.
    pub(crate) id: u64,
    /// Which of all namespaces.
    pub(crate) ns: u32,
    pub(crate) mnt_id: i32,
    pub(crate) parent_mnt_id: i32,
    major: u16,
    minor: u32,
    pub(crate) group: i32,
    pub(crate) master: i32,
    /// The peer group that it gets events from in the end; 0 if that is not to be shown.
    pub(crate) propagate_from: i32,
    /// Where it is mounted, as seen from the root of the namespace.
    pub(crate) point: PathId,
    /// The directory that is mounted, escaped.
    pub(crate) root: StringId,
    /// Type, source and options of the file system; or the whole line, if the kernel wrote that.
    pub(crate) tail: StringId,
    pub(crate) flags: Flags,
    pub(crate) reach: Reach,
    /// It is known to be a copy of another one.
    pub(crate) is_copy: bool,
}

impl MountRecord {
    /// The device: major and minor number.
    pub(crate) fn device(&self) -> (u32, u32) {
        (self.major.into(), self.minor)
    }
}

/// What is known of a mount until the list of its namespace is whole.
#[derive(Clone, Copy)]
struct Entry {
    id: u64,
    /// The id of the mount that it is mounted on.
    parent: u64,
    /// Which entry that is.
    above: u32,
    /// Whether it is shown.
    is_kept: bool,
    /// The mount point, as seen from the root of the mount that it is on; a slash may stand before it.
    point: Span,
    path: PathId,
    way: WayUp,
    relation: Relation,
    /// The peer group, of a shared mount; 0 otherwise.
    group: i32,
    /// Which of all masters, of a slave.
    master: u32,
    is_overmounted: bool,
    /// Something is mounted on a directory between the root of the mount above and the mount point.
    has_mount_point: bool,
    /// Of a mount on this one that is so.
    has_way_with_mount_point: bool,
    /// The root of the namespace is on the way up.
    is_seen: bool,
    /// The kernel takes it for one that can be reached from there. C: `is_path_reachable()`.
    is_reachable: bool,
    /// A lookup by its path leads to it, or to what is mounted on top of it.
    is_led_to: bool,
    /// The process that was asked for sees it.
    is_seen_by_subject: bool,
}

impl Entry {
    /// Whether a lookup that comes to this mount comes to one that is mounted on it at `path`, if
    /// nothing covers a directory in between.
    fn leads_to(&self, path: PathId) -> bool {
        self.is_led_to && (path == self.path || !self.is_overmounted)
    }
}

/// Which mount is mounted on which directory of which other one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct MountedOn {
    entry: u32,
    path: PathId,
}

impl Keyed for MountedOn {
    type Key = Self;

    fn key(&self) -> Self {
        *self
    }

    fn hash(key: &Self, hasher: Hasher) -> Hasher {
        hasher.with(u64::from(key.entry) << 32 | key.path.as_u64())
    }
}

/// A peer group that has a member which can be reached.
struct Group(i32);

impl Keyed for Group {
    type Key = i32;

    fn key(&self) -> i32 {
        self.0
    }

    fn hash(key: &i32, hasher: Hasher) -> Hasher {
        // CAST: Any bits will do.
        hasher.with(*key as u64)
    }
}

impl Below for Master<'_> {
    fn id(&self) -> u64 {
        // CAST: A positive number.
        self.group() as u64
    }

    fn above(&self) -> Option<Self> {
        self.master()
    }

    fn up(&self, names: &mut NameBuf) -> Option<(Self, WayUp, usize)> {
        names.copy(b"");
        Some((self.master()?, WayUp::AtRoot, 1))
    }
}

/// Which mounts are shown: all that is there must hold.
#[derive(Clone, Copy, Default)]
pub(super) struct MountFilter {
    /// Only those of this device.
    dev: Option<Device>,
    /// Only the one with this 64-bit id.
    id: Option<u64>,
    /// Only those that lead to this namespace.
    leads_to: Option<NsId>,
}

impl MountFilter {
    /// What a query asks for.
    pub(super) fn of(query: &Query) -> Self {
        Self {
            dev: query.dev,
            id: query.mount,
            leads_to: None,
        }
    }

    /// Those that lead to a namespace.
    pub(super) fn leading_to(ns: NsId) -> Self {
        Self {
            leads_to: Some(ns),
            ..Self::default()
        }
    }

    /// Whether it keeps all.
    pub(super) fn is_all(&self) -> bool {
        self.dev.is_none() && self.id.is_none() && self.leads_to.is_none()
    }

    /// As [`MountFilter::keeps`], of a mount that may be in no mount namespace.
    pub(super) fn keeps_node(&self, mount: &MountNode<'_>) -> bool {
        self.id.is_none_or(|id| mount.id() == id) && self.is_on(|| mount.device())
    }

    /// Whether it keeps what is said of a device, and not of one mount.
    pub(super) fn keeps_device(&self, major: u32, minor: u32) -> bool {
        self.id.is_none() && self.is_on(|| (major, minor))
    }

    /// Whether it keeps a mount.
    pub(super) fn keeps(&self, mount: &Mount<'_>) -> bool {
        let leads_to = |ns| mount.namespaces().iter().flatten().any(|fs| fs.ns == ns);
        self.id.is_none_or(|id| mount.id() == id)
            && self.is_on(|| mount.device())
            && self.leads_to.is_none_or(leads_to)
    }

    /// Whether it is for what is on this device, which is asked for if it matters.
    #[inline(always)]
    fn is_on(&self, device: impl FnOnce() -> (u32, u32)) -> bool {
        self.dev
            .is_none_or(|dev| device() == (dev.major, dev.minor))
    }
}

/// What is collected about all mounts of a snapshot, and how.
pub(super) struct MountLists<'a> {
    pub(super) ops: &'a MountOps,
    pub(super) file: &'a LocalFile,
    pub(super) options: Options,
    pub(super) budget: &'a Budget,
    pub(super) key: HashKey,
    /// Which mounts are shown.
    pub(super) filter: MountFilter,
    /// Only mounts are shown that a process with this root sees.
    pub(super) root: Option<&'a PathRef>,
    /// The mounts that are copies, if that is known.
    pub(super) copies: Option<&'a Copies>,
    /// Copies are not shown.
    pub(super) only_originals: bool,
    /// The namespaces are noted that mounts lead to, if this filter keeps them.
    pub(super) holds: Option<HoldFilter>,
    /// Those of the list that is read, with the ids of the mounts.
    led_to: ChunkedVec<(u64, FsNs)>,
    /// So many of a list are read.
    pub(super) max_mounts: usize,
    buf: SeqBuf,
    pub(super) names: &'a mut NameBuf,
    /// Where the strings of the mounts of a batch stand. The rest of these is in `entries` and the
    /// records already.
    batch: Vec<BatchMount>,
    /// For so many mounts of a batch there is room everywhere; 0 before the first.
    batch_room: usize,
    entries: ChunkedVec<Entry>,
    /// The entries, each behind the one that it is mounted on; empty if they are so by themselves.
    order: ChunkedVec<u32>,
    masters: Ancestry,
    /// The tails of the mounts of a batch.
    batch_tails: Vec<StringId>,
    tails: Tails<'a, TailAt>,
    /// The mounted directory of most mounts.
    top: Option<StringId>,
    /// The parent that was looked for last, and which entry it is: many mounts have the same as the one
    /// before.
    last_parent: (u64, u32),
    /// So many entries at the beginning come behind the ones that they are mounted on. What is to be
    /// known of them is known.
    in_order: u32,
    has_mount_points: bool,
}

/// The strings of a mount of a batch.
struct BatchMount {
    strings: Strings,
    tail: BatchTail,
}

/// The tail of a mount of a batch.
#[derive(Clone, Copy)]
enum BatchTail {
    /// It was met before.
    At(TailAt),
    /// It is among the strings; and the place where it is remembered.
    Written(Option<usize>),
    Absent,
}

/// Where a tail is.
#[derive(Clone, Copy, PartialEq)]
enum TailAt {
    /// Among the strings of this mount of the batch.
    Batch(u32),
    Pool(StringId),
}

/// What a namespace tells about its mounts at the moment when the reading of their list began.
pub(super) struct ListHead {
    pub(super) detail: Detail,
    /// The 64-bit id of the root mount.
    pub(super) root: Option<u64>,
    /// The list changed while it was read.
    pub(super) is_torn: bool,
}

impl ListHead {
    fn of(namespace: &Namespace, sem: &NamespaceSem<'_>) -> Self {
        Self {
            detail: namespace.detail(),
            root: sem.root_id(),
            is_torn: false,
        }
    }
}

/// How a batch ended.
enum BatchEnd {
    /// At the end of the list.
    List,
    /// Because it was long enough.
    Enough,
    /// Before a mount for whose strings there was too little room.
    Buffer,
    /// Before a mount for whose masters there was too little room, or time.
    Masters,
}

impl<'a> MountLists<'a> {
    /// Creates one that has read nothing. `names` is room for the names that it meets.
    pub(super) fn new(
        ops: &'a MountOps,
        file: &'a LocalFile,
        names: &'a mut NameBuf,
        options: Options,
        budget: &'a Budget,
        key: HashKey,
    ) -> Self {
        Self {
            ops,
            file,
            options,
            budget,
            key,
            filter: MountFilter::default(),
            root: None,
            copies: None,
            only_originals: false,
            holds: None,
            led_to: ChunkedVec::new(0),
            max_mounts: usize::MAX,
            buf: SeqBuf::new(),
            names,
            batch: Vec::new(),
            batch_room: 0,
            entries: ChunkedVec::new(0),
            order: ChunkedVec::new(0),
            masters: Ancestry::new(key),
            batch_tails: Vec::new(),
            tails: Tails::new(),
            top: None,
            last_parent: (0, NONE),
            in_order: 0,
            has_mount_points: false,
        }
    }

    /// Makes room for a batch; about `left` mounts are still to be read.
    fn make_room(
        &mut self,
        left: usize,
        records: &mut ChunkedVec<MountRecord>,
        (strings, tree): (&mut StringPool, &mut PathTree),
    ) -> Result {
        let is_first = self.batch_room == 0;
        self.batch_room = left.clamp(MIN_BATCH, MAX_BATCH);
        if is_first {
            self.buf.grow()?;
            // What the names of so many take, more or less, at once. Later lists have the same names.
            let bytes = self.batch_room.saturating_mul(USUAL_NAME);
            strings.reserve_more(self.batch_room, bytes, self.budget)?;
            tree.reserve_more(self.batch_room, self.budget)?;
        }
        if !is_first || left > FEW_MOUNTS {
            self.tails.make_room()?;
        }
        self.batch.clear();
        self.batch.reserve(self.batch_room, charged())?;
        self.batch_tails.clear();
        self.batch_tails.reserve(self.batch_room, charged())?;
        self.entries.reserve_more(self.batch_room, self.budget)?;
        if self.holds.is_some() {
            let more = self.batch_room.saturating_mul(MAX_FS_NS);
            self.led_to.reserve_more(more, self.budget)?;
        }
        records.reserve_more(self.batch_room, self.budget)
    }

    /// What a mount namespace tells about its mounts, without the list of them.
    pub(super) fn head(&self, namespace: &Namespace, mnt: MntNamespace<'_>) -> ListHead {
        ListHead::of(namespace, &self.ops.lock(mnt, 0))
    }

    /// Reads the list of a namespace, which is number `ns`, and adds its mounts to `records`.
    ///
    /// A list that changed between two batches is read again: but not more often than three times,
    /// and not once more mounts were read in vain than it has.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`; `EINTR` if the calling process is being killed.
    pub(super) fn read(
        &mut self,
        (namespace, mnt): (&Namespace, MntNamespace<'a>),
        ns: u32,
        records: &mut ChunkedVec<MountRecord>,
        strings: &mut StringPool,
        tree: &mut PathTree,
    ) -> Result<ListHead> {
        let begin = records.len();
        let mut repeats = 0_usize;
        let mut in_vain = 0_usize;
        let head = loop {
            self.entries.clear();
            self.led_to.clear();
            self.order.clear();
            self.last_parent = (0, NONE);
            self.in_order = 0;
            self.has_mount_points = false;
            records.truncate(begin);
            if self.options.propagate_from {
                let masters = Ancestry::new(self.key);
                core::mem::replace(&mut self.masters, masters).release(self.budget);
            }
            let may_repeat = repeats < MAX_REPEATS;
            let limits = (in_vain, may_repeat);
            let names = (&mut *strings, &mut *tree);
            match self.read_once((namespace, mnt), ns, records, names, limits)? {
                Some(head) => break head,
                None => {
                    repeats = repeats.saturating_add(1);
                    in_vain = in_vain.saturating_add(self.entries.len());
                }
            }
        };
        self.find_paths(strings, tree)?;
        self.finish(begin, records)?;
        Ok(head)
    }

    /// Reads the list in batches. `None` if it changed between two and is to be read again.
    fn read_once(
        &mut self,
        (namespace, mnt): (&Namespace, MntNamespace<'a>),
        ns: u32,
        records: &mut ChunkedVec<MountRecord>,
        (strings, tree): (&mut StringPool, &mut PathTree),
        (in_vain, may_repeat): (usize, bool),
    ) -> Result<Option<ListHead>> {
        let mut head = None;
        let mut event = 0;
        // How many mounts the list had when the reading began. They come first: ids ascend.
        let mut len = 0;
        let mut from = 0_u64;
        let mut extent = Extent::All;
        loop {
            if task::is_being_killed() {
                return Err(EINTR);
            }
            if self.options.propagate_from {
                self.masters.reserve(self.budget)?;
                strings.reserve(self.budget)?;
            }
            let left = mnt.len().saturating_sub(self.entries.len());
            self.make_room(left, records, (&mut *strings, &mut *tree))?;
            let sem = self.ops.lock(mnt, from);
            let now = sem.event();
            let head = head.get_or_insert_with(|| {
                event = now;
                len = sem.len();
                ListHead::of(namespace, &sem)
            });
            if now != event {
                let again = in_vain.saturating_add(self.entries.len());
                if may_repeat && again <= sem.len() {
                    return Ok(None);
                }
                head.is_torn = true;
                event = now;
            }
            let end = self.read_batch(&sem, extent, ns, records, strings)?;
            drop(sem);
            if self.batch.is_empty() && matches!(end, BatchEnd::Buffer) {
                if !self.buf.grow()? {
                    // What is left then fits.
                    extent = match extent {
                        Extent::All => Extent::Bounded,
                        _ => return Err(EOVERFLOW),
                    };
                }
                continue;
            }
            extent = Extent::All;
            from = self.add_strings(records, strings, tree)?.max(from);
            // Others may add to the list for as long as it is read.
            let is_enough = head.is_torn && self.entries.len() >= len;
            if matches!(end, BatchEnd::List) || is_enough || self.entries.len() >= self.max_mounts {
                break;
            }
        }
        Ok(head)
    }

    /// Reads mounts while the semaphore is held, until that has lasted long enough. Their strings are
    /// still to be added then.
    fn read_batch(
        &mut self,
        sem: &NamespaceSem<'a>,
        extent: Extent,
        ns: u32,
        records: &mut ChunkedVec<MountRecord>,
        strings: &mut StringPool,
    ) -> Result<BatchEnd> {
        // The clock is slow on some machines, so it is not looked at without need.
        let began = self.options.has_kernel_write().then(system::stopwatch);
        let mut steps = 0_usize;
        let mut seq = self.buf.begin(self.file);
        for mount in sem.mounts() {
            let mut is_kept = self.filter.keeps(&mount);
            let is_copy = is_kept && self.copies.is_some_and(|copies| copies.has(&mount));
            is_kept &= !(is_copy && self.only_originals);
            let extent = match is_kept {
                false => Extent::Least,
                // It is for the mount alone for which there was no room.
                true if self.batch.is_empty() => extent,
                true => Extent::All,
            };
            let to = (&mut seq, &mut *self.names, &self.tails);
            let written = mount.write_strings(to, self.options, self.root, extent)?;
            let Some(written) = written else {
                return Ok(BatchEnd::Buffer);
            };
            let (names, flags) = (written.names, written.flags);
            steps = steps.saturating_add(names.steps as usize);
            let master = mount.master();
            let mut master_link = NONE;
            if self.options.propagate_from && is_kept {
                if let Some(of) = master {
                    let masters = &mut self.masters;
                    // Counted on their own: however deep the mount lies, there is time for some.
                    let mut up = 0;
                    let added = masters.add(of, strings, self.names, &mut up, BATCH_STEPS);
                    steps = steps.saturating_add(up);
                    match added {
                        Ok(index) => master_link = index,
                        Err(CapacityExceeded) => return Ok(BatchEnd::Masters),
                    }
                }
            }
            let (id, group) = (mount.id(), mount.group());
            let (parent, parent_mnt_id) = mount.parent_ids();
            // CAST: A batch is small.
            let at = TailAt::Batch(self.batch.len() as u32);
            let tail = match written.tail {
                Tail::Known(at) => BatchTail::At(at),
                Tail::Written(key) => {
                    BatchTail::Written(key.map(|key| self.tails.remember(key, sem, at)))
                }
                Tail::Absent => BatchTail::Absent,
            };
            // There is room for a batch of each, so that nothing is lost below.
            let _ = self.batch.push_within_capacity(BatchMount {
                strings: written.strings,
                tail,
            });
            let _ = self.entries.push(Entry {
                id,
                parent,
                above: NONE,
                is_kept,
                point: Span::EMPTY,
                path: PathId::UNKNOWN,
                way: names.way,
                relation: self
                    .root
                    .map_or(Relation::AsParent, |root| mount.relation_to(root, &names)),
                group: if flags.is_shared() { group } else { 0 },
                master: master_link,
                is_overmounted: mount.is_overmounted(),
                has_mount_point: names.has_mount_point,
                has_way_with_mount_point: false,
                is_seen: false,
                is_reachable: false,
                is_led_to: false,
                is_seen_by_subject: false,
            });
            if let Some(filter) = self.holds.filter(|_| is_kept) {
                let namespaces = mount.namespaces();
                for fs in namespaces.iter().flatten() {
                    if filter.keeps_ns(fs.ns) {
                        let _ = self.led_to.push((id, *fs));
                    }
                }
            }
            if is_kept {
                let (major, minor) = mount.device();
                let _ = records.push(MountRecord {
                    id,
                    ns,
                    mnt_id: mount.mnt_id(),
                    parent_mnt_id,
                    // A major number has 12 bits.
                    major: u16::try_from(major).unwrap_or(u16::MAX),
                    minor,
                    group,
                    master: master.map_or(0, |master| master.group()),
                    propagate_from: 0,
                    point: PathId::UNKNOWN,
                    root: StringId::EMPTY,
                    tail: StringId::EMPTY,
                    flags,
                    reach: Reach::Outside,
                    is_copy,
                });
            }
            if self.batch.len() >= self.batch_room
                || seq.position() >= BATCH_BYTES
                || steps >= BATCH_STEPS
                || began.is_some_and(|began| system::stopwatch().wrapping_sub(began) >= BATCH_TIME)
            {
                return Ok(BatchEnd::Enough);
            }
        }
        Ok(BatchEnd::List)
    }

    /// Adds the strings of the mounts of a batch, and returns the id after the last one.
    fn add_strings(
        &mut self,
        records: &mut ChunkedVec<MountRecord>,
        strings: &mut StringPool,
        tree: &mut PathTree,
    ) -> Result<u64> {
        let budget = self.budget;
        let mut next = 0;
        // CAST: There are no more than an index can say.
        let mut index = self.entries.len().wrapping_sub(self.batch.len()) as u32;
        let is_kept = |mount: &&BatchMount| !matches!(mount.tail, BatchTail::Absent);
        let kept = self
            .batch
            .iter()
            .filter(is_kept)
            .fold(0, |n: usize, _| n.wrapping_add(1));
        let mut record = records.len().wrapping_sub(kept) as u32;
        for mount in &self.batch {
            // There is one of each mount before.
            // CAST: A batch is small.
            let at = self.batch_tails.len() as u32;
            let written = mount.strings;
            let tail = match mount.tail {
                BatchTail::At(TailAt::Pool(tail)) => tail,
                BatchTail::At(TailAt::Batch(other)) => {
                    // CAST: An index into memory.
                    let other = self.batch_tails.get(other as usize).copied();
                    other.unwrap_or(StringId::EMPTY)
                }
                BatchTail::Written(place) => {
                    let tail = strings.add(self.buf.get(written.tail()), budget)?;
                    if let Some(place) = place {
                        let (old, new) = (TailAt::Batch(at), TailAt::Pool(tail));
                        self.tails.replace(place, old, new);
                    }
                    tail
                }
                BatchTail::Absent => StringId::EMPTY,
            };
            // There is room for one of each mount.
            let _ = self.batch_tails.push_within_capacity(tail);
            if !matches!(mount.tail, BatchTail::Absent) {
                if let Some(record) = records.get_mut(record) {
                    let root = self.buf.get(written.root());
                    record.root = add_root(&mut self.top, root, strings, budget)?;
                    record.tail = tail;
                }
                record = record.wrapping_add(1);
            }
            let Some(entry) = self.entries.get(index) else {
                break;
            };
            next = entry.id.saturating_add(1);
            self.has_mount_points |= entry.has_mount_point;
            let parent = entry.parent;
            let point = self.buf.get(written.point());
            let mut above = NONE;
            if self.in_order == index {
                if parent != self.last_parent.0 {
                    let found = find(&self.entries, parent).unwrap_or(NONE);
                    self.last_parent = (parent, found);
                }
                above = self.last_parent.1;
            }
            if above <= index {
                let add = |from| tree.add(from, point, strings, budget);
                find_path(&mut self.entries, index, above, add)?;
                self.in_order = index.wrapping_add(1);
            } else if let Some(entry) = self.entries.get_mut(index) {
                entry.point = strings.append(point, budget)?;
            }
            index = index.wrapping_add(1);
        }
        Ok(next)
    }

    /// Finds out where the mounts are mounted of which that is not known yet, and who can get there.
    fn find_paths(&mut self, strings: &mut StringPool, tree: &mut PathTree) -> Result {
        let budget = self.budget;
        // CAST: There are no more than an index can say.
        let len = self.entries.len() as u32;
        if self.in_order < len {
            for index in self.in_order..len {
                check_alive(index)?;
                let parent = self.entries.get(index).map_or(0, |entry| entry.parent);
                let above = find(&self.entries, parent).unwrap_or(NONE);
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.above = above;
                }
            }
            self.find_order()?;
            for at in 0..len {
                check_alive(at)?;
                let index = self.in_order(at);
                if index < self.in_order {
                    continue;
                }
                if let Some(entry) = self.entries.get(index) {
                    let (above, point) = (entry.above, entry.point);
                    let add = |from| tree.add_span(from, point, strings, budget);
                    find_path(&mut self.entries, index, above, add)?;
                }
            }
        }
        if self.has_mount_points {
            self.find_covered(strings)?;
        }
        Ok(())
    }

    /// The entry that is number `at` when each comes behind the one that it is mounted on.
    fn in_order(&self, at: u32) -> u32 {
        self.order.get(at).copied().unwrap_or(at)
    }

    /// Orders the entries so that each comes behind the one that it is mounted on.
    fn find_order(&mut self) -> Result {
        let (entries, order, budget) = (&self.entries, &mut self.order, self.budget);
        let mut climb = Climb::new();
        climb.begin(entries.len(), budget)?;
        order.reserve_more(entries.len(), budget)?;
        // CAST: There are no more than an index can say.
        for index in 0..entries.len() as u32 {
            let above = |index| match entries.get(index) {
                Some(entry) if entry.above != index && entry.above != NONE => {
                    Above::Item(entry.above)
                }
                _ => Above::Nothing,
            };
            check_alive(index)?;
            climb.visit(index, budget, above, |index, _| {
                // There is room for all.
                let _ = order.push(index);
                Ok(())
            })?;
        }
        climb.release(budget);
        Ok(())
    }

    /// Finds out which paths do not lead to their mounts, because a directory on the way is another
    /// mount's mount point; and those below.
    fn find_covered(&mut self, strings: &StringPool) -> Result {
        // The mount points of the mounts that may be concerned, as seen from the root of the mount that
        // each is on.
        let mut points = Steps::new(self.key);
        let mut point_of = ChunkedVec::new(0);
        let mut mounted_on = Interner::new(64, self.key);
        point_of.reserve_more(self.entries.len(), self.budget)?;
        // CAST: There are no more than an index can say.
        for index in 0..self.entries.len() as u32 {
            let above = self
                .entries
                .get(index)
                .filter(|entry| entry.has_mount_point);
            let above = above.map_or(NONE, |entry| entry.above);
            if let Some(above) = self.entries.get_mut(above) {
                above.has_way_with_mount_point = true;
            }
        }
        for index in 0..self.entries.len() as u32 {
            check_alive(index)?;
            let Some(entry) = self.entries.get(index) else {
                break;
            };
            let above = self.entries.get(entry.above);
            let mut path = PathId::UNKNOWN;
            if above.is_some_and(|above| above.has_way_with_mount_point) {
                let from = match entry.way {
                    WayUp::AtRoot => PathId::TOP,
                    WayUp::Escaped | WayUp::Cut => PathId::UNKNOWN,
                };
                path = points.add(from, strings.bytes(entry.point), self.budget)?;
                let key = MountedOn {
                    entry: entry.above,
                    path,
                };
                mounted_on.find_or_add(key, self.budget, || key)?;
            }
            // There is room for all.
            let _ = point_of.push(path);
        }
        // CAST: There are no more than an index can say.
        for at in 0..self.entries.len() as u32 {
            check_alive(at)?;
            let index = self.in_order(at);
            let Some(entry) = self.entries.get(index) else {
                break;
            };
            if !entry.is_led_to || entry.path == PathId::TOP && !entry.is_overmounted {
                continue;
            }
            let point = point_of.get(index).copied().unwrap_or(PathId::UNKNOWN);
            let is_covered =
                entry.has_mount_point && is_covered(entry.above, point, &points, &mounted_on);
            let parent = self.entries.get(entry.above);
            let is_led_to = !is_covered && parent.is_some_and(|parent| parent.leads_to(entry.path));
            if let Some(entry) = self.entries.get_mut(index) {
                entry.is_led_to = is_led_to;
            }
        }
        mounted_on.release(self.budget);
        point_of.release(self.budget);
        points.release(self.budget);
        Ok(())
    }

    /// Tells the records what was found out, and drops those that are not shown.
    fn finish(&mut self, begin: usize, records: &mut ChunkedVec<MountRecord>) -> Result {
        let dominating = self.dominating_groups()?;
        // CAST: Indices into memory.
        let (mut from, mut to) = (begin as u32, begin as u32);
        for entry in self.entries.iter().filter(|entry| entry.is_kept) {
            let Some(record) = records.get_mut(from) else {
                break;
            };
            from = from.saturating_add(1);
            if self.root.is_some() && !entry.is_seen_by_subject {
                continue;
            }
            record.point = entry.path;
            record.reach = match entry {
                entry if !entry.is_seen => Reach::Outside,
                entry if entry.is_overmounted => Reach::Over,
                entry if entry.is_led_to => Reach::Root,
                _ => Reach::Covered,
            };
            let group = dominating.get(entry.master).copied().unwrap_or(0);
            record.propagate_from = if group == record.master { 0 } else { group };
            to = to.saturating_add(1);
            if to < from {
                let record = *record;
                if let Some(place) = records.get_mut(to.wrapping_sub(1)) {
                    *place = record;
                }
            }
        }
        // CAST: An index into memory.
        records.truncate(to as usize);
        dominating.release(self.budget);
        Ok(())
    }

    /// For each master, the first peer group on the way to its own masters that has a member which
    /// can be reached from the root of the namespace; 0 if none has. C: `get_dominating_id()`.
    fn dominating_groups(&self) -> Result<ChunkedVec<i32>> {
        if !self.options.propagate_from {
            return Ok(ChunkedVec::new(0));
        }
        let mut reachable = Interner::new(16, self.key);
        for entry in self.entries.iter() {
            if entry.group != 0 && entry.is_reachable {
                reachable.find_or_add(entry.group, self.budget, || Group(entry.group))?;
            }
        }
        let masters = &self.masters;
        let mut dominating = ChunkedVec::new(0);
        dominating.fill(0, masters.len(), self.budget)?;
        let mut climb = Climb::new();
        climb.begin(masters.len(), self.budget)?;
        let above = |index| masters.above(index).map_or(Above::Nothing, Above::Item);
        // CAST: There are no more than an index can say.
        for index in 0..masters.len() as u32 {
            climb.visit(index, self.budget, above, |index, above| {
                let group = masters.id(index).and_then(|id| i32::try_from(id).ok());
                let own = group.filter(|group| reachable.find(group).is_some());
                let other = match above {
                    Above::Item(above) => dominating.get(above).copied(),
                    Above::Nothing => None,
                };
                if let Some(place) = dominating.get_mut(index) {
                    *place = own.or(other).unwrap_or(0);
                }
                Ok(())
            })?;
        }
        climb.release(self.budget);
        reachable.release(self.budget);
        Ok(dominating)
    }

    /// Tells which of the mounts that were read last, those from number `begin` on, lead to namespaces.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn add_holds(
        &self,
        begin: usize,
        records: &ChunkedVec<MountRecord>,
        to: &mut ChunkedVec<MountHold>,
    ) -> Result {
        // CAST: An index into memory.
        let mut mount = begin as u32;
        // Both are in the order of the ids.
        for (id, fs) in self.led_to.iter() {
            while records.get(mount).is_some_and(|record| record.id < *id) {
                mount = mount.saturating_add(1);
            }
            if records.get(mount).is_some_and(|record| record.id == *id) {
                to.add(
                    MountHold {
                        mount,
                        ns: fs.ns,
                        relation: fs.relation,
                    },
                    self.budget,
                )?;
            }
        }
        Ok(())
    }

    /// Frees what is needed for one list only, and gives it back to the budget.
    pub(super) fn release(self) {
        self.masters.release(self.budget);
        self.entries.release(self.budget);
        self.led_to.release(self.budget);
        self.order.release(self.budget);
    }

    /// Whether a mount namespace has a mount that a filter keeps, and that is none of `but`.
    ///
    /// # Errors
    ///
    /// `EINTR` if the calling process is being killed.
    pub(super) fn has_any(
        ops: &MountOps,
        mnt: MntNamespace<'_>,
        filter: MountFilter,
        but: Option<&Copies>,
    ) -> Result<bool> {
        // The list is in the order of the ids.
        let mut from = filter.id.unwrap_or(0);
        loop {
            if task::is_being_killed() {
                return Err(EINTR);
            }
            let sem = ops.lock(mnt, from);
            let mut mounts = sem.mounts();
            let mut is_end = true;
            for mount in mounts.by_ref().take(SEARCH_BATCH) {
                if filter.keeps(&mount) && !but.is_some_and(|copies| copies.has(&mount)) {
                    return Ok(true);
                }
                from = mount.id().saturating_add(1);
                is_end = filter.id.is_some_and(|id| from > id);
                if is_end {
                    break;
                }
            }
            if is_end {
                return Ok(false);
            }
        }
    }
}

/// The entry of the mount with an id: they are in ascending order.
fn find(entries: &ChunkedVec<Entry>, id: u64) -> Option<u32> {
    let mut from = 0_u32;
    // CAST: There are no more than an index can say.
    let mut to = entries.len() as u32;
    while from < to {
        let middle = from.wrapping_add(to.wrapping_sub(from) / 2);
        if entries.get(middle)?.id < id {
            from = middle.saturating_add(1);
        } else {
            to = middle;
        }
    }
    entries.get(from).filter(|entry| entry.id == id)?;
    Some(from)
}

/// Finds out where a mount is mounted, once that is known of the one that it is mounted on, the entry
/// `above`, and what follows from that, unless a directory is covered. `add` adds the name of the mount
/// point to a path.
#[inline]
fn find_path(
    entries: &mut ChunkedVec<Entry>,
    index: u32,
    above: u32,
    add: impl FnOnce(PathId) -> Result<(PathId, Span)>,
) -> Result {
    let Some(entry) = entries.get(index) else {
        return Ok(());
    };
    let is_top = above == index;
    // In a circle, or below a mount that is not on the list, nothing is known of the parent.
    let parent = entries.get(above).filter(|_| !is_top);
    let from = match entry.way {
        WayUp::AtRoot => parent.map_or(PathId::UNKNOWN, |parent| parent.path),
        WayUp::Escaped | WayUp::Cut => PathId::UNKNOWN,
    };
    let (path, point) = if is_top && entry.way != WayUp::Escaped {
        (PathId::TOP, Span::EMPTY)
    } else {
        // The name of one that has escaped is empty.
        add(from)?
    };
    // The topmost of those that are mounted on the root of the next, down to that of the namespace.
    let is_ns_root = |entry: &Entry, path: PathId| path == PathId::TOP && !entry.is_overmounted;
    let is_root = is_ns_root(entry, path);
    let has_escaped = entry.way == WayUp::Escaped;
    let on_root = parent.is_some_and(|parent| is_ns_root(parent, parent.path));
    let is_seen = is_root || !has_escaped && parent.is_some_and(|parent| parent.is_seen);
    let is_reachable =
        is_root || parent.is_some_and(|parent| parent.is_reachable) && !(on_root && has_escaped);
    let is_led_to = is_root || is_seen && parent.is_some_and(|parent| parent.leads_to(path));
    let is_seen_by_subject = match entry.relation {
        Relation::Inside => true,
        Relation::Outside => false,
        Relation::OnSameMount(is_below) => is_below,
        Relation::AsParent => {
            !has_escaped && parent.is_some_and(|parent| parent.is_seen_by_subject)
        }
    };
    if let Some(entry) = entries.get_mut(index) {
        entry.above = above;
        entry.point = point;
        entry.path = path;
        entry.is_seen = is_seen;
        entry.is_reachable = is_reachable;
        entry.is_led_to = is_led_to;
        entry.is_seen_by_subject = is_seen_by_subject;
    }
    Ok(())
}

/// Adds the name of a mounted directory: that of most, the `top` of their file system, once.
fn add_root(
    top: &mut Option<StringId>,
    name: &[u8],
    strings: &mut StringPool,
    budget: &Budget,
) -> Result<StringId> {
    if name == b"/" {
        if let Some(top) = *top {
            return Ok(top);
        }
        let string = strings.add(name, budget)?;
        *top = Some(string);
        return Ok(string);
    }
    let Some(end) = end_of_path(name) else {
        return strings.add(name, budget);
    };
    let mut cut = Vec::with_capacity(end.len().saturating_add(CUT.len()), charged())?;
    cut.extend_from_slice(end, charged())?;
    cut.extend_from_slice(CUT, charged())?;
    strings.add(&cut, budget)
}

/// Mounts that are looked at under one hold of the semaphore where one is searched for.
const SEARCH_BATCH: usize = 256;

/// Whether a directory between the root of the mount with the number `entry` and the mount point `point`
/// on it is another mount's mount point.
fn is_covered(entry: u32, point: PathId, points: &Steps, mounted_on: &Interner<MountedOn>) -> bool {
    let mut at = points.parent(point);
    while let Some(path) = at.filter(|path| *path != PathId::TOP) {
        if mounted_on.find(&MountedOn { entry, path }).is_some() {
            return true;
        }
        at = points.parent(path);
    }
    false
}

/// Looks at every 64th of many, each of which takes a while, whether the calling process is being
/// killed.
///
/// # Errors
///
/// `EINTR` if it is.
fn check_alive(index: u32) -> Result {
    if index % 64 == 0 && task::is_being_killed() {
        return Err(EINTR);
    }
    Ok(())
}

/// The end of an escaped path name, without the half of an escape, if it is longer than [`PATH_MAX`].
fn end_of_path(escaped: &[u8]) -> Option<&[u8]> {
    let cut = escaped.len().checked_sub(PATH_MAX).filter(|cut| *cut > 0)?;
    // An escape is a backslash and three digits, and no other backslash is there.
    let before = escaped.get(cut.saturating_sub(3)..cut).unwrap_or_default();
    let from = match before.iter().position(|byte| *byte == b'\\') {
        Some(at) => cut
            .saturating_sub(before.len())
            .saturating_add(at)
            .saturating_add(4),
        None => cut,
    };
    escaped.get(from..)
}
