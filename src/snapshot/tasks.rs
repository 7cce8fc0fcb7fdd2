// SPDX-License-Identifier: GPL-2.0

//! The walk of the task list, into memory that was reserved before.

#![deny(unsafe_code)]

use super::{
    reserved::{
        spread,
        Full,
        Interner,
        Keyed,
        Reserved, //
    },
    Level,
    Name,
    TaskRecord, //
};
use crate::sys::{
    cgroup::Cgroup,
    namespace::Inum,
    path::{
        PathKey,
        PathRef, //
    },
    pid::Pid,
    task::{
        for_each_process,
        Breaks,
        PidType,
        Task,
        Walk, //
    },
};
use core::ops::{
    ControlFlow,
    Range, //
};
use kernel::prelude::*;

/// How often a walk may lose its place before it goes without breaks, which cannot get lost.
const LOST_WALKS: u32 = 3;

/// The longest path of a cgroup that is shown in full, in bytes.
pub(super) const MAX_CGROUP_PATH: usize = 1 << 16;

/// How many processes are in a namespace.
struct Count {
    ns: Inum,
    tasks: u32,
}

impl Keyed for Count {
    type Key = Inum;

    fn key(&self) -> Inum {
        self.ns
    }

    fn hash(key: Inum) -> u64 {
        spread(key.get().into())
    }
}

impl Keyed for PathRef {
    type Key = PathKey;

    fn key(&self) -> PathKey {
        PathRef::key(self)
    }

    fn hash((mnt, dentry): PathKey) -> u64 {
        spread(mnt as u64 ^ spread(dentry as u64))
    }
}

/// A cgroup and the name of its path.
pub(super) struct CgroupName {
    id: u64,
    pub(super) path: Name,
}

impl Keyed for CgroupName {
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }

    fn hash(key: u64) -> u64 {
        spread(key)
    }
}

/// What a walk of the task list collects.
pub(super) struct Tasks {
    pub(super) records: Reserved<TaskRecord>,
    pub(super) levels: Reserved<Level>,
    /// The root directories, each once.
    pub(super) roots: Interner<PathRef>,
    /// The cgroups, each once.
    pub(super) cgroups: Interner<CgroupName>,
    /// Where the paths of the cgroups stand.
    pub(super) cgroup_paths: Reserved<u8>,
    counts: Interner<Count>,
    /// Where a path is written first.
    scratch: KVVec<u8>,
    scratch_short: bool,
}

impl Tasks {
    /// Walks the task list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(super) fn collect() -> Result<Self> {
        let mut count = 0_usize;
        let Ok(_) = for_each_process(Breaks::None, |_| {
            count += 1;
            ControlFlow::<core::convert::Infallible>::Continue(())
        });
        // Some more, for those that are born meanwhile. In most systems one or two levels, and far
        // fewer roots and cgroups than processes, are all there is.
        let room = count + count / 8 + 64;
        let mut tasks = Self {
            records: Reserved::with_capacity(room)?,
            levels: Reserved::with_capacity(room + room / 2)?,
            roots: Interner::with_capacity(64)?,
            cgroups: Interner::with_capacity(128)?,
            cgroup_paths: Reserved::with_capacity(8192)?,
            counts: Interner::with_capacity(256)?,
            scratch: KVVec::from_elem(0, 4096, GFP_KERNEL_ACCOUNT)?,
            scratch_short: false,
        };
        let mut lost = 0;
        loop {
            let breaks = if lost < LOST_WALKS {
                Breaks::Allowed
            } else {
                Breaks::None
            };
            match for_each_process(breaks, |task| match tasks.add(&task) {
                Ok(()) => ControlFlow::Continue(()),
                Err(full) => ControlFlow::Break(full),
            }) {
                Ok(Walk::Complete) => return Ok(tasks),
                Ok(Walk::Lost) => lost += 1,
                Err(Full) => {}
            }
            tasks.restart()?;
        }
    }

    /// How many processes are in a namespace.
    pub(super) fn count_in(&self, ns: Inum) -> u32 {
        self.counts.find(ns).map_or(0, |count| count.tasks)
    }

    fn restart(&mut self) -> Result {
        self.records.restart()?;
        self.levels.restart()?;
        self.roots.restart()?;
        self.cgroups.restart()?;
        self.cgroup_paths.restart()?;
        self.counts.restart()?;
        if self.scratch_short {
            self.scratch_short = false;
            let len = self.scratch.len() * 2;
            self.scratch.resize(len, 0, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(())
    }

    fn add(&mut self, task: &Task<'_>) -> Result<(), Full> {
        // Reaped since the walk came to it: it did not live throughout.
        let Some(pid) = task.pid() else {
            return Ok(());
        };
        let levels = self.add_levels(task, &pid)?;
        let pid_ns = pid.upid(pid.level()).and_then(|upid| upid.ns());
        let cred = task.cred();
        let cgroup = self.add_cgroup(&task.cgroup())?;

        let lock = task.lock();
        let nsproxy = lock.nsproxy();
        let root = match lock.root() {
            Some(root) => Some(self.roots.find_or_add(root.key(), || Ok(root.to_ref()))?),
            None => None,
        };
        drop(lock);

        self.records.push(TaskRecord {
            levels,
            comm: task.comm(),
            ppid: task.ppid(&pid),
            uid: cred.uid,
            gid: cred.gid,
            threads: task.threads(),
            state: task.state(),
            is_kthread: task.is_kthread(),
            start: task.start_boottime(),
            nsproxy,
            user_ns: cred.user_ns,
            root,
            cgroup,
        })?;

        self.count(pid_ns)?;
        self.count(cred.user_ns)?;
        if let Some(nsproxy) = nsproxy {
            self.count(nsproxy.mnt)?;
            self.count(nsproxy.uts)?;
            self.count(nsproxy.ipc)?;
            self.count(nsproxy.net)?;
            self.count(nsproxy.cgroup)?;
            self.count(nsproxy.time)?;
        }
        Ok(())
    }

    fn add_levels(&mut self, task: &Task<'_>, pid: &Pid<'_>) -> Result<Range<u32>, Full> {
        let pgid = task.signal_pid(PidType::Pgid);
        let sid = task.signal_pid(PidType::Sid);
        let begin = u32::try_from(self.levels.items().len()).map_err(|_| Full)?;
        let mut end = begin;
        for level in 0..=pid.level() {
            let Some(upid) = pid.upid(level) else {
                break;
            };
            let beside = |other: &Option<Pid<'_>>| {
                other.as_ref().map_or(0, |pid| pid.nr_beside(level, &upid))
            };
            end = 1 + self.levels.push(Level {
                ns: upid.ns(),
                nr: upid.nr(),
                pgid: beside(&pgid),
                sid: beside(&sid),
            })?;
        }
        Ok(begin..end)
    }

    fn add_cgroup(&mut self, cgroup: &Cgroup<'_>) -> Result<u32, Full> {
        let id = cgroup.id();
        let (scratch, short) = (&mut self.scratch, &mut self.scratch_short);
        let paths = &mut self.cgroup_paths;
        self.cgroups.find_or_add(id, || {
            let (len, cut) = match cgroup.path(scratch) {
                Ok(len) => (len, false),
                Err(_) if scratch.len() >= MAX_CGROUP_PATH => (MAX_CGROUP_PATH - 1, true),
                Err(_) => {
                    *short = true;
                    return Err(Full);
                }
            };
            let path = scratch.get(..len).ok_or(Full)?;
            paths.check_room(len)?;
            let begin = paths.items().len();
            for byte in path {
                paths.push(*byte)?;
            }
            Ok(CgroupName {
                id,
                path: Name {
                    bytes: begin..paths.items().len(),
                    cut,
                },
            })
        })
    }

    fn count(&mut self, ns: Option<Inum>) -> Result<(), Full> {
        let Some(ns) = ns else {
            return Ok(());
        };
        let index = self.counts.find_or_add(ns, || Ok(Count { ns, tasks: 0 }))?;
        // CAST: An index into memory.
        if let Some(count) = self.counts.items_mut().get_mut(index as usize) {
            count.tasks += 1;
        }
        Ok(())
    }
}
