// SPDX-License-Identifier: GPL-2.0

//! What one mount namespace has and another has not.

use std::collections::{HashMap, VecDeque};

use crate::text::{Device, Inum, Mount};

use super::{Entry, Scope};

/// What is said of a mount in a comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    /// `-` only in the first, `+` only in the second, `~` in both, and not the same.
    pub(super) sign: &'static str,
    /// The one that it is in, as it was typed.
    pub(super) place: &'a str,
    /// What is not the same.
    pub(super) differs: Differs,
}

/// What is not the same of two mounts at the same place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Differs {
    device: bool,
    root: bool,
    fstype: bool,
    options: bool,
}

impl Differs {
    fn of(one: &Mount<'_>, other: &Mount<'_>) -> Self {
        Self {
            device: one.device != other.device,
            root: one.root != other.root,
            fstype: one.fstype != other.fstype,
            options: options(one) != options(other),
        }
    }

    /// The names of the columns.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (self.device, "MAJ:MIN"),
            (self.root, "FSROOT"),
            (self.fstype, "FSTYPE"),
            (self.options, "OPTIONS"),
        ]
        .into_iter()
        .filter_map(|(differs, name)| differs.then_some(name))
    }
}

/// What is mounted where.
type Content<'t> = (&'t [u8], Device, &'t [u8], &'t [u8]);

fn content<'t>(mount: &Mount<'t>) -> Content<'t> {
    (
        mount.point.raw(),
        mount.device,
        mount.root.raw(),
        mount.fstype.raw(),
    )
}

fn options<'t>(mount: &Mount<'t>) -> (&'t [u8], &'t [u8]) {
    (mount.options, mount.super_options)
}

/// Compares the two namespaces of a scope: rows by target.
pub(super) fn rows<'a, 't>(
    mounts: &[&'a Mount<'t>],
    scope: &Scope,
    names: &'a [String],
) -> Vec<(Entry<'a, 't>, usize)> {
    let (Some([a, b]), [name_a, name_b]) = (scope.namespaces.as_deref(), names) else {
        return Vec::new();
    };
    let of = |ns: Inum| -> Vec<&'a Mount<'t>> {
        mounts.iter().copied().filter(|one| one.ns == ns).collect()
    };
    // First whatever is the same, then the same with other options, then anything else at the same place.
    let (_, a, b) = pairs(of(*a), of(*b), |one| (content(one), options(one)));
    let (mut changed, a, b) = pairs(a, b, |one| content(one));
    let (more, a, b) = pairs(a, b, |one| one.point.raw());
    changed.extend(more);

    let mut changes = Vec::with_capacity(changed.len() * 2 + a.len() + b.len());
    let mut add = |mount, sign, place, differs| {
        let change = Change {
            sign,
            place,
            differs,
        };
        changes.push(Entry {
            mount,
            change: Some(change),
        });
    };
    for (one, other) in changed {
        let differs = Differs::of(one, other);
        add(one, "~", name_a.as_str(), differs);
        add(other, "~", name_b, differs);
    }
    for one in a {
        add(one, "-", name_a, Differs::default());
    }
    for one in b {
        add(one, "+", name_b, Differs::default());
    }
    // Of the same place, those that belong together stay so.
    changes.sort_by(|one, other| one.mount.point.raw().cmp(other.mount.point.raw()));
    changes.into_iter().map(|change| (change, 0)).collect()
}

type Pairs<'a, 't> = (
    Vec<(&'a Mount<'t>, &'a Mount<'t>)>,
    Vec<&'a Mount<'t>>,
    Vec<&'a Mount<'t>>,
);

/// Puts together what has the same key in both, each once, in the order in which it comes; and what is left of both.
fn pairs<'a, 't, K: std::hash::Hash + Eq>(
    a: Vec<&'a Mount<'t>>,
    b: Vec<&'a Mount<'t>>,
    key: impl Fn(&Mount<'t>) -> K,
) -> Pairs<'a, 't> {
    let mut of_key: HashMap<K, VecDeque<usize>> = HashMap::new();
    for (index, one) in b.iter().enumerate() {
        of_key.entry(key(one)).or_default().push_back(index);
    }
    let mut pairs = Vec::new();
    let mut left = Vec::new();
    let mut is_taken = vec![false; b.len()];
    for one in a {
        match of_key.get_mut(&key(one)).and_then(VecDeque::pop_front) {
            Some(index) => {
                is_taken[index] = true;
                pairs.push((one, b[index]));
            }
            None => left.push(one),
        }
    }
    let rest = b
        .into_iter()
        .zip(is_taken)
        .filter_map(|(one, is_taken)| (!is_taken).then_some(one))
        .collect();
    (pairs, left, rest)
}
