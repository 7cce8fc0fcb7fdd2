// SPDX-License-Identifier: GPL-2.0

//! What the whole system tells about itself.
//!
//! C headers: [`include/linux/utsname.h`](srctree/include/linux/utsname.h),
//! [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use super::bindings;
use kernel::prelude::*;

/// The release of the running kernel, as `uname -r` shows it in the initial uts namespace.
pub(crate) fn release() -> &'static [u8] {
    // CAST: Both types stand for the kernel's `struct uts_namespace`.
    let uts = (&raw const kernel::bindings::init_uts_ns).cast::<bindings::uts_namespace>();
    // SAFETY: `init_uts_ns` is never freed, and nothing changes `release` after boot. It ends in a
    // NUL, since `init/version.c` fills it with a string constant that is shorter.
    unsafe { CStr::from_char_ptr((&raw const (*uts).name.release).cast()) }.to_bytes()
}

/// Nanoseconds since boot, times of suspend included. C: `ktime_get_boottime()`.
pub(crate) fn uptime() -> u64 {
    // SAFETY: An FFI call without requirements.
    let ns = unsafe { kernel::bindings::ktime_get_boottime() };
    u64::try_from(ns).unwrap_or(0)
}

/// Nanoseconds of the monotonic clock, for a stopwatch. C: `ktime_get_mono_fast_ns()`.
pub(crate) fn stopwatch() -> u64 {
    // SAFETY: An FFI call without requirements.
    unsafe { kernel::bindings::ktime_get_mono_fast_ns() }
}

/// How much memory the machine has, in bytes. C: `totalram_pages()`.
pub(crate) fn memory() -> u64 {
    // SAFETY: The counter is a static of the kernel; C reads it in the same way.
    let pages = unsafe { super::read_once(&raw const kernel::bindings::_totalram_pages.counter) };
    u64::try_from(pages)
        .unwrap_or(0)
        .saturating_mul(kernel::page::PAGE_SIZE as u64)
}

/// A random number that nobody can guess. C: `get_random_u64()`.
pub(crate) fn random() -> u64 {
    // SAFETY: An FFI call without requirements.
    unsafe { kernel::bindings::get_random_u64() }
}
