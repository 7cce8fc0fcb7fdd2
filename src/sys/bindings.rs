// SPDX-License-Identifier: GPL-2.0

//! The running kernel's structures and functions, as `scripts/btf-header` and bindgen made them
//! from its BTF. Visible inside `sys` only.

#![allow(
    clippy::all,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

// Types that bindgen is told to leave alone, because C's `long` says less than these.
type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

include!(concat!(env!("NSINSPECT_GENERATED"), "/bindings.rs"));

/// Every member that `sys` uses lies where the kernel's BTF says.
mod checks {
    use super::*;
    use core::mem::offset_of;

    include!(concat!(env!("NSINSPECT_GENERATED"), "/checks.rs"));
}
