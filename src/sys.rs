// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers around the kernel structures that the module reads.
//!
//! All `unsafe` code of the module lives below here, in one small file per structure. What these
//! files hand out is either owned plain data, a counted reference, or borrows the guard of the
//! lock that protects it.

mod bindings;
mod internal_mount;
mod modinfo;

pub(crate) mod access;
pub(crate) mod btf;
pub(crate) mod cgroup;
pub(crate) mod file;
pub(crate) mod files;
pub(crate) mod id_map;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod mm;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod nsproxy;
pub(crate) mod path;
pub(crate) mod pid;
pub(crate) mod procfs;
pub(crate) mod seq;
pub(crate) mod super_block;
pub(crate) mod system;
pub(crate) mod task;

/// Reads a value that others may change meanwhile, in one access.
///
/// C counterpart: `READ_ONCE()`, for types that the kernel crate's `Atomic` has no form for.
///
/// # Safety
///
/// `ptr` must be valid for reads and aligned, and `T` must be one that the machine reads in one
/// access: an integer or a pointer.
unsafe fn read_once<T: Copy>(ptr: *const T) -> T {
    const { assert!(size_of::<T>() <= size_of::<usize>()) };
    // SAFETY: The caller ensures that `ptr` is valid and aligned. A volatile access is neither torn
    // nor repeated, and, as with `READ_ONCE()`, it orders the dependent accesses that follow.
    unsafe { ptr.read_volatile() }
}
