// SPDX-License-Identifier: GPL-2.0

//! How memory is allocated: on the account of whoever reads, and without killing anybody.
//!
//! C header: [`include/linux/gfp_types.h`](srctree/include/linux/gfp_types.h)

use core::{
    alloc::Layout,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    alloc::{
        allocator::Kmalloc,
        flags::__GFP_ZERO,
        AllocError,
        Allocator,
        Flags,
        NumaNode, //
    },
    bindings,
    prelude::*, //
};

/// C: `__GFP_RETRY_MAYFAIL`, for which the kernel crate has no constant.
///
/// Without it an allocation that finds no memory calls the OOM killer: that of the reader's memory
/// cgroup, or that of the whole machine. Both look at the memory that processes have mapped, of
/// which the reader has hardly any, so they would kill somebody else. With it the allocation fails
/// once reclaim has been tried, and the reader gets `ENOMEM`.
const RETRY_MAYFAIL: u32 = 1 << bindings::___GFP_RETRY_MAYFAIL_BIT;
/// C: `__GFP_NOWARN`. The reader is told; the log need not be.
const NOWARN: u32 = 1 << bindings::___GFP_NOWARN_BIT;

/// The allocator of all memory whose size depends on the system: by pages of the kernel's page
/// allocator or by `vmalloc()`, charged to the memory cgroup of the process that reads.
///
/// C: `kvmalloc()` with `GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN`.
pub(crate) struct Charged;

/// A vector in memory that is charged to the reader.
pub(crate) type Vec<T> = kernel::alloc::Vec<T, Charged>;

/// A box in memory that is charged to the reader.
pub(crate) type Box<T> = kernel::alloc::Box<T, Charged>;

/// The flags to pass where an allocation wants some: [`Charged`] adds its own.
#[inline(always)]
pub(crate) fn charged() -> Flags {
    GFP_KERNEL_ACCOUNT
}

// SAFETY: `kvrealloc_node_align()` returns null or memory of that size and alignment, which stays
// until it is passed to it again with another size, and keeps the contents up to the lesser size.
unsafe impl Allocator for Charged {
    const MIN_ALIGN: usize = Kmalloc::MIN_ALIGN;

    #[inline]
    unsafe fn realloc(
        ptr: Option<NonNull<u8>>,
        layout: Layout,
        old_layout: Layout,
        flags: Flags,
        _nid: NumaNode,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // `kmalloc()` aligns by the size, so the size has to be a multiple of the alignment.
        let layout = Kmalloc::aligned_layout(layout);
        let old = ptr.filter(|_| old_layout.size() != 0);
        let old = old.map_or(ptr::null_mut(), NonNull::as_ptr);
        let zero = if flags.contains(__GFP_ZERO) {
            bindings::__GFP_ZERO
        } else {
            0
        };
        // SAFETY: `old` is null or came from this function, as the caller ensures. A size of 0
        // frees it.
        let new = unsafe {
            bindings::kvrealloc_node_align(
                old.cast(),
                layout.size(),
                layout.align(),
                bindings::GFP_KERNEL_ACCOUNT | RETRY_MAYFAIL | NOWARN | zero,
                bindings::NUMA_NO_NODE,
            )
        };
        let new = if layout.size() == 0 {
            NonNull::new(ptr::without_provenance_mut(layout.align()))
        } else {
            NonNull::new(new.cast())
        };
        let new = new.ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(new, layout.size()))
    }
}

/// Allocates `len` zeros, for a fraction of what it takes to write them one by one.
///
/// # Errors
///
/// `ENOMEM`
pub(crate) fn zeros(len: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len, charged() | __GFP_ZERO)?;
    // SAFETY: The vector is empty and has room for `len` bytes. `__GFP_ZERO` has the allocator clear
    // what it returns, and any value is one of a `u8`.
    unsafe { bytes.inc_len(len) };
    Ok(bytes)
}
