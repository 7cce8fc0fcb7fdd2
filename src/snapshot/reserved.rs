// SPDX-License-Identifier: GPL-2.0

//! Memory to be filled where nothing may be allocated: under RCU, and with spinlocks held.

#![deny(unsafe_code)]

use crate::{
    steps::{
        self,
        Step, //
    },
    sys::memory, //
};
use kernel::prelude::*;

/// There is no room left for what was to be added.
pub(super) struct Full;

/// The most bytes that `kmalloc()` has in sizes that are not powers of two of pages, of which nearly
/// half could be of no use. C: `KMALLOC_MAX_CACHE_SIZE`, or less.
const MAX_SLAB: usize = 8192;

/// Memory for some number of items.
enum Memory<T> {
    /// Not more than [`MAX_SLAB`].
    Slab(KVec<T>),
    /// As many pages as it takes.
    Pages(VVec<T>),
}

impl<T> Memory<T> {
    fn with_capacity(capacity: usize) -> Result<Self> {
        let bytes = capacity.checked_mul(size_of::<T>()).ok_or(ENOMEM)?;
        Ok(if bytes <= MAX_SLAB {
            Self::Slab(KVec::with_capacity(capacity, memory::charged())?)
        } else {
            Self::Pages(VVec::with_capacity(capacity, memory::charged())?)
        })
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Slab(items) => items.capacity(),
            Self::Pages(items) => items.capacity(),
        }
    }

    fn push(&mut self, item: T) -> Result<(), Full> {
        match self {
            Self::Slab(items) => items.push_within_capacity(item).map_err(|_| Full),
            Self::Pages(items) => items.push_within_capacity(item).map_err(|_| Full),
        }
    }

    fn retain(&mut self, keeps: impl FnMut(&mut T) -> bool) {
        match self {
            Self::Slab(items) => items.retain(keeps),
            Self::Pages(items) => items.retain(keeps),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Slab(items) => items.clear(),
            Self::Pages(items) => items.clear(),
        }
    }

    #[inline(always)]
    fn items(&self) -> &[T] {
        match self {
            Self::Slab(items) => items,
            Self::Pages(items) => items,
        }
    }

    #[inline(always)]
    fn items_mut(&mut self) -> &mut [T] {
        match self {
            Self::Slab(items) => items,
            Self::Pages(items) => items,
        }
    }
}

/// A vector that does not grow by itself.
pub(super) struct Reserved<T> {
    memory: Memory<T>,
    /// Something did not fit since the last [`Reserved::restart`].
    short_by: usize,
}

impl<T> Reserved<T> {
    /// An empty one, with room for `capacity` items.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(super) fn with_capacity(capacity: usize) -> Result<Self> {
        Ok(Self {
            memory: Memory::with_capacity(capacity)?,
            short_by: 0,
        })
    }

    /// Whether `more` items fit; if not, notes it for [`Reserved::restart`].
    pub(super) fn check_room(&mut self, more: usize) -> Result<(), Full> {
        let room = self.memory.capacity().saturating_sub(self.items().len());
        if room >= more {
            Ok(())
        } else {
            self.short_by = more;
            Err(Full)
        }
    }

    /// Adds an item and returns its index.
    pub(super) fn push(&mut self, item: T) -> Result<u32, Full> {
        self.check_room(1)?;
        let index = u32::try_from(self.items().len()).map_err(|_| Full)?;
        self.memory.push(item)?;
        Ok(index)
    }

    /// Empties it, and makes more room if there was too little. Not to be called where nothing may
    /// be allocated, or dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(super) fn restart(&mut self) -> Result {
        self.clear();
        if self.short_by > 0 {
            let twice = self.memory.capacity().saturating_mul(2);
            // What there was goes first.
            self.memory = Memory::with_capacity(0)?;
            self.memory = Memory::with_capacity(twice.saturating_add(self.short_by.max(64)))?;
            self.short_by = 0;
        }
        Ok(())
    }

    /// Drops all items. Not to be called where nothing may be dropped.
    fn clear(&mut self) {
        self.memory.clear();
    }

    /// Drops all but what `keeps` says yes to. Not to be called where nothing may be dropped.
    pub(super) fn retain(&mut self, keeps: impl FnMut(&mut T) -> bool) {
        self.memory.retain(keeps);
    }

    #[inline(always)]
    pub(super) fn items(&self) -> &[T] {
        self.memory.items()
    }

    #[inline(always)]
    pub(super) fn items_mut(&mut self) -> &mut [T] {
        self.memory.items_mut()
    }
}

/// What is found by a key.
pub(super) trait Keyed {
    /// The key.
    type Key: Copy + PartialEq;

    /// The key of this item.
    fn key(&self) -> Self::Key;

    /// A number that spreads keys.
    fn hash(key: Self::Key) -> u64;
}

/// Spreads the bits of a number over all of its upper half, by Fibonacci hashing.
pub(super) fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Items that are equal become one, found by its key in constant time.
pub(super) struct Interner<T> {
    items: Reserved<T>,
    /// An open hash table of at least twice as many places as there is room for items, a power of
    /// two. Each is [`VACANT`] or an index into `items`.
    places: KVVec<u32>,
}

const VACANT: u32 = u32::MAX;

impl<T: Keyed> Interner<T> {
    /// An empty one, with room for `capacity` items.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(super) fn with_capacity(capacity: usize) -> Result<Self> {
        let mut this = Self {
            items: Reserved::with_capacity(capacity)?,
            places: KVVec::new(),
        };
        this.restart()?;
        Ok(this)
    }

    /// The index of the item with this key; if there is none, `make` makes it.
    pub(super) fn find_or_add(
        &mut self,
        key: T::Key,
        make: impl FnOnce() -> Result<T, Full>,
    ) -> Result<u32, Full> {
        let mask = self.places.len().wrapping_sub(1);
        // CAST: Any part of the hash will do.
        let mut at = (T::hash(key) >> 32) as usize & mask;
        loop {
            steps::count(Step::Probe);
            let place = self.places.get_mut(at).ok_or(Full)?;
            if *place == VACANT {
                // Before the item is made, since it cannot be dropped here.
                self.items.check_room(1)?;
                let index = self.items.push(make()?)?;
                *place = index;
                return Ok(index);
            }
            // CAST: An index into memory.
            let item = self.items.items().get(*place as usize).ok_or(Full)?;
            if item.key() == key {
                return Ok(*place);
            }
            at = at.wrapping_add(1) & mask;
        }
    }

    /// The item with this key.
    pub(super) fn find(&self, key: T::Key) -> Option<&T> {
        let mask = self.places.len().wrapping_sub(1);
        // CAST: Any part of the hash will do.
        let mut at = (T::hash(key) >> 32) as usize & mask;
        loop {
            steps::count(Step::Probe);
            // CAST: An index into memory; that of a vacant place is none.
            let item = self.items.items().get(*self.places.get(at)? as usize)?;
            if item.key() == key {
                return Some(item);
            }
            at = at.wrapping_add(1) & mask;
        }
    }

    /// As [`Reserved::restart`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(super) fn restart(&mut self) -> Result {
        self.items.restart()?;
        let places = self
            .items
            .memory
            .capacity()
            .checked_mul(2)
            .and_then(usize::checked_next_power_of_two)
            .ok_or(ENOMEM)?;
        self.places.clear();
        self.places.resize(places, VACANT, memory::charged())?;
        Ok(())
    }

    /// Drops all items. Not to be called where nothing may be dropped.
    pub(super) fn release(&mut self) {
        self.places.iter_mut().for_each(|place| *place = VACANT);
        self.items.clear();
    }

    #[inline(always)]
    pub(super) fn items(&self) -> &[T] {
        self.items.items()
    }

    #[inline(always)]
    pub(super) fn items_mut(&mut self) -> &mut [T] {
        self.items.items_mut()
    }
}
