// SPDX-License-Identifier: GPL-2.0

//! BTF: what the running kernel tells of its own types.
//!
//! C header: [`include/crypto/sha2.h`](srctree/include/crypto/sha2.h)
//!
//! The BTF tells whether the layouts are right that the module was built with. Up to there the module
//! may rely on none of them but what follows, which is the same in all kernels of a release: `mnt_root`
//! is the first member of a `struct vfsmount`, a `struct path` is a mount and a directory, and the state
//! of a SHA-256 is no larger than [`Sha256::SPARE`] allows for.

use super::{
    bindings,
    internal_mount::InternalMount, //
};
use kernel::prelude::*;

const _: () = assert!(core::mem::offset_of!(bindings::vfsmount, mnt_root) == 0);

/// The length of a SHA-256.
pub(crate) const SHA256_LEN: usize = 32;

/// How much is read at once: as much as sysfs gives at once.
const PIECE: usize = 4096;

/// The largest BTF that is read. Debian's are of 6 MB.
const MAX_LEN: i64 = 1 << 28;

/// Computes the SHA-256 of the running kernel's BTF, as `sha256sum /sys/kernel/btf/vmlinux` does.
///
/// # Errors
///
/// `ENOMEM`; `EFBIG` if it does not end; others if there is none in sysfs, or if it cannot be read.
pub(crate) fn sha256_of_running() -> Result<[u8; SHA256_LEN]> {
    let file = InternalMount::new(c"sysfs")?.open(c"kernel/btf/vmlinux")?;
    let mut piece = KVec::from_elem(0, PIECE, GFP_KERNEL)?;
    let mut sha256 = Sha256::new();
    let mut pos = 0;
    while pos < MAX_LEN {
        let len = file.read(&mut piece, &mut pos)?;
        if len == 0 {
            return Ok(sha256.finish());
        }
        sha256.update(piece.get(..len).ok_or(EIO)?);
    }
    Err(EFBIG)
}

/// A SHA-256 that is being computed, by the kernel's own functions: every kernel with BTF has them,
/// for `CONFIG_BPF` selects `CONFIG_CRYPTO_LIB_SHA256`.
///
/// # Invariants
///
/// `state` was initialised by `sha256_init()`.
#[repr(C)]
struct Sha256 {
    state: bindings::sha256_ctx,
    /// Never used, if the layout is right.
    _spare: [u64; Self::SPARE],
}

impl Sha256 {
    /// How many words more the kernel's state may take than it took at build.
    const SPARE: usize = 32;

    fn new() -> Self {
        // INVARIANT: Initialised below.
        let mut new = Self {
            state: bindings::sha256_ctx::default(),
            _spare: [0; Self::SPARE],
        };
        // SAFETY: The state is valid for writes.
        unsafe { bindings::sha256_init(&mut new.state) };
        new
    }

    fn update(&mut self, bytes: &[u8]) {
        // SAFETY: By the type invariants; the function reads that many bytes. C: `sha256_update()`.
        unsafe { bindings::__sha256_update(&mut self.state.ctx, bytes.as_ptr(), bytes.len()) };
    }

    fn finish(mut self) -> [u8; SHA256_LEN] {
        let mut hash = [0; SHA256_LEN];
        // SAFETY: By the type invariants; the function writes `SHA256_DIGEST_SIZE` bytes, which is 32.
        unsafe { bindings::sha256_final(&mut self.state, hash.as_mut_ptr()) };
        hash
    }
}
