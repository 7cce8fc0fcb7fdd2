// SPDX-License-Identifier: GPL-2.0

//! Who may read.
//!
//! C header: [`include/linux/capability.h`](srctree/include/linux/capability.h)

use super::bindings;
use kernel::{
    bindings::{
        init_pid_ns,
        init_user_ns,
        ns_capable_noaudit,
        CAP_SYS_ADMIN, //
    },
    prelude::*,
    sync::rcu, //
};

/// Whether the calling process may see all namespaces of the system: it is in the initial pid
/// namespace, and has `CAP_SYS_ADMIN` in the initial user namespace.
///
/// The rule is that of the kernel's own `may_see_all_namespaces()` in
/// [`kernel/nscommon.c`](srctree/kernel/nscommon.c), which is not exported.
///
/// # Errors
///
/// `EPERM` if it may not.
pub(crate) fn check_may_see_all_namespaces() -> Result {
    let rcu = rcu::read_lock();
    // SAFETY: There is always a current task, whose `thread_pid` is not detached before it has
    // exited, which it cannot while it runs here.
    let pid = unsafe {
        let current = kernel::task::Task::current_raw().cast::<bindings::task_struct>();
        super::pid::Pid::from_place(&raw const (*current).thread_pid, &rcu)
    };
    // CAST: Both types stand for the kernel's `struct pid_namespace`.
    let init = (&raw const init_pid_ns).cast::<bindings::pid_namespace>();
    let in_init_pid_ns = pid.is_some_and(|pid| pid.is_active_in(init));
    drop(rcu);

    let is_capable = || {
        // SAFETY: The namespace is never freed; the call asks for the current task.
        unsafe { ns_capable_noaudit(&raw mut init_user_ns, CAP_SYS_ADMIN as c_int) }
    };
    if in_init_pid_ns && is_capable() {
        Ok(())
    } else {
        Err(EPERM)
    }
}
