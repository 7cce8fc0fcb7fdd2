// SPDX-License-Identifier: GPL-2.0

//! Makes the text of `/proc/nsinspect`, format 1, of a snapshot, as it is read.
//!
//! No text is kept but a window of it. Where in the text every so many records begin is noted as they
//! are written, so that a reader can go anywhere, and always gets the same bytes.
//!
//! The format is described in `docs/format.md`.

#![deny(unsafe_code)]

use crate::{
    snapshot::{
        ChildHold,
        DirRecord,
        Held,
        HeldBy,
        HeldPlace,
        HoldCounts,
        HoldRecord,
        LevelNumbers,
        Levels,
        MountHold,
        MountRecord,
        NamespaceSet,
        NsRecord,
        PathBuf,
        PathId,
        Reach,
        Snapshot,
        TaskRecord, //
    },
    sys::{
        id_map::IdExtent,
        memory::{
            charged,
            Box,
            Vec, //
        },
        mount::{
            Attachment,
            Flags, //
        },
        namespace::{
            Detail,
            NsId, //
        },
        seq::CUT,
        super_block::FsRelation,
        system,
        task, //
    },
    text::{
        octal,
        ByteSet,
        Decimal,
        Window,
        DELETED,
        MOUNTINFO_SPECIAL,
        PATH_SPECIAL,
        SPECIAL, //
    },
};
use kernel::{
    iov::IovIterDest,
    prelude::*, //
};

/// What can stand after a `=`.
trait Value {
    /// Appends it as the format spells it.
    fn put(&self, to: &mut Window);
}

/// Writes a number in decimal digits.
fn put_decimal(number: u64, to: &mut Window) {
    match u8::try_from(number) {
        // Many numbers are so small.
        Ok(digit @ 0..=9) => to.push(&[b'0' + digit]),
        _ => to.push(Decimal::new(number).as_bytes()),
    }
}

macro_rules! unsigned {
    ($($type:ty),*) => { $(
        impl Value for $type {
            fn put(&self, to: &mut Window) {
                put_decimal((*self).into(), to);
            }
        }
    )* };
}

macro_rules! signed {
    ($($type:ty),*) => { $(
        impl Value for $type {
            fn put(&self, to: &mut Window) {
                if *self < 0 {
                    to.push(b"-");
                }
                put_decimal(self.unsigned_abs().into(), to);
            }
        }
    )* };
}

unsigned!(u32, u64);
signed!(i32, i64);

impl Value for bool {
    fn put(&self, to: &mut Window) {
        to.push(if *self { b"1" } else { b"0" });
    }
}

impl Value for NsId {
    fn put(&self, to: &mut Window) {
        self.inum().put(to);
    }
}

impl<T: Value> Value for Option<T> {
    fn put(&self, to: &mut Window) {
        match self {
            Some(value) => value.put(to),
            None => to.push(b"-"),
        }
    }
}

/// A word that needs no escapes.
struct Word<'a>(&'a [u8]);

impl Value for Word<'_> {
    fn put(&self, to: &mut Window) {
        to.push(self.0);
    }
}

/// Bytes that somebody else chose. Whatever could be taken for the format's own, or is no visible
/// ASCII character, becomes a backslash and three octal digits.
struct Escaped<'a>(&'a [u8]);

/// Appends bytes, with those in `special` as a backslash and three octal digits.
fn put_escaped(bytes: &[u8], special: &ByteSet, to: &mut Window) {
    let mut rest = bytes;
    loop {
        let (plain, special) = special.split(rest);
        to.push(plain);
        let Some((byte, tail)) = special else {
            return;
        };
        to.push(&octal(byte));
        rest = tail;
    }
}

impl Value for Escaped<'_> {
    fn put(&self, to: &mut Window) {
        if self.0 == b"-" {
            // Alone it would mean that there is none.
            to.push(&octal(b'-'));
        } else {
            put_escaped(self.0, &SPECIAL, to);
        }
    }
}

/// Appends a path name, and the marks if what had it is gone, or if it is cut.
fn put_path(path: &PathBuf, is_deleted: bool, special: &ByteSet, to: &mut Window) {
    if path.is_plain() {
        to.push(path.as_bytes());
    } else {
        put_escaped(path.as_bytes(), special, to);
    }
    if is_deleted {
        to.push(DELETED);
    }
    if path.is_cut() {
        to.push(CUT);
    }
}

/// A path name, and whether what had it is gone. It is never a hyphen alone: it begins with a slash, unless
/// it is cut and far longer.
struct SpelledPath<'a>(&'a PathBuf, bool);

impl Value for SpelledPath<'_> {
    fn put(&self, to: &mut Window) {
        let Self(path, is_deleted) = *self;
        put_path(path, is_deleted, &PATH_SPECIAL, to);
    }
}

/// A number of 64 bits in hexadecimal digits, all of them.
struct Hex(u64);

impl Value for Hex {
    fn put(&self, to: &mut Window) {
        let digit = |shift: u32| match (self.0 >> shift & 15) as u8 {
            digit @ 0..=9 => b'0' + digit,
            letter => b'a' + (letter - 10),
        };
        to.push(&core::array::from_fn::<u8, 16, _>(|at| {
            digit(60_u32.wrapping_sub(at as u32 * 4))
        }));
    }
}

/// A string in an array: what stands before the first NUL.
fn until_nul(bytes: &[u8]) -> Escaped<'_> {
    Escaped(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
}

impl Value for IdExtent {
    fn put(&self, to: &mut Window) {
        self.inside.put(to);
        to.push(b":");
        self.outside.put(to);
        to.push(b":");
        self.count.put(to);
    }
}

/// One element for each item, with commas between; a hyphen if there is none.
struct List<I, F>(I, F);

impl<T, I: Iterator<Item = T> + Clone, F: Fn(T, &mut Window)> Value for List<I, F> {
    fn put(&self, to: &mut Window) {
        let mut items = self.0.clone();
        let Some(first) = items.next() else {
            to.push(b"-");
            return;
        };
        self.1(first, to);
        for item in items {
            to.push(b",");
            self.1(item, to);
        }
    }
}

/// Writes `key=value` fields, each after a blank.
macro_rules! fields {
    ($to:expr, $($key:ident: $value:expr),* $(,)?) => {{ $(
        $to.push(concat!(" ", stringify!($key), "=").as_bytes());
        $value.put($to);
    )* }};
}

/// Bytes of the text that are made at once: at most, and of a short text.
const MAX_WINDOW: usize = 8 * 1024;
const MIN_WINDOW: usize = 2 * 1024;

/// About how many bytes a record has; only the size of the window depends on it.
const USUAL_RECORD: usize = 384;

/// Records of which one is noted where it begins.
const MARK_DISTANCE: usize = 64;

/// A snapshot and the part of its text that is read.
pub(crate) struct Renderer {
    snapshot: Box<Snapshot>,
    counts: Counts,
    window: Window,
    /// Where the record number [`MARK_DISTANCE`], twice that, and so on, begin in the text, as far as
    /// that is known.
    marks: Vec<usize>,
    /// The record behind the last one in the window, and where it begins.
    next: (usize, usize),
    /// How long the text is, once that is known.
    len: Option<usize>,
    scratch: Scratch,
}

/// A record of a mount.
pub(crate) struct MountText<'a> {
    pub(crate) bytes: &'a [u8],
    /// The kernel wrote the line.
    pub(crate) is_kernel_line: bool,
    /// The mount point is not known whole.
    pub(crate) is_cut: bool,
}

/// How many records of each kind are shown.
struct Counts {
    namespaces: usize,
    tasks: usize,
    threads: usize,
    mounts: usize,
    holds: HoldCounts,
}

impl Counts {
    /// All records, the first and the last one included.
    fn total(&self) -> usize {
        self.namespaces
            .saturating_add(self.tasks)
            .saturating_add(self.threads)
            .saturating_add(self.mounts)
            .saturating_add(self.holds.total())
            .saturating_add(2)
    }
}

/// What records are written with.
struct Scratch {
    path: PathBuf,
    /// In a text of few records, nothing is kept: it would cost more than it saves.
    kept: Option<Box<KeptTexts>>,
}

/// Parts of records that are kept spelled.
struct KeptTexts {
    /// The fields of the set of namespaces with number `i` are, if at all, in place `i` modulo [`SETS`].
    sets: [Kept<u32>; SETS],
    root: Kept<Root>,
    cwd: Kept<Option<DirRecord>>,
    cgroup: Kept<(PathId, bool, u64)>,
    cred: Kept<u32>,
    /// What mount records begin with, by the namespace.
    mount: Kept<u32>,
    /// What holds by something on a mount end with, the place with number `i` in place `i` modulo [`PLACES`].
    places: [Kept<u32>; PLACES],
    /// The options of mounts, in the place that [`Flags::mix`] says.
    options: [Kept<Flags>; OPTIONS],
}

/// What is shown of a root, and whether it is another one than that of the mount namespace.
type Root = Option<(DirRecord, bool)>;

impl Renderer {
    /// Prepares to make the text of a snapshot.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(snapshot: Box<Snapshot>) -> Result<Self> {
        let show = snapshot.show();
        let shown = |is_shown, len| if is_shown { len } else { 0 };
        let counts = Counts {
            namespaces: shown(show.ns, snapshot.namespaces().len()),
            tasks: shown(show.tasks, snapshot.tasks().processes().len()),
            threads: shown(show.threads, snapshot.tasks().threads().len()),
            mounts: shown(show.mounts, snapshot.mounts().len()),
            holds: snapshot.hold_counts(),
        };
        let records = counts.total();
        let window = records
            .saturating_mul(USUAL_RECORD)
            .clamp(MIN_WINDOW, MAX_WINDOW);
        Ok(Self {
            window: Window::new(window)?,
            marks: Vec::with_capacity(records / MARK_DISTANCE, charged())?,
            scratch: Scratch {
                path: PathBuf::new()?,
                kept: match records {
                    0..KEEP_FROM => None,
                    _ => Some(Box::new(KeptTexts::new(), charged())?),
                },
            },
            snapshot,
            counts,
            next: (0, 0),
            len: None,
        })
    }

    /// The record of a mount, as far as there is room for it, and what is known of it.
    pub(crate) fn mount(&mut self, index: usize) -> Option<MountText<'_>> {
        // CAST: A small number.
        let record = *self.snapshot.mounts().get(index as u32)?;
        self.window.restart(0, 0);
        self.next = (0, 0);
        let writer = RecordWriter {
            snapshot: &self.snapshot,
        };
        writer.render_mount(&record, &mut self.scratch, &mut self.window);
        let is_kernel_line = record.flags.is_kernel_line();
        Some(MountText {
            bytes: self.window.bytes_at(0),
            is_kernel_line,
            is_cut: !is_kernel_line && self.scratch.path.is_cut(),
        })
    }

    /// Copies what stands from `pos` on to a reader, as much as it has room for, and moves `pos`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `pos` is negative; `EFAULT` if the reader's memory is not there; `EINTR` if the
    /// calling process is being killed.
    pub(crate) fn read(&mut self, pos: &mut i64, to: &mut IovIterDest<'_>) -> Result<usize> {
        let mut at = usize::try_from(*pos).map_err(|_| EINVAL)?;
        let mut copied = 0_usize;
        while !to.is_empty() {
            if self.window.bytes_at(at).is_empty() && !self.move_to(at)? {
                break;
            }
            let now = to.copy_to_iter(self.window.bytes_at(at));
            if now == 0 {
                if copied == 0 {
                    return Err(EFAULT);
                }
                break;
            }
            at = at.saturating_add(now);
            copied = copied.saturating_add(now);
        }
        *pos = i64::try_from(at).map_err(|_| EOVERFLOW)?;
        Ok(copied)
    }

    /// Moves the window to a place in the text; says whether there is something.
    fn move_to(&mut self, at: usize) -> Result<bool> {
        if self.len.is_some_and(|len| at >= len) {
            return Ok(false);
        }
        // The last record that begins before, of those of which that is known.
        let (mut record, mut begin) = self.next;
        if begin > at || !self.is_near(record, at) {
            let mark = self.marks.partition_point(|begin| *begin <= at);
            record = mark.saturating_mul(MARK_DISTANCE);
            begin = mark
                .checked_sub(1)
                .and_then(|mark| self.marks.get(mark).copied())
                .unwrap_or(0);
        }
        self.window.restart(at, begin);
        let total = self.counts.total();
        while record < total {
            if record % MARK_DISTANCE == 0 {
                if task::is_being_killed() {
                    return Err(EINTR);
                }
                let mark = record / MARK_DISTANCE;
                if mark == self.marks.len().saturating_add(1) {
                    // There is room for all.
                    let _ = self.marks.push_within_capacity(self.window.position());
                }
            }
            self.next = (record, self.window.position());
            self.render(record);
            let is_whole = self.window.free() > 0;
            if is_whole {
                record = record.saturating_add(1);
                self.next = (record, self.window.position());
            }
            if self.window.free() < USUAL_RECORD && self.window.end() > at {
                break;
            }
        }
        if record >= total {
            self.len = Some(self.window.position());
        }
        Ok(self.window.end() > at)
    }

    /// Whether no mark is nearer before `at` than a record that begins before it.
    fn is_near(&self, record: usize, at: usize) -> bool {
        self.marks
            .get(record / MARK_DISTANCE)
            .is_none_or(|mark| *mark > at)
    }

    /// Writes a record to the window.
    fn render(&mut self, record: usize) {
        let (to, scratch) = (&mut self.window, &mut self.scratch);
        let (snapshot, counts) = (&self.snapshot, &self.counts);
        let writer = RecordWriter { snapshot };
        let Some(mut index) = record.checked_sub(1) else {
            to.push(b"nsinspect 1");
            fields!(to, release: Escaped(system::release()), uptime: snapshot.uptime);
            to.push(b"\n");
            return;
        };
        // CAST: Indices into memory.
        if index < counts.namespaces {
            if let Some(ns) = snapshot.namespaces().get(index as u32) {
                writer.render_ns(ns, scratch, to);
            }
            return;
        }
        index = index.wrapping_sub(counts.namespaces);
        if index < counts.tasks {
            if let Some(task) = snapshot.tasks().processes().get(index as u32) {
                writer.render_task(task, scratch, to);
            }
            return;
        }
        index = index.wrapping_sub(counts.tasks);
        if index < counts.threads {
            if let Some(thread) = snapshot.tasks().threads().get(index as u32) {
                writer.render_thread(thread, scratch, to);
            }
            return;
        }
        index = index.wrapping_sub(counts.threads);
        if index < counts.mounts {
            if let Some(mount) = snapshot.mounts().get(index as u32) {
                writer.render_mount(mount, scratch, to);
            }
            return;
        }
        index = index.wrapping_sub(counts.mounts);
        if index < counts.holds.total() {
            writer.render_hold(&counts.holds, index, scratch, to);
            return;
        }
        to.push(b"end");
        fields!(
            to,
            ns: counts.namespaces as u64,
            tasks: counts.tasks as u64,
            threads: counts.threads as u64,
            mounts: counts.mounts as u64,
            holds: counts.holds.total() as u64,
        );
        to.push(b"\n");
    }
}

/// How many records a text has, at least, of which parts are kept spelled.
const KEEP_FROM: usize = 128;

/// Sets of namespaces that are kept spelled at the same time.
const SETS: usize = 16;

/// Places of holds that are kept spelled at the same time.
const PLACES: usize = 16;

/// Options of mounts that are kept spelled at the same time.
const OPTIONS: usize = 16;

/// The longest text that is kept spelled, in bytes. The fields of a set have ten keys of up to 18
/// characters, and numbers of up to ten.
const KEPT_BYTES: usize = 320;

/// What many records have in common, as it is spelled: most have the same as one shortly before.
struct Kept<K> {
    /// What is spelled in the place.
    key: Option<K>,
    /// Made once there is something to keep.
    window: Option<Window>,
}

impl<K: Copy + PartialEq> Kept<K> {
    const fn new() -> Self {
        Self {
            key: None,
            window: None,
        }
    }

    /// Writes what `key` stands for, which `spell` spells if it is not kept.
    #[inline]
    fn put(&mut self, key: K, to: &mut Window, spell: impl FnOnce(&mut Window)) {
        if self.key == Some(key) {
            if let Some(window) = &self.window {
                to.push(window.bytes_at(0));
                return;
            }
        }
        let begin = to.position();
        spell(to);
        self.key = None;
        // It is kept if all of it stands in the window of the text, and there is memory for it.
        let len = to.position().saturating_sub(begin);
        let spelled = to.bytes_at(begin);
        if spelled.len() != len || len > KEPT_BYTES {
            return;
        }
        if self.window.is_none() {
            self.window = Window::new(KEPT_BYTES).ok();
        }
        if let Some(window) = &mut self.window {
            window.restart(0, 0);
            window.push(spelled);
            self.key = Some(key);
        }
    }
}

/// As [`Kept::put`], if there is a place to keep it.
#[inline]
fn put_kept<K: Copy + PartialEq>(
    kept: Option<&mut Kept<K>>,
    key: K,
    to: &mut Window,
    spell: impl FnOnce(&mut Window),
) {
    match kept {
        Some(kept) => kept.put(key, to, spell),
        None => spell(to),
    }
}

impl KeptTexts {
    /// None are kept yet.
    const fn new() -> Self {
        Self {
            sets: [const { Kept::new() }; SETS],
            root: Kept::new(),
            cwd: Kept::new(),
            cgroup: Kept::new(),
            cred: Kept::new(),
            mount: Kept::new(),
            places: [const { Kept::new() }; PLACES],
            options: [const { Kept::new() }; OPTIONS],
        }
    }
}

/// Writes the records of a snapshot.
struct RecordWriter<'a> {
    snapshot: &'a Snapshot,
}

impl RecordWriter<'_> {
    fn render_ns(&self, ns: &NsRecord, scratch: &mut Scratch, to: &mut Window) {
        to.push(b"ns ");
        to.push(ns.kind.name().as_bytes());
        to.push(b" ");
        ns.id.put(to);
        fields!(
            to,
            id: ns.id.id(),
            owner: ns.owner,
            tasks: ns.tasks,
            refs: ns.refs,
            active: ns.active,
        );
        match &ns.detail {
            Detail::Pid {
                level,
                parent,
                reaper,
                allocated,
                pid_max,
                dying,
            } => fields!(
                to,
                level: level,
                parent: parent,
                reaper: reaper,
                pids: allocated,
                pid_max: pid_max,
                dying: dying,
            ),
            Detail::User {
                level,
                parent,
                owner,
            } => {
                let (uids, gids) = self.snapshot.id_maps(ns);
                fields!(
                    to,
                    level: level,
                    parent: parent,
                    uid: owner,
                    uid_map: List(uids, IdExtent::put),
                    gid_map: List(gids, IdExtent::put),
                );
            }
            Detail::Mnt {
                mounts,
                pending,
                event,
                origin,
            } => {
                fields!(
                    to,
                    mounts: mounts,
                    pending: pending,
                    event: event,
                    origin: origin,
                    root: ns.root_mount,
                );
                if ns.is_torn {
                    fields!(to, torn: true);
                }
            }
            Detail::Uts {
                nodename,
                domainname,
            } => fields!(
                to,
                nodename: until_nul(nodename),
                domainname: until_nul(domainname),
            ),
            Detail::Cgroup => {
                let path = scratch.spell(self.snapshot, self.snapshot.cgroup_root(ns));
                fields!(to, root: SpelledPath(path, false));
            }
            Detail::Time {
                monotonic,
                boottime,
            } => fields!(to, monotonic: monotonic, boottime: boottime),
            Detail::Other => {}
        }
        to.push(b"\n");
    }

    fn render_task(&self, task: &TaskRecord, scratch: &mut Scratch, to: &mut Window) {
        let levels = self.snapshot.tasks().levels(task);
        to.push(b"task ");
        self.render_numbers(task, levels, false, to);
        fields!(
            to,
            pgid: List(levels.numbers.iter(), |of: &LevelNumbers, to: &mut Window| of.pgid.put(to)),
            sid: List(levels.numbers.iter(), |of: &LevelNumbers, to: &mut Window| of.sid.put(to)),
            ppid: task.ppid,
            tracer: task.tracer(),
        );
        self.render_cred(task, scratch, to);
        fields!(
            to,
            seccomp: u32::from(task.seccomp),
            nnp: task.has_no_new_privs,
            threads: task.threads,
            state: Word(&[task.state]),
            kind: Word(if task.is_kthread { b"kthread" } else { b"user" }),
            start: task.start,
        );
        self.render_places(task, scratch, to);
        if let Some(via) = task.via() {
            fields!(to, via: via);
        }
        if task.is_mixed {
            fields!(to, mixed: true);
        }
        if task.is_unnumbered {
            fields!(to, unnumbered: true);
        }
        if task.is_unlisted {
            fields!(to, unlisted: true);
        }
        to.push(b"\n");
    }

    /// What threads of one process have in common is left out.
    fn render_thread(&self, task: &TaskRecord, scratch: &mut Scratch, to: &mut Window) {
        let levels = self.snapshot.tasks().levels(task);
        to.push(b"thread ");
        self.render_numbers(task, levels, true, to);
        fields!(to, tracer: task.tracer());
        self.render_cred(task, scratch, to);
        fields!(
            to,
            seccomp: u32::from(task.seccomp),
            nnp: task.has_no_new_privs,
            state: Word(&[task.state]),
            start: task.start,
        );
        self.render_places(task, scratch, to);
        to.push(b"\n");
    }

    /// The fields that task and thread records begin with.
    fn render_numbers(
        &self,
        task: &TaskRecord,
        levels: Levels<'_>,
        is_thread: bool,
        to: &mut Window,
    ) {
        levels.numbers.first().map(|of| of.nr).put(to);
        if is_thread {
            fields!(to, tgid: task.tgid);
        }
        fields!(
            to,
            comm: until_nul(&task.comm),
            level: levels.numbers.len().saturating_sub(1) as u64,
            upid: List(
                levels.numbers.iter().zip(levels.namespaces),
                |(of, ns): (&LevelNumbers, &Option<NsId>), to: &mut Window| {
                    of.nr.put(to);
                    to.push(b"@");
                    ns.put(to);
                }
            ),
        );
    }

    /// The credentials in task and thread records.
    fn render_cred(&self, task: &TaskRecord, scratch: &mut Scratch, to: &mut Window) {
        let kept = scratch.kept.as_mut().map(|kept| &mut kept.cred);
        put_kept(kept, task.cred, to, |to| {
            if let Some(cred) = self.snapshot.tasks().cred(task) {
                fields!(
                    to,
                    uid: cred.uid,
                    gid: cred.gid,
                    euid: cred.euid,
                    egid: cred.egid,
                    caps: Hex(cred.caps),
                );
            }
        });
    }

    /// The fields that task and thread records end with.
    fn render_places(&self, task: &TaskRecord, scratch: &mut Scratch, to: &mut Window) {
        let (snapshot, tasks) = (self.snapshot, self.snapshot.tasks());
        let Scratch { path, kept } = scratch;
        let (kept_set, kept_root, kept_cwd, kept_cgroup) = match kept.as_deref_mut() {
            Some(KeptTexts {
                sets,
                root,
                cwd,
                cgroup,
                ..
            }) => {
                // CAST: An index into memory.
                let set = sets.get_mut(task.set as usize % SETS);
                (set, Some(root), Some(cwd), Some(cgroup))
            }
            None => (None, None, None, None),
        };
        put_kept(kept_set, task.set, to, |to| {
            if let Some(set) = tasks.set(task.set) {
                render_set(set, to);
            }
        });
        let root = tasks.root(task);
        put_kept(kept_root, root, to, |to| {
            let (dir, is_chroot) = root.unzip();
            fields!(to, chroot: is_chroot);
            fields!(to, root: spell(snapshot, dir, path), rootns: dir.and_then(|dir| dir.ns));
        });
        let cwd = tasks.cwd(task);
        put_kept(kept_cwd, cwd, to, |to| {
            fields!(to, cwd: spell(snapshot, cwd, path), cwdns: cwd.and_then(|dir| dir.ns));
        });
        let cgroup = tasks.cgroup(task);
        put_kept(kept_cgroup, cgroup, to, |to| {
            let (cgroup, is_removed, id) = cgroup;
            snapshot.spell(cgroup, path);
            fields!(to, cgroup: SpelledPath(path, is_removed), cgroup_id: id);
        });
    }

    /// C: `show_mountinfo()` in [`fs/proc_namespace.c`](srctree/fs/proc_namespace.c), behind what is
    /// put before its line.
    fn render_mount(&self, mount: &MountRecord, scratch: &mut Scratch, to: &mut Window) {
        let kept = scratch.kept.as_mut().map(|kept| &mut kept.mount);
        put_kept(kept, mount.ns, to, |to| {
            let ns = self.snapshot.namespaces().get(mount.ns);
            to.push(b"mount ");
            ns.map(|ns| ns.id).put(to);
            to.push(b" ");
        });
        mount.id.put(to);
        to.push(match mount.reach {
            Reach::Root => b" root".as_slice(),
            Reach::Over => b" over",
            Reach::Covered => b" covered",
            Reach::Outside => b" outside",
        });
        if mount.flags.is_locked() {
            to.push(b",locked");
        }
        if mount.is_copy {
            to.push(b",copy");
        }
        to.push(b" ");
        if !mount.flags.is_kernel_line() {
            self.render_mountinfo(mount, scratch, to);
        }
        to.push(self.snapshot.string(mount.tail));
        to.push(b"\n");
    }

    /// The hold that is number `index` of all.
    fn render_hold(
        &self,
        counts: &HoldCounts,
        index: usize,
        scratch: &mut Scratch,
        to: &mut Window,
    ) {
        let (snapshot, more) = (self.snapshot, self.snapshot.ns_holds());
        // CAST: Indices into memory.
        if index < counts.processes {
            let holds = snapshot.tasks().holds();
            if let Some(hold) = holds.records().get(index as u32) {
                self.render_process_hold(hold, scratch, to);
            }
            return;
        }
        let mut index = index.wrapping_sub(counts.processes);
        if index < counts.mounts {
            if let Some(mount) = snapshot.mounts().get(index as u32) {
                self.render_mount_hold(mount, scratch, to);
            }
            return;
        }
        index = index.wrapping_sub(counts.mounts);
        if index < counts.ns_mounts {
            if let Some(hold) = more.by_mount().get(index as u32) {
                self.render_leading_mount(hold, scratch, to);
            }
            return;
        }
        index = index.wrapping_sub(counts.ns_mounts);
        if index < counts.children {
            if let Some(ChildHold { ns, child, .. }) = more.by_child().get(index as u32) {
                put_held_ns(*ns, b"child", to);
                fields!(to, ns: child);
                to.push(b"\n");
            }
            return;
        }
        index = index.wrapping_sub(counts.children);
        if let Some(ns) = more.unknown().get(index as u32) {
            put_held_ns(*ns, b"unknown", to);
            to.push(b"\n");
        }
    }

    fn render_process_hold(&self, hold: &HoldRecord, scratch: &mut Scratch, to: &mut Window) {
        let (tasks, holds) = (self.snapshot.tasks(), self.snapshot.tasks().holds());
        let Some((holder, sharers)) = holds.holder(hold) else {
            return;
        };
        let word = hold.by.word();
        let mut place = None;
        match hold.held {
            Held::Ns(ns) => {
                to.push(b"hold ns ");
                holds.ns(ns).put(to);
                fields!(to, by: Word(word));
            }
            Held::Mount(at) => {
                let device = tasks.held_place(at).map(|place| place.device);
                put_held_dev(device.unwrap_or_default(), word, to);
                place = Some(at);
            }
            Held::BlockDevice {
                major,
                minor,
                place: at,
            } => {
                put_held_dev((major.into(), minor), b"blockdev", to);
                place = Some(at);
            }
        }
        fields!(to, pid: holder.pid);
        match hold.by {
            HeldBy::Fd(fd) | HeldBy::Socket(fd) | HeldBy::Cred(fd) => fields!(to, fd: fd),
            HeldBy::Pidfd(fd, of) => fields!(to, fd: fd, of: of),
            HeldBy::Fs { fd, .. } if fd.is_some() => fields!(to, fd: fd),
            HeldBy::Zombie { parent, tracer } => {
                let tracer = Some(tracer).filter(|tracer| *tracer != 0);
                fields!(to, ppid: parent, tracer: tracer);
            }
            _ => {}
        }
        if let HeldBy::Fs { place: at, .. } = hold.by {
            place = Some(at);
        }
        if let Some(at) = place {
            self.render_held_place(at, scratch, to);
        }
        if let HeldBy::Fs { relation, .. } = hold.by {
            fields!(to, keeps: relation != FsRelation::Shows);
        }
        if let Some(tid) = holder.tid() {
            fields!(to, tid: tid);
        }
        if let Some(sharers) = sharers {
            let (pids, is_cut) = sharers.pids();
            fields!(to, also: List(pids.iter(), |pid: &i32, to: &mut Window| pid.put(to)));
            if is_cut {
                to.push(CUT);
            }
        }
        to.push(b"\n");
    }

    /// Where something is that a process keeps.
    fn render_held_place(&self, at: u32, scratch: &mut Scratch, to: &mut Window) {
        let Scratch { path, kept } = scratch;
        // CAST: An index into memory.
        let kept = kept.as_mut();
        let kept = kept.and_then(|kept| kept.places.get_mut(at as usize % PLACES));
        put_kept(kept, at, to, |to| {
            if let Some(place) = self.snapshot.tasks().held_place(at) {
                let HeldPlace {
                    mount, attachment, ..
                } = place;
                self.snapshot.spell(place.path, path);
                fields!(
                    to,
                    mount: mount,
                    at: Word(match attachment {
                        Attachment::Attached(_) => b"attached",
                        Attachment::Detached => b"detached",
                        Attachment::Anonymous => b"anonymous",
                        Attachment::Internal => b"internal",
                    }),
                    path: SpelledPath(path, place.is_deleted),
                );
            }
        });
    }

    /// What a mount keeps: its device.
    fn render_mount_hold(&self, mount: &MountRecord, scratch: &mut Scratch, to: &mut Window) {
        put_held_dev(mount.device(), b"mount", to);
        let ns = self.snapshot.namespaces().get(mount.ns);
        let path = scratch.spell(self.snapshot, mount.point);
        fields!(
            to,
            mntns: ns.map(|ns| ns.id),
            mount: mount.id,
            at: Word(b"attached"),
            path: SpelledPath(path, false),
        );
        to.push(b"\n");
    }

    /// The namespace that a mount leads to.
    fn render_leading_mount(&self, hold: &MountHold, scratch: &mut Scratch, to: &mut Window) {
        let is_file = hold.relation == FsRelation::File;
        put_held_ns(hold.ns, if is_file { b"mount" } else { b"fs" }, to);
        if let Some((mount, mntns)) = self.snapshot.leading_mount(hold) {
            let path = scratch.spell(self.snapshot, mount.point);
            fields!(to, mntns: mntns, mount: mount.id, path: SpelledPath(path, false));
        }
        if !is_file {
            fields!(to, keeps: hold.relation == FsRelation::Keeps);
        }
        to.push(b"\n");
    }

    /// The line of `mountinfo` up to the type of the file system.
    fn render_mountinfo(&self, mount: &MountRecord, scratch: &mut Scratch, to: &mut Window) {
        mount.mnt_id.put(to);
        to.push(b" ");
        mount.parent_mnt_id.put(to);
        to.push(b" ");
        let (major, minor) = mount.device();
        major.put(to);
        to.push(b":");
        minor.put(to);
        to.push(b" ");
        to.push(self.snapshot.string(mount.root));
        to.push(b" ");
        let point = scratch.spell(self.snapshot, mount.point);
        put_path(point, false, &MOUNTINFO_SPECIAL, to);
        let kept = scratch.kept.as_mut();
        let kept = kept.and_then(|kept| kept.options.get_mut(mount.flags.mix() % OPTIONS));
        put_kept(kept, mount.flags, to, |to| {
            to.push(b" ");
            for option in mount.flags.options() {
                to.push(option);
            }
        });
        if mount.flags.is_shared() {
            to.push(b" shared:");
            mount.group.put(to);
        }
        if mount.flags.is_slave() {
            to.push(b" master:");
            mount.master.put(to);
            if mount.propagate_from != 0 {
                to.push(b" propagate_from:");
                mount.propagate_from.put(to);
            }
        }
        if mount.flags.is_unbindable() {
            to.push(b" unbindable");
        }
        to.push(b" - ");
    }
}

impl Scratch {
    /// Spells a path.
    fn spell(&mut self, snapshot: &Snapshot, path: PathId) -> &PathBuf {
        snapshot.spell(path, &mut self.path);
        &self.path
    }
}

/// Spells the path of a directory, if there is one.
fn spell<'p>(
    snapshot: &Snapshot,
    dir: Option<DirRecord>,
    path: &'p mut PathBuf,
) -> Option<SpelledPath<'p>> {
    let dir = dir?;
    snapshot.spell(dir.path, path);
    Some(SpelledPath(path, dir.is_deleted))
}

/// What a hold of a namespace begins with.
fn put_held_ns(ns: NsId, by: &[u8], to: &mut Window) {
    to.push(b"hold ns ");
    ns.put(to);
    fields!(to, by: Word(by));
}

/// What a hold of a device begins with.
fn put_held_dev((major, minor): (u32, u32), by: &[u8], to: &mut Window) {
    to.push(b"hold dev ");
    major.put(to);
    to.push(b":");
    minor.put(to);
    fields!(to, by: Word(by));
}

impl HeldBy {
    /// How the format calls it.
    fn word(&self) -> &'static [u8] {
        match self {
            Self::Fd(_) => b"fd",
            Self::Pidfd(..) => b"pidfd",
            Self::Socket(_) => b"socket",
            Self::Cred(_) => b"cred",
            Self::Fs { .. } => b"fs",
            Self::Cwd => b"cwd",
            Self::Root => b"root",
            Self::Exe => b"exe",
            Self::Map => b"map",
            Self::Thread => b"thread",
            Self::ForChildren => b"for_children",
            Self::Zombie { .. } => b"zombie",
        }
    }
}

/// The namespaces that task and thread records show.
fn render_set(set: &NamespaceSet, to: &mut Window) {
    let nsproxy = set.nsproxy.unwrap_or_default();
    fields!(
        to,
        pidns: set.pid,
        pid_for_children: nsproxy.pid_for_children,
        mntns: nsproxy.mnt,
        utsns: nsproxy.uts,
        ipcns: nsproxy.ipc,
        netns: nsproxy.net,
        cgroupns: nsproxy.cgroup,
        timens: nsproxy.time,
        time_for_children: nsproxy.time_for_children,
        userns: set.user,
    );
}

impl<T: Value> Value for &T {
    fn put(&self, to: &mut Window) {
        (**self).put(to);
    }
}

#[kernel::macros::kunit_tests(nsinspect_render)]
mod tests {
    use super::*;

    /// Whether a value is spelled like that.
    fn is_spelled(value: impl Value, expected: &[u8]) -> bool {
        let Ok(mut text) = Window::new(256) else {
            return false;
        };
        value.put(&mut text);
        text.bytes_at(0) == expected
    }

    #[test]
    fn numbers() {
        assert!(is_spelled(0_u32, b"0"));
        assert!(is_spelled(i32::MIN, b"-2147483648"));
        assert!(is_spelled(i64::MIN, b"-9223372036854775808"));
        assert!(is_spelled(u64::MAX, b"18446744073709551615"));
        assert!(is_spelled(true, b"1"));
        assert!(is_spelled(None::<u32>, b"-"));
        assert!(is_spelled(Some(3_u32), b"3"));
    }

    #[test]
    fn sets_of_capabilities() {
        assert!(is_spelled(Hex(0), b"0000000000000000"));
        assert!(is_spelled(Hex(0x1ff_ffff_ffff), b"000001ffffffffff"));
        assert!(is_spelled(Hex(0xfedc_ba98_7654_3210), b"fedcba9876543210"));
    }

    #[test]
    fn every_byte_is_escaped_or_itself() {
        for byte in 0..=255_u8 {
            let is_plain = (b'!'..=b'~').contains(&byte) && !b"\\,@#=-".contains(&byte);
            let expected: &[u8] = if is_plain { &[byte] } else { &octal(byte) };
            assert!(is_spelled(Escaped(&[byte]), expected));
        }
    }

    #[test]
    fn strings() {
        assert!(is_spelled(Escaped(b""), b""));
        assert!(is_spelled(Escaped(b"a b"), b"a\\040b"));
        assert!(is_spelled(Escaped(b"-"), b"\\055"));
        assert!(is_spelled(Escaped(b"--"), b"--"));
        assert!(is_spelled(Escaped(b"a-"), b"a-"));
        assert!(is_spelled(
            Escaped(b"\\,@#=\n"),
            b"\\134\\054\\100\\043\\075\\012"
        ));
        assert!(is_spelled(until_nul(b"name\0rest"), b"name"));
        assert!(is_spelled(until_nul(b"name"), b"name"));
        assert!(is_spelled(until_nul(b"\0"), b""));
    }
}
