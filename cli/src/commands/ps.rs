// SPDX-License-Identifier: GPL-2.0

//! `ps`: processes, with their numbers inside and outside, and what of the host they do not share.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use crate::args::{Common, Ps, PsTree};
use crate::identity::{Container, Containers};
use crate::output::{tree, Cell, Column, Mark};
use crate::source::Query;
use crate::system::System;
use crate::text::{Inum, NsType, Task, Thread};
use crate::what::Target;

use super::users::Users;
use super::{Failure, Session, View, DONE};

/// The columns.
pub static COLUMNS: &[Column] = &[
    Column::new("PID", "task.2", "its number on the host").right(),
    Column::new("TID", "thread.2", "of a thread: its number on the host")
        .right()
        .extra(),
    Column::new("OWN", "task.upid", "its number as it sees it itself").right(),
    Column::new(
        "LEVEL",
        "task.level",
        "how deep its pid namespace is nested",
    )
    .right(),
    Column::new("USER", "task.uid", "its real user, as the host calls it").shrinks(8),
    Column::new(
        "CONTAINER",
        "",
        "the container, pod, unit or jail that it belongs to",
    )
    .shrinks(10),
    Column::new("S", "task.state", "its state, as in ps"),
    Column::new(
        "DIFFERS",
        "",
        "the types of namespace in which it is not in the host's",
    )
    .shrinks(8),
    Column::new("COMMAND", "task.comm", "its name, up to 15 bytes").shrinks(12),
    Column::new("PPID", "task.ppid", "its parent")
        .right()
        .extra(),
    Column::new(
        "UPID",
        "task.upid",
        "its number in each pid namespace, the host's first",
    )
    .extra(),
    Column::new(
        "PGID",
        "task.pgid",
        "its process group, in the same namespaces",
    )
    .extra(),
    Column::new("SID", "task.sid", "its session, in the same namespaces").extra(),
    Column::new("TRACER", "task.tracer", "who traces it")
        .right()
        .extra(),
    Column::new("UID", "task.uid", "its real user id on the host")
        .right()
        .extra(),
    Column::new("GID", "task.gid", "its real group id on the host")
        .right()
        .extra(),
    Column::new("EUID", "task.euid", "its effective user id on the host")
        .right()
        .extra(),
    Column::new("EGID", "task.egid", "its effective group id on the host")
        .right()
        .extra(),
    Column::new(
        "OWNUID",
        "ns.uid_map",
        "its real user id as its own user namespace has it",
    )
    .right()
    .extra(),
    Column::new("CAPS", "task.caps", "its effective capabilities").extra(),
    Column::new(
        "SECCOMP",
        "task.seccomp",
        "0: all system calls, 1: the fewest, 2: by a filter",
    )
    .right()
    .extra(),
    Column::new("NNP", "task.nnp", "1: it gets no new privileges")
        .right()
        .extra(),
    Column::new("THREADS", "task.threads", "how many threads it has")
        .right()
        .extra(),
    Column::new("KIND", "task.kind", "user or kthread").extra(),
    Column::new(
        "START",
        "task.start",
        "when it began, in nanoseconds since boot",
    )
    .right()
    .extra(),
    Column::new("PIDNS", "task.pidns", "its pid namespace")
        .right()
        .extra(),
    Column::new(
        "PIDNS_FOR_CHILDREN",
        "task.pid_for_children",
        "the one its children will be in",
    )
    .right()
    .extra(),
    Column::new("MNTNS", "task.mntns", "its mount namespace")
        .right()
        .extra(),
    Column::new("UTSNS", "task.utsns", "its uts namespace")
        .right()
        .extra(),
    Column::new("IPCNS", "task.ipcns", "its ipc namespace")
        .right()
        .extra(),
    Column::new("NETNS", "task.netns", "its network namespace")
        .right()
        .extra(),
    Column::new("CGROUPNS", "task.cgroupns", "its cgroup namespace")
        .right()
        .extra(),
    Column::new("USERNS", "task.userns", "its user namespace")
        .right()
        .extra(),
    Column::new("TIMENS", "task.timens", "its time namespace")
        .right()
        .extra(),
    Column::new(
        "TIMENS_FOR_CHILDREN",
        "task.time_for_children",
        "the one its children will be in",
    )
    .right()
    .extra(),
    Column::new(
        "CHROOT",
        "task.chroot",
        "1: its root is not that of its mount namespace",
    )
    .right()
    .extra(),
    Column::new("ROOT", "task.root", "its root directory")
        .extra()
        .shrinks(8),
    Column::new(
        "ROOTNS",
        "task.rootns",
        "the mount namespace that its root lies in",
    )
    .right()
    .extra(),
    Column::new("CWD", "task.cwd", "its working directory")
        .extra()
        .shrinks(8),
    Column::new(
        "CWDNS",
        "task.cwdns",
        "the mount namespace that its working directory lies in",
    )
    .right()
    .extra(),
    Column::new("CGROUP", "task.cgroup", "its cgroup")
        .extra()
        .shrinks(8),
    Column::new("CGROUP_ID", "task.cgroup_id", "the id of its cgroup")
        .right()
        .extra(),
    Column::new("RUNTIME", "", "what runs its container").extra(),
    Column::new("POD", "", "the pod that it is in").extra(),
    Column::new(
        "VIA",
        "task.via",
        "the thread whose namespaces these are, as the main thread has ended",
    )
    .right()
    .extra(),
    Column::new(
        "MARKS",
        "",
        "mixed: a thread is in other namespaces; unlisted, unnumbered: somebody has hidden it",
    )
    .extra(),
];

/// A process, or one of its threads.
#[derive(Clone, Copy, Debug)]
enum Entry<'a, 't> {
    Task(usize, &'a Task<'t>),
    /// A thread, and the process that it is of, if that is known.
    Thread(Option<usize>, &'a Thread<'t>),
}

pub(super) fn run(common: &Common, args: &Ps, out: &mut dyn Write) -> Result<u8, Failure> {
    let view = View {
        name: "processes",
        all: COLUMNS,
        listing: &args.listing,
        tree: args.tree.map(|_| "COMMAND"),
    };
    if view.is_settled(out)? {
        return Ok(DONE);
    }
    let session = Session::open(common)?;
    let mut query = Query::show(if args.threads {
        "ns,tasks,threads"
    } else {
        "ns,tasks"
    });
    query.user_only = !args.kthreads && !args.hidden;
    let text = session.ask(&query)?;
    let system = session.picture(&text)?;
    let containers = session.containers(&system);
    let users = Users::of(&session);
    let targets = session.targets(&args.what, &system, &containers)?;
    let chosen = (!args.what.is_empty()).then(|| tasks_of(&targets, &system));

    let tasks: Vec<usize> = (0..system.tasks.len())
        .filter(|index| {
            let task = &system.tasks[*index];
            chosen.as_ref().is_none_or(|chosen| chosen.contains(index))
                && (args.kthreads || args.hidden || chosen.is_some() || !task.is_kthread())
                && (!args.hidden || task.unlisted || task.unnumbered)
        })
        .collect();
    let rows = match args.tree {
        None => tasks.iter().map(|index| (*index, 0)).collect(),
        Some(kind) => tree(&system, &tasks, kind),
    };
    let mut threads: HashMap<u32, Vec<&Thread<'_>>> = HashMap::new();
    for thread in &system.threads {
        threads.entry(thread.tgid).or_default().push(thread);
    }
    let mut entries = Vec::with_capacity(rows.len() + system.threads.len());
    for (index, depth) in rows {
        let task = &system.tasks[index];
        entries.push((Entry::Task(index, task), depth));
        // The main thread is the process's own row.
        for thread in threads
            .get(&task.pid)
            .into_iter()
            .flatten()
            .filter(|thread| thread.tid != task.pid && args.threads)
        {
            entries.push((
                Entry::Thread(Some(index), thread),
                if args.tree.is_some() { depth + 1 } else { 0 },
            ));
        }
    }
    let context = Context {
        system: &system,
        containers: &containers,
        users: &users,
    };
    session.show(
        &view,
        &entries,
        &|entry, column| context.cell(entry, column),
        &system,
        out,
    )?;
    Ok(DONE)
}

/// The processes that something means: itself, or all that are in it.
pub(super) fn tasks_of(targets: &[Target<'_>], system: &System<'_>) -> HashSet<usize> {
    let mut tasks = HashSet::new();
    for target in targets {
        match target {
            Target::Task(index) => {
                tasks.insert(*index);
            }
            Target::Container(one) => tasks.extend(&one.tasks),
            Target::Namespace(index) => {
                let namespace = &system.namespaces[*index];
                tasks.extend(
                    system
                        .tasks
                        .iter()
                        .enumerate()
                        .filter(|(_, task)| task.namespace(namespace.ns_type) == namespace.inum)
                        .map(|(index, _)| index),
                );
            }
            Target::Device(_) => {}
        }
    }
    tasks
}

/// Puts processes below each other. Whoever's parent is not shown stands at the top.
fn tree(system: &System<'_>, tasks: &[usize], kind: PsTree) -> Vec<(usize, usize)> {
    let at: HashMap<u32, usize> = tasks
        .iter()
        .enumerate()
        .map(|(at, index)| (system.tasks[*index].pid, at))
        .collect();
    let reapers: HashMap<Inum, u32> = system
        .namespaces
        .iter()
        .filter_map(|one| Some((one.inum?, one.reaper?)))
        .collect();
    let rows = tree::rows(tasks.len(), |at_one| {
        let task = &system.tasks[tasks[at_one]];
        let pid = match kind {
            PsTree::Process => task.ppid,
            PsTree::Pidns => {
                let ns = task.upid.iter().last()?.ns?;
                match reapers.get(&ns) {
                    Some(reaper) if *reaper != task.pid => *reaper,
                    // A first process is below that of the namespace around its own.
                    _ => *reapers.get(&system.namespace(ns)?.parent?)?,
                }
            }
        };
        at.get(&pid).copied()
    });
    rows.into_iter()
        .map(|(at, depth)| (tasks[at], depth))
        .collect()
}

struct Context<'a, 't> {
    system: &'a System<'t>,
    containers: &'a Containers,
    users: &'a Users,
}

/// The types of namespace in which something is not in the host's.
fn differs(system: &System<'_>, namespace: impl Fn(NsType) -> Option<Inum>) -> Cell<'static> {
    let bits = NsType::ALL.into_iter().filter(|ns_type| {
        namespace(*ns_type).is_some_and(|inum| Some(inum) != system.host(*ns_type))
    });
    Cell::set(&NsType::NAMES, bits.map(|one| 1 << one.place()).sum())
}

impl<'a> Context<'a, '_> {
    fn cell(&self, entry: &Entry<'a, 'a>, column: &str) -> Cell<'a> {
        match entry {
            Entry::Task(index, task) => self.task(*index, task, column),
            Entry::Thread(process, thread) => self.thread(*process, thread, column),
        }
    }

    fn of_container(&self, index: usize, column: &str) -> Cell<'a> {
        let Some(one) = self.containers.of_task(index) else {
            return Cell::absent();
        };
        container_cell(one, column)
    }

    fn task(&self, index: usize, task: &Task<'a>, column: &str) -> Cell<'a> {
        match column {
            "PID" => task.pid.into(),
            "TID" => Cell::absent(),
            "OWN" => task.own_number().into(),
            "LEVEL" => task.level.into(),
            "USER" => self.users.cell(task.uid),
            "CONTAINER" | "RUNTIME" | "POD" => self.of_container(index, column),
            "S" => task.state.into(),
            "DIFFERS" => differs(self.system, |ns_type| task.namespace(ns_type)),
            "COMMAND" => Cell::from(task.comm).marked(if task.is_zombie() {
                Mark::Dim
            } else {
                Mark::Plain
            }),
            "OWNUID" => self.inside(task.userns, task.uid),
            "MARKS" => marks(task),
            _ => task.value(key(column, "task")).into(),
        }
    }

    fn thread(&self, process: Option<usize>, thread: &Thread<'a>, column: &str) -> Cell<'a> {
        match column {
            "PID" => thread.tgid.into(),
            "TID" => thread.tid.into(),
            "OWN" => thread.own_number().into(),
            "LEVEL" => thread.level.into(),
            "USER" => self.users.cell(thread.uid),
            "CONTAINER" | "RUNTIME" | "POD" => {
                process.map_or(Cell::absent(), |index| self.of_container(index, column))
            }
            "S" => thread.state.into(),
            "DIFFERS" => differs(self.system, |ns_type| thread.namespace(ns_type)),
            "COMMAND" => thread.comm.into(),
            "OWNUID" => self.inside(thread.userns, thread.uid),
            "MARKS" => Cell::absent(),
            _ => thread.value(key(column, "task")).into(),
        }
    }

    fn inside(&self, userns: Option<Inum>, uid: u32) -> Cell<'a> {
        userns
            .and_then(|inum| self.system.namespace(inum))
            .and_then(|one| one.uid_map)
            .and_then(|map| map.inside(uid))
            .into()
    }
}

/// What a column says of a container.
pub(super) fn container_cell<'a>(one: &'a Container, column: &str) -> Cell<'a> {
    match column {
        "RUNTIME" => one.runtime.name().into(),
        "POD" => one.pod.as_deref().into(),
        _ => Cell::from(one.label()).marked(if one.is_guess { Mark::Dim } else { Mark::Plain }),
    }
}

/// The key that a column shows as it stands in the text.
fn key(column: &str, kind: &str) -> &'static str {
    COLUMNS
        .iter()
        .find(|one| one.name == column)
        .and_then(|one| one.key.strip_prefix(kind)?.strip_prefix('.'))
        .unwrap_or("")
}

fn marks(task: &Task<'_>) -> Cell<'static> {
    let marks: Vec<&str> = [
        (task.mixed, "mixed"),
        (task.unlisted, "unlisted"),
        (task.unnumbered, "unnumbered"),
    ]
    .into_iter()
    .filter_map(|(is_so, name)| is_so.then_some(name))
    .collect();
    let bad = task.unlisted || task.unnumbered;
    if marks.is_empty() {
        Cell::absent()
    } else {
        Cell::list(marks).marked(if bad { Mark::Bad } else { Mark::Plain })
    }
}
