// SPDX-License-Identifier: GPL-2.0

//! What drawings of processes and of namespaces have in common: namespaces, who is in them, and their mounts.

use std::collections::{HashMap, HashSet};

use crate::identity::{Container, Containers};
use crate::output::{Mark, Words};
use crate::system::System;
use crate::text::{IdMap, Inum, Mount, Namespace, NsType, Task};

use super::drawing::{self, shown, Column, Drawing, Row, Shown, Structure, Way};

/// How many processes of a namespace are named in a line.
const NAMED: usize = 4;
/// How many ranges of a map of ids are shown.
const RANGES: usize = 3;
/// How many mounts more are drawn if something else leads to them.
const WANTED: usize = 2;
/// Pid and user namespaces nest no deeper (`MAX_PID_NS_LEVEL`, `create_user_ns()`), with the initial one.
pub(super) const LEVELS: usize = 33;

/// The structure of a type of namespace.
pub(super) fn structure(ns_type: NsType) -> &'static Structure {
    match ns_type {
        NsType::Pid => &drawing::PID_NAMESPACE,
        NsType::User => &drawing::USER_NAMESPACE,
        NsType::Mnt => &drawing::MNT_NAMESPACE,
        NsType::Uts => &drawing::UTS_NAMESPACE,
        NsType::Ipc => &drawing::IPC_NAMESPACE,
        NsType::Net => &drawing::NET,
        NsType::Cgroup => &drawing::CGROUP_NAMESPACE,
        NsType::Time => &drawing::TIME_NAMESPACE,
    }
}

/// The processes of a namespace: the first ones, and how many there are in the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    pub(super) first: Vec<usize>,
    pub(super) count: usize,
}

/// A drawing that grows.
pub(super) struct Drawer<'a, 't> {
    pub(super) system: &'a System<'t>,
    pub(super) containers: &'a Containers,
    pub(super) drawing: Drawing,
    /// Whose container need not be named.
    pub(super) home: Option<&'a Container>,
    members: HashMap<Inum, Members>,
    namespaces: HashMap<Inum, usize>,
    mounts: HashMap<u64, usize>,
}

impl<'a, 't> Drawer<'a, 't> {
    /// Begins a drawing. Of each of these namespaces at most so many processes are remembered.
    pub(super) fn new(
        system: &'a System<'t>,
        containers: &'a Containers,
        of_interest: &HashSet<Inum>,
        limit: usize,
    ) -> Self {
        let mut members: HashMap<Inum, Members> = HashMap::new();
        // Threads of the kernel come first, and say the least.
        for is_kthread in [false, true] {
            for (index, task) in system.tasks.iter().enumerate() {
                if task.is_kthread() != is_kthread {
                    continue;
                }
                for inum in NsType::ALL
                    .into_iter()
                    .filter_map(|ns_type| task.namespace(ns_type))
                    .filter(|inum| of_interest.contains(inum))
                {
                    let members = members.entry(inum).or_default();
                    members.count += 1;
                    if members.first.len() < limit {
                        members.first.push(index);
                    }
                }
            }
        }
        Self {
            system,
            containers,
            drawing: Drawing::default(),
            home: None,
            members,
            namespaces: HashMap::new(),
            mounts: HashMap::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        structure: &'static Structure,
        id: impl Into<Shown>,
        column: Column,
    ) -> usize {
        self.drawing.add(structure, id, column)
    }

    pub(super) fn row(&mut self, node: usize, row: Row) {
        self.drawing.row(node, row);
    }

    /// Who is in a namespace.
    pub(super) fn members(&self, inum: Inum) -> Members {
        self.members.get(&inum).cloned().unwrap_or_default()
    }

    /// A process, by its number and name.
    pub(super) fn process(&self, pid: Option<u32>) -> Shown {
        match pid.and_then(|pid| self.system.task(pid)) {
            Some(task) => shown![task.pid, " ", task.comm],
            None => shown![pid],
        }
    }

    /// The same, with its container unless that is at home here.
    fn member(&self, index: usize) -> Shown {
        let Some(task) = self.system.tasks.get(index) else {
            return shown!["-"];
        };
        let name = shown![task.pid, " ", task.comm];
        match self.containers.of_task(index) {
            Some(one) if self.home.is_none_or(|home| home.first != one.first) => {
                name.and(" (").and(label(one)).and(")")
            }
            None if self.home.is_some() => name.and(" (host)"),
            _ => name,
        }
    }

    /// Says who is in a namespace.
    pub(super) fn inhabitants(&mut self, node: usize, namespace: &Namespace<'t>) {
        let Some(inum) = namespace.inum else { return };
        let members = self.members(inum);
        // Who does not count them has not looked at the others.
        let Some(tasks) = namespace.tasks else {
            self.row(node, Row::remark("in it", "-").key("tasks="));
            return;
        };
        let mut named: Vec<Shown> = members
            .first
            .iter()
            .take(NAMED)
            .map(|index| self.member(*index))
            .collect();
        let there = usize::try_from(tasks).unwrap_or(members.count);
        if named.is_empty() {
            named.push(shown![
                tasks,
                if tasks == 1 { " process" } else { " processes" }
            ]);
        } else if there > named.len() {
            named.push(shown!["and ", there - named.len(), " more"]);
        }
        self.row(node, Row::remark("in it", Shown::list(named)).key("tasks="));
    }

    /// Draws a namespace that something leads to, unless it is there already. `own` is the process whose namespace it is,
    /// `key` the one that leads to it.
    pub(super) fn namespace(
        &mut self,
        ns_type: NsType,
        inum: Inum,
        column: Column,
        own: Option<usize>,
        key: &'static str,
    ) -> usize {
        if let Some(known) = self.namespaces.get(&inum) {
            return *known;
        }
        let node = self.add(structure(ns_type), inum, column);
        self.namespaces.insert(inum, node);
        let is_host = Some(inum) == self.system.host(ns_type);
        let namespace = self.system.namespace(inum).cloned();
        let is_counted = namespace.as_ref().is_some_and(|one| one.tasks == Some(1));
        let is_alone =
            is_counted && own.is_some_and(|own| self.members(inum).first.first() == Some(&own));
        let (standing, mark) = match (is_host, is_alone) {
            (true, _) => (", the host's", Mark::Shared),
            (false, true) => (", its own", Mark::Strong),
            (false, false) => (", not the host's", Mark::Strong),
        };
        self.row(
            node,
            Row::field("ns.inum", shown![inum, standing])
                .mark(mark)
                .key(key),
        );
        let Some(namespace) = namespace else {
            return node;
        };
        if !is_host {
            self.row(node, Row::field("ns.ns_id", namespace.id).key("id="));
        }
        self.of_type(node, &namespace, is_host);
        // Of most, that is the host's user namespace.
        if ns_type != NsType::User && namespace.owner != self.system.host(NsType::User) {
            self.row(node, Row::field("user_ns", namespace.owner).key("owner="));
        }
        if !is_host {
            self.inhabitants(node, &namespace);
        }
        node
    }

    /// Tells the drawing that a namespace is in it already.
    pub(super) fn is_drawn(&mut self, inum: Inum, node: usize) {
        self.namespaces.insert(inum, node);
    }

    /// Whether a namespace is in the drawing.
    pub(super) fn drawn(&self, inum: Inum) -> Option<usize> {
        self.namespaces.get(&inum).copied()
    }

    /// The fields that only this type has, without what they lead to.
    pub(super) fn of_type(&mut self, node: usize, one: &Namespace<'t>, is_brief: bool) {
        let mut rows = Vec::new();
        match one.ns_type {
            NsType::Pid => {
                rows.push(Row::field("level", one.level).key("level="));
                rows.push(Row::field("child_reaper", self.process(one.reaper)).key("reaper="));
                if !is_brief {
                    rows.push(Row::field("pid_allocated", one.pids).key("pids="));
                }
                if one.dying == Some(true) {
                    rows.push(
                        Row::field("pid_allocated", "without PIDNS_ADDING: it is dying")
                            .mark(Mark::Bad)
                            .key("dying="),
                    );
                }
            }
            NsType::User => {
                rows.push(Row::field("level", one.level).key("level="));
                rows.push(Row::field("owner", one.uid).key("uid="));
                rows.push(Row::field("uid_map", ranges(one.uid_map)).key("uid_map="));
                if !is_brief {
                    rows.push(Row::field("gid_map", ranges(one.gid_map)).key("gid_map="));
                }
            }
            NsType::Mnt => rows.push(Row::field("nr_mounts", one.mounts).key("mounts=")),
            NsType::Uts => {
                rows.push(Row::field("name.nodename", one.nodename).key("nodename="));
                if !is_brief {
                    rows.push(Row::field("name.domainname", one.domainname).key("domainname="));
                }
            }
            NsType::Cgroup => rows.push(Row::field("root_cset", one.root).key("root=")),
            NsType::Time if !is_brief => {
                rows.push(Row::field("offsets.monotonic", one.monotonic).key("monotonic="));
                rows.push(Row::field("offsets.boottime", one.boottime).key("boottime="));
            }
            NsType::Time | NsType::Ipc | NsType::Net => {}
        }
        for row in rows {
            self.row(node, row);
        }
    }

    /// Draws the namespaces around a pid or user namespace, up to the initial one. Each is led to by the one before.
    pub(super) fn parents(&mut self, node: usize, inum: Inum, column: Column) {
        let (mut node, mut inum) = (node, inum);
        // A text may say that two are around each other. The first that is drawn already is the last.
        for _ in 0..LEVELS {
            let Some(one) = self.system.namespace(inum) else {
                return;
            };
            let Some(parent) = one.parent else { return };
            let ns_type = one.ns_type;
            let known = self.drawn(parent);
            let to = self.namespace(ns_type, parent, column, None, "parent=");
            self.row(node, Row::link("parent", Way::To, to).key("parent="));
            if known.is_some() {
                return;
            }
            (node, inum) = (to, parent);
        }
    }

    /// Draws the root mount of a mount namespace, what is on top of it, the mounts that are wanted, and as many of the others
    /// that there are `limit` in all.
    pub(super) fn mounts(
        &mut self,
        node: usize,
        inum: Inum,
        wanted: &[u64],
        limit: usize,
        column: Column,
    ) {
        let system = self.system;
        let mounts = system.mounts_of(inum);
        let root = system.namespace(inum).and_then(Namespace::root_mount);
        let is_wanted = |mount: &&Mount<'_>| {
            Some(mount.id) == root || wanted.contains(&mount.id) || mount.point.raw() == b"/"
        };
        let mut chosen: HashSet<u64> = mounts
            .iter()
            .filter(is_wanted)
            .map(|mount| mount.id)
            .take(limit + WANTED)
            .collect();
        let reachable = mounts.iter().filter(|mount| mount.has("root"));
        for mount in reachable.chain(mounts) {
            if chosen.len() >= limit {
                break;
            }
            chosen.insert(mount.id);
        }
        if root.is_some_and(|root| !chosen.contains(&root)) {
            self.row(node, Row::field("root", root).key("root="));
        }
        // What others are on comes before them, so that they can lead to it: it is less deep.
        let mut chosen: Vec<&Mount<'_>> = mounts
            .iter()
            .filter(|one| chosen.contains(&one.id))
            .collect();
        chosen.sort_by_key(|mount| (Some(mount.id) != root, depth(mount)));
        let mut by_mnt_id = HashMap::new();
        for mount in &chosen {
            let is_root = Some(mount.id) == root;
            let to = self.mount(mount, &by_mnt_id, column);
            by_mnt_id.insert(mount.mnt_id, to);
            let row = Row::link(if is_root { "root" } else { "mounts" }, Way::To, to);
            self.row(node, row.key(if is_root { "root=" } else { "" }));
        }
        let there = system
            .namespace(inum)
            .and_then(|one| one.mounts)
            .and_then(|mounts| usize::try_from(mounts).ok())
            .unwrap_or(mounts.len())
            .max(mounts.len());
        if there > chosen.len() && !mounts.is_empty() {
            let more = shown!["… and ", there - chosen.len(), " more"];
            self.row(node, Row::remark("mounts", more));
        }
    }

    fn mount(&mut self, mount: &Mount<'t>, known: &HashMap<u32, usize>, column: Column) -> usize {
        let node = self.add(&drawing::MOUNT, mount.mnt_id, column);
        self.mounts.insert(mount.id, node);
        let id = shown![mount.mnt_id, " (mnt_id_unique ", mount.id, ")"];
        self.row(node, Row::field("mnt_id", id).key("mount"));
        let parent = match known.get(&mount.parent) {
            _ if mount.parent == mount.mnt_id => {
                Row::field("mnt_parent", shown![mount.parent, ", itself"])
            }
            Some(to) => Row::link("mnt_parent", Way::To, *to),
            None => Row::field("mnt_parent", mount.parent),
        };
        self.row(node, parent);
        let point = shown![mount.point];
        let (point, mark) = match mount.reach() {
            b"over" => (point.and(", under another mount"), Mark::Dim),
            b"covered" => (point.and(", covered by another mount"), Mark::Dim),
            b"outside" => (point.and(", out of reach"), Mark::Dim),
            _ => (point, Mark::Plain),
        };
        self.row(node, Row::field("mnt_mountpoint", point).mark(mark));
        self.row(node, Row::field("mnt.mnt_root", mount.root));
        let file_system = shown![mount.fstype, " ", mount.device];
        self.row(node, Row::field("mnt.mnt_sb", file_system));
        node
    }

    /// A mount that is in the drawing, by its 64-bit id.
    pub(super) fn drawn_mount(&self, id: u64) -> Option<usize> {
        self.mounts.get(&id).copied()
    }
}

/// How many directories deep a mount is.
fn depth(mount: &Mount<'_>) -> usize {
    match mount.point.raw() {
        b"/" => 0,
        point => point.iter().filter(|byte| **byte == b'/').count(),
    }
}

/// What to call a container.
pub(super) fn label(one: &Container) -> Shown {
    Words::from_bytes(one.label().as_bytes()).into()
}

/// A container, and what runs it.
pub(super) fn container(one: &Container) -> Shown {
    let name = label(one).and(" (").and(one.runtime.name());
    if one.label() == one.short_id() {
        return name.and(")");
    }
    let id = Words::from_bytes(one.short_id().as_bytes());
    name.and(" ").and(id).and(")")
}

/// The ranges of a map of ids: inside, outside, count.
fn ranges(map: Option<IdMap<'_>>) -> Shown {
    let Some(map) = map else {
        return shown![None::<u32>];
    };
    let mut ranges: Vec<Shown> = map
        .iter()
        .take(RANGES)
        .map(|one| shown![one.inside, ":", one.outside, ":", one.count])
        .collect();
    if map.iter().nth(RANGES).is_some() {
        ranges.push("…".into());
    }
    if ranges.is_empty() {
        return shown![None::<u32>];
    }
    Shown::list(ranges)
}

/// The name of a process's state in the kernel: the field, and its value.
pub(super) fn state(task: &Task<'_>) -> (&'static str, Shown) {
    let (field, name) = match task.state.raw() {
        b"R" => ("__state", "TASK_RUNNING"),
        b"S" => ("__state", "TASK_INTERRUPTIBLE"),
        b"D" => ("__state", "TASK_UNINTERRUPTIBLE"),
        b"T" => ("__state", "__TASK_STOPPED"),
        b"t" => ("__state", "__TASK_TRACED"),
        b"I" => ("__state", "TASK_IDLE"),
        b"P" => ("__state", "TASK_PARKED"),
        b"Z" => ("exit_state", "EXIT_ZOMBIE"),
        b"X" => ("exit_state", "EXIT_DEAD"),
        _ => return ("__state", shown![task.state]),
    };
    (field, shown![task.state, ": ", name])
}
