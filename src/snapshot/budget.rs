// SPDX-License-Identifier: GPL-2.0

//! The bound on the memory of a snapshot.

#![deny(unsafe_code)]

use crate::sys::system;
use core::cell::Cell;
use kernel::prelude::*;

/// The most that a snapshot takes unless `max_memory` says otherwise, in bytes.
const DEFAULT_MAX: u64 = 1 << 30;

/// The part of the machine's memory that is left to others. Where less is available, a snapshot takes
/// no more: whoever needs a page next would call the OOM killer.
const LEFT_TO_OTHERS: u64 = 64;

/// How much is taken, in bytes, until it is looked again how much the machine has.
const LOOK_EVERY: usize = 256 * 1024;

/// How much memory a snapshot may still take. What it frees while it is taken is given back.
pub(crate) struct Budget {
    left: Cell<usize>,
    /// How much was taken since it was last looked how much the machine has.
    unseen: Cell<usize>,
}

impl Budget {
    /// Creates a budget of `max` bytes.
    pub(crate) fn new(max: u64) -> Self {
        Self {
            left: Cell::new(usize::try_from(max).unwrap_or(usize::MAX)),
            unseen: Cell::new(0),
        }
    }

    /// The bytes that `max_memory` stands for; 0 for the default: an eighth of the machine's memory,
    /// and at most 1 GiB.
    pub(super) fn limit(max_memory: u64) -> u64 {
        match max_memory {
            0 => (system::memory() / 8).min(DEFAULT_MAX),
            max => max,
        }
    }

    /// Takes as much memory as that many items need.
    ///
    /// # Errors
    ///
    /// `EFBIG` if there is not so much left; `ENOMEM` if the machine has hardly any left.
    pub(super) fn take<T>(&self, items: usize) -> Result {
        let bytes = items.checked_mul(size_of::<T>()).ok_or(EFBIG)?;
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.ok_or(EFBIG)?);
        self.unseen.set(self.unseen.get().saturating_add(bytes));
        if self.unseen.get() >= LOOK_EVERY {
            self.unseen.set(0);
            if system::available_memory() < system::memory() / LEFT_TO_OTHERS {
                return Err(ENOMEM);
            }
        }
        Ok(())
    }

    /// Gives back what that many items needed.
    pub(super) fn give_back<T>(&self, items: usize) {
        let bytes = items.saturating_mul(size_of::<T>());
        self.left.set(self.left.get().saturating_add(bytes));
    }
}
