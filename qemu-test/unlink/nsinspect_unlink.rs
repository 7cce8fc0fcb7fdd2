// SPDX-License-Identifier: GPL-2.0

//! For the tests of nsinspect alone: hides a process from the list of all processes, as a rootkit
//! does, for as long as the module is loaded. The process can still be found by its number.
//!
//! `insmod nsinspect_unlink.ko pid=<n>` hides it, `rmmod` links it again, at the end of the list.
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
    },
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

/// The process, hidden.
///
/// # Invariants
///
/// `task` leads the process, with a reference that belongs to this object. It is not on the list
/// of processes, and its link is a list of its own.
struct Unlink {
    task: NonNull<bindings::task_struct>,
}

// SAFETY: Any task may use and drop a reference to a task.
unsafe impl Send for Unlink {}
// SAFETY: As above; there is nothing to be done with a shared one.
unsafe impl Sync for Unlink {}

impl kernel::Module for Unlink {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let task = find(module_parameters::pid.value())?;
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

impl Drop for Unlink {
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
///
/// It is a borrowed one before Linux 7.3.
fn find(nr: impl Borrow<i32>) -> Result<NonNull<bindings::task_struct>> {
    // SAFETY: `get_pid_task()` takes null for an answer, and so does `put_pid()`, which drops the
    // reference of `find_get_pid()`.
    let task = unsafe {
        let pid = bindings::find_get_pid(*nr.borrow());
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
