// SPDX-License-Identifier: GPL-2.0

//! One picture of a system: the records of a text, with what looks them up and joins them.
//!
//! The picture borrows from the text. Indexes are made when they are first asked for, so that who wants none
//! pays for none. What a query has left out of the text is not in the picture either.

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
        let index = self.by_pid.get_or_init(|| {
            self.tasks
                .iter()
                .enumerate()
                .map(|(index, task)| (task.pid, index))
                .collect()
        });
        index.get(&pid).map(|index| &self.tasks[*index])
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
        hosts[NsType::ALL.iter().position(|one| *one == ns_type)?]
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
