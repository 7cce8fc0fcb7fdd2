// SPDX-License-Identifier: GPL-2.0

//! Peer groups: who gets whose mounts, over all mount namespaces.
//!
//! The mounts of a group share with each other what is mounted on them. A slave gets from the group that is its master,
//! and gives nothing back. It may be in a group of its own, whose slaves get from that.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::text::Mount;

use super::Entry;

/// A peer group.
#[derive(Default)]
struct Group<'a, 't> {
    /// The group that it gets from.
    master: Option<u64>,
    peers: Vec<&'a Mount<'t>>,
    /// Slaves that are in no group of their own.
    slaves: Vec<&'a Mount<'t>>,
    /// The groups that get from it.
    below: BTreeSet<u64>,
}

/// The groups by their numbers, each above those that get from it. With `seeds`: groups that have one of these mounts.
pub(super) fn rows<'a, 't>(
    mounts: &[&'a Mount<'t>],
    seeds: Option<&[&'a Mount<'t>]>,
) -> Vec<(Entry<'a, 't>, usize)> {
    let chosen: Option<HashSet<u64>> =
        seeds.map(|seeds| seeds.iter().flat_map(|one| groups_of(one)).collect());
    let is_shown = |number: u64| {
        chosen
            .as_ref()
            .is_none_or(|chosen| chosen.contains(&number))
    };
    let mut groups: BTreeMap<u64, Group<'a, 't>> = BTreeMap::new();
    for mount in mounts {
        let (own, master) = (mount.peer_group("shared"), mount.peer_group("master"));
        if let Some(own) = own {
            let group = groups.entry(own).or_default();
            group.peers.push(mount);
            group.master = master.or(group.master);
        }
        match (own, master) {
            (Some(own), Some(master)) => {
                groups.entry(master).or_default().below.insert(own);
            }
            (None, Some(master)) => groups.entry(master).or_default().slaves.push(mount),
            _ => {}
        }
    }
    let is_top = |group: &Group<'_, '_>| {
        group
            .master
            .is_none_or(|master| !is_shown(master) || !groups.contains_key(&master))
    };
    let tops = groups
        .iter()
        .filter(|(_, group)| is_top(group))
        .map(|(number, _)| *number);
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    // Groups may be as deep below each other as there are groups. Behind the tops come all, as two may be below each
    // other in a text that was made while they changed.
    for top in tops.chain(groups.keys().copied()) {
        let mut stack = vec![(top, 0_usize)];
        while let Some((number, depth)) = stack.pop() {
            let Some(group) = groups.get(&number) else {
                continue;
            };
            if !is_shown(number) || !seen.insert(number) {
                continue;
            }
            // A master whose peers are in no mount namespace has its slaves at the top.
            let below = if group.peers.is_empty() {
                depth
            } else {
                depth + 1
            };
            let row = |mount: &&'a Mount<'t>, depth: usize| (Entry::new(mount), depth);
            rows.extend(group.peers.iter().map(|mount| row(mount, depth)));
            rows.extend(group.slaves.iter().map(|mount| row(mount, below)));
            stack.extend(group.below.iter().rev().map(|number| (*number, below)));
        }
    }
    rows
}

fn groups_of(mount: &Mount<'_>) -> impl Iterator<Item = u64> {
    ["shared", "master"]
        .into_iter()
        .filter_map(|name| mount.peer_group(name))
        .collect::<Vec<_>>()
        .into_iter()
}
