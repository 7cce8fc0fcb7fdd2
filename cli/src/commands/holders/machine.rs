// SPDX-License-Identifier: GPL-2.0

//! What this machine's own files tell of devices: swap, loop devices, device mapper and RAID.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::text::{Device, Escaped};

/// A machine, by where its `/proc` and `/sys` are.
#[derive(Debug)]
pub(super) struct Machine {
    root: PathBuf,
}

/// A loop device, and the file that it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loop {
    /// Its name in `/dev`: `loop0`.
    pub(super) name: String,
    pub(super) file: Vec<u8>,
}

/// A device that is made of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Above {
    /// Its name in `/dev`: `dm-0`, `md127`.
    pub(super) name: String,
    /// The name that device mapper gives it.
    pub(super) dm_name: Option<String>,
}

/// Not longer than that are the files that are read here.
fn line(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(path).ok()?;
    while bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Some(bytes)
}

/// The names in a directory, in their order.
fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names
}

impl Machine {
    /// This machine.
    pub(super) fn here() -> Self {
        Self {
            root: PathBuf::from("/"),
        }
    }

    /// The files and devices that are swapped to.
    pub(super) fn swaps(&self) -> Vec<Vec<u8>> {
        let text = fs::read(self.root.join("proc/swaps")).unwrap_or_default();
        text.split(|byte| *byte == b'\n')
            .skip(1)
            .filter_map(|line| line.split(|byte| matches!(byte, b' ' | b'\t')).next())
            .map(|name| {
                let name = Escaped::new(name).bytes().into_owned();
                name.strip_suffix(b" (deleted)")
                    .map(<[u8]>::to_vec)
                    .unwrap_or(name)
            })
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// The loop devices that show a file.
    pub(super) fn loops(&self) -> Vec<Loop> {
        let blocks = self.root.join("sys/block");
        names(&blocks)
            .into_iter()
            .filter(|name| name.starts_with("loop"))
            .filter_map(|name| {
                let file = line(&blocks.join(&name).join("loop/backing_file"))?;
                Some(Loop { name, file })
            })
            .collect()
    }

    /// The devices that are made of this one.
    pub(super) fn above(&self, device: Device) -> Vec<Above> {
        let holders = self
            .root
            .join("sys/dev/block")
            .join(device.to_string())
            .join("holders");
        names(&holders)
            .into_iter()
            .map(|name| {
                let dm_name = line(&holders.join(&name).join("dm/name"))
                    .and_then(|name| String::from_utf8(name).ok());
                Above { name, dm_name }
            })
            .collect()
    }

    /// The number of a block device, by its file.
    pub(super) fn block(&self, path: &[u8]) -> Option<Device> {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let path = self.root.join(path.strip_prefix("/").ok()?);
        let about = fs::metadata(path).ok()?;
        about
            .file_type()
            .is_block_device()
            .then(|| Device::from_dev(about.rdev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let root = std::env::temp_dir().join(format!("nsinspect-machine-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "proc/swaps",
            "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
             /dev/sda2                               partition\t8388604\t\t0\t\t-2\n\
             /swap\\040file                           file\t\t1048572\t\t0\t\t-3\n",
        );
        write("sys/block/loop0/loop/backing_file", "/srv/a disk.img\n");
        write("sys/block/loop10/loop/backing_file", "/srv/b\n");
        write("sys/block/loop2/size", "0\n");
        write("sys/block/sda/size", "0\n");
        write("sys/dev/block/8:1/holders/dm-0/dm/name", "vg-lv\n");
        write("sys/dev/block/8:1/holders/md127/size", "0\n");
        let machine = Machine { root: root.clone() };
        assert_eq!(
            machine.swaps(),
            [b"/dev/sda2".to_vec(), b"/swap file".to_vec()]
        );
        let loops: Vec<_> = machine.loops().into_iter().map(|one| one.name).collect();
        assert_eq!(loops, ["loop0", "loop10"]);
        assert_eq!(machine.loops()[0].file, b"/srv/a disk.img");
        let above = machine.above(Device { major: 8, minor: 1 });
        assert_eq!(
            above,
            [
                Above {
                    name: "dm-0".to_string(),
                    dm_name: Some("vg-lv".to_string())
                },
                Above {
                    name: "md127".to_string(),
                    dm_name: None
                }
            ]
        );
        assert!(machine.above(Device { major: 8, minor: 2 }).is_empty());
        fs::remove_dir_all(root).unwrap();
    }
}
