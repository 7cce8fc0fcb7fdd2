// SPDX-License-Identifier: GPL-2.0

//! How memory is allocated: on the account of whoever reads.
//!
//! C header: [`include/linux/gfp_types.h`](srctree/include/linux/gfp_types.h)

use kernel::{
    alloc::{
        flags::{
            __GFP_NOWARN,
            __GFP_ZERO, //
        },
        Flags, //
    },
    prelude::*, //
};

/// The flags of all allocations whose size depends on the system. They are charged to the memory
/// cgroup of the process that reads, and say nothing when they fail: the reader gets `ENOMEM`, and
/// that is all that there is to tell.
#[inline(always)]
pub(crate) fn charged() -> Flags {
    GFP_KERNEL_ACCOUNT | __GFP_NOWARN
}

/// `len` zeros, for a fraction of what `KVVec::from_elem()` takes to write them one by one.
///
/// # Errors
///
/// `ENOMEM`
pub(crate) fn zeros(len: usize) -> Result<KVVec<u8>> {
    let mut bytes = KVVec::with_capacity(len, charged() | __GFP_ZERO)?;
    // SAFETY: The vector is empty and has room for `len` bytes. `__GFP_ZERO` has the allocator clear
    // what it returns, and any value is one of a `u8`.
    unsafe { bytes.inc_len(len) };
    Ok(bytes)
}
