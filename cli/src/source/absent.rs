// SPDX-License-Identifier: GPL-2.0

//! Why the live file cannot be read, in one line, and the one thing to do about it.

use std::fs;
use std::io;
use std::path::Path;

use super::{reason, Error, Query, LIVE};

const TRY: &str = "or try --source=procfs, or --from FILE with a saved text";

/// Explains why the file cannot be opened.
pub(super) fn explain(error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOENT) => no_file(),
        Some(libc::EACCES | libc::EPERM) => no_right(),
        _ => Error::new(format!("cannot open {LIVE}: {}", reason(error)), TRY),
    }
}

/// Explains why a query was refused.
pub(super) fn explain_query(error: &io::Error, query: &Query) -> Error {
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::E2BIG) => Error::new(
            format!("the module does not know the query \"{query}\""),
            "it is older than this command: unload it, and load the one that came with this",
        ),
        _ => explain_read(error),
    }
}

/// Explains why reading failed.
pub(super) fn explain_read(error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EFBIG) => Error::new(
            "the answer would take more memory than the module's limit",
            "ask for less, as for one container or namespace; or raise /sys/module/nsinspect/parameters/max_memory",
        ),
        Some(libc::ENOMEM) => Error::new(
            "there is not enough memory for the answer",
            "ask for less, as for one container or namespace; or run this outside of a small memory cgroup",
        ),
        Some(libc::EACCES | libc::EPERM) => no_right(),
        Some(libc::EIO | libc::ENOENT | libc::ENODEV) => {
            Error::new("the module was unloaded while it was read", "load it again: modprobe nsinspect")
        }
        _ => Error::new(format!("cannot read {LIVE}: {}", reason(error)), TRY),
    }
}

fn no_right() -> Error {
    if in_container() {
        Error::new(
            "this is a container, and the module answers to the host alone",
            "run it on the host, or read a text that was saved there with --from",
        )
    } else {
        Error::new(
            "only root may read it, with CAP_SYS_ADMIN and CAP_DAC_OVERRIDE",
            "run it with sudo, or read a saved text with --from",
        )
    }
}

/// Whether this process is in another pid or user namespace than the initial one.
fn in_container() -> bool {
    let is_other = |name, initial: u32| {
        fs::read_link(format!("/proc/self/ns/{name}"))
            .is_ok_and(|link| link.as_os_str() != format!("{name}:[{initial}]").as_str())
    };
    is_other("pid", 0xEFFF_FFFC) || is_other("user", 0xEFFF_FFFD)
}

fn no_file() -> Error {
    let modules = Path::new("/lib/modules");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    if in_container() {
        return Error::new(
            "this is a container, and the host has not loaded the module nsinspect",
            "load it on the host, and run this there: modprobe nsinspect",
        );
    }
    if has_module(&modules.join(release)) {
        return Error::new(
            "the module nsinspect is not loaded",
            "load it with \"modprobe nsinspect\", or let this command do it: --load",
        );
    }
    let others: Vec<_> = fs::read_dir(modules)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| has_module(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    if let Some(other) = others.first() {
        return Error::new(
            format!("the module nsinspect is built for the kernel {other}, and {release} runs"),
            format!("build it for {release} and load it, or boot {other}; {TRY}"),
        );
    }
    Error::new(
        format!("the module nsinspect is not installed for the kernel {release}"),
        format!("install the package nsinspect-dkms, or build it, see docs/install.md; {TRY}"),
    )
}

fn has_module(directory: &Path) -> bool {
    ["extra", "updates", "updates/dkms", "kernel/extra"]
        .iter()
        .any(|place| {
            [
                "nsinspect.ko",
                "nsinspect.ko.xz",
                "nsinspect.ko.zst",
                "nsinspect.ko.gz",
            ]
            .iter()
            .any(|name| directory.join(place).join(name).exists())
        })
}

/// Whether the kernel takes signed modules alone, as it does where UEFI has Secure Boot on.
fn is_locked_down() -> bool {
    fs::read_to_string("/sys/kernel/security/lockdown")
        .is_ok_and(|modes| !modes.is_empty() && !modes.contains("[none]"))
}

/// Loads the module with modprobe.
///
/// # Errors
///
/// Says why it could not be loaded, and what to do.
pub(super) fn load() -> Result<(), Error> {
    if Path::new(LIVE).exists() {
        return Ok(());
    }
    let output = std::process::Command::new("modprobe")
        .arg("nsinspect")
        .output()
        .map_err(|error| {
            Error::new(
                format!("cannot run modprobe: {}", reason(&error)),
                "install kmod, or load it with insmod",
            )
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said
        .trim()
        .lines()
        .last()
        .unwrap_or("it does not say why")
        .to_string();
    Err(
        if said.contains("Key was rejected")
            || said.contains("Required key not available")
            || (said.contains("Operation not permitted") && is_locked_down())
        {
            Error::new(
            "Secure Boot refuses the module: it is not signed with a key that this machine trusts",
            "sign it, and enrol the key: see \"Secure Boot\" in docs/install.md",
        )
        } else if said.contains("Operation not permitted") {
            Error::new(
                "only root may load a module",
                "run it with sudo; see \"dmesg\"",
            )
        } else if said.contains("not found") {
            no_file()
        } else {
            Error::new(
                format!("the module does not load: {said}"),
                "the kernel's log says more: dmesg | tail",
            )
        },
    )
}
