// SPDX-License-Identifier: GPL-2.0

//! Which mounts are copies of others: mounts of the same directory, on the same directory, as an older one in another
//! mount namespace.
//!
//! In the answer to a `dev=` query the kernel tells. Where all mounts are at hand, their paths tell it as well.

use std::collections::{HashMap, HashSet};

use crate::system::System;
use crate::text::{Device, Inum, Mount};

/// The mounts that are copies, by their 64-bit ids.
#[derive(Debug)]
pub(super) struct Copies {
    copies: HashSet<u64>,
    /// Those of which it is known.
    known: HashSet<u64>,
}

/// What is mounted, and the directory that it is mounted on; `None` at the top of a namespace.
type Spot<'t> = (Device, &'t [u8], Option<(Device, Vec<u8>)>);

/// How it can be known which are copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// It cannot: some mounts are not there.
    None,
    /// The kernel has told.
    Told,
    /// All mounts are there.
    All,
}

impl Copies {
    /// Finds them.
    pub(super) fn find(pictures: &[&System<'_>], knowledge: Knowledge) -> Self {
        let mounts = || pictures.iter().flat_map(|one| &one.mounts);
        let mut found = Self {
            copies: HashSet::new(),
            known: HashSet::new(),
        };
        // So is a saved text that is the answer to such a query.
        if knowledge == Knowledge::Told || mounts().any(|mount| mount.has("copy")) {
            found.known.extend(mounts().map(|mount| mount.id));
            found
                .copies
                .extend(mounts().filter(|one| one.has("copy")).map(|one| one.id));
            return found;
        }
        if knowledge == Knowledge::None {
            return found;
        }
        let by_id: HashMap<(Inum, u32), &Mount<'_>> = mounts()
            .map(|mount| ((mount.ns, mount.mnt_id), mount))
            .collect();
        let mut oldest: HashMap<Spot<'_>, &Mount<'_>> = HashMap::new();
        let spots: Vec<_> = mounts()
            .filter_map(|mount| Some((mount, spot(mount, &by_id)?)))
            .collect();
        for (mount, spot) in &spots {
            let old = oldest.entry(spot.clone()).or_insert(mount);
            if mount.id < old.id {
                *old = mount;
            }
        }
        for (mount, spot) in &spots {
            found.known.insert(mount.id);
            if oldest.get(spot).is_some_and(|old| old.ns != mount.ns) {
                found.copies.insert(mount.id);
            }
        }
        found
    }

    /// Whether a mount is one, if that is known.
    pub(super) fn has(&self, mount: &Mount<'_>) -> Option<bool> {
        self.known
            .contains(&mount.id)
            .then(|| self.copies.contains(&mount.id))
    }
}

/// The directory that a mount is on is that of its parent, and the rest of its own path.
fn spot<'t>(mount: &Mount<'t>, by_id: &HashMap<(Inum, u32), &Mount<'t>>) -> Option<Spot<'t>> {
    let point = match by_id.get(&(mount.ns, mount.parent)) {
        Some(parent) if parent.id != mount.id => {
            let (path, above) = (mount.point.raw(), parent.point.raw());
            if mount.point.is_cut() || parent.point.is_cut() || mount.root.is_cut() {
                return None;
            }
            let rest = if above == b"/" {
                path
            } else {
                path.strip_prefix(above)?
            };
            let mut directory = parent.root.raw().to_vec();
            if directory == b"/" {
                directory.clear();
            }
            directory.extend_from_slice(if rest == b"/" { b"" } else { rest });
            Some((parent.device, directory))
        }
        _ => None,
    };
    Some((mount.device, mount.root.raw(), point))
}
