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
