// SPDX-License-Identifier: GPL-2.0

//! The kernel log, for what users can cause at will.
//!
//! C header: [`include/linux/printk.h`](srctree/include/linux/printk.h)

use super::bindings;
use kernel::prelude::*;

/// Calls `print` unless too much was printed of late. C: `printk_ratelimit()`.
pub(crate) fn rate_limited(print: impl FnOnce()) {
    // SAFETY: The function wants a name for its own messages: a string that ends in a NUL.
    if unsafe { bindings::__printk_ratelimit(c"nsinspect".as_char_ptr()) } != 0 {
        print();
    }
}
