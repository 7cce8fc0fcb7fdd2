// SPDX-License-Identifier: GPL-2.0

//! Who a process belongs to: a container, a pod, a unit of systemd, or a jail that nobody has named.
//!
//! The kernel knows no containers. What runs one puts it into a cgroup with a telling name, so the cgroup's path says
//! who it is ([`of_cgroup`]); where it does not, the namespaces that a process shares with no host tell it apart.
//! [`Containers::find`] does both for a whole picture. Names that people know come from files that the runtimes leave
//! ([`names`]); no daemon is asked.

use std::collections::HashMap;

use crate::system::System;
use crate::text::{Inum, NsType, Task};

pub mod names;

pub use names::{Known, Names};

/// What a cgroup's path says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// What runs it.
    pub runtime: Runtime,
    /// The runtime's own id: 64 hexadecimal digits, or a name.
    pub id: String,
    /// The UID of the Kubernetes pod that it is in.
    pub pod_uid: Option<String>,
}

/// What runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Runtime {
    Docker,
    Containerd,
    Crio,
    Podman,
    Nerdctl,
    /// A container of a pod, by whichever runtime.
    Kubernetes,
    Nspawn,
    Machine,
    Lxc,
    /// What the state files of crun name, and no manager does.
    Crun,
    /// The same of runc.
    Runc,
    /// A unit of systemd.
    Systemd,
    /// Namespaces of its own, by whomever.
    Jail,
}

impl Runtime {
    /// Its name, as the command shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Podman => "podman",
            Self::Nerdctl => "nerdctl",
            Self::Kubernetes => "kubernetes",
            Self::Nspawn => "nspawn",
            Self::Machine => "machined",
            Self::Lxc => "lxc",
            Self::Crun => "crun",
            Self::Runc => "runc",
            Self::Systemd => "systemd",
            Self::Jail => "jail",
        }
    }

    /// Whether it runs containers; units and jails are something else.
    pub const fn is_container(self) -> bool {
        !matches!(self, Self::Systemd | Self::Jail)
    }
}

/// Whether this is the id of a container: 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether this is the beginning of such an id, as docker gives it for a host name.
fn is_short_id(text: &str) -> bool {
    text.len() == 12
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads a cgroup's path from the innermost component outwards: a container's, or else a unit's.
pub fn of_cgroup(path: &str) -> Option<Identity> {
    let parts: Vec<&str> = path
        .trim_end_matches("//deleted")
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let found = (0..parts.len())
        .rev()
        .find_map(|at| container_at(&parts, at));
    if let Some((runtime, id)) = found {
        return Some(Identity {
            runtime,
            id,
            pod_uid: pod_uid(&parts),
        });
    }
    let unit = parts
        .iter()
        .rev()
        .find(|part| part.ends_with(".service") || part.ends_with(".scope"))?;
    Some(Identity {
        runtime: Runtime::Systemd,
        id: (*unit).to_string(),
        pod_uid: None,
    })
}

/// Of the path of a cgroup that is in a container, the cgroup that the runtime made for that: the one that names it.
pub fn directory_of_container(path: &str) -> Option<&str> {
    // Where each component ends; the first one is what stands before the first slash: nothing.
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()])
        .filter(|end| *end > 0);
    let mut parts = Vec::new();
    let mut begin = 1;
    let mut found = None;
    for end in ends {
        parts.push(path.get(begin..end)?);
        begin = end + 1;
        if container_at(&parts, parts.len() - 1).is_some() {
            found = Some(end);
        }
    }
    path.get(..found?)
}

/// Whether that is a cgroup of what runs the container, beside the one of its payload: so do systemd-nspawn and those that
/// machined knows.
fn is_beside_payload(runtime: Runtime, path: &str) -> bool {
    matches!(runtime, Runtime::Nspawn | Runtime::Machine)
        && !path.split('/').any(|part| part == "payload")
}

fn container_at(parts: &[&str], at: usize) -> Option<(Runtime, String)> {
    let part = parts[at];
    let above = at.checked_sub(1).map(|at| parts[at]);
    if let Some(scope) = part.strip_suffix(".scope") {
        for (prefix, runtime) in [
            ("docker-", Runtime::Docker),
            ("cri-containerd-", Runtime::Containerd),
            ("crio-", Runtime::Crio),
            ("libpod-", Runtime::Podman),
        ] {
            if let Some(id) = scope.strip_prefix(prefix).filter(|id| is_id(id)) {
                return Some((runtime, id.to_string()));
            }
        }
        if let Some(id) = scope.strip_prefix("nerdctl-").filter(|id| !id.is_empty()) {
            return Some((Runtime::Nerdctl, id.to_string()));
        }
        if let Some(name) = scope
            .strip_prefix("machine-")
            .filter(|name| !name.is_empty())
        {
            return Some((Runtime::Machine, unescape_unit(name)));
        }
    }
    if let Some(name) = part
        .strip_prefix("systemd-nspawn@")
        .and_then(|name| name.strip_suffix(".service"))
    {
        return Some((Runtime::Nspawn, unescape_unit(name)));
    }
    if let Some(name) = part
        .strip_prefix("lxc.payload.")
        .filter(|name| !name.is_empty())
    {
        return Some((Runtime::Lxc, name.to_string()));
    }
    if let Some(id) = part
        .rsplit_once(":cri-containerd:")
        .map(|(_, id)| id)
        .filter(|id| is_id(id))
    {
        return Some((Runtime::Containerd, id.to_string()));
    }
    match above {
        Some("docker") if is_id(part) => Some((Runtime::Docker, part.to_string())),
        Some("lxc") => Some((Runtime::Lxc, part.to_string())),
        Some("libpod_parent") => part
            .strip_prefix("libpod-")
            .filter(|id| is_id(id))
            .map(|id| (Runtime::Podman, id.to_string())),
        // Rootless podman with cgroupfs.
        Some("user.slice") if at > 1 && is_id(part) => Some((Runtime::Podman, part.to_string())),
        Some(above) if is_id(part) && pod_of(above).is_some() => {
            Some((Runtime::Kubernetes, part.to_string()))
        }
        _ => None,
    }
}

/// The pod that a component names: `pod<UID>`, `kubepods…-pod<UID>.slice`.
fn pod_of(part: &str) -> Option<String> {
    let uid = match part.strip_prefix("pod") {
        Some(uid) => uid.to_string(),
        None => {
            let slice = part
                .strip_suffix(".slice")
                .filter(|slice| slice.starts_with("kubepods"))?;
            slice.rsplit_once("-pod")?.1.replace('_', "-")
        }
    };
    let is_uid = uid.len() >= 32
        && uid
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uid.then_some(uid)
}

/// The pod that one of the components names; podman's pods have an id.
fn pod_uid(parts: &[&str]) -> Option<String> {
    parts.iter().rev().find_map(|part| {
        let podman = part
            .strip_prefix("machine-libpod_pod_")
            .and_then(|rest| rest.strip_suffix(".slice"));
        pod_of(part).or_else(|| podman.filter(|id| is_id(id)).map(|id| id[..12].to_string()))
    })
}

/// Undoes the escapes of systemd's unit names: `\x2d` is a dash.
fn unescape_unit(name: &str) -> String {
    let mut parts = name.split("\\x");
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            Some(byte) => {
                out.push(byte);
                out.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                out.extend_from_slice(b"\\x");
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One container, pod sandbox, unit or jail.
#[derive(Clone, Debug)]
pub struct Container {
    /// What runs it.
    pub runtime: Runtime,
    /// The runtime's own id; of a jail, the inode number of the namespace that tells it apart.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// The name is a guess: the host name in its uts namespace, or the first process's own name.
    pub is_guess: bool,
    /// The Kubernetes pod that it is in, or podman's: `namespace/name`, or the UID.
    pub pod: Option<String>,
    /// It is the pause container of a pod.
    pub is_sandbox: bool,
    /// Its first process, by where it stands among the tasks.
    pub first: usize,
    /// Its processes, the oldest first, by where they stand among the tasks.
    pub tasks: Vec<usize>,
}

impl Container {
    /// What to call it: its name, or the beginning of its id.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.short_id())
    }

    /// The first 12 digits of an id, or the whole name that stands in its place.
    pub fn short_id(&self) -> &str {
        if is_id(&self.id) {
            &self.id[..12]
        } else {
            &self.id
        }
    }
}

/// Shortens an id at the end of a unit's name, as in that of the scope of a container's conmon.
fn shorten(unit: &str) -> String {
    let (name, kind) = unit.rsplit_once('.').unwrap_or((unit, ""));
    match name.rsplit_once('-') {
        Some((before, id)) if is_id(id) => format!("{before}-{}.{kind}", &id[..12]),
        _ => unit.to_string(),
    }
}

/// All containers, units and jails of a picture that have a namespace of their own.
#[derive(Clone, Debug, Default)]
pub struct Containers {
    /// They come in the order of their first processes.
    pub list: Vec<Container>,
    of_task: Vec<Option<u32>>,
    /// Whether a process is in the cgroup of its container.
    in_cgroup: Vec<bool>,
}

/// Why processes are one group, before it is known whether that is a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Group {
    Cgroup(Identity),
    Jail(NsType, Inum),
}

impl Containers {
    /// Finds them.
    pub fn find(system: &System<'_>, names: &Names) -> Self {
        let mut finder = Finder {
            system,
            names,
            groups: Vec::new(),
            by_group: HashMap::new(),
            of_task: vec![None; system.tasks.len()],
            in_cgroup: vec![false; system.tasks.len()],
        };
        finder.by_cgroup();
        finder.by_state_files();
        finder.jails();
        finder.members_by_state_files();
        finder.finish()
    }

    /// The container of a process, by where that stands among the tasks.
    pub fn of_task(&self, task: usize) -> Option<&Container> {
        self.place_of_task(task).map(|at| &self.list[at])
    }

    /// Where the container of a process stands in the list.
    pub fn place_of_task(&self, task: usize) -> Option<usize> {
        let at = self.of_task.get(task).copied().flatten()?;
        usize::try_from(at).ok()
    }

    /// The container, no unit and no jail, whose cgroup a process is in, by where that stands in the list. What runs a
    /// container, and is in a cgroup beside its payload, is not in it. Who came in from outside is in its namespaces
    /// alone, and not in its cgroup.
    pub fn member_of(&self, task: usize) -> Option<usize> {
        let is_member = self.in_cgroup.get(task).copied().unwrap_or(false);
        self.place_of_task(task)
            .filter(|at| is_member && self.list[*at].runtime.is_container())
    }

    /// Those that a name fits best.
    pub fn named(&self, name: &str) -> Vec<&Container> {
        let fits = || {
            self.list
                .iter()
                .filter_map(|one| Some((one.fit(name)?, one)))
        };
        let best = fits().map(|(fit, _)| fit).min();
        fits()
            .filter(|(fit, _)| Some(*fit) == best)
            .map(|(_, one)| one)
            .collect()
    }
}

/// How well a name that was typed fits a container. The best comes first, and alone counts: nobody can make the name of
/// another container mean two by what they call their host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It is what its runtime calls it, its whole id, or its pod.
    Own,
    /// It is the beginning of its id, or the name of its unit without `.service`.
    Short,
    /// It is what its name was guessed to be.
    Guess,
}

impl Identity {
    fn fit(&self, known: &Known, name: &str) -> Option<Fit> {
        fit(
            self.runtime,
            &self.id,
            known.name.as_deref(),
            known.pod.as_deref().or(self.pod_uid.as_deref()),
            name,
        )
    }
}

impl Container {
    fn fit(&self, name: &str) -> Option<Fit> {
        let own = self.name.as_deref().filter(|_| !self.is_guess);
        fit(self.runtime, &self.id, own, self.pod.as_deref(), name)
            .or_else(|| (self.is_guess && self.name.as_deref() == Some(name)).then_some(Fit::Guess))
    }
}

fn fit(
    runtime: Runtime,
    id: &str,
    own: Option<&str>,
    pod: Option<&str>,
    name: &str,
) -> Option<Fit> {
    if own == Some(name) || id == name || pod == Some(name) {
        return Some(Fit::Own);
    }
    // Of an id at least 3 digits are asked for.
    let begins = is_id(id) && name.len() >= 3 && id.starts_with(name);
    let is_unit = runtime == Runtime::Systemd && id.strip_suffix(".service") == Some(name);
    (begins || is_unit).then_some(Fit::Short)
}

struct Finder<'a, 't> {
    system: &'a System<'t>,
    names: &'a Names,
    groups: Vec<(Group, Vec<usize>)>,
    by_group: HashMap<Group, usize>,
    of_task: Vec<Option<u32>>,
    in_cgroup: Vec<bool>,
}

impl Finder<'_, '_> {
    /// Where a group stands among all, which may be a new one.
    fn group(&mut self, group: Group) -> usize {
        match self.by_group.get(&group) {
            Some(at) => *at,
            None => {
                self.groups.push((group.clone(), Vec::new()));
                self.by_group.insert(group, self.groups.len() - 1);
                self.groups.len() - 1
            }
        }
    }

    fn put(&mut self, group: usize, task: usize) {
        self.groups[group].1.push(task);
        self.of_task[task] = Some(group as u32);
    }

    /// By the cgroup: containers at once, units where they have a namespace of their own.
    fn by_cgroup(&mut self) {
        /// What a cgroup says, found once for each.
        #[derive(Clone, Copy)]
        enum Says {
            Nothing,
            Container(usize),
            /// In the cgroup of what runs it.
            Supervisor(usize),
            Unit(usize),
        }
        let mut known: HashMap<&[u8], Says> = HashMap::new();
        let mut units: Vec<(Identity, Vec<usize>)> = Vec::new();
        let mut by_unit: HashMap<Identity, usize> = HashMap::new();
        // One process after the other is in the same, mostly.
        let mut last: Option<(&[u8], Says)> = None;
        let system = self.system;
        for (index, task) in system.tasks.iter().enumerate() {
            let Some(cgroup) = task.cgroup.filter(|_| !task.is_kthread()) else {
                continue;
            };
            let says = match last {
                Some((raw, says)) if raw == cgroup.raw() => says,
                _ => *known.entry(cgroup.raw()).or_insert_with(|| {
                    let path = String::from_utf8_lossy(&cgroup.bytes()).into_owned();
                    match of_cgroup(&path).or_else(|| self.names.by_cgroup(&path)) {
                        None => Says::Nothing,
                        Some(unit) if unit.runtime == Runtime::Systemd => {
                            // A session has no walls of its own: who makes some in it is a jail.
                            if unit.id == "init.scope" || unit.id.starts_with("session-") {
                                return Says::Nothing;
                            }
                            Says::Unit(*by_unit.entry(unit.clone()).or_insert_with(|| {
                                units.push((unit, Vec::new()));
                                units.len() - 1
                            }))
                        }
                        Some(identity) => {
                            let is_beside = is_beside_payload(identity.runtime, &path);
                            let group = self.group(Group::Cgroup(identity));
                            if is_beside {
                                Says::Supervisor(group)
                            } else {
                                Says::Container(group)
                            }
                        }
                    }
                }),
            };
            last = Some((cgroup.raw(), says));
            match says {
                Says::Nothing => {}
                Says::Container(group) => {
                    self.put(group, index);
                    self.in_cgroup[index] = true;
                }
                Says::Supervisor(group) => self.put(group, index),
                Says::Unit(unit) => units[unit].1.push(index),
            }
        }
        let claimed = self.claimed();
        for (unit, tasks) in units {
            let has_own = tasks.iter().any(|task| {
                system
                    .differs(&system.tasks[*task])
                    .any(|(_, inum)| !claimed.contains_key(&inum))
            });
            if has_own {
                let group = self.group(Group::Cgroup(unit));
                for task in tasks {
                    self.put(group, task);
                }
            }
        }
    }

    /// The oldest of these processes that has not ended; if all have, the oldest one. What starts a container may be
    /// a zombie in it for as long as nobody waits for it.
    fn eldest(&self, tasks: &[usize]) -> Option<usize> {
        let lives = |task: &&usize| !self.system.tasks[**task].has_ended();
        tasks.iter().find(lives).or(tasks.first()).copied()
    }

    /// The namespaces of what is a container already, and which one that is. Each is the first one's that has it.
    fn claimed(&self) -> HashMap<Inum, u32> {
        let mut claimed = HashMap::new();
        for (at, (_, tasks)) in self.groups.iter().enumerate() {
            let Some(first) = self.eldest(tasks) else {
                continue;
            };
            for (_, inum) in self.system.differs(&self.system.tasks[first]) {
                claimed.entry(inum).or_insert(at as u32);
            }
        }
        claimed
    }

    /// By the files that crun and runc leave: the process that they started, and who is in its namespaces.
    fn by_state_files(&mut self) {
        for state in self.names.states() {
            let Some(first) = self
                .system
                .tasks
                .iter()
                .position(|task| task.pid == state.pid)
            else {
                continue;
            };
            if self.of_task[first].is_some()
                || self
                    .system
                    .differs(&self.system.tasks[first])
                    .next()
                    .is_none()
            {
                continue;
            }
            let identity = Identity {
                runtime: state.runtime,
                id: state.id.clone(),
                pod_uid: None,
            };
            let group = self.group(Group::Cgroup(identity));
            self.put(group, first);
            self.in_cgroup[first] = true;
        }
    }

    /// Of a container that a state file alone names: who has the cgroup of its first process, and is in its namespaces.
    fn members_by_state_files(&mut self) {
        for (_, tasks) in &self.groups {
            let Some(first) = self.eldest(tasks).filter(|at| self.in_cgroup[*at]) else {
                continue;
            };
            let cgroup = self.system.tasks[first].cgroup;
            for task in tasks {
                self.in_cgroup[*task] |= self.system.tasks[*task].cgroup == cgroup;
            }
        }
    }

    /// By namespaces: who has another one than the host, and is in no container by its cgroup.
    fn jails(&mut self) {
        let mut claimed = self.claimed();
        // One process after the other is in the same, mostly.
        let mut last: Option<((NsType, Inum), usize)> = None;
        for index in 0..self.system.tasks.len() {
            let task = &self.system.tasks[index];
            if self.of_task[index].is_some() || task.is_kthread() {
                continue;
            }
            let Some(first @ (ns_type, inum)) = self.system.differs(task).next() else {
                continue;
            };
            if let Some((_, group)) = last.filter(|(of, _)| *of == first) {
                self.put(group, index);
                continue;
            }
            let inum = if ns_type == NsType::Pid {
                self.system.outermost_pid_namespace(inum)
            } else {
                inum
            };
            let group = match claimed.get(&inum) {
                Some(group) => *group as usize,
                None => {
                    let group = self.group(Group::Jail(ns_type, inum));
                    claimed.insert(inum, group as u32);
                    group
                }
            };
            self.put(group, index);
            last = Some((first, group));
        }
    }

    fn finish(self) -> Containers {
        let host_name = self
            .system
            .host(NsType::Uts)
            .and_then(|inum| self.system.namespace(inum))
            .and_then(|one| one.nodename)
            .map(|name| name.bytes());
        let mut list: Vec<Container> = self
            .groups
            .iter()
            .map(|(group, tasks)| self.container(group, tasks, host_name.as_deref()))
            .collect();
        let mut order: Vec<usize> = (0..list.len()).collect();
        order.sort_by_key(|at| list[*at].first);
        let mut place = vec![0u32; list.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = new as u32;
        }
        list.sort_by_key(|one| one.first);
        let of_task = self
            .of_task
            .iter()
            .map(|at| at.map(|at| place[at as usize]))
            .collect();
        Containers {
            list,
            of_task,
            in_cgroup: self.in_cgroup,
        }
    }

    fn container(&self, group: &Group, tasks: &[usize], host_name: Option<&[u8]>) -> Container {
        let (runtime, id, pod_uid) = match group {
            Group::Cgroup(identity) => (
                identity.runtime,
                identity.id.clone(),
                identity.pod_uid.clone(),
            ),
            Group::Jail(_, inum) => (Runtime::Jail, inum.to_string(), None),
        };
        // Who came in from outside, with nsenter, is not the first one, and has no namespace of its own.
        let eldest = self.eldest(tasks).unwrap_or(tasks[0]);
        let first = match runtime {
            Runtime::Systemd | Runtime::Nspawn | Runtime::Machine => tasks
                .iter()
                .copied()
                .find(|task| {
                    self.system
                        .differs(&self.system.tasks[*task])
                        .any(|(ns_type, _)| runtime == Runtime::Systemd || ns_type == NsType::Pid)
                })
                .unwrap_or(eldest),
            _ => eldest,
        };
        let names = self.names.of(runtime, &id);
        let mut one = Container {
            runtime,
            name: names.name,
            is_guess: false,
            pod: names.pod.or(pod_uid),
            is_sandbox: names.is_sandbox,
            first,
            tasks: tasks.to_vec(),
            id,
        };
        if one.name.is_none()
            && (runtime == Runtime::Systemd || (runtime.is_container() && !is_id(&one.id)))
        {
            one.name = Some(shorten(&one.id));
        }
        if one.name.is_none() {
            one.name = self.guess(&self.system.tasks[first], host_name, &one.id);
            one.is_guess = one.name.is_some();
        }
        one
    }

    /// The host name that it has, if that says something; or the name of its first process.
    fn guess(&self, first: &Task<'_>, host_name: Option<&[u8]>, id: &str) -> Option<String> {
        let node = first
            .utsns
            .and_then(|inum| self.system.namespace(inum))
            .and_then(|one| one.nodename)
            .map(|name| String::from_utf8_lossy(&name.bytes()).into_owned());
        match node {
            // Docker's own default is the beginning of the id, of this or of a container whose namespace it shares.
            Some(node)
                if !node.is_empty()
                    && Some(node.as_bytes()) != host_name
                    && !is_short_id(&node) =>
            {
                Some(node)
            }
            _ if is_id(id) => None,
            _ => Some(String::from_utf8_lossy(&first.comm.bytes()).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn check(path: &str, wanted: Option<(Runtime, &str, Option<&str>)>) {
        let found = of_cgroup(&path.replace("<id>", ID));
        let found = found
            .as_ref()
            .map(|one| (one.runtime, one.id.as_str(), one.pod_uid.as_deref()));
        assert_eq!(found, wanted, "{path}");
    }

    #[test]
    fn containers() {
        let uid = Some("8a3ef0ad-6c5c-4e35-b9a2-1f6d2a9a5d01");
        for (path, runtime, pod) in [
            ("/system.slice/docker-<id>.scope", Runtime::Docker, None),
            ("/docker/<id>", Runtime::Docker, None),
            ("/system.slice/docker-<id>.scope/init.scope", Runtime::Docker, None),
            ("/machine.slice/libpod-<id>.scope/container", Runtime::Podman, None),
            ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<id>.scope/container", Runtime::Podman, None),
            ("/user.slice/user-1000.slice/user@1000.service/user.slice/<id>", Runtime::Podman, None),
            ("/libpod_parent/libpod-<id>", Runtime::Podman, None),
            ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod8a3ef0ad_6c5c_4e35_b9a2_1f6d2a9a5d01.slice/cri-containerd-<id>.scope", Runtime::Containerd, uid),
            ("/kubepods.slice/kubepods-pod8a3ef0ad_6c5c_4e35_b9a2_1f6d2a9a5d01.slice/crio-<id>.scope", Runtime::Crio, uid),
            ("/system.slice/kubepods-pod8a3ef0ad_6c5c_4e35_b9a2_1f6d2a9a5d01.slice:cri-containerd:<id>", Runtime::Containerd, None),
            ("/kubepods/besteffort/pod8a3ef0ad-6c5c-4e35-b9a2-1f6d2a9a5d01/<id>", Runtime::Kubernetes, uid),
        ] {
            check(path, Some((runtime, ID, pod)));
        }
        check(
            "/machine.slice/systemd-nspawn@deb.service/payload/system.slice/ssh.service",
            Some((Runtime::Nspawn, "deb", None)),
        );
        check(
            "/machine.slice/machine-my\\x2dbox.scope",
            Some((Runtime::Machine, "my-box", None)),
        );
        check(
            "/lxc.payload.web/init.scope",
            Some((Runtime::Lxc, "web", None)),
        );
        check("/lxc/web", Some((Runtime::Lxc, "web", None)));
        check(
            "/system.slice/nerdctl-ab12.scope",
            Some((Runtime::Nerdctl, "ab12", None)),
        );
    }

    #[test]
    fn directories_of_containers() {
        let check = |path: &str, directory: Option<&str>| {
            let with_id = |text: &str| text.replace("<id>", ID);
            assert_eq!(
                directory_of_container(&with_id(path)).map(str::to_string),
                directory.map(with_id)
            );
        };
        check(
            "/system.slice/docker-<id>.scope/init.scope",
            Some("/system.slice/docker-<id>.scope"),
        );
        check(
            "/machine.slice/systemd-nspawn@deb.service/payload/system.slice/ssh.service",
            Some("/machine.slice/systemd-nspawn@deb.service"),
        );
        // One in another one: the inner one.
        check(
            "/lxc.payload.web/docker/<id>",
            Some("/lxc.payload.web/docker/<id>"),
        );
        check("/lxc.payload.web", Some("/lxc.payload.web"));
        check("/system.slice/ssh.service", None);
        check("/", None);
    }

    /// What has started a container, and is a zombie in its cgroup, is not its first process.
    #[test]
    fn a_zombie_is_not_the_first() {
        let text = format!(
            "nsinspect 1 release=x uptime=3\n\
             ns mnt 4026531832 id=1 owner=4026531837 tasks=1 refs=1 active=1\n\
             task 1 comm=init level=0 upid=1@4026531836 ppid=1 uid=0 state=S start=5 pidns=4026531836 mntns=4026531832 cgroup=/\n\
             task 7 comm=3 level=0 upid=7@4026531836 ppid=1 uid=0 state=Z start=6 pidns=4026531836 mntns=- cgroup=/docker/{ID}\n\
             task 8 comm=sh level=0 upid=8@4026531836 ppid=1 uid=0 state=S start=7 pidns=4026531836 mntns=4026532001 cgroup=/docker/{ID}\n\
             task 9 comm=nsenter level=0 upid=9@4026531836 ppid=1 uid=0 state=S start=8 pidns=4026531836 mntns=4026532001 cgroup=/\n\
             end\n"
        );
        let system = System::read(text.as_bytes()).expect("the text is whole");
        let containers = Containers::find(&system, &Names::none());
        let list: Vec<(u32, usize)> = containers
            .list
            .iter()
            .map(|one| (system.tasks[one.first].pid, one.tasks.len()))
            .collect();
        assert_eq!(list, [(8, 3)]);
    }

    /// A jail whose first process is called as the id of a container begins is not meant by that.
    #[test]
    fn guesses_come_last() {
        let task = |pid: u32, comm: &str, cgroup: &str, mnt: u32| {
            format!("task {pid} comm={comm} level=0 upid={pid}@4026531836 ppid=1 uid=0 start=5 mntns={mnt} pidns=4026531836 cgroup={cgroup}\n")
        };
        let text = format!(
            "nsinspect 1 release=x uptime=3\nns mnt 4026531832 id=1 owner=4026531837 tasks=1 refs=1 active=1\n{}{}{}end\n",
            task(1, "init", "/", 4_026_531_832),
            task(7, "012345", "/user.slice/session-1.scope", 4_026_532_001),
            task(8, "sleep", &format!("/docker/{ID}"), 4_026_532_002),
        );
        let system = System::read(text.as_bytes()).expect("the text is whole");
        let containers = Containers::find(&system, &Names::none());
        let pids = |name: &str| -> Vec<u32> {
            let found = containers.named(name);
            found
                .iter()
                .map(|one| system.tasks[one.first].pid)
                .collect()
        };
        assert_eq!(containers.list.len(), 2);
        assert_eq!(pids("012345"), [8]);
        assert_eq!(pids("4026532001"), [7]);
        assert_eq!(pids(ID), [8]);
        assert_eq!(pids("01"), [0; 0]);
    }

    #[test]
    fn helpers_are_no_containers() {
        check(
            "/machine.slice/libpod-conmon-<id>.scope",
            Some((Runtime::Systemd, &format!("libpod-conmon-{ID}.scope"), None)),
        );
        check(
            "/kubepods.slice/crio-conmon-<id>.scope",
            Some((Runtime::Systemd, &format!("crio-conmon-{ID}.scope"), None)),
        );
        check("/lxc.monitor.web", None);
        check(
            "/system.slice/docker-short.scope",
            Some((Runtime::Systemd, "docker-short.scope", None)),
        );
        check("/", None);
        check(
            "/user.slice/user-1000.slice/user@1000.service/app.slice",
            Some((Runtime::Systemd, "user@1000.service", None)),
        );
    }
}
