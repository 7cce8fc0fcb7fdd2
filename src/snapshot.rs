// SPDX-License-Identifier: GPL-2.0

//! One consistent picture of tasks, namespaces and mounts, as plain data.
//!
//! What is collected under RCU goes into memory that was reserved before; when it does not fit, RCU
//! is left, more is reserved, and the collection starts over.

#![deny(unsafe_code)]

mod reserved;
mod tasks;

use crate::sys::{
    mount::{
        LineBuf,
        MountOps,
        NamespaceSem,
        Options,
        Reach, //
    },
    namespace::{
        Detail,
        Inum,
        Kind,
        List,
        Namespace, //
    },
    nsproxy::NsProxy,
    path::PathBuf,
    system,
    task::COMM_LEN, //
};
use core::ops::Range;
use kernel::{
    fs::LocalFile,
    prelude::*, //
};
use tasks::Tasks;

/// Where the kernel keeps what a snapshot shows.
pub(crate) struct Sources {
    namespaces: List,
    mounts: MountOps,
}

impl Sources {
    /// Finds them.
    ///
    /// # Errors
    ///
    /// `ENODEV` if this kernel is not one that the module knows; `ENOMEM`.
    pub(crate) fn find() -> Result<Self> {
        Ok(Self {
            namespaces: List::find().inspect_err(|_| {
                pr_err!("the list of all namespaces is not where it is known to be\n")
            })?,
            mounts: MountOps::find().inspect_err(|_| {
                pr_err!("the mountinfo of this process is not what it is known to be\n")
            })?,
        })
    }
}

/// The numbers of a process in one of the pid namespaces that it is in.
#[derive(Clone, Copy)]
pub(crate) struct Level {
    pub(crate) ns: Option<Inum>,
    pub(crate) nr: i32,
    /// The number of its process group there; 0 if that is not known there.
    pub(crate) pgid: i32,
    /// The number of its session there; 0 if that is not known there.
    pub(crate) sid: i32,
}

/// A name among others.
#[derive(Clone)]
pub(crate) struct Name {
    bytes: Range<usize>,
    /// It had to be cut.
    cut: bool,
}

/// A name that is shown.
pub(crate) struct NameRef<'a> {
    pub(crate) bytes: &'a [u8],
    /// It had to be cut.
    pub(crate) cut: bool,
}

impl Name {
    fn of<'a>(&self, all: &'a [u8]) -> NameRef<'a> {
        NameRef {
            bytes: all.get(self.bytes.clone()).unwrap_or_default(),
            cut: self.cut,
        }
    }
}

/// A process.
pub(crate) struct TaskRecord {
    /// Which of all the levels are its own, from level 0 on.
    levels: Range<u32>,
    /// NULs included.
    pub(crate) comm: [u8; COMM_LEN],
    pub(crate) ppid: i32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) threads: u32,
    pub(crate) state: u8,
    pub(crate) is_kthread: bool,
    /// Nanoseconds since boot.
    pub(crate) start: u64,
    /// `None` once the task has given it back.
    pub(crate) nsproxy: Option<NsProxy>,
    pub(crate) user_ns: Option<Inum>,
    /// Which of all roots; `None` once the task has given it back.
    root: Option<u32>,
    /// Which of all cgroups.
    cgroup: u32,
}

/// A root directory that processes have.
struct Root {
    /// Its path from the top of its mount tree.
    path: Name,
    ns: Option<Inum>,
    is_ns_root: bool,
}

/// A namespace.
pub(crate) struct NsRecord {
    pub(crate) kind: Kind,
    pub(crate) inum: Option<Inum>,
    pub(crate) id: u64,
    pub(crate) owner: Option<Inum>,
    /// Processes in it.
    pub(crate) tasks: u32,
    pub(crate) refs: i64,
    pub(crate) active: i32,
    pub(crate) detail: Detail,
    /// The path of a cgroup namespace's root.
    cgroup_root: Name,
    /// The 64-bit id of a mount namespace's root mount.
    pub(crate) root_mount: Option<u64>,
}

/// A mount.
pub(crate) struct MountRecord {
    pub(crate) ns: Option<Inum>,
    /// The id that is never used again.
    pub(crate) id: u64,
    pub(crate) reach: Reach,
    /// What `mountinfo` shows.
    line: Range<usize>,
}

/// The picture.
pub(crate) struct Snapshot {
    /// Nanoseconds since boot when it was begun.
    pub(crate) uptime: u64,
    pub(crate) namespaces: KVVec<NsRecord>,
    pub(crate) mounts: KVVec<MountRecord>,
    tasks: Tasks,
    roots: KVVec<Root>,
    /// Where the paths and lines of all the above stand, but for the paths in `tasks`.
    strings: KVVec<u8>,
}

impl Snapshot {
    /// Takes one, on behalf of the reader who opened `file`.
    ///
    /// Processes come first, then namespaces, then mounts: so a namespace that a process was seen
    /// in is among the namespaces unless both ended meanwhile.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn take(sources: &Sources, file: &LocalFile) -> Result<Self> {
        let mut snapshot = Self {
            uptime: system::uptime(),
            namespaces: KVVec::new(),
            mounts: KVVec::new(),
            tasks: Tasks::collect()?,
            roots: KVVec::new(),
            strings: KVVec::new(),
        };
        // The references to namespaces are dropped when this is done, or failed.
        let namespaces = sources.namespaces.collect()?;
        let mut line = LineBuf::new(Options::of_system())?;
        let mut located = false;
        for namespace in &namespaces {
            let record = snapshot.ns_record(namespace)?;
            snapshot.namespaces.push(record, GFP_KERNEL_ACCOUNT)?;
            let Some(mnt) = namespace.as_mnt() else {
                continue;
            };
            let sem = sources.mounts.lock(mnt);
            snapshot.add_mounts(&sem, namespace, &mut line, file)?;
            if !located {
                located = true;
                snapshot.locate_roots(&sem)?;
            }
        }
        Ok(snapshot)
    }

    /// The processes, in the order of `init_task.tasks`.
    pub(crate) fn tasks(&self) -> &[TaskRecord] {
        self.tasks.records.items()
    }

    /// The numbers of a process, from level 0 on.
    pub(crate) fn levels(&self, task: &TaskRecord) -> &[Level] {
        // CAST: Indices into memory.
        let range = task.levels.start as usize..task.levels.end as usize;
        self.tasks.levels.items().get(range).unwrap_or_default()
    }

    /// The path of a process's root, and whether that is another one than that of its mount
    /// namespace; `None` once the process has given it back.
    pub(crate) fn root(&self, task: &TaskRecord) -> Option<(NameRef<'_>, bool)> {
        // CAST: An index into memory.
        let root = self.roots.get(task.root? as usize)?;
        let ns = task.nsproxy.and_then(|nsproxy| nsproxy.mnt);
        let is_own = root.is_ns_root && (ns.is_none() || root.ns == ns);
        Some((root.path.of(&self.strings), !is_own))
    }

    /// The path of a process's cgroup in the default hierarchy.
    pub(crate) fn cgroup(&self, task: &TaskRecord) -> Option<NameRef<'_>> {
        // CAST: An index into memory.
        let cgroup = self.tasks.cgroups.items().get(task.cgroup as usize)?;
        Some(cgroup.path.of(self.tasks.cgroup_paths.items()))
    }

    /// The path of a cgroup namespace's root in the default hierarchy.
    pub(crate) fn cgroup_root(&self, ns: &NsRecord) -> NameRef<'_> {
        ns.cgroup_root.of(&self.strings)
    }

    /// What `mountinfo` shows of a mount.
    pub(crate) fn line(&self, mount: &MountRecord) -> &[u8] {
        self.strings.get(mount.line.clone()).unwrap_or_default()
    }

    fn ns_record(&mut self, namespace: &Namespace) -> Result<NsRecord> {
        let inum = namespace.inum();
        Ok(NsRecord {
            kind: namespace.kind(),
            inum,
            id: namespace.id(),
            owner: namespace.owner(),
            tasks: inum.map_or(0, |inum| self.tasks.count_in(inum)),
            refs: namespace.refs(),
            active: namespace.active(),
            detail: namespace.detail(),
            cgroup_root: self.add_cgroup_root(namespace)?,
            root_mount: None,
        })
    }

    fn add_cgroup_root(&mut self, namespace: &Namespace) -> Result<Name> {
        let begin = self.strings.len();
        let mut room = 0;
        let mut cut = false;
        // Only a cgroup namespace has a path, and tells how long it is once there is room for it.
        while let Some(result) =
            namespace.cgroup_root(self.strings.get_mut(begin..).unwrap_or_default())
        {
            match result {
                Ok(len) => {
                    self.strings.truncate(begin + len);
                    break;
                }
                Err(_) if room >= tasks::MAX_CGROUP_PATH => {
                    self.strings.truncate(begin + room - 1);
                    cut = true;
                    break;
                }
                Err(_) => {
                    room = (room * 2).max(4096);
                    self.strings.resize(begin + room, 0, GFP_KERNEL_ACCOUNT)?;
                }
            }
        }
        Ok(Name {
            bytes: begin..self.strings.len(),
            cut,
        })
    }

    /// Adds the mounts of the namespace whose mounts `sem` holds. All of them are of one moment, and
    /// so is what the namespace's own record, the last one, says about them.
    fn add_mounts(
        &mut self,
        sem: &NamespaceSem<'_>,
        namespace: &Namespace,
        line: &mut LineBuf,
        file: &LocalFile,
    ) -> Result {
        if let Some(record) = self.namespaces.last_mut() {
            record.detail = namespace.detail();
            record.root_mount = sem.root_id();
        }
        for mount in sem.mounts() {
            let begin = self.strings.len();
            let (reach, line) = line.write(&mount, file)?;
            self.strings.extend_from_slice(line, GFP_KERNEL_ACCOUNT)?;
            let record = MountRecord {
                ns: namespace.inum(),
                id: mount.id(),
                reach,
                line: begin..self.strings.len(),
            };
            self.mounts.push(record, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(())
    }

    /// Finds out where the root directories of the processes lie. No mount moves meanwhile, of
    /// whatever namespace.
    fn locate_roots(&mut self, sem: &NamespaceSem<'_>) -> Result {
        let mut path = PathBuf::new()?;
        for root in self.tasks.roots.items() {
            let location = sem.locate(root, &mut path)?;
            let begin = self.strings.len();
            self.strings
                .extend_from_slice(path.as_bytes(), GFP_KERNEL_ACCOUNT)?;
            let root = Root {
                path: Name {
                    bytes: begin..self.strings.len(),
                    cut: false,
                },
                ns: location.ns,
                is_ns_root: location.is_ns_root,
            };
            self.roots.push(root, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(())
    }
}
