// SPDX-License-Identifier: GPL-2.0

//! The mounts of a mount namespace, from `mountinfo` of a process in it, and from `listmount()` and `statmount()`.
//!
//! `mountinfo` has the line of the text, but only of what a process's root reaches, and only where there is a process.
//! The calls have all mounts and their 64-bit ids; where `mountinfo` has no line, one is made of what they tell.

use std::collections::{HashMap, HashSet};

use crate::syscalls::{self, StatMount, LSMT_ROOT};

use super::process::{number, Directory};
use super::write::{escape_mountinfo, escape_source};

/// The most that is read of a `mountinfo`.
const LIMIT: u64 = 256 * 1024 * 1024;

/// How often a namespace is looked at whose mounts change meanwhile.
const ATTEMPTS: usize = 3;

/// A mount.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// How the text calls it: by its 64-bit id, or by that of `mountinfo`.
    pub id: u64,
    /// Its id in `mountinfo`.
    pub old_id: u32,
    /// That of the mount that it is on.
    pub old_parent: u32,
    /// The device of its file system.
    pub device: (u32, u32),
    /// The directory that it shows, and where it is, with the escapes of `mountinfo`.
    pub root: Vec<u8>,
    pub point: Vec<u8>,
    /// The type of the file system.
    pub fs_type: Vec<u8>,
    /// Who can reach it: a word of the text.
    pub reach: &'static str,
    /// The line of `mountinfo`.
    pub line: Vec<u8>,
}

/// The mounts of a mount namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Mounts {
    /// In the kernel's order.
    pub entries: Vec<Entry>,
    /// All of them are there, and not only what a process sees.
    pub is_complete: bool,
    /// The 64-bit id of the root mount.
    pub root: Option<u64>,
    /// What `Entry::id` the mount has that lies on top of the root mount and all others there.
    pub top: Option<u64>,
}

/// A process that shows the mounts of its namespace.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub pid: u32,
    /// The thread that still has the namespace.
    pub via: Option<u32>,
    /// The path of its root, if that is known.
    pub root: Option<Vec<u8>>,
}

impl Witness {
    fn mountinfo(&self) -> Option<Vec<u8>> {
        let directory = match self.via {
            None => Directory::of(self.pid),
            Some(tid) => Directory::of_thread(self.pid, tid),
        };
        directory.ok()?.read("mountinfo", LIMIT).ok()
    }

    /// Whether its root is where a mount tree begins.
    pub fn is_at_top(&self) -> bool {
        self.root.as_deref() == Some(b"/")
    }
}

/// Reads the mounts of a namespace. `ns_id` is what the calls know it by, if they are to be asked.
pub(super) fn read(witness: Option<&Witness>, ns_id: Option<u64>) -> Mounts {
    let mut mounts = Mounts::default();
    for _ in 0..ATTEMPTS {
        let known = ns_id.and_then(Listed::read);
        let text = witness.and_then(Witness::mountinfo).unwrap_or_default();
        let mut missed = false;
        mounts = Mounts::default();
        mounts.entries = lines(&text)
            .filter_map(parse)
            .filter_map(|mut entry| {
                if let Some(known) = &known {
                    let Some(stat) = known.by_old_id(entry.old_id) else {
                        missed = true;
                        return None;
                    };
                    entry.id = stat.id;
                }
                Some(entry)
            })
            .collect();
        mounts.find_reach(witness);
        if let Some(known) = known {
            if mounts.top.is_some() {
                mounts.add_unseen(&known);
            } else if let Some(all) = Mounts::of_calls(&known) {
                mounts = all;
            }
            mounts.root = Some(known.lowest);
        }
        if !missed {
            break;
        }
    }
    mounts
}

/// The lines that are whole.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
}

/// Reads a line of `mountinfo`. In the text it has no `propagate_from`.
fn parse(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let old_id = number(fields.next()?)?;
    let old_parent = number(fields.next()?)?;
    let device = device(fields.next()?)?;
    let root = fields.next()?;
    let point = fields.next()?;
    fields.next()?;
    let mut optional = Vec::new();
    loop {
        match fields.next()? {
            b"-" => break,
            field => optional.push(field),
        }
    }
    let fs_type = fields.next()?;
    let mut kept = line.to_vec();
    if let Some(tag) = optional
        .iter()
        .find(|field| field.starts_with(b"propagate_from:"))
    {
        let at = memchr::memmem::find(line, tag)?;
        kept.drain(at.checked_sub(1)?..at + tag.len());
    }
    Some(Entry {
        id: u64::from(old_id),
        old_id,
        old_parent,
        device,
        root: root.to_vec(),
        point: point.to_vec(),
        fs_type: fs_type.to_vec(),
        reach: UNKNOWN,
        line: kept,
    })
}

/// The word of a mount of which nobody can say who reaches it.
const UNKNOWN: &str = "unknown";

/// The word of a mount that no process sees whose root is that of the namespace.
const OUTSIDE: &str = "outside";

/// Reads `8:1`.
pub(super) fn device(text: &[u8]) -> Option<(u32, u32)> {
    let at = text.iter().position(|byte| *byte == b':')?;
    Some((number(&text[..at])?, number(&text[at + 1..])?))
}

impl Mounts {
    /// The mount that a lookup begins at, of the process whose lines these are. None if others lie on it: it is then not
    /// where a process gets that enters the namespace.
    fn base(&self) -> Option<&Entry> {
        let mut at_root = self.entries.iter().filter(|entry| entry.point == b"/");
        at_root.next().filter(|_| at_root.next().is_none())
    }

    /// Says of each line whether its path leads to it: looks each path up, as the kernel does, in the lines.
    fn find_reach(&mut self, witness: Option<&Witness>) {
        let Some(witness) = witness else { return };
        let base = self.base().map(|base| (base.old_id, base.id));
        match base {
            Some((base, id)) if witness.is_at_top() => {
                self.top = Some(id);
                self.look_up(base);
            }
            _ => {
                // Its root is somewhere below: what it calls `/` has another path.
                if let Some(root) = witness.root.as_deref().filter(|root| *root != b"/") {
                    self.put_below(root);
                }
            }
        }
    }

    /// Looks up all mount points, from the mount `base` on.
    fn look_up(&mut self, base: u32) {
        let inside = |entry: &&Entry| entry.reach != OUTSIDE;
        let children: HashMap<(u32, &[u8]), u32> = self
            .entries
            .iter()
            .filter(inside)
            .map(|entry| ((entry.old_parent, entry.point.as_slice()), entry.old_id))
            .collect();
        let reach: Vec<_> = self
            .entries
            .iter()
            .map(|entry| {
                let is_over = children
                    .get(&(entry.old_id, entry.point.as_slice()))
                    .is_some_and(|child| *child != entry.old_id);
                if !inside(&entry) {
                    OUTSIDE
                } else if is_over {
                    "over"
                } else if leads_to(&children, base, &entry.point) == Some(entry.old_id) {
                    "root"
                } else {
                    "covered"
                }
            })
            .collect();
        for (entry, reach) in self.entries.iter_mut().zip(reach) {
            entry.reach = reach;
        }
    }

    /// Puts the path of a process's root before all mount points that it sees.
    fn put_below(&mut self, root: &[u8]) {
        let mut prefix = Vec::new();
        escape_mountinfo(root, &mut prefix);
        for entry in &mut self.entries {
            let mut point = prefix.clone();
            if entry.point != b"/" {
                point.extend_from_slice(&entry.point);
            }
            let Some(rest) = entry.line.splitn(6, |byte| *byte == b' ').nth(5) else {
                continue;
            };
            let head = entry.line.len() - rest.len() - entry.point.len() - 2;
            let mut line = entry.line[..head].to_vec();
            line.push(b' ');
            line.extend_from_slice(&point);
            line.push(b' ');
            line.extend_from_slice(rest);
            entry.line = line;
            entry.point = point;
        }
    }

    /// Adds the mounts that a process at the top of the namespace does not see.
    fn add_unseen(&mut self, known: &Listed) {
        self.is_complete = true;
        let seen: HashSet<u64> = self.entries.iter().map(|entry| entry.id).collect();
        // What the top lies on is at the root as well.
        let parents: HashMap<u64, u64> = known
            .mounts
            .iter()
            .map(|stat| (stat.id, stat.parent))
            .collect();
        let mut below = HashSet::new();
        let mut at = self.top;
        while let Some(id) = at.filter(|id| below.insert(*id)) {
            at = parents.get(&id).copied();
        }
        for stat in known.mounts.iter().filter(|one| !seen.contains(&one.id)) {
            match line_of(stat, below.contains(&stat.id)) {
                Some(entry) => self.entries.push(Entry {
                    reach: OUTSIDE,
                    ..entry
                }),
                None => self.is_complete = false,
            }
        }
        self.entries.sort_by_key(|entry| entry.id);
    }

    /// The mounts of a namespace of which no process sees all, as the calls tell them. `None` if they do not tell all.
    fn of_calls(known: &Listed) -> Option<Self> {
        // The kernel takes the first mount on the root mount for the root. If that is the only one, so it is.
        let on_lowest = |stat: &&StatMount| stat.parent == known.lowest && stat.id != known.lowest;
        if known.mounts.iter().filter(on_lowest).count() != 1 {
            return None;
        }
        let entries: Option<Vec<Entry>> = known
            .mounts
            .iter()
            .map(|stat| line_of(stat, stat.id == known.lowest))
            .collect();
        let mut mounts = Self {
            entries: entries?,
            is_complete: true,
            ..Self::default()
        };
        mounts.entries.sort_by_key(|entry| entry.id);
        let (base, id) = mounts.top_of_stack()?;
        mounts.top = Some(id);
        // Who is at the top sees what is on it, and what is on that.
        let mut seen = HashSet::from([base]);
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in &mounts.entries {
            children
                .entry(entry.old_parent)
                .or_default()
                .push(entry.old_id);
        }
        let mut left = vec![base];
        while let Some(at) = left.pop() {
            for child in children.get(&at).into_iter().flatten() {
                if seen.insert(*child) {
                    left.push(*child);
                }
            }
        }
        for entry in &mut mounts.entries {
            if !seen.contains(&entry.old_id) {
                entry.reach = OUTSIDE;
            }
        }
        mounts.look_up(base);
        Some(mounts)
    }

    /// What lies on top of all mounts at the root.
    fn top_of_stack(&self) -> Option<(u32, u64)> {
        let stack: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.reach != OUTSIDE && entry.point == b"/")
            .collect();
        let mut at = stack
            .iter()
            .find(|entry| !stack.iter().any(|other| other.old_id == entry.old_parent))?;
        // Each step goes up, so that there are not more of them than mounts.
        for _ in 0..stack.len() {
            match stack.iter().find(|entry| entry.old_parent == at.old_id) {
                Some(next) => at = next,
                None => break,
            }
        }
        Some((at.old_id, at.id))
    }
}

/// Follows a path from a mount on, and goes onto each mount that lies on the way.
fn leads_to(children: &HashMap<(u32, &[u8]), u32>, base: u32, path: &[u8]) -> Option<u32> {
    if path.ends_with(b"//deleted") || path.ends_with(b"\\~") {
        return None;
    }
    let mut at = base;
    if path != b"/" {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(at, byte)| *at > 0 && **byte == b'/')
            .map(|(at, _)| at)
            .chain([path.len()]);
        for end in ends {
            // A mount is on its parent, so that there is no way around.
            while let Some(child) = children.get(&(at, &path[..end])) {
                at = *child;
            }
        }
    }
    Some(at)
}

/// What `listmount()` and `statmount()` tell of a mount namespace.
struct Listed {
    mounts: Vec<StatMount>,
    by_old_id: HashMap<u32, usize>,
    /// The id of the root mount.
    lowest: u64,
}

impl Listed {
    /// Reads all mounts; `None` if the kernel does not tell.
    fn read(ns_id: u64) -> Option<Self> {
        // These are below the root that the kernel takes for ours. Mounts that this lies on are not among them.
        let first = syscalls::listmount(ns_id, LSMT_ROOT)
            .ok()?
            .first()
            .copied()?;
        let mut stat = syscalls::statmount(ns_id, first).ok()?;
        for _ in 0..DEEPEST {
            if stat.parent == stat.id {
                break;
            }
            stat = syscalls::statmount(ns_id, stat.parent).ok()?;
        }
        let lowest = (stat.parent == stat.id).then_some(stat.id)?;
        let mut mounts = vec![stat];
        for id in syscalls::listmount(ns_id, lowest).ok()? {
            // One that is gone meanwhile is none.
            mounts.extend(syscalls::statmount(ns_id, id).ok());
        }
        let by_old_id = mounts
            .iter()
            .enumerate()
            .map(|(at, stat)| (stat.old_id, at))
            .collect();
        Some(Self {
            mounts,
            by_old_id,
            lowest,
        })
    }

    fn by_old_id(&self, old_id: u32) -> Option<&StatMount> {
        self.by_old_id.get(&old_id).map(|at| &self.mounts[*at])
    }
}

/// How deep mounts are on each other at most; the kernel has no limit but that of the mounts.
const DEEPEST: usize = 100_000;

// include/uapi/linux/mount.h
const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_ATIME: u64 = 0x70;
const MOUNT_ATTR_RELATIME: u64 = 0x00;
const MOUNT_ATTR_NOATIME: u64 = 0x10;
const MS_SHARED: u64 = 1 << 20;
const MS_SLAVE: u64 = 1 << 19;
const MS_UNBINDABLE: u64 = 1 << 17;

/// The options of a mount, in the order of `mountinfo`.
fn mount_options(attributes: u64) -> Vec<u8> {
    let has = |flag: u64| attributes & flag != 0;
    let mut options = if has(MOUNT_ATTR_RDONLY) { "ro" } else { "rw" }.to_string();
    for (is_set, name) in [
        (has(0x2), ",nosuid"),
        (has(0x4), ",nodev"),
        (has(0x8), ",noexec"),
        (
            attributes & MOUNT_ATTR_ATIME == MOUNT_ATTR_NOATIME,
            ",noatime",
        ),
        (has(0x80), ",nodiratime"),
        (
            attributes & MOUNT_ATTR_ATIME == MOUNT_ATTR_RELATIME,
            ",relatime",
        ),
        (has(0x0020_0000), ",nosymfollow"),
        (has(0x0010_0000), ",idmapped"),
    ] {
        if is_set {
            options.push_str(name);
        }
    }
    options.into_bytes()
}

/// Makes a line of `mountinfo`; `None` if this kernel does not tell all that is in it. `at_root`: it is known to be where
/// the root is, as the kernel does not say where something is that lies below that.
fn line_of(stat: &StatMount, at_root: bool) -> Option<Entry> {
    let mut line = format!(
        "{} {} {}:{} ",
        stat.old_id, stat.old_parent, stat.device.0, stat.device.1
    )
    .into_bytes();
    let mut root = Vec::new();
    escape_mountinfo(&stat.root, &mut root);
    let (point, reach) = match &stat.point {
        Some(point) => {
            let mut escaped = Vec::new();
            escape_mountinfo(point, &mut escaped);
            (escaped, UNKNOWN)
        }
        None if at_root => (b"/".to_vec(), OUTSIDE),
        // Nobody says where it is.
        None => (b"\\~".to_vec(), OUTSIDE),
    };
    line.extend_from_slice(&root);
    line.push(b' ');
    line.extend_from_slice(&point);
    line.push(b' ');
    line.extend_from_slice(&mount_options(stat.attributes));
    if stat.propagation & MS_SHARED != 0 {
        line.extend_from_slice(format!(" shared:{}", stat.peer_group).as_bytes());
    }
    if stat.propagation & MS_SLAVE != 0 || stat.master != 0 {
        line.extend_from_slice(format!(" master:{}", stat.master).as_bytes());
    }
    if stat.propagation & MS_UNBINDABLE != 0 {
        line.extend_from_slice(b" unbindable");
    }
    line.extend_from_slice(b" - ");
    escape_source(&stat.fs_type, &mut line);
    if !stat.subtype.is_empty() {
        line.push(b'.');
        escape_source(&stat.subtype, &mut line);
    }
    line.push(b' ');
    escape_source(stat.source.as_ref()?, &mut line);
    line.extend_from_slice(if stat.sb_flags & 1 != 0 {
        b" ro"
    } else {
        b" rw"
    });
    for (flag, name) in [(0x10, ",sync"), (0x80, ",dirsync"), (1 << 25, ",lazytime")] {
        if stat.sb_flags & flag != 0 {
            line.extend_from_slice(name.as_bytes());
        }
    }
    let options = stat.options.as_ref()?;
    if !options.is_empty() {
        line.push(b',');
        line.extend_from_slice(options);
    }
    Some(Entry {
        id: stat.id,
        old_id: stat.old_id,
        old_parent: stat.old_parent,
        device: stat.device,
        root,
        point,
        fs_type: stat.fs_type.clone(),
        reach,
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(root: &str) -> Witness {
        Witness {
            pid: 1,
            via: None,
            root: Some(root.as_bytes().to_vec()),
        }
    }

    fn mounts(text: &str, root: &str) -> Mounts {
        let mut mounts = Mounts {
            entries: lines(text.as_bytes()).filter_map(parse).collect(),
            ..Mounts::default()
        };
        mounts.find_reach(Some(&witness(root)));
        mounts
    }

    const TEXT: &str = "\
        20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        21 20 0:5 / /a rw - tmpfs a rw\n\
        22 21 0:6 / /a/b rw - tmpfs b rw\n\
        23 22 0:7 / /a/b rw - tmpfs b rw\n\
        24 20 0:8 / /c/d rw - tmpfs d rw\n\
        25 20 0:9 / /c rw - tmpfs c rw\n\
        26 20 0:9 / /gone//deleted rw - tmpfs c rw\n";

    #[test]
    fn reach_is_looked_up() {
        let found = mounts(TEXT, "/");
        let reach: Vec<_> = found
            .entries
            .iter()
            .map(|entry| (entry.old_id, entry.reach))
            .collect();
        assert_eq!(
            reach,
            [
                (20, "root"),
                (21, "root"),
                (22, "over"),
                (23, "root"),
                (24, "covered"),
                (25, "root"),
                (26, "covered"),
            ]
        );
        assert_eq!(found.top, Some(20));
    }

    #[test]
    fn a_covered_root_says_nothing() {
        let text = "20 1 8:1 / / rw - ext4 x rw\n21 20 0:5 / / rw - tmpfs a rw\n";
        let found = mounts(text, "/");
        assert!(found.entries.iter().all(|entry| entry.reach == UNKNOWN));
        assert_eq!(found.top, None);
    }

    #[test]
    fn what_a_jail_sees_gets_its_whole_path() {
        let found = mounts("31 30 0:5 / /b rw master:1 - tmpfs a rw\n", "/a b");
        assert_eq!(found.entries.len(), 1);
        assert_eq!(
            found.entries[0].line,
            b"31 30 0:5 / /a\\040b/b rw master:1 - tmpfs a rw"
        );
        let found = mounts("30 20 8:1 /x / rw - ext4 x rw\n", "/a");
        assert_eq!(found.entries[0].line, b"30 20 8:1 /x /a rw - ext4 x rw");
        assert_eq!(found.entries[0].reach, UNKNOWN);
    }

    #[test]
    fn lines_that_are_none() {
        for line in [
            "",
            "1",
            "1 2 3 / / rw - a b c",
            "1 2 3:4 / /",
            "1 2 3:4 / / rw a b",
        ] {
            assert!(parse(line.as_bytes()).is_none(), "{line}");
        }
        let entry = parse(b"1 2 3:4 / / rw master:2 propagate_from:1 - a  rw").expect("a line");
        assert_eq!(entry.line, b"1 2 3:4 / / rw master:2 - a  rw");
        assert_eq!(lines(b"a\nb").count(), 1);
    }

    #[test]
    fn a_line_of_what_statmount_tells() {
        let stat = StatMount {
            id: 1 << 31,
            parent: 1 << 31,
            old_id: 7,
            old_parent: 7,
            device: (0, 2),
            sb_flags: 1,
            attributes: 0x2 | 0x1,
            propagation: MS_SHARED,
            peer_group: 4,
            root: b"/a b".to_vec(),
            point: None,
            fs_type: b"fuse".to_vec(),
            subtype: b"x".to_vec(),
            source: Some(b"s c".to_vec()),
            options: Some(b"a=1".to_vec()),
            ..StatMount::default()
        };
        let entry = line_of(&stat, true).expect("a line");
        assert_eq!(
            entry.line,
            b"7 7 0:2 /a\\040b / ro,nosuid,relatime shared:4 - fuse.x s\\040c ro,a=1"
        );
        assert_eq!(entry.reach, OUTSIDE);
        let unknown = StatMount {
            source: None,
            ..stat
        };
        assert!(line_of(&unknown, true).is_none());
    }
}
