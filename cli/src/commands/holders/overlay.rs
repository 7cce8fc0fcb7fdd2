// SPDX-License-Identifier: GPL-2.0

//! Overlays whose layers lie on a file system: no record tells that, but their options do.
//!
//! The options have the paths as they were when the overlay was mounted, and as whoever did it saw them. That is a mount
//! namespace in which the overlay is mounted, most likely the one that had it first.

use std::collections::{BTreeMap, HashMap};

use crate::system::{MountPoints, System};
use crate::text::{Device, Inum, Mount};

/// So many namespaces are tried, to find out what the paths of an overlay mean.
const TRIES: usize = 8;

/// A directory that an overlay shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// The option that names it: `lowerdir`, `upperdir`, `workdir`, `datadir`.
    pub(super) option: &'static str,
    pub(super) path: Vec<u8>,
}

/// An overlay with layers on what was asked for.
pub(super) struct Found<'a, 't> {
    /// Its oldest mount.
    pub(super) mount: &'a Mount<'t>,
    /// In how many places it is mounted.
    pub(super) mounts: usize,
    pub(super) layers: Vec<Layer>,
}

/// Finds overlays that have a layer on a device.
pub(super) fn on<'a, 't>(
    mounts: &'a System<'t>,
    host: Option<Inum>,
    device: Device,
) -> Vec<Found<'a, 't>> {
    let mut overlays: BTreeMap<Device, Vec<&'a Mount<'t>>> = BTreeMap::new();
    for mount in &mounts.mounts {
        if mount.fstype.raw() == b"overlay" && mount.device != device {
            overlays.entry(mount.device).or_default().push(mount);
        }
    }
    let mut points: HashMap<Inum, MountPoints<'a, 't>> = HashMap::new();
    let mut found = Vec::new();
    for all in overlays.values_mut() {
        all.sort_by_key(|mount| mount.id);
        let Some(oldest) = all.first().copied() else {
            continue;
        };
        let mut namespaces: Vec<Inum> = all.iter().take(TRIES).map(|mount| mount.ns).collect();
        namespaces.extend(host);
        namespaces.dedup();
        let mut layers = layers(oldest.super_options);
        layers.retain(|layer| {
            // Where the overlay is the root, a path leads onto the overlay itself: that is not how it was meant.
            let place = namespaces.iter().find_map(|ns| {
                let points = points
                    .entry(*ns)
                    .or_insert_with(|| mounts.mount_points(*ns));
                points
                    .of(&layer.path)
                    .map(|mount| mount.device)
                    .filter(|place| *place != oldest.device)
            });
            place == Some(device)
        });
        if !layers.is_empty() {
            found.push(Found {
                mount: oldest,
                mounts: all.len(),
                layers,
            });
        }
    }
    found
}

/// The layers that an overlay's options name. A relative path is none that can be followed.
pub(super) fn layers(options: &[u8]) -> Vec<Layer> {
    let mut layers = Vec::new();
    // In values, commas are escaped.
    for option in options.split(|byte| *byte == b',') {
        let Some(at) = memchr::memchr(b'=', option) else {
            continue;
        };
        let (name, value) = (&option[..at], &option[at + 1..]);
        let (option, is_list) = match name {
            b"lowerdir" => ("lowerdir", true),
            b"lowerdir+" => ("lowerdir", false),
            b"datadir+" => ("datadir", false),
            b"upperdir" => ("upperdir", false),
            b"workdir" => ("workdir", false),
            _ => continue,
        };
        let paths = if is_list {
            list(value)
        } else {
            vec![crate::text::Escaped::new(value).bytes().into_owned()]
        };
        layers.extend(
            paths
                .into_iter()
                .filter(|path| path.first() == Some(&b'/'))
                .map(|path| Layer { option, path }),
        );
    }
    layers
}

/// Reads a list of directories with colons between. A colon that belongs to a name has a backslash before it, which the
/// record shows as an octal escape, or is such an escape itself.
fn list(value: &[u8]) -> Vec<Vec<u8>> {
    let mut paths = vec![Vec::new()];
    let mut is_escaped = false;
    let mut rest = value;
    while let Some(&first) = rest.first() {
        let (byte, is_octal, length) = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                ((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'), true, 4)
            }
            _ => (first, false, 1),
        };
        rest = &rest[length..];
        match byte {
            b'\\' if !is_escaped => is_escaped = true,
            b':' if !is_escaped && !is_octal => paths.push(Vec::new()),
            _ => {
                is_escaped = false;
                if let Some(path) = paths.last_mut() {
                    path.push(byte);
                }
            }
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: &str, wanted: &[(&str, &str)]) {
        let found = layers(options.as_bytes());
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.option, String::from_utf8_lossy(&one.path).into_owned()))
            .collect();
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(option, path)| (*option, (*path).to_string()))
            .collect();
        assert_eq!(found, wanted, "{options}");
    }

    #[test]
    fn options() {
        check(
            "rw,lowerdir=/a:/b c:relative,upperdir=/u,workdir=/w,uuid=on",
            &[
                ("lowerdir", "/a"),
                ("lowerdir", "/b c"),
                ("upperdir", "/u"),
                ("workdir", "/w"),
            ],
        );
        check(
            "rw,lowerdir+=/a\\054b,datadir+=/d:e",
            &[("lowerdir", "/a,b"), ("datadir", "/d:e")],
        );
        // As it was typed, with a backslash; as the kernel escapes it.
        check(
            "rw,lowerdir=/a\\134:b:/c",
            &[("lowerdir", "/a:b"), ("lowerdir", "/c")],
        );
        check(
            "rw,lowerdir=/a\\072b:/c::/data",
            &[
                ("lowerdir", "/a:b"),
                ("lowerdir", "/c"),
                ("lowerdir", "/data"),
            ],
        );
    }
}
