// SPDX-License-Identifier: GPL-2.0

//! Whether the running kernel is the one that the module was built for.
//!
//! A kernel loads every module whose `vermagic` is its own: its release, and a few flags. But a new
//! revision of a distribution's package keeps the release, and may move members of structures. So the
//! module compares what it was built from, the kernel's BTF, with the BTF that the running kernel shows;
//! and if it shows none, what `uname -v` tells, which is another one for each revision.

#![deny(unsafe_code)]

use crate::sys::{
    btf::{
        self,
        SHA256_LEN, //
    },
    system, //
};
use core::hint::black_box;
use kernel::{
    fmt,
    prelude::*,
    str::BStr, //
};

/// What distinguishes the kernel that the module was built for.
#[repr(C)]
struct BuiltFor {
    /// The SHA-256 of its BTF.
    btf: [u8; SHA256_LEN],
    /// What `uname -v` tells on it, with NULs behind; nothing but NULs if the build could not know.
    version: [u8; system::VERSION_LEN],
}

/// As `scripts/btf-header` found it.
static BUILT_FOR: BuiltFor = include!(concat!(env!("NSINSPECT_GENERATED"), "/built_for.rs"));

/// Fails unless the running kernel is the one that the module was built for. Nothing else may rely on
/// the layout of a structure before.
///
/// # Errors
///
/// `ENODEV`, and lines in the log, if it is another, or if nothing tells; `ENOMEM`.
pub(crate) fn check() -> Result {
    // Read from where it stands in the module, once, so that a test can change it there.
    let built_for = black_box(&BUILT_FOR);
    match btf::sha256_of_running() {
        Ok(btf) if btf == built_for.btf => Ok(()),
        Ok(btf) => {
            pr_err!("the types of this kernel are not those that the module was built for\n");
            pr_err!("SHA-256 of BTF: built for {}\n", Hex(&built_for.btf));
            pr_err!("SHA-256 of BTF: this one  {}\n", Hex(&btf));
            refuse(built_for)
        }
        Err(e) if e == ENOMEM => Err(e),
        Err(e) => check_version(built_for, e),
    }
}

/// The same where there is no BTF to be read, for that reason.
fn check_version(built_for: &BuiltFor, reason: Error) -> Result {
    let (version, reason) = (built_for.version(), reason.to_errno());
    if !version.is_empty() && version == system::version() {
        pr_warn!(
            "this kernel's BTF cannot be read (error {reason}); its version is the right one\n"
        );
        return Ok(());
    }
    pr_err!(
        "this kernel's BTF cannot be read (error {reason}), and its version is not that of the kernel \
         that the module was built for\n"
    );
    refuse(built_for)
}

/// Says what both versions are, and what helps.
fn refuse(built_for: &BuiltFor) -> Result {
    let version = match built_for.version() {
        [] => b"(not known)",
        version => version,
    };
    pr_err!("version: built for {}\n", BStr::from_bytes(version));
    let running = BStr::from_bytes(system::version());
    pr_err!("version: this one  {running}\n");
    pr_err!("build the module for this kernel, in its sources: make kdir && make\n");
    Err(ENODEV)
}

impl BuiltFor {
    fn version(&self) -> &[u8] {
        let len = self.version.iter().position(|byte| *byte == 0);
        len.and_then(|len| self.version.get(..len))
            .unwrap_or_default()
    }
}

/// Bytes, as `sha256sum` prints them.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
