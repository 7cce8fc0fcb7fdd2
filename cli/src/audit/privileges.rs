// SPDX-License-Identifier: GPL-2.0

//! Rules about what walls a container has: A6, A7 and A12.

use std::collections::{BTreeSet, HashSet};

use crate::identity::Runtime;
use crate::text::{Inum, Mount, NsType, Task};

use super::{is_writable, Facts, Findings, Severity, Subject};

/// `CAP_SYS_ADMIN` of `include/uapi/linux/capability.h`.
pub(super) const SYS_ADMIN: u64 = 1 << 21;

/// The names of the capabilities, by their numbers (`include/uapi/linux/capability.h`).
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// So many are told by their names; of more the number is.
const MOST_TOLD: usize = 6;

const fn bits(names: &[u32]) -> u64 {
    let mut bits = 0;
    let mut at = 0;
    while at < names.len() {
        bits |= 1 << names[at];
        at += 1;
    }
    bits
}

/// What docker, containerd and cri-o give.
const OCI: u64 = 0xa804_25fb;
/// What systemd-nspawn gives, with CAP_NET_ADMIN for a network namespace of its own.
const NSPAWN: u64 = 0xfdec_bfff;
/// What lxc takes away by its common.conf: sys_module, sys_rawio, sys_time, mac_override, mac_admin.
const LXC: u64 = !bits(&[16, 17, 25, 32, 33]);

/// The capabilities that a runtime gives unless it is asked for more.
fn usual(runtime: Runtime) -> u64 {
    match runtime {
        Runtime::Nspawn | Runtime::Machine => NSPAWN,
        Runtime::Lxc => LXC,
        _ => OCI,
    }
}

/// Names capabilities.
fn named(bits: u64) -> String {
    let names: Vec<&str> = CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(at, _)| bits & (1 << at) != 0)
        .map(|(_, name)| *name)
        .collect();
    if names.len() <= MOST_TOLD {
        return names.join(", ");
    }
    // What opens most doors comes first.
    let mut told: Vec<&str> = ["sys_admin", "sys_module", "sys_ptrace", "sys_rawio", "bpf"]
        .into_iter()
        .filter(|name| names.contains(name))
        .collect();
    let rest = names.len() - told.len();
    let rest = format!("{rest} more");
    told.push(&rest);
    told.join(", ")
}

/// A7 and A12. Gives the containers that look privileged.
pub(super) fn find(facts: &Facts<'_, '_>, found: &mut Findings) -> HashSet<usize> {
    let mut privileged = HashSet::new();
    for (container, members) in facts.with_members() {
        if looks_privileged(facts, container, members, found) {
            privileged.insert(container);
        }
        user_namespace(facts, container, members, found);
    }
    privileged
}

/// A7.
fn looks_privileged(
    facts: &Facts<'_, '_>,
    container: usize,
    members: &[usize],
    found: &mut Findings,
) -> bool {
    let in_initial: Vec<usize> = members
        .iter()
        .copied()
        .filter(|index| facts.is_host(NsType::User, facts.task(*index).userns))
        .collect();
    if in_initial.is_empty() {
        return false;
    }
    let usual = usual(facts.containers.list[container].runtime);
    let beyond = |task: &Task<'_>| task.caps.map_or(0, |caps| caps.0 & !usual);
    let mut tasks: Vec<usize> = in_initial
        .iter()
        .copied()
        .filter(|index| beyond(facts.task(*index)) != 0)
        .collect();
    let capabilities = tasks
        .iter()
        .fold(0, |all, index| all | beyond(facts.task(*index)));
    let unfiltered: Vec<usize> = in_initial
        .iter()
        .copied()
        .filter(|index| facts.task(*index).seccomp == Some(0))
        .collect();
    let mut signs: Vec<&str> = Vec::new();
    if !unfiltered.is_empty() {
        signs.push("no seccomp filter");
    }
    let mut mounts: Vec<&Mount<'_>> = Vec::new();
    for inum in &facts.mount_namespaces[container] {
        if facts.is_of_initial_user(*inum) {
            mounts.extend(open_files(facts, *inum, &mut signs));
        }
    }
    if capabilities == 0 && signs.len() < 2 {
        return false;
    }
    let mut parts = Vec::new();
    if capabilities != 0 {
        parts.push(format!(
            "capabilities beyond the usual ({})",
            named(capabilities)
        ));
    }
    parts.extend(signs.iter().map(|sign| (*sign).to_string()));
    let what = format!("looks privileged: {}", parts.join(", "));
    if tasks.is_empty() {
        tasks = if unfiltered.is_empty() {
            in_initial
        } else {
            unfiltered
        };
    }
    let finding = found.add("A7", Severity::Medium, Subject::Container(container), what);
    finding.tasks = tasks;
    finding.mounts = mounts.iter().map(|mount| mount.id).collect();
    true
}

/// What of the kernel's files is open that runtimes close: adds a sign for each, and gives the mounts that show it.
fn open_files<'a, 't>(
    facts: &Facts<'a, 't>,
    mntns: Inum,
    signs: &mut Vec<&'static str>,
) -> Vec<&'a Mount<'t>> {
    let points = facts.system.mount_points(mntns);
    let mut open = Vec::new();
    for (path, fstype, sign) in [
        ("/proc/sys", "proc", "/proc/sys writable"),
        ("/sys", "sysfs", "/sys writable"),
    ] {
        let mount = points.of(path.as_bytes());
        if let Some(mount) =
            mount.filter(|one| one.fstype.raw() == fstype.as_bytes() && is_writable(one))
        {
            open.push(mount);
            if !signs.contains(&sign) {
                signs.push(sign);
            }
        }
    }
    // A mount over the file hides it.
    let kcore = points.of(b"/proc/kcore");
    if let Some(mount) = kcore.filter(|one| one.fstype.raw() == b"proc") {
        if !open.iter().any(|one| one.id == mount.id) {
            open.push(mount);
        }
        if !signs.contains(&"/proc/kcore not hidden") {
            signs.push("/proc/kcore not hidden");
        }
    }
    open
}

/// The types of namespace that A6 tells of. What is shared of the rest is A1's, or says nothing.
const SHARED: [NsType; 5] = [
    NsType::Pid,
    NsType::Net,
    NsType::Ipc,
    NsType::Uts,
    NsType::Cgroup,
];

/// A6.
pub(super) fn shared(facts: &Facts<'_, '_>, privileged: &HashSet<usize>, found: &mut Findings) {
    for (container, members) in facts.with_members() {
        // One that has broken out shares all. What the container shares, its first process does.
        let first = facts.containers.list[container].first;
        let first = if members.contains(&first) {
            first
        } else {
            members[0]
        };
        let task = facts.task(first);
        let is_shared = |ns_type: NsType| facts.is_host(ns_type, task.namespace(ns_type));
        let mut types: Vec<&str> = SHARED
            .into_iter()
            .filter(|ns_type| is_shared(*ns_type))
            .map(NsType::name)
            .collect();
        if types.is_empty() {
            continue;
        }
        if is_shared(NsType::Time) {
            types.push(NsType::Time.name());
        }
        let (severity, more) = if privileged.contains(&container) {
            (Severity::High, ", and looks privileged")
        } else {
            (Severity::Info, "")
        };
        let what = format!("shares with the host: {}{more}", types.join(", "));
        let finding = found.add("A6", severity, Subject::Container(container), what);
        finding.tasks.push(first);
        finding.namespaces = NsType::ALL
            .into_iter()
            .filter(|ns_type| types.contains(&ns_type.name()))
            .filter_map(|ns_type| task.namespace(ns_type))
            .collect();
    }
}

/// A12.
fn user_namespace(
    facts: &Facts<'_, '_>,
    container: usize,
    members: &[usize],
    found: &mut Findings,
) {
    let first = facts.containers.list[container].first;
    let Some(own) = facts
        .task(first)
        .userns
        .filter(|inum| !facts.is_host(NsType::User, Some(*inum)))
    else {
        return;
    };
    let subject = Subject::Container(container);
    let map = facts.system.namespace(own).and_then(|one| one.uid_map);
    if map.is_some_and(|map| map.inside(0) == Some(0)) {
        let what = "its user namespace maps root to root of the host".to_string();
        let finding = found.add("A12", Severity::High, subject.clone(), what);
        finding.tasks.push(first);
        finding.namespaces.push(own);
    }
    let mut types: BTreeSet<&str> = BTreeSet::new();
    let mut tasks = Vec::new();
    let mut namespaces = BTreeSet::new();
    for index in members {
        let task = facts.task(*index);
        if facts.is_host(NsType::User, task.userns) {
            continue;
        }
        let open: Vec<(NsType, Inum)> = facts
            .system
            .differs(task)
            .filter(|(ns_type, inum)| *ns_type != NsType::User && facts.is_of_initial_user(*inum))
            .collect();
        if open.is_empty() {
            continue;
        }
        tasks.push(*index);
        types.extend(open.iter().map(|(ns_type, _)| ns_type.name()));
        namespaces.extend(open.iter().map(|(_, inum)| *inum));
    }
    if !tasks.is_empty() {
        let types: Vec<&str> = types.into_iter().collect();
        let what = format!(
            "in a user namespace of its own, but the initial one owns its namespaces: {}",
            types.join(", ")
        );
        let finding = found.add("A12", Severity::High, subject, what);
        finding.tasks = tasks;
        finding.namespaces = namespaces.into_iter().collect();
    }
}
