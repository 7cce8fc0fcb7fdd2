// SPDX-License-Identifier: GPL-2.0

//! One picture of a system: the records of a text, with what looks them up and joins them.
//!
//! The picture borrows from the text. Indexes are made when they are first asked for, so that who wants none
//! pays for none. What a query has left out of the text is not in the picture either.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;

use crate::text::{Error, Hold, Inum, Mount, Namespace, NsType, Record, Task, Text, Thread};

/// The records of one text.
#[derive(Debug)]
pub struct System<'t> {
    /// The text itself.
    pub text: Text<'t>,
    /// All namespaces, by ascending id.
    pub namespaces: Vec<Namespace<'t>>,
    /// The processes, the oldest first.
    pub tasks: Vec<Task<'t>>,
    /// The threads, where the query asked for them.
    pub threads: Vec<Thread<'t>>,
    /// The mounts, those of a namespace together.
    pub mounts: Vec<Mount<'t>>,
    /// What holds something, where the query asked for it.
    pub holds: Vec<Hold<'t>>,
    by_pid: OnceCell<HashMap<u32, usize>>,
    by_inum: OnceCell<HashMap<u32, usize>>,
    mounts_by_ns: OnceCell<HashMap<u32, Range<usize>>>,
    hosts: OnceCell<[Option<Inum>; 8]>,
    children: OnceCell<HashMap<u32, Vec<usize>>>,
}

impl<'t> System<'t> {
    /// Reads all records of a text.
    ///
    /// # Errors
    ///
    /// The text is none, of another format, cut short, or has a record that the format does not allow.
    pub fn read(bytes: &'t [u8]) -> Result<Self, Error> {
        let text = Text::open(bytes)?;
        let count = |count: Option<u64>, size: usize| {
            // What the text says of itself is no reason to take more memory than its bytes can fill.
            usize::try_from(count.unwrap_or(0))
                .unwrap_or(0)
                .min(bytes.len() / size)
        };
        let mut system = Self {
            text,
            namespaces: Vec::with_capacity(count(text.counts.ns, 60)),
            tasks: Vec::with_capacity(count(text.counts.tasks, 300)),
            threads: Vec::with_capacity(count(text.counts.threads, 300)),
            mounts: Vec::with_capacity(count(text.counts.mounts, 60)),
            holds: Vec::with_capacity(count(text.counts.holds, 30)),
            by_pid: OnceCell::new(),
            by_inum: OnceCell::new(),
            mounts_by_ns: OnceCell::new(),
            hosts: OnceCell::new(),
            children: OnceCell::new(),
        };
        for record in text.records() {
            match record? {
                Record::Namespace(one) => system.namespaces.push(one),
                Record::Task(one) => system.tasks.push(one),
                Record::Thread(one) => system.threads.push(one),
                Record::Mount(one) => system.mounts.push(one),
                Record::Hold(one) => system.holds.push(one),
                Record::Unknown(_) => {}
            }
        }
        let counts = text.counts;
        for (kind, counted, there) in [
            ("ns", counts.ns, system.namespaces.len()),
            ("task", counts.tasks, system.tasks.len()),
            ("thread", counts.threads, system.threads.len()),
            ("mount", counts.mounts, system.mounts.len()),
            ("hold", counts.holds, system.holds.len()),
        ] {
            if counted.is_some_and(|counted| counted != there as u64) {
                return Err(Error::Counts(kind, counted.unwrap_or(0), there as u64));
            }
        }
        Ok(system)
    }

    /// The process with that number on the host.
    pub fn task(&self, pid: u32) -> Option<&Task<'t>> {
        self.task_index(pid).map(|index| &self.tasks[index])
    }

    /// Where that process stands among all.
    pub fn task_index(&self, pid: u32) -> Option<usize> {
        let index = self.by_pid.get_or_init(|| {
            self.tasks
                .iter()
                .enumerate()
                .map(|(index, task)| (task.pid, index))
                .collect()
        });
        index.get(&pid).copied()
    }

    /// The namespace with that inode number.
    pub fn namespace(&self, inum: Inum) -> Option<&Namespace<'t>> {
        self.namespace_index(inum)
            .map(|index| &self.namespaces[index])
    }

    /// Where that namespace stands among all.
    pub fn namespace_index(&self, inum: Inum) -> Option<usize> {
        // An inode number may be given to a new namespace while the text is made: the one that lives, the later one.
        self.by_inum
            .get_or_init(|| {
                self.namespaces
                    .iter()
                    .enumerate()
                    .map(|(index, one)| (one.inum(), index))
                    .collect()
            })
            .get(&inum.get())
            .copied()
    }

    /// The mounts of a mount namespace, in the kernel's order.
    pub fn mounts_of(&self, ns: Inum) -> &[Mount<'t>] {
        let ranges = self.mounts_by_ns.get_or_init(|| {
            let mut ranges: HashMap<u32, Range<usize>> = HashMap::new();
            for (index, mount) in self.mounts.iter().enumerate() {
                ranges.entry(mount.ns.get()).or_insert(index..index).end = index + 1;
            }
            ranges
        });
        ranges
            .get(&ns.get())
            .map_or(&[], |range| &self.mounts[range.clone()])
    }

    /// The mounts of a mount namespace that a path can lead to, by where they are.
    pub fn mount_points(&self, ns: Inum) -> MountPoints<'_, 't> {
        let by_point = self
            .mounts_of(ns)
            .iter()
            .filter(|mount| mount.reach() == b"root" && !mount.point.is_cut())
            .map(|mount| (mount.point.bytes(), mount))
            .collect();
        MountPoints { by_point }
    }

    /// The processes whose parent has that number, by where they stand in [`System::tasks`].
    pub fn children(&self, pid: u32) -> &[usize] {
        self.children
            .get_or_init(|| {
                let mut children: HashMap<u32, Vec<usize>> = HashMap::new();
                for (index, task) in self.tasks.iter().enumerate() {
                    children.entry(task.ppid).or_default().push(index);
                }
                children
            })
            .get(&pid)
            .map_or(&[], Vec::as_slice)
    }

    /// The initial namespace of a type, the host's own. A text from a kernel that gives it no fixed number has that of
    /// process 1.
    pub fn host(&self, ns_type: NsType) -> Option<Inum> {
        let hosts = self.hosts.get_or_init(|| {
            let first = self.tasks.iter().find(|task| task.pid == 1);
            NsType::ALL.map(|one| {
                let initial = Inum::new(one.initial());
                let is_there = self.namespaces.is_empty()
                    || initial.is_some_and(|inum| self.namespace(inum).is_some());
                if is_there || first.is_none() {
                    initial
                } else {
                    first.and_then(|task| task.namespace(one))
                }
            })
        });
        hosts[ns_type.place()]
    }

    /// The types of namespace in which a process has another one than the host; what it has given back is none.
    pub fn differs<'a>(&'a self, task: &'a Task<'t>) -> impl Iterator<Item = (NsType, Inum)> + 'a {
        NsType::ALL.into_iter().filter_map(|ns_type| {
            let inum = task.namespace(ns_type)?;
            (Some(inum) != self.host(ns_type)).then_some((ns_type, inum))
        })
    }

    /// The outermost pid namespace around that one that is not the host's, itself included.
    pub fn outermost_pid_namespace(&self, inum: Inum) -> Inum {
        let mut inum = inum;
        // They nest 32 deep.
        for _ in 0..32 {
            match self.namespace(inum).and_then(|one| one.parent) {
                Some(parent) if Some(parent) != self.host(NsType::Pid) => inum = parent,
                _ => break,
            }
        }
        inum
    }
}

/// The mounts of one mount namespace that a path can lead to: see [`System::mount_points`].
#[derive(Clone, Debug, Default)]
pub struct MountPoints<'a, 't> {
    by_point: HashMap<Cow<'t, [u8]>, &'a Mount<'t>>,
}

impl<'a, 't> MountPoints<'a, 't> {
    /// The mount that a path lies on: whose mount point is the nearest one above it. The path is absolute, and no
    /// component of it is a link, or `..`.
    pub fn of(&self, path: &[u8]) -> Option<&'a Mount<'t>> {
        let mut path = tidy(path)?;
        loop {
            if let Some(mount) = self.by_point.get(path.as_slice()) {
                return Some(mount);
            }
            if path == b"/" {
                return None;
            }
            let at = memchr::memrchr(b'/', &path)?;
            path.truncate(at.max(1));
        }
    }
}

/// An absolute path without empty components, and without `/` at its end.
pub fn tidy(path: &[u8]) -> Option<Vec<u8>> {
    if path.first() != Some(&b'/') {
        return None;
    }
    let mut out = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/') {
        if !matches!(part, b"" | b".") {
            out.push(b'/');
            out.extend_from_slice(part);
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    Some(out)
}

/// Whether a path is that directory, or lies below it. Both are as [`tidy`] gives them.
pub fn is_below(path: &[u8], directory: &[u8]) -> bool {
    directory == b"/"
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let tidy = |path: &str| {
            tidy(path.as_bytes()).map(|path| String::from_utf8_lossy(&path).into_owned())
        };
        assert_eq!(tidy("/"), Some("/".to_string()));
        assert_eq!(tidy("//a/./b//"), Some("/a/b".to_string()));
        assert_eq!(tidy("a"), None);
        assert!(is_below(b"/a/b", b"/a") && is_below(b"/a", b"/a") && is_below(b"/a", b"/"));
        assert!(!is_below(b"/ab", b"/a"));
    }

    #[test]
    fn nearest_mount() {
        let text = "nsinspect 1 release=x uptime=1\n\
                    mount 7 21 root 3 2 0:1 / / rw - x y rw\n\
                    mount 7 22 over 4 3 0:2 / /a rw - x y rw\n\
                    mount 7 23 root 5 4 0:3 / /a rw - x y rw\n\
                    mount 7 24 root 6 5 0:4 / /a\\040b/c rw - x y rw\n\
                    end ns=0 tasks=0 threads=0 mounts=4 holds=0\n";
        let system = System::read(text.as_bytes()).unwrap();
        let points = system.mount_points(Inum::new(7).unwrap());
        let of = |path: &str| points.of(path.as_bytes()).map(|mount| mount.id);
        assert_eq!(of("/"), Some(21));
        assert_eq!(of("/ab"), Some(21));
        assert_eq!(of("/a/"), Some(23));
        assert_eq!(of("/a/x"), Some(23));
        assert_eq!(of("/a b/c/d"), Some(24));
        assert_eq!(of("x"), None);
    }
}
