// SPDX-License-Identifier: GPL-2.0

//! What procfs, `listns()`, `listmount()` and `statmount()` can tell, in place of the module, as a text of format 1.
//!
//! A key that nobody tells is left out, and [`Procfs::missing`] says in words what a text of this source lacks. It
//! goes by what this kernel offers, which is looked at once, in [`Procfs::open`]. No namespace is entered, and nothing
//! is waited for: neither a server of a file system nor an automount. Unlike the module's text, this one is of no one
//! moment: a process that goes away meanwhile is left out.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::syscalls::{self, FileId, MountId, NsFile};
use crate::text::{Escaped, NsType};

use super::{Error, Progress, Query, Show};

mod holds;
mod mounts;
mod process;
mod spaces;
mod write;

use holds::Holds;
use mounts::{Mounts, Witness};
use process::{Depth, Directory, Known, Task, DELETED, LINKS, MNT, PID, TIME_FOR_CHILDREN, USER};
use spaces::Spaces;
use write::Line;

/// Texts made from procfs.
#[derive(Debug, Default)]
pub struct Procfs {
    offers: Offers,
    missing: Vec<&'static str>,
}

/// What this kernel tells this process.
#[derive(Debug, Default)]
struct Offers {
    /// Our own namespaces, by the place of their types in [`NsType::ALL`].
    own: [Option<u32>; 8],
    /// `listns()`, and opening what it lists.
    listns: bool,
    /// Going from one mount namespace to the next.
    mount_namespaces: bool,
    /// Namespaces have ids that are told.
    ids: bool,
    /// `listmount()` and `statmount()` of a mount namespace.
    listmount: bool,
    /// Our root is where our mount namespace begins, so that paths are whole.
    at_top: bool,
    /// Where the cgroups of the default hierarchy are.
    cgroups: Option<Vec<u8>>,
}

/// The most that is read of a file about a namespace.
const SMALL: u64 = 64 * 1024;

impl Offers {
    fn own(&self, ns_type: NsType) -> Option<u32> {
        let at = NsType::ALL.iter().position(|one| *one == ns_type)?;
        self.own[at]
    }

    /// How mounts are called.
    fn names(&self) -> MountId {
        if self.listmount {
            MountId::Unique
        } else {
            MountId::Old
        }
    }

    fn look(own: &Directory) -> Self {
        let link = |ns_type: NsType| {
            let name = format!("ns/{ns_type}");
            let link = syscalls::read_link_below(own.fd(), name.as_bytes()).ok()?;
            process::inum(&link)
        };
        let mut offers = Self {
            own: NsType::ALL.map(link),
            ..Self::default()
        };
        let mount_ns = own.namespace(MNT).ok();
        offers.ids = mount_ns.as_ref().is_some_and(|file| file.id().is_ok());
        offers.mount_namespaces = mount_ns.as_ref().is_some_and(|file| {
            [false, true].into_iter().all(|before| {
                match file.beside(before) {
                    Ok(_) => true,
                    // There is none.
                    Err(error) => error.raw_os_error() == Some(libc::ENOENT),
                }
            })
        });
        offers.listns = syscalls::listns().is_ok_and(|ids| {
            // A kernel may list what it does not let this process open.
            ids.first().is_some_and(|id| NsFile::open_id(*id).is_ok())
        });
        offers.listmount = mount_ns
            .as_ref()
            .and_then(|file| file.mount_ns_id().ok())
            .is_some_and(|id| syscalls::listmount(id, syscalls::LSMT_ROOT).is_ok())
            && syscalls::statx(None, b"/", MountId::Unique).is_ok_and(|root| root.mount.is_some());
        let witness = Witness {
            pid: std::process::id(),
            via: None,
            root: Some(b"/".to_vec()),
        };
        let seen = mounts::read(Some(&witness), None);
        offers.at_top = is_at_top(&seen, offers.own(NsType::Mnt));
        offers.cgroups = seen
            .entries
            .iter()
            .find(|entry| {
                entry.fs_type == b"cgroup2" && entry.root == b"/" && entry.reach == "root"
            })
            .map(|entry| Escaped::new(&entry.point).bytes().into_owned());
        offers
    }
}

/// Whether our root is where our mount namespace begins: it is a mount's, nothing lies on it, and it is that of
/// process 1, if that is in the same mount namespace.
fn is_at_top(seen: &Mounts, own: Option<u32>) -> bool {
    let Ok(root) = syscalls::statx(None, b"/", MountId::Old) else {
        return false;
    };
    let is_lowest = match (root.old_mount, seen.top) {
        (Some(mount), Some(top)) => u64::from(mount) == top && root.is_mount_root,
        (None, top) => top.is_some(),
        (_, None) => false,
    };
    let first = Directory::of(1).ok();
    let is_other = first.as_ref().is_some_and(|first| {
        let link = syscalls::read_link_below(first.fd(), b"ns/mnt")
            .ok()
            .and_then(|link| process::inum(&link));
        link == own
            && syscalls::statx(Some(first.fd()), b"root", MountId::Old)
                .is_ok_and(|other| !same_file(&other, &root))
    });
    is_lowest && !is_other
}

fn same_file(one: &FileId, other: &FileId) -> bool {
    (one.device, one.inode, one.old_mount) == (other.device, other.inode, other.old_mount)
}

impl Procfs {
    /// Looks at what this kernel offers.
    ///
    /// # Errors
    ///
    /// There is no procfs.
    pub fn open() -> Result<Self, Error> {
        let own = Directory::of(std::process::id())
            .ok()
            .filter(|own| own.read("stat", SMALL).is_ok())
            .ok_or_else(|| {
                Error::new(
                    "/proc does not show this process",
                    "mount it: mount -t proc proc /proc; in a pid namespace, its own",
                )
            })?;
        let offers = Offers::look(&own);
        let missing = missing(&offers);
        Ok(Self { offers, missing })
    }

    /// What a text of this source lacks, in words.
    pub fn missing(&self) -> &[&'static str] {
        &self.missing
    }

    /// Makes a text that has at least what the query asks for, as far as procfs knows.
    ///
    /// # Errors
    ///
    /// procfs cannot be read.
    pub fn ask(&self, query: &Query) -> Result<Vec<u8>, Error> {
        let _progress = Progress::start();
        let release = fs::read("/proc/sys/kernel/osrelease").map_err(|error| {
            Error::new(
                format!("cannot read /proc: {}", super::reason(&error)),
                "mount it: mount -t proc proc /proc",
            )
        })?;
        let show = query.show.unwrap_or(Show {
            ns: true,
            tasks: true,
            mounts: true,
            ..Show::default()
        });
        let mut snapshot = Snapshot::new(&self.offers, query, show);
        snapshot.take();
        Ok(snapshot.text(&release))
    }
}

/// Says what a text lacks.
fn missing(offers: &Offers) -> Vec<&'static str> {
    let mut missing = Vec::new();
    let is_initial = |ns_type: NsType| {
        offers
            .own(ns_type)
            .is_none_or(|inum| inum == ns_type.initial())
    };
    // Before 6.19 most of the initial ones have other numbers. That of pid and user namespaces was always the same.
    if !is_initial(NsType::Pid) || !is_initial(NsType::User) {
        missing.push("what is outside of this container");
    }
    if syscalls::effective_uid() != 0 {
        missing.push("namespaces, directories and mounts of other users' processes");
    }
    if !offers.listns {
        missing.push(if offers.mount_namespaces {
            "namespaces without processes (but for mount namespaces)"
        } else {
            "namespaces without processes"
        });
    }
    if !offers.ids {
        missing.push("ids of namespaces");
    }
    if !offers.listmount {
        missing.push("mounts out of reach");
        missing.push("64-bit ids of mounts");
    }
    if !offers.at_top {
        // What is above our own root has no path for us.
        missing.push("root and working directories");
    }
    if offers.cgroups.is_none() {
        missing.push("ids of cgroups");
    }
    missing.extend([
        "tasks hidden from /proc",
        "references to namespaces",
        "names and cgroups of other namespaces",
        "counts of pid and mount namespaces",
        "threads in other namespaces (--threads)",
        "start times below a tick",
        "locked mounts, copies of mounts",
        "holders by sockets, pidfds, credentials, file systems",
    ]);
    missing
}

/// What was read, before it is written.
struct Snapshot<'a> {
    offers: &'a Offers,
    query: &'a Query,
    show: Show,
    begun: u64,
    /// One process alone is asked for.
    is_single: bool,
    tasks: Vec<Task>,
    threads: Vec<Task>,
    spaces: Spaces,
    /// The mounts of each mount namespace that was looked at.
    mounts: Vec<(u32, Mounts)>,
    /// Of each mount: the namespace that it is in.
    ns_of_mount: HashMap<u64, u32>,
    /// Of each mount namespace: the mount on top of its root.
    tops: HashMap<u32, u64>,
    /// All mounts of all namespaces are known, so that others are in none.
    is_complete: bool,
}

impl<'a> Snapshot<'a> {
    fn new(offers: &'a Offers, query: &'a Query, show: Show) -> Self {
        Self {
            offers,
            query,
            show,
            begun: syscalls::boottime(),
            is_single: false,
            tasks: Vec::new(),
            threads: Vec::new(),
            spaces: Spaces::default(),
            mounts: Vec::new(),
            ns_of_mount: HashMap::new(),
            tops: HashMap::new(),
            is_complete: false,
        }
    }

    fn take(&mut self) {
        self.read_tasks();
        self.find_spaces();
        if self.wants_mounts() {
            self.read_mounts();
        }
        self.count_tasks();
    }

    fn wants_mounts(&self) -> bool {
        let show = self.show;
        show.tasks
            || show.threads
            || show.mounts
            || show.holds
            || (show.ns && !self.offers.listns && !self.is_single)
    }

    fn read_tasks(&mut self) {
        let show = self.show;
        let depth = Depth {
            numbers: show.tasks
                || show.threads
                || show.ns
                || show.holds
                || self.query.pid.is_some()
                || self.query.upid.is_some(),
            details: show.tasks || show.threads || show.holds,
            mounts: self.offers.names(),
        };
        let one = match (self.query.pid, self.query.upid) {
            (Some(pid), None) => Some(pid),
            (None, Some((pid, ns))) if Some(ns.get()) == self.offers.own(NsType::Pid) => Some(pid),
            _ => None,
        };
        let pids = one.map_or_else(|| process::entries("/proc"), |pid| vec![pid]);
        self.is_single = self.query.pid.is_some() || self.query.upid.is_some();
        self.tasks = pids
            .into_iter()
            .filter_map(|pid| process::read(pid, depth))
            .collect();
        // The oldest first; of those of a tick, that with the lower number.
        self.tasks.sort_by_key(|task| (task.start, task.pid));
        if self.is_single && one.is_none() {
            self.keep_wanted();
        }
        if one.is_some() && self.tasks.first().is_some_and(|task| task.tgid != task.pid) {
            // The number of a thread was asked for.
            self.threads = std::mem::take(&mut self.tasks);
        } else if show.threads {
            for task in &mut self.tasks {
                for tid in process::entries(&format!("/proc/{}/task", task.pid)) {
                    let Some(thread) = process::read_thread(task.pid, tid, depth) else {
                        continue;
                    };
                    task.mixed |= thread.links.iter().zip(&task.links).enumerate().any(
                        |(at, (own, other))| {
                            process::is_membership(at)
                                && own.get().is_some_and(|own| other.get() != Some(own))
                        },
                    );
                    self.threads.push(thread);
                }
            }
        }
    }

    /// Keeps the process that is asked for by a number in another pid namespace.
    fn keep_wanted(&mut self) {
        for task in &self.tasks {
            add_link(&mut self.spaces, task, PID);
        }
        let (pid, upid) = (self.query.pid, self.query.upid);
        let mut tasks = std::mem::take(&mut self.tasks);
        tasks.retain(|task| {
            pid.is_none_or(|pid| task.pid == pid)
                && upid.is_none_or(|(number, ns)| {
                    self.numbers(task).contains(&(number, Some(ns.get())))
                })
        });
        self.tasks = tasks;
    }

    /// Finds all namespaces that the records tell of.
    fn find_spaces(&mut self) {
        for task in self.tasks.iter().chain(&self.threads) {
            for link in 0..LINKS.len() {
                add_link(&mut self.spaces, task, link);
            }
        }
        if self.is_single {
            return;
        }
        if self.offers.listns {
            self.spaces.add_listed();
        } else if self.offers.mount_namespaces {
            self.spaces.add_mount_namespaces(|| {
                Directory::of(std::process::id())
                    .and_then(|own| own.namespace(MNT))
                    .ok()
            });
        }
    }

    fn read_mounts(&mut self) {
        let mut witnesses: HashMap<u32, Witness> = HashMap::new();
        for task in &self.tasks {
            let Some(inum) = task.links[MNT].get() else {
                continue;
            };
            let witness = Witness {
                pid: task.pid,
                via: task.via,
                root: match &task.root {
                    Known::Is(root) if self.offers.at_top && !root.is_deleted => {
                        Some(root.path.clone())
                    }
                    _ => None,
                },
            };
            let known = witnesses.get(inum);
            // The first one; or the first one that sees all.
            if known.is_none_or(|known| !known.is_at_top() && witness.is_at_top()) {
                witnesses.insert(*inum, witness);
            }
        }
        let spaces: Vec<_> = self
            .spaces
            .in_order()
            .into_iter()
            .filter(|space| space.ns_type == NsType::Mnt)
            .map(|space| (space.inum, space.mount_ns_id))
            .collect();
        self.is_complete = self.offers.listmount && self.offers.listns && !self.is_single;
        for (inum, id) in spaces {
            // Of our own mount namespace, the calls tell what is below our own root.
            let is_ours = Some(inum) == self.offers.own(NsType::Mnt);
            let id = id.filter(|_| self.offers.listmount && (self.offers.at_top || !is_ours));
            let found = mounts::read(witnesses.get(&inum), id);
            for entry in &found.entries {
                self.ns_of_mount.insert(entry.id, inum);
            }
            if let Some(top) = found.top {
                self.tops.insert(inum, top);
            }
            self.is_complete &= found.is_complete;
            self.mounts.push((inum, found));
        }
        if !self.offers.listns && !self.is_single {
            self.add_mounted();
        }
    }

    /// Adds namespaces that a mount of their file keeps, as `ip netns` makes.
    fn add_mounted(&mut self) {
        let own = self.offers.own(NsType::Mnt);
        let mut found = Vec::new();
        for (ns, mounts) in &self.mounts {
            for entry in &mounts.entries {
                if let Some(inum) = holds::mounted_namespace(entry) {
                    let is_open = Some(*ns) == own && entry.reach == "root";
                    found.push((
                        inum,
                        entry.root.clone(),
                        is_open.then(|| entry.point.clone()),
                    ));
                }
            }
        }
        for (inum, link, point) in found {
            if self.spaces.has(inum) {
                continue;
            }
            let file = point
                .and_then(|point| NsFile::open_mounted(&Escaped::new(&point).bytes()).ok())
                .filter(|file| file.inum().is_ok_and(|one| one == inum));
            match file {
                Some(file) => {
                    self.spaces.add(file);
                }
                None => {
                    if let Some(ns_type) = holds::namespace_type(&link) {
                        self.spaces.add_bare(ns_type, inum);
                    }
                }
            }
        }
    }

    /// Counts the processes of each namespace, and those that have a thread in it.
    fn count_tasks(&mut self) {
        let mut of_process: HashMap<u32, Vec<&Task>> = HashMap::new();
        for thread in &self.threads {
            of_process.entry(thread.tgid).or_default().push(thread);
        }
        for task in &self.tasks {
            let threads = of_process.get(&task.pid).into_iter().flatten().copied();
            let inums: BTreeSet<u32> = [task]
                .into_iter()
                .chain(threads)
                .flat_map(|one| one.links.iter().enumerate())
                .filter(|(at, _)| process::is_membership(*at))
                .filter_map(|(_, link)| link.get().copied())
                .collect();
            for inum in inums {
                if let Some(space) = self.spaces.get_mut(inum) {
                    space.tasks += 1;
                }
            }
        }
    }

    /// The numbers of a process, each with its pid namespace, from ours inwards.
    fn numbers(&self, task: &Task) -> Vec<(u32, Option<u32>)> {
        let own = self.offers.own(NsType::Pid);
        let mut spaces: Vec<Option<u32>> = vec![None; task.numbers.len()];
        // It has a number in its own pid namespace, and in each around that up to ours.
        if let Some(inum) = task.links[PID].get() {
            let chain = [*inum].into_iter().chain(self.spaces.above(*inum));
            for (space, inum) in spaces.iter_mut().rev().zip(chain) {
                *space = Some(inum);
            }
        }
        if let Some(first) = spaces.first_mut() {
            *first = own.or(*first);
        }
        task.numbers.iter().copied().zip(spaces).collect()
    }

    fn text(&self, release: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 * 1024);
        let mut line = Line::default();
        line.begin("nsinspect");
        line.positional(crate::text::FORMAT);
        line.text("release", release.trim_ascii_end());
        line.key("uptime", self.begun);
        line.end(&mut out);
        let mut writer = Writer {
            snapshot: self,
            line,
            cgroups: HashMap::new(),
        };
        let show = self.show;
        let mut counts = [0u64; 5];
        if show.ns {
            counts[0] = writer.spaces(&mut out);
        }
        if show.tasks {
            counts[1] = writer.tasks(&mut out);
        }
        if show.threads || (self.is_single && self.tasks.is_empty()) {
            counts[2] = writer.threads(&mut out);
        }
        if show.mounts {
            for (ns, mounts) in &self.mounts {
                counts[3] += writer.mounts(*ns, mounts, &mut out);
            }
        }
        if show.holds {
            counts[4] = Holds::new(self.query, self.offers.names(), &self.mounts, &mut out).write(
                &self.tasks,
                &self.mounts,
                &self.spaces,
            );
        }
        let mut line = writer.line;
        line.begin("end");
        for (name, count) in ["ns", "tasks", "threads", "mounts", "holds"]
            .into_iter()
            .zip(counts)
        {
            line.key(name, count);
        }
        line.end(&mut out);
        out
    }
}

/// Asks the namespace that a link of a process leads to, unless it is known.
fn add_link(spaces: &mut Spaces, task: &Task, link: usize) {
    let Known::Is(inum) = task.links[link] else {
        return;
    };
    if spaces.has(inum) {
        return;
    }
    let directory = match task.via.or((task.pid != task.tgid).then_some(task.pid)) {
        None => Directory::of(task.pid),
        Some(tid) => Directory::of_thread(task.tgid, tid),
    };
    // It may be in another one by now, which is then one more.
    if let Ok(file) = directory.and_then(|directory| directory.namespace(link)) {
        spaces.add(file);
    }
    spaces.add_bare(LINKS[link].2, inum);
}

/// Writes records.
struct Writer<'a> {
    snapshot: &'a Snapshot<'a>,
    line: Line,
    /// Ids of cgroups, by their paths as procfs shows them.
    cgroups: HashMap<Vec<u8>, Option<u64>>,
}

impl Writer<'_> {
    /// Writes the namespaces, and says how many there are.
    fn spaces(&mut self, out: &mut Vec<u8>) -> u64 {
        let snapshot = self.snapshot;
        let inside = Inside::find(snapshot);
        let spaces = snapshot.spaces.in_order();
        for space in &spaces {
            let inum = space.inum;
            let line = &mut self.line;
            line.begin("ns");
            line.positional(space.ns_type);
            line.positional(inum);
            if let Some(id) = space.id {
                line.key("id", id);
            }
            line.known("owner", &space.owner);
            if snapshot.is_single {
                line.key("tasks", '-');
            } else {
                line.key("tasks", space.tasks);
            }
            if space.parent != Known::Not {
                line.key("level", snapshot.spaces.level(inum));
            }
            line.known("parent", &space.parent);
            match space.ns_type {
                NsType::Pid => {
                    line.known("reaper", &inside.reaper(inum));
                    if snapshot.offers.own(NsType::Pid) == Some(inum) {
                        if let Some(limit) = number_in("/proc/sys/kernel/pid_max") {
                            line.key("pid_max", limit);
                        }
                    }
                }
                NsType::User => {
                    if let Some(uid) = space.uid {
                        line.key("uid", uid);
                    }
                    if let Some(pid) = inside.users.get(&inum) {
                        line.known("uid_map", &id_map(*pid, "uid_map"));
                        line.known("gid_map", &id_map(*pid, "gid_map"));
                    }
                }
                NsType::Mnt => {
                    if let Some(mounts) = space.mounts {
                        line.key("mounts", mounts);
                    }
                    if let Some(root) = inside.roots.get(&inum) {
                        line.key("root", root);
                    }
                }
                NsType::Uts => {
                    if snapshot.offers.own(NsType::Uts) == Some(inum) {
                        for (key, file) in [("nodename", "hostname"), ("domainname", "domainname")]
                        {
                            if let Ok(name) = fs::read(Path::new("/proc/sys/kernel").join(file)) {
                                line.text(key, name.strip_suffix(b"\n").unwrap_or(&name));
                            }
                        }
                    }
                }
                NsType::Time => {
                    if let Some((monotonic, boottime)) =
                        inside.times.get(&inum).and_then(|pid| offsets(*pid))
                    {
                        line.key("monotonic", monotonic);
                        line.key("boottime", boottime);
                    }
                }
                NsType::Ipc | NsType::Net | NsType::Cgroup => {}
            }
            line.end(out);
        }
        spaces.len() as u64
    }

    fn tasks(&mut self, out: &mut Vec<u8>) -> u64 {
        let snapshot = self.snapshot;
        let mut count = 0;
        for task in &snapshot.tasks {
            if snapshot.query.user_only && task.is_kthread {
                continue;
            }
            count += 1;
            self.line.begin("task");
            self.line.positional(task.pid);
            self.line.text("comm", &task.comm);
            self.own_numbers(task);
            for (key, numbers) in [("pgid", &task.pgid), ("sid", &task.sid)] {
                if !numbers.is_empty() {
                    self.line.list(key, numbers);
                }
            }
            self.line.key("ppid", task.ppid);
            self.rights(task);
            self.line.key("threads", task.threads);
            self.line.key("state", char::from(task.state));
            self.line
                .key("kind", if task.is_kthread { "kthread" } else { "user" });
            self.places(task);
            if let Some(via) = task.via {
                self.line.key("via", via);
            }
            if task.mixed {
                self.line.key("mixed", 1);
            }
            self.line.end(out);
        }
        count
    }

    fn threads(&mut self, out: &mut Vec<u8>) -> u64 {
        let snapshot = self.snapshot;
        let mut count = 0;
        for thread in &snapshot.threads {
            if snapshot.query.user_only && thread.is_kthread {
                continue;
            }
            count += 1;
            self.line.begin("thread");
            self.line.positional(thread.pid);
            self.line.key("tgid", thread.tgid);
            self.line.text("comm", &thread.comm);
            self.own_numbers(thread);
            self.rights(thread);
            self.line.key("state", char::from(thread.state));
            self.places(thread);
            self.line.end(out);
        }
        count
    }

    fn own_numbers(&mut self, task: &Task) {
        self.line.key("level", task.numbers.len().saturating_sub(1));
        let numbers: Vec<_> = self
            .snapshot
            .numbers(task)
            .into_iter()
            .map(|(number, ns)| match ns {
                Some(ns) => format!("{number}@{ns}"),
                None => format!("{number}@-"),
            })
            .collect();
        self.line.key("upid", numbers.join(","));
    }

    fn rights(&mut self, task: &Task) {
        let line = &mut self.line;
        if task.tracer == 0 {
            line.key("tracer", '-');
        } else {
            line.key("tracer", task.tracer);
        }
        line.key("uid", task.uid.0);
        line.key("gid", task.gid.0);
        line.key("euid", task.uid.1);
        line.key("egid", task.gid.1);
        if let Some(caps) = task.caps {
            line.key("caps", format_args!("{caps:016x}"));
        }
        line.key("seccomp", task.seccomp);
        if let Some(nnp) = task.nnp {
            line.key("nnp", u8::from(nnp));
        }
    }

    /// When it began, its namespaces, directories, and its cgroup.
    fn places(&mut self, task: &Task) {
        let snapshot = self.snapshot;
        let start = task.start.saturating_mul(syscalls::nanoseconds_per_tick());
        self.line.key("start", start);
        for (at, (key, _, _)) in LINKS.iter().enumerate() {
            let own = snapshot.offers.own(NsType::Pid);
            match (&task.links[at], own) {
                // Who has one number alone is in our own pid namespace.
                (Known::Not, Some(own)) if at == PID && task.numbers.len() == 1 => {
                    self.line.key(key, own);
                }
                (link, _) => self.line.known(key, link),
            }
        }
        if snapshot.offers.at_top {
            self.line.known("chroot", &snapshot.chroot(task));
        }
        for (key, key_ns, place) in [("root", "rootns", &task.root), ("cwd", "cwdns", &task.cwd)] {
            match place {
                Known::Is(place) => {
                    if snapshot.offers.at_top {
                        self.line.path(key, &place.path, place.is_deleted);
                    }
                    self.line.known(key_ns, &snapshot.ns_of(place.file));
                }
                Known::Gone => {
                    self.line.key(key, '-');
                    self.line.key(key_ns, '-');
                }
                Known::Not => {}
            }
        }
        if let Some(cgroup) = &task.cgroup {
            let id = self.cgroup_id(cgroup);
            match cgroup.strip_suffix(DELETED) {
                Some(path) if id.is_none() && snapshot.offers.cgroups.is_some() => {
                    self.line.path("cgroup", path, true);
                }
                _ => self.line.path("cgroup", cgroup, false),
            }
            if let Some(id) = id {
                self.line.key("cgroup_id", id);
            }
        }
    }

    fn cgroup_id(&mut self, path: &[u8]) -> Option<u64> {
        use std::os::unix::ffi::OsStrExt;
        if let Some(id) = self.cgroups.get(path) {
            return *id;
        }
        let id = self.snapshot.offers.cgroups.as_ref().and_then(|point| {
            let full = [point, path].concat();
            let about = fs::metadata(std::ffi::OsStr::from_bytes(&full)).ok()?;
            Some(about.ino())
        });
        self.cgroups.insert(path.to_vec(), id);
        id
    }

    fn mounts(&mut self, ns: u32, mounts: &Mounts, out: &mut Vec<u8>) -> u64 {
        for entry in &mounts.entries {
            self.line.begin("mount");
            self.line.positional(ns);
            self.line.positional(entry.id);
            self.line.positional(entry.reach);
            self.line.raw(&entry.line);
            self.line.end(out);
        }
        mounts.entries.len() as u64
    }
}

impl Snapshot<'_> {
    /// The mount namespace that a file's mount is in.
    fn ns_of(&self, file: Option<FileId>) -> Known<u32> {
        let id = file.and_then(|file| file.mount.or(file.old_mount.map(u64::from)));
        match id.map(|id| self.ns_of_mount.get(&id)) {
            Some(Some(ns)) => Known::Is(*ns),
            Some(None) if self.is_complete => Known::Gone,
            _ => Known::Not,
        }
    }

    /// Whether a process's root is another one than its mount namespace's.
    fn chroot(&self, task: &Task) -> Known<u8> {
        let (root, ns) = match (&task.root, &task.links[MNT]) {
            (Known::Is(root), Known::Is(ns)) => (root, ns),
            (Known::Gone, _) | (_, Known::Gone) => return Known::Gone,
            _ => return Known::Not,
        };
        if root.is_deleted || root.path != b"/" {
            return Known::Is(1);
        }
        let id = root
            .file
            .and_then(|file| file.mount.or(file.old_mount.map(u64::from)));
        match (id, self.tops.get(ns), root.file) {
            (Some(id), Some(top), Some(file)) => {
                Known::Is(u8::from(id != *top || !file.is_mount_root))
            }
            _ => Known::Not,
        }
    }
}

/// Processes that show what is inside of namespaces.
struct Inside {
    /// Process 1 of pid namespaces.
    reapers: HashMap<u32, u32>,
    /// All processes were looked at.
    is_all: bool,
    /// A process of user namespaces.
    users: HashMap<u32, u32>,
    /// A process whose children will be in a time namespace.
    times: HashMap<u32, u32>,
    /// The root mounts of mount namespaces.
    roots: HashMap<u32, u64>,
}

impl Inside {
    fn find(snapshot: &Snapshot<'_>) -> Self {
        let mut inside = Self {
            reapers: HashMap::new(),
            is_all: !snapshot.is_single && syscalls::effective_uid() == 0,
            users: HashMap::new(),
            times: HashMap::new(),
            roots: snapshot
                .mounts
                .iter()
                .filter_map(|(ns, mounts)| Some((*ns, mounts.root?)))
                .collect(),
        };
        for task in &snapshot.tasks {
            let pid = task.pid;
            if task.numbers.last() == Some(&1) {
                if let Some((_, Some(ns))) = snapshot.numbers(task).last() {
                    inside.reapers.insert(*ns, pid);
                }
            }
            if let Known::Is(inum) = task.links[USER] {
                inside.users.entry(inum).or_insert(pid);
            }
            if let Known::Is(inum) = task.links[TIME_FOR_CHILDREN] {
                inside.times.entry(inum).or_insert(pid);
            }
        }
        inside
    }

    fn reaper(&self, inum: u32) -> Known<u32> {
        match self.reapers.get(&inum) {
            Some(pid) => Known::Is(*pid),
            None if self.is_all => Known::Gone,
            None => Known::Not,
        }
    }
}

fn number_in(path: &str) -> Option<u64> {
    process::number(fs::read(path).ok()?.trim_ascii())
}

/// The map of the user namespace that a process is in, as the text has it.
fn id_map(pid: u32, name: &str) -> Known<String> {
    let Some(text) = Directory::of(pid)
        .and_then(|directory| directory.read(name, SMALL))
        .ok()
        .and_then(|text| String::from_utf8(text).ok())
    else {
        return Known::Not;
    };
    let ranges: Vec<_> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(":"))
        .collect();
    if ranges.is_empty() {
        Known::Gone
    } else {
        Known::Is(ranges.join(","))
    }
}

/// The offsets of the time namespace that the children of a process will be in.
fn offsets(pid: u32) -> Option<(i128, i128)> {
    let directory = Directory::of(pid).ok()?;
    let text = String::from_utf8(directory.read("timens_offsets", SMALL).ok()?).ok()?;
    let clock = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        let mut words = line.split_whitespace().skip(1);
        let seconds: i128 = words.next()?.parse().ok()?;
        let rest: i128 = words.next()?.parse().ok()?;
        Some(seconds * 1_000_000_000 + rest)
    };
    Some((clock("monotonic")?, clock("boottime")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::System;
    use crate::text::{Inum, Text};

    fn ask(query: &Query) -> Vec<u8> {
        Procfs::open()
            .expect("there is a procfs")
            .ask(query)
            .expect("a text")
    }

    fn printed_back(text: &[u8]) -> Vec<u8> {
        let mut lines = Vec::new();
        for record in Text::open(text).expect("whole").records() {
            lines.extend(record.expect("as the format has it").to_bytes());
            lines.push(b'\n');
        }
        lines
    }

    #[test]
    fn the_text_is_of_format_1() {
        for query in [
            Query::default(),
            Query::show("ns,tasks,threads,mounts,holds"),
            Query::show("ns"),
            Query::show("mounts"),
        ] {
            let text = ask(&query);
            System::read(&text).expect("a picture");
            // A key that stands in the wrong place would be lost.
            let records = printed_back(&text);
            let first = text.iter().position(|byte| *byte == b'\n').expect("lines") + 1;
            assert_eq!(
                String::from_utf8_lossy(&text[first..first + records.len()]),
                String::from_utf8_lossy(&records)
            );
        }
    }

    #[test]
    fn this_process_is_in_it() {
        let text = ask(&Query::show("ns,tasks,threads"));
        let system = System::read(&text).expect("a picture");
        let own = std::process::id();
        let task = system.task(own).expect("this process");
        let inum = task.mntns.expect("a mount namespace");
        let link = fs::read_link("/proc/self/ns/mnt").expect("a link");
        assert_eq!(link, Path::new(&format!("mnt:[{inum}]")));
        let space = system.namespace(inum).expect("its record");
        assert!(space.tasks.is_some_and(|tasks| tasks > 0));
        assert!(system.threads.iter().filter(|one| one.tgid == own).count() > 1);
        assert!(task.cwd.is_none() || task.has("cwd"));
        assert_eq!(task.own_number(), Some(own));
    }

    #[test]
    fn one_process_alone() {
        let own = std::process::id();
        let text = ask(&Query {
            pid: Some(own),
            ..Query::default()
        });
        let system = System::read(&text).expect("a picture");
        assert_eq!(system.tasks.len(), 1);
        assert_eq!(system.tasks[0].pid, own);
        let pidns = system.tasks[0].pidns.expect("a pid namespace");
        assert!(system.namespace(pidns).expect("its record").tasks.is_none());
        let other = ask(&Query {
            upid: Some((own, pidns)),
            show: Query::show("tasks").show,
            ..Query::default()
        });
        assert_eq!(System::read(&other).expect("a picture").tasks[0].pid, own);
        let none = ask(&Query {
            pid: Some(u32::MAX),
            ..Query::default()
        });
        assert!(System::read(&none).expect("a picture").tasks.is_empty());
        let wrong = ask(&Query {
            upid: Some((1, Inum::new(1).expect("a number"))),
            ..Query::default()
        });
        assert!(System::read(&wrong).expect("a picture").tasks.is_empty());
    }

    #[test]
    fn open_files_hold() {
        let file = fs::File::open("/proc/self/ns/uts").expect("open");
        let inum = file.metadata().expect("metadata").ino();
        let text = ask(&Query {
            ns: u32::try_from(inum).ok().and_then(Inum::new),
            show: Query::show("holds").show,
            ..Query::default()
        });
        let system = System::read(&text).expect("a picture");
        let own = Some(std::process::id());
        assert!(system
            .holds
            .iter()
            .any(|hold| hold.by.raw() == b"fd" && hold.pid == own));
        drop(file);
    }

    #[test]
    fn it_says_what_it_lacks() {
        let procfs = Procfs::open().expect("there is a procfs");
        assert!(procfs.missing().contains(&"references to namespaces"));
    }
}
