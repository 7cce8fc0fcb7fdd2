// SPDX-License-Identifier: GPL-2.0

//! From records to holders: one a row.

use std::collections::{HashMap, HashSet};

use crate::output::{Cell, Words};
use crate::system::System;
use crate::text::{Device, Hold, Inum, Mount, NsType};

use super::super::mounts::own_namespace;
use super::end::{shell_word, End, Exits};
use super::machine::Machine;
use super::overlay;
use super::target::Held;

/// A reason why something stays.
pub(super) struct Holder<'a> {
    /// What is held; a process may be in several namespaces.
    pub(super) held: Vec<Held>,
    /// By what.
    pub(super) by: Cell<'a>,
    pub(super) pid: Option<u32>,
    pub(super) fd: Option<u32>,
    pub(super) path: Cell<'a>,
    pub(super) mount: Option<u64>,
    pub(super) mntns: Option<Inum>,
    /// The record that tells it.
    pub(super) hold: Option<&'a Hold<'a>>,
    /// The same in words.
    pub(super) means: String,
    /// The command that would end it.
    pub(super) end: Option<String>,
    /// It keeps what is held, and does not only belong to it.
    pub(super) keeps: bool,
    /// The order: those that are to be ended first come first.
    rank: u8,
}

impl<'a> Holder<'a> {
    fn new(held: Held, by: impl Into<Cell<'a>>, means: impl Into<String>) -> Self {
        Self {
            held: vec![held],
            by: by.into(),
            pid: None,
            fd: None,
            path: Cell::absent(),
            mount: None,
            mntns: None,
            hold: None,
            means: means.into(),
            end: None,
            keeps: true,
            rank: PROCESS,
        }
    }

    fn at_mount(mut self, mount: &Mount<'_>) -> Self {
        self.mount = Some(mount.id);
        self.mntns = Some(mount.ns);
        self
    }

    fn ended(mut self, end: End) -> Self {
        match end {
            End::Command(command) => self.end = Some(command),
            End::Not(why) => {
                self.means.push_str("; ");
                self.means.push_str(why);
            }
        }
        self
    }

    fn ranked(mut self, rank: u8) -> Self {
        self.rank = rank;
        self
    }
}

const TASK: u8 = 0;
const PROCESS: u8 = 1;
const JOINED: u8 = 2;
const MOUNT: u8 = 3;
const OTHER: u8 = 4;

/// Where to look.
pub(super) struct Finder<'a> {
    /// All namespaces and processes.
    pub(super) context: &'a System<'a>,
    /// All mounts.
    pub(super) mounts: &'a System<'a>,
    pub(super) exits: &'a Exits<'a, 'a>,
    /// This very process.
    pub(super) own_pid: Option<u32>,
    /// The machine's own files, if it is this one.
    pub(super) machine: Option<Machine>,
    /// The mount that was asked for by its path.
    pub(super) place: Option<u64>,
}

impl<'a> Finder<'a> {
    /// Who holds these.
    pub(super) fn find(&self, held: &[Held], holds: &[&'a Hold<'a>]) -> Vec<Holder<'a>> {
        let mut holders = self.tasks(held);
        for one in held {
            for hold in holds.iter().filter(|hold| one.is_of(hold)) {
                if self.own_pid.is_none() || hold.pid != self.own_pid {
                    holders.push(self.of_hold(*one, hold));
                }
            }
            match *one {
                Held::Device(device) => {
                    holders.extend(self.submounts(*one, |mount| mount.device == device));
                    holders.extend(self.overlays(*one, device));
                    holders.extend(self.of_machine(
                        *one,
                        |mount| mount.device == device,
                        Some(device),
                    ));
                }
                Held::Mount(id, _) => {
                    holders.extend(self.submounts(*one, |mount| mount.id == id));
                    holders.extend(self.of_machine(*one, |mount| mount.id == id, None));
                }
                Held::Namespace(_) => {}
            }
        }
        holders.sort_by_key(|holder| holder.rank);
        holders
    }

    /// The processes in namespaces, each once.
    fn tasks(&self, held: &[Held]) -> Vec<Holder<'a>> {
        let types: HashMap<NsType, Vec<Inum>> =
            held.iter().fold(HashMap::new(), |mut types, one| {
                if let Held::Namespace(inum) = one {
                    if let Some(namespace) = self.context.namespace(*inum) {
                        types.entry(namespace.ns_type).or_default().push(*inum);
                    }
                }
                types
            });
        let mut holders = Vec::new();
        for task in &self.context.tasks {
            if Some(task.pid) == self.own_pid {
                continue;
            }
            let mut inside = held.iter().filter(|one| match one {
                Held::Namespace(inum) => types.iter().any(|(ns_type, all)| {
                    all.contains(inum) && task.namespace(*ns_type) == Some(*inum)
                }),
                _ => false,
            });
            let Some(first) = inside.next() else { continue };
            let mut holder = Holder::new(*first, "task", "is in it");
            holder.held.extend(inside);
            holder.pid = Some(task.pid);
            let is_dying = task
                .pidns
                .and_then(|ns| self.context.namespace(ns))
                .is_some_and(|one| one.dying == Some(true) && one.reaper == Some(task.pid));
            if task.is_zombie() {
                holder
                    .means
                    .push_str(", has ended, and was not yet waited for");
            } else if is_dying {
                holder
                    .means
                    .push_str(", was killed, and waits until the others are gone");
            } else {
                holder = holder.ended(self.exits.kill(task.pid, std::iter::empty()));
            }
            holders.push(holder.ranked(TASK));
        }
        holders
    }

    fn of_hold(&self, held: Held, hold: &'a Hold<'a>) -> Holder<'a> {
        let mut holder = Holder::new(held, hold.by, self.means(hold));
        holder.pid = hold.pid;
        holder.fd = hold.fd;
        holder.path = hold.path.into();
        holder.mount = hold.mount;
        holder.mntns = hold.mntns;
        holder.keeps = hold.keeps != Some(false);
        holder.hold = Some(hold);
        match hold.at.map(|at| at.raw()) {
            Some(b"detached") => holder.means.push_str("; it was unmounted with umount -l"),
            Some(b"anonymous") => holder
                .means
                .push_str("; it is in a mount tree that only a descriptor leads to"),
            _ => {}
        }
        if !holder.keeps {
            return holder.ranked(OTHER);
        }
        match hold.by.raw() {
            b"zombie" => {
                let waiter = hold.tracer.or(hold.ppid);
                match waiter {
                    Some(waiter) => holder.ended(self.exits.kill(waiter, std::iter::empty())),
                    None => holder,
                }
            }
            b"unknown" => {
                holder.end = Some("echo 2 >/proc/sys/vm/drop_caches".to_string());
                holder.ranked(OTHER)
            }
            b"child" => holder.ranked(OTHER),
            _ => match (hold.pid, hold.mount) {
                (Some(pid), _) => {
                    let also = hold.also.map(|also| also.iter().collect::<Vec<_>>());
                    holder.ended(self.exits.kill(pid, also.unwrap_or_default().into_iter()))
                }
                (None, Some(id)) => {
                    let mount = self.exits.mount(id);
                    if Some(id) == self.place {
                        holder
                            .means
                            .push_str("; this is the one that was asked for");
                        holder.keeps = false;
                    }
                    match mount {
                        Some(mount) => {
                            // As a process in there sees it.
                            holder.path = mount.point.into();
                            holder.ended(self.unmount(mount)).ranked(MOUNT)
                        }
                        None => holder.ranked(MOUNT),
                    }
                }
                _ => holder.ranked(OTHER),
            },
        }
    }

    /// Unmounts; what `ip netns` has made, goes by that.
    fn unmount(&self, mount: &Mount<'_>) -> End {
        let end = self.exits.unmount(mount);
        let name = mount
            .point
            .bytes()
            .strip_prefix(b"/run/netns/")
            .filter(|name| !name.contains(&b'/'))
            .and_then(shell_word);
        match (end, name) {
            (End::Command(_), Some(name))
                if self.exits.is_host(mount.ns) && mount.root.raw().starts_with(b"net:[") =>
            {
                End::Command(format!("ip netns del {name}"))
            }
            (end, _) => end,
        }
    }

    /// What a record means, with the process as the subject where it has one.
    fn means(&self, hold: &Hold<'_>) -> String {
        let is_ns = hold.held_namespace().is_some();
        let process = |pid: Option<u32>| match pid {
            Some(pid) => match self.context.task(pid) {
                Some(task) => format!("{pid} ({})", String::from_utf8_lossy(&task.comm.bytes())),
                None => pid.to_string(),
            },
            None => "somebody".to_string(),
        };
        match (hold.by.raw(), is_ns) {
            (b"fd", false) => "has a file or directory on it open".to_string(),
            (b"cwd", false) => "has its working directory on it".to_string(),
            (b"root", false) => "has its root directory on it".to_string(),
            (b"exe", false) => "runs a program on it".to_string(),
            (b"map", false) => "has mapped a file on it".to_string(),
            (b"blockdev", false) => "has the block device open".to_string(),
            (b"mount", false) => "it is mounted".to_string(),
            (b"fd", true) => "has the namespace's file open".to_string(),
            (b"pidfd", true) => match hold.of {
                Some(pid) => format!("has a pidfd of {}, which is in it", process(Some(pid))),
                None => "has a pidfd of a process that was in it, and has ended".to_string(),
            },
            (b"socket", true) => "is elsewhere, and has a socket in it".to_string(),
            (b"cred", true) => "is elsewhere, and has a file that was opened in it".to_string(),
            (b"mount", true) => "its file is mounted there".to_string(),
            (b"fs", true) => {
                let fstype = hold
                    .mount
                    .and_then(|id| self.exits.mount(id))
                    .map(|mount| String::from_utf8_lossy(&mount.fstype.bytes()).into_owned());
                let fstype = fstype.as_deref().unwrap_or("file system");
                match (hold.keeps, hold.pid) {
                    (Some(false), _) => format!("a {fstype} shows it, and does not keep it"),
                    (_, Some(_)) => format!("leads to a {fstype} that belongs to it"),
                    _ => format!("a {fstype} that belongs to it is mounted"),
                }
            }
            (b"child", true) => match hold.ns.and_then(|inum| self.context.namespace(inum)) {
                Some(below) => format!(
                    "{}:[{}] is {} it; \"nsinspect holders {}\" tells what keeps that",
                    below.ns_type,
                    below.inum(),
                    if below.parent == hold.held_namespace() && below.parent.is_some() {
                        "below"
                    } else {
                        "owned by"
                    },
                    below.inum()
                ),
                None => "a namespace is below it, or owned by it".to_string(),
            },
            (b"thread", true) => "a thread of it is in there".to_string(),
            (b"for_children", true) => "its children will be in there".to_string(),
            (b"zombie", true) => match (hold.tracer, hold.ppid) {
                (Some(tracer), _) => format!(
                    "has ended, and {}, which traces it, does not wait for it",
                    process(Some(tracer))
                ),
                (None, parent) => format!(
                    "has ended, and its parent {} does not wait for it",
                    process(parent)
                ),
            },
            (b"unknown", _) => "something that cannot be found: a file in a message that nobody has read (ss -xp), one \
                                 registered with io_uring (fdinfo), or what the kernel remembers until it needs the memory"
                .to_string(),
            // Of a later format.
            (other, _) => String::from_utf8_lossy(other).into_owned(),
        }
    }

    /// Mounts that lie on these: while they do, nobody unmounts what is below.
    fn submounts(&self, held: Held, is_below: impl Fn(&Mount<'_>) -> bool) -> Vec<Holder<'a>> {
        let below: HashSet<(Inum, u32)> = self
            .mounts
            .mounts
            .iter()
            .filter(|mount| is_below(mount))
            .map(|mount| (mount.ns, mount.mnt_id))
            .collect();
        self.mounts
            .mounts
            .iter()
            .filter(|mount| {
                mount.mnt_id != mount.parent && below.contains(&(mount.ns, mount.parent))
            })
            .map(|mount| {
                let means = format!(
                    "another mount ({}) is on it",
                    String::from_utf8_lossy(&mount.fstype.bytes())
                );
                let mut holder = Holder::new(held, "submount", means).at_mount(mount);
                holder.path = mount.point.into();
                holder.ended(self.unmount(mount)).ranked(JOINED)
            })
            .collect()
    }

    fn overlays(&self, held: Held, device: Device) -> Vec<Holder<'a>> {
        let host = self.context.host(NsType::Mnt);
        overlay::on(self.mounts, host, device)
            .into_iter()
            .map(|found| {
                let mut options: Vec<&str> = Vec::new();
                for layer in &found.layers {
                    if !options.contains(&layer.option) {
                        options.push(layer.option);
                    }
                }
                let mut means = format!(
                    "overlay dev:{} has its {} on it",
                    found.mount.device,
                    options.join(", ")
                );
                if found.mounts > 1 {
                    means.push_str(&format!(
                        ", and is mounted {} times: \"nsinspect holders dev:{}\" tells where",
                        found.mounts, found.mount.device
                    ));
                }
                let mut holder = Holder::new(held, "overlay", means).at_mount(found.mount);
                if let Some(layer) = found.layers.first() {
                    holder.path = Words::from(layer.path.clone()).into();
                }
                holder.ended(self.unmount(found.mount)).ranked(JOINED)
            })
            .collect()
    }

    /// Swap, loop devices, device mapper.
    fn of_machine(
        &self,
        held: Held,
        is_on: impl Fn(&Mount<'_>) -> bool,
        device: Option<Device>,
    ) -> Vec<Holder<'a>> {
        let Some(machine) = &self.machine else {
            return Vec::new();
        };
        let place = own_namespace().or_else(|| self.context.host(NsType::Mnt));
        let points = place.map(|ns| self.mounts.mount_points(ns));
        let lies_on = |path: &[u8]| {
            points
                .as_ref()
                .and_then(|points| points.of(path))
                .is_some_and(&is_on)
        };
        let mut holders = Vec::new();
        let mut add = |by: &'static str, path: &[u8], means: String, end: Option<String>| {
            let mut holder = Holder::new(held, by, means).ranked(JOINED);
            holder.path = Words::from(path.to_vec()).into();
            holder.end = end;
            holders.push(holder);
        };
        for path in machine.swaps() {
            let block = machine.block(&path);
            let is_it = match block {
                Some(block) => Some(block) == device,
                None => lies_on(&path),
            };
            if is_it {
                let end = shell_word(&path).map(|path| format!("swapoff {path}"));
                add("swap", &path, "it is swapped to".to_string(), end);
            }
        }
        for one in machine.loops() {
            let is_it = match machine.block(&one.file) {
                Some(block) => Some(block) == device,
                None => lies_on(&one.file),
            };
            if is_it {
                let means = format!("the loop device {} shows this file on it", one.name);
                let end =
                    shell_word(one.name.as_bytes()).map(|name| format!("losetup -d /dev/{name}"));
                add("loop", &one.file, means, end);
            }
        }
        for above in device
            .map(|device| machine.above(device))
            .unwrap_or_default()
        {
            let path = format!("/dev/{}", above.name);
            let (means, end) = match &above.dm_name {
                Some(name) => (
                    format!("the device mapper's {name} is made of it"),
                    shell_word(name.as_bytes()).map(|name| format!("dmsetup remove {name}")),
                ),
                None => (
                    "another device is made of it".to_string(),
                    above
                        .name
                        .starts_with("md")
                        .then(|| shell_word(path.as_bytes()))
                        .flatten()
                        .map(|path| format!("mdadm --stop {path}")),
                ),
            };
            add("device", path.as_bytes(), means, end);
        }
        holders
    }
}
