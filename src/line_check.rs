// SPDX-License-Identifier: GPL-2.0

//! Whether the lines of mounts come out as the kernel writes them, tried when the module is loaded.
//!
//! The lines are put together here, since the kernel's own function does not show all mounts. What a
//! later kernel adds to its lines is nothing that its types tell. So the first mounts of the caller's
//! own namespace are written both ways. Where that differs, the kernel writes all the lines that it
//! can.

#![deny(unsafe_code)]

use crate::{
    render::Renderer,
    snapshot::{
        Snapshot,
        Sources, //
    },
};
use kernel::{
    prelude::*,
    str::BStr, //
};

/// Mounts that are tried, at most.
const MOUNTS: usize = 32;

/// How often both are written again, if they differ: a mount may change in between.
const TRIES: usize = 3;

/// Tries it, and has the kernel write the lines of all snapshots if they differ.
///
/// # Errors
///
/// `ENOMEM`; `EINTR` if the calling process is being killed.
pub(crate) fn check(sources: &mut Sources) -> Result {
    for _ in 0..TRIES {
        if are_equal(sources)? {
            return Ok(());
        }
    }
    pr_warn!(
        "this kernel writes lines of mountinfo otherwise than the module; it will write them all\n"
    );
    sources.let_kernel_write_lines();
    Ok(())
}

/// Whether all lines are equal that the kernel writes, too.
fn are_equal(sources: &Sources) -> Result<bool> {
    let mut ours = Renderer::new(Snapshot::of_own_mounts(sources, false, MOUNTS)?)?;
    let mut kernels = Renderer::new(Snapshot::of_own_mounts(sources, true, MOUNTS)?)?;
    for index in 0..MOUNTS {
        let (Some(line), Some(kernel_line)) = (ours.mount(index), kernels.mount(index)) else {
            break;
        };
        // What cannot be reached the kernel does not show, and of a mount whose parent is not among
        // the first it is not known here where it is.
        if !line.is_cut && kernel_line.is_kernel_line && line.bytes != kernel_line.bytes {
            pr_warn!("the module's line: {}\n", BStr::from_bytes(line.bytes));
            pr_warn!(
                "the kernel's line: {}\n",
                BStr::from_bytes(kernel_line.bytes)
            );
            return Ok(false);
        }
    }
    Ok(true)
}
