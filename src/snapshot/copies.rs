// SPDX-License-Identifier: GPL-2.0

//! Which mounts are copies of others: mounts of the same directory, on the same directory, in other mount
//! namespaces. They came by propagation, or with the copy of a mount namespace.

#![deny(unsafe_code)]

use super::{
    budget::Budget,
    mounts::MountFilter,
    store::{
        ChunkedVec,
        HashKey,
        Hasher,
        Interner,
        Keyed, //
    },
};
use crate::sys::{
    mount::{
        Mount,
        MountOps,
        Spot, //
    },
    namespace::{
        MntNamespace,
        Namespace, //
    },
    task, //
};
use kernel::prelude::*;

/// A mount that may be a copy.
#[derive(Clone, Copy)]
struct Seen {
    id: u64,
    spot: Spot,
    /// Which of all mount namespaces.
    ns: u32,
}

/// The oldest mount of a directory on a directory.
struct Oldest(Seen);

impl Keyed for Oldest {
    type Key = Spot;

    fn key(&self) -> Spot {
        self.0.spot
    }

    fn hash(key: &Spot, hasher: Hasher) -> Hasher {
        // CAST: Addresses.
        hasher.with(key.root as u64).with(key.point as u64)
    }
}

/// The 64-bit id of a mount that is a copy.
struct Copied(u64);

impl Keyed for Copied {
    type Key = u64;

    fn key(&self) -> u64 {
        self.0
    }

    fn hash(key: &u64, hasher: Hasher) -> Hasher {
        hasher.with(*key)
    }
}

/// The mounts that are copies.
pub(super) struct Copies(Interner<Copied>);

/// Mounts that are looked at under one hold of the semaphore.
const BATCH: usize = 256;

impl Copies {
    /// Finds those of the mounts that a filter keeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`; `EINTR` if the calling process is being killed.
    pub(super) fn find(
        (ops, namespaces): (&MountOps, &[Namespace]),
        filter: MountFilter,
        key: HashKey,
        budget: &Budget,
    ) -> Result<Self> {
        let mut seen = ChunkedVec::new(0);
        let mut number = 0_u32;
        for mnt in namespaces.iter().filter_map(Namespace::as_mnt) {
            add_all(ops, mnt, number, filter, &mut seen, budget)?;
            number = number.wrapping_add(1);
        }
        let mut oldest = Interner::new(16, key);
        for one in seen.iter() {
            let index = oldest.find_or_add(one.spot, budget, || Oldest(*one))?;
            if let Some(Oldest(old)) = oldest.items_mut().get_mut(index) {
                if one.id < old.id {
                    *old = *one;
                }
            }
        }
        let mut copies = Interner::new(16, key);
        for one in seen.iter() {
            let index = oldest.find(&one.spot);
            let old = index.and_then(|index| oldest.items().get(index));
            if old.is_some_and(|Oldest(old)| old.ns != one.ns) {
                copies.find_or_add(one.id, budget, || Copied(one.id))?;
            }
        }
        oldest.release(budget);
        seen.release(budget);
        Ok(Self(copies))
    }

    /// Whether a mount is one.
    pub(super) fn has(&self, mount: &Mount<'_>) -> bool {
        self.0.find(&mount.id()).is_some()
    }
}

/// Adds the mounts of a namespace that a filter keeps.
fn add_all(
    ops: &MountOps,
    mnt: MntNamespace<'_>,
    ns: u32,
    filter: MountFilter,
    seen: &mut ChunkedVec<Seen>,
    budget: &Budget,
) -> Result {
    let mut from = 0_u64;
    // Others may add to the list for as long as it is read.
    let mut left = mnt.len().saturating_mul(2).saturating_add(BATCH);
    while left > 0 {
        if task::is_being_killed() {
            return Err(EINTR);
        }
        seen.reserve_more(BATCH, budget)?;
        let sem = ops.lock(mnt, from);
        let mut is_end = true;
        for mount in sem.mounts().take(BATCH) {
            is_end = false;
            from = mount.id().saturating_add(1);
            left = left.saturating_sub(1);
            if filter.keeps(&mount) {
                // There is room.
                let _ = seen.push(Seen {
                    id: mount.id(),
                    spot: mount.spot(),
                    ns,
                });
            }
        }
        if is_end {
            break;
        }
    }
    Ok(())
}
