// SPDX-License-Identifier: GPL-2.0

//! Path names, as a tree: what many names begin with is in memory once.

#![deny(unsafe_code)]

use super::{
    budget::Budget,
    store::{
        ChunkedVec,
        Found,
        HashKey,
        Hasher,
        Interner,
        Keyed,
        Places,
        Span,
        StringId,
        StringPool,
        NONE, //
    },
};
use crate::{
    sys::path::PathEnd,
    text::PATH_SPECIAL, //
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
    name: Span,
    /// A part of the hash of both.
    hash: u32,
    /// Another node of the same path, which has all of it for a name; [`NONE`] if there is none.
    whole: u32,
    /// How many nodes are above it.
    depth: u8,
    /// None of the names, its own and those above it, has a byte that must be escaped.
    is_plain: bool,
}

/// The most nodes that a path is spelled of. What is deeper has a second node, whose name is all of the
/// path: so a path is spelled in time that depends on its length in bytes alone.
const MAX_DEPTH: u8 = 32;

/// All path names of a snapshot, each node of them once. The bytes of the names are in its pool of
/// strings.
pub(crate) struct PathTree {
    /// That of index `i` is the path `i + 2`.
    nodes: ChunkedVec<PathNode>,
    places: Places,
    key: HashKey,
    /// Room for a path that is spelled, once that was necessary.
    scratch: Option<PathBuf>,
}

/// Paths that are no nodes: [`PathId::TOP`] and [`PathId::UNKNOWN`].
const CONSTANTS: u32 = 2;

impl PathTree {
    /// Creates a tree of nothing but its top.
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            nodes: ChunkedVec::new(0),
            places: Places::new(),
            key,
            scratch: None,
        }
    }

    /// The directory that is reached from another by a name: steps with slashes between, of which
    /// there can be one more before the first; or nothing at all. Also, where the name stands.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    #[inline]
    pub(super) fn add(
        &mut self,
        from: PathId,
        name: &[u8],
        strings: &mut StringPool,
        budget: &Budget,
    ) -> Result<(PathId, Span)> {
        let name = name.strip_prefix(b"/").unwrap_or(name);
        if name.is_empty() {
            return Ok((from, Span::EMPTY));
        }
        self.reserve_places(1, budget)?;
        match self.look_up(from, name, strings) {
            (_, Some(Found::Index(index))) => Ok(self.at(index)),
            (hash, found) => {
                let span = strings.append(name, budget)?;
                self.push((from, span, hash), found, strings, budget)
            }
        }
    }

    /// As [`PathTree::add`], of a name that is in the pool.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn add_span(
        &mut self,
        from: PathId,
        name: Span,
        strings: &mut StringPool,
        budget: &Budget,
    ) -> Result<(PathId, Span)> {
        let span = match strings.bytes(name) {
            [] => return Ok((from, Span::EMPTY)),
            [b'/', ..] => name.without_first(),
            _ => name,
        };
        self.reserve_places(1, budget)?;
        match self.look_up(from, strings.bytes(span), strings) {
            (_, Some(Found::Index(index))) => Ok(self.at(index)),
            (hash, found) => self.push((from, span, hash), found, strings, budget),
        }
    }

    /// Makes room for `more` directories.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn reserve_more(&mut self, more: usize, budget: &Budget) -> Result {
        self.nodes.reserve_more(more, budget)?;
        self.reserve_places(more, budget)
    }

    /// Makes room for `more` in the table.
    #[inline]
    fn reserve_places(&mut self, more: usize, budget: &Budget) -> Result {
        let (nodes, len) = (&self.nodes, self.nodes.len());
        let hash = |index| Some(nodes.get(index)?.hash.into());
        self.places
            .reserve(len.saturating_add(more), budget, len, hash)
    }

    /// A part of the hash of a node, and which node that is, or the place where it would be.
    #[inline]
    fn look_up(&self, from: PathId, name: &[u8], strings: &StringPool) -> (u32, Option<Found>) {
        let hasher = self.key.hasher().with(from.0.into()).with_bytes(name);
        // CAST: A part of it will do.
        let hash = hasher.finish() as u32;
        let is_it = |index| {
            let node = self.nodes.get(index);
            node.is_some_and(|node| {
                node.hash == hash && node.parent == from && strings.bytes(node.name) == name
            })
        };
        let found = self.places.find(self.nodes.len(), || hash.into(), is_it);
        (hash, found)
    }

    /// The path of a node, and its name.
    fn at(&self, index: u32) -> (PathId, Span) {
        let name = self.nodes.get(index).map_or(Span::EMPTY, |node| node.name);
        (PathId(index.saturating_add(CONSTANTS)), name)
    }

    /// Adds a node.
    fn push(
        &mut self,
        (parent, name, hash): (PathId, Span, u32),
        place: Option<Found>,
        strings: &mut StringPool,
        budget: &Budget,
    ) -> Result<(PathId, Span)> {
        let above = self.node(parent);
        let depth = above.map_or(0, |above| above.depth.saturating_add(1));
        let is_plain = PATH_SPECIAL.split(strings.bytes(name)).1.is_none();
        let node = PathNode {
            parent,
            name,
            hash,
            whole: NONE,
            depth,
            is_plain: is_plain && above.is_none_or(|above| above.is_plain),
        };
        let index = self.nodes.add(node, budget)?;
        if let Some(Found::Vacant(at)) = place {
            self.places.set(at, index);
        }
        if depth >= MAX_DEPTH {
            self.add_whole(index, strings, budget)?;
        }
        Ok(self.at(index))
    }

    /// Adds a second node for a path, whose name is all of it, as far as it is shown. It is found by no
    /// name.
    #[cold]
    fn add_whole(&mut self, index: u32, strings: &mut StringPool, budget: &Budget) -> Result {
        let mut spelled = match self.scratch.take() {
            Some(scratch) => scratch,
            None => PathBuf::new()?,
        };
        spelled.spell(PathId(index.saturating_add(CONSTANTS)), self, strings);
        let name = strings.append(spelled.as_bytes(), budget)?;
        let has_slash = spelled.as_bytes().starts_with(b"/");
        let node = PathNode {
            parent: if spelled.is_cut() {
                PathId::UNKNOWN
            } else {
                PathId::TOP
            },
            name: if has_slash {
                name.without_first()
            } else {
                name
            },
            hash: 0,
            whole: NONE,
            depth: 0,
            is_plain: spelled.is_plain(),
        };
        self.scratch = Some(spelled);
        let whole = self.nodes.add(node, budget)?;
        if let Some(node) = self.nodes.get_mut(index) {
            node.whole = whole;
        }
        Ok(())
    }

    /// The node to spell a path by.
    #[inline]
    fn node(&self, path: PathId) -> Option<&PathNode> {
        let node = self.nodes.get(path.0.checked_sub(CONSTANTS)?)?;
        self.nodes.get(node.whole).or(Some(node))
    }
}

/// Path names, step by step, where equal ones are the same.
pub(super) struct Steps {
    /// That of index `i` is the path `i + 2`.
    nodes: Interner<StepNode>,
    names: StringPool,
}

/// A directory, whose name is of one step.
#[derive(Clone, Copy)]
struct StepNode {
    parent: PathId,
    name: StringId,
}

impl Keyed for StepNode {
    type Key = (PathId, StringId);

    fn key(&self) -> (PathId, StringId) {
        (self.parent, self.name)
    }

    fn hash((parent, name): &(PathId, StringId), hasher: Hasher) -> Hasher {
        hasher.with(parent.as_u64() << 32 | name.as_u64())
    }
}

impl Steps {
    /// Creates those of no path.
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            nodes: Interner::new(64, key),
            names: StringPool::new(key),
        }
    }

    /// The directory that is reached from another by a name: each step after a slash, or nothing at
    /// all.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn add(&mut self, from: PathId, name: &[u8], budget: &Budget) -> Result<PathId> {
        let mut at = from;
        let steps = name.split(|byte| *byte == b'/');
        for step in steps.filter(|step| !step.is_empty()) {
            let parent = at;
            let name = self.names.add(step, budget)?;
            let node = self
                .nodes
                .find_or_add((parent, name), budget, || StepNode { parent, name })?;
            at = PathId(node.saturating_add(CONSTANTS));
        }
        Ok(at)
    }

    /// The directory above; `None` at the top.
    pub(super) fn parent(&self, path: PathId) -> Option<PathId> {
        let node = self.nodes.items().get(path.0.checked_sub(CONSTANTS)?)?;
        Some(node.parent)
    }

    /// Frees its memory, and gives it back to the budget.
    pub(super) fn release(self, budget: &Budget) {
        self.nodes.release(budget);
        self.names.release(budget);
    }
}

/// A path name that is spelled, and room for it.
pub(crate) struct PathBuf {
    end: PathEnd,
    is_cut: bool,
    is_plain: bool,
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
            is_plain: false,
        })
    }

    /// Spells the name of a directory; of one that is longer than `PATH_MAX` bytes, the end.
    pub(crate) fn spell(&mut self, path: PathId, tree: &PathTree, strings: &StringPool) {
        self.end.clear();
        self.is_cut = false;
        self.is_plain = tree.node(path).is_none_or(|node| node.is_plain);
        let mut at = path;
        while let Some(node) = tree.node(at) {
            if !(self.end.put_before(strings.bytes(node.name)) && self.end.put_before(b"/")) {
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

    /// Whether it has no byte that must be escaped.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
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
    /// Creates one of nothing.
    pub(super) const fn new() -> Self {
        Self {
            known: ChunkedVec::new(0),
            way: ChunkedVec::new(64),
        }
    }

    /// Makes room for `len` of them, of which nothing is known.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn begin(&mut self, len: usize, budget: &Budget) -> Result {
        self.known.clear();
        self.known.fill(Known::Nothing, len, budget)
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
