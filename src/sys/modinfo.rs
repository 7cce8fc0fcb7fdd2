// SPDX-License-Identifier: GPL-2.0

//! What the module tells of itself that the `module!` macro has no word for.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

/// The module's version: what `modinfo` tells, and `/sys/module/nsinspect/version` while it is loaded.
///
/// C counterpart: `MODULE_VERSION()`. Nothing but text lies in this section, which the kernel reads up to the NUL.
#[used]
#[link_section = ".modinfo"]
static VERSION: [u8; 14] = *b"version=0.1.0\0";
