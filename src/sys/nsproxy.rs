// SPDX-License-Identifier: GPL-2.0

//! `struct nsproxy`: the namespaces of a task, but for its pid and user namespaces.
//!
//! C header: [`include/linux/nsproxy.h`](srctree/include/linux/nsproxy.h)

use super::{
    bindings,
    namespace::NsId,
    read_once, //
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

/// The identity of the namespace that a pointer in `$nsproxy` leads to.
macro_rules! ns_id {
    ($nsproxy:expr, $field:ident) => {{
        let ns = (*$nsproxy).$field;
        if ns.is_null() {
            None
        } else {
            NsId::of(&raw const (*ns).ns)
        }
    }};
}

/// The ids of the namespaces in a `struct nsproxy`, 0 where there is none, in the order of
/// [`NsProxy`]'s members.
pub(crate) type NsProxyIds = [u64; 8];

/// The id of the namespace that a pointer in `$nsproxy` leads to; 0 if there is none.
macro_rules! id {
    ($nsproxy:expr, $field:ident) => {{
        let ns = (*$nsproxy).$field;
        if ns.is_null() {
            0
        } else {
            read_once(&raw const (*ns).ns.tree.ns_id)
        }
    }};
}

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
                id!(nsproxy, pid_ns_for_children),
                id!(nsproxy, mnt_ns),
                id!(nsproxy, uts_ns),
                id!(nsproxy, ipc_ns),
                id!(nsproxy, net_ns),
                id!(nsproxy, cgroup_ns),
                id!(nsproxy, time_ns),
                id!(nsproxy, time_ns_for_children),
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
                pid_for_children: ns_id!(nsproxy, pid_ns_for_children),
                mnt: ns_id!(nsproxy, mnt_ns),
                uts: ns_id!(nsproxy, uts_ns),
                ipc: ns_id!(nsproxy, ipc_ns),
                net: ns_id!(nsproxy, net_ns),
                cgroup: ns_id!(nsproxy, cgroup_ns),
                time: ns_id!(nsproxy, time_ns),
                time_for_children: ns_id!(nsproxy, time_ns_for_children),
            }
        }
    }
}
