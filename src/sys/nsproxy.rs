// SPDX-License-Identifier: GPL-2.0

//! `struct nsproxy`: the namespaces of a task, but for its pid and user namespaces.
//!
//! C header: [`include/linux/nsproxy.h`](srctree/include/linux/nsproxy.h)

use super::{
    bindings,
    namespace::Inum, //
};
use core::ptr::NonNull;

/// The inode numbers of the namespaces in a `struct nsproxy`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NsProxy {
    pub(crate) pid_for_children: Option<Inum>,
    pub(crate) mnt: Option<Inum>,
    pub(crate) uts: Option<Inum>,
    pub(crate) ipc: Option<Inum>,
    pub(crate) net: Option<Inum>,
    pub(crate) cgroup: Option<Inum>,
    pub(crate) time: Option<Inum>,
    pub(crate) time_for_children: Option<Inum>,
}

/// The inode number of the namespace that a pointer in `$nsproxy` leads to.
macro_rules! inum {
    ($nsproxy:expr, $field:ident) => {{
        let ns = (*$nsproxy).$field;
        if ns.is_null() {
            None
        } else {
            Inum::of(&raw const (*ns).ns)
        }
    }};
}

impl NsProxy {
    /// Reads the namespaces of a task.
    ///
    /// # Safety
    ///
    /// `nsproxy` must be the `nsproxy` of a task whose `alloc_lock` is held.
    pub(super) unsafe fn read(nsproxy: NonNull<bindings::nsproxy>) -> Self {
        let nsproxy = nsproxy.as_ptr();
        // SAFETY: While `alloc_lock` is held, the task keeps its reference to the nsproxy, and that
        // one its references to the namespaces in it. A member is null where the kernel was built
        // without that type, and in the nsproxy of the first task until there is a mount namespace.
        unsafe {
            Self {
                pid_for_children: inum!(nsproxy, pid_ns_for_children),
                mnt: inum!(nsproxy, mnt_ns),
                uts: inum!(nsproxy, uts_ns),
                ipc: inum!(nsproxy, ipc_ns),
                net: inum!(nsproxy, net_ns),
                cgroup: inum!(nsproxy, cgroup_ns),
                time: inum!(nsproxy, time_ns),
                time_for_children: inum!(nsproxy, time_ns_for_children),
            }
        }
    }
}
