// SPDX-License-Identifier: GPL-2.0

//! `struct super_block`: the namespaces that a mounted file system belongs to.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/proc_fs.h`](srctree/include/linux/proc_fs.h)

use super::{
    bindings,
    namespace::NsId,
    read_once, //
};
use core::ptr::NonNull;
use kernel::sync::rcu;

/// `super_block::s_magic` of file systems whose super blocks and inodes lead to something else. C:
/// [`include/uapi/linux/magic.h`](srctree/include/uapi/linux/magic.h).
pub(super) mod magic {
    pub(in super::super) const NSFS: u32 = 0x6e73_6673;
    pub(in super::super) const PIDFS: u32 = 0x5049_4446;
    pub(in super::super) const SOCKFS: u32 = 0x534f_434b;
    pub(super) const PROC: u32 = 0x9fa0;
    pub(super) const SYSFS: u32 = 0x6265_6572;
    /// C: `MQUEUE_MAGIC` of [`ipc/mqueue.c`](srctree/ipc/mqueue.c).
    pub(super) const MQUEUE: u32 = 0x1980_0202;
}

/// A namespace that a mounted file system leads to.
#[derive(Clone, Copy)]
pub(crate) struct FsNs {
    pub(crate) ns: NsId,
    /// How.
    pub(crate) relation: FsRelation,
}

/// How a mounted file system leads to a namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FsRelation {
    /// The mount is one of the namespace's own file: nsfs. Keeps it.
    File,
    /// The file system shows the namespace, or is owned by it, and keeps it.
    Keeps,
    /// The file system shows the namespace, and does not keep it.
    Shows,
}

/// The most namespaces that a file system leads to.
pub(crate) const MAX_FS_NS: usize = 2;

/// The namespaces that the file system with the root `root` leads to: what it shows, and the user
/// namespace that owns it, unless that is the initial one.
///
/// # Safety
///
/// `sb` must be the super block of a mount that was there when `_rcu` was taken or later, and `root` the
/// root directory of that mount.
pub(super) unsafe fn namespaces(
    sb: *const bindings::super_block,
    root: *const bindings::dentry,
    _rcu: &rcu::Guard,
) -> [Option<FsNs>; MAX_FS_NS] {
    // SAFETY: The caller ensures that the super block is in use. Magic number and owner are constant, and
    // it has a reference to the latter.
    let (s_magic, owner) = unsafe {
        (
            read_once(&raw const (*sb).s_magic),
            read_once(&raw const (*sb).s_user_ns),
        )
    };
    // CAST: Magic numbers have 32 bits.
    let shown = match s_magic as u32 {
        magic::NSFS => {
            // SAFETY: The root of a mount of nsfs is the file of a namespace. As long as the mount is there
            // the inode is in use, and holds a reference to it.
            let ns = unsafe {
                let inode = read_once(&raw const (*root).d_inode);
                NsId::of_live(read_once(&raw const (*inode).i_private).cast())
            };
            ns.map(|ns| (ns, FsRelation::File))
        }
        magic::PROC => {
            // SAFETY: The super block of a procfs has a `struct proc_fs_info` until it is taken down, and
            // that is freed through RCU. It has a reference to its pid namespace, which is as well.
            unsafe {
                let info = read_once(&raw const (*sb).s_fs_info).cast::<bindings::proc_fs_info>();
                let ns =
                    NonNull::new(info).map(|info| read_once(&raw const (*info.as_ptr()).pid_ns));
                ns.and_then(|ns| NsId::of(&raw const (*NonNull::new(ns)?.as_ptr()).ns))
            }
            .map(|ns| (ns, FsRelation::Keeps))
        }
        magic::SYSFS => {
            // SAFETY: The super block of a sysfs has a `struct kernfs_super_info`, freed with it. Of its
            // network namespace it keeps the memory (`net_grab_current_ns()`), and no more: once the
            // namespace is gone its inode number is that of another one.
            unsafe {
                let info = read_once(&raw const (*sb).s_fs_info);
                let info = NonNull::new(info.cast::<bindings::kernfs_super_info>());
                let ns = info.map(|info| read_once(&raw const (*info.as_ptr()).ns));
                ns.and_then(|ns| NsId::of_live(ns))
            }
            .map(|ns| (ns, FsRelation::Shows))
        }
        magic::MQUEUE => {
            // SAFETY: The super block of an mqueue has its ipc namespace in `s_fs_info`, without a
            // reference. `put_ipc_ns()` clears that first, and then waits for RCU (`free_ipc()`) before it
            // frees the namespace.
            unsafe {
                let ns = read_once(&raw const (*sb).s_fs_info).cast::<bindings::ipc_namespace>();
                NonNull::new(ns).and_then(|ns| NsId::of_live(&raw const (*ns.as_ptr()).ns))
            }
            .map(|ns| (ns, FsRelation::Shows))
        }
        _ => None,
    };
    let init = (&raw const kernel::bindings::init_user_ns).cast::<bindings::user_namespace>();
    let owner = Some(owner.cast_const()).filter(|owner| !owner.is_null() && *owner != init);
    // SAFETY: As said above, the super block has a reference to its owner.
    let owner = owner.and_then(|owner| unsafe { NsId::of(&raw const (*owner).ns) });
    [
        shown.map(|(ns, relation)| FsNs { ns, relation }),
        owner.map(|ns| FsNs {
            ns,
            relation: FsRelation::Keeps,
        }),
    ]
}
