// SPDX-License-Identifier: GPL-2.0

//! Things that lie below one another, each looked at once: mounts below the mounts that they are
//! mounted on, cgroups below the groups around them.

#![deny(unsafe_code)]

use super::{
    budget::Budget,
    paths::{
        Above,
        Climb,
        PathId,
        PathTree, //
    },
    store::{
        CapacityExceeded,
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
    cgroup::Cgroup,
    mount::MountNode,
    path::{
        NameBuf,
        WayUp, //
    },
    task, //
};
use kernel::prelude::*;

/// Something that lies below something else.
pub(super) trait Below: Copy {
    /// A number that no other one has or will have.
    fn id(&self) -> u64;

    /// What it lies below; `None` at the top.
    fn above(&self) -> Option<Self>;

    /// What it lies below, to whose path it adds the name that is written to `names`; with how the
    /// name came out, and how many steps that took. `None` at the top.
    fn up(&self, names: &mut NameBuf) -> Option<(Self, WayUp, usize)>;
}

impl Below for MountNode<'_> {
    fn id(&self) -> u64 {
        MountNode::id(self)
    }

    fn above(&self) -> Option<Self> {
        self.parent()
    }

    fn up(&self, names: &mut NameBuf) -> Option<(Self, WayUp, usize)> {
        let (parent, found) = MountNode::up(self, names)?;
        Some((parent, found.way, found.steps as usize))
    }
}

impl Below for Cgroup<'_> {
    fn id(&self) -> u64 {
        Cgroup::id(self)
    }

    fn above(&self) -> Option<Self> {
        self.parent()
    }

    fn up(&self, names: &mut NameBuf) -> Option<(Self, WayUp, usize)> {
        let parent = self.parent()?;
        names.copy(self.name());
        Some((parent, WayUp::AtRoot, 1))
    }
}

/// One of them.
#[derive(Clone, Copy)]
struct Link {
    id: u64,
    /// Which of all links is what it lies below; [`NOT_YET`], or [`TOP`].
    parent: u32,
    /// What it adds to the path of that.
    name: StringId,
    way: WayUp,
    /// All that it lies below is known.
    is_complete: bool,
}

/// What lies above is not known yet.
const NOT_YET: u32 = u32::MAX;
/// There is nothing above.
const TOP: u32 = u32::MAX - 1;

impl Keyed for Link {
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }

    fn hash(key: &u64, hasher: Hasher) -> Hasher {
        hasher.with(*key)
    }
}

/// All of one kind that were looked at.
pub(super) struct Ancestry {
    links: Interner<Link>,
    /// Their paths, once they are resolved.
    paths: ChunkedVec<PathId>,
}

impl Ancestry {
    /// Creates one of nothing.
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            links: Interner::new(8, key),
            paths: ChunkedVec::new(0),
        }
    }

    /// Makes room for the next section.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn reserve(&mut self, budget: &Budget) -> Result {
        self.links.reserve(budget)
    }

    /// Adds `one` and all that it lies below, as far as they are not known, and returns which one it
    /// is. `steps` counts those that were not.
    ///
    /// If it fails, what came before remains: called again in the next section, it passes that and
    /// goes on.
    pub(super) fn add<T: Below>(
        &mut self,
        one: T,
        strings: &mut StringPool,
        names: &mut NameBuf,
        steps: &mut usize,
        max_steps: usize,
    ) -> Result<u32, CapacityExceeded> {
        let mut first = None;
        let mut at = one;
        // Known ones that were passed. There are no more than all, unless they are moved meanwhile so that
        // the way leads in a circle.
        let mut passed = 0_usize;
        loop {
            let index = self.link_of(at.id())?;
            let first = *first.get_or_insert(index);
            let Some(mut link) = self.links.items().get(index).copied() else {
                return Err(CapacityExceeded);
            };
            if link.is_complete {
                self.complete(first);
                return Ok(first);
            }
            // It may have been moved since: then it is looked at anew.
            let known = at.above().filter(|above| {
                let parent = self.links.items().get(link.parent);
                parent.is_some_and(|parent| parent.id == above.id())
            });
            if let Some(above) = known {
                passed = passed.saturating_add(1);
                if passed <= self.links.items().len() {
                    at = above;
                    continue;
                }
                *steps = max_steps;
            }
            if *steps >= max_steps {
                return Err(CapacityExceeded);
            }
            let mut above = None;
            if let Some((parent, way, more)) = at.up(names) {
                *steps = steps.saturating_add(more).saturating_add(1);
                link.name = strings.push(names.as_bytes())?;
                link.way = way;
                above = Some(parent).filter(|_| way != WayUp::Escaped);
            }
            link.parent = match above {
                Some(above) => self.link_of(above.id())?,
                None => TOP,
            };
            if let Some(place) = self.links.items_mut().get_mut(index) {
                *place = link;
            }
            let Some(above) = above else {
                self.complete(first);
                return Ok(first);
            };
            at = above;
        }
    }

    /// The link with that id, of which nothing more may be known.
    fn link_of(&mut self, id: u64) -> Result<u32, CapacityExceeded> {
        self.links.find_or_push(id, || Link {
            id,
            parent: NOT_YET,
            name: StringId::EMPTY,
            way: WayUp::AtRoot,
            is_complete: false,
        })
    }

    /// Notes that all is known that `first` lies below.
    fn complete(&mut self, first: u32) {
        let mut index = first;
        while let Some(link) = self.links.items_mut().get_mut(index) {
            if link.is_complete {
                break;
            }
            link.is_complete = true;
            index = link.parent;
        }
    }

    /// Finds the paths of all.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`; `EINTR` if the calling process is being killed.
    pub(super) fn resolve(
        &mut self,
        climb: &mut Climb,
        tree: &mut PathTree,
        strings: &mut StringPool,
        budget: &Budget,
    ) -> Result {
        let Self { links, paths } = self;
        let links = links.items();
        paths.fill(PathId::UNKNOWN, links.len(), budget)?;
        climb.begin(links.len(), budget)?;
        let above = |index| match links.get(index) {
            Some(link) if (link.parent as usize) < links.len() => Above::Item(link.parent),
            _ => Above::Nothing,
        };
        // CAST: There are no more than an index can say.
        for index in 0..links.len() as u32 {
            if index % 64 == 0 && task::is_being_killed() {
                return Err(EINTR);
            }
            climb.visit(index, budget, above, |index, above| {
                let Some(link) = links.get(index) else {
                    return Ok(());
                };
                let parent = match above {
                    Above::Item(parent) => paths.get(parent).copied(),
                    Above::Nothing => None,
                };
                let name = strings.span(link.name);
                let path = match link.way {
                    WayUp::Escaped => PathId::UNKNOWN,
                    WayUp::AtRoot if link.parent == TOP => PathId::TOP,
                    WayUp::AtRoot => {
                        let parent = parent.unwrap_or(PathId::UNKNOWN);
                        tree.add_span(parent, name, strings, budget)?.0
                    }
                    WayUp::Cut => tree.add_span(PathId::UNKNOWN, name, strings, budget)?.0,
                };
                if let Some(place) = paths.get_mut(index) {
                    *place = path;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Frees its memory, and gives it back to the budget.
    pub(super) fn release(self, budget: &Budget) {
        self.links.release(budget);
        self.paths.release(budget);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.links.items().len()
    }

    /// The number of one of them.
    pub(super) fn id(&self, index: u32) -> Option<u64> {
        self.links.items().get(index).map(|link| link.id)
    }

    /// Which one another lies below.
    pub(super) fn above(&self, index: u32) -> Option<u32> {
        let link = self.links.items().get(index)?;
        // CAST: An index into memory.
        ((link.parent as usize) < self.len()).then_some(link.parent)
    }

    /// The path of one of them, once they are resolved.
    pub(super) fn path(&self, index: u32) -> PathId {
        self.paths.get(index).copied().unwrap_or(PathId::UNKNOWN)
    }
}
