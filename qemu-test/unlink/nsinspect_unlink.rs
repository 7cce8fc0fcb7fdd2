// SPDX-License-Identifier: GPL-2.0

//! For the tests of nsinspect alone: hides a process from the list of all processes, as a rootkit
//! does, for as long as the module is loaded. The process can still be found by its number.
//!
//! `insmod nsinspect_unlink.ko pid=<n>` hides it, `rmmod` links it again, at the end of the list. With
//! `number=1` besides, its number in the initial pid namespace is hidden instead: it stays on the list,
//! and nothing finds it by that.
//!
//! `tasklist_lock`, which guards the list, is not exported. So the list is changed while all
//! processors stand still: nobody holds that lock then, as its holders cannot be preempted. Readers
//! under RCU may be in the middle of their walk, and must find their way on from a process that was
//! unlinked under them.
//!
//! The process must not end while the module is being loaded. Later it may.

use core::{
    borrow::Borrow,
    ffi::c_void,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    prelude::*, //
};

module! {
    type: Unlink,
    name: "nsinspect_unlink",
    authors: ["The nsinspect developers"],
    description: "Hides a process, to test nsinspect",
    license: "GPL",
    params: {
        pid: i32 {
            default: 0,
            description: "the process to hide",
        },
        number: i32 {
            default: 0,
            description: "1: its number, instead of itself",
        },
    },
}

extern "C" {
    /// Puts another pointer in the place of the one that a number stands for.
    fn idr_replace(idr: *mut c_void, ptr: *mut c_void, id: usize) -> *mut c_void;
}

#[cfg(CONFIG_SMP)]
extern "C" {
    /// Calls `function` while all other processors stand still with interrupts disabled.
    fn stop_machine(
        function: unsafe extern "C" fn(*mut c_void) -> c_int,
        data: *mut c_void,
        cpus: *const c_void,
    ) -> c_int;
}

/// Calls `function` while nobody else runs: here there is one processor, and it is ours until we
/// give it away. C has this in a header.
///
/// # Safety
///
/// As for `function`.
#[cfg(not(CONFIG_SMP))]
unsafe fn stop_machine(
    function: unsafe extern "C" fn(*mut c_void) -> c_int,
    data: *mut c_void,
    _cpus: *const c_void,
) -> c_int {
    // SAFETY: As the caller ensures.
    unsafe { function(data) }
}

#[cfg(all(not(CONFIG_SMP), CONFIG_PREEMPTION))]
compile_error!("one processor of which we may be robbed: disable interrupts in stop_machine()");

/// What is hidden.
enum Unlink {
    Process { _hidden: HiddenProcess },
    Number { _hidden: HiddenNumber },
}

impl kernel::Module for Unlink {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let nr = number(module_parameters::pid.value());
        if number(module_parameters::number.value()) == 0 {
            let _hidden = HiddenProcess::new(nr)?;
            Ok(Self::Process { _hidden })
        } else {
            let _hidden = HiddenNumber::new(nr)?;
            Ok(Self::Number { _hidden })
        }
    }
}

/// A parameter's value, of which the kernel crate of 7.2 lends a reference.
fn number(value: impl Borrow<i32>) -> i32 {
    *value.borrow()
}

/// The number of a process, hidden.
///
/// # Invariants
///
/// `pid` is a `struct pid` with a reference that belongs to this object. Null is in the place of it, where
/// its number is looked up.
struct HiddenNumber {
    pid: NonNull<bindings::pid>,
    nr: i32,
}

// SAFETY: Any task may use and drop a reference to a `struct pid`.
unsafe impl Send for HiddenNumber {}
// SAFETY: As above; there is nothing to be done with a shared one.
unsafe impl Sync for HiddenNumber {}

impl HiddenNumber {
    fn new(nr: i32) -> Result<Self> {
        // SAFETY: An FFI call without requirements.
        let pid = NonNull::new(unsafe { bindings::find_get_pid(nr) }).ok_or(ESRCH)?;
        // INVARIANT: As just arranged.
        let this = Self { pid, nr };
        this.replace(ptr::null_mut());
        Ok(this)
    }

    /// Has the number stand for something else. `alloc_pid()` does the same, so that those who look it up
    /// meanwhile find either.
    fn replace(&self, pid: *mut c_void) {
        // SAFETY: The namespace is never freed, and the number is in use as long as the process is not
        // reaped, which the tests see to.
        unsafe {
            let idr = (&raw mut bindings::init_pid_ns.idr).cast();
            idr_replace(idr, pid, self.nr as usize);
        }
    }
}

impl Drop for HiddenNumber {
    fn drop(&mut self) {
        self.replace(self.pid.as_ptr().cast());
        // SAFETY: The reference is this object's own.
        unsafe { bindings::put_pid(self.pid.as_ptr()) };
    }
}

/// The process, hidden.
///
/// # Invariants
///
/// `task` leads the process, with a reference that belongs to this object. It is not on the list
/// of processes, and its link is a list of its own.
struct HiddenProcess {
    task: NonNull<bindings::task_struct>,
}

// SAFETY: Any task may use and drop a reference to a task.
unsafe impl Send for HiddenProcess {}
// SAFETY: As above; there is nothing to be done with a shared one.
unsafe impl Sync for HiddenProcess {}

impl HiddenProcess {
    fn new(nr: i32) -> Result<Self> {
        let task = find(nr)?;
        // SAFETY: `unlink` takes a task that there is a reference to, and nobody holds the lock of
        // the list while the machine stands still.
        let done = to_result(unsafe { stop_machine(unlink, task.as_ptr().cast(), ptr::null()) });
        if let Err(error) = done {
            // SAFETY: `find` took the reference.
            unsafe { bindings::put_task_struct(task.as_ptr()) };
            return Err(error);
        }
        // SAFETY: This may sleep. Then no reader comes over the link any more, and nobody else looks
        // at it but the process when it ends: that it then unlinks itself does no harm.
        unsafe {
            bindings::synchronize_rcu();
            let link = &raw mut (*task.as_ptr()).tasks;
            (*link).next = link;
            (*link).prev = link;
        }
        // INVARIANT: As just arranged.
        Ok(Self { task })
    }
}

impl Drop for HiddenProcess {
    fn drop(&mut self) {
        let task = self.task.as_ptr();
        // SAFETY: As above. The reference is this object's own.
        unsafe {
            stop_machine(link_again, task.cast(), ptr::null());
            bindings::put_task_struct(task);
        }
    }
}

/// The leader of the process with the number `nr`, with a reference to it.
fn find(nr: i32) -> Result<NonNull<bindings::task_struct>> {
    // SAFETY: `get_pid_task()` takes null for an answer, and so does `put_pid()`, which drops the
    // reference of `find_get_pid()`.
    let task = unsafe {
        let pid = bindings::find_get_pid(nr);
        let task = bindings::get_pid_task(pid, bindings::pid_type_PIDTYPE_TGID);
        bindings::put_pid(pid);
        task
    };
    NonNull::new(task).ok_or(ESRCH)
}

/// Takes a process off the list, but leaves it its way on.
///
/// # Safety
///
/// `task` must lead a process that there is a reference to, and nobody may be changing the list.
unsafe extern "C" fn unlink(task: *mut c_void) -> c_int {
    let task = task.cast::<bindings::task_struct>();
    // SAFETY: The caller ensures that the task is valid. If it was not reaped, it is on the list.
    unsafe {
        if (*task).thread_pid.is_null() {
            return ESRCH.to_errno();
        }
        let link = (*task).tasks;
        (*link.prev).next = link.next;
        (*link.next).prev = link.prev;
    }
    0
}

/// Puts a process at the end of the list, unless it was reaped.
///
/// # Safety
///
/// As for [`unlink`], and `unlink` must have taken it off.
unsafe extern "C" fn link_again(task: *mut c_void) -> c_int {
    let task = task.cast::<bindings::task_struct>();
    // SAFETY: The caller ensures that the task is valid. The list begins and ends at `init_task`.
    unsafe {
        if !(*task).thread_pid.is_null() {
            let head = (&raw mut bindings::init_task.tasks).cast::<bindings::list_head>();
            let link = &raw mut (*task).tasks;
            let last = (*head).prev;
            (*link).next = head;
            (*link).prev = last;
            (*last).next = link;
            (*head).prev = link;
        }
    }
    0
}
