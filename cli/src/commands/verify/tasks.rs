// SPDX-License-Identifier: GPL-2.0

//! Processes and threads, as procfs shows them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use crate::syscalls::{self, FileId, MountId, NsFile};

use super::fact::{path, string, Key, Machine, Object, Want};

/// The keys of the text for the links of `/proc/PID/ns`.
const LINKS: [(&str, &str); 10] = [
    ("pidns", "pid"),
    ("pid_for_children", "pid_for_children"),
    ("mntns", "mnt"),
    ("utsns", "uts"),
    ("ipcns", "ipc"),
    ("netns", "net"),
    ("cgroupns", "cgroup"),
    ("timens", "time"),
    ("time_for_children", "time_for_children"),
    ("userns", "user"),
];

/// How many threads are asked for one that still has namespaces.
const STAND_INS: usize = 256;

const DELETED: &[u8] = b" (deleted)";

/// What a link or a file shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen<T> {
    Is(T),
    /// There is none.
    None,
    /// It cannot be looked at: why.
    Not(&'static str),
}

impl<T> Seen<T> {
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            _ => None,
        }
    }

    /// What the text should have, made of what is seen.
    fn want(&self, make: impl FnOnce(&T) -> Want) -> Want {
        match self {
            Self::Is(value) => make(value),
            Self::None => Want::Is(b"-".to_vec()),
            Self::Not(why) => Want::Not(why),
        }
    }
}

fn why(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => "no permission",
        Some(libc::ENAMETOOLONG) => "the path is too long to be read",
        _ => "it cannot be read",
    }
}

/// A root or working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    pub path: Vec<u8>,
    pub file: Seen<FileId>,
}

/// What procfs shows of a process or a thread.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub pid: u32,
    pub tgid: u32,
    pub tick: u64,
    pub comm: Vec<u8>,
    status: HashMap<Vec<u8>, Vec<u8>>,
    pub links: BTreeMap<&'static str, Seen<u32>>,
    pub root: Seen<Directory>,
    pub cwd: Seen<Directory>,
    cgroup: Option<Vec<u8>>,
    via: Option<u32>,
    /// `None`: not every thread was looked at.
    mixed: Option<bool>,
}

impl Task {
    pub fn key(&self) -> (u32, u64) {
        (self.pid, self.tick)
    }

    fn line(&self, name: &str) -> &[u8] {
        self.status.get(name.as_bytes()).map_or(b"", Vec::as_slice)
    }

    fn words(&self, name: &str) -> Vec<&[u8]> {
        self.line(name)
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .collect()
    }

    /// Its numbers, from the initial pid namespace inwards.
    pub fn numbers(&self) -> Vec<u32> {
        self.words("NSpid").into_iter().filter_map(number).collect()
    }

    pub fn is_kernel(&self) -> bool {
        self.line("Kthread") == b"1"
    }

    /// It has given back its namespaces.
    fn is_exiting(&self) -> bool {
        self.links.get("mnt") == Some(&Seen::None)
    }

    pub fn link(&self, name: &str) -> Option<u32> {
        self.links.get(name)?.get().copied()
    }

    /// A number or several, as the text has it.
    fn want(&self, name: &str, at: Option<usize>) -> Want {
        let words = self.words(name);
        match at {
            None if !words.is_empty() => Want::Is(words.join(&b',')),
            Some(at) => words
                .get(at)
                .map_or(Want::Not("status has no such line"), |word| {
                    Want::Is(word.to_vec())
                }),
            None => Want::Not("status has no such line"),
        }
    }
}

fn number<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn link(path: &str) -> Seen<Vec<u8>> {
    match fs::read_link(path) {
        Ok(target) => Seen::Is(target.into_os_string().into_vec()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Seen::None,
        Err(error) => Seen::Not(why(&error)),
    }
}

/// `uts:[4026531838]`
fn inum(target: &[u8]) -> Option<u32> {
    let (_, rest) = std::str::from_utf8(target).ok()?.split_once(":[")?;
    rest.strip_suffix(']')?.parse().ok()
}

fn directory(path: &str) -> Seen<Directory> {
    match link(path) {
        Seen::Is(target) => Seen::Is(Directory {
            path: target,
            file: match syscalls::statx(None, path.as_bytes(), MountId::Unique) {
                Ok(file) => Seen::Is(file),
                Err(error) => Seen::Not(why(&error)),
            },
        }),
        Seen::None => Seen::None,
        Seen::Not(why) => Seen::Not(why),
    }
}

/// When something began, in ticks; fails if it is gone.
fn tick(base: &str) -> Option<u64> {
    let text = fs::read(format!("{base}/stat")).ok()?;
    let after = text.rsplitn(2, |byte| *byte == b')').next()?;
    number(after.split(|byte| *byte == b' ').nth(20)?)
}

/// Reads what is in a directory of procfs; `None` if whose it is goes away meanwhile.
fn read(base: &str, pid: u32, tgid: u32) -> Option<Task> {
    let tick_before = tick(base)?;
    let mut status = HashMap::new();
    for line in fs::read(format!("{base}/status"))
        .ok()?
        .split(|byte| *byte == b'\n')
    {
        if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            status
                .entry(line[..colon].to_vec())
                .or_insert_with(|| line[colon + 1..].trim_ascii().to_vec());
        }
    }
    let comm = fs::read(format!("{base}/comm")).ok()?;
    let links = LINKS
        .iter()
        .map(|(_, name)| {
            let seen = match link(&format!("{base}/ns/{name}")) {
                Seen::Is(target) => inum(&target).map_or(Seen::Not("it cannot be read"), Seen::Is),
                Seen::None => Seen::None,
                Seen::Not(why) => Seen::Not(why),
            };
            (*name, seen)
        })
        .collect();
    let task = Task {
        pid,
        tgid,
        tick: tick_before,
        comm: comm.strip_suffix(b"\n").unwrap_or(&comm).to_vec(),
        status,
        links,
        root: directory(&format!("{base}/root")),
        cwd: directory(&format!("{base}/cwd")),
        cgroup: fs::read(format!("{base}/cgroup")).ok().and_then(|text| {
            text.split(|byte| *byte == b'\n')
                .find_map(|line| line.strip_prefix(b"0::").map(<[u8]>::to_vec))
        }),
        via: None,
        mixed: Some(false),
    };
    // What was absent may have been so because it was gone, and the number may be another's by now.
    (tick(base)? == tick_before).then_some(task)
}

/// The numbers that a directory lists.
fn listed(path: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok())
        .collect()
}

/// All processes and threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    pub processes: Vec<Task>,
    pub threads: Vec<Task>,
}

impl Tasks {
    /// Reads them.
    pub fn look() -> Self {
        let mut tasks = Self::default();
        for pid in listed("/proc") {
            let Some(main) = read(&format!("/proc/{pid}"), pid, pid) else {
                continue;
            };
            let mut threads = Vec::new();
            if main.line("Threads") == b"1" && !main.is_exiting() {
                // It is its only thread.
                threads.push(main.clone());
            } else {
                for tid in listed(&format!("/proc/{pid}/task")) {
                    threads.extend(read(&format!("/proc/{pid}/task/{tid}"), tid, pid));
                }
            }
            tasks.processes.push(as_process(main, &threads));
            tasks.threads.append(&mut threads);
        }
        tasks
    }
}

/// A process is its main thread, but for what that has given back.
fn as_process(main: Task, threads: &[Task]) -> Task {
    let mut process = main;
    if process.is_exiting() {
        let stand_in = threads
            .iter()
            .take(STAND_INS)
            .find(|one| one.pid != process.pid && !one.is_exiting());
        if let Some(one) = stand_in {
            process.links = one.links.clone();
            process.root = one.root.clone();
            process.cwd = one.cwd.clone();
            process.via = Some(one.pid);
        }
    }
    let others: Vec<_> = threads.iter().filter(|one| !one.is_exiting()).collect();
    process.mixed = Some(
        others
            .iter()
            .any(|one| memberships(one).any(|(name, inum)| process.link(name) != Some(inum))),
    );
    process
}

/// The namespaces that a task is in, but for those of its children.
fn memberships(task: &Task) -> impl Iterator<Item = (&'static str, u32)> + '_ {
    task.links
        .iter()
        .filter(|(name, _)| !name.ends_with("_for_children"))
        .filter_map(|(name, seen)| Some((*name, *seen.get()?)))
}

/// What tasks are compared with besides their own files.
#[derive(Clone, Debug, Default)]
pub(super) struct Around {
    /// Around each pid namespace: the next one.
    pub parents: HashMap<u32, u32>,
    /// Of each mount that a list has: the mount namespace.
    pub ns_of_mount: HashMap<u64, u32>,
    /// All mounts of all mount namespaces are in these lists; if not, why.
    pub incomplete: Option<&'static str>,
    /// Of each mount namespace: the mount on top of its root.
    pub tops: HashMap<u32, u64>,
    /// Paths as we see them are not whole: why.
    pub paths: Option<&'static str>,
    /// Where the cgroups are, or why their paths cannot be compared.
    pub cgroups: Option<Vec<u8>>,
    pub cgroup_paths: Option<&'static str>,
}

/// Finds which pid namespace is around which.
pub(super) fn parents(tasks: &Tasks) -> HashMap<u32, u32> {
    let mut parents = HashMap::new();
    let mut known = std::collections::HashSet::new();
    for task in &tasks.processes {
        let Some(inum) = task.link("pid") else {
            continue;
        };
        if !known.insert(inum) {
            continue;
        }
        let opened = syscalls::open_directory(None, format!("/proc/{}/ns", task.pid).as_bytes())
            .and_then(|directory| NsFile::open_link(directory.as_fd(), b"pid"));
        let Ok(mut at) = opened else {
            known.remove(&inum);
            continue;
        };
        while let (Ok(inner), Ok(outer)) = (at.inum(), at.parent()) {
            let Ok(inum) = outer.inum() else { break };
            parents.insert(inner, inum);
            known.insert(inner);
            at = outer;
        }
    }
    parents
}

/// Puts facts about all tasks into the machine.
pub(super) fn facts(tasks: &Tasks, around: &Around, machine: &mut Machine) {
    let mut cgroups = HashMap::new();
    for thread in &tasks.threads {
        let (pid, tick) = (thread.tgid, tick_of(tasks, thread));
        for (_, inum) in memberships(thread) {
            machine.members.entry(inum).or_default().insert((pid, tick));
        }
        let mut object = Object::new(label("thread", thread));
        object.add("tgid", "/proc", Want::number(thread.tgid));
        common(&mut object, thread, around, &mut cgroups);
        machine
            .objects
            .insert(Key::Thread(thread.pid, thread.tick), object);
    }
    for task in &tasks.processes {
        for (_, inum) in memberships(task) {
            machine.members.entry(inum).or_default().insert(task.key());
        }
        let mut object = Object::new(label("process", task));
        common(&mut object, task, around, &mut cgroups);
        object.add("pgid", "status", task.want("NSpgid", None));
        object.add("sid", "status", task.want("NSsid", None));
        object.add("ppid", "status", task.want("PPid", Some(0)));
        object.add("threads", "status", task.want("Threads", Some(0)));
        // It has been found by its number.
        object.add("unnumbered", "/proc", Want::Absent);
        let kind: &[u8] = if task.is_kernel() {
            b"kthread"
        } else {
            b"user"
        };
        object.add("kind", "status", Want::Is(kind.to_vec()));
        object.add(
            "via",
            "task/*/ns",
            task.via.map_or(Want::Absent, Want::number),
        );
        object.add(
            "mixed",
            "task/*/ns",
            match task.mixed {
                Some(true) => Want::number(1u32),
                Some(false) => Want::Absent,
                None => Want::Not("not every thread can be looked at"),
            },
        );
        machine
            .objects
            .insert(Key::Process(task.pid, task.tick), object);
    }
}

/// When the process of a thread began.
fn tick_of(tasks: &Tasks, thread: &Task) -> u64 {
    tasks
        .processes
        .binary_search_by_key(&thread.tgid, |process| process.pid)
        .map_or(0, |at| tasks.processes[at].tick)
}

fn label(what: &str, task: &Task) -> String {
    format!(
        "{what} {} ({})",
        task.pid,
        String::from_utf8_lossy(&string(&task.comm))
    )
}

/// What processes and threads have in common.
fn common(
    object: &mut Object,
    task: &Task,
    around: &Around,
    cgroups: &mut HashMap<Vec<u8>, Seen<u64>>,
) {
    let comm = string(&task.comm);
    object.add(
        "comm",
        "comm",
        if task.is_kernel() {
            Want::KernelName(comm)
        } else {
            Want::Is(comm)
        },
    );
    let numbers = task.numbers();
    object.add(
        "level",
        "status",
        Want::number(numbers.len().saturating_sub(1) as u64),
    );
    object.add("upid", "status, ns/pid", upid(task, &numbers, around));
    object.add(
        "tracer",
        "status",
        match task.line("TracerPid") {
            b"0" => Want::Is(b"-".to_vec()),
            _ => task.want("TracerPid", Some(0)),
        },
    );
    object.add("uid", "status", task.want("Uid", Some(0)));
    object.add("gid", "status", task.want("Gid", Some(0)));
    object.add("euid", "status", task.want("Uid", Some(1)));
    object.add("egid", "status", task.want("Gid", Some(1)));
    object.add("caps", "status", task.want("CapEff", Some(0)));
    object.add(
        "seccomp",
        "status",
        // A kernel without it has no such line.
        match task.line("Seccomp") {
            b"" => Want::number(0u32),
            _ => task.want("Seccomp", Some(0)),
        },
    );
    object.add("nnp", "status", task.want("NoNewPrivs", Some(0)));
    let switches = |name| {
        if task.tgid == std::process::id() && task.pid == task.tgid {
            // Whoever looks runs.
            return Some(0);
        }
        task.words(name).first().copied().and_then(number)
    };
    object.add(
        "state",
        "status",
        match (
            task.line("State").first(),
            switches("voluntary_ctxt_switches"),
            switches("nonvoluntary_ctxt_switches"),
        ) {
            (Some(letter), Some(one), Some(other)) => Want::State(*letter, (one, other)),
            _ => Want::Not("status has no such line"),
        },
    );
    object.add("start", "stat", Want::Tick(task.tick));
    for (key, name) in LINKS {
        let seen = &task.links[name];
        object.add(
            key,
            "the links in ns",
            seen.want(|inum| Want::number(*inum)),
        );
    }
    object.add("chroot", "root, mountinfo", chroot(task, around));
    for (name, name_ns, seen) in [("root", "rootns", &task.root), ("cwd", "cwdns", &task.cwd)] {
        object.add(
            name,
            "the links root and cwd",
            seen.want(|directory| path_of(directory, around)),
        );
        object.add(
            name_ns,
            "statx(), listmount()",
            seen.want(|directory| ns_of(directory, around)),
        );
    }
    cgroup(object, task, around, cgroups);
}

fn upid(task: &Task, numbers: &[u32], around: &Around) -> Want {
    let mut chain: Vec<u32> = Vec::new();
    let mut at = task.link("pid");
    while let Some(inum) = at {
        chain.push(inum);
        if chain.len() > 64 {
            break;
        }
        at = around.parents.get(&inum).copied();
    }
    if chain.len() != numbers.len() {
        return Want::Not("its pid namespaces cannot be looked at");
    }
    let pairs: Vec<_> = numbers
        .iter()
        .zip(chain.iter().rev())
        .map(|(number, inum)| format!("{number}@{inum}"))
        .collect();
    Want::Is(pairs.join(",").into_bytes())
}

fn chroot(task: &Task, around: &Around) -> Want {
    let (root, ns) = match (&task.root, &task.links["mnt"]) {
        (Seen::None, _) | (_, Seen::None) => return Want::Is(b"-".to_vec()),
        (Seen::Not(why), _) | (_, Seen::Not(why)) => return Want::Not(why),
        (Seen::Is(root), Seen::Is(ns)) => (root, ns),
    };
    let Some(top) = around.tops.get(ns) else {
        return Want::Not("no process of its mount namespace has the root of that");
    };
    match &root.file {
        Seen::Is(file) => {
            let is_own = file.is_mount_root && file.mount == Some(*top);
            Want::number(u32::from(!is_own))
        }
        Seen::None => Want::Not("it cannot be read"),
        Seen::Not(why) => Want::Not(why),
    }
}

fn path_of(directory: &Directory, around: &Around) -> Want {
    if let Some(why) = around.paths {
        return Want::Not(why);
    }
    // A directory may have such a name and be there.
    let is_deleted = match &directory.file {
        Seen::Is(file) => file.links == 0,
        _ => directory.path.ends_with(DELETED),
    };
    match directory.path.strip_suffix(DELETED) {
        Some(rest) if is_deleted => Want::Is([&path(rest), &b"//deleted"[..]].concat()),
        _ => Want::Is(path(&directory.path)),
    }
}

fn ns_of(directory: &Directory, around: &Around) -> Want {
    let mount = match &directory.file {
        Seen::Is(file) => file.mount,
        Seen::None => None,
        Seen::Not(why) => return Want::Not(why),
    };
    let Some(mount) = mount else {
        return Want::Not("this kernel does not tell 64-bit ids of mounts");
    };
    match (around.ns_of_mount.get(&mount), around.incomplete) {
        (Some(ns), _) => Want::number(*ns),
        (None, None) => Want::Is(b"-".to_vec()),
        (None, Some(why)) => Want::Not(why),
    }
}

fn cgroup(
    object: &mut Object,
    task: &Task,
    around: &Around,
    known: &mut HashMap<Vec<u8>, Seen<u64>>,
) {
    let source = "cgroup";
    let (Some(name), None) = (&task.cgroup, around.cgroup_paths) else {
        let why = around
            .cgroup_paths
            .unwrap_or("the kernel has no default hierarchy of cgroups");
        object.add("cgroup", source, Want::Not(why));
        object.add("cgroup_id", source, Want::Not(why));
        return;
    };
    let Some(point) = &around.cgroups else {
        // Whether it was removed is not known either.
        let is_doubtful = name.ends_with(DELETED);
        object.add(
            "cgroup",
            source,
            if is_doubtful {
                Want::Not("the default hierarchy of cgroups is not mounted")
            } else {
                Want::Is(path(name))
            },
        );
        object.add(
            "cgroup_id",
            source,
            Want::Not("the default hierarchy of cgroups is not mounted"),
        );
        return;
    };
    let id = known.entry(name.clone()).or_insert_with(|| {
        use std::os::unix::ffi::OsStrExt;
        let full = [point.as_slice(), name].concat();
        match fs::metadata(std::ffi::OsStr::from_bytes(&full)) {
            Ok(about) => Seen::Is(about.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Seen::None,
            Err(error) => Seen::Not(why(&error)),
        }
    });
    let (shown, wanted) = match (&*id, name.strip_suffix(DELETED)) {
        (Seen::Is(id), _) => (Want::Is(path(name)), Want::number(*id)),
        // Of one that was removed nobody tells the id any more.
        (Seen::None, Some(rest)) => (
            Want::Is([&path(rest), &b"//deleted"[..]].concat()),
            Want::Above(1),
        ),
        (Seen::None, None) => (Want::Is(path(name)), Want::Not("it cannot be read")),
        (Seen::Not(why), _) => (Want::Not(why), Want::Not(why)),
    };
    object.add("cgroup", source, shown);
    object.add("cgroup_id", "stat()", wanted);
}
