// SPDX-License-Identifier: GPL-2.0

//! `struct uid_gid_map`: which ids of the initial user namespace the ids in another one stand for.
//!
//! C header: [`include/linux/user_namespace.h`](srctree/include/linux/user_namespace.h)

use super::bindings;
use core::marker::PhantomData;
use kernel::sync::atomic::{
    Acquire,
    Atomic, //
};

/// A range of ids. C: `struct uid_gid_extent`.
#[derive(Clone, Copy)]
pub(crate) struct IdExtent {
    /// The first one, as the user namespace numbers it.
    pub(crate) inside: u32,
    /// The same, as the initial user namespace numbers it.
    pub(crate) outside: u32,
    /// How many there are.
    pub(crate) count: u32,
}

/// Up to so many extents lie in the map itself. C: `UID_GID_MAP_MAX_BASE_EXTENTS`.
const MAX_BASE_EXTENTS: usize = 5;

/// The most extents that a map can have. C: `UID_GID_MAP_MAX_EXTENTS`.
const MAX_EXTENTS: usize = 340;

/// A map, borrowed from a user namespace for as long as there is a reference to that.
///
/// # Invariants
///
/// `extents` points at `len` extents, which do not change and are not freed before `'n` ends.
pub(crate) struct IdMap<'n> {
    extents: *const bindings::uid_gid_extent,
    len: usize,
    _ns: PhantomData<&'n ()>,
}

impl IdMap<'_> {
    /// Finds the extents of a map, none if it was not written yet. C: `m_start()` in
    /// [`kernel/user_namespace.c`](srctree/kernel/user_namespace.c).
    ///
    /// # Safety
    ///
    /// `map` must be that of a user namespace to which there is a reference until `'n` ends.
    pub(super) unsafe fn of(map: *const bindings::uid_gid_map) -> Self {
        // SAFETY: The caller ensures that the map is valid; only addresses are computed. The member is
        // accessed with atomic operations.
        let len = unsafe {
            let len = &raw const (*map).__bindgen_anon_1.__bindgen_anon_1.nr_extents;
            Atomic::from_ptr(len.cast_mut()).load(Acquire)
        };
        // CAST: At most `MAX_EXTENTS`.
        let len = (len as usize).min(MAX_EXTENTS);
        // SAFETY: As above. A map is written once. `map_write()` sets the number after the extents, or the
        // pointer to them, so that they are seen by whoever has seen the number.
        let extents = unsafe {
            let members = &raw const (*map).__bindgen_anon_1;
            if len <= MAX_BASE_EXTENTS {
                (&raw const (*members).__bindgen_anon_1.extent).cast()
            } else {
                (*members).__bindgen_anon_2.forward.cast_const()
            }
        };
        // INVARIANT: As just said. The extents are freed with the namespace.
        Self {
            extents,
            len,
            _ns: PhantomData,
        }
    }

    /// The extents, in the order of `/proc/PID/uid_map`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = IdExtent> + '_ {
        (0..self.len).map(|index| {
            // SAFETY: By the type invariants there are so many, and they stay.
            let extent = unsafe { self.extents.add(index).read() };
            IdExtent {
                inside: extent.first,
                outside: extent.lower_first,
                count: extent.count,
            }
        })
    }
}
