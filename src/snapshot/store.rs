// SPDX-License-Identifier: GPL-2.0

//! Memory to be filled where nothing may be allocated: under RCU, with `namespace_sem` or a spinlock
//! held.
//!
//! Each store is given room before, by `reserve()`. What does not fit then ends the section of the
//! walk that fills it, with [`CapacityExceeded`]; the next `reserve()` makes more room than the last
//! one did, and the walk goes on where it stopped.

#![deny(unsafe_code)]

use super::budget::Budget;
use crate::{
    steps::{
        self,
        Step, //
    },
    sys::{
        memory::{
            charged,
            FixedBuf,
            Vec, //
        },
        system, //
    },
};
use kernel::prelude::*;

/// An index that stands for nothing.
pub(super) const NONE: u32 = u32::MAX;

/// There is no room for what was to be added.
pub(crate) struct CapacityExceeded;

/// How much room a store is given before a section. It doubles whenever that was not enough, so that
/// a small system takes little memory, and a large one few sections.
struct Demand {
    /// How many items.
    room: usize,
    /// Something did not fit since the last time: so many items at once.
    exceeded_by: usize,
}

/// The most items that a store has room for in advance, unless a single one needs more.
const MAX_DEMAND: usize = 1024;

impl Demand {
    const fn new(room: usize) -> Self {
        Self {
            room,
            exceeded_by: 0,
        }
    }

    /// Notes that so many did not fit.
    fn exceed(&mut self, more: usize) -> CapacityExceeded {
        self.exceeded_by = more;
        CapacityExceeded
    }

    /// How much room there is to be now.
    fn next(&mut self) -> usize {
        if self.exceeded_by > 0 {
            self.room = self.room.saturating_mul(2).min(MAX_DEMAND);
            self.room = self.room.max(self.exceeded_by);
            self.exceeded_by = 0;
        }
        self.room
    }
}

/// Size of the pieces of memory that a [`ChunkedVec`] consists of, in bytes: what `kmalloc()` has
/// without wasting any.
const CHUNK_BYTES: usize = 8192;

/// Size of the first piece, at least, in bytes, as long as it is the only one.
const FIRST_BYTES: usize = 256;

/// A vector in pieces, so that it grows without being moved.
pub(crate) struct ChunkedVec<T> {
    /// The first [`ChunkedVec::PER_CHUNK`] items. Only this piece can be smaller than others.
    first: Vec<T>,
    /// The others, with room for as many each. Only the last ones are not full.
    rest: Vec<Vec<T>>,
    len: usize,
    demand: Demand,
}

impl<T> ChunkedVec<T> {
    const PER_CHUNK: usize = {
        let items = CHUNK_BYTES / size_of::<T>();
        if items == 0 {
            1
        } else {
            items
        }
    };

    /// Creates an empty vector, which is given room for `room` items before the first section.
    pub(super) const fn new(room: usize) -> Self {
        Self {
            first: Vec::new(),
            rest: Vec::new(),
            len: 0,
            demand: Demand::new(room),
        }
    }

    /// Adds `len` times the same item.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn fill(&mut self, item: T, len: usize, budget: &Budget) -> Result
    where
        T: Copy,
    {
        self.reserve_more(len, budget)?;
        for _ in 0..len {
            // There is room for all.
            let _ = self.push(item);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        if self.rest.is_empty() {
            self.first.capacity()
        } else {
            self.rest
                .len()
                .saturating_add(1)
                .saturating_mul(Self::PER_CHUNK)
        }
    }

    /// Makes room for the next section.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn reserve(&mut self, budget: &Budget) -> Result {
        let more = self.demand.next();
        self.reserve_more(more, budget)
    }

    /// Makes room for `more` items.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn reserve_more(&mut self, more: usize, budget: &Budget) -> Result {
        let wanted = self.len.saturating_add(more);
        if wanted > self.first.capacity() && self.first.capacity() < Self::PER_CHUNK {
            let old = self.first.capacity();
            let least = FIRST_BYTES / size_of::<T>();
            let twice = old.saturating_mul(2).max(wanted).max(least);
            let twice = twice.min(Self::PER_CHUNK);
            budget.take::<T>(twice)?;
            // Exactly so much, which `Vec::reserve()` does not promise.
            let mut first = Vec::with_capacity(twice, charged())?;
            for item in core::mem::take(&mut self.first) {
                let _ = first.push_within_capacity(item);
            }
            self.first = first;
            budget.give_back::<T>(old);
        }
        while wanted > self.capacity() {
            budget.take::<T>(Self::PER_CHUNK)?;
            budget.take::<Vec<T>>(1)?;
            let chunk = Vec::with_capacity(Self::PER_CHUNK, charged())?;
            self.rest.push(chunk, charged())?;
        }
        Ok(())
    }

    /// Checks whether `more` items fit; if not, notes it for [`ChunkedVec::reserve`].
    pub(super) fn check_room(&mut self, more: usize) -> Result<(), CapacityExceeded> {
        if self.capacity().saturating_sub(self.len) >= more {
            Ok(())
        } else {
            Err(self.demand.exceed(more))
        }
    }

    /// Adds an item and returns its index.
    pub(super) fn push(&mut self, item: T) -> Result<u32, CapacityExceeded> {
        let index = u32::try_from(self.len).map_err(|_| CapacityExceeded)?;
        let chunk = if self.len < Self::PER_CHUNK {
            Some(&mut self.first)
        } else {
            // Counted from the second on.
            let chunk = (self.len / Self::PER_CHUNK).wrapping_sub(1);
            self.rest.get_mut(chunk)
        };
        match chunk.map(|chunk| chunk.push_within_capacity(item)) {
            Some(Ok(())) => {
                self.len = self.len.saturating_add(1);
                Ok(index)
            }
            _ => Err(self.demand.exceed(1)),
        }
    }

    /// Sees to it that the next `len` items have room and stand in one piece of memory, for which it
    /// may have to push some `filler` before, and returns the index of the first.
    pub(super) fn begin_run(&mut self, len: usize, filler: T) -> Result<u32, CapacityExceeded>
    where
        T: Copy,
    {
        let left = Self::PER_CHUNK.wrapping_sub(self.len % Self::PER_CHUNK);
        let fillers = if left < len { left } else { 0 };
        self.check_room(len.saturating_add(fillers))?;
        for _ in 0..fillers {
            self.push(filler)?;
        }
        u32::try_from(self.len).map_err(|_| CapacityExceeded)
    }

    /// The items of a run: `len`, from the one at an index on.
    #[inline]
    pub(super) fn run(&self, index: u32, len: usize) -> &[T] {
        // CAST: An index into memory.
        let index = index as usize;
        let (chunk, at) = (index / Self::PER_CHUNK, index % Self::PER_CHUNK);
        let items = match chunk.checked_sub(1) {
            None => Some(&self.first),
            Some(chunk) => self.rest.get(chunk),
        };
        items
            .and_then(|items| items.get(at..at.wrapping_add(len)))
            .unwrap_or_default()
    }

    /// Makes room, and adds an item.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn add(&mut self, item: T, budget: &Budget) -> Result<u32> {
        if self.len == self.capacity() {
            self.reserve_more(1, budget)?;
        }
        // There is room, unless there are more than an index can say.
        self.push(item).map_err(|_| EFBIG)
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The item at an index.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        // CAST: An index into memory.
        let index = index as usize;
        if index < Self::PER_CHUNK {
            return self.first.get(index);
        }
        let chunk = (index / Self::PER_CHUNK).wrapping_sub(1);
        self.rest.get(chunk)?.get(index % Self::PER_CHUNK)
    }

    /// The item at an index, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        // CAST: An index into memory.
        let index = index as usize;
        if index < Self::PER_CHUNK {
            return self.first.get_mut(index);
        }
        let chunk = (index / Self::PER_CHUNK).wrapping_sub(1);
        self.rest.get_mut(chunk)?.get_mut(index % Self::PER_CHUNK)
    }

    /// The items.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        Iterator::chain(self.first.iter(), self.rest.iter().flatten())
    }

    /// Drops all items from the one at `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        let mut chunk = self.len / Self::PER_CHUNK;
        while chunk > 0 {
            let begin = chunk.saturating_mul(Self::PER_CHUNK);
            let index = chunk.saturating_sub(1);
            if let Some(items) = self.rest.get_mut(index) {
                items.truncate(len.saturating_sub(begin));
            }
            if begin <= len {
                break;
            }
            chunk = index;
        }
        self.first.truncate(len);
        self.len = self.len.min(len);
    }

    /// Frees its memory, and gives it back to the budget.
    pub(super) fn release(self, budget: &Budget) {
        budget.give_back::<T>(self.capacity());
        budget.give_back::<Vec<T>>(self.rest.len());
    }

    /// Drops all items.
    pub(super) fn clear(&mut self) {
        self.truncate(0);
    }

    /// Drops the items that `keep` says no to.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool)
    where
        T: Copy,
    {
        let mut kept = 0_u32;
        // No more than an index can say.
        for index in 0..u32::try_from(self.len).unwrap_or(u32::MAX) {
            let item = self.get(index).copied();
            if let Some(item) = item.filter(|item| keep(item)) {
                if let Some(place) = self.get_mut(kept) {
                    *place = item;
                }
                kept = kept.saturating_add(1);
            }
        }
        // CAST: An index into memory.
        self.truncate(kept as usize);
    }
}

/// The secret part of all hashes, so that nobody can choose what falls into one place of a table. It
/// is another one each time that the module is loaded.
#[derive(Clone, Copy)]
pub(crate) struct HashKey(u64, u64);

impl HashKey {
    /// Takes one at random.
    pub(crate) fn random() -> Self {
        Self(system::random(), system::random())
    }

    /// Begins a hash.
    pub(super) fn hasher(self) -> Hasher {
        Hasher {
            key: self.1,
            state: self.0,
        }
    }
}

/// Hashes numbers: each is mixed in by a multiplication whose both halves are kept.
pub(crate) struct Hasher {
    key: u64,
    state: u64,
}

impl Hasher {
    /// Mixes in a number.
    #[inline]
    pub(super) fn with(self, number: u64) -> Self {
        let product = u128::from(self.state ^ number).wrapping_mul(u128::from(self.key | 1));
        // CAST: Both halves.
        let state = (product as u64) ^ (product >> 64) as u64;
        Self {
            key: self.key.rotate_left(23),
            state: state.wrapping_add(self.key),
        }
    }

    /// Mixes in bytes.
    #[inline]
    pub(super) fn with_bytes(self, bytes: &[u8]) -> Self {
        let mut this = self.with(bytes.len() as u64);
        let mut rest = bytes;
        while let Some((word, tail)) = rest.split_first_chunk::<8>() {
            this = this.with(u64::from_le_bytes(*word));
            rest = tail;
        }
        let last = rest
            .iter()
            .fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        this.with(last)
    }

    /// The hash.
    pub(super) fn finish(self) -> u64 {
        self.with(0).state
    }
}

/// What is found by a key.
pub(super) trait Keyed {
    /// The key.
    type Key: Copy + PartialEq;

    /// The key of this item.
    fn key(&self) -> Self::Key;

    /// Mixes a key into a hash.
    fn hash(key: &Self::Key, hasher: Hasher) -> Hasher;
}

/// The place of a table that no item has.
const VACANT: u32 = u32::MAX;

/// As many items are looked through one by one: for so few a table is not worth its memory.
pub(super) const FEW: usize = 8;

/// An open hash table of indices. It has at least twice as many places as there are items, a power of
/// two; or none at all as long as there are at most [`FEW`].
pub(super) struct Places(Vec<u32>);

impl Places {
    /// Creates a table without places.
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many items there can be.
    fn capacity(&self) -> usize {
        (self.0.len() / 2).max(FEW)
    }

    /// Walks the places for a hash, or all of `len` items: `is_it` says for an index whether that is
    /// it. `None` if it is not there, and there are no places.
    #[inline]
    pub(super) fn find(
        &self,
        len: usize,
        hash: impl FnOnce() -> u64,
        mut is_it: impl FnMut(u32) -> bool,
    ) -> Option<Found> {
        if self.0.is_empty() {
            // CAST: They are few.
            let found = (0..len as u32).find(|index| is_it(*index));
            return found.map(Found::Index);
        }
        let hash = hash();
        let mask = self.0.len().wrapping_sub(1);
        // CAST: Any part of the hash will do.
        let mut at = hash as usize & mask;
        loop {
            steps::count(Step::Probe);
            let index = *self.0.get(at)?;
            if index == VACANT {
                return Some(Found::Vacant(at));
            }
            if is_it(index) {
                return Some(Found::Index(index));
            }
            at = at.wrapping_add(1) & mask;
        }
    }

    /// Puts an index in a vacant place.
    pub(super) fn set(&mut self, at: usize, index: u32) {
        if let Some(place) = self.0.get_mut(at) {
            *place = index;
        }
    }

    /// Makes room for so many items; `hash` is that of the item at an index, of which there are `len`. A
    /// place that was found before is of no use then.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    #[inline]
    pub(super) fn reserve(
        &mut self,
        items: usize,
        budget: &Budget,
        len: usize,
        hash: impl Fn(u32) -> Option<u64>,
    ) -> Result {
        if items <= self.capacity() {
            return Ok(());
        }
        self.grow(items, budget, len, hash)
    }

    #[cold]
    fn grow(
        &mut self,
        items: usize,
        budget: &Budget,
        len: usize,
        hash: impl Fn(u32) -> Option<u64>,
    ) -> Result {
        let old = self.0.len();
        let wanted = items
            .checked_mul(2)
            .and_then(usize::checked_next_power_of_two)
            .ok_or(EFBIG)?;
        budget.take::<u32>(wanted)?;
        self.0 = Vec::new();
        budget.give_back::<u32>(old);
        self.0 = Vec::from_elem(VACANT, wanted, charged())?;
        // No more than an index can say.
        for index in 0..u32::try_from(len).unwrap_or(u32::MAX) {
            let place = self.find(len, || hash(index).unwrap_or(0), |_| false);
            if let Some(Found::Vacant(at)) = place {
                self.set(at, index);
            }
        }
        Ok(())
    }
}

/// What [`Places::find`] came to.
pub(super) enum Found {
    /// The index that was looked for.
    Index(u32),
    /// The place where it would be.
    Vacant(usize),
}

/// Items of which there is one for each key, found by it in constant time.
pub(crate) struct Interner<T> {
    items: ChunkedVec<T>,
    places: Places,
    key: HashKey,
}

impl<T: Keyed> Interner<T> {
    /// Creates an empty one, which is given room for `room` items before the first section.
    pub(super) fn new(room: usize, key: HashKey) -> Self {
        Self {
            items: ChunkedVec::new(room),
            places: Places::new(),
            key,
        }
    }

    /// Makes room for the next section.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn reserve(&mut self, budget: &Budget) -> Result {
        let more = self.items.demand.next();
        self.reserve_more(more, budget)
    }

    fn reserve_more(&mut self, more: usize, budget: &Budget) -> Result {
        self.items.reserve_more(more, budget)?;
        let (items, key) = (&self.items, self.key);
        let wanted = items.len().saturating_add(more);
        self.places.reserve(wanted, budget, items.len(), |index| {
            Some(T::hash(&items.get(index)?.key(), key.hasher()).finish())
        })
    }

    /// Frees its memory, and gives it back to the budget.
    pub(super) fn release(self, budget: &Budget) {
        self.items.release(budget);
        budget.give_back::<u32>(self.places.0.len());
    }

    /// Checks whether `more` items fit; if not, notes it for [`Interner::reserve`].
    pub(super) fn check_room(&mut self, more: usize) -> Result<(), CapacityExceeded> {
        self.items.check_room(more)?;
        // There may be room for more items than places.
        if self.places.capacity() >= self.items.len().saturating_add(more) {
            Ok(())
        } else {
            Err(self.items.demand.exceed(more))
        }
    }

    /// The index of the item with this key; if there is none, `make` makes it.
    pub(super) fn find_or_push(
        &mut self,
        key: T::Key,
        make: impl FnOnce() -> T,
    ) -> Result<u32, CapacityExceeded> {
        let found = self.look_up(&key);
        if let Some(Found::Index(index)) = found {
            return Ok(index);
        }
        self.check_room(1)?;
        let index = self.items.push(make())?;
        if let Some(Found::Vacant(at)) = found {
            self.places.set(at, index);
        }
        Ok(index)
    }

    /// As [`Interner::find_or_push`], and makes room.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn find_or_add(
        &mut self,
        key: T::Key,
        budget: &Budget,
        make: impl FnOnce() -> T,
    ) -> Result<u32> {
        if self.check_room(1).is_err() {
            self.reserve(budget)?;
        }
        self.find_or_push(key, make).map_err(|_| EFBIG)
    }

    /// The index of the item with this key.
    #[inline]
    pub(super) fn find(&self, key: &T::Key) -> Option<u32> {
        match self.look_up(key)? {
            Found::Index(index) => Some(index),
            Found::Vacant(_) => None,
        }
    }

    /// The index of the item with this key, or the place where it would be.
    #[inline]
    fn look_up(&self, key: &T::Key) -> Option<Found> {
        let hash = || T::hash(key, self.key.hasher()).finish();
        let is_it = |index| self.items.get(index).is_some_and(|item| item.key() == *key);
        self.places.find(self.items.len(), hash, is_it)
    }

    /// The items.
    pub(crate) fn items(&self) -> &ChunkedVec<T> {
        &self.items
    }

    /// The items, to be changed in all but their keys.
    pub(super) fn items_mut(&mut self) -> &mut ChunkedVec<T> {
        &mut self.items
    }
}

/// Where bytes stand in a [`StringPool`].
#[derive(Clone, Copy)]
pub(crate) struct Span {
    chunk: u32,
    begin: u32,
    len: u32,
}

impl Span {
    /// That of no bytes.
    pub(super) const EMPTY: Self = Self {
        chunk: 0,
        begin: 0,
        len: 0,
    };

    /// The same but for the first byte.
    pub(super) fn without_first(self) -> Self {
        Self {
            chunk: self.chunk,
            begin: self.begin.saturating_add(1),
            len: self.len.saturating_sub(1),
        }
    }
}

/// A string of which a [`StringPool`] has one only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct StringId(u32);

impl StringId {
    /// The string of no bytes.
    pub(super) const EMPTY: Self = Self(u32::MAX);

    /// A number that no other string has.
    pub(super) fn as_u64(self) -> u64 {
        self.0.into()
    }
}

/// A string, and a part of its hash.
struct Interned {
    span: Span,
    hash: u32,
}

/// Bytes that were seen: strings that many have, each once, and others as they come.
pub(crate) struct StringPool {
    bytes: ByteArena,
    strings: ChunkedVec<Interned>,
    places: Places,
    key: HashKey,
}

/// Memory for bytes, in pieces.
struct ByteArena {
    /// All before `current` are as full as they get.
    chunks: Vec<FixedBuf>,
    current: usize,
    demand: Demand,
}

/// Room for bytes in the first piece of a [`ByteArena`]; each is so much larger than the one before,
/// up to [`CHUNK_BYTES`].
const FIRST_CHUNK: usize = 512;

impl ByteArena {
    const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            current: 0,
            demand: Demand::new(FIRST_CHUNK),
        }
    }

    /// Makes room for so many bytes at once.
    fn reserve_more(&mut self, bytes: usize, budget: &Budget) -> Result {
        let rest = self.chunks.get(self.current..).unwrap_or_default();
        // Even of no bytes a string stands in a piece.
        let free = rest.iter().map(FixedBuf::free).max();
        if free.is_none_or(|free| free < bytes) {
            let usual = FIRST_CHUNK
                .saturating_mul(self.chunks.len().saturating_add(1))
                .min(CHUNK_BYTES);
            let size = usual.max(bytes);
            budget.take::<u8>(size)?;
            budget.take::<FixedBuf>(1)?;
            self.chunks.push(FixedBuf::new(size)?, charged())?;
        }
        Ok(())
    }

    /// Adds bytes.
    fn push(&mut self, bytes: &[u8]) -> Result<Span, CapacityExceeded> {
        loop {
            let Some(chunk) = self.chunks.get_mut(self.current) else {
                // So that the search ends at the last one.
                self.current = self.chunks.len().saturating_sub(1);
                return Err(self.demand.exceed(bytes.len()));
            };
            let begin = chunk.as_bytes().len();
            if chunk.push(bytes) {
                // CAST: Memory is bounded by far less.
                return Ok(Span {
                    chunk: self.current as u32,
                    begin: begin as u32,
                    len: bytes.len() as u32,
                });
            }
            // What is left of this one is too little.
            self.current = self.current.saturating_add(1);
        }
    }

    #[inline]
    fn get(&self, span: Span) -> &[u8] {
        // CAST: Indices into memory.
        let (begin, len) = (span.begin as usize, span.len as usize);
        let chunk = self.chunks.get(span.chunk as usize);
        chunk
            .and_then(|chunk| chunk.as_bytes().get(begin..begin.wrapping_add(len)))
            .unwrap_or_default()
    }
}

impl StringPool {
    /// Creates an empty one.
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            bytes: ByteArena::new(),
            strings: ChunkedVec::new(FEW),
            places: Places::new(),
            key,
        }
    }

    /// Makes room for the next section.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn reserve(&mut self, budget: &Budget) -> Result {
        let more = self.strings.demand.next();
        let bytes = self.bytes.demand.next();
        self.reserve_more(more, bytes, budget)
    }

    /// Makes room for so many strings, and so many bytes at once.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn reserve_more(&mut self, strings: usize, bytes: usize, budget: &Budget) -> Result {
        self.bytes.reserve_more(bytes, budget)?;
        self.strings.reserve_more(strings, budget)?;
        let (interned, len) = (&self.strings, self.strings.len());
        let hash = |index| Some(interned.get(index)?.hash.into());
        self.places
            .reserve(len.saturating_add(strings), budget, len, hash)
    }

    /// The one string of these bytes, if there is room for it.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<StringId, CapacityExceeded> {
        if bytes.is_empty() {
            return Ok(StringId::EMPTY);
        }
        // CAST: A part of it will do: there are fewer places.
        let hash = self.key.hasher().with_bytes(bytes).finish() as u32;
        let is_it = |index| {
            let string = self.strings.get(index);
            string.is_some_and(|string| string.hash == hash && self.bytes.get(string.span) == bytes)
        };
        let len = self.strings.len();
        let found = self.places.find(len, || hash.into(), is_it);
        if let Some(Found::Index(index)) = found {
            return Ok(StringId(index));
        }
        if self.places.capacity() <= len {
            return Err(self.strings.demand.exceed(1));
        }
        self.strings.check_room(1)?;
        let span = self.bytes.push(bytes)?;
        let index = self.strings.push(Interned { span, hash })?;
        if let Some(Found::Vacant(at)) = found {
            self.places.set(at, index);
        }
        Ok(StringId(index))
    }

    /// The one string of these bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn add(&mut self, bytes: &[u8], budget: &Budget) -> Result<StringId> {
        if let Ok(string) = self.push(bytes) {
            return Ok(string);
        }
        let more = self.strings.demand.next();
        self.reserve_more(more, bytes.len(), budget)?;
        self.push(bytes).map_err(|_| EFBIG)
    }

    /// Adds bytes that hardly anything else has, without looking for them.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn append(&mut self, bytes: &[u8], budget: &Budget) -> Result<Span> {
        if let Ok(span) = self.bytes.push(bytes) {
            return Ok(span);
        }
        self.bytes.reserve_more(bytes.len(), budget)?;
        self.bytes.push(bytes).map_err(|_| EFBIG)
    }

    /// The bytes of a string.
    pub(crate) fn get(&self, string: StringId) -> &[u8] {
        self.bytes.get(self.span(string))
    }

    /// Where a string stands.
    pub(super) fn span(&self, string: StringId) -> Span {
        let string = self.strings.get(string.0);
        string.map_or(Span::EMPTY, |string| string.span)
    }

    /// Frees its memory, and gives it back to the budget.
    pub(super) fn release(self, budget: &Budget) {
        self.strings.release(budget);
        budget.give_back::<u32>(self.places.0.len());
        let sizes = self.bytes.chunks.iter().map(FixedBuf::size);
        budget.give_back::<u8>(sizes.fold(0, usize::saturating_add));
        budget.give_back::<FixedBuf>(self.bytes.chunks.len());
    }

    /// The bytes that stand somewhere.
    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.bytes.get(span)
    }
}

#[kernel::macros::kunit_tests(nsinspect_store)]
mod tests {
    use super::*;

    struct Number(u64);

    impl Keyed for Number {
        type Key = u64;

        fn key(&self) -> u64 {
            self.0
        }

        fn hash(key: &u64, hasher: Hasher) -> Hasher {
            hasher.with(*key)
        }
    }

    #[test]
    fn a_vector_in_pieces() -> Result {
        let budget = Budget::new(1 << 20);
        let mut all = ChunkedVec::new(4);
        for number in 0..5000_u64 {
            assert!(all.add(number, &budget)? == number as u32);
        }
        assert!(all.len() == 5000 && all.rest.len() == 4);
        assert!((0..5000).all(|index| all.get(index) == Some(&u64::from(index))));
        assert!(all.iter().copied().eq(0..5000));
        all.retain(|number| number % 3 == 0);
        assert!(all.iter().copied().eq((0..5000).step_by(3)));
        for len in [1024, 1023, 7, 0] {
            all.truncate(len);
            assert!(all.len() == len && all.iter().count() == len);
            assert!(all.get(len as u32).is_none());
        }
        assert!(all.add(9, &budget)? == 0);
        Ok(())
    }

    #[test]
    fn runs_in_one_piece() -> Result {
        let budget = Budget::new(1 << 20);
        let mut all = ChunkedVec::new(40);
        for run in 0..1000_u32 {
            let len = run % 33 + 1;
            let begin = loop {
                match all.begin_run(len as usize, u32::MAX) {
                    Ok(begin) => break begin,
                    Err(CapacityExceeded) => all.reserve(&budget)?,
                }
            };
            for number in 0..len {
                assert!(all.push(run << 8 | number).is_ok());
            }
            let written = all.run(begin, len as usize);
            assert!(written
                .iter()
                .copied()
                .eq((0..len).map(|number| run << 8 | number)));
        }
        assert!(all.run(0, 2049).is_empty() && all.run(1 << 20, 1).is_empty());
        Ok(())
    }

    #[test]
    fn room_grows_with_demand() -> Result {
        let budget = Budget::new(1 << 20);
        let mut all = ChunkedVec::new(2);
        assert!(all.push(0_u8).is_err());
        let mut sections = 0;
        for number in 0..1000_u32 {
            while all.push(number as u8).is_err() {
                all.reserve(&budget)?;
                sections += 1;
            }
        }
        assert!((0..1000).all(|index| all.get(index) == Some(&(index as u8))));
        assert!(sections < 12);
        Ok(())
    }

    #[test]
    fn one_item_for_each_key() -> Result {
        let budget = Budget::new(1 << 20);
        let mut all = Interner::new(2, HashKey::random());
        for round in 0..2 {
            for key in 0..3000_u64 {
                let index = all.find_or_add(key << 20, &budget, || Number(key << 20))?;
                assert!(index == key as u32);
            }
            assert!(all.items().len() == 3000 && round < 2);
        }
        assert!(all.find(&(2999 << 20)) == Some(2999) && all.find(&1).is_none());
        Ok(())
    }

    #[test]
    fn one_string_for_the_same_bytes() -> Result {
        let budget = Budget::new(1 << 20);
        let mut pool = StringPool::new(HashKey::random());
        let long = Vec::from_elem(b'x', 20_000, charged())?;
        let empty = pool.add(b"", &budget)?;
        let x = pool.add(&long, &budget)?;
        for number in 0..3000_u32 {
            let string = pool.add(&number.to_le_bytes(), &budget)?;
            assert!(pool.get(string) == number.to_le_bytes());
        }
        assert!(pool.add(b"", &budget)? == empty && pool.get(empty).is_empty());
        assert!(pool.add(&long, &budget)? == x && *pool.get(x) == *long);
        let again = pool.add(&7_u32.to_le_bytes(), &budget)?;
        assert!(pool.get(again) == 7_u32.to_le_bytes() && pool.strings.len() == 3001);
        Ok(())
    }

    #[test]
    fn a_budget_ends() -> Result {
        let budget = Budget::new(20_000);
        let mut all = ChunkedVec::new(4);
        let error = (0..10_000_u64).find_map(|number| all.add(number, &budget).err());
        assert!(error == Some(EFBIG));
        assert!(all.len() == 2048);
        all.release(&budget);
        let mut again = ChunkedVec::new(4);
        assert!((0..2048_u64).all(|number| again.add(number, &budget).is_ok()));
        Ok(())
    }
}
