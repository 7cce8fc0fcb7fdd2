// SPDX-License-Identifier: GPL-2.0

//! The rules: what each means, how it is abused, what is normal, and how to mend it.
//!
//! A rule is told by its id for good. What it looks at stands in the files beside this one.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "command", derive(clap::ValueEnum))]
pub enum Severity {
    /// Worth to know; most systems have some.
    Info,
    /// It makes an attack easier.
    Low,
    /// Something is stuck. Nobody is attacked.
    Warning,
    /// It should not be so without a reason.
    Medium,
    /// It lets who is in the container reach the host.
    High,
    /// It has happened: somebody is out, or hides.
    Critical,
}

impl Severity {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Warning => "warning",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule. The texts are for people, one paragraph each.
#[derive(Debug)]
pub struct Rule {
    /// Its id, as `A4`.
    pub id: &'static str,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// How bad its findings are, as a rule.
    pub severity: Severity,
    /// When it fires.
    pub condition: &'static str,
    /// What an attacker does with it.
    pub abuse: &'static str,
    /// Where it is as it should be, and whether that is told apart.
    pub normal: &'static str,
    /// What to do.
    pub cure: &'static str,
    /// Where more is written.
    pub sources: &'static [&'static str],
}

const ESCAPE: &str =
    "MITRE ATT&CK T1611, Escape to Host: https://attack.mitre.org/techniques/T1611/";
const DEPLOY: &str =
    "MITRE ATT&CK T1610, Deploy Container: https://attack.mitre.org/techniques/T1610/";
const CIS: &str = "CIS Docker Benchmark, section 5: https://www.cisecurity.org/benchmark/docker";
const PSS: &str = "Kubernetes Pod Security Standards: https://kubernetes.io/docs/concepts/security/pod-security-standards/";

/// All rules, in the order of their ids.
pub static RULES: [Rule; 14] = [
    Rule {
        id: "A1",
        title: "process of a container in the host's mount namespace",
        severity: Severity::Critical,
        condition: "A process is in the cgroup of a container, and its mount namespace is the initial one.",
        abuse: "It sees all files of the host as the host does. An attacker with CAP_SYS_ADMIN gets there with setns() \
                on /proc/1/ns/mnt (nsenter --target 1 --mount), for which a container with --pid=host and --privileged is \
                enough. Few leave the cgroup as well, so that the cgroup still says where they came from.",
        normal: "None. What runs the container is in a cgroup beside its payload, and is not looked at. runc and crun go \
                 through this state for some milliseconds when they start a process: one that is called as they are and \
                 younger than 10 s is told as info.",
        cure: "Find out what the process is: nsinspect explain PID. Take away --privileged, CAP_SYS_ADMIN and --pid=host \
               from the container. The host is to be regarded as taken over.",
        sources: &[ESCAPE],
    },
    Rule {
        id: "A2",
        title: "process in a container's pid namespace, but not in its mount namespace",
        severity: Severity::High,
        condition: "A process is in the pid namespace of a container, or one below it, and in a mount namespace that is the \
                    initial one, or that belongs to others outside of that pid namespace.",
        abuse: "Who escapes with setns() takes another mount namespace and another cgroup, but stays in its pid \
                namespace: a process cannot leave that. So this finds who has left the cgroup behind, too.",
        normal: "Containers that share a pid namespace, as pause and side-car containers of a pod, each have a mount \
                 namespace of their own. A sandbox inside of a container has made its own. Neither is told. runc and crun \
                 on their way are told as info, as for A1. An administrator's nsenter --pid without --mount is told.",
        cure: "As for A1. Of an administrator's own nsenter nothing is to be mended.",
        sources: &[ESCAPE],
    },
    Rule {
        id: "A3",
        title: "process of no container in the namespaces of one",
        severity: Severity::Medium,
        condition: "A process is in no container's cgroup, and in a namespace that a container was the first to be in. \
                    Where that is its network namespace alone, it is told as info: proxies and DHCP clients do so.",
        abuse: "It looks into the container, or changes it, and its limits do not hold for it. An attacker on the host \
                hides work in somebody else's container in this way.",
        normal: "An administrator's nsenter, as long as it runs. What podman and pasta start for a container without \
                 root was in these namespaces before it, and is not told.",
        cure: "Look who its parent is: nsinspect ps --tree. To get into a container, docker exec, podman exec or \
               lxc-attach keep to its cgroup.",
        sources: &[
            "MITRE ATT&CK T1609, Container Administration Command: https://attack.mitre.org/techniques/T1609/",
            "nsenter(1)",
        ],
    },
    Rule {
        id: "A4",
        title: "container with a directory of the host that gives the host away",
        severity: Severity::High,
        condition: "A mount of a container has the device and the directory of the host's /, or of a directory in which /etc, \
                    /root, the kubelet's or a container runtime's files, or the socket of a runtime lie. Device and directory are \
                    compared, not names: it does not matter where the host or the container mounts them. High if it is writable; \
                    low if it is read-only, or if root in the container is none of the host's. A socket itself is high, read-only or \
                    not: that keeps nobody from writing to it. What is mounted below comes along, and is not told on its own.",
        abuse: "A writable /etc gives root by cron or sudoers, the socket of a runtime starts a privileged container, the \
                kubelet's directory has the secrets of all pods. Read-only it still has keys and password hashes.",
        normal: "Node exporters and log collectors mount / read-only, which is told as low. Agents that manage containers \
                 need the socket of the runtime: accept these with --save-baseline.",
        cure: "Mount the one file or directory that is needed, read-only. In the place of the socket, use a proxy that \
               lets pass what is needed.",
        sources: &[ESCAPE, CIS, PSS, "CVE-2019-5736, CVE-2021-30465"],
    },
    Rule {
        id: "A5",
        title: "block device of the host mounted in a container",
        severity: Severity::High,
        condition: "A mount of a container has a file system on a block device, from its top. High if a directory of \
                    the host's system lies on that device; if the host itself has it mounted nowhere; or if a process of the container has \
                    CAP_SYS_ADMIN in the initial user namespace, so that it may have mounted it by itself. Otherwise the host has given \
                    it, and it is told as info.",
        abuse: "Who may mount devices reads and writes the host's files behind its back: mount /dev/sda1 /mnt.",
        normal: "Volumes of the kubelet, of CSI drivers and of docker's plugins are block devices, which are mounted below \
                 the directories of these. They are not told. Nor is the container's own root, which may be a device.",
        cure: "Take away CAP_SYS_ADMIN and the device (--device, --privileged). Give storage by a volume.",
        sources: &[ESCAPE, CIS],
    },
    Rule {
        id: "A6",
        title: "container that shares a namespace with the host",
        severity: Severity::Info,
        condition: "A container is in the initial pid, net, ipc, uts or cgroup namespace. That it shares the time namespace \
                    is told along with these; alone it says nothing, as no runtime makes one unless it is asked to. High if the \
                    container looks privileged as well (A7).",
        abuse: "With the pid namespace it sees and, being privileged, traces all processes; with net it reaches what \
                listens on localhost, and abstract sockets; with ipc it has the host's shared memory.",
        normal: "kube-proxy, network plugins and node exporters share net, some pid.",
        cure: "Leave out --pid=host, --network=host, --ipc=host, --uts=host, --cgroupns=host (hostPID, hostNetwork, hostIPC).",
        sources: &[CIS, PSS],
    },
    Rule {
        id: "A7",
        title: "container that looks privileged",
        severity: Severity::Medium,
        condition: "A process of a container has capabilities in the initial user namespace that its runtime does not give \
                    unless it is asked to; or two of these hold: it has no seccomp filter, it can write to /proc/sys, it can write to \
                    /sys, nothing hides /proc/kcore from it. In a user namespace of its own none of that reaches the host, and nothing is told.",
        abuse: "CAP_SYS_ADMIN mounts devices and enters namespaces, CAP_SYS_MODULE loads kernel code, CAP_SYS_PTRACE with the host's \
                pid namespace takes over processes, a writable /proc/sys sets kernel.core_pattern, which the host runs as root.",
        normal: "Network plugins, storage drivers and agents that watch the kernel. Accept them with --save-baseline.",
        cure: "In the place of --privileged, give the one capability (--cap-add) or device (--device) that is needed; or \
               run it in a user namespace.",
        sources: &[ESCAPE, DEPLOY, CIS, PSS, "capabilities(7)"],
    },
    Rule {
        id: "A8",
        title: "cgroups beyond its own writable in a container",
        severity: Severity::High,
        condition: "A mount of a container in the initial user namespace is a writable cgroup hierarchy of version 1, or a \
                    writable cgroup2 that shows more than the container's own cgroup.",
        abuse: "In version 1, release_agent names a program that the host runs as root. In cgroup2, the container lifts its own \
                limits, and freezes or kills others.",
        normal: "systemd in a container has a writable cgroup2 that shows its own cgroup: not told.",
        cure: "Let the container have a cgroup namespace of its own (--cgroupns=private), and no CAP_SYS_ADMIN. Use cgroup2.",
        sources: &[ESCAPE, "CVE-2022-0492", "cgroups(7), cgroup_namespaces(7)"],
    },
    Rule {
        id: "A9",
        title: "hidden process",
        severity: Severity::Critical,
        condition: "A process is on the kernel's list of all, but cannot be found by its number; or the other way round.",
        abuse: "A rootkit takes a process from one of the two, so that ps or kill do not see it.",
        normal: "None.",
        cure: "Take an image of the machine's memory before you do anything else. Who can do this has code in the kernel: the \
               machine cannot be trusted, nor can this program on it.",
        sources: &["MITRE ATT&CK T1014, Rootkit: https://attack.mitre.org/techniques/T1014/"],
    },
    Rule {
        id: "A10",
        title: "process that is called as a thread of the kernel",
        severity: Severity::High,
        condition: "A process is none of the kernel's, runs as the host's root, and its name is in brackets, is that of a \
                    thread of the kernel, or begins as those do (kworker/).",
        abuse: "In the output of ps nobody looks twice at [kworker/0:1].",
        normal: "When the kernel starts a program of its own accord, as modprobe, that has the name of its kworker for a \
                 moment. Such a one, whose parent is a thread of the kernel and that is younger than 10 s, is told as info.",
        cure: "Look at its program: ls -l /proc/PID/exe. A thread of the kernel has none.",
        sources: &["MITRE ATT&CK T1036.004, Masquerade Task or Service: https://attack.mitre.org/techniques/T1036/004/"],
    },
    Rule {
        id: "A11",
        title: "root or working directory outside of its mount namespace",
        severity: Severity::High,
        condition: "The root or the working directory of a process lies in another mount namespace than its own; or the root of a \
                    container's process is the host's /, by device and directory. Low if the process itself is in the \
                    host's mount namespace: who looks into a container by /proc/PID/root does that.",
        abuse: "Relative paths lead out of the container. With CVE-2024-21626 an image does that by its working directory, \
                /proc/self/fd/8: runc had left a directory of the host open.",
        normal: "Debug pods with the host's / at /host, and chroot /host in them. Services that change their root \
                 within their own mount namespace, as postfix, avahi, or RootDirectory=, are not told.",
        cure: "Update runc to 1.1.12 or later. Look at the image's WORKDIR.",
        sources: &[ESCAPE, "CVE-2024-21626"],
    },
    Rule {
        id: "A12",
        title: "user namespace of a container that is no wall",
        severity: Severity::High,
        condition: "A container has a user namespace of its own, and its root is the host's root by uid_map; or a process in \
                    it is in a namespace that neither is the host's nor belongs to its user namespace, but to the initial one.",
        abuse: "Files of the host's root are its own, wherever it gets at them. In a namespace of the initial user namespace, \
                what its runtime set up there was not locked as it is for one that it does not trust.",
        normal: "Services with PrivateUsers=, and unshare --map-root-user by root, map root to root, and are no containers: not told.",
        cure: "Map the container's root to a user of its own: --userns-remap, --userns=auto, subuid(5).",
        sources: &["user_namespaces(7)", CIS],
    },
    Rule {
        id: "A13",
        title: "process that is traced from outside of its pid namespace",
        severity: Severity::Medium,
        condition: "The tracer of a process in a pid namespace is in none that is the same, or below.",
        abuse: "A tracer reads and changes all of the process: its secrets, and what it does next.",
        normal: "Debuggers and strace, as long as they run.",
        cure: "Look who it is: nsinspect pid TRACER. kernel.yama.ptrace_scope limits who may trace.",
        sources: &["MITRE ATT&CK T1055.008, Ptrace System Calls: https://attack.mitre.org/techniques/T1055/008/", "ptrace(2)"],
    },
    Rule {
        id: "S1",
        title: "something that does not end",
        severity: Severity::Warning,
        condition: "A pid namespace's first process has ended, and it is still there; nothing leads to a namespace, \
                    and it is still there; or a file system on a block device is in use, though it is mounted nowhere and nobody \
                    holds it. With --since these are told that have been so for so long; else all are, as info.",
        abuse: "None. A container does not stop, a device stays busy, memory is not given back.",
        normal: "For a moment, whenever a container ends.",
        cure: "Ask what keeps it: nsinspect holders NAMESPACE, nsinspect holders dev:MAJOR:MINOR.",
        sources: &["pid_namespaces(7)", "namespaces(7)"],
    },
];

impl Rule {
    /// Where it stands among all.
    pub(crate) fn place(&self) -> usize {
        RULES
            .iter()
            .position(|rule| rule.id == self.id)
            .unwrap_or(RULES.len())
    }
}

/// The rule with that id, which there is.
pub(crate) fn of(id: &'static str) -> &'static Rule {
    rule(id).unwrap_or(&RULES[0])
}

/// The rule with that id, however that is written.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id.eq_ignore_ascii_case(id))
}
