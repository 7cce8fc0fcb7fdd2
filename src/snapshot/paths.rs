// SPDX-License-Identifier: GPL-2.0

//! Path names, as a tree: what many names begin with is in memory once.

#![deny(unsafe_code)]

use super::{
    budget::Budget,
    store::{
        ChunkedVec,
        HashKey,
        Hasher,
        Interner,
        Keyed,
        StringId,
        StringPool, //
    },
};
use crate::sys::{
    memory::{
        self,
        Vec, //
    },
    path::PathEnd, //
};
use kernel::prelude::*;

/// A directory, or a cgroup.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathId(u32);

impl PathId {
    /// The top of all names: a mount tree's root directory, or the root of the cgroups.
    pub(crate) const TOP: Self = Self(0);
    /// What lies above the part of a name that is known.
    pub(crate) const UNKNOWN: Self = Self(1);

    /// A number that no other one has.
    pub(super) fn as_u64(self) -> u64 {
        self.0.into()
    }
}

/// A directory in the tree. Its name can be of several steps, with slashes between.
struct PathNode {
    parent: PathId,
    name: StringId,
}

impl Keyed for PathNode {
    type Key = (PathId, StringId);

    fn key(&self) -> (PathId, StringId) {
        (self.parent, self.name)
    }

    fn hash((parent, name): &(PathId, StringId), hasher: Hasher) -> Hasher {
        hasher.with(parent.as_u64() << 32 | name.as_u64())
    }
}

/// All path names of a snapshot.
pub(crate) struct PathTree {
    /// Those of index `i` are the node `i + 2`.
    nodes: Interner<PathNode>,
    /// The directory that was added last for what is below it.
    recent: Option<Recent>,
    /// A name that is being split.
    scratch: Vec<u8>,
    /// The steps of a path that is being grafted.
    steps: Vec<StringId>,
}

/// A directory that was added, and how it is reached.
#[derive(Clone, Copy)]
struct Recent {
    from: PathId,
    name: StringId,
    path: PathId,
}

/// Nodes that are no items: [`PathId::TOP`] and [`PathId::UNKNOWN`].
const CONSTANTS: u32 = 2;

impl PathTree {
    /// Creates a tree of nothing but its top.
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            nodes: Interner::new(16, key),
            recent: None,
            scratch: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// The directory that is reached from another by a name as [`crate::sys::path::NameBuf`] has it:
    /// each step after a slash, or nothing at all.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn add(
        &mut self,
        from: PathId,
        name: &[u8],
        strings: &mut StringPool,
        budget: &Budget,
    ) -> Result<PathId> {
        if name.is_empty() {
            return Ok(from);
        }
        // Many names differ in the last step only.
        let slash = name.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (directory, last) = name.split_at_checked(slash).unwrap_or((&[], name));
        let directory = directory.strip_prefix(b"/").unwrap_or(directory);
        let last = last.strip_prefix(b"/").unwrap_or(last);
        let mut at = from;
        if !directory.is_empty() {
            let recent = self
                .recent
                .filter(|recent| recent.from == from && strings.get(recent.name) == directory);
            at = match recent {
                Some(recent) => recent.path,
                None => {
                    let name = strings.add(directory, budget)?;
                    let path = self.step(from, name, budget)?;
                    self.recent = Some(Recent { from, name, path });
                    path
                }
            };
        }
        let name = strings.add(last, budget)?;
        self.step(at, name, budget)
    }

    /// Adds a path to another tree, in nodes of one step each: if all paths there are, equal ones are the
    /// same.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn canonical(
        &mut self,
        path: PathId,
        to: &mut Self,
        strings: &mut StringPool,
        budget: &Budget,
    ) -> Result<PathId> {
        let (names, mut at) = self.names_of(path)?;
        let mut copy = core::mem::take(&mut self.scratch);
        for name in names.iter().rev() {
            copy.clear();
            copy.extend_from_slice(strings.get(*name), memory::charged())?;
            for step in copy.split(|byte| *byte == b'/') {
                let step = strings.add(step, budget)?;
                at = to.step(at, step, budget)?;
            }
        }
        self.scratch = copy;
        self.steps = names;
        Ok(at)
    }

    /// Frees its memory, and gives it back to the budget.
    pub(super) fn release(self, budget: &Budget) {
        self.nodes.release(budget);
    }

    /// The directory that is reached from another as `path` is reached from the top.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn graft(&mut self, from: PathId, path: PathId, budget: &Budget) -> Result<PathId> {
        if from == PathId::TOP {
            return Ok(path);
        }
        let (names, _) = self.names_of(path)?;
        let mut at = from;
        for name in names.iter().rev() {
            at = self.step(at, *name, budget)?;
        }
        self.steps = names;
        Ok(at)
    }

    /// The names on the way up from a path, the last one first, in memory that is to be given back to
    /// `steps`; and where the way ends.
    fn names_of(&mut self, path: PathId) -> Result<(Vec<StringId>, PathId)> {
        let mut names = core::mem::take(&mut self.steps);
        names.clear();
        let mut at = path;
        while let Some(node) = self.node(at) {
            names.push(node.name, memory::charged())?;
            at = node.parent;
        }
        Ok((names, at))
    }

    fn step(&mut self, parent: PathId, name: StringId, budget: &Budget) -> Result<PathId> {
        let node = self
            .nodes
            .find_or_add((parent, name), budget, || PathNode { parent, name })?;
        Ok(PathId(node.saturating_add(CONSTANTS)))
    }

    /// As [`PathTree::add`], of a name that is in the pool.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn add_string(
        &mut self,
        from: PathId,
        name: StringId,
        strings: &mut StringPool,
        budget: &Budget,
    ) -> Result<PathId> {
        let bytes = strings.get(name);
        if bytes.is_empty() {
            return Ok(from);
        }
        if !bytes.contains(&b'/') {
            return self.step(from, name, budget);
        }
        // The pool cannot be read from and added to at the same time.
        let mut copy = core::mem::take(&mut self.scratch);
        copy.clear();
        copy.extend_from_slice(bytes, memory::charged())?;
        let path = self.add(from, &copy, strings, budget);
        self.scratch = copy;
        path
    }

    fn node(&self, path: PathId) -> Option<&PathNode> {
        self.nodes.items().get(path.0.checked_sub(CONSTANTS)?)
    }

    /// The directory above; `None` at the top.
    pub(super) fn parent(&self, path: PathId) -> Option<PathId> {
        self.node(path).map(|node| node.parent)
    }
}

/// A path name that is spelled, and room for it.
pub(crate) struct PathBuf {
    end: PathEnd,
    is_cut: bool,
}

impl PathBuf {
    /// Makes the room.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            end: PathEnd::new()?,
            is_cut: false,
        })
    }

    /// Spells the name of a directory; of one that is longer than `PATH_MAX` bytes, the end.
    pub(crate) fn spell(&mut self, path: PathId, tree: &PathTree, strings: &StringPool) {
        self.end.clear();
        self.is_cut = false;
        let mut at = path;
        while let Some(node) = tree.node(at) {
            if !(self.end.put_before(strings.get(node.name)) && self.end.put_before(b"/")) {
                self.is_cut = true;
                return;
            }
            at = node.parent;
        }
        if at == PathId::UNKNOWN {
            self.is_cut = true;
        } else if at == path {
            self.end.put_before(b"/");
        }
    }

    /// The name.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.end.as_bytes()
    }

    /// Whether there is more of it.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// Finds out the paths of many things, each of which lies below another one: mounts, above all. The
/// way up from each is gone only as far as it is not known yet, so that a pile of any height takes
/// time in proportion to it.
pub(super) struct Climb {
    /// What is known of each.
    known: ChunkedVec<Known>,
    /// Those on the way up whose path is not known yet.
    way: ChunkedVec<u32>,
}

/// What a [`Climb`] knows of one.
#[derive(Clone, Copy)]
enum Known {
    Nothing,
    /// It is on the way that is gone just now.
    OnTheWay,
    All,
}

/// Where one lies.
pub(super) enum Above {
    /// Below this one.
    Item(u32),
    /// Below nothing, or below something that is not known.
    Nothing,
}

impl Climb {
    /// Makes room for `len` of them.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn new(len: usize, budget: &Budget) -> Result<Self> {
        Ok(Self {
            known: ChunkedVec::filled(Known::Nothing, len, budget)?,
            way: ChunkedVec::new(64),
        })
    }

    /// Frees its memory, and gives it back to the budget.
    pub(super) fn release(self, budget: &Budget) {
        self.known.release(budget);
        self.way.release(budget);
    }

    /// Calls `visit` for all that `one` lies below, and then for `one`, in that order, but only for
    /// those for which it has not been called before.
    ///
    /// `visit` gets what each lies below. Where that leads in a circle, as it can if it was seen at
    /// different times, it is [`Above::Nothing`] for one of them.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`; those of `visit`.
    pub(super) fn visit(
        &mut self,
        one: u32,
        budget: &Budget,
        above: impl Fn(u32) -> Above,
        mut visit: impl FnMut(u32, Above) -> Result,
    ) -> Result {
        let mut at = one;
        let mut topmost_has_none = loop {
            match self.known.get_mut(at) {
                Some(known @ Known::Nothing) => *known = Known::OnTheWay,
                Some(Known::All) => break false,
                // In a circle, or there is none such.
                _ => break true,
            }
            self.way.add(at, budget)?;
            match above(at) {
                Above::Item(next) => at = next,
                Above::Nothing => break true,
            }
        };
        while let Some(last) = self.way.len().checked_sub(1) {
            // CAST: An index into memory.
            let Some(at) = self.way.get(last as u32).copied() else {
                break;
            };
            self.way.truncate(last);
            let what = if topmost_has_none {
                Above::Nothing
            } else {
                above(at)
            };
            topmost_has_none = false;
            visit(at, what)?;
            if let Some(known) = self.known.get_mut(at) {
                *known = Known::All;
            }
        }
        Ok(())
    }
}
