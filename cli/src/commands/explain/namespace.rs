// SPDX-License-Identifier: GPL-2.0

//! The structures behind a namespace: what it has, what is around it and in it, and who.

use std::collections::HashSet;

use crate::identity::Containers;
use crate::output::Mark;
use crate::system::System;
use crate::text::{Inum, Namespace, NsType};

use super::drawer::{self, Drawer};
use super::drawing::{self, shown, Column, Drawing, Row, Shown, Way};

/// How many mounts of a mount namespace are drawn.
const MOUNTS: usize = 12;
/// How many processes are drawn.
const PROCESSES: usize = 6;
/// How many namespaces below are drawn.
const CHILDREN: usize = 6;

/// The flag of `clone()` that makes such a namespace, which is what the kernel calls its type.
fn flag(ns_type: NsType) -> &'static str {
    match ns_type {
        NsType::Pid => "CLONE_NEWPID",
        NsType::User => "CLONE_NEWUSER",
        NsType::Mnt => "CLONE_NEWNS",
        NsType::Uts => "CLONE_NEWUTS",
        NsType::Ipc => "CLONE_NEWIPC",
        NsType::Net => "CLONE_NEWNET",
        NsType::Cgroup => "CLONE_NEWCGROUP",
        NsType::Time => "CLONE_NEWTIME",
    }
}

/// By which field a process leads to its namespace.
fn way(ns_type: NsType) -> &'static str {
    match ns_type {
        NsType::Pid => "thread_pid->numbers[level].ns",
        NsType::User => "real_cred->user_ns",
        NsType::Mnt => "nsproxy->mnt_ns",
        NsType::Uts => "nsproxy->uts_ns",
        NsType::Ipc => "nsproxy->ipc_ns",
        NsType::Net => "nsproxy->net_ns",
        NsType::Cgroup => "nsproxy->cgroup_ns",
        NsType::Time => "nsproxy->time_ns",
    }
}

/// Draws a namespace, by where it stands among all.
pub(super) fn draw(system: &System<'_>, containers: &Containers, index: usize) -> Drawing {
    let Some((one, inum)) = system
        .namespaces
        .get(index)
        .and_then(|one| Some((one, one.inum?)))
    else {
        return Drawing::default();
    };
    let drawer = Drawer::new(system, containers, &HashSet::from([inum]), PROCESSES);
    let mut picture = Picture { one, inum, drawer };
    picture.drawer.drawing.title = shown![one.ns_type.name(), " namespace ", inum];
    picture.namespace();
    picture.drawer.drawing
}

struct Picture<'a, 't> {
    one: &'a Namespace<'t>,
    inum: Inum,
    drawer: Drawer<'a, 't>,
}

impl Picture<'_, '_> {
    fn row(&mut self, node: usize, row: Row) {
        self.drawer.row(node, row);
    }

    fn namespace(&mut self) {
        let one = self.one;
        let structure = drawer::structure(one.ns_type);
        let node = self.drawer.add(structure, self.inum, Column::First);
        self.drawer.is_drawn(self.inum, node);
        let common = self.ns_common();
        self.row(node, Row::link("ns", Way::Holds, common));
        self.drawer.of_type(node, one, false);
        match one.ns_type {
            NsType::Pid => self.row(node, Row::field("pid_max", one.pid_max).key("pid_max=")),
            NsType::Net => self.row(node, Row::field("net_cookie", one.id).key("id=")),
            NsType::Mnt => {
                self.row(
                    node,
                    Row::field("pending_mounts", one.pending).key("pending="),
                );
                self.row(node, Row::field("event", one.event).key("event="));
                self.row(node, Row::field("seq_origin", one.origin).key("origin="));
                if one.torn {
                    let what = "its mounts changed while they were read";
                    self.row(node, Row::remark("torn", what).mark(Mark::Bad).key("torn="));
                }
            }
            _ => {}
        }
        // The owner of a user namespace is the one around it.
        if one.ns_type != NsType::User {
            self.owner(node);
        }
        self.drawer.parents(node, self.inum, Column::Second);
        self.children(node);
        self.processes(node);
        if one.ns_type == NsType::Mnt {
            self.drawer
                .mounts(node, self.inum, &[], MOUNTS, Column::Fourth);
        }
    }

    fn ns_common(&mut self) -> usize {
        let one = self.one;
        let node = self.drawer.add(&drawing::NS_COMMON, "", Column::Second);
        self.row(node, Row::field("ns_type", flag(one.ns_type)).key("ns"));
        let is_host = Some(self.inum) == self.drawer.system.host(one.ns_type);
        let (standing, mark) = if is_host {
            (", the host's", Mark::Shared)
        } else {
            (", not the host's", Mark::Strong)
        };
        let inum = Row::field("inum", shown![self.inum, standing]);
        self.row(node, inum.mark(mark).key("ns"));
        self.row(node, Row::field("ns_id", one.id).key("id="));
        self.row(node, Row::field("__ns_ref", one.refs).key("refs="));
        let (active, mark) = match one.active {
            0 => (shown!["0: no process or file leads to it"], Mark::Bad),
            active => (shown![active], Mark::Plain),
        };
        let active = Row::field("__ns_ref_active", active);
        self.row(node, active.mark(mark).key("active="));
        node
    }

    fn owner(&mut self, node: usize) {
        let Some(owner) = self.one.owner else {
            self.row(node, Row::field("user_ns", "-").key("owner="));
            return;
        };
        let to = self
            .drawer
            .namespace(NsType::User, owner, Column::Second, None, "owner=");
        self.row(node, Row::link("user_ns", Way::To, to).key("owner="));
        self.drawer.parents(to, owner, Column::Second);
    }

    /// Draws the namespaces below, and counts those that a user namespace owns.
    fn children(&mut self, node: usize) {
        let (system, own) = (self.drawer.system, self.inum);
        let mut count = 0;
        for child in &system.namespaces {
            let Some(inum) = child
                .inum
                .filter(|inum| child.parent == Some(own) && *inum != own)
            else {
                continue;
            };
            count += 1;
            // What is around itself is drawn already.
            if count > CHILDREN || self.drawer.drawn(inum).is_some() {
                continue;
            }
            let to = self
                .drawer
                .namespace(child.ns_type, inum, Column::Second, None, "ns");
            self.row(node, Row::link("parent", Way::From, to).key("parent="));
        }
        if count > CHILDREN {
            let more = shown!["… and ", count - CHILDREN, " more"];
            self.row(node, Row::remark("below it", more).key("parent="));
        }
        if self.one.ns_type == NsType::User {
            let owned = NsType::ALL.into_iter().filter_map(|ns_type| {
                let count = system
                    .namespaces
                    .iter()
                    .filter(|one| one.ns_type == ns_type && ns_type != NsType::User)
                    .filter(|one| one.owner == Some(own))
                    .count();
                (count > 0).then(|| shown![count, " ", ns_type.name()])
            });
            let owned: Vec<Shown> = owned.collect();
            let owned = if owned.is_empty() {
                shown!["none"]
            } else {
                Shown::list(owned)
            };
            self.row(node, Row::remark("it owns", owned).key("owner="));
        }
    }

    fn processes(&mut self, node: usize) {
        let members = self.drawer.members(self.inum);
        let tasks = self.one.tasks;
        self.row(node, Row::remark("processes", tasks).key("tasks="));
        for index in members.first.iter().copied() {
            let system = self.drawer.system;
            let Some(task) = system.tasks.get(index) else {
                continue;
            };
            let to = self
                .drawer
                .add(&drawing::TASK_STRUCT, task.pid, Column::Third);
            self.row(to, Row::field("pid", task.pid).key("task"));
            self.row(to, Row::field("comm", task.comm).key("comm="));
            if let Some(container) = self.drawer.containers.of_task(index) {
                let container = drawer::container(container);
                self.row(to, Row::remark("container", container));
            }
            if self.one.ns_type == NsType::Pid {
                let own = task.upid.in_namespace(self.inum);
                let about = shown![own, " in this namespace"];
                self.row(to, Row::remark("number", about).key("upid="));
            }
            let row = Row::link(way(self.one.ns_type), Way::From, to);
            self.row(node, row);
        }
        let there = tasks
            .and_then(|tasks| usize::try_from(tasks).ok())
            .unwrap_or(members.count)
            .max(members.count);
        if there > members.first.len() && !members.first.is_empty() {
            let more = shown!["… and ", there - members.first.len(), " more"];
            self.row(node, Row::remark("in it", more).key("tasks="));
        }
    }
}
