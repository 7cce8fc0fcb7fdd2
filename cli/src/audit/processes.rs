// SPDX-License-Identifier: GPL-2.0

//! Rules about where processes are: A1, A2, A3, A9, A10, A11 and A13.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::text::{Inum, NsType, Task};

use super::mounts::HostDirectories;
use super::{Facts, Findings, Severity, Subject};

/// Processes that show the same, by whom it concerns and how bad it is.
type Groups = BTreeMap<(Subject, Severity), Vec<usize>>;

pub(super) fn find(facts: &Facts<'_, '_>, found: &mut Findings) {
    in_host_mounts(facts, found);
    beside_mounts(facts, found);
    strangers(facts, found);
    hidden(facts, found);
    masked(facts, found);
    directories(facts, found);
    traced(facts, found);
}

/// Makes a finding of each group. `what` gets the names of its processes.
fn tell(
    facts: &Facts<'_, '_>,
    found: &mut Findings,
    id: &'static str,
    groups: Groups,
    what: impl Fn(&str) -> String,
    namespaces: impl Fn(&Task<'_>) -> Vec<Inum>,
) {
    for ((subject, severity), tasks) in groups {
        let finding = found.add(id, severity, subject, what(&facts.names(&tasks)));
        for index in &tasks {
            for inum in namespaces(facts.task(*index)) {
                if !finding.namespaces.contains(&inum) {
                    finding.namespaces.push(inum);
                }
            }
        }
        finding.tasks.extend(tasks);
    }
}

/// The severity of the rule, or info for what is on its way into a container.
fn severity(facts: &Facts<'_, '_>, task: &Task<'_>, usual: Severity) -> Severity {
    if facts.is_on_its_way(task) {
        Severity::Info
    } else {
        usual
    }
}

/// A1: in a container's cgroup, and in the host's mount namespace.
fn in_host_mounts(facts: &Facts<'_, '_>, found: &mut Findings) {
    let mut groups = Groups::new();
    for (at, members) in facts.with_members() {
        for index in members {
            let task = facts.task(*index);
            if facts.is_host(NsType::Mnt, task.mntns) {
                let severity = severity(facts, task, Severity::Critical);
                let key = (Subject::Container(at), severity);
                groups.entry(key).or_default().push(*index);
            }
        }
    }
    tell(
        facts,
        found,
        "A1",
        groups,
        |names| format!("in the host's mount namespace: {names}"),
        |task| task.mntns.into_iter().collect(),
    );
}

/// A2: in a container's pid namespace, and in the mount namespace of others.
fn beside_mounts(facts: &Facts<'_, '_>, found: &mut Findings) {
    // Of each pid namespace the container that it, or the innermost one around it that is a container's, belongs to.
    let mut owners: HashMap<Inum, Option<usize>> = HashMap::new();
    let mut groups = Groups::new();
    // One process after the other is in the same, mostly, and nothing is wrong with it.
    let mut good = None;
    for (index, task) in facts.users() {
        let (Some(pidns), Some(mntns)) = (task.pidns, task.mntns) else {
            continue;
        };
        if facts.is_host(NsType::Pid, Some(pidns)) || good == Some((pidns, mntns)) {
            continue;
        }
        let owner = *owners
            .entry(pidns)
            .or_insert_with(|| owner_of_pid_namespace(facts, pidns));
        let Some(owner) = owner else { continue };
        if !facts.is_host(NsType::Mnt, Some(mntns)) && !is_of_others(facts, task, mntns, owner) {
            good = Some((pidns, mntns));
            continue;
        }
        let severity = severity(facts, task, Severity::High);
        let key = (Subject::Container(owner), severity);
        groups.entry(key).or_default().push(index);
    }
    tell(
        facts,
        found,
        "A2",
        groups,
        |names| format!("in its pid namespace, but not in its mount namespace: {names}"),
        |task| task.pidns.into_iter().chain(task.mntns).collect(),
    );
}

fn owner_of_pid_namespace(facts: &Facts<'_, '_>, pidns: Inum) -> Option<usize> {
    let mut inum = pidns;
    // They nest 32 deep.
    for _ in 0..32 {
        if facts.is_host(NsType::Pid, Some(inum)) {
            return None;
        }
        if let Some(owner) = facts.owner(inum) {
            return Some(owner);
        }
        inum = facts.system.namespace(inum)?.parent?;
    }
    None
}

/// Whether a mount namespace was made by somebody who is neither in the process's outermost pid namespace nor in that
/// container.
fn is_of_others(facts: &Facts<'_, '_>, task: &Task<'_>, mntns: Inum, container: usize) -> bool {
    let Some(first) = facts.first_in.get(&mntns) else {
        return false;
    };
    let outermost = |task: &Task<'_>| {
        task.pidns
            .map(|inum| facts.system.outermost_pid_namespace(inum))
    };
    outermost(facts.task(*first)) != outermost(task)
        && facts.containers.member_of(*first) != Some(container)
}

/// A3: in no container's cgroup, and in a container's namespace.
fn strangers(facts: &Facts<'_, '_>, found: &mut Findings) {
    let mut groups: BTreeMap<(Subject, Severity), (Vec<usize>, HashSet<Inum>)> = BTreeMap::new();
    for (index, task) in facts.users() {
        if facts.containers.member_of(index).is_some() {
            continue;
        }
        let mut owned: BTreeMap<usize, Vec<(NsType, Inum)>> = BTreeMap::new();
        for (ns_type, inum) in facts.system.differs(task) {
            if let Some(owner) = facts.owner(inum) {
                owned.entry(owner).or_default().push((ns_type, inum));
            }
        }
        for (owner, namespaces) in owned {
            let is_net_alone = namespaces.iter().all(|(one, _)| *one == NsType::Net);
            let usual = if is_net_alone {
                Severity::Info
            } else {
                Severity::Medium
            };
            let key = (Subject::Container(owner), severity(facts, task, usual));
            let group = groups.entry(key).or_default();
            group.0.push(index);
            group.1.extend(namespaces.iter().map(|(_, inum)| *inum));
        }
    }
    for ((subject, severity), (tasks, namespaces)) in groups {
        let which = if severity == Severity::Info {
            "in its network namespace"
        } else {
            "in its namespaces"
        };
        let what = format!("not of it, and {which}: {}", facts.names(&tasks));
        let finding = found.add("A3", severity, subject, what);
        finding.tasks = tasks;
        finding.namespaces = namespaces.into_iter().collect();
        finding.namespaces.sort_unstable();
    }
}

/// A9: on one of the kernel's two lists, and not on the other.
fn hidden(facts: &Facts<'_, '_>, found: &mut Findings) {
    for (index, task) in facts.system.tasks.iter().enumerate() {
        let how = match (task.unlisted, task.unnumbered) {
            (true, _) => "is not on the kernel's list of processes",
            (_, true) => "cannot be found by its number",
            _ => continue,
        };
        let what = format!("{} {how}", facts.name(index));
        let finding = found.add("A9", Severity::Critical, facts.subject(index), what);
        finding.tasks.push(index);
    }
}

/// How threads of the kernel are called whose names have a number of a processor or device at the end.
const KERNEL_NAMES: [&[u8]; 8] = [
    b"kworker/",
    b"ksoftirqd/",
    b"migration/",
    b"cpuhp/",
    b"rcuop/",
    b"irq/",
    b"idle_inject/",
    b"scsi_eh_",
];

/// A10: a process of root with the name of a thread of the kernel.
fn masked(facts: &Facts<'_, '_>, found: &mut Findings) {
    let of_kernel: HashSet<_> = facts
        .system
        .tasks
        .iter()
        .filter(|task| task.is_kthread())
        .map(|task| task.comm.raw())
        .collect();
    let of_root = facts
        .users()
        .filter(|(_, task)| task.uid == 0 || task.euid == Some(0));
    let mut good = None;
    for (index, task) in of_root {
        if good == Some(task.comm) {
            continue;
        }
        let comm = task.comm.bytes();
        let is_called_so = (comm.starts_with(b"[") && comm.ends_with(b"]"))
            || KERNEL_NAMES.iter().any(|name| comm.starts_with(name))
            || of_kernel.contains(task.comm.raw());
        if !is_called_so {
            good = Some(task.comm);
            continue;
        }
        let parent = facts.system.task(task.ppid);
        let is_helper = parent.is_some_and(Task::is_kthread) && facts.age(task) < super::YOUNG;
        let severity = if is_helper {
            Severity::Info
        } else {
            Severity::High
        };
        let what = format!(
            "a process of root is called as a thread of the kernel: {}",
            facts.name(index)
        );
        let finding = found.add("A10", severity, facts.subject(index), what);
        finding.tasks.push(index);
    }
}

/// A11: a root or working directory that lies elsewhere.
fn directories(facts: &Facts<'_, '_>, found: &mut Findings) {
    let mut host = None;
    for (index, task) in facts.users() {
        let Some(mntns) = task.mntns else { continue };
        let usual = if facts.is_host(NsType::Mnt, Some(mntns)) {
            Severity::Low
        } else {
            Severity::High
        };
        for (which, inum) in [("root", task.rootns), ("working", task.cwdns)] {
            let Some(inum) = inum.filter(|inum| *inum != mntns) else {
                continue;
            };
            let whose = if facts.is_host(NsType::Mnt, Some(inum)) {
                "the host's"
            } else {
                "another"
            };
            let what = format!(
                "the {which} directory of {} is in {whose} mount namespace",
                facts.name(index)
            );
            let severity = severity(facts, task, usual);
            let finding = found.add("A11", severity, facts.subject(index), what);
            finding.tasks.push(index);
            for one in [mntns, inum] {
                if !finding.namespaces.contains(&one) {
                    finding.namespaces.push(one);
                }
            }
        }
        // Who is in a mount namespace of the container, and has the host's / as its own.
        let is_moved = task.chroot == Some(true)
            && task.rootns.is_none_or(|inum| inum == mntns)
            && facts.containers.member_of(index).is_some()
            && !facts.is_host(NsType::Mnt, Some(mntns));
        if is_moved {
            let host = host.get_or_insert_with(|| HostDirectories::of(facts));
            // A text of an earlier module does not say where a root lies that it calls /.
            let is_elsewhere =
                task.rootns.is_none() && task.root.is_some_and(|root| root.raw() == b"/");
            let is_hosts = is_elsewhere
                || task
                    .root
                    .is_some_and(|root| host.is_top(facts, mntns, &root.bytes()));
            if is_hosts {
                let what = format!("the root directory of {} is the host's", facts.name(index));
                let severity = severity(facts, task, Severity::High);
                let finding = found.add("A11", severity, facts.subject(index), what);
                finding.tasks.push(index);
            }
        }
    }
}

/// A13: traced from outside.
fn traced(facts: &Facts<'_, '_>, found: &mut Findings) {
    let threads: HashMap<u32, u32> = facts
        .system
        .threads
        .iter()
        .map(|thread| (thread.tid, thread.tgid))
        .collect();
    for (index, task) in facts.system.tasks.iter().enumerate() {
        let (Some(tracer), Some(pidns), true) = (task.tracer, task.pidns, task.level > 0) else {
            continue;
        };
        let process = facts
            .system
            .task_index(tracer)
            .or_else(|| facts.system.task_index(*threads.get(&tracer)?));
        let is_inside = process.is_some_and(|tracer| {
            let task = facts.task(tracer);
            task.upid.in_namespace(pidns).is_some()
        });
        if is_inside {
            continue;
        }
        let who = process.map_or_else(|| "a thread".to_string(), |tracer| facts.name(tracer));
        let what = format!(
            "{} is traced by {who}, from outside of its pid namespace",
            facts.name(index)
        );
        let finding = found.add("A13", Severity::Medium, facts.subject(index), what);
        finding.tasks.push(index);
        finding.tasks.extend(process);
        finding.namespaces.push(pidns);
    }
}
