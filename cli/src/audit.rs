// SPDX-License-Identifier: GPL-2.0

//! What is wrong in a picture: one finding for each rule, whom it concerns, and what is told of it.
//!
//! A rule looks at the state of one moment: which process is in which namespaces, which device and directory a mount shows. It goes
//! by what the kernel says, and not by names, as far as that can be done. [`rules`] has the texts, the files beside it
//! what each rule looks at, and [`baseline`] what somebody has accepted.
//!
//! The words of a finding name no process and no namespace by its number: so the same thing has the same words
//! tomorrow. The numbers stand beside them.

use std::collections::{BTreeSet, HashMap};

use crate::identity::{Container, Containers};
use crate::system::System;
use crate::text::{Inum, Mount, NsType, Task};

pub mod baseline;
mod mounts;
mod privileges;
mod processes;
pub mod rules;
mod stuck;

pub use rules::{Rule, Severity, RULES};
pub use stuck::Busy;

/// So many names of processes are told at most.
const MOST_NAMES: usize = 4;
/// A process that is younger may be on its way into a container, in nanoseconds.
const YOUNG: u64 = 10_000_000_000;

/// Whom a finding concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A container, pod, unit or jail, by where it stands among all.
    Container(usize),
    /// A process that is in none, by its name.
    Process(String),
    /// A namespace, by its 64-bit id.
    Namespace(u64),
    /// A device, by the name that the kernel gives it.
    Device(String),
}

/// Something that is wrong, or that one should know.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// How bad it is here.
    pub severity: Severity,
    /// Whom it concerns.
    pub subject: Subject,
    /// What is wrong, in one line.
    pub what: String,
    /// The processes that show it, by where they stand among all, the oldest first.
    pub tasks: Vec<usize>,
    /// The 64-bit ids of the mounts that show it.
    pub mounts: Vec<u64>,
    /// The namespaces that show it.
    pub namespaces: Vec<Inum>,
}

impl Finding {
    /// Whom it concerns, by what stays the same when the container is started anew: `docker:web`, `process:sh`.
    pub fn of(&self, containers: &Containers) -> String {
        match &self.subject {
            Subject::Container(at) => {
                let one = &containers.list[*at];
                let name = one.name.as_deref().filter(|_| !one.is_guess);
                format!("{}:{}", one.runtime.name(), name.unwrap_or(&one.id))
            }
            Subject::Process(name) => format!("process:{name}"),
            Subject::Namespace(id) => format!("namespace:{id}"),
            Subject::Device(name) => format!("device:{name}"),
        }
    }

    /// The container that it concerns, if that is one.
    pub fn container<'a>(&self, containers: &'a Containers) -> Option<&'a Container> {
        match self.subject {
            Subject::Container(at) => containers.list.get(at),
            _ => None,
        }
    }
}

/// Finds all that is wrong in a picture, the worst first. `busy` are the devices that are in use for no reason to be seen.
pub fn find(system: &System<'_>, containers: &Containers, busy: &[Busy]) -> Vec<Finding> {
    let facts = Facts::of(system, containers);
    let mut found = Findings::default();
    let privileged = privileges::find(&facts, &mut found);
    privileges::shared(&facts, &privileged, &mut found);
    processes::find(&facts, &mut found);
    mounts::find(&facts, &mut found);
    stuck::find(&facts, busy, &mut found);
    found.sorted()
}

/// Whether the text must have the threads as well: a process is traced by somebody who is no process.
pub fn needs_threads(system: &System<'_>) -> bool {
    system.tasks.iter().any(|task| {
        task.tracer
            .is_some_and(|tracer| task.level > 0 && system.task(tracer).is_none())
    })
}

/// What has been found so far. What has the same rule, subject and words is one finding.
#[derive(Debug, Default)]
struct Findings {
    list: Vec<Finding>,
    by_key: HashMap<(&'static str, Severity, Subject, String), usize>,
}

impl Findings {
    /// Adds one, or gives the one that is there already.
    fn add(
        &mut self,
        id: &'static str,
        severity: Severity,
        subject: Subject,
        what: String,
    ) -> &mut Finding {
        let key = (id, severity, subject.clone(), what.clone());
        let list = &mut self.list;
        let at = *self.by_key.entry(key).or_insert_with(|| {
            list.push(Finding {
                rule: rules::of(id),
                severity,
                subject,
                what,
                tasks: Vec::new(),
                mounts: Vec::new(),
                namespaces: Vec::new(),
            });
            list.len() - 1
        });
        &mut self.list[at]
    }

    /// The worst first; of the same severity in the order of the rules, and then of the containers.
    fn sorted(mut self) -> Vec<Finding> {
        self.list.sort_by(|a, b| {
            b.severity
                .cmp(&a.severity)
                .then_with(|| a.rule.place().cmp(&b.rule.place()))
                .then_with(|| a.subject.cmp(&b.subject))
                .then_with(|| a.what.cmp(&b.what))
        });
        self.list
    }
}

/// A picture, and what several rules want to know of it.
struct Facts<'a, 't> {
    system: &'a System<'t>,
    containers: &'a Containers,
    /// The oldest process in each namespace that is not the host's, by where it stands.
    first_in: HashMap<Inum, usize>,
    /// Of each container, unit and jail the processes that are in its cgroup; only containers have some.
    members: Vec<Vec<usize>>,
    /// Of each the mount namespaces that belong to it: those of its processes in which one of it was the first.
    mount_namespaces: Vec<BTreeSet<Inum>>,
}

impl<'a, 't> Facts<'a, 't> {
    fn of(system: &'a System<'t>, containers: &'a Containers) -> Self {
        let mut facts = Self {
            system,
            containers,
            first_in: HashMap::new(),
            members: vec![Vec::new(); containers.list.len()],
            mount_namespaces: vec![BTreeSet::new(); containers.list.len()],
        };
        // One process after the other is in the same, mostly.
        let mut last = None;
        for (index, task) in facts.users() {
            let own = NsType::ALL.map(|ns_type| task.namespace(ns_type));
            if last != Some(own) {
                for (_, inum) in system.differs(task) {
                    facts.first_in.entry(inum).or_insert(index);
                }
                last = Some(own);
            }
            if let Some(at) = containers.member_of(index) {
                facts.members[at].push(index);
            }
        }
        for at in 0..facts.members.len() {
            facts.mount_namespaces[at] = facts.find_mount_namespaces(at);
        }
        facts
    }

    fn find_mount_namespaces(&self, container: usize) -> BTreeSet<Inum> {
        let mut last = None;
        self.members[container]
            .iter()
            .filter_map(|index| self.task(*index).mntns)
            .filter(|inum| std::mem::replace(&mut last, Some(*inum)) != Some(*inum))
            .filter(|inum| self.owner(*inum) == Some(container))
            .collect()
    }

    /// All processes of users that have not ended, by where they stand.
    fn users(&self) -> impl Iterator<Item = (usize, &'a Task<'t>)> {
        self.system
            .tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| !task.is_kthread() && !task.has_ended())
    }

    /// The containers that have processes, by where they stand, with these.
    fn with_members(&self) -> impl Iterator<Item = (usize, &[usize])> + '_ {
        self.members
            .iter()
            .enumerate()
            .filter(|(_, members)| !members.is_empty())
            .map(|(at, members)| (at, members.as_slice()))
    }

    fn task(&self, index: usize) -> &'a Task<'t> {
        &self.system.tasks[index]
    }

    fn is_host(&self, ns_type: NsType, inum: Option<Inum>) -> bool {
        inum.is_some() && inum == self.system.host(ns_type)
    }

    /// The container that a namespace belongs to: that of the oldest process in it. The host's belongs to none.
    fn owner(&self, inum: Inum) -> Option<usize> {
        self.containers.member_of(*self.first_in.get(&inum)?)
    }

    /// Whether the initial user namespace owns that namespace.
    fn is_of_initial_user(&self, inum: Inum) -> bool {
        let owner = self.system.namespace(inum).and_then(|one| one.owner);
        self.is_host(NsType::User, owner)
    }

    /// How long a process has been there, in nanoseconds.
    fn age(&self, task: &Task<'_>) -> u64 {
        self.system.text.uptime.saturating_sub(task.start)
    }

    /// Whether a process is what runc or crun start, which is not yet where it will be.
    fn is_on_its_way(&self, task: &Task<'_>) -> bool {
        let comm = task.comm.bytes();
        let is_runtime = comm.starts_with(b"runc:[") || matches!(&*comm, b"crun" | b"3" | b"exe");
        is_runtime && self.age(task) < YOUNG
    }

    /// The mounts of a container, with their namespaces, apart from what nobody in it gets at.
    fn mounts_of(&self, container: usize) -> impl Iterator<Item = &'a Mount<'t>> + '_ {
        self.mount_namespaces[container]
            .iter()
            .flat_map(|inum| self.system.mounts_of(*inum))
            .filter(|mount| mount.reach() != b"outside")
    }

    /// The names of processes, each once, in the order of the alphabet.
    fn names(&self, tasks: &[usize]) -> String {
        let names: BTreeSet<String> = tasks.iter().map(|index| self.name(*index)).collect();
        let mut told: Vec<String> = names.iter().take(MOST_NAMES).cloned().collect();
        if names.len() > MOST_NAMES {
            told.push("others".to_string());
        }
        told.join(", ")
    }

    fn name(&self, index: usize) -> String {
        String::from_utf8_lossy(&self.task(index).comm.bytes()).into_owned()
    }

    /// Whom a finding concerns that a process shows: what it belongs to, or itself.
    fn subject(&self, index: usize) -> Subject {
        match self.containers.place_of_task(index) {
            Some(at) => Subject::Container(at),
            None => Subject::Process(self.name(index)),
        }
    }
}

/// Whether one can write by a mount: neither it nor its file system is read-only.
fn is_writable(mount: &Mount<'_>) -> bool {
    let is_read_only = |options: &[u8]| options.split(|byte| *byte == b',').any(|one| one == b"ro");
    !is_read_only(mount.options) && !is_read_only(mount.super_options)
}

/// Bytes of a text as words of a finding.
fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
