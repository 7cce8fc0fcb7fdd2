// SPDX-License-Identifier: GPL-2.0

//! `ns`: all namespaces, who is in each, and what keeps it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;

use crate::args::{Common, Ns, NsTree};
use crate::identity::Containers;
use crate::output::{tree, Cell, Column, Mark};
use crate::source::Query;
use crate::system::System;
use crate::text::{Inum, Namespace, NsType};
use crate::what::Target;

use super::users::Users;
use super::{Failure, Session, View, DONE};

/// The columns.
pub static COLUMNS: &[Column] = &[
    Column::new("NS", "ns.3", "its inode number").right(),
    Column::new("TYPE", "ns.2", "its type"),
    Column::new("NPROCS", "ns.tasks", "how many processes are in it").right(),
    Column::new(
        "PID",
        "",
        "the process in it with the lowest number on the host",
    )
    .right(),
    Column::new("USER", "", "the user of that process").shrinks(8),
    Column::new(
        "CONTAINER",
        "",
        "the container, pod, unit or jail of that process",
    )
    .shrinks(10),
    Column::new(
        "STATE",
        "",
        "host: the initial one; dying, processless, invisible, torn",
    ),
    Column::new(
        "HOLDERS",
        "hold.by",
        "what keeps it besides processes: how many of each kind",
    )
    .shrinks(8),
    Column::new("COMMAND", "", "the name of that process").shrinks(8),
    Column::new("ID", "ns.id", "the number that is never used again")
        .right()
        .extra(),
    Column::new("ONS", "ns.owner", "the user namespace that owns it")
        .right()
        .extra(),
    Column::new("PNS", "ns.parent", "the namespace around it")
        .right()
        .extra(),
    Column::new("PPID", "", "the parent of that process")
        .right()
        .extra(),
    Column::new("UID", "", "the user id of that process")
        .right()
        .extra(),
    Column::new("REFS", "ns.refs", "references that keep it in memory")
        .right()
        .extra(),
    Column::new("ACTIVE", "ns.active", "references that keep it visible")
        .right()
        .extra(),
    Column::new("LEVEL", "ns.level", "how deep it is nested")
        .right()
        .extra(),
    Column::new(
        "REAPER",
        "ns.reaper",
        "the pid, on the host, of its process 1",
    )
    .right()
    .extra(),
    Column::new("PIDS", "ns.pids", "how many numbers are in use in it")
        .right()
        .extra(),
    Column::new("PID_MAX", "ns.pid_max", "the limit of these numbers")
        .right()
        .extra(),
    Column::new("CREATOR", "ns.uid", "the user who made it").extra(),
    Column::new(
        "UID_MAP",
        "ns.uid_map",
        "which user ids of the host its ids stand for",
    )
    .extra()
    .shrinks(8),
    Column::new(
        "GID_MAP",
        "ns.gid_map",
        "which group ids of the host its ids stand for",
    )
    .extra()
    .shrinks(8),
    Column::new("MOUNTS", "ns.mounts", "how many mounts it has")
        .right()
        .extra(),
    Column::new(
        "ORIGIN",
        "ns.origin",
        "the id of the mount namespace that it was copied from",
    )
    .right()
    .extra(),
    Column::new("NODENAME", "ns.nodename", "what uname -n shows in it").extra(),
    Column::new("DOMAINNAME", "ns.domainname", "what domainname shows in it").extra(),
    Column::new(
        "ROOT",
        "ns.root",
        "of a cgroup namespace the cgroup that it shows as root",
    )
    .extra()
    .shrinks(8),
    Column::new(
        "MONOTONIC",
        "ns.monotonic",
        "nanoseconds that it adds to CLOCK_MONOTONIC",
    )
    .right()
    .extra(),
    Column::new(
        "BOOTTIME",
        "ns.boottime",
        "nanoseconds that it adds to CLOCK_BOOTTIME",
    )
    .right()
    .extra(),
];

pub(super) fn run(common: &Common, args: &Ns, out: &mut dyn Write) -> Result<u8, Failure> {
    let tree = args.tree.map(|_| "NS");
    let view = View {
        name: "namespaces",
        all: COLUMNS,
        listing: &args.listing,
        tree,
    };
    if view.is_settled(out)? {
        return Ok(DONE);
    }
    let wants_holds = view.uses("HOLDERS")?;
    let session = Session::open(common)?;
    let text = session.ask(&Query::show(if wants_holds {
        "ns,tasks,holds"
    } else {
        "ns,tasks"
    }))?;
    let system = session.picture(&text)?;
    let containers = session.containers(&system);
    let users = Users::of(&session);
    let targets = session.targets(&args.what, &system, &containers)?;
    let chosen = (!args.what.is_empty()).then(|| namespaces_of(&targets, &system));
    let ns_type = args
        .ns_type
        .as_deref()
        .and_then(|name| NsType::from_name(name.as_bytes()));
    let shown: Vec<usize> = (0..system.namespaces.len())
        .filter(|index| {
            let one = &system.namespaces[*index];
            chosen
                .as_ref()
                .is_none_or(|chosen| one.inum.is_some_and(|inum| chosen.contains(&inum)))
                && ns_type.is_none_or(|ns_type| one.ns_type == ns_type)
        })
        .collect();
    let rows = match args.tree {
        None => shown.into_iter().map(|index| (index, 0)).collect(),
        Some(kind) => tree_of(&system, &shown, kind),
    };
    let context = Context::new(&system, &containers, &users);
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(index, depth)| (&system.namespaces[index], depth))
        .collect();
    session.show(
        &view,
        &rows,
        &|one, column| context.cell(one, column),
        &system,
        out,
    )?;
    Ok(DONE)
}

/// The namespaces that something means: itself, or those that it is in.
fn namespaces_of(targets: &[Target<'_>], system: &System<'_>) -> HashSet<Inum> {
    let mut found = HashSet::new();
    for target in targets {
        match target {
            Target::Namespace(index) => found.extend(system.namespaces[*index].inum),
            Target::Task(index) => {
                found.extend(
                    NsType::ALL
                        .into_iter()
                        .filter_map(|one| system.tasks[*index].namespace(one)),
                );
            }
            Target::Container(one) => {
                // What it shares with the host is not its own.
                for task in &one.tasks {
                    found.extend(system.differs(&system.tasks[*task]).map(|(_, inum)| inum));
                }
            }
            Target::Device(_) => {}
        }
    }
    found
}

/// Puts namespaces below their parents or owners. What is not shown passes its children on to nobody: these stand at the
/// top.
fn tree_of(system: &System<'_>, shown: &[usize], kind: NsTree) -> Vec<(usize, usize)> {
    let at: HashMap<Inum, usize> = shown
        .iter()
        .enumerate()
        .filter_map(|(at, index)| Some((system.namespaces[*index].inum?, at)))
        .collect();
    let rows = tree::rows(shown.len(), |at_one| {
        let one = &system.namespaces[shown[at_one]];
        let above = match kind {
            NsTree::Parent => one.parent,
            NsTree::Owner => one.owner,
        };
        at.get(&above?).copied()
    });
    rows.into_iter()
        .map(|(at, depth)| (shown[at], depth))
        .collect()
}

struct Context<'a, 't> {
    system: &'a System<'t>,
    containers: &'a Containers,
    users: &'a Users,
    /// The process with the lowest number in each namespace, by where it stands among the tasks.
    first: HashMap<Inum, usize>,
    /// How many holds of each kind a namespace has.
    holds: HashMap<Inum, BTreeMap<String, u64>>,
}

impl<'a, 't> Context<'a, 't> {
    fn new(system: &'a System<'t>, containers: &'a Containers, users: &'a Users) -> Self {
        let mut first: HashMap<Inum, usize> = HashMap::new();
        for (index, task) in system.tasks.iter().enumerate() {
            for inum in NsType::ALL
                .into_iter()
                .filter_map(|one| task.namespace(one))
            {
                first
                    .entry(inum)
                    .and_modify(|best| {
                        if system.tasks[*best].pid > task.pid {
                            *best = index;
                        }
                    })
                    .or_insert(index);
            }
        }
        let mut holds: HashMap<Inum, BTreeMap<String, u64>> = HashMap::new();
        for hold in &system.holds {
            // What belongs to it and does not keep it is no holder.
            if let Some(inum) = hold.held_namespace().filter(|_| hold.keeps != Some(false)) {
                let by = String::from_utf8_lossy(hold.by.raw()).into_owned();
                *holds.entry(inum).or_default().entry(by).or_default() += 1;
            }
        }
        Self {
            system,
            containers,
            users,
            first,
            holds,
        }
    }

    fn cell(&self, one: &&Namespace<'t>, column: &str) -> Cell<'_> {
        let first = one.inum.and_then(|inum| self.first.get(&inum)).copied();
        let task = first.map(|index| &self.system.tasks[index]);
        match column {
            "NS" => one.inum.into(),
            "TYPE" => one.ns_type.into(),
            "NPROCS" => one.tasks.into(),
            "PID" => task.map(|task| task.pid).into(),
            "PPID" => task.map(|task| task.ppid).into(),
            "UID" => task.map(|task| task.uid).into(),
            "USER" => task.map_or(Cell::absent(), |task| self.users.cell(task.uid)),
            "COMMAND" => task.map(|task| task.comm).into(),
            "CONTAINER" => {
                // Of a host's namespace that would be chance.
                let is_host = one.inum == self.system.host(one.ns_type);
                first
                    .filter(|_| !is_host)
                    .and_then(|index| self.containers.of_task(index))
                    .map_or(Cell::absent(), |one| super::ps::container_cell(one, column))
            }
            "STATE" => self.state(one),
            "HOLDERS" => {
                let holds = one.inum.and_then(|inum| self.holds.get(&inum));
                match holds {
                    Some(holds) => {
                        Cell::list(holds.iter().map(|(by, number)| format!("{number} {by}")))
                    }
                    None => Cell::absent(),
                }
            }
            "CREATOR" => one.uid.map_or(Cell::absent(), |uid| self.users.cell(uid)),
            "ROOT" if one.ns_type == NsType::Mnt => Cell::absent(),
            "ROOT" => one.root.into(),
            "ID" => one.id.into(),
            "ONS" => one.owner.into(),
            "PNS" => one.parent.into(),
            _ => one.value(&column.to_ascii_lowercase()).into(),
        }
    }

    fn state(&self, one: &Namespace<'_>) -> Cell<'static> {
        let mut words = Vec::new();
        if one.inum == self.system.host(one.ns_type) {
            words.push("host");
        }
        if one.dying == Some(true) {
            words.push("dying");
        }
        if one.tasks == Some(0) {
            words.push("processless");
        }
        if one.has("active") && one.active == 0 {
            words.push("invisible");
        }
        if one.torn {
            words.push("torn");
        }
        if words.is_empty() {
            return Cell::absent();
        }
        let is_bad = one.dying == Some(true);
        Cell::list(words).marked(if is_bad { Mark::Bad } else { Mark::Plain })
    }
}
