// SPDX-License-Identifier: GPL-2.0

//! What keeps namespaces besides processes: mounts, and other namespaces; and which of them nothing was
//! found to keep.

#![deny(unsafe_code)]

use super::{
    budget::Budget,
    mounts::MountRecord,
    store::{
        ChunkedVec,
        HashKey,
        Interner, //
    },
    tasks::{
        Held,
        HeldBy,
        HoldFilter,
        NsIdSet,
        Tasks, //
    },
};
use crate::sys::{
    namespace::{
        Namespace,
        NsId, //
    },
    super_block::FsRelation, //
};
use kernel::prelude::*;

/// A mount that leads to a namespace.
#[derive(Clone, Copy)]
pub(crate) struct MountHold {
    /// Which of all mounts that were read for it.
    pub(crate) mount: u32,
    pub(crate) ns: NsId,
    pub(crate) relation: FsRelation,
}

/// A namespace that keeps the one that it lies below, or that owns it.
#[derive(Clone, Copy)]
pub(crate) struct ChildHold {
    pub(crate) ns: NsId,
    pub(crate) child: NsId,
    /// The child has active references, and so gives one to the other.
    is_active: bool,
}

/// A namespace of which it is to be found out whether something was found to keep it.
#[derive(Clone, Copy)]
struct Kept {
    ns: NsId,
    is_active: bool,
}

/// What keeps namespaces besides processes.
pub(crate) struct NsHolds {
    /// What is told of mounts is told of these, if others are shown than those that hold something.
    pub(super) mounts: ChunkedVec<MountRecord>,
    /// The mount namespaces of these.
    pub(super) mnt: ChunkedVec<NsId>,
    pub(super) by_mount: ChunkedVec<MountHold>,
    by_child: ChunkedVec<ChildHold>,
    kept: ChunkedVec<Kept>,
    unknown: ChunkedVec<NsId>,
}

impl NsHolds {
    /// Creates one of nothing.
    pub(super) const fn new() -> Self {
        Self {
            mounts: ChunkedVec::new(0),
            mnt: ChunkedVec::new(0),
            by_mount: ChunkedVec::new(0),
            by_child: ChunkedVec::new(0),
            kept: ChunkedVec::new(0),
            unknown: ChunkedVec::new(0),
        }
    }

    /// The mounts that lead to namespaces.
    pub(crate) fn by_mount(&self) -> &ChunkedVec<MountHold> {
        &self.by_mount
    }

    /// The namespaces that keep others.
    pub(crate) fn by_child(&self) -> &ChunkedVec<ChildHold> {
        &self.by_child
    }

    /// The namespaces that nothing was found to keep, although there are references to them.
    pub(crate) fn unknown(&self) -> &ChunkedVec<NsId> {
        &self.unknown
    }

    /// Adds what a namespace keeps: the one that it lies below, and its owner.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn add_child(
        &mut self,
        namespace: &Namespace,
        filter: &HoldFilter,
        budget: &Budget,
    ) -> Result {
        let Some(child) = namespace.id() else {
            return Ok(());
        };
        let kept = [namespace.parent(), namespace.owner()];
        for ns in kept.into_iter().flatten() {
            // The initial user namespace is its own owner.
            if ns != child && filter.keeps_ns(ns) {
                self.by_child.add(
                    ChildHold {
                        ns,
                        child,
                        is_active: namespace.active() > 0,
                    },
                    budget,
                )?;
            }
        }
        Ok(())
    }

    /// Notes that it is to be found out whether something keeps a namespace.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn add_kept(&mut self, ns: NsId, active: i32, budget: &Budget) -> Result {
        let kept = Kept {
            ns,
            is_active: active > 0,
        };
        self.kept.add(kept, budget)?;
        Ok(())
    }

    /// Finds out which namespaces nothing was found to keep, once all else is known.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn find_unknown(&mut self, tasks: &Tasks, key: HashKey, budget: &Budget) -> Result {
        if self.kept.len() == 0 {
            return Ok(());
        }
        // Those with a holder of a kind that makes them active, and those with any other.
        let mut active = Interner::new(16, key);
        let mut others = Interner::new(16, key);
        let add = |to: &mut NsIdSet, ns: NsId| to.find_or_add(ns.id(), budget, || ns).map(|_| ());
        tasks.for_each_namespace(|ns| add(&mut active, ns))?;
        let holds = tasks.holds();
        for hold in holds.records().iter() {
            let Held::Ns(ns) = hold.held else {
                continue;
            };
            let Some(ns) = holds.ns(ns) else {
                continue;
            };
            match hold.by {
                HeldBy::Fd(_) | HeldBy::Thread | HeldBy::ForChildren => add(&mut active, ns)?,
                HeldBy::Fs {
                    relation: FsRelation::Shows,
                    ..
                } => {}
                _ => add(&mut others, ns)?,
            }
        }
        for hold in self.by_mount.iter() {
            match hold.relation {
                FsRelation::File => add(&mut active, hold.ns)?,
                FsRelation::Keeps => add(&mut others, hold.ns)?,
                FsRelation::Shows => {}
            }
        }
        for hold in self.by_child.iter() {
            let to = if hold.is_active {
                &mut active
            } else {
                &mut others
            };
            add(to, hold.ns)?;
        }
        for kept in self.kept.iter() {
            let id = kept.ns.id();
            let is_known =
                active.find(&id).is_some() || !kept.is_active && others.find(&id).is_some();
            if !is_known {
                self.unknown.add(kept.ns, budget)?;
            }
        }
        active.release(budget);
        others.release(budget);
        Ok(())
    }
}
