// SPDX-License-Identifier: GPL-2.0

//! Mounts, as `mountinfo`, `listmount()`, `statmount()` and `statx()` show them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::syscalls::{self, MountId, NsFile, StatMount, LSMT_ROOT};

use super::fact::{mangled, unmangled, Key, Machine, MountList, Object, Want};
use super::tasks::{Seen, Tasks};

/// The longest path that the text shows whole.
const PATH_MAX: usize = 4096;

/// The longest directory and options that the text shows.
const TAIL_MAX: usize = 512 * 1024;

/// File systems that answer without asking a server, or one that is this machine's host. On others a path is only
/// followed as far as the kernel remembers it.
const NEAR: &[&[u8]] = &[
    b"9p",
    b"bdev",
    b"bpf",
    b"btrfs",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"devtmpfs",
    b"erofs",
    b"ext2",
    b"ext3",
    b"ext4",
    b"f2fs",
    b"hostfs",
    b"hugetlbfs",
    b"mqueue",
    b"nsfs",
    b"nullfs",
    b"overlay",
    b"proc",
    b"pstore",
    b"ramfs",
    b"rootfs",
    b"securityfs",
    b"squashfs",
    b"sysfs",
    b"tmpfs",
    b"tracefs",
    b"vfat",
    b"virtiofs",
    b"xfs",
];

/// A line of mountinfo.
#[derive(Clone, Debug)]
struct Line {
    id: u32,
    parent: u32,
    point: Vec<u8>,
    fs_type: Vec<u8>,
    /// As the text has it: without `propagate_from`.
    kept: Vec<u8>,
}

fn number<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

impl Line {
    fn read(line: &[u8]) -> Option<Self> {
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = words.iter().skip(6).position(|word| *word == b"-")? + 6;
        let kept: Vec<&[u8]> = words
            .iter()
            .enumerate()
            .filter(|(at, word)| !((6..dash).contains(at) && word.starts_with(b"propagate_from:")))
            .map(|(_, word)| *word)
            .collect();
        Some(Self {
            id: number(words.first()?)?,
            parent: number(words.get(1)?)?,
            point: words.get(4)?.to_vec(),
            fs_type: words.get(dash + 1)?.to_vec(),
            kept: kept.join(&b' '),
        })
    }
}

/// The mounts of a namespace.
#[derive(Clone, Debug, Default)]
struct Mounts {
    /// The id of the namespace.
    ns_id: u64,
    stats: BTreeMap<u64, StatMount>,
    lowest: Option<u64>,
    /// The lines of mountinfo, by the mount's id in them.
    lines: Option<Vec<Line>>,
    /// The 64-bit ids, by those in mountinfo.
    by_old_id: HashMap<u32, u64>,
    /// Where the path of each line leads, or why that is not known.
    leads_to: HashMap<u32, Result<Option<u64>, &'static str>>,
    /// The mount on top of the namespace's root.
    top: Option<u64>,
}

/// All mounts of all mount namespaces.
#[derive(Clone, Debug, Default)]
pub(super) struct AllMounts {
    spaces: BTreeMap<u32, Mounts>,
    /// Some could not be listed: why.
    pub incomplete: Option<&'static str>,
}

/// Lists the mounts of a namespace from its root mount on; also says which that is.
fn list(ns_id: u64) -> io::Result<(u64, BTreeSet<u64>)> {
    let seen = syscalls::listmount(ns_id, LSMT_ROOT)?;
    let mut at = *seen.first().ok_or(io::ErrorKind::NotFound)?;
    // What the kernel takes for the root may lie on other mounts.
    let mut passed = BTreeSet::new();
    while passed.insert(at) {
        at = syscalls::statmount(ns_id, at)?.parent;
    }
    let mut all: BTreeSet<u64> = syscalls::listmount(ns_id, at)?.into_iter().collect();
    all.insert(at);
    Ok((at, all))
}

impl Mounts {
    fn look(ns_id: u64, inum: u32, witnesses: &[u32]) -> io::Result<Self> {
        let mut mounts = Self {
            ns_id,
            ..Self::default()
        };
        let (lowest, before) = list(ns_id)?;
        for id in &before {
            // One that is gone by now is not in the second list either.
            if let Ok(stat) = syscalls::statmount(ns_id, *id) {
                mounts.stats.insert(*id, stat);
            }
        }
        for pid in witnesses {
            if mounts.ask(*pid, inum).is_some() {
                break;
            }
        }
        let (_, after) = list(ns_id)?;
        // A number in mountinfo is surely that of a mount that was there before and after it was read.
        mounts.stats.retain(|id, _| after.contains(id));
        mounts.by_old_id = mounts.old_ids();
        mounts.lowest = Some(lowest);
        Ok(mounts)
    }

    /// Asks a process whose root is one that no directory is above. `None`: it has another one, or went away.
    fn ask(&mut self, pid: u32, inum: u32) -> Option<()> {
        let base = format!("/proc/{pid}");
        let root_name = format!("{base}/root");
        let root = syscalls::statx(None, root_name.as_bytes(), MountId::Unique).ok()?;
        let root_mount = root.mount.filter(|_| root.is_mount_root)?;
        let text = fs::read(format!("{base}/mountinfo")).ok()?;
        let is_same = fs::read_link(&root_name).ok()?.as_os_str() == "/"
            && fs::read_link(format!("{base}/ns/mnt")).ok()?.as_os_str()
                == format!("mnt:[{inum}]").as_str();
        if !is_same {
            return None;
        }
        let lines: Vec<Line> = text
            .split(|byte| *byte == b'\n')
            .filter_map(Line::read)
            .collect();
        let mut at_root = lines.iter().filter(|line| line.point == b"/");
        let (first, next) = (at_root.next()?, at_root.next());
        let known = self.old_ids();
        if next.is_some() {
            // Something is mounted over its root: that is the top, and it does not see from there.
            let mut top = lines
                .iter()
                .find(|line| known.get(&line.id) == Some(&root_mount))?;
            for _ in 0..lines.len() {
                match lines
                    .iter()
                    .find(|line| line.point == b"/" && line.parent == top.id)
                {
                    Some(line) => top = line,
                    None => break,
                }
            }
            self.top = known.get(&top.id).copied();
            return Some(());
        }
        if known.get(&first.id).is_some_and(|id| *id != root_mount) {
            return None;
        }
        self.top = Some(root_mount);
        if let Ok(place) = syscalls::open_directory(None, root_name.as_bytes()) {
            self.follow(&place, &lines);
        }
        self.lines = Some(lines);
        Some(())
    }

    /// Follows the path of each line, from the root of the process that showed it.
    fn follow(&mut self, root: &OwnedFd, lines: &[Line]) {
        let mut found: HashMap<&[u8], Result<Option<u64>, &'static str>> = HashMap::new();
        let far: Vec<&[u8]> = lines
            .iter()
            .filter(|line| !NEAR.contains(&line.fs_type.as_slice()))
            .map(|line| line.point.as_slice())
            .collect();
        for line in lines {
            let seen = found
                .entry(&line.point)
                .or_insert_with(|| {
                    let is_near = !far.iter().any(|above| is_below(&line.point, above));
                    leads_to(root, &unmangled(&line.point), is_near)
                })
                .to_owned();
            self.leads_to.insert(line.id, seen);
        }
    }
}

/// Whether a path is another one, or goes through it.
fn is_below(path: &[u8], above: &[u8]) -> bool {
    above == b"/"
        || path
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// The mount that a path leads to, or none.
fn leads_to(root: &OwnedFd, path: &[u8], is_near: bool) -> Result<Option<u64>, &'static str> {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    if relative.len() >= PATH_MAX {
        return Err("the path is too long to be followed");
    }
    let id = |place: io::Result<OwnedFd>| -> io::Result<Option<u64>> {
        Ok(syscalls::statx(Some(place?.as_fd()), b"", MountId::Unique)?.mount)
    };
    let found = if relative.is_empty() {
        syscalls::statx(Some(root.as_fd()), b"", MountId::Unique).map(|file| file.mount)
    } else {
        match id(syscalls::open_place(root.as_fd(), relative, true)) {
            Err(_) if is_near => id(syscalls::open_place(root.as_fd(), relative, false)),
            other => other,
        }
    };
    match found {
        Ok(mount) => Ok(mount),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN) => Err("a file system would have to be asked, and might not answer"),
            Some(libc::EACCES | libc::EPERM) => Err("no permission"),
            _ => Ok(None),
        },
    }
}

/// Looks at the mounts of all mount namespaces that are known.
pub(super) fn look(spaces: &[(u32, u64)], tasks: &Tasks) -> AllMounts {
    let mut witnesses: HashMap<u32, Vec<u32>> = HashMap::new();
    for task in &tasks.processes {
        let is_candidate =
            matches!(&task.root, Seen::Is(root) if root.path == b"/") && task.pid == task.tgid;
        if let (true, Some(inum)) = (is_candidate, task.link("mnt")) {
            let list = witnesses.entry(inum).or_default();
            // One goes away, another one has a root that only looks like that of its namespace.
            if list.len() < 4 {
                list.push(task.pid);
            }
        }
    }
    let mut all = AllMounts::default();
    for (inum, ns_id) in spaces {
        let witnesses = witnesses.get(inum).map_or(&[][..], Vec::as_slice);
        match Mounts::look(*ns_id, *inum, witnesses) {
            Ok(mounts) => {
                all.spaces.insert(*inum, mounts);
            }
            Err(error) => {
                all.incomplete = Some(match error.raw_os_error() {
                    Some(libc::ENOSYS | libc::EINVAL | libc::E2BIG) => {
                        "this kernel does not list the mounts of a mount namespace"
                    }
                    Some(libc::EPERM | libc::EACCES) => "no permission to list mounts",
                    // It is gone, or has but one mount, of which the kernel tells nothing.
                    _ => "the mounts of a mount namespace cannot be listed",
                });
            }
        }
    }
    all
}

impl AllMounts {
    /// Of each mount: the namespace that it is in.
    pub fn ns_of_mount(&self) -> HashMap<u64, u32> {
        self.spaces
            .iter()
            .flat_map(|(ns, mounts)| mounts.stats.keys().map(|id| (*id, *ns)))
            .collect()
    }

    /// Of each mount namespace: the mount on top of its root.
    pub fn tops(&self) -> HashMap<u32, u64> {
        self.spaces
            .iter()
            .filter_map(|(ns, mounts)| Some((*ns, mounts.top?)))
            .collect()
    }

    /// The root mount of a namespace.
    pub fn lowest(&self, ns: u32) -> Option<u64> {
        self.spaces.get(&ns)?.lowest
    }

    /// Where the default hierarchy of cgroups is mounted, as a mount namespace sees it.
    pub fn cgroups(&self, ns: u32) -> Option<Vec<u8>> {
        let mounts = self.spaces.get(&ns)?;
        mounts.lines.as_ref()?.iter().find_map(|line| {
            let is_it = line.fs_type == b"cgroup2"
                && line.kept.split(|byte| *byte == b' ').nth(3) == Some(b"/")
                && mounts.leads_to.get(&line.id)?.ok()?? == mounts.unique(line.id)?;
            is_it.then(|| unmangled(&line.point))
        })
    }

    /// Puts facts about all mounts into the machine. `cgroup_paths`: why the lines of cgroups differ, if they do.
    pub fn facts(&self, cgroup_paths: Option<&'static str>, machine: &mut Machine) {
        for (ns, mounts) in &self.spaces {
            machine.lists.insert(
                *ns,
                MountList {
                    id: mounts.ns_id,
                    all: mounts.stats.keys().copied().collect(),
                    lines: mounts.lines.as_ref().map(|lines| {
                        lines
                            .iter()
                            .filter_map(|line| mounts.unique(line.id))
                            .collect()
                    }),
                },
            );
            if mounts.lines.is_none() {
                machine.gap("mount namespaces without a process that has their root");
            }
            let lines = Lines::of(mounts.lines.as_deref().unwrap_or_default());
            for (id, stat) in &mounts.stats {
                let object = mounts.object(*ns, *id, stat, &lines, cgroup_paths);
                machine.objects.insert(Key::Mount(*ns, *id), object);
            }
        }
    }
}

/// Lines of mountinfo, to be looked up.
struct Lines<'a> {
    by_id: HashMap<u32, &'a Line>,
    /// Which mounts have another one on top, at the same place.
    under: BTreeSet<u32>,
}

impl<'a> Lines<'a> {
    fn of(lines: &'a [Line]) -> Self {
        let by_id: HashMap<u32, &Line> = lines.iter().map(|line| (line.id, line)).collect();
        let under = lines
            .iter()
            .filter(|line| {
                line.parent != line.id
                    && by_id
                        .get(&line.parent)
                        .is_some_and(|parent| parent.point == line.point)
            })
            .map(|line| line.parent)
            .collect();
        Self { by_id, under }
    }
}

impl Mounts {
    fn old_ids(&self) -> HashMap<u32, u64> {
        self.stats
            .iter()
            .map(|(id, stat)| (stat.old_id, *id))
            .collect()
    }

    /// The 64-bit id of a mount of mountinfo.
    fn unique(&self, old: u32) -> Option<u64> {
        self.by_old_id.get(&old).copied()
    }

    fn object(
        &self,
        ns: u32,
        id: u64,
        stat: &StatMount,
        lines: &Lines<'_>,
        cgroup_paths: Option<&'static str>,
    ) -> Object {
        let mut object = Object::new(format!("mount {id} of namespace {ns}"));
        let is_cgroup = stat.fs_type == b"cgroup" || stat.fs_type == b"cgroup2";
        let other_root = cgroup_paths.filter(|_| is_cgroup);
        let by = "mountinfo, statx()";
        match (&self.lines, lines.by_id.get(&stat.old_id)) {
            (None, _) => {
                let why = Want::Not("no process has the root of its mount namespace");
                object.add("line", "mountinfo", why.clone());
                object.add("reach", by, why);
            }
            (Some(_), None) => object.add("reach", by, Want::Outside),
            (Some(_), Some(line)) => {
                let shown = other_root.map_or_else(|| as_shown(line), Want::Not);
                object.add("line", "mountinfo", shown);
                object.add("reach", by, self.reach(id, line, &lines.under));
            }
        }
        let by = "statmount()";
        object.add("mnt_id", by, Want::number(stat.old_id));
        object.add("parent", by, Want::number(stat.old_parent));
        object.add(
            "device",
            by,
            Want::Is(format!("{}:{}", stat.device.0, stat.device.1).into_bytes()),
        );
        object.add(
            "directory",
            by,
            match other_root {
                Some(why) => Want::Not(why),
                None if stat.root.len() > PATH_MAX => Want::Not("the text cuts what is so long"),
                None => Want::Is(mangled(&stat.root)),
            },
        );
        object.add("options", by, Want::Is(options(stat.attributes)));
        let is_shared = stat.propagation & 1 << 20 != 0;
        object.add(
            "shared",
            by,
            Want::number(if is_shared { stat.peer_group } else { 0 }),
        );
        object.add("master", by, Want::number(stat.master));
        object.add("type", by, Want::Is(mangled_source(&stat.fs_type)));
        object.add(
            "source",
            by,
            stat.source.as_ref().map_or(
                Want::Not("this kernel does not tell the source"),
                |source| Want::Is(mangled_source(source)),
            ),
        );
        object.add(
            "options of the file system",
            by,
            stat.options
                .as_ref()
                .filter(|options| options.len() < TAIL_MAX)
                .map_or(
                    Want::Not("this kernel does not tell them, or they are too long"),
                    |options| Want::Is(super_options(stat.sb_flags, options)),
                ),
        );
        object
    }

    /// Who reaches a mount that mountinfo shows.
    fn reach(&self, id: u64, line: &Line, under: &BTreeSet<u32>) -> Want {
        let word: &[u8] = match self.leads_to.get(&line.id) {
            None => return Want::Not("its path cannot be followed"),
            Some(Err(why)) => return Want::Not(why),
            Some(Ok(mount)) if *mount == Some(id) => b"root",
            Some(Ok(_)) if under.contains(&line.id) => b"over",
            Some(Ok(_)) => b"covered",
        };
        Want::Is(word.to_vec())
    }
}

/// A line as the text has it: of long names the end.
fn as_shown(line: &Line) -> Want {
    let words: Vec<&[u8]> = line.kept.split(|byte| *byte == b' ').collect();
    if words.get(3).is_some_and(|root| root.len() > PATH_MAX) || line.kept.len() > TAIL_MAX {
        return Want::Not("the text cuts what is so long");
    }
    let point = unmangled(&line.point);
    if point.len() <= PATH_MAX {
        return Want::Is(line.kept.clone());
    }
    let mut cut = mangled(&point[point.len() - PATH_MAX..]);
    cut.extend_from_slice(b"\\~");
    let mut words = words;
    words[4] = &cut;
    Want::Is(words.join(&b' '))
}

/// The options of a mount: `MOUNT_ATTR_*` in words, in the order of `show_mountinfo()`.
fn options(attributes: u64) -> Vec<u8> {
    let mut words = vec![if attributes & 1 != 0 { "ro" } else { "rw" }];
    let atime = attributes & 0x70;
    let flags = [
        (attributes & 0x2 != 0, "nosuid"),
        (attributes & 0x4 != 0, "nodev"),
        (attributes & 0x8 != 0, "noexec"),
        (atime == 0x10, "noatime"),
        (attributes & 0x80 != 0, "nodiratime"),
        (atime == 0, "relatime"),
        (attributes & 0x20_0000 != 0, "nosymfollow"),
        (attributes & 0x10_0000 != 0, "idmapped"),
    ];
    words.extend(
        flags
            .iter()
            .filter(|(is_set, _)| *is_set)
            .map(|(_, word)| *word),
    );
    words.join(",").into_bytes()
}

/// The options of a file system, in the order of `show_mountinfo()`.
fn super_options(flags: u32, options: &[u8]) -> Vec<u8> {
    let mut words: Vec<&[u8]> = vec![if flags & 1 != 0 { b"ro" } else { b"rw" }];
    for (flag, word) in [(0x10, "sync"), (0x80, "dirsync"), (1 << 25, "lazytime")] {
        if flags & flag != 0 {
            words.push(word.as_bytes());
        }
    }
    if !options.is_empty() {
        words.push(options);
    }
    words.join(&b',')
}

/// A source or a type as mountinfo has it: `#` is escaped there, too.
fn mangled_source(source: &[u8]) -> Vec<u8> {
    let parts: Vec<_> = source.split(|byte| *byte == b'#').map(mangled).collect();
    parts.join(&b"\\043"[..])
}

/// The mount namespaces of processes, for a kernel that lists none: inode number and id.
pub(super) fn of_processes(tasks: &Tasks) -> Vec<(u32, u64)> {
    let mut found = BTreeMap::new();
    for task in &tasks.processes {
        let Some(inum) = task.link("mnt").filter(|inum| !found.contains_key(inum)) else {
            continue;
        };
        let id = syscalls::open_directory(None, format!("/proc/{}/ns", task.pid).as_bytes())
            .and_then(|directory| NsFile::open_link(directory.as_fd(), b"mnt"))
            .and_then(|file| file.mount_ns_id());
        if let Ok(id) = id {
            found.insert(inum, id);
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_as_the_text_has_it() {
        let line = Line::read(
            b"22 1 0:5 / /a rw shared:1 master:2 propagate_from:3 - fuse.x propagate_from:4 rw",
        )
        .expect("a line");
        assert_eq!((line.id, line.parent), (22, 1));
        assert_eq!(
            line.kept,
            b"22 1 0:5 / /a rw shared:1 master:2 - fuse.x propagate_from:4 rw"
        );
        assert_eq!(as_shown(&line), Want::Is(line.kept.clone()));
        assert!(Line::read(b"22 1 0:5 / /a rw").is_none());
        let long = "/x".repeat(3000);
        let line = Line::read(format!("1 2 0:5 / {long} rw - a b rw").as_bytes()).expect("a line");
        let cut = format!(
            "1 2 0:5 / {}\\~ rw - a b rw",
            &long[long.len() - PATH_MAX..]
        );
        assert_eq!(as_shown(&line), Want::Is(cut.into_bytes()));
    }

    #[test]
    fn paths_below_others() {
        assert!(is_below(b"/a/b", b"/a"));
        assert!(is_below(b"/a", b"/a"));
        assert!(is_below(b"/a", b"/"));
        assert!(!is_below(b"/ab", b"/a"));
    }

    #[test]
    fn options_in_words() {
        assert_eq!(options(0), b"rw,relatime");
        assert_eq!(options(0x1 | 0x2 | 0x10), b"ro,nosuid,noatime");
        assert_eq!(options(0x20), b"rw");
    }
}
