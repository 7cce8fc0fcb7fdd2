// SPDX-License-Identifier: GPL-2.0

//! Writes a snapshot as the text of `/proc/nsinspect`, format 1. Pure.
//!
//! The format is described in `docs/format.md`.

#![deny(unsafe_code)]

use crate::{
    snapshot::{
        Level,
        MountRecord,
        NameRef,
        NsRecord,
        Snapshot,
        TaskRecord, //
    },
    sys::{
        mount::Reach,
        namespace::{
            Detail,
            Inum, //
        },
        nsproxy::NsProxy,
        system, //
    },
    text::{
        octal,
        Decimal,
        Text, //
    },
};
use kernel::prelude::*;

/// What can stand after a `=`.
trait Value {
    /// Appends it as the format spells it.
    fn put(&self, to: &mut Text) -> Result;
}

macro_rules! unsigned {
    ($($type:ty),*) => { $(
        impl Value for $type {
            fn put(&self, to: &mut Text) -> Result {
                to.push(Decimal::new((*self).into()).as_bytes())
            }
        }
    )* };
}

macro_rules! signed {
    ($($type:ty),*) => { $(
        impl Value for $type {
            fn put(&self, to: &mut Text) -> Result {
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
    fn put(&self, to: &mut Text) -> Result {
        to.push(if *self { b"1" } else { b"0" })
    }
}

impl Value for Inum {
    fn put(&self, to: &mut Text) -> Result {
        self.get().put(to)
    }
}

impl<T: Value> Value for Option<T> {
    fn put(&self, to: &mut Text) -> Result {
        match self {
            Some(value) => value.put(to),
            None => to.push(b"-"),
        }
    }
}

/// A word that needs no escapes.
struct Word<'a>(&'a [u8]);

impl Value for Word<'_> {
    fn put(&self, to: &mut Text) -> Result {
        to.push(self.0)
    }
}

/// Bytes that somebody else chose. Whatever could be taken for the format's own, or is no visible
/// ASCII character, becomes a backslash and three octal digits.
struct Escaped<'a>(&'a [u8]);

impl Escaped<'_> {
    fn is_special(byte: u8) -> bool {
        !byte.is_ascii_graphic() || matches!(byte, b'\\' | b',' | b'@' | b'#' | b'=')
    }
}

impl Value for Escaped<'_> {
    fn put(&self, to: &mut Text) -> Result {
        if self.0 == b"-" {
            // Alone it would mean that there is none.
            return to.push(&octal(b'-'));
        }
        let mut rest = self.0;
        while let Some(at) = rest.iter().position(|byte| Self::is_special(*byte)) {
            let (plain, tail) = rest.split_at_checked(at).ok_or(EINVAL)?;
            let (byte, tail) = tail.split_first().ok_or(EINVAL)?;
            to.push(plain)?;
            to.push(&octal(*byte))?;
            rest = tail;
        }
        to.push(rest)
    }
}

impl Value for NameRef<'_> {
    fn put(&self, to: &mut Text) -> Result {
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

impl<F: Fn(&Level, &mut Text) -> Result> Value for List<'_, F> {
    fn put(&self, to: &mut Text) -> Result {
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

impl Snapshot {
    /// Writes all records.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn render(&self) -> Result<Text> {
        let mut text = Text::new();
        let to = &mut text;

        to.push(b"nsinspect 1")?;
        fields!(to, release: Escaped(system::release()), uptime: self.uptime);
        to.push(b"\n")?;

        let show = self.show();
        let namespaces = shown(show.ns, &self.namespaces);
        for ns in namespaces {
            self.render_ns(ns, to)?;
        }
        let tasks = shown(show.tasks, self.tasks());
        for task in tasks {
            self.render_task(task, to)?;
        }
        let threads = shown(show.threads, self.threads());
        for thread in threads {
            self.render_thread(thread, to)?;
        }
        let mounts = shown(show.mounts, &self.mounts);
        for mount in mounts {
            self.render_mount(mount, to)?;
        }

        to.push(b"end")?;
        fields!(
            to,
            ns: namespaces.len() as u64,
            tasks: tasks.len() as u64,
            threads: threads.len() as u64,
            mounts: mounts.len() as u64,
        );
        to.push(b"\n")?;
        Ok(text)
    }

    fn render_ns(&self, ns: &NsRecord, to: &mut Text) -> Result {
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
            Detail::Cgroup => fields!(to, root: self.cgroup_root(ns)),
            Detail::Time {
                monotonic,
                boottime,
            } => fields!(to, monotonic: monotonic, boottime: boottime),
            Detail::Other => {}
        }
        to.push(b"\n")
    }

    fn render_task(&self, task: &TaskRecord, to: &mut Text) -> Result {
        let levels = self.levels(task);
        to.push(b"task ")?;
        self.render_numbers(task, false, to)?;
        fields!(
            to,
            pgid: List(levels, |level: &Level, to: &mut Text| level.pgid.put(to)),
            sid: List(levels, |level: &Level, to: &mut Text| level.sid.put(to)),
            ppid: task.ppid,
            uid: task.uid,
            gid: task.gid,
            threads: task.threads,
            state: Word(&[task.state]),
            kind: Word(if task.is_kthread { b"kthread" } else { b"user" }),
            start: task.start,
        );
        self.render_spaces(task, to)?;
        if task.is_unlisted {
            fields!(to, unlisted: true);
        }
        to.push(b"\n")
    }

    /// What threads of one process have in common is left out.
    fn render_thread(&self, task: &TaskRecord, to: &mut Text) -> Result {
        to.push(b"thread ")?;
        self.render_numbers(task, true, to)?;
        fields!(
            to,
            uid: task.uid,
            gid: task.gid,
            state: Word(&[task.state]),
            start: task.start,
        );
        self.render_spaces(task, to)?;
        to.push(b"\n")
    }

    /// The fields that task and thread records begin with.
    fn render_numbers(&self, task: &TaskRecord, is_thread: bool, to: &mut Text) -> Result {
        let levels = self.levels(task);
        levels.first().map(|level| level.nr).put(to)?;
        if is_thread {
            fields!(to, tgid: task.tgid);
        }
        fields!(
            to,
            comm: until_nul(&task.comm),
            level: levels.len().saturating_sub(1) as u64,
            upid: List(levels, |level: &Level, to: &mut Text| {
                level.nr.put(to)?;
                to.push(b"@")?;
                level.ns.put(to)
            }),
        );
        Ok(())
    }

    /// The fields that task and thread records end with.
    fn render_spaces(&self, task: &TaskRecord, to: &mut Text) -> Result {
        let levels = self.levels(task);
        let nsproxy = |get: fn(&NsProxy) -> Option<Inum>| task.nsproxy.as_ref().and_then(get);
        let root = self.root(task);
        fields!(
            to,
            pidns: levels.last().and_then(|level| level.ns),
            pid_for_children: nsproxy(|nsproxy| nsproxy.pid_for_children),
            mntns: nsproxy(|nsproxy| nsproxy.mnt),
            utsns: nsproxy(|nsproxy| nsproxy.uts),
            ipcns: nsproxy(|nsproxy| nsproxy.ipc),
            netns: nsproxy(|nsproxy| nsproxy.net),
            cgroupns: nsproxy(|nsproxy| nsproxy.cgroup),
            timens: nsproxy(|nsproxy| nsproxy.time),
            time_for_children: nsproxy(|nsproxy| nsproxy.time_for_children),
            userns: task.user_ns,
            chroot: root.as_ref().map(|(_, is_chroot)| *is_chroot),
            root: root.map(|(path, _)| path),
            cgroup: self.cgroup(task),
        );
        Ok(())
    }

    fn render_mount(&self, mount: &MountRecord, to: &mut Text) -> Result {
        to.push(b"mount ")?;
        mount.ns.put(to)?;
        to.push(b" ")?;
        mount.id.put(to)?;
        to.push(match mount.reach {
            Reach::Root => b" root ".as_slice(),
            Reach::Over => b" over ",
            Reach::Outside => b" outside ",
        })?;
        to.push(self.line(mount))?;
        to.push(b"\n")
    }
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
    fn put(&self, to: &mut Text) -> Result {
        (**self).put(to)
    }
}

#[kernel::macros::kunit_tests(nsinspect_render)]
mod tests {
    use super::*;

    /// Whether a value is spelled like that.
    fn is_spelled(value: impl Value, expected: &[u8]) -> bool {
        let mut text = Text::new();
        value.put(&mut text).is_ok() && text.equals(expected)
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
    fn names_that_were_cut() {
        let name = |bytes, cut| NameRef { bytes, cut };
        assert!(is_spelled(name(b"/a", false), b"/a"));
        assert!(is_spelled(name(b"/a", true), b"/a\\~"));
        // No whole name is spelled like one that was cut.
        assert!(is_spelled(name(b"/a\\~", false), b"/a\\134~"));
    }
}
