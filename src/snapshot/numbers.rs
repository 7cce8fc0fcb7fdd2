// SPDX-License-Identifier: GPL-2.0

//! Sets of process numbers.

#![deny(unsafe_code)]

use super::{
    budget::Budget,
    store::CapacityExceeded, //
};
use crate::sys::memory::{
    charged,
    Box,
    Vec, //
};
use kernel::prelude::*;

/// Numbers that one page of a [`PidBitmap`] stands for.
const PAGE_NUMBERS: usize = WORDS * 64;
/// Words of a page.
const WORDS: usize = 512;

type Page = [u64; WORDS];

/// A set of process numbers: one bit for each, in pages that are there once they are needed. Of the
/// largest number that the kernel has, 4,194,304, that makes 128 pages.
pub(super) struct PidBitmap {
    pages: Vec<Option<Box<Page>>>,
    /// The page that was missing last.
    missing: Option<usize>,
}

impl PidBitmap {
    /// Creates an empty set.
    pub(super) fn new() -> Self {
        Self {
            pages: Vec::new(),
            missing: Some(0),
        }
    }

    /// Makes room for the number that did not fit, and others near to it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG`.
    pub(super) fn reserve(&mut self, budget: &Budget) -> Result {
        let Some(index) = self.missing.take() else {
            return Ok(());
        };
        while self.pages.len() <= index {
            budget.take::<Option<Box<Page>>>(1)?;
            self.pages.push(None, charged())?;
        }
        if let Some(page @ None) = self.pages.get_mut(index) {
            budget.take::<Page>(1)?;
            *page = Some(Box::init(pin_init::init_zeroed(), charged())?);
        }
        Ok(())
    }

    /// Adds a number, and says whether it is new; the number is to be added again if there was no
    /// room.
    pub(super) fn insert(&mut self, number: i32) -> Result<bool, CapacityExceeded> {
        let (index, word, bit) = Self::place(number);
        match self.pages.get_mut(index) {
            Some(Some(page)) => match page.get_mut(word) {
                Some(word) => {
                    let is_new = *word & bit == 0;
                    *word |= bit;
                    Ok(is_new)
                }
                None => Err(CapacityExceeded),
            },
            _ => {
                self.missing = Some(index);
                Err(CapacityExceeded)
            }
        }
    }

    /// Takes a number out.
    pub(super) fn remove(&mut self, number: i32) {
        let (index, word, bit) = Self::place(number);
        if let Some(Some(page)) = self.pages.get_mut(index) {
            if let Some(word) = page.get_mut(word) {
                *word &= !bit;
            }
        }
    }

    /// Whether no number is in the set.
    pub(super) fn is_empty(&self) -> bool {
        let mut words = self.pages.iter().flatten().flat_map(|page| page.iter());
        words.all(|word| *word == 0)
    }

    /// Whether a number is in the set.
    pub(super) fn contains(&self, number: i32) -> bool {
        let (index, word, bit) = Self::place(number);
        let page = self.pages.get(index).and_then(Option::as_ref);
        page.and_then(|page| page.get(word))
            .is_some_and(|word| word & bit != 0)
    }

    /// Whether all numbers of this set are in another one.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let mut others = other.pages.iter();
        self.pages.iter().all(|page| {
            let other = others.next().and_then(Option::as_ref);
            let mut words = other.into_iter().flat_map(|page| page.iter());
            let mut own = page.iter().flat_map(|page| page.iter());
            own.all(|word| word & !words.next().copied().unwrap_or(0) == 0)
        })
    }

    /// Which page, which word of it, which bit of that.
    fn place(number: i32) -> (usize, usize, u64) {
        let number = usize::try_from(number).unwrap_or(0);
        (
            number / PAGE_NUMBERS,
            number % PAGE_NUMBERS / 64,
            1 << (number % 64),
        )
    }
}

#[kernel::macros::kunit_tests(nsinspect_numbers)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_any_order() -> Result {
        let budget = Budget::new(1 << 20);
        let mut set = PidBitmap::new();
        for number in [4_194_303, 1, 63, 64, 32_767, 32_768, 100_000, 65] {
            assert!(!set.contains(number));
            while set.insert(number).is_err() {
                set.reserve(&budget)?;
            }
            assert!(set.contains(number));
            assert!(matches!(set.insert(number), Ok(false)));
        }
        assert!(set.pages.iter().flatten().count() == 4);
        let mut other = PidBitmap::new();
        for number in [63, 64, 100_000] {
            while other.insert(number).is_err() {
                other.reserve(&budget)?;
            }
        }
        assert!(other.is_within(&set) && !set.is_within(&other));
        other.remove(64);
        while other.insert(66).is_err() {
            other.reserve(&budget)?;
        }
        assert!(!other.is_within(&set) && PidBitmap::new().is_within(&other));
        Ok(())
    }
}
