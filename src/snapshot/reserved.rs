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

/// A vector that does not grow by itself.
pub(super) struct Reserved<T> {
    items: KVVec<T>,
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
            items: KVVec::with_capacity(capacity, memory::charged())?,
            short_by: 0,
        })
    }

    /// Whether `more` items fit; if not, notes it for [`Reserved::restart`].
    pub(super) fn check_room(&mut self, more: usize) -> Result<(), Full> {
        if self.items.capacity().saturating_sub(self.items.len()) >= more {
            Ok(())
        } else {
            self.short_by = more;
            Err(Full)
        }
    }

    /// Adds an item and returns its index.
    pub(super) fn push(&mut self, item: T) -> Result<u32, Full> {
        self.check_room(1)?;
        let index = u32::try_from(self.items.len()).map_err(|_| Full)?;
        self.items.push_within_capacity(item).map_err(|_| Full)?;
        Ok(index)
    }

    /// Empties it, and makes more room if there was too little. Not to be called where nothing may
    /// be allocated, or dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(super) fn restart(&mut self) -> Result {
        self.items.clear();
        if self.short_by > 0 {
            let more = self.items.capacity().saturating_add(self.short_by.max(64));
            self.items.reserve(more, memory::charged())?;
            self.short_by = 0;
        }
        Ok(())
    }

    pub(super) fn items(&self) -> &KVVec<T> {
        &self.items
    }

    pub(super) fn items_mut(&mut self) -> &mut KVVec<T> {
        &mut self.items
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
            .items()
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
        self.items.items.clear();
    }

    pub(super) fn items(&self) -> &KVVec<T> {
        self.items.items()
    }

    pub(super) fn items_mut(&mut self) -> &mut KVVec<T> {
        self.items.items_mut()
    }
}
