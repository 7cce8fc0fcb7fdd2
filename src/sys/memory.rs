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
// until it is passed to it again with another size, or to `kvfree()`, and keeps the contents up to the
// lesser size.
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

    #[inline]
    unsafe fn free(ptr: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: The pointer came from `realloc()`, as the caller ensures, of a size that is not 0:
            // so from `kvmalloc()`.
            unsafe { bindings::kvfree(ptr.as_ptr().cast()) };
        }
    }
}

/// Room for a number of bytes that is fixed. It is filled from the front, and not cleared before.
pub(crate) struct FixedBuf(Vec<u8>);

impl FixedBuf {
    /// Makes room for `size` bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(size: usize) -> Result<Self> {
        Ok(Self(Vec::with_capacity(size, charged())?))
    }

    /// The bytes that were pushed.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// For how many bytes there was room when it was empty.
    pub(crate) fn size(&self) -> usize {
        self.0.capacity()
    }

    /// How many bytes there is room for.
    #[inline]
    pub(crate) fn free(&self) -> usize {
        self.0.capacity().wrapping_sub(self.0.len())
    }

    /// Forgets all that was pushed.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends bytes, if there is room for all of them, and says whether there is.
    #[inline(always)]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.free() {
            return false;
        }
        // SAFETY: The vector has room for so many bytes behind its last one, as just seen. It is
        // borrowed mutably, so `bytes` is no part of it. Then so many more are written.
        unsafe {
            copy(bytes, self.0.as_mut_ptr().add(self.0.len()));
            self.0.inc_len(bytes.len());
        }
        true
    }
}

/// Copies `from`, which is mostly short, as names and numbers are: for up to 32 bytes a call of
/// `memcpy()` takes longer than this.
///
/// # Safety
///
/// `to` must be valid for writes of as many bytes, none of which are `from`'s.
#[inline(always)]
pub(super) unsafe fn copy(from: &[u8], to: *mut u8) {
    /// Copies the first and the last `T`, which overlap unless there are two of them.
    ///
    /// # Safety
    ///
    /// There must be `len` bytes at both places, at least one `T`.
    #[inline(always)]
    unsafe fn both_ends<T>(from: *const u8, to: *mut u8, len: usize) {
        let last = len.wrapping_sub(size_of::<T>());
        // SAFETY: The caller ensures that both `T` lie in the `len` bytes.
        unsafe {
            let (begin, end) = (
                from.cast::<T>().read_unaligned(),
                from.add(last).cast::<T>().read_unaligned(),
            );
            to.cast::<T>().write_unaligned(begin);
            to.add(last).cast::<T>().write_unaligned(end);
        }
    }
    let (bytes, len) = (from.as_ptr(), from.len());
    // SAFETY: The caller ensures that there is room for `len` bytes; each arm copies so many, and no
    // more than two of a type that is not longer.
    unsafe {
        match len {
            0 => {}
            1 => to.write(bytes.read()),
            2..=3 => both_ends::<u16>(bytes, to, len),
            4..=7 => both_ends::<u32>(bytes, to, len),
            8..=16 => both_ends::<u64>(bytes, to, len),
            17..=32 => both_ends::<[u64; 2]>(bytes, to, len),
            _ => ptr::copy_nonoverlapping(bytes, to, len),
        }
    }
}
