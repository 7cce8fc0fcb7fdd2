// SPDX-License-Identifier: GPL-2.0

//! Format 1, the text of `/proc/nsinspect`: from bytes to typed records.
//!
//! The records borrow from the text and copy nothing. Each has its keys in one description, from which
//! parsing, printing and [`KINDS`] come; the columns of the command and the JSON that it writes refer to that.
//! What the description does not know is passed over, as the format asks of its readers.
//!
//! [`Text::open`] looks at the first line and the last one, [`Text::records`] reads what is between them.
//! This file knows nothing of where a text comes from.

use std::fmt;
use std::num::NonZeroU32;

mod field;
mod mount;

pub use field::{
    Caps, Escaped, Field, IdMap, IdRange, NumberList, Upid, UpidList, UpidNamespace, Value,
};
pub use mount::Mount;

use field::Cursor;

/// The format that this reads.
pub const FORMAT: u32 = 1;

/// The inode number of a namespace, as in `ls -l /proc/PID/ns` (`ns_common.inum`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inum(pub NonZeroU32);

impl Inum {
    /// The namespace with that inode number; none has 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number itself.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Inum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It does not begin as a text of `/proc/nsinspect`.
    NotText,
    /// It is of a later format, with that number.
    Format(String),
    /// It has no `end` record.
    CutShort,
    /// Its `end` record counts other numbers of records than there are: kind, counted, there.
    Counts(&'static str, u64, u64),
    /// A record that the format does not allow: the number of the line, from 1, and what is wrong.
    Malformed(usize, &'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotText => write!(f, "this is no text of /proc/nsinspect: its first line does not begin with \"nsinspect 1\""),
            Error::Format(number) => write!(
                f,
                "this text is of format {number}, and this program knows format {FORMAT} alone: a later nsinspect reads it"
            ),
            Error::CutShort => write!(f, "the text is cut short: its last line is no \"end\" record; read it again"),
            Error::Counts(kind, counted, there) => write!(
                f,
                "the text is not whole: its end record counts {counted} records \"{kind}\", and there are {there}; read it again"
            ),
            Error::Malformed(line, what) => write!(f, "line {line} of the text: {what}"),
        }
    }
}

impl std::error::Error for Error {}

/// A key of a record: its name, what it means, and where the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name, as it stands before the `=`.
    pub name: &'static str,
    /// What it means, in a few words.
    pub about: &'static str,
    /// The field or function of the kernel that has it; empty where it is the record's own.
    pub kernel: &'static str,
}

/// A kind of record: its name, and the keys in their order.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The first word of its lines.
    pub name: &'static str,
    /// What it describes.
    pub about: &'static str,
    /// Its fields with a key.
    pub keys: &'static [Key],
}

/// All kinds of records that have keys, in the order of the text.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "ns",
        about: "a namespace",
        keys: Namespace::KEYS,
    },
    Kind {
        name: "task",
        about: "a process",
        keys: Task::KEYS,
    },
    Kind {
        name: "thread",
        about: "a thread",
        keys: Thread::KEYS,
    },
    Kind {
        name: "mount",
        about: "a mount",
        keys: &[],
    },
    Kind {
        name: "hold",
        about: "a reason why something stays",
        keys: Hold::KEYS,
    },
];

/// The end of a line. It says nothing that the other fields do not, so all are equal.
#[derive(Clone, Copy, Debug, Default)]
struct Tail<'t>(&'t [u8]);

impl PartialEq for Tail<'_> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Describes a kind of record once: the type, its parser, its printer, and [`Key`]s.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident, $kind:literal {
            $($(#[$pmeta:meta])* $positional:ident: $ptype:ty,)*
            ;
            $($field:ident: $type:ty = $key:literal, $about:literal, $kernel:literal;)*
            $(@tail $start:literal $($tfield:ident: $ttype:ty = $tkey:literal, $tabout:literal, $tkernel:literal;)*)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name<'t> {
            $($(#[$pmeta])* pub $positional: $ptype,)*
            $(#[doc = $about] pub $field: $type,)*
            $($(#[doc = $tabout] pub $tfield: $ttype,)*)?
            seen: u64,
            /// The end of the line, which many records have in common.
            tail: Tail<'t>,
            borrowed: std::marker::PhantomData<&'t [u8]>,
        }

        impl<'t> $name<'t> {
            /// Its fields that have a key, in their order.
            pub const KEYS: &'static [Key] = &[
                $(Key { name: $key, about: $about, kernel: $kernel },)*
                $($(Key { name: $tkey, about: $tabout, kernel: $tkernel },)*)?
            ];

            /// Reads what follows the record's first word. Where the end of the line is that of the record before, it is
            /// not read again.
            pub(crate) fn parse(line: &'t [u8], before: Option<&Self>) -> Result<Self, &'static str> {
                let mut cursor = Cursor::new(line);
                let mut record = Self::default();
                // Not all kinds have such an end.
                let _ = before;
                $(
                    record.$positional = cursor
                        .positional()
                        .ok_or(concat!("a record ", $kind, " has no valid ", stringify!($positional)))?;
                )*
                // The keys come in order, so one pass is enough for all that are known. What is not known stops
                // it, and is passed over.
                loop {
                    #[allow(unused_assignments)]
                    {
                        let mut bit = 1u64;
                        $(
                            if cursor.at_key(concat!(" ", $key, "=").as_bytes()) {
                                record.$field = cursor
                                    .value()
                                    .ok_or(concat!("a record ", $kind, " has no valid value of ", $key))?;
                                record.seen |= bit;
                            }
                            bit <<= 1;
                        )*
                        $(
                            // What this does not know may stand before it.
                            if cursor.rest().starts_with($start.as_bytes()) {
                                record.tail = Tail(cursor.rest());
                                if let Some(before) = before.filter(|before| before.tail.0 == cursor.rest()) {
                                    $(record.$tfield = before.$tfield;)*
                                    // Whatever comes before the end has the bits below.
                                    record.seen |= before.seen & !(bit - 1);
                                    return Ok(record);
                                }
                            }
                            $(
                                if cursor.at_key(concat!(" ", $tkey, "=").as_bytes()) {
                                    record.$tfield = cursor
                                        .value()
                                        .ok_or(concat!("a record ", $kind, " has no valid value of ", $tkey))?;
                                    record.seen |= bit;
                                }
                                bit <<= 1;
                            )*
                        )?
                    }
                    if cursor.is_done() {
                        return Ok(record);
                    }
                    cursor.skip()?;
                }
            }

            /// Whether the text has that key in this record.
            pub fn has(&self, key: &str) -> bool {
                Self::KEYS.iter().position(|one| one.name == key).is_some_and(|at| self.seen & (1 << at) != 0)
            }

            /// The value of a key, by its name; of one that the record does not have, or that is `-`, absent.
            pub fn value(&self, key: &str) -> Value<'t> {
                if !self.has(key) {
                    return Value::Absent;
                }
                match key {
                    $($key => self.$field.to_value(),)*
                    $($($tkey => self.$tfield.to_value(),)*)?
                    _ => Value::Absent,
                }
            }
        }

        impl $name<'_> {
            /// The record as it stands in a text, without the newline, and without what this does not know.
            pub fn to_bytes(&self) -> Vec<u8> {
                let mut line = $kind.as_bytes().to_vec();
                $(
                    line.push(b' ');
                    self.$positional.print(&mut line);
                )*
                #[allow(unused_assignments)]
                {
                    let mut bit = 1u64;
                    $(
                        if self.seen & bit != 0 {
                            line.extend_from_slice(concat!(" ", $key, "=").as_bytes());
                            self.$field.print(&mut line);
                        }
                        bit <<= 1;
                    )*
                    $($(
                        if self.seen & bit != 0 {
                            line.extend_from_slice(concat!(" ", $tkey, "=").as_bytes());
                            self.$tfield.print(&mut line);
                        }
                        bit <<= 1;
                    )*)?
                }
                line
            }
        }
    };
}

/// The type of a namespace, by the name of its file in `/proc/PID/ns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum NsType {
    #[default]
    Mnt,
    Uts,
    Ipc,
    Pid,
    Net,
    Cgroup,
    User,
    Time,
}

impl NsType {
    /// All of them, in the order in which the command shows them.
    pub const ALL: [Self; 8] = [
        Self::Pid,
        Self::Mnt,
        Self::Uts,
        Self::Ipc,
        Self::Net,
        Self::Cgroup,
        Self::User,
        Self::Time,
    ];

    /// The names of all, in the same order.
    pub const NAMES: [&'static str; 8] = {
        let mut names = [""; 8];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].name();
            at += 1;
        }
        names
    };

    /// The name of its file in `/proc/PID/ns`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mnt => "mnt",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Pid => "pid",
            Self::Net => "net",
            Self::Cgroup => "cgroup",
            Self::User => "user",
            Self::Time => "time",
        }
    }

    /// Where it stands in [`NsType::ALL`].
    pub const fn place(self) -> usize {
        match self {
            Self::Pid => 0,
            Self::Mnt => 1,
            Self::Uts => 2,
            Self::Ipc => 3,
            Self::Net => 4,
            Self::Cgroup => 5,
            Self::User => 6,
            Self::Time => 7,
        }
    }

    /// The type with that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|one| one.name().as_bytes() == name)
    }

    /// The inode number of the initial namespace (`include/uapi/linux/nsfs.h`: `*_NS_INIT_INO`).
    pub const fn initial(self) -> u32 {
        match self {
            Self::Ipc => 0xEFFF_FFFF,
            Self::Uts => 0xEFFF_FFFE,
            Self::User => 0xEFFF_FFFD,
            Self::Pid => 0xEFFF_FFFC,
            Self::Cgroup => 0xEFFF_FFFB,
            Self::Time => 0xEFFF_FFFA,
            Self::Net => 0xEFFF_FFF9,
            Self::Mnt => 0xEFFF_FFF8,
        }
    }
}

impl fmt::Display for NsType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

record! {
    /// A namespace, whoever keeps it. Some keys are of one type of namespace alone.
    Namespace, "ns" {
        /// Its type.
        ns_type: NsType,
        /// Its inode number; `None` is not in a text.
        inum: Option<Inum>,
        ;
        id: u64 = "id", "the number that is never used again", "ns_common.ns_id";
        owner: Option<Inum> = "owner", "the user namespace that owns it; of a user namespace, its parent", "proc_ns_operations.owner";
        tasks: Option<u64> = "tasks", "the processes in it", "";
        refs: u64 = "refs", "references that keep it in memory", "__ns_ref";
        active: u64 = "active", "references that keep it visible; 0: nothing leads to it any more", "__ns_ref_active";
        level: Option<u32> = "level", "how deep it is nested; 0 is the initial one", "pid_namespace.level";
        parent: Option<Inum> = "parent", "the namespace around it", "parent";
        reaper: Option<u32> = "reaper", "the pid, on the host, of its process 1", "the struct pid with number 1";
        pids: Option<u32> = "pids", "how many numbers are in use in it", "pid_allocated";
        pid_max: Option<u32> = "pid_max", "the limit of these numbers", "pid_max";
        dying: Option<bool> = "dying", "1: its process 1 has ended, and nothing can be born in it", "PIDNS_ADDING";
        uid: Option<u32> = "uid", "the user who made it", "owner";
        uid_map: Option<IdMap<'t>> = "uid_map", "which user ids of the host its ids stand for", "uid_map";
        gid_map: Option<IdMap<'t>> = "gid_map", "which group ids of the host its ids stand for", "gid_map";
        mounts: Option<u32> = "mounts", "how many mounts it has", "mnt_namespace.nr_mounts";
        pending: Option<u32> = "pending", "mounts that an operation under way has reserved", "pending_mounts";
        event: Option<u64> = "event", "the stamp of its last change", "event";
        origin: Option<u64> = "origin", "the id of the mount namespace that it was copied from", "seq_origin";
        root: Option<Escaped<'t>> = "root", "of a mount namespace the 64-bit id of its root mount, of a cgroup namespace the cgroup that it shows as root", "root";
        torn: bool = "torn", "1: its list of mounts changed all the time while it was read", "";
        nodename: Option<Escaped<'t>> = "nodename", "what uname -n shows in it", "uts_namespace.name";
        domainname: Option<Escaped<'t>> = "domainname", "what domainname shows in it", "uts_namespace.name";
        monotonic: Option<i64> = "monotonic", "nanoseconds that it adds to CLOCK_MONOTONIC", "time_namespace.offsets";
        boottime: Option<i64> = "boottime", "nanoseconds that it adds to CLOCK_BOOTTIME", "time_namespace.offsets";
    }
}

impl Namespace<'_> {
    /// Its inode number.
    pub fn inum(&self) -> u32 {
        self.inum.map_or(0, Inum::get)
    }

    /// Of a mount namespace, the 64-bit id of its root mount.
    pub fn root_mount(&self) -> Option<u64> {
        if self.ns_type != NsType::Mnt {
            return None;
        }
        std::str::from_utf8(self.root?.raw()).ok()?.parse().ok()
    }
}

record! {
    /// A process, as its main thread is.
    Task, "task" {
        /// Its number on the host.
        pid: u32,
        ;
        comm: Escaped<'t> = "comm", "the name, up to 15 bytes", "task_struct.comm";
        level: u32 = "level", "how deep its pid namespace is nested", "pid.level";
        upid: UpidList<'t> = "upid", "its number in each pid namespace that it is in, from the initial one inwards", "pid.numbers[]";
        pgid: NumberList<'t> = "pgid", "the numbers of its process group in the same namespaces", "signal_struct.pids[]";
        sid: NumberList<'t> = "sid", "the numbers of its session in the same namespaces", "signal_struct.pids[]";
        ppid: u32 = "ppid", "its parent", "real_parent";
        tracer: Option<u32> = "tracer", "the task that traces it", "ptrace, parent";
        uid: u32 = "uid", "its real user id", "cred.uid";
        gid: u32 = "gid", "its real group id", "cred.gid";
        euid: Option<u32> = "euid", "its effective user id", "cred.euid";
        egid: Option<u32> = "egid", "its effective group id", "cred.egid";
        caps: Option<Caps> = "caps", "its effective capabilities, in its own user namespace", "cred.cap_effective";
        seccomp: Option<u32> = "seccomp", "which system calls it may make: 0 all, 1 the fewest, 2 those that a filter lets pass", "seccomp.mode";
        nnp: Option<bool> = "nnp", "1: execve() gives it no privileges any more", "atomic_flags";
        threads: u32 = "threads", "how many threads it has", "signal_struct.nr_threads";
        state: Escaped<'t> = "state", "as in ps: R S D T t I Z X P", "__state, exit_state";
        kind: Escaped<'t> = "kind", "user or kthread", "PF_KTHREAD";
        start: u64 = "start", "when it began, in nanoseconds since boot", "start_boottime";
        @tail " pidns="
        pidns: Option<Inum> = "pidns", "the pid namespace it is in", "the last of numbers[]";
        pid_for_children: Option<Inum> = "pid_for_children", "the pid namespace its children will be in", "nsproxy.pid_ns_for_children";
        mntns: Option<Inum> = "mntns", "its mount namespace", "nsproxy";
        utsns: Option<Inum> = "utsns", "its uts namespace", "nsproxy";
        ipcns: Option<Inum> = "ipcns", "its ipc namespace", "nsproxy";
        netns: Option<Inum> = "netns", "its network namespace", "nsproxy";
        cgroupns: Option<Inum> = "cgroupns", "its cgroup namespace", "nsproxy";
        timens: Option<Inum> = "timens", "its time namespace", "nsproxy";
        time_for_children: Option<Inum> = "time_for_children", "the time namespace its children will be in", "nsproxy";
        userns: Option<Inum> = "userns", "its user namespace", "cred.user_ns";
        chroot: Option<bool> = "chroot", "1: its root directory is not that of its mount namespace", "fs_struct.root";
        root: Option<Escaped<'t>> = "root", "the path of its root directory", "fs_struct.root";
        rootns: Option<Inum> = "rootns", "the mount namespace that its root directory lies in", "mount.mnt_ns";
        cwd: Option<Escaped<'t>> = "cwd", "the path of its working directory", "fs_struct.pwd";
        cwdns: Option<Inum> = "cwdns", "the mount namespace that its working directory lies in", "fs_struct.pwd";
        cgroup: Option<Escaped<'t>> = "cgroup", "its cgroup in the default hierarchy", "css_set.dfl_cgrp";
        cgroup_id: Option<u64> = "cgroup_id", "the id of that cgroup, which is never used again", "kernfs_node.id";
        via: Option<u32> = "via", "the main thread has ended: the thread whose namespaces and directories these are", "";
        mixed: bool = "mixed", "1: another thread is in other namespaces", "";
        unlisted: bool = "unlisted", "1: it can be found by its number, but is not on init_task.tasks", "";
        unnumbered: bool = "unnumbered", "1: it is on init_task.tasks, but cannot be found by its number", "";
    }
}

record! {
    /// A thread.
    Thread, "thread" {
        /// Its number on the host.
        tid: u32,
        ;
        tgid: u32 = "tgid", "the number of its process", "task_struct.tgid";
        comm: Escaped<'t> = "comm", "the name, up to 15 bytes", "task_struct.comm";
        level: u32 = "level", "how deep its pid namespace is nested", "pid.level";
        upid: UpidList<'t> = "upid", "its number in each pid namespace that it is in, from the initial one inwards", "pid.numbers[]";
        tracer: Option<u32> = "tracer", "the task that traces it", "ptrace, parent";
        uid: u32 = "uid", "its real user id", "cred.uid";
        gid: u32 = "gid", "its real group id", "cred.gid";
        euid: Option<u32> = "euid", "its effective user id", "cred.euid";
        egid: Option<u32> = "egid", "its effective group id", "cred.egid";
        caps: Option<Caps> = "caps", "its effective capabilities, in its own user namespace", "cred.cap_effective";
        seccomp: Option<u32> = "seccomp", "which system calls it may make: 0 all, 1 the fewest, 2 those that a filter lets pass", "seccomp.mode";
        nnp: Option<bool> = "nnp", "1: execve() gives it no privileges any more", "atomic_flags";
        state: Escaped<'t> = "state", "as in ps: R S D T t I Z X P", "__state, exit_state";
        start: u64 = "start", "when it began, in nanoseconds since boot", "start_boottime";
        @tail " pidns="
        pidns: Option<Inum> = "pidns", "the pid namespace it is in", "the last of numbers[]";
        pid_for_children: Option<Inum> = "pid_for_children", "the pid namespace its children will be in", "nsproxy.pid_ns_for_children";
        mntns: Option<Inum> = "mntns", "its mount namespace", "nsproxy";
        utsns: Option<Inum> = "utsns", "its uts namespace", "nsproxy";
        ipcns: Option<Inum> = "ipcns", "its ipc namespace", "nsproxy";
        netns: Option<Inum> = "netns", "its network namespace", "nsproxy";
        cgroupns: Option<Inum> = "cgroupns", "its cgroup namespace", "nsproxy";
        timens: Option<Inum> = "timens", "its time namespace", "nsproxy";
        time_for_children: Option<Inum> = "time_for_children", "the time namespace its children will be in", "nsproxy";
        userns: Option<Inum> = "userns", "its user namespace", "cred.user_ns";
        chroot: Option<bool> = "chroot", "1: its root directory is not that of its mount namespace", "fs_struct.root";
        root: Option<Escaped<'t>> = "root", "the path of its root directory", "fs_struct.root";
        rootns: Option<Inum> = "rootns", "the mount namespace that its root directory lies in", "mount.mnt_ns";
        cwd: Option<Escaped<'t>> = "cwd", "the path of its working directory", "fs_struct.pwd";
        cwdns: Option<Inum> = "cwdns", "the mount namespace that its working directory lies in", "fs_struct.pwd";
        cgroup: Option<Escaped<'t>> = "cgroup", "its cgroup in the default hierarchy", "css_set.dfl_cgrp";
        cgroup_id: Option<u64> = "cgroup_id", "the id of that cgroup, which is never used again", "kernfs_node.id";
    }
}

record! {
    /// A reason why a namespace or a file system stays.
    Hold, "hold" {
        /// What is held: `ns` or `dev`.
        what: Escaped<'t>,
        /// Which: an inode number, or a device.
        which: Escaped<'t>,
        ;
        by: Escaped<'t> = "by", "by what it is held", "";
        pid: Option<u32> = "pid", "the process, by its number on the host", "";
        fd: Option<u32> = "fd", "the descriptor", "";
        of: Option<u32> = "of", "of a pidfd: the process that it is of", "";
        ppid: Option<u32> = "ppid", "of a zombie: its parent", "";
        tracer: Option<u32> = "tracer", "of a zombie: who traces it", "";
        mntns: Option<Inum> = "mntns", "the mount namespace of the mount", "";
        mount: Option<u64> = "mount", "the mount's 64-bit id", "";
        at: Option<Escaped<'t>> = "at", "attached, detached (umount -l) or anonymous (open_tree)", "";
        path: Option<Escaped<'t>> = "path", "where it is, from the top of its mount tree", "";
        keeps: Option<bool> = "keeps", "0: it belongs to the namespace, and does not keep it", "";
        ns: Option<Inum> = "ns", "the namespace that holds it", "";
        tid: Option<u32> = "tid", "the thread, where it has what its process has not", "";
        also: Option<NumberList<'t>> = "also", "other processes that share it", "";
    }
}

/// Whose keys tasks and threads have in common.
macro_rules! common {
    ($name:ident) => {
        impl<'t> $name<'t> {
            /// Its namespace of that type; `None` if it has given it back, or the text does not know.
            pub fn namespace(&self, ns_type: NsType) -> Option<Inum> {
                match ns_type {
                    NsType::Mnt => self.mntns,
                    NsType::Uts => self.utsns,
                    NsType::Ipc => self.ipcns,
                    NsType::Pid => self.pidns,
                    NsType::Net => self.netns,
                    NsType::Cgroup => self.cgroupns,
                    NsType::User => self.userns,
                    NsType::Time => self.timens,
                }
            }

            /// Its own view of its number: the innermost one.
            pub fn own_number(&self) -> Option<u32> {
                self.upid.own_number()
            }
        }
    };
}

common!(Task);
common!(Thread);

impl Task<'_> {
    /// Whether it is a thread of the kernel.
    pub fn is_kthread(&self) -> bool {
        self.kind.raw() == b"kthread"
    }

    /// Whether it has ended and was not waited for.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state.raw(), b"Z" | b"X")
    }

    /// Whether it has ended as a whole, and has given back its namespaces. A zombie whose threads live has not.
    pub fn has_ended(&self) -> bool {
        self.is_zombie() && self.via.is_none()
    }
}

impl Hold<'_> {
    /// The namespace that is held.
    pub fn held_namespace(&self) -> Option<Inum> {
        if self.what.raw() != b"ns" {
            return None;
        }
        std::str::from_utf8(self.which.raw())
            .ok()?
            .parse()
            .ok()
            .and_then(Inum::new)
    }

    /// The device that is held: major and minor.
    pub fn held_device(&self) -> Option<Device> {
        (self.what.raw() == b"dev").then(|| Device::from_bytes(self.which.raw()))?
    }
}

/// The number of a device: major and minor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl Device {
    /// Reads `major:minor`.
    pub fn from_bytes(text: &[u8]) -> Option<Self> {
        let (major, minor) = std::str::from_utf8(text).ok()?.split_once(':')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }

    /// Takes it from a `dev_t`, as `stat()` has it.
    pub const fn from_dev(dev: u64) -> Self {
        Self {
            major: ((dev >> 8 & 0xfff) | (dev >> 32 & !0xfff)) as u32,
            minor: ((dev & 0xff) | (dev >> 12 & !0xff)) as u32,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A record of a text.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // They are read one at a time, and not kept.
pub enum Record<'t> {
    /// A namespace.
    Namespace(Namespace<'t>),
    /// A process.
    Task(Task<'t>),
    /// A thread.
    Thread(Thread<'t>),
    /// A mount.
    Mount(Mount<'t>),
    /// A reason why something stays.
    Hold(Hold<'t>),
    /// Of a kind that this does not know: the whole line.
    Unknown(&'t [u8]),
}

impl Record<'_> {
    /// The record as it stands in a text, without the newline, and without keys that this does not know.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Record::Namespace(record) => record.to_bytes(),
            Record::Task(record) => record.to_bytes(),
            Record::Thread(record) => record.to_bytes(),
            Record::Mount(record) => record.to_bytes(),
            Record::Hold(record) => record.to_bytes(),
            Record::Unknown(line) => line.to_vec(),
        }
    }
}

/// How many records of each kind a text has, by its `end`. What a text of an earlier module does not count is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counts {
    pub ns: Option<u64>,
    pub tasks: Option<u64>,
    pub threads: Option<u64>,
    pub mounts: Option<u64>,
    pub holds: Option<u64>,
}

/// A text that is whole: it has its first line and its last.
#[derive(Clone, Copy, Debug)]
pub struct Text<'t> {
    /// The kernel's release.
    pub release: Escaped<'t>,
    /// The nanoseconds since boot at which the snapshot was begun.
    pub uptime: u64,
    /// How many records it says that it has.
    pub counts: Counts,
    bytes: &'t [u8],
    /// The records, without the first line and the last.
    body: &'t [u8],
}

impl<'t> Text<'t> {
    /// Looks at the first line and the last one.
    ///
    /// # Errors
    ///
    /// The text is none of `/proc/nsinspect`, of another format, or cut short.
    pub fn open(bytes: &'t [u8]) -> Result<Self, Error> {
        let (first, rest) = match memchr::memchr(b'\n', bytes) {
            Some(at) => (&bytes[..at], &bytes[at + 1..]),
            None => (bytes, &bytes[bytes.len()..]),
        };
        let mut words = first.split(|byte| *byte == b' ');
        if words.next() != Some(b"nsinspect") {
            return Err(Error::NotText);
        }
        let format = words
            .next()
            .and_then(|word| std::str::from_utf8(word).ok())
            .ok_or(Error::NotText)?;
        match format.parse::<u32>() {
            Ok(FORMAT) => {}
            Ok(_) => return Err(Error::Format(format.to_string())),
            Err(_) => return Err(Error::NotText),
        }
        let mut text = Self {
            release: Escaped::default(),
            uptime: 0,
            counts: Counts::default(),
            bytes,
            body: rest,
        };
        for word in words {
            if let Some(release) = word.strip_prefix(b"release=") {
                text.release = Escaped::new(release);
            } else if let Some(uptime) = word.strip_prefix(b"uptime=") {
                text.uptime =
                    field::number(uptime).ok_or(Error::Malformed(1, "uptime is no number"))?;
            }
        }
        let rest = rest.strip_suffix(b"\n").ok_or(Error::CutShort)?;
        let last = memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1);
        let mut words = rest[last..].split(|byte| *byte == b' ');
        if words.next() != Some(b"end") {
            return Err(Error::CutShort);
        }
        for word in words {
            let Some(at) = memchr::memchr(b'=', word) else {
                continue;
            };
            let count = Some(field::number(&word[at + 1..]).ok_or(Error::CutShort)?);
            match &word[..at] {
                b"ns" => text.counts.ns = count,
                b"tasks" => text.counts.tasks = count,
                b"threads" => text.counts.threads = count,
                b"mounts" => text.counts.mounts = count,
                b"holds" => text.counts.holds = count,
                _ => {}
            }
        }
        text.body = &rest[..last];
        Ok(text)
    }

    /// The text itself.
    pub fn bytes(&self) -> &'t [u8] {
        self.bytes
    }

    /// The records between the first line and the last.
    pub fn records(&self) -> Records<'t> {
        Records {
            rest: self.body,
            line: 1,
            last: None,
        }
    }
}

/// The records of a text, one after the other.
#[derive(Clone, Debug)]
pub struct Records<'t> {
    rest: &'t [u8],
    line: usize,
    /// The last task: the next one may have namespaces and directories in common with it.
    last: Option<Task<'t>>,
}

impl<'t> Iterator for Records<'t> {
    type Item = Result<Record<'t>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let at = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let line = &self.rest[..at];
        self.rest = self.rest.get(at + 1..).unwrap_or_default();
        self.line += 1;
        let found = read(line, self.last.as_ref());
        if let Ok(Record::Task(task)) = &found {
            self.last = Some(task.clone());
        }
        Some(found.map_err(|what| Error::Malformed(self.line, what)))
    }
}

/// Reads one line.
///
/// # Errors
///
/// Says what the format does not allow.
pub fn record(line: &[u8]) -> Result<Record<'_>, &'static str> {
    read(line, None)
}

fn read<'t>(line: &'t [u8], before: Option<&Task<'t>>) -> Result<Record<'t>, &'static str> {
    let (kind, rest) = line.split_at(memchr::memchr(b' ', line).unwrap_or(line.len()));
    Ok(match kind {
        b"task" => Record::Task(Task::parse(rest, before)?),
        b"mount" => Record::Mount(Mount::parse(rest)?),
        b"ns" => {
            let namespace = Namespace::parse(rest, None)?;
            if namespace.inum.is_none() {
                return Err("a namespace has no inode number");
            }
            Record::Namespace(namespace)
        }
        b"thread" => Record::Thread(Thread::parse(rest, None)?),
        b"hold" => Record::Hold(Hold::parse(rest, None)?),
        b"" => return Err("an empty line"),
        _ => Record::Unknown(line),
    })
}
