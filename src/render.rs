// SPDX-License-Identifier: GPL-2.0

//! Writes a snapshot as the text of `/proc/nsinspect`, format 1. Pure.
//!
//! The format is described in `docs/format.md`.

#![deny(unsafe_code)]

use crate::{
    query::Query,
    snapshot::{
        Level,
        MountRecord,
        MountSink,
        NameRef,
        NsRecord,
        Snapshot,
        Sources,
        Spaces,
        TaskRecord, //
    },
    sys::{
        memory,
        mount::Reach,
        namespace::{
            Detail,
            Inum, //
        },
        system, //
    },
    text::{
        octal,
        ByteSet,
        Decimal,
        Text,
        TextBuf, //
    },
};
use kernel::{
    fs::LocalFile,
    prelude::*, //
};

/// What can stand after a `=`.
trait Value {
    /// Appends it as the format spells it.
    fn put(&self, to: &mut TextBuf) -> Result;
}

macro_rules! unsigned {
    ($($type:ty),*) => { $(
        impl Value for $type {
            fn put(&self, to: &mut TextBuf) -> Result {
                to.push(Decimal::new((*self).into()).as_bytes())
            }
        }
    )* };
}

macro_rules! signed {
    ($($type:ty),*) => { $(
        impl Value for $type {
            fn put(&self, to: &mut TextBuf) -> Result {
                if *self < 0 {
                    to.push(b"-")?;
                }
                to.push(Decimal::new(self.unsigned_abs().into()).as_bytes())
            }
        }
    )* };
}

unsigned!(u32, u64);
signed!(i32, i64);

impl Value for bool {
    fn put(&self, to: &mut TextBuf) -> Result {
        to.push(if *self { b"1" } else { b"0" })
    }
}

impl Value for Inum {
    fn put(&self, to: &mut TextBuf) -> Result {
        self.get().put(to)
    }
}

impl<T: Value> Value for Option<T> {
    fn put(&self, to: &mut TextBuf) -> Result {
        match self {
            Some(value) => value.put(to),
            None => to.push(b"-"),
        }
    }
}

/// A word that needs no escapes.
struct Word<'a>(&'a [u8]);

impl Value for Word<'_> {
    fn put(&self, to: &mut TextBuf) -> Result {
        to.push(self.0)
    }
}

/// Bytes that somebody else chose. Whatever could be taken for the format's own, or is no visible
/// ASCII character, becomes a backslash and three octal digits.
struct Escaped<'a>(&'a [u8]);

static SPECIAL: ByteSet = ByteSet::not_graphic_or(b"\\,@#=");

impl Value for Escaped<'_> {
    fn put(&self, to: &mut TextBuf) -> Result {
        if self.0 == b"-" {
            // Alone it would mean that there is none.
            return to.push(&octal(b'-'));
        }
        let mut rest = self.0;
        loop {
            let (plain, special) = SPECIAL.split(rest);
            to.push(plain)?;
            let Some((byte, tail)) = special else {
                return Ok(());
            };
            to.push(&octal(byte))?;
            rest = tail;
        }
    }
}

impl Value for NameRef<'_> {
    fn put(&self, to: &mut TextBuf) -> Result {
        Escaped(self.bytes).put(to)?;
        if self.cut {
            to.push(b"\\~")?;
        }
        Ok(())
    }
}

/// A string in an array: what stands before the first NUL.
fn until_nul(bytes: &[u8]) -> Escaped<'_> {
    Escaped(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// One element for each level, with commas between.
struct List<'a, F>(&'a [Level], F);

impl<F: Fn(&Level, &mut TextBuf) -> Result> Value for List<'_, F> {
    fn put(&self, to: &mut TextBuf) -> Result {
        for (i, level) in self.0.iter().enumerate() {
            if i > 0 {
                to.push(b",")?;
            }
            self.1(level, to)?;
        }
        Ok(())
    }
}

/// Writes `key=value` fields, each after a blank.
macro_rules! fields {
    ($to:expr, $($key:ident: $value:expr),* $(,)?) => {{ $(
        $to.push(concat!(" ", stringify!($key), "=").as_bytes())?;
        $value.put($to)?;
    )* }};
}

/// Takes a snapshot of what `query` asks for, on behalf of the reader who opened `file`, and writes
/// it.
///
/// # Errors
///
/// `ENOMEM`; `EINTR` if the reader is being killed.
pub(crate) fn text_of(sources: &Sources, query: &Query, file: &LocalFile) -> Result<Text> {
    let mut mounts = Mounts {
        text: TextBuf::new(),
        count: 0,
    };
    let snapshot = Snapshot::take(sources, query, file, &mut mounts)?;
    Page {
        spaces: Spelled::of(snapshot.all_spaces(), render_spaces)?,
        snapshot,
    }
    .render(mounts)
}

/// The mount records, which are written while the snapshot is taken.
struct Mounts {
    text: TextBuf,
    count: u64,
}

impl MountSink for Mounts {
    fn add(&mut self, mount: &MountRecord<'_>) -> Result {
        let to = &mut self.text;
        to.push(b"mount ")?;
        mount.ns.put(to)?;
        to.push(b" ")?;
        mount.id.put(to)?;
        to.push(match mount.reach {
            Reach::Root => b" root ".as_slice(),
            Reach::Over => b" over ",
            Reach::Outside => b" outside ",
        })?;
        to.push(mount.line)?;
        to.push(b"\n")?;
        self.count = self.count.saturating_add(1);
        Ok(())
    }
}

/// What many records have in common, spelled once.
struct Spelled {
    bytes: KVVec<u8>,
    /// Where each one ends.
    ends: KVVec<usize>,
}

impl Spelled {
    /// What `spell` writes of each item, which must be short.
    fn of<T>(
        items: impl ExactSizeIterator<Item = T>,
        spell: impl Fn(T, &mut TextBuf) -> Result,
    ) -> Result<Self> {
        let mut this = Self {
            bytes: KVVec::new(),
            ends: KVVec::with_capacity(items.len(), memory::charged())?,
        };
        let mut text = TextBuf::new();
        for item in items {
            spell(item, &mut text)?;
            this.bytes
                .extend_from_slice(text.last_piece(), memory::charged())?;
            this.ends.push(this.bytes.len(), memory::charged())?;
            text.clear_last_piece();
        }
        Ok(this)
    }

    fn get(&self, index: u32) -> Option<&[u8]> {
        // CAST: An index into memory.
        let index = index as usize;
        let end = *self.ends.get(index)?;
        let begin = index.checked_sub(1).and_then(|i| self.ends.get(i));
        self.bytes.get(begin.copied().unwrap_or(0)..end)
    }
}

/// A snapshot, and what is spelled of it already.
struct Page {
    snapshot: Snapshot,
    /// The fields of each set of namespaces.
    spaces: Spelled,
}

impl Page {
    /// Writes all records, the `mounts` last.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    fn render(&self, mounts: Mounts) -> Result<Text> {
        let snapshot = &self.snapshot;
        let mut text = TextBuf::new();
        let to = &mut text;

        to.push(b"nsinspect 1")?;
        fields!(to, release: Escaped(system::release()), uptime: snapshot.uptime);
        to.push(b"\n")?;

        let show = snapshot.show();
        let namespaces = shown(show.ns, &snapshot.namespaces);
        for ns in namespaces {
            self.render_ns(ns, to)?;
        }
        let tasks = shown(show.tasks, snapshot.tasks());
        for task in tasks {
            self.render_task(task, to)?;
        }
        let threads = shown(show.threads, snapshot.threads());
        for thread in threads {
            self.render_thread(thread, to)?;
        }
        to.append(mounts.text)?;

        to.push(b"end")?;
        fields!(
            to,
            ns: namespaces.len() as u64,
            tasks: tasks.len() as u64,
            threads: threads.len() as u64,
            mounts: mounts.count,
        );
        to.push(b"\n")?;
        text.finish()
    }

    fn render_ns(&self, ns: &NsRecord, to: &mut TextBuf) -> Result {
        to.push(b"ns ")?;
        to.push(ns.kind.name().as_bytes())?;
        to.push(b" ")?;
        ns.inum.put(to)?;
        fields!(
            to,
            id: ns.id,
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
            } => fields!(to, level: level, parent: parent, uid: owner),
            Detail::Mnt {
                mounts,
                pending,
                event,
                origin,
            } => fields!(
                to,
                mounts: mounts,
                pending: pending,
                event: event,
                origin: origin,
                root: ns.root_mount,
            ),
            Detail::Uts {
                nodename,
                domainname,
            } => fields!(
                to,
                nodename: until_nul(nodename),
                domainname: until_nul(domainname),
            ),
            Detail::Cgroup => fields!(to, root: self.snapshot.cgroup_root(ns)),
            Detail::Time {
                monotonic,
                boottime,
            } => fields!(to, monotonic: monotonic, boottime: boottime),
            Detail::Other => {}
        }
        to.push(b"\n")
    }

    fn render_task(&self, task: &TaskRecord, to: &mut TextBuf) -> Result {
        let levels = self.snapshot.levels(task);
        to.push(b"task ")?;
        self.render_numbers(task, false, to)?;
        fields!(
            to,
            pgid: List(levels, |level: &Level, to: &mut TextBuf| level.pgid.put(to)),
            sid: List(levels, |level: &Level, to: &mut TextBuf| level.sid.put(to)),
            ppid: task.ppid,
            uid: task.uid,
            gid: task.gid,
            threads: task.threads,
            state: Word(&[task.state]),
            kind: Word(if task.is_kthread { b"kthread" } else { b"user" }),
            start: task.start,
        );
        self.render_places(task, to)?;
        if task.is_unlisted {
            fields!(to, unlisted: true);
        }
        to.push(b"\n")
    }

    /// What threads of one process have in common is left out.
    fn render_thread(&self, task: &TaskRecord, to: &mut TextBuf) -> Result {
        to.push(b"thread ")?;
        self.render_numbers(task, true, to)?;
        fields!(
            to,
            uid: task.uid,
            gid: task.gid,
            state: Word(&[task.state]),
            start: task.start,
        );
        self.render_places(task, to)?;
        to.push(b"\n")
    }

    /// The fields that task and thread records begin with.
    fn render_numbers(&self, task: &TaskRecord, is_thread: bool, to: &mut TextBuf) -> Result {
        let levels = self.snapshot.levels(task);
        levels.first().map(|level| level.nr).put(to)?;
        if is_thread {
            fields!(to, tgid: task.tgid);
        }
        fields!(
            to,
            comm: until_nul(&task.comm),
            level: levels.len().saturating_sub(1) as u64,
            upid: List(levels, |level: &Level, to: &mut TextBuf| {
                level.nr.put(to)?;
                to.push(b"@")?;
                level.ns.put(to)
            }),
        );
        Ok(())
    }

    /// The fields that task and thread records end with.
    fn render_places(&self, task: &TaskRecord, to: &mut TextBuf) -> Result {
        let root = self.snapshot.root(task);
        to.push(self.spaces.get(task.spaces).unwrap_or_default())?;
        fields!(
            to,
            chroot: root.as_ref().map(|(_, is_chroot)| *is_chroot),
            root: root.map(|(path, _)| path),
            cgroup: self.snapshot.cgroup(task),
        );
        Ok(())
    }
}

/// The namespaces that task and thread records show.
fn render_spaces(spaces: &Spaces, to: &mut TextBuf) -> Result {
    let nsproxy = spaces.nsproxy.unwrap_or_default();
    fields!(
        to,
        pidns: spaces.pid,
        pid_for_children: nsproxy.pid_for_children,
        mntns: nsproxy.mnt,
        utsns: nsproxy.uts,
        ipcns: nsproxy.ipc,
        netns: nsproxy.net,
        cgroupns: nsproxy.cgroup,
        timens: nsproxy.time,
        time_for_children: nsproxy.time_for_children,
        userns: spaces.user,
    );
    Ok(())
}

/// All of them, or none.
fn shown<T>(is_shown: bool, records: &[T]) -> &[T] {
    if is_shown {
        records
    } else {
        &[]
    }
}

impl<T: Value> Value for &T {
    fn put(&self, to: &mut TextBuf) -> Result {
        (**self).put(to)
    }
}

#[kernel::macros::kunit_tests(nsinspect_render)]
mod tests {
    use super::*;

    /// Whether a value is spelled like that.
    fn is_spelled(value: impl Value, expected: &[u8]) -> bool {
        let mut text = TextBuf::new();
        value.put(&mut text).is_ok() && text.last_piece() == expected
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

    #[test]
    fn what_is_spelled_once() -> Result {
        let spelled = Spelled::of([7_u32, 10, 4026531840].iter(), |number, to| number.put(to))?;
        assert!(spelled.get(0) == Some(b"7"));
        assert!(spelled.get(1) == Some(b"10"));
        assert!(spelled.get(2) == Some(b"4026531840"));
        assert!(spelled.get(3).is_none());
        Ok(())
    }

    #[test]
    fn names_that_were_cut() {
        let name = |bytes, cut| NameRef { bytes, cut };
        assert!(is_spelled(name(b"/a", false), b"/a"));
        assert!(is_spelled(name(b"/a", true), b"/a\\~"));
        // No whole name is spelled like one that was cut.
        assert!(is_spelled(name(b"/a\\~", false), b"/a\\134~"));
    }
}
