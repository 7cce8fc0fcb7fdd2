// SPDX-License-Identifier: GPL-2.0

//! What the whole system tells about itself.
//!
//! C headers: [`include/linux/utsname.h`](srctree/include/linux/utsname.h),
//! [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use super::bindings;
use kernel::prelude::*;

/// The room for a string of `struct new_utsname`, its NUL included. C: `__NEW_UTS_LEN + 1`.
pub(crate) const VERSION_LEN: usize = 65;

/// The release of the running kernel, as `uname -r` shows it in the initial uts namespace.
pub(crate) fn release() -> &'static [u8] {
    // SAFETY: Nothing changes `release` after boot. It ends in a NUL, since `init/version.c` fills it
    // with a string constant that is shorter.
    unsafe { CStr::from_char_ptr((&raw const (*init_uts_ns()).name.release).cast()) }.to_bytes()
}

/// The version of the running kernel, as `uname -v` shows it: on Debian it has that of the package.
pub(crate) fn version() -> &'static [u8] {
    // SAFETY: As above; no string of `struct new_utsname` is changed but the names of host and domain.
    unsafe { CStr::from_char_ptr((&raw const (*init_uts_ns()).name.version).cast()) }.to_bytes()
}

/// The initial uts namespace, which is never freed.
fn init_uts_ns() -> *const bindings::uts_namespace {
    // CAST: Both types stand for the kernel's `struct uts_namespace`.
    (&raw const kernel::bindings::init_uts_ns).cast()
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
    bytes(pages)
}

/// How much memory the machine can still give without swapping, in bytes: `MemAvailable` of
/// `/proc/meminfo`. C: `si_mem_available()`.
pub(crate) fn available_memory() -> u64 {
    // SAFETY: An FFI call without requirements.
    bytes(unsafe { kernel::bindings::si_mem_available() })
}

fn bytes(pages: impl TryInto<u64>) -> u64 {
    pages
        .try_into()
        .unwrap_or(0)
        .saturating_mul(kernel::page::PAGE_SIZE as u64)
}

/// A random number that nobody can guess. C: `get_random_u64()`.
pub(crate) fn random() -> u64 {
    // SAFETY: An FFI call without requirements.
    unsafe { kernel::bindings::get_random_u64() }
}
