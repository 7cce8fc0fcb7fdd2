// SPDX-License-Identifier: GPL-2.0

//! One look at this machine, without the module.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;

use crate::syscalls::{self, MountId, NsFile};

use super::fact::{string, Key, Machine, Object, Want};
use super::mounts::{self, AllMounts};
use super::tasks::{self, Around, Tasks};

/// What the ioctls of nsfs tell of a namespace.
#[derive(Clone, Debug)]
struct Space {
    ns_type: &'static str,
    inum: u32,
    id: u64,
    owner: Option<u32>,
    parent: Option<u32>,
    owner_uid: Option<u32>,
    mounts: Option<u32>,
    mount_ns_id: Option<u64>,
}

fn type_name(flag: u64) -> Option<&'static str> {
    [
        (0x80, "time"),
        (0x2_0000, "mnt"),
        (0x200_0000, "cgroup"),
        (0x400_0000, "uts"),
        (0x800_0000, "ipc"),
        (0x1000_0000, "user"),
        (0x2000_0000, "pid"),
        (0x4000_0000, "net"),
    ]
    .into_iter()
    .find(|(one, _)| *one == flag)
    .map(|(_, name)| name)
}

/// Asks a namespace; `None` if it does not tell all.
fn ask(file: &NsFile) -> Option<Space> {
    let ns_type = type_name(file.clone_flag().ok()?)?;
    // What is beyond the initial one is out of reach.
    let related = |other: std::io::Result<NsFile>| match other {
        Ok(other) => other.inum().ok().map(Some),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Some(None),
        Err(_) => None,
    };
    let has_parent = ns_type == "pid" || ns_type == "user";
    Some(Space {
        ns_type,
        inum: file.inum().ok()?,
        id: file.id().ok()?,
        owner: related(file.owner())?,
        parent: if has_parent {
            related(file.parent())?
        } else {
            None
        },
        owner_uid: file.owner_uid().ok(),
        mounts: file.mount_count().ok(),
        mount_ns_id: file.mount_ns_id().ok(),
    })
}

/// All namespaces that are listed, and those around them.
#[derive(Clone, Debug, Default)]
struct Spaces {
    all: BTreeMap<u64, Space>,
    listed: Option<BTreeSet<u64>>,
}

impl Spaces {
    fn look() -> Self {
        let mut spaces = Self::default();
        let Ok(ids) = syscalls::listns() else {
            return spaces;
        };
        for id in &ids {
            let mut next = NsFile::open_id(*id).ok();
            while let Some(file) = next {
                let Some(space) = ask(&file).filter(|one| !spaces.all.contains_key(&one.id)) else {
                    break;
                };
                // One that nothing leads to but what is below it is in no list.
                next = space.parent.and_then(|_| file.parent().ok());
                spaces.all.insert(space.id, space);
            }
        }
        spaces.listed = Some(ids.into_iter().collect());
        spaces
    }
}

/// Looks at everything.
pub(super) fn look() -> Machine {
    let mut machine = Machine {
        began: syscalls::boottime(),
        ..Machine::default()
    };
    let mut tasks = Tasks::look();
    tasks.processes.sort_by_key(|task| task.pid);
    let spaces = Spaces::look();
    let mount_spaces: Vec<_> = match &spaces.listed {
        Some(_) => spaces
            .all
            .values()
            .filter_map(|space| Some((space.inum, space.mount_ns_id?)))
            .collect(),
        None => mounts::of_processes(&tasks),
    };
    let mut all_mounts = mounts::look(&mount_spaces, &tasks);
    if spaces.listed.is_none() {
        machine.gap("this kernel does not list namespaces, or does not let us");
        all_mounts
            .incomplete
            .get_or_insert("this kernel does not list namespaces, or does not let us");
    }
    let around = around(&tasks, &all_mounts);
    tasks::facts(&tasks, &around, &mut machine);
    all_mounts.facts(around.cgroup_paths, &mut machine);
    facts(&spaces, &tasks, &all_mounts, &mut machine);
    if let Ok(release) = fs::read("/proc/sys/kernel/osrelease") {
        let mut object = Object::new("the text".to_string());
        let release = string(release.trim_ascii_end());
        object.add("release", "/proc/sys/kernel/osrelease", Want::Is(release));
        machine.objects.insert(Key::Text, object);
    }
    machine.listed = spaces.listed;
    machine
}

fn own(name: &str) -> Option<u32> {
    let link = fs::read_link(format!("/proc/self/ns/{name}")).ok()?;
    let (_, rest) = link.to_str()?.split_once(":[")?;
    rest.strip_suffix(']')?.parse().ok()
}

/// The number of the initial cgroup namespace (`CGROUP_NS_INIT_INO`).
const INITIAL_CGROUP: u32 = 0xEFFF_FFFB;

fn around(tasks: &Tasks, mounts: &AllMounts) -> Around {
    let ns = own("mnt").unwrap_or(0);
    let mut around = Around {
        parents: tasks::parents(tasks),
        ns_of_mount: mounts.ns_of_mount(),
        incomplete: mounts.incomplete,
        tops: mounts.tops(),
        cgroups: mounts.cgroups(ns),
        ..Around::default()
    };
    let root = |path: &str| {
        syscalls::statx(None, path.as_bytes(), MountId::Unique)
            .map(|file| (file.mount, file.inode))
            .ok()
    };
    let first = tasks.processes.iter().find(|task| task.pid == 1);
    let is_with_first = first.and_then(|task| task.link("mnt")) == Some(ns);
    if is_with_first && root("/") != root("/proc/1/root") {
        around.paths = Some("this command has another root directory than process 1");
        // Whose root looks like that of the namespace has ours.
        around.tops.remove(&ns);
    }
    if own("cgroup") != Some(INITIAL_CGROUP) {
        around.cgroup_paths = Some("this command is in a cgroup namespace of its own");
    }
    around
}

/// Puts facts about namespaces into the machine.
fn facts(spaces: &Spaces, tasks: &Tasks, mounts: &AllMounts, machine: &mut Machine) {
    let inside = Inside::find(tasks);
    let parents: HashMap<u32, u32> = spaces
        .all
        .values()
        .filter_map(|space| Some((space.inum, space.parent?)))
        .collect();
    for (id, space) in &spaces.all {
        let mut object = Object::new(format!("{} namespace {}", space.ns_type, space.inum));
        let nsfs = "the ioctls of nsfs";
        object.add("type", nsfs, Want::Is(space.ns_type.as_bytes().to_vec()));
        object.add("inum", nsfs, Want::number(space.inum));
        object.add("owner", nsfs, Want::optional(space.owner));
        if space.ns_type == "pid" || space.ns_type == "user" {
            object.add("parent", nsfs, Want::optional(space.parent));
            object.add("level", nsfs, Want::number(level(space.inum, &parents)));
        }
        match space.ns_type {
            "pid" => inside.pid(space.inum, &mut object),
            "user" => {
                object.add("uid", nsfs, Want::optional(space.owner_uid));
                inside.user(space.inum, &mut object);
            }
            "mnt" => {
                object.add(
                    "mounts",
                    nsfs,
                    space
                        .mounts
                        .map_or(Want::Not("this kernel does not count mounts"), Want::number),
                );
                object.add(
                    "root",
                    "statmount()",
                    mounts
                        .lowest(space.inum)
                        .map_or(Want::Not("its mounts cannot be listed"), Want::number),
                );
            }
            "uts" => inside.uts(space.inum, &mut object),
            "time" => inside.time(space.inum, &mut object),
            _ => {}
        }
        if spaces.listed.as_ref().is_some_and(|ids| ids.contains(id)) {
            object.add("active", "listns()", Want::Above(0));
        }
        machine.objects.insert(Key::Namespace(*id), object);
    }
}

fn level(inum: u32, parents: &HashMap<u32, u32>) -> u32 {
    let mut level = 0;
    let mut at = inum;
    while let Some(parent) = parents.get(&at).filter(|_| level < 64) {
        level += 1;
        at = *parent;
    }
    level
}

/// What processes show of the namespaces that they are in.
struct Inside {
    /// Process 1 of pid namespaces.
    first: HashMap<u32, u32>,
    /// A process of user namespaces, and one whose children will be in a time namespace.
    users: HashMap<u32, u32>,
    times: HashMap<u32, u32>,
}

const NOBODY: &str = "no process is in the namespace";

impl Inside {
    fn find(tasks: &Tasks) -> Self {
        let mut inside = Self {
            first: HashMap::new(),
            users: HashMap::new(),
            times: HashMap::new(),
        };
        for task in &tasks.processes {
            if let (Some(inum), Some(1)) = (task.link("pid"), task.numbers().last()) {
                inside.first.insert(inum, task.pid);
            }
            if let Some(inum) = task.link("user") {
                inside.users.entry(inum).or_insert(task.pid);
            }
            if let Some(inum) = task.link("time_for_children") {
                inside.times.entry(inum).or_insert(task.pid);
            }
        }
        inside
    }

    fn pid(&self, inum: u32, object: &mut Object) {
        object.add(
            "reaper",
            "NSpid in status",
            Want::optional(self.first.get(&inum).copied()),
        );
        let limit = fs::read_to_string("/proc/sys/kernel/pid_max")
            .ok()
            .filter(|_| own("pid") == Some(inum));
        object.add(
            "pid_max",
            "/proc/sys/kernel/pid_max",
            match limit {
                Some(limit) => Want::Is(limit.trim().as_bytes().to_vec()),
                None => Want::Not("it would have to be entered"),
            },
        );
    }

    fn user(&self, inum: u32, object: &mut Object) {
        for name in ["uid_map", "gid_map"] {
            let text = self
                .users
                .get(&inum)
                .and_then(|pid| fs::read_to_string(format!("/proc/{pid}/{name}")).ok());
            object.add(
                name,
                "/proc/PID/uid_map, gid_map",
                match text {
                    None => Want::Not(NOBODY),
                    Some(text) if text.is_empty() => Want::Is(b"-".to_vec()),
                    Some(text) => {
                        let ranges: Vec<String> = text
                            .lines()
                            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(":"))
                            .collect();
                        Want::Is(ranges.join(",").into_bytes())
                    }
                },
            );
        }
    }

    fn uts(&self, inum: u32, object: &mut Object) {
        let is_own = own("uts") == Some(inum);
        for (name, file) in [("nodename", "hostname"), ("domainname", "domainname")] {
            let text = fs::read(format!("/proc/sys/kernel/{file}"))
                .ok()
                .filter(|_| is_own);
            object.add(
                name,
                "/proc/sys/kernel",
                match text {
                    Some(text) => Want::Is(string(text.strip_suffix(b"\n").unwrap_or(&text))),
                    None => Want::Not("it would have to be entered"),
                },
            );
        }
    }

    fn time(&self, inum: u32, object: &mut Object) {
        let text = self
            .times
            .get(&inum)
            .and_then(|pid| fs::read_to_string(format!("/proc/{pid}/timens_offsets")).ok());
        for name in ["monotonic", "boottime"] {
            let offset = text.as_ref().and_then(|text| {
                let mut words = text
                    .lines()
                    .find(|line| line.starts_with(name))?
                    .split_whitespace()
                    .skip(1);
                let seconds: i128 = words.next()?.parse().ok()?;
                let rest: i128 = words.next()?.parse().ok()?;
                Some(seconds * 1_000_000_000 + rest)
            });
            object.add(
                name,
                "timens_offsets",
                match offset {
                    Some(offset) => Want::Is(offset.to_string().into_bytes()),
                    None => Want::Not(NOBODY),
                },
            );
        }
    }
}
