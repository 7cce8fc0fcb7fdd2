// SPDX-License-Identifier: GPL-2.0

//! `struct cgroup`: the path of a group in the default hierarchy.
//!
//! C headers: [`include/linux/cgroup-defs.h`](srctree/include/linux/cgroup-defs.h),
//! [`include/linux/kernfs.h`](srctree/include/linux/kernfs.h)

use super::{
    bindings,
    read_once, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// A group of the default hierarchy, borrowed for as long as the RCU read lock is held, or whatever
/// else `'g` stands for.
///
/// # Invariants
///
/// `ptr` points at a `struct cgroup` which is not freed before `'g` ends, nor is its `kn`.
pub(crate) struct Cgroup<'g> {
    ptr: *mut bindings::cgroup,
    _life: PhantomData<&'g ()>,
}

/// Why there is no path.
pub(crate) enum NoPath {
    /// The buffer is too small for it.
    TooLong,
    /// The group is nested so deep that nobody should wait for it: writing a path takes time by
    /// the square of its depth.
    TooDeep,
}

/// The deepest group that has a path.
const MAX_LEVEL: c_int = 1024;

impl<'g> Cgroup<'g> {
    /// The group of the default hierarchy in a `css_set`.
    ///
    /// # Safety
    ///
    /// `css_set` must point at a `struct css_set` that `_rcu` keeps from being freed.
    pub(super) unsafe fn of_css_set(css_set: *mut bindings::css_set, _rcu: &'g rcu::Guard) -> Self {
        // SAFETY: The caller ensures that `css_set` is valid.
        let ptr = unsafe { read_once(&raw const (*css_set).dfl_cgrp) };
        // INVARIANT: A `css_set` holds references to its groups; a group without any, and its `kn`,
        // is freed from an `rcu_work`, so after the read-side critical section.
        Self {
            ptr,
            _life: PhantomData,
        }
    }

    /// The id, which no other group has or will have. C: `cgroup_id()`.
    pub(crate) fn id(&self) -> u64 {
        // SAFETY: `ptr` and its `kn` are valid by the type invariants; the id is constant.
        unsafe { (*read_once(&raw const (*self.ptr).kn)).id }
    }

    /// Writes the path from the root of the hierarchy into `buf`, and returns its length. If it has
    /// no room for the path and two bytes more, the buffer has as much of it as fits. Does not
    /// sleep. C: `kernfs_path()`.
    pub(crate) fn path(&self, buf: &mut [u8]) -> Result<usize, NoPath> {
        // SAFETY: `ptr` is valid by the type invariants; the level is constant.
        if unsafe { read_once(&raw const (*self.ptr).level) } > MAX_LEVEL {
            return Err(NoPath::TooDeep);
        }
        // Without any room the C function would write a NUL all the same.
        if buf.is_empty() {
            return Err(NoPath::TooLong);
        }
        // SAFETY: `ptr` and its `kn` are valid by the type invariants. `kernfs_path_from_node()`
        // writes at most `buf.len()` bytes, which is not 0, a closing NUL among them.
        let len = unsafe {
            bindings::kernfs_path_from_node(
                read_once(&raw const (*self.ptr).kn),
                ptr::null_mut(),
                buf.as_mut_ptr().cast(),
                buf.len(),
            )
        };
        // It says -E2BIG when it had to cut a path of the root, but when it had to cut another, it
        // returns what it wrote: all there is room for.
        usize::try_from(len)
            .ok()
            .filter(|len| len.checked_add(1).is_some_and(|end| end < buf.len()))
            .ok_or(NoPath::TooLong)
    }
}
