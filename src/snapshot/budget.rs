// SPDX-License-Identifier: GPL-2.0

//! The bound on the memory of a snapshot.

#![deny(unsafe_code)]

use crate::sys::system;
use core::cell::Cell;
use kernel::prelude::*;

/// The most that a snapshot takes unless `max_memory` says otherwise, in bytes.
const DEFAULT_MAX: u64 = 1 << 30;

/// How much memory a snapshot may still take. What it frees while it is taken is given back.
pub(crate) struct Budget {
    left: Cell<usize>,
}

impl Budget {
    /// Creates a budget of `max` bytes.
    pub(crate) fn new(max: u64) -> Self {
        Self {
            left: Cell::new(usize::try_from(max).unwrap_or(usize::MAX)),
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
    /// `EFBIG` if there is not so much left.
    pub(super) fn take<T>(&self, items: usize) -> Result {
        let left = items
            .checked_mul(size_of::<T>())
            .and_then(|bytes| self.left.get().checked_sub(bytes));
        self.left.set(left.ok_or(EFBIG)?);
        Ok(())
    }

    /// Gives back what that many items needed.
    pub(super) fn give_back<T>(&self, items: usize) {
        let bytes = items.saturating_mul(size_of::<T>());
        self.left.set(self.left.get().saturating_add(bytes));
    }
}
