// SPDX-License-Identifier: GPL-2.0

//! Reads one process, or one thread, from its directory in `/proc`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::syscalls::{self, FileId, MountId, NsFile};
use crate::text::NsType;

/// The most that is read of a file with a few numbers in it.
const SMALL: u64 = 64 * 1024;

/// How many threads are looked at for one that still has namespaces, as the module does.
const STAND_INS: usize = 256;

/// What is known of something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Known<T> {
    /// It is that.
    Is(T),
    /// There is none: a process has given it back.
    Gone,
    /// Nobody tells us.
    #[default]
    Not,
}

impl<T> Known<T> {
    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            _ => None,
        }
    }
}

/// The links of `/proc/PID/ns`, in the order of their keys in the text: key, link, type.
pub(super) const LINKS: [(&str, &[u8], NsType); 10] = [
    ("pidns", b"ns/pid", NsType::Pid),
    ("pid_for_children", b"ns/pid_for_children", NsType::Pid),
    ("mntns", b"ns/mnt", NsType::Mnt),
    ("utsns", b"ns/uts", NsType::Uts),
    ("ipcns", b"ns/ipc", NsType::Ipc),
    ("netns", b"ns/net", NsType::Net),
    ("cgroupns", b"ns/cgroup", NsType::Cgroup),
    ("timens", b"ns/time", NsType::Time),
    ("time_for_children", b"ns/time_for_children", NsType::Time),
    ("userns", b"ns/user", NsType::User),
];
/// Where they stand among the links.
pub(super) const PID: usize = 0;
pub(super) const PID_FOR_CHILDREN: usize = 1;
pub(super) const MNT: usize = 2;
pub(super) const TIME: usize = 7;
pub(super) const TIME_FOR_CHILDREN: usize = 8;
pub(super) const USER: usize = 9;

/// Whether a link says which namespace a process is in, and not its children.
pub(super) fn is_membership(link: usize) -> bool {
    link != PID_FOR_CHILDREN && link != TIME_FOR_CHILDREN
}

/// A root or working directory.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The path, as a reader sees it whose root is the top of a mount tree.
    pub path: Vec<u8>,
    /// It was removed.
    pub is_deleted: bool,
    /// Which file it is, as far as that is told.
    pub file: Option<FileId>,
}

/// A process, or a thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    /// Its number.
    pub pid: u32,
    /// That of its process.
    pub tgid: u32,
    /// When it began, in ticks.
    pub start: u64,
    pub comm: Vec<u8>,
    pub state: u8,
    pub is_kthread: bool,
    pub threads: u32,
    /// Its number in each pid namespace from ours inwards.
    pub numbers: Vec<u32>,
    pub pgid: Vec<u32>,
    pub sid: Vec<u32>,
    pub ppid: u32,
    /// 0 if it has none.
    pub tracer: u32,
    pub uid: (u32, u32),
    pub gid: (u32, u32),
    pub caps: Option<u64>,
    pub seccomp: u32,
    pub nnp: Option<bool>,
    pub links: [Known<u32>; LINKS.len()],
    pub root: Known<Place>,
    pub cwd: Known<Place>,
    pub cgroup: Option<Vec<u8>>,
    /// The main thread has ended: of which thread the namespaces and directories are.
    pub via: Option<u32>,
    /// Another thread is in another namespace.
    pub mixed: bool,
}

impl Task {
    /// What the kernel calls a process that has given back its namespaces.
    pub fn is_exiting(&self) -> bool {
        self.links[MNT] == Known::Gone
    }
}

/// What of a process is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth {
    /// `stat` and `status`.
    pub numbers: bool,
    /// Its cgroup, and its working directory.
    pub details: bool,
    /// How mounts are called.
    pub mounts: MountId,
}

/// A directory of `/proc`, open, so that all that is read in it is of the same process.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Directory {
    /// Opens that of a process.
    pub fn of(pid: u32) -> io::Result<Self> {
        syscalls::open_directory(None, format!("/proc/{pid}").as_bytes()).map(Self)
    }

    /// Opens that of a thread.
    pub fn of_thread(pid: u32, tid: u32) -> io::Result<Self> {
        syscalls::open_directory(None, format!("/proc/{pid}/task/{tid}").as_bytes()).map(Self)
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Reads a file up to a limit.
    pub fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let file = File::from(syscalls::open_below(self.fd(), name.as_bytes())?);
        let mut bytes = Vec::with_capacity(2048);
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn link(&self, name: &[u8]) -> Known<Vec<u8>> {
        match syscalls::read_link_below(self.fd(), name) {
            Ok(link) => Known::Is(link),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Known::Gone,
            Err(_) => Known::Not,
        }
    }

    /// Opens a namespace of it.
    pub fn namespace(&self, link: usize) -> io::Result<NsFile> {
        NsFile::open_link(self.fd(), LINKS[link].1)
    }

    fn links(&self) -> [Known<u32>; LINKS.len()] {
        let mut links = LINKS.map(|(_, link, _)| match self.link(link) {
            Known::Is(link) => inum(&link).map_or(Known::Not, Known::Is),
            Known::Gone => Known::Gone,
            Known::Not => Known::Not,
        });
        if links[MNT] != Known::Gone {
            // It has all that it had. Kernels before 7.0 tell none whose process 1 is not born; before 5.6, or
            // without such namespaces, there is no such link.
            for link in &mut links {
                if *link == Known::Gone {
                    *link = Known::Not;
                }
            }
        }
        links
    }

    fn place(&self, name: &str, mounts: MountId) -> Known<Place> {
        match self.link(name.as_bytes()) {
            Known::Is(mut path) => {
                let file = syscalls::statx(Some(self.fd()), name.as_bytes(), mounts).ok();
                // A directory may be called so and be there.
                let mut is_deleted = false;
                if path.ends_with(DELETED) && file.is_none_or(|file| file.links == 0) {
                    path.truncate(path.len() - DELETED.len());
                    is_deleted = true;
                }
                Known::Is(Place {
                    path,
                    is_deleted,
                    file,
                })
            }
            Known::Gone => Known::Gone,
            Known::Not => Known::Not,
        }
    }
}

/// What procfs writes behind the path of something that was removed.
pub(super) const DELETED: &[u8] = b" (deleted)";

/// Reads the number of a namespace's link: `mnt:[4026531832]`.
pub(super) fn inum(link: &[u8]) -> Option<u32> {
    let from = link.iter().position(|byte| *byte == b'[')? + 1;
    number(link.get(from..)?.strip_suffix(b"]")?)
}

/// Reads a decimal number that is all there is.
pub(super) fn number<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// The numbers of a line, up to one that is none.
fn numbers(value: &[u8]) -> Vec<u32> {
    value
        .split(|byte| matches!(byte, b'\t' | b' '))
        .filter(|word| !word.is_empty())
        .map_while(number)
        .collect()
}

/// The numbers in the names of a directory's entries.
pub(super) fn entries(path: &str) -> Vec<u32> {
    fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Reads a process; none if it goes away meanwhile, or may not be looked at.
pub(super) fn read(pid: u32, depth: Depth) -> Option<Task> {
    let mut task = read_one(&Directory::of(pid).ok()?, depth)?;
    task.pid = pid;
    if task.tgid == 0 {
        task.tgid = pid;
    }
    if task.is_exiting() && task.threads != 1 {
        // Its main thread has ended before the others.
        for tid in entries(&format!("/proc/{pid}/task"))
            .into_iter()
            .take(STAND_INS)
        {
            let Some(other) = Directory::of_thread(pid, tid)
                .ok()
                .and_then(|directory| read_one(&directory, depth))
                .filter(|other| !other.is_exiting())
            else {
                continue;
            };
            task.links = other.links;
            task.root = other.root;
            task.cwd = other.cwd;
            task.via = Some(tid);
            break;
        }
    }
    Some(task)
}

/// Reads a thread; none if it goes away meanwhile, or may not be looked at.
pub(super) fn read_thread(pid: u32, tid: u32, depth: Depth) -> Option<Task> {
    let mut task = read_one(&Directory::of_thread(pid, tid).ok()?, depth)?;
    task.pid = tid;
    task.tgid = pid;
    Some(task)
}

fn read_one(directory: &Directory, depth: Depth) -> Option<Task> {
    let mut task = Task {
        links: directory.links(),
        root: directory.place("root", depth.mounts),
        ..Task::default()
    };
    if depth.details {
        task.cwd = directory.place("cwd", depth.mounts);
        task.cgroup = directory
            .read("cgroup", SMALL)
            .ok()
            .and_then(|text| default_cgroup(&text));
    }
    if depth.numbers {
        status(&directory.read("status", SMALL).ok()?, &mut task)?;
    }
    // This comes last, as it fails if the process is gone, whose links were then missing for that.
    stat(&directory.read("stat", SMALL).ok()?, &mut task)?;
    Some(task)
}

/// Reads `stat`: proc_pid_stat(5).
fn stat(text: &[u8], task: &mut Task) -> Option<()> {
    let from = text.iter().position(|byte| *byte == b'(')?;
    // The name may have blanks and parentheses in it.
    let to = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = text.get(to + 2..)?.split(|byte| *byte == b' ');
    task.state = *fields.next()?.first()?;
    let flags: u64 = number(fields.nth(5)?)?;
    const PF_KTHREAD: u64 = 0x0020_0000;
    task.is_kthread = flags & PF_KTHREAD != 0;
    task.threads = number(fields.nth(10)?)?;
    task.start = number(fields.nth(1)?)?;
    task.comm = comm(text.get(from + 1..to)?, task.is_kthread);
    Some(())
}

/// The name that the kernel keeps. Of its own threads procfs shows more: what a worker works at, and names of any length.
fn comm(name: &[u8], is_kthread: bool) -> Vec<u8> {
    const WORKER: &[u8] = b"kworker/";
    let mut name = name;
    if is_kthread && name.starts_with(WORKER) && !name.starts_with(b"kworker/R-") {
        let rest = &name[WORKER.len()..];
        if let Some(at) = rest.iter().position(|byte| matches!(byte, b'+' | b'-')) {
            name = &name[..WORKER.len() + at];
        }
    }
    name[..name.len().min(15)].to_vec()
}

/// Reads `status`: proc_pid_status(5).
fn status(text: &[u8], task: &mut Task) -> Option<()> {
    let mut is_there = false;
    for line in text.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let value = line.get(at + 1..)?.trim_ascii();
        match &line[..at] {
            b"Tgid" => task.tgid = number(value)?,
            b"PPid" => task.ppid = number(value)?,
            b"TracerPid" => task.tracer = number(value)?,
            b"Uid" => task.uid = real_and_effective(value)?,
            b"Gid" => task.gid = real_and_effective(value)?,
            b"Pid" => {
                task.pid = number(value)?;
                is_there = true;
            }
            b"NSpid" => task.numbers = numbers(value),
            b"NSpgid" => task.pgid = numbers(value),
            b"NSsid" => task.sid = numbers(value),
            b"CapEff" => {
                task.caps = u64::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok();
            }
            b"NoNewPrivs" => task.nnp = Some(value == b"1"),
            // A kernel without seccomp has no such line.
            b"Seccomp" => task.seccomp = number(value)?,
            _ => {}
        }
    }
    if task.numbers.is_empty() {
        // A kernel without pid namespaces has no such line.
        task.numbers.push(task.pid);
    }
    is_there.then_some(())
}

fn real_and_effective(value: &[u8]) -> Option<(u32, u32)> {
    let ids = numbers(value);
    Some((*ids.first()?, *ids.get(1)?))
}

/// The cgroup of the default hierarchy.
fn default_cgroup(text: &[u8]) -> Option<Vec<u8>> {
    text.split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))
        .map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_an_odd_name() {
        let mut task = Task::default();
        let text = b"7 (a) (b\n) S 1 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 3 0 1234 0 0\n";
        stat(text, &mut task).expect("stat");
        assert_eq!(task.comm, b"a) (b\n");
        assert_eq!((task.state, task.threads, task.start), (b'S', 3, 1234));
        assert!(!task.is_kthread);
        assert!(stat(b"7 (x) S 1", &mut task).is_none());
        assert!(stat(b"", &mut task).is_none());
    }

    #[test]
    fn names_of_kernel_threads() {
        assert_eq!(comm(b"kworker/0:1-events", true), b"kworker/0:1");
        assert_eq!(comm(b"kworker/u8:0+flush", true), b"kworker/u8:0");
        assert_eq!(comm(b"kworker/R-mm_percpu_wq", true), b"kworker/R-mm_pe");
        assert_eq!(comm(b"kworker/0:1-events", false), b"kworker/0:1-eve");
        assert_eq!(comm(b"a name that is too long", true), b"a name that is ");
    }

    #[test]
    fn status_with_levels() {
        let mut task = Task::default();
        let text = b"Name:\ta\\nb\nTgid:\t9\nPid:\t9\nPPid:\t1\nTracerPid:\t0\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t9\t1\n\
            NSpgid:\t9\t1\nNSsid:\t0\t0\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        status(text, &mut task).expect("status");
        assert_eq!(task.numbers, [9, 1]);
        assert_eq!((task.uid, task.gid), ((1, 2), (5, 6)));
        assert_eq!(task.caps, Some(0x1ff_ffff_ffff));
        assert_eq!((task.nnp, task.seccomp), (Some(true), 2));
        assert!(status(b"Name:\tx\n", &mut Task::default()).is_none());
    }

    #[test]
    fn this_process() {
        let depth = Depth {
            numbers: true,
            details: true,
            mounts: MountId::Old,
        };
        let task = read(std::process::id(), depth).expect("this process");
        assert_eq!(task.pid, std::process::id());
        assert_eq!(task.tgid, task.pid);
        assert!(task
            .links
            .iter()
            .all(|link| !matches!(link, Known::Is(0) | Known::Gone)));
        assert!(matches!(task.root, Known::Is(_)));
    }
}
