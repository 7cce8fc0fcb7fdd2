// SPDX-License-Identifier: GPL-2.0

//! Devices whose file system is in use, though nobody is to be seen who uses it.
//!
//! The kernel has a directory in `/sys/fs` for each file system of some types that is in use, mounted or not.

use std::fs;
use std::path::Path;

use crate::audit::Busy;
use crate::source::Query;
use crate::system::System;
use crate::text::Device;

use super::super::Session;

/// The types that have such directories, named by the device.
const TYPES: [&str; 3] = ["ext4", "xfs", "f2fs"];

/// Finds them on this machine. A device that a mount of the picture is of is asked for no further.
pub(super) fn find(session: &Session<'_>, system: &System<'_>) -> Vec<Busy> {
    let mut busy = in_use(Path::new("/sys"));
    busy.retain(|one| {
        !system.mounts.iter().any(|mount| mount.device == one.device)
            && is_held_by_nobody(session, one.device) == Some(true)
    });
    busy
}

/// All file systems of these types that are in use, by the directories below that of sysfs.
fn in_use(sys: &Path) -> Vec<Busy> {
    let mut found = Vec::new();
    for fstype in TYPES {
        let entries = fs::read_dir(sys.join("fs").join(fstype));
        for entry in entries.into_iter().flatten().flatten() {
            // Beside these are directories of the type itself, as "features", which no device is called like.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let number = fs::read(sys.join("class/block").join(&name).join("dev"));
            if let Some(device) = number
                .ok()
                .and_then(|text| Device::from_bytes(text.trim_ascii()))
            {
                found.push(Busy {
                    name,
                    device,
                    fstype,
                });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Whether the module sees nothing that holds a device; `None` if it could not be asked.
fn is_held_by_nobody(session: &Session<'_>, device: Device) -> Option<bool> {
    let query = Query {
        device: Some(device),
        ..Query::show("holds")
    };
    let text = session.ask(&query).ok()?;
    let system = session.picture(&text).ok()?;
    Some(system.holds.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices() {
        let root = std::env::temp_dir().join(format!("nsinspect-busy-{}", std::process::id()));
        for directory in ["fs/ext4/vdb", "fs/ext4/features", "class/block/vdb"] {
            fs::create_dir_all(root.join(directory)).expect("it can be made");
        }
        fs::write(root.join("class/block/vdb/dev"), "254:16\n").expect("it can be written");
        let found = in_use(&root);
        fs::remove_dir_all(&root).expect("it can be removed");
        let device = Device {
            major: 254,
            minor: 16,
        };
        assert_eq!(
            found,
            [Busy {
                name: "vdb".to_string(),
                device,
                fstype: "ext4"
            }]
        );
    }
}
