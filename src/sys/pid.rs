// SPDX-License-Identifier: GPL-2.0

//! `struct pid`: the numbers that a process, a process group or a session has in each pid namespace.
//!
//! C header: [`include/linux/pid.h`](srctree/include/linux/pid.h)

use super::{
    bindings,
    namespace::NsId,
    read_once, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::sync::rcu;

/// A `struct pid`, borrowed for as long as the RCU read lock is held.
///
/// # Invariants
///
/// `ptr` points at a `struct pid` that is not freed before `'g` ends. So neither are the pid
/// namespaces in its `numbers`, which it holds references to until it is freed.
#[derive(Clone, Copy)]
pub(crate) struct Pid<'g> {
    ptr: NonNull<bindings::pid>,
    _rcu: PhantomData<&'g rcu::Guard>,
}

/// One element of `numbers`: a number and the namespace where it is valid. C: `struct upid`.
#[derive(Clone, Copy)]
pub(crate) struct Upid<'g> {
    nr: i32,
    ns: NonNull<bindings::pid_namespace>,
    _rcu: PhantomData<&'g rcu::Guard>,
}

impl<'g> Pid<'g> {
    /// Wraps the pointer that is found at `place`, unless it is null.
    ///
    /// # Safety
    ///
    /// `place` must be valid for reads, and hold null or a pointer that was, at some time since
    /// `_rcu` was taken, the value of `task_struct::thread_pid`, of `signal_struct::pids` or of an
    /// entry in a pid namespace's IDR; or one to which there is a reference for as long as the result is used.
    pub(super) unsafe fn from_place(
        place: *const *mut bindings::pid,
        _rcu: &'g rcu::Guard,
    ) -> Option<Self> {
        // SAFETY: The caller ensures that `place` is valid; it holds a pointer.
        let ptr = unsafe { read_once(place) };
        // INVARIANT: `free_pid()` drops the references of those places through `call_rcu()`, hence
        // after the RCU read-side critical section of `_rcu`.
        Some(Self {
            ptr: NonNull::new(ptr)?,
            _rcu: PhantomData,
        })
    }

    /// The level of the innermost namespace: 0 for one that is known in the initial one only.
    pub(crate) fn level(&self) -> u32 {
        // SAFETY: `ptr` is valid by the type invariants; `level` never changes.
        unsafe { (*self.ptr.as_ptr()).level }
    }

    /// The number at `level`, and the namespace where it is valid.
    pub(crate) fn upid(&self, level: u32) -> Option<Upid<'g>> {
        if level > self.level() {
            return None;
        }
        // SAFETY: `ptr` is valid by the type invariants, and `numbers` has `level() + 1` elements,
        // written before the `struct pid` was published and constant since.
        let upid = unsafe {
            let numbers = (&raw const (*self.ptr.as_ptr()).numbers).cast::<bindings::upid>();
            numbers.add(level as usize).read()
        };
        Some(Upid {
            nr: upid.nr,
            ns: NonNull::new(upid.ns)?,
            _rcu: PhantomData,
        })
    }

    /// The number in the namespace of `upid`, which lies at `level`; 0 if it is not known there.
    #[doc(alias = "pid_nr_ns")]
    pub(crate) fn nr_beside(&self, level: u32, upid: &Upid<'_>) -> i32 {
        match self.upid(level) {
            Some(own) if own.ns == upid.ns => own.nr,
            _ => 0,
        }
    }

    /// Whether `ns` is the innermost namespace. C: `ns_of_pid()`.
    pub(super) fn is_active_in(&self, ns: *const bindings::pid_namespace) -> bool {
        self.upid(self.level())
            .is_some_and(|upid| ptr::eq(upid.ns.as_ptr(), ns))
    }

    /// The number in the initial pid namespace.
    #[doc(alias = "pid_nr")]
    pub(crate) fn nr(&self) -> i32 {
        self.upid(0).map_or(0, |upid| upid.nr)
    }
}

impl Upid<'_> {
    /// The number.
    pub(crate) fn nr(&self) -> i32 {
        self.nr
    }

    /// The identity of the pid namespace where it is valid.
    pub(crate) fn ns(&self) -> Option<NsId> {
        // SAFETY: By the invariants of `Pid`, the namespace is not freed while `'g` lasts.
        unsafe { NsId::of(&raw const (*self.ns.as_ptr()).ns) }
    }
}
