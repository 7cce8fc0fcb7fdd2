// SPDX-License-Identifier: GPL-2.0

//! `struct cgroup`: a group of the default hierarchy, and the way up from it.
//!
//! C headers: [`include/linux/cgroup-defs.h`](srctree/include/linux/cgroup-defs.h),
//! [`include/linux/kernfs.h`](srctree/include/linux/kernfs.h)

use super::{
    bindings,
    read_once, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// A group of the default hierarchy, as the directory that it is in kernfs, borrowed for as long as
/// the RCU read lock is held.
///
/// # Invariants
///
/// `node` points at the `struct kernfs_node` of a group, which is not freed before `'g` ends, nor are
/// its name and its ancestors.
#[derive(Clone, Copy)]
pub(crate) struct Cgroup<'g> {
    node: NonNull<bindings::kernfs_node>,
    is_removed: bool,
    _rcu: PhantomData<&'g ()>,
}

impl<'g> Cgroup<'g> {
    /// The group of the default hierarchy in a `css_set`.
    ///
    /// # Safety
    ///
    /// `css_set` must point at a `struct css_set` that `_rcu` keeps from being freed.
    pub(super) unsafe fn of_css_set(css_set: *mut bindings::css_set, _rcu: &'g rcu::Guard) -> Self {
        // SAFETY: The caller ensures that `css_set` is valid. It holds references to its groups; a
        // group without any, and its node, is freed from an `rcu_work`, so after the read-side
        // critical section.
        let (node, flags) = unsafe {
            let cgroup = read_once(&raw const (*css_set).dfl_cgrp);
            (
                read_once(&raw const (*cgroup).kn),
                read_once(&raw const (*cgroup).self_.flags),
            )
        };
        // INVARIANT: A node holds a reference to its parent until it is freed, through RCU. A name
        // that is replaced is freed through RCU, too.
        Self {
            // SAFETY: A group has a node.
            node: unsafe { NonNull::new_unchecked(node) },
            is_removed: flags & bindings::CSS_ONLINE == 0,
            _rcu: PhantomData,
        }
    }

    /// Whether it has been removed, if it is one that a task is in; of others it is not known. C:
    /// `cgroup_is_dead()`.
    pub(crate) fn is_removed(&self) -> bool {
        self.is_removed
    }

    /// The id, which no other group has or will have. C: `cgroup_id()`.
    pub(crate) fn id(&self) -> u64 {
        // SAFETY: The node is valid by the type invariants; the id is constant.
        unsafe { (*self.node.as_ptr()).id }
    }

    /// The group around it; `None` for the root of the hierarchy.
    pub(crate) fn parent(&self) -> Option<Self> {
        // SAFETY: The node is valid by the type invariants. Groups of the default hierarchy never
        // move.
        let parent = unsafe { read_once(&raw const (*self.node.as_ptr()).__parent) };
        // INVARIANT: See `of_css_set`.
        NonNull::new(parent).map(|node| Self {
            node,
            is_removed: false,
            _rcu: PhantomData,
        })
    }

    /// The name in the group around it. C: `kernfs_rcu_name()`.
    pub(crate) fn name(&self) -> &'g [u8] {
        // SAFETY: The node is valid by the type invariants, and its name, a string that ends in a
        // NUL and does not change, is not freed before `'g` ends.
        unsafe { CStr::from_char_ptr(read_once(&raw const (*self.node.as_ptr()).name)) }.to_bytes()
    }
}
