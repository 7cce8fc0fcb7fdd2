// SPDX-License-Identifier: GPL-2.0

//! What changed between two pictures of one system.
//!
//! Things are told apart by what is never used again: a namespace by its 64-bit id, a mount by its 64-bit id, a process by
//! its number and the moment when it began, a container by its runtime and id. What came and went between the two
//! pictures is in neither.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::audit::{Finding, Severity};
use crate::identity::{Container, Containers, Runtime};
use crate::system::System;
use crate::text::{Escaped, Inum, Mount, Namespace, NsType, Task, Value};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A container has its first process.
    Begun,
    /// A container has no process any more.
    Ended,
    /// A namespace is new.
    Made,
    /// The first process of a pid namespace has ended: nothing can be born in it.
    Dying,
    /// The last process has left a namespace.
    Processless,
    /// A process is in a namespace that had none.
    Peopled,
    /// A process is new.
    Born,
    /// A process, a namespace or a finding is there no more.
    Gone,
    /// A process is in another namespace than before, or its children will be.
    Entered,
    /// A process has other ids, capabilities or restrictions.
    Credentials,
    /// A process has another root directory.
    Root,
    /// A process has another working directory.
    Directory,
    /// A process is in another cgroup.
    Cgroup,
    /// A mount is new.
    Added,
    /// A mount is there no more.
    Removed,
    /// A mount or its file system has other options.
    Remounted,
    /// A mount is somewhere else.
    Moved,
    /// A mount passes on to others, or gets from them, what it did not.
    Propagation,
    /// No path leads to a mount any more: another one is over it.
    Covered,
    /// A path leads to a mount again.
    Uncovered,
    /// Something is wrong that was not.
    Found,
}

impl Event {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Ended => "ended",
            Self::Made => "made",
            Self::Dying => "dying",
            Self::Processless => "processless",
            Self::Peopled => "peopled",
            Self::Born => "born",
            Self::Gone => "gone",
            Self::Entered => "entered",
            Self::Credentials => "credentials",
            Self::Root => "root",
            Self::Directory => "directory",
            Self::Cgroup => "cgroup",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Remounted => "remounted",
            Self::Moved => "moved",
            Self::Propagation => "propagation",
            Self::Covered => "covered",
            Self::Uncovered => "uncovered",
            Self::Found => "found",
        }
    }
}

/// To what it happened.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A container, and the process that was its first.
    Container(&'a Container, &'a Task<'a>),
    /// A namespace.
    Namespace(&'a Namespace<'a>),
    /// A process, and where it stands among the tasks of its picture: the later one, if it is in that.
    Task(usize, &'a Task<'a>),
    /// A mount.
    Mount(&'a Mount<'a>),
    /// What a rule has found.
    Finding(&'a Finding),
}

impl Subject<'_> {
    /// What kind of thing that is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Container(..) => "container",
            Self::Namespace(_) => "namespace",
            Self::Task(..) => "process",
            Self::Mount(_) => "mount",
            Self::Finding(_) => "finding",
        }
    }
}

/// One change.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// What happened.
    pub event: Event,
    /// To what.
    pub subject: Subject<'a>,
    /// It is in the earlier picture alone.
    pub is_past: bool,
    /// What of it has another value, as the text calls it.
    pub key: Option<&'static str>,
    /// The value before.
    pub from: Value<'a>,
    /// The value after.
    pub to: Value<'a>,
}

/// Why two pictures cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The later one was made first.
    Order,
    /// They are of two machines, or of two boots of one.
    Strangers,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "the second text was made before the first one: name the older one first",
            Self::Strangers => {
                "the texts are of two machines, or of two boots of one: nothing in them can be told to be the same"
            }
        })
    }
}

/// The keys of a process that are looked at, and what it is if one has another value.
const TASK_KEYS: [(Event, &str); 21] = [
    (Event::Entered, "pid_for_children"),
    (Event::Entered, "mntns"),
    (Event::Entered, "utsns"),
    (Event::Entered, "ipcns"),
    (Event::Entered, "netns"),
    (Event::Entered, "cgroupns"),
    (Event::Entered, "timens"),
    (Event::Entered, "time_for_children"),
    (Event::Entered, "userns"),
    (Event::Credentials, "uid"),
    (Event::Credentials, "gid"),
    (Event::Credentials, "euid"),
    (Event::Credentials, "egid"),
    (Event::Credentials, "caps"),
    (Event::Credentials, "seccomp"),
    (Event::Credentials, "nnp"),
    (Event::Root, "rootns"),
    (Event::Root, "root"),
    (Event::Directory, "cwdns"),
    (Event::Directory, "cwd"),
    (Event::Cgroup, "cgroup"),
];

/// One of two pictures, with its containers.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The picture.
    pub system: &'a System<'a>,
    /// Its containers.
    pub containers: &'a Containers,
    /// What is wrong in it; nothing, if that is not to be compared.
    pub findings: &'a [Finding],
}

/// Compares two pictures: containers first, then namespaces, processes, mounts and what is wrong.
///
/// Mounts of a namespace that was made, or is gone, are left out unless `each_mount` says otherwise. So are mounts that
/// come or go where the list of a namespace changed all the time while it was read.
///
/// # Errors
///
/// They are not of one boot, or in the wrong order.
pub fn between<'a>(
    before: Side<'a>,
    after: Side<'a>,
    each_mount: bool,
) -> Result<Vec<Change<'a>>, Error> {
    let (old, new) = (before.system, after.system);
    if is_of_other_boot(old, new) {
        return Err(Error::Strangers);
    }
    if new.text.uptime < old.text.uptime {
        return Err(Error::Order);
    }
    let mut found = Found::default();
    found.containers(before, after);
    found.namespaces(old, new);
    found.tasks(old, new);
    found.mounts(old, new, each_mount);
    found.findings(before, after);
    Ok(found.list)
}

/// Compares what is wrong in two pictures of one boot alone.
pub fn findings<'a>(before: Side<'a>, after: Side<'a>) -> Vec<Change<'a>> {
    let mut found = Found::default();
    found.findings(before, after);
    found.list
}

/// Whether that can be seen: by the kernel's release, or by process 1, which lives as long as the system.
fn is_of_other_boot(old: &System<'_>, new: &System<'_>) -> bool {
    let first = |system: &System<'_>| system.task(1).map(|task| task.start);
    let differ = match (first(old), first(new)) {
        (Some(old), Some(new)) => old != new,
        _ => false,
    };
    old.text.release != new.text.release || differ
}

/// Whether a picture has the mounts that its namespaces have.
pub fn has_mounts(system: &System<'_>) -> bool {
    let count = |one: &Namespace<'_>| one.mounts.unwrap_or(0);
    !system.mounts.is_empty() || system.namespaces.iter().all(|one| count(one) == 0)
}

#[derive(Default)]
struct Found<'a> {
    list: Vec<Change<'a>>,
}

impl<'a> Found<'a> {
    fn add(&mut self, event: Event, subject: Subject<'a>, is_past: bool) {
        self.list.push(Change {
            event,
            subject,
            is_past,
            key: None,
            from: Value::Absent,
            to: Value::Absent,
        });
    }

    fn differs(
        &mut self,
        event: Event,
        subject: Subject<'a>,
        key: &'static str,
        (from, to): (Value<'a>, Value<'a>),
    ) {
        self.list.push(Change {
            event,
            subject,
            is_past: false,
            key: Some(key),
            from,
            to,
        });
    }

    fn containers(&mut self, before: Side<'a>, after: Side<'a>) {
        // A jail is told by a namespace's inode number, and another one may have that later.
        let key = |side: Side<'a>, one: &'a Container| {
            let is_jail = one.runtime == Runtime::Jail;
            let inum = one.id.parse().ok().and_then(Inum::new);
            let namespace = inum.and_then(|inum| side.system.namespace(inum));
            let id = namespace.filter(|_| is_jail).map(|one| one.id);
            (one.runtime, one.id.as_str(), id)
        };
        let keys = |side: Side<'a>| -> HashSet<_> {
            let list = side.containers.list.iter();
            list.map(|one| key(side, one)).collect()
        };
        let (old, new) = (keys(before), keys(after));
        let subject = |side: Side<'a>, one: &'a Container| {
            Subject::Container(one, &side.system.tasks[one.first])
        };
        for one in &after.containers.list {
            if !old.contains(&key(after, one)) {
                self.add(Event::Begun, subject(after, one), false);
            }
        }
        for one in &before.containers.list {
            if !new.contains(&key(before, one)) {
                self.add(Event::Ended, subject(before, one), true);
            }
        }
    }

    fn namespaces(&mut self, old: &'a System<'a>, new: &'a System<'a>) {
        let by_id: HashMap<u64, &Namespace<'_>> =
            old.namespaces.iter().map(|one| (one.id, one)).collect();
        for one in &new.namespaces {
            let subject = Subject::Namespace(one);
            let Some(was) = by_id.get(&one.id) else {
                self.add(Event::Made, subject, false);
                continue;
            };
            if one.dying == Some(true) && was.dying != Some(true) {
                self.add(Event::Dying, subject, false);
            }
            match (was.tasks, one.tasks) {
                (Some(1..), Some(0)) => self.add(Event::Processless, subject, false),
                (Some(0), Some(1..)) => self.add(Event::Peopled, subject, false),
                _ => {}
            }
        }
        let there: HashSet<u64> = new.namespaces.iter().map(|one| one.id).collect();
        for one in &old.namespaces {
            if !there.contains(&one.id) {
                self.add(Event::Gone, Subject::Namespace(one), true);
            }
        }
    }

    fn tasks(&mut self, old: &'a System<'a>, new: &'a System<'a>) {
        let key = |task: &Task<'_>| (task.pid, task.start);
        let by_key: HashMap<_, &'a Task<'a>> =
            old.tasks.iter().map(|task| (key(task), task)).collect();
        for (index, task) in new.tasks.iter().enumerate() {
            let subject = Subject::Task(index, task);
            match by_key.get(&key(task)) {
                None => self.add(Event::Born, subject, false),
                Some(was) if *was != task => self.task(subject, was, task),
                Some(_) => {}
            }
        }
        let there: HashSet<_> = new.tasks.iter().map(key).collect();
        for (index, task) in old.tasks.iter().enumerate() {
            if !there.contains(&key(task)) {
                self.add(Event::Gone, Subject::Task(index, task), true);
            }
        }
    }

    fn task(&mut self, subject: Subject<'a>, was: &Task<'a>, task: &Task<'a>) {
        for (event, key) in TASK_KEYS {
            let (from, to) = (was.value(key), task.value(key));
            // Who ends gives everything back, and a text may not have the key.
            if from != to && from != Value::Absent && to != Value::Absent {
                self.differs(event, subject, key, (from, to));
            }
        }
    }

    fn mounts(&mut self, old: &'a System<'a>, new: &'a System<'a>, each_mount: bool) {
        // A text that was made without mounts says nothing of them.
        if !has_mounts(old) || !has_mounts(new) {
            return;
        }
        let by_id: HashMap<u64, &Mount<'_>> = old.mounts.iter().map(|one| (one.id, one)).collect();
        let (lists, old_lists) = (Lists::of(new), Lists::of(old));
        let is_told = |mount: &Mount<'_>, own: &Lists, other: &Lists| {
            let is_shown = |lists: &Lists| lists.of.get(&mount.ns).is_some_and(|one| !one.torn);
            match (own.of.get(&mount.ns), other.of.get(&mount.ns)) {
                (Some(own), Some(other)) if own.id == other.id => !other.torn && !own.torn,
                _ => each_mount && is_shown(own),
            }
        };
        for one in &new.mounts {
            match by_id.get(&one.id) {
                Some(was) => self.mount(was, one, &old_lists, &lists),
                None if is_told(one, &lists, &old_lists) => {
                    self.add(Event::Added, Subject::Mount(one), false);
                }
                None => {}
            }
        }
        let there: HashSet<u64> = new.mounts.iter().map(|one| one.id).collect();
        for one in &old.mounts {
            if !there.contains(&one.id) && is_told(one, &old_lists, &lists) {
                self.add(Event::Removed, Subject::Mount(one), true);
            }
        }
    }

    fn findings(&mut self, before: Side<'a>, after: Side<'a>) {
        let key = |side: Side<'a>, one: &'a Finding| -> (&str, Severity, String, &str) {
            let of = one.of(side.containers);
            (one.rule.id, one.severity, of, one.what.as_str())
        };
        let keys = |side: Side<'a>| -> HashSet<_> {
            side.findings.iter().map(|one| key(side, one)).collect()
        };
        let (old, new) = (keys(before), keys(after));
        let what = |one: &Finding| Value::Made(one.what.clone());
        for one in after.findings {
            if !old.contains(&key(after, one)) {
                let values = (Value::Absent, what(one));
                self.differs(Event::Found, Subject::Finding(one), "what", values);
            }
        }
        for one in before.findings {
            if !new.contains(&key(before, one)) {
                self.list.push(Change {
                    event: Event::Gone,
                    subject: Subject::Finding(one),
                    is_past: true,
                    key: Some("what"),
                    from: what(one),
                    to: Value::Absent,
                });
            }
        }
    }

    fn mount(&mut self, was: &'a Mount<'a>, one: &'a Mount<'a>, before: &Lists, after: &Lists) {
        let subject = Subject::Mount(one);
        let text = |raw: &'a [u8]| Value::Text(Escaped::new(raw));
        for (key, from, to) in [
            ("options", was.options, one.options),
            ("super_options", was.super_options, one.super_options),
        ] {
            if from != to {
                self.differs(Event::Remounted, subject, key, (text(from), text(to)));
            }
        }
        if was.optional != one.optional {
            let values = (text(was.optional), text(one.optional));
            self.differs(Event::Propagation, subject, "optional", values);
        }
        if was.ns != one.ns {
            let number = |inum: Inum| Value::Number(inum.get().into());
            self.differs(
                Event::Moved,
                subject,
                "ns",
                (number(was.ns), number(one.ns)),
            );
        } else if was.parent != one.parent || before.place(was) != after.place(one) {
            let values = (Value::Text(was.point), Value::Text(one.point));
            self.differs(Event::Moved, subject, "point", values);
        }
        match (was.reach() == b"root", one.reach() == b"root") {
            (true, false) => self.add(Event::Covered, subject, false),
            (false, true) => self.add(Event::Uncovered, subject, false),
            _ => {}
        }
    }
}

/// What is looked up of the mount lists of one picture.
struct Lists<'a> {
    of: HashMap<Inum, List>,
    /// Where each mount is, by the number that mountinfo shows.
    points: HashMap<u32, &'a [u8]>,
}

#[derive(Clone, Copy)]
struct List {
    id: u64,
    torn: bool,
}

impl<'a> Lists<'a> {
    fn of(system: &System<'a>) -> Self {
        let lists = system
            .namespaces
            .iter()
            .filter(|one| one.ns_type == NsType::Mnt);
        Self {
            of: lists
                .filter_map(|one| {
                    let (id, torn) = (one.id, one.torn);
                    Some((one.inum?, List { id, torn }))
                })
                .collect(),
            points: system
                .mounts
                .iter()
                .map(|one| (one.mnt_id, one.point.raw()))
                .collect(),
        }
    }

    /// Where a mount is as seen from the one that it is on. That stays where what is above is moved.
    fn place(&self, mount: &Mount<'a>) -> &'a [u8] {
        let above = self.points.get(&mount.parent).copied().unwrap_or_default();
        let point = mount.point.raw();
        point.strip_prefix(above).unwrap_or(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Names;

    const BEFORE: &str = "nsinspect 1 release=x uptime=10\n\
        ns mnt 4026531832 id=4 owner=4026531837 tasks=2 refs=1 active=1 mounts=3\n\
        ns pid 4026532001 id=40 owner=4026531837 tasks=1 refs=1 active=1 dying=0\n\
        ns mnt 4026532002 id=41 owner=4026531837 tasks=1 refs=1 active=1 mounts=1\n\
        task 1 comm=init level=0 upid=1@4026531836 ppid=0 uid=0 start=5 pidns=4026531836 mntns=4026531832 cwd=/\n\
        task 7 comm=a level=0 upid=7@4026531836 ppid=1 uid=0 start=6 pidns=4026531836 mntns=4026531832 cwd=/\n\
        task 8 comm=b level=0 upid=8@4026531836 ppid=1 uid=0 start=7 pidns=4026531836 mntns=4026532002 cwd=/\n\
        mount 4026531832 21 root 3 2 0:1 / / rw - x y rw\n\
        mount 4026531832 22 root 4 3 0:2 / /a rw - x y rw\n\
        mount 4026531832 23 root 5 4 0:3 / /a/b rw - x y rw\n\
        mount 4026532002 31 root 13 12 0:1 / / rw - x y rw\n\
        end\n";
    const AFTER: &str = "nsinspect 1 release=x uptime=11\n\
        ns mnt 4026531832 id=4 owner=4026531837 tasks=2 refs=1 active=1 mounts=4\n\
        ns pid 4026532001 id=40 owner=4026531837 tasks=0 refs=1 active=1 dying=1\n\
        ns mnt 4026532002 id=42 owner=4026531837 tasks=1 refs=1 active=1 mounts=1\n\
        task 1 comm=init level=0 upid=1@4026531836 ppid=0 uid=0 start=5 pidns=4026531836 mntns=4026531832 cwd=/\n\
        task 7 comm=a level=0 upid=7@4026531836 ppid=1 uid=33 start=6 pidns=4026531836 mntns=4026532002 cwd=/tmp\n\
        task 8 comm=b level=0 upid=8@4026531836 ppid=1 uid=0 start=9 pidns=4026531836 mntns=4026531832 cwd=/\n\
        mount 4026531832 21 root 3 2 0:1 / / rw - x y rw\n\
        mount 4026531832 22 root 4 3 0:2 / /c ro - x y rw\n\
        mount 4026531832 23 over 5 4 0:3 / /c/b rw shared:1 - x y rw\n\
        mount 4026531832 24 root 6 3 0:4 / /d rw - x y rw\n\
        mount 4026532002 41 root 23 22 0:1 / / rw - x y rw\n\
        end\n";

    fn told(before: &str, after: &str, each_mount: bool) -> Result<Vec<String>, Error> {
        let systems = [before, after].map(|text| System::read(text.as_bytes()).unwrap());
        let containers = [0, 1].map(|at| Containers::find(&systems[at], &Names::none()));
        let findings = [0, 1].map(|at| crate::audit::find(&systems[at], &containers[at], &[]));
        let [before, after] = [0, 1].map(|at| Side {
            system: &systems[at],
            containers: &containers[at],
            findings: &findings[at],
        });
        let changes = between(before, after, each_mount)?;
        Ok(changes
            .iter()
            .map(|one| {
                let which = match one.subject {
                    Subject::Container(one, _) => one.id.clone(),
                    Subject::Namespace(one) => one.id.to_string(),
                    Subject::Task(_, one) => one.pid.to_string(),
                    Subject::Mount(one) => one.id.to_string(),
                    Subject::Finding(one) => one.rule.id.to_string(),
                };
                let key = one.key.unwrap_or("-");
                format!("{} {which} {key}", one.event.name())
            })
            .collect())
    }

    #[test]
    fn all_of_them() {
        let mut wanted = vec![
            // The number of the namespace is another's now, and so the jail is another.
            "begun 4026532002 -",
            "ended 4026532002 -",
            "made 42 -",
            "dying 40 -",
            "processless 40 -",
            "gone 41 -",
            "entered 7 mntns",
            "credentials 7 uid",
            "directory 7 cwd",
            "born 8 -",
            "gone 8 -",
            "remounted 22 options",
            "moved 22 point",
            // It moved along with what it is on, and is nowhere else on that.
            "propagation 23 optional",
            "covered 23 -",
            "added 24 -",
            // The pid namespace that dies.
            "found S1 what",
        ];
        let mut got = told(BEFORE, AFTER, false).unwrap();
        got.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(got, wanted);
        let all = told(BEFORE, AFTER, true).unwrap();
        let more: Vec<_> = all.iter().filter(|one| !got.contains(one)).collect();
        assert_eq!(more, ["added 41 -", "removed 31 -"]);
    }

    #[test]
    fn nothing() {
        assert_eq!(told(BEFORE, BEFORE, true), Ok(Vec::new()));
    }

    /// A list that was torn says nothing of what it has not.
    #[test]
    fn torn() {
        let torn = AFTER.replace("mounts=4", "mounts=4 torn=1");
        let got = told(BEFORE, &torn, false).unwrap();
        assert!(!got.iter().any(|one| one.starts_with("added")), "{got:?}");
        assert!(got.contains(&"covered 23 -".to_string()), "{got:?}");
    }

    #[test]
    fn without_mounts() {
        let lines = AFTER.split_inclusive('\n');
        let text: String = lines.filter(|line| !line.starts_with("mount")).collect();
        let got = told(BEFORE, &text, true).unwrap();
        assert!(!got.iter().any(|one| one.starts_with("removed")), "{got:?}");
        assert!(got.contains(&"born 8 -".to_string()), "{got:?}");
    }

    #[test]
    fn not_to_be_compared() {
        assert_eq!(told(AFTER, BEFORE, false), Err(Error::Order));
        let other = AFTER.replace("start=5", "start=6");
        assert_eq!(told(BEFORE, &other, false), Err(Error::Strangers));
        let other = AFTER.replace("release=x", "release=z");
        assert_eq!(told(BEFORE, &other, false), Err(Error::Strangers));
    }
}
