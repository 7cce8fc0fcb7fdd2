// SPDX-License-Identifier: GPL-2.0

//! `struct nsproxy`: the namespaces of a task, but for its pid and user namespaces.
//!
//! C header: [`include/linux/nsproxy.h`](srctree/include/linux/nsproxy.h)

use super::{
    bindings,
    namespace::NsId, //
};
use core::ptr::NonNull;

/// The identities of the namespaces in a `struct nsproxy`.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct NsProxy {
    pub(crate) pid_for_children: Option<NsId>,
    pub(crate) mnt: Option<NsId>,
    pub(crate) uts: Option<NsId>,
    pub(crate) ipc: Option<NsId>,
    pub(crate) net: Option<NsId>,
    pub(crate) cgroup: Option<NsId>,
    pub(crate) time: Option<NsId>,
    pub(crate) time_for_children: Option<NsId>,
}

/// What `$read` tells of the namespace that a pointer in `$nsproxy` leads to; `$none` if there is none.
macro_rules! of_ns {
    ($nsproxy:expr, $field:ident, $read:path, $none:expr) => {{
        let ns = (*$nsproxy).$field;
        if ns.is_null() {
            $none
        } else {
            $read(&raw const (*ns).ns)
        }
    }};
}

/// The ids of the namespaces in a `struct nsproxy`, 0 where there is none, in the order of
/// [`NsProxy`]'s members.
pub(crate) type NsProxyIds = [u64; 8];

impl NsProxy {
    /// Reads no more than the ids of the namespaces of a task: what tells whether they are those of
    /// another task.
    ///
    /// # Safety
    ///
    /// `nsproxy` must be the `nsproxy` of a task whose `alloc_lock` is held.
    pub(super) unsafe fn read_ids(nsproxy: NonNull<bindings::nsproxy>) -> NsProxyIds {
        let nsproxy = nsproxy.as_ptr();
        // SAFETY: As in `NsProxy::read()`.
        unsafe {
            [
                of_ns!(nsproxy, pid_ns_for_children, NsId::id_of, 0),
                of_ns!(nsproxy, mnt_ns, NsId::id_of, 0),
                of_ns!(nsproxy, uts_ns, NsId::id_of, 0),
                of_ns!(nsproxy, ipc_ns, NsId::id_of, 0),
                of_ns!(nsproxy, net_ns, NsId::id_of, 0),
                of_ns!(nsproxy, cgroup_ns, NsId::id_of, 0),
                of_ns!(nsproxy, time_ns, NsId::id_of, 0),
                of_ns!(nsproxy, time_ns_for_children, NsId::id_of, 0),
            ]
        }
    }

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
                pid_for_children: of_ns!(nsproxy, pid_ns_for_children, NsId::of, None),
                mnt: of_ns!(nsproxy, mnt_ns, NsId::of, None),
                uts: of_ns!(nsproxy, uts_ns, NsId::of, None),
                ipc: of_ns!(nsproxy, ipc_ns, NsId::of, None),
                net: of_ns!(nsproxy, net_ns, NsId::of, None),
                cgroup: of_ns!(nsproxy, cgroup_ns, NsId::of, None),
                time: of_ns!(nsproxy, time_ns, NsId::of, None),
                time_for_children: of_ns!(nsproxy, time_ns_for_children, NsId::of, None),
            }
        }
    }
}
