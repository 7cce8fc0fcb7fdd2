// SPDX-License-Identifier: GPL-2.0

//! Mount trees that no namespace has, but an open file leads to: those of `open_tree()` and `fsmount()`.
//!
//! The kernel keeps such a tree as an anonymous `struct mnt_namespace`. That is on no list, and nobody can
//! take a reference to it: it stays as long as the file is open and the tree is not moved elsewhere, for
//! which `namespace_sem` is held for writing.

use super::{
    super::{
        bindings,
        file::FileRef,
        namespace::MntNamespace,
        path::Place, //
    },
    current_mnt_ns,
    root_of,
    Mount,
    MountOps,
    NamespaceSem, //
};
use core::{
    mem::offset_of,
    ptr, //
};
use kernel::sync::rcu;

impl MountOps {
    /// Takes `namespace_sem` for reading, to walk the anonymous tree that the mount of an open file is in,
    /// from the first mount on whose 64-bit id is at least `from`; `None` if it is in none.
    pub(crate) fn lock_tree<'a>(
        &'a self,
        file: &'a FileRef,
        from: u64,
    ) -> Option<NamespaceSem<'a>> {
        // Any will do: there is one semaphore for all.
        let own = current_mnt_ns()?;
        // SAFETY: The calling task keeps its mount namespace while it runs here.
        let mut sem = self.lock(unsafe { MntNamespace::from_ptr(own) }, 0);
        // SAFETY: The file is open, and has a reference to its mount. While the semaphore is held the mount
        // stays where it is, and so does the tree.
        let ns = unsafe {
            let path = (&raw const (*file.as_ptr()).__bindgen_anon_1.f_path).read();
            super::MountNode::of_vfsmount(path.mnt).anonymous()?
        };
        // SAFETY: As above.
        unsafe {
            sem.ns = MntNamespace::from_ptr(ns);
            // INVARIANT: It is a mount of `ns`, or null.
            sem.first = first_from(ns.as_ptr(), from);
        }
        Some(sem)
    }
}

/// The first mount of a namespace whose 64-bit id is at least `from`, or null. C: `mnt_find_id_at()`.
///
/// # Safety
///
/// `namespace_sem` must be held, and `ns` valid.
unsafe fn first_from(ns: *const bindings::mnt_namespace, from: u64) -> *mut bindings::mount {
    let mut found = ptr::null_mut();
    // SAFETY: The caller ensures that the namespace is valid. Its tree changes with the semaphore held for
    // writing only, and each node of it is in a mount.
    unsafe {
        let mut node = (*ns).__bindgen_anon_1.mounts.rb_node;
        while !node.is_null() {
            let mount = node
                .wrapping_byte_sub(offset_of!(bindings::mount, __bindgen_anon_1))
                .cast::<bindings::mount>();
            if (*mount).mnt_id_unique >= from {
                found = mount;
                node = (*node).rb_left;
            } else {
                node = (*node).rb_right;
            }
        }
    }
    found
}

impl Mount<'_> {
    /// Its root directory.
    pub(crate) fn root_place<'g>(&self, rcu: &'g rcu::Guard) -> Option<Place<'g>> {
        // SAFETY: By the type invariants the mount is valid, and so is its root, to which it has a
        // reference, while the semaphore is held. It is a directory, or a file, of a file system.
        unsafe { Place::of_path(root_of(self.ptr.as_ptr()), rcu) }
    }
}
