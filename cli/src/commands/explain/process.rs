// SPDX-License-Identifier: GPL-2.0

//! The structures behind a process, from its `task_struct` on.

use std::collections::HashSet;

use crate::identity::Containers;
use crate::output::Mark;
use crate::system::System;
use crate::text::{Escaped, Inum, NsType, Task};

use super::drawer::{self, Drawer, LEVELS};
use super::drawing::{self, shown, Column, Drawing, Row, Shown, Way};

/// How many mounts of a mount namespace are drawn.
const MOUNTS: usize = 4;
/// How many processes of a namespace are remembered.
const MEMBERS: usize = 8;

/// Draws a process, by where it stands among the tasks.
pub(super) fn draw(system: &System<'_>, containers: &Containers, index: usize) -> Drawing {
    let Some(task) = system.tasks.get(index) else {
        return Drawing::default();
    };
    let of_interest: HashSet<Inum> = system
        .differs(task)
        .map(|(_, inum)| inum)
        .chain(task.upid.iter().filter_map(|upid| upid.ns))
        .chain(task.pid_for_children)
        .chain(task.time_for_children)
        .chain(task.rootns)
        .chain(task.cwdns)
        .filter(|inum| !is_host(system, *inum))
        .collect();
    let mut picture = Process {
        index,
        task,
        drawer: Drawer::new(system, containers, &of_interest, MEMBERS),
    };
    picture.drawer.home = containers.of_task(index);
    picture.drawer.drawing.title = shown!["process ", task.pid, ", ", task.comm];
    picture.task_struct();
    picture.drawer.drawing
}

fn is_host(system: &System<'_>, inum: Inum) -> bool {
    NsType::ALL
        .into_iter()
        .any(|ns_type| system.host(ns_type) == Some(inum))
}

/// Root or working directory.
struct Directory<'t> {
    name: &'static str,
    path: Option<Escaped<'t>>,
    key: &'static str,
    /// The mount namespace that it lies in.
    ns: Option<Inum>,
    ns_name: &'static str,
    ns_key: &'static str,
}

struct Process<'a, 't> {
    index: usize,
    task: &'a Task<'t>,
    drawer: Drawer<'a, 't>,
}

impl<'t> Process<'_, 't> {
    fn row(&mut self, node: usize, row: Row) {
        self.drawer.row(node, row);
    }

    fn namespace(&mut self, ns_type: NsType, inum: Inum, key: &'static str) -> usize {
        self.drawer
            .namespace(ns_type, inum, Column::Third, Some(self.index), key)
    }

    fn task_struct(&mut self) {
        let task = self.task;
        let node = self
            .drawer
            .add(&drawing::TASK_STRUCT, task.pid, Column::First);
        self.row(node, Row::field("pid", task.pid).key("task"));
        self.row(node, Row::field("comm", task.comm).key("comm="));
        if let Some(home) = self.drawer.home {
            self.row(node, Row::remark("container", drawer::container(home)));
        }
        let (field, state) = drawer::state(task);
        self.row(node, Row::field(field, state).key("state="));
        let start = drawing::time(task.start);
        self.row(node, Row::field("start_boottime", start).key("start="));
        if task.is_kthread() {
            self.row(node, Row::field("flags", "PF_KTHREAD").key("kind="));
        }
        let parent = self.drawer.process(Some(task.ppid).filter(|pid| *pid != 0));
        self.row(node, Row::field("real_parent", parent).key("ppid="));
        if task.tracer.is_some() {
            let tracer = self.drawer.process(task.tracer);
            self.row(node, Row::field("parent", tracer).key("tracer="));
        }
        self.row(
            node,
            Row::field("seccomp.mode", task.seccomp).key("seccomp="),
        );
        for (is_so, what, key) in [
            (task.unlisted, "it is not on init_task.tasks", "unlisted="),
            (
                task.unnumbered,
                "it cannot be found by its number",
                "unnumbered=",
            ),
        ] {
            if is_so {
                self.row(node, Row::remark("hidden", what).mark(Mark::Bad).key(key));
            }
        }
        if task.mixed {
            let what = "is in other namespaces";
            self.row(node, Row::remark("another thread", what).key("mixed="));
        }

        let pid = self.pid();
        self.row(node, Row::link("thread_pid", Way::To, pid));
        let cred = self.cred();
        self.row(node, Row::link("real_cred", Way::To, cred));
        if let Some(via) = task.via {
            let what = shown!["what follows is of its thread ", via];
            self.row(node, Row::remark("ended", what).key("via="));
        }
        match self.nsproxy() {
            Some(nsproxy) => self.row(node, Row::link("nsproxy", Way::To, nsproxy)),
            None => self.row(node, Row::field("nsproxy", "-")),
        }
        let fs = if self.has_real_fs() { "real_fs" } else { "fs" };
        match self.fs_struct() {
            Some(to) => self.row(node, Row::link(fs, Way::To, to)),
            None => self.row(node, Row::field(fs, "-")),
        }
        let signal = self.signal_struct(pid);
        self.row(node, Row::link("signal", Way::To, signal));
        match self.css_set() {
            Some(to) => self.row(node, Row::link("cgroups", Way::To, to)),
            None => self.row(node, Row::field("cgroups", "-").key("cgroup=")),
        }
    }

    /// Since Linux 7.3 a process has two, of which the other one may be replaced for a while.
    fn has_real_fs(&self) -> bool {
        let release = self.drawer.system.text.release.bytes();
        !release.starts_with(b"7.2.")
    }

    fn pid(&mut self) -> usize {
        let task = self.task;
        let node = self.drawer.add(&drawing::PID, "", Column::Second);
        self.row(node, Row::field("level", task.level).key("level="));
        for (level, upid) in task.upid.iter().take(LEVELS).enumerate() {
            let name = shown!["numbers[", level, "]"];
            let row = Row::field(name, shown!["upid {nr ", upid.number, ", ns}"]).key("upid=");
            let Some(inum) = upid.ns else {
                self.row(node, row);
                continue;
            };
            let is_new = self.drawer.drawn(inum).is_none();
            let to = self.namespace(NsType::Pid, inum, "upid=");
            self.row(node, row.leading(".ns", to));
            if is_new {
                self.drawer.parents(to, inum, Column::Third);
            }
        }
        node
    }

    fn cred(&mut self) -> usize {
        let task = self.task;
        let node = self.drawer.add(&drawing::CRED, "", Column::Second);
        let ids = shown![task.uid, ", ", task.gid];
        self.row(node, Row::field("uid, gid", ids).key("uid= gid="));
        let ids = shown![task.euid, ", ", task.egid];
        self.row(node, Row::field("euid, egid", ids).key("euid= egid="));
        self.row(node, Row::field("cap_effective", task.caps).key("caps="));
        match task.userns {
            Some(inum) => {
                let is_new = self.drawer.drawn(inum).is_none();
                let to = self.namespace(NsType::User, inum, "userns=");
                self.row(node, Row::link("user_ns", Way::To, to).key("userns="));
                if is_new {
                    self.drawer.parents(to, inum, Column::Third);
                }
            }
            None => self.row(node, Row::field("user_ns", "-").key("userns=")),
        }
        node
    }

    fn nsproxy(&mut self) -> Option<usize> {
        let task = self.task;
        let fields = [
            ("uts_ns", NsType::Uts, task.utsns, "utsns="),
            ("ipc_ns", NsType::Ipc, task.ipcns, "ipcns="),
            ("mnt_ns", NsType::Mnt, task.mntns, "mntns="),
            (
                "pid_ns_for_children",
                NsType::Pid,
                task.pid_for_children,
                "pid_for_children=",
            ),
            ("net_ns", NsType::Net, task.netns, "netns="),
            ("time_ns", NsType::Time, task.timens, "timens="),
            (
                "time_ns_for_children",
                NsType::Time,
                task.time_for_children,
                "time_for_children=",
            ),
            ("cgroup_ns", NsType::Cgroup, task.cgroupns, "cgroupns="),
        ];
        if fields.iter().all(|(_, _, inum, _)| inum.is_none()) {
            return None;
        }
        let node = self.drawer.add(&drawing::NSPROXY, "", Column::Second);
        for (name, ns_type, inum, key) in fields {
            let Some(inum) = inum else {
                self.row(node, Row::field(name, "-").key(key));
                continue;
            };
            let is_new = self.drawer.drawn(inum).is_none();
            let to = match ns_type {
                NsType::Mnt => self.mount_namespace(inum, key),
                _ => self.namespace(ns_type, inum, key),
            };
            self.row(node, Row::link(name, Way::To, to).key(key));
            if is_new && ns_type == NsType::Pid {
                self.drawer.parents(to, inum, Column::Third);
            }
        }
        Some(node)
    }

    /// Draws a mount namespace with some of its mounts, unless it is there already.
    fn mount_namespace(&mut self, inum: Inum, key: &'static str) -> usize {
        if let Some(known) = self.drawer.drawn(inum) {
            return known;
        }
        let node = self.namespace(NsType::Mnt, inum, key);
        let wanted: Vec<u64> = self
            .directories()
            .iter()
            .filter(|directory| directory.ns == Some(inum))
            .filter_map(|directory| self.mount_of(directory))
            .collect();
        self.drawer
            .mounts(node, inum, &wanted, MOUNTS, Column::Fourth);
        node
    }

    fn directories(&self) -> [Directory<'t>; 2] {
        [
            Directory {
                name: "root",
                path: self.task.root,
                key: "root=",
                ns_name: "root.mnt: mnt_ns",
                ns: self.task.rootns,
                ns_key: "rootns=",
            },
            Directory {
                name: "pwd",
                path: self.task.cwd,
                key: "cwd=",
                ns_name: "pwd.mnt: mnt_ns",
                ns: self.task.cwdns,
                ns_key: "cwdns=",
            },
        ]
    }

    /// The mount that a directory lies in, by its path: the innermost mount that the path leads to. Where a mount covers
    /// others on the way nobody knows which one was there first, and whether the directory is on top.
    fn mount_of(&self, directory: &Directory<'_>) -> Option<u64> {
        let path = directory.path.filter(|path| !path.is_cut())?.bytes();
        let path = path.strip_suffix(b"//deleted").unwrap_or(&path);
        let inner = self
            .drawer
            .system
            .mounts_of(directory.ns?)
            .iter()
            .filter(|mount| matches!(mount.reach(), b"root" | b"over" | b"covered"))
            .filter(|mount| is_below(path, &mount.point.bytes()))
            .max_by_key(|mount| (mount.point.bytes().len(), !mount.has("root")))?;
        inner.has("root").then_some(inner.id)
    }

    fn fs_struct(&mut self) -> Option<usize> {
        let task = self.task;
        if task.root.is_none() && task.cwd.is_none() {
            return None;
        }
        let node = self.drawer.add(&drawing::FS_STRUCT, "", Column::Second);
        for directory in self.directories() {
            // It may lie in another mount namespace than the process.
            let row = match directory.ns.filter(|ns| task.mntns != Some(*ns)) {
                Some(ns) => {
                    let to = self.mount_namespace(ns, directory.ns_key);
                    Row::field(directory.ns_name, "another one")
                        .leading("", to)
                        .mark(Mark::Bad)
                }
                None => Row::field(directory.ns_name, directory.ns),
            };
            self.row(node, row.key(directory.ns_key));
            let row = Row::field(directory.name, directory.path).key(directory.key);
            let to = self
                .mount_of(&directory)
                .and_then(|mount| self.drawer.drawn_mount(mount));
            self.row(
                node,
                match to {
                    Some(to) => row.leading(".mnt", to),
                    None => row,
                },
            );
        }
        let about: Shown = match task.chroot {
            Some(true) => "root is not that of the mount namespace".into(),
            Some(false) => "root is that of the mount namespace".into(),
            None => "-".into(),
        };
        self.row(node, Row::remark("chroot", about).key("chroot="));
        Some(node)
    }

    fn signal_struct(&mut self, pid: usize) -> usize {
        let task = self.task;
        let node = self.drawer.add(&drawing::SIGNAL_STRUCT, "", Column::Second);
        self.row(node, Row::field("nr_threads", task.threads).key("threads="));
        self.row(node, Row::link("pids[PIDTYPE_TGID]", Way::To, pid));
        for (name, numbers, key) in [
            ("pids[PIDTYPE_PGID]", task.pgid, "pgid="),
            ("pids[PIDTYPE_SID]", task.sid, "sid="),
        ] {
            // They come in the namespaces of numbers[], which are at most that many.
            let numbers = Shown::list(numbers.iter().take(LEVELS).map(Shown::from));
            self.row(
                node,
                Row::field(name, shown!["pid {", numbers, "}"]).key(key),
            );
        }
        node
    }

    fn css_set(&mut self) -> Option<usize> {
        let task = self.task;
        task.cgroup?;
        let node = self.drawer.add(&drawing::CSS_SET, "", Column::Second);
        let cgroup = self.drawer.add(&drawing::CGROUP, "", Column::Third);
        self.row(cgroup, Row::field("kn", task.cgroup).key("cgroup="));
        self.row(
            cgroup,
            Row::field("kn->id", task.cgroup_id).key("cgroup_id="),
        );
        self.row(node, Row::link("dfl_cgrp", Way::To, cgroup));
        Some(node)
    }
}

/// Whether a path is that of a directory, or of something below.
fn is_below(path: &[u8], directory: &[u8]) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) => rest.is_empty() || rest.starts_with(b"/") || directory.ends_with(b"/"),
        None => false,
    }
}
