// SPDX-License-Identifier: GPL-2.0

//! Rules about what is mounted in containers: A4, A5 and A8.
//!
//! What a mount shows is its device and the directory of that device's file system, whatever the way that leads there is called.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::identity::{self, Runtime};
use crate::system::{is_below, tidy, MountPoints};
use crate::text::{Device, Escaped, Inum, Mount, NsType};

use super::privileges::SYS_ADMIN;
use super::{is_writable, words, Facts, Findings, Severity, Subject};

/// Directories and files of the host that give it away, as they are called there.
const TARGETS: [&str; 10] = [
    "/",
    "/etc",
    "/etc/shadow",
    "/etc/kubernetes",
    "/root",
    "/root/.ssh",
    "/var/lib/kubelet",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/containerd",
];

/// The sockets of runtimes. Who reads them can write to them: no mount option keeps anybody from that.
const SOCKETS: [&str; 8] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
    "/run/dockershim.sock",
    "/run/systemd/private",
];

/// Where volumes are that the kubelet, drivers and plugins mount for containers.
const VOLUMES: [&[u8]; 5] = [
    b"/var/lib/kubelet",
    b"/var/lib/docker/plugins",
    b"/var/lib/docker/volumes",
    b"/var/lib/containers/storage/volumes",
    b"/run/containerd/io.containerd.grpc.v1.cri",
];

/// Directories of the system itself: who writes to the device of one changes programs or settings.
const SYSTEM: [&[u8]; 8] = [
    b"/",
    b"/boot",
    b"/boot/efi",
    b"/etc",
    b"/home",
    b"/root",
    b"/usr",
    b"/var",
];

/// The major numbers of loop devices and of what the kernel has in place of a device.
const LOOP: u32 = 7;

/// A directory or file of the host: its device, and where it is in that device's file system.
struct Target {
    /// What it is called on the host.
    path: &'static str,
    is_socket: bool,
    directory: Vec<u8>,
}

/// Where the directories of the host that give it away lie.
pub(super) struct HostDirectories<'a, 't> {
    by_device: BTreeMap<Device, Vec<Target>>,
    points: MountPoints<'a, 't>,
    mounts: &'a [Mount<'t>],
}

/// What a path leads to: the directory of a file system.
fn directory_at(mount: &Mount<'_>, path: &[u8]) -> Option<Vec<u8>> {
    if mount.root.is_cut() || mount.root.is_deleted() {
        return None;
    }
    let rest = path.strip_prefix(&*mount.point.bytes()).unwrap_or(path);
    let mut directory = mount.root.bytes().into_owned();
    directory.push(b'/');
    directory.extend_from_slice(rest);
    tidy(&directory)
}

impl<'a, 't> HostDirectories<'a, 't> {
    pub(super) fn of(facts: &Facts<'a, 't>) -> Self {
        let host = facts.system.host(NsType::Mnt);
        let points = host.map_or_else(MountPoints::default, |inum| facts.system.mount_points(inum));
        let mounts = host.map_or(&[][..], |inum| facts.system.mounts_of(inum));
        let mut by_device: BTreeMap<Device, Vec<Target>> = BTreeMap::new();
        let targets = TARGETS.iter().map(|path| (*path, false));
        let sockets = SOCKETS.iter().map(|path| (*path, true));
        for (path, is_socket) in targets.chain(sockets) {
            let Some(mount) = points.of(path.as_bytes()) else {
                continue;
            };
            if let Some(directory) = directory_at(mount, path.as_bytes()) {
                by_device.entry(mount.device).or_default().push(Target {
                    path,
                    is_socket,
                    directory,
                });
            }
        }
        Self {
            by_device,
            points,
            mounts,
        }
    }

    /// The first of these that one can get at by a mount: it shows that directory, or one above it.
    fn reached_by(&self, mount: &Mount<'_>) -> Option<&Target> {
        let targets = self.by_device.get(&mount.device)?;
        if mount.root.is_cut() {
            return None;
        }
        let root = mount.root.bytes();
        targets
            .iter()
            .find(|target| is_below(&target.directory, &root))
    }

    /// What the host calls the directory that a mount shows; where it has no name for that, the device and the directory.
    fn name(&self, mount: &Mount<'_>) -> String {
        let root = mount.root.bytes();
        let name = self
            .mounts
            .iter()
            .filter(|host| host.device == mount.device && host.reach() == b"root")
            .filter_map(|host| {
                let rest = is_below(&root, &host.root.bytes())
                    .then(|| root[host.root.bytes().len().min(root.len())..].to_vec())?;
                let mut path = host.point.bytes().into_owned();
                path.push(b'/');
                path.extend_from_slice(&rest);
                tidy(&path)
            })
            .find(|path| {
                self.points.of(path).is_some_and(|host| {
                    host.device == mount.device
                        && directory_at(host, path).is_some_and(|one| *one == *root)
                })
            });
        match name {
            Some(path) => format!("the host's {}", words(&path)),
            None => format!("{} of the host's device {}", words(&root), mount.device),
        }
    }

    /// Whether a path in a mount namespace leads to the host's `/`.
    pub(super) fn is_top(&self, facts: &Facts<'_, '_>, mntns: Inum, path: &[u8]) -> bool {
        let Some(top) = self.points.of(b"/") else {
            return false;
        };
        let points = facts.system.mount_points(mntns);
        points.of(path).is_some_and(|mount| {
            mount.device == top.device
                && directory_at(mount, path).as_deref() == Some(&*top.root.bytes())
        })
    }
}

pub(super) fn find(facts: &Facts<'_, '_>, found: &mut Findings) {
    let host = HostDirectories::of(facts);
    for (container, _) in facts.with_members() {
        let mounts: Vec<&Mount<'_>> = facts.mounts_of(container).collect();
        let given = host_directories(facts, &host, container, &mounts, found);
        devices(facts, &host, container, &mounts, &given, found);
        cgroups(facts, container, &mounts, &given, found);
    }
}

/// Whether root in a mount namespace is root of the host, for files that belong to that.
fn is_root_of_host(facts: &Facts<'_, '_>, mntns: Inum) -> bool {
    let owner = facts.system.namespace(mntns).and_then(|one| one.owner);
    let Some(owner) = owner.and_then(|inum| facts.system.namespace(inum)) else {
        // A text that does not say so is taken for the worse.
        return true;
    };
    owner
        .uid_map
        .is_none_or(|map| map.inside(0).is_some_and(|uid| uid == 0))
}

/// A4. Gives the mounts that it has found read-only, with what lies below them.
fn host_directories<'t>(
    facts: &Facts<'_, 't>,
    host: &HostDirectories<'_, '_>,
    container: usize,
    mounts: &[&Mount<'t>],
    found: &mut Findings,
) -> Vec<(Inum, Vec<u8>)> {
    let mut hits: Vec<(&Mount<'_>, &Target)> = mounts
        .iter()
        .filter_map(|mount| Some((*mount, host.reached_by(mount)?)))
        .collect();
    // What lies below another one came along with that.
    hits.sort_by_key(|(mount, _)| mount.point.bytes().len());
    let mut told: Vec<(Inum, Vec<u8>)> = Vec::new();
    let mut read_only = Vec::new();
    for (mount, target) in hits {
        let point = mount.point.bytes();
        if came_along(&told, mount.ns, &point) {
            continue;
        }
        told.push((mount.ns, point.to_vec()));
        let is_writable = is_writable(mount);
        if !is_writable {
            read_only.push((mount.ns, point.to_vec()));
        }
        let is_socket_itself = target.is_socket && *target.directory == *mount.root.bytes();
        let severity = if (is_writable || is_socket_itself) && is_root_of_host(facts, mount.ns) {
            Severity::High
        } else {
            Severity::Low
        };
        let how = match (is_socket_itself, is_writable) {
            (true, _) => format!("the socket {} of the host is", target.path),
            (false, true) => format!("{} is writable", host.name(mount)),
            (false, false) => format!("{} is readable", host.name(mount)),
        };
        let what = format!("{how} at {}", words(&point));
        let finding = found.add("A4", severity, Subject::Container(container), what);
        add_mount(finding, mount);
    }
    read_only
}

/// Whether a mount point lies at or below one that A4 has told.
fn came_along(told: &[(Inum, Vec<u8>)], ns: Inum, point: &[u8]) -> bool {
    told.iter()
        .any(|(of, above)| *of == ns && is_below(point, above))
}

fn add_mount(finding: &mut super::Finding, mount: &Mount<'_>) {
    finding.mounts.push(mount.id);
    if !finding.namespaces.contains(&mount.ns) {
        finding.namespaces.push(mount.ns);
    }
}

/// A5: block devices from their top.
fn devices(
    facts: &Facts<'_, '_>,
    host: &HostDirectories<'_, '_>,
    container: usize,
    mounts: &[&Mount<'_>],
    read_only: &[(Inum, Vec<u8>)],
    found: &mut Findings,
) {
    let runtime = facts.containers.list[container].runtime;
    for mount in mounts {
        let point = mount.point.bytes();
        let is_device = mount.device.major != 0
            || (mount.fstype.raw() == b"btrfs" && mount.source.raw().starts_with(b"/dev/"));
        if !is_device || mount.root.raw() != b"/" || *point == *b"/" {
            continue;
        }
        if came_along(read_only, mount.ns, &point) {
            continue;
        }
        let of_host: Vec<&Mount<'_>> = host
            .mounts
            .iter()
            .filter(|one| one.device == mount.device)
            .collect();
        let lies_in = |directories: &[&[u8]]| {
            of_host.iter().any(|one| {
                let point = one.point.bytes();
                directories
                    .iter()
                    .any(|directory| is_below(&point, directory))
            })
        };
        if lies_in(&VOLUMES) {
            continue;
        }
        let is_of_system = of_host
            .iter()
            .any(|one| SYSTEM.contains(&&*one.point.bytes()));
        let is_image = runtime == Runtime::Nspawn && mount.device.major == LOOP;
        let is_bad = is_of_system
            || (of_host.is_empty() && !is_image)
            || facts.can_mount(container, mount.ns);
        let severity = if is_bad {
            Severity::High
        } else {
            Severity::Info
        };
        let whose = if of_host.is_empty() {
            ", which the host has mounted nowhere,"
        } else {
            ""
        };
        let name = mount.source.bytes();
        let name = if name.starts_with(b"/dev/") {
            words(&name)
        } else {
            mount.device.to_string()
        };
        let what = format!("block device {name}{whose} is mounted at {}", words(&point));
        let finding = found.add("A5", severity, Subject::Container(container), what);
        add_mount(finding, mount);
    }
}

impl Facts<'_, '_> {
    /// Whether a process of a container may mount devices: it has CAP_SYS_ADMIN in the initial user namespace.
    fn can_mount(&self, container: usize, mntns: Inum) -> bool {
        self.is_of_initial_user(mntns)
            && self.members[container].iter().any(|index| {
                let task = self.task(*index);
                self.is_host(NsType::User, task.userns)
                    && task.caps.is_some_and(|caps| caps.0 & SYS_ADMIN != 0)
            })
    }
}

/// The cgroups that a container's runtime made for it.
fn own_cgroups(facts: &Facts<'_, '_>, container: usize) -> BTreeSet<String> {
    let paths: HashSet<&[u8]> = facts.members[container]
        .iter()
        .filter_map(|index| facts.task(*index).cgroup)
        .map(|cgroup| cgroup.raw())
        .collect();
    paths
        .into_iter()
        .map(|raw| words(&Escaped::new(raw).bytes()))
        .map(|path| match identity::directory_of_container(&path) {
            Some(directory) => directory.to_string(),
            None => path,
        })
        .collect()
}

/// A8: cgroup hierarchies that can be written to.
fn cgroups(
    facts: &Facts<'_, '_>,
    container: usize,
    mounts: &[&Mount<'_>],
    read_only: &[(Inum, Vec<u8>)],
    found: &mut Findings,
) {
    let mut own: Option<BTreeSet<String>> = None;
    for mount in mounts {
        let point = mount.point.bytes();
        if !is_writable(mount)
            || !facts.is_of_initial_user(mount.ns)
            || came_along(read_only, mount.ns, &point)
        {
            continue;
        }
        let point = words(&point);
        let what = match mount.fstype.raw() {
            b"cgroup" => format!("a cgroup hierarchy of version 1 is writable at {point}"),
            b"cgroup2" => {
                let root = mount.root.bytes();
                let own = own.get_or_insert_with(|| own_cgroups(facts, container));
                let is_own = own.iter().any(|own| is_below(&root, own.as_bytes()));
                if is_own {
                    continue;
                }
                format!("cgroup2 is writable beyond its own cgroup at {point}")
            }
            _ => continue,
        };
        let finding = found.add("A8", Severity::High, Subject::Container(container), what);
        add_mount(finding, mount);
    }
}
