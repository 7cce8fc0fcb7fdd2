// SPDX-License-Identifier: GPL-2.0

//! Namespaces: found by the links of processes, by `listns()`, and by those that they belong to; asked with the ioctls
//! of nsfs.

use std::collections::HashMap;

use crate::syscalls::{self, NsFile};
use crate::text::NsType;

use super::process::Known;

/// A namespace.
#[derive(Clone, Debug)]
pub(super) struct Space {
    pub ns_type: NsType,
    pub inum: u32,
    /// The 64-bit id.
    pub id: Option<u64>,
    pub owner: Known<u32>,
    /// Of a pid or user namespace.
    pub parent: Known<u32>,
    /// Of a user namespace: who made it.
    pub uid: Option<u32>,
    /// Of a mount namespace: how many mounts it has, and what `listmount()` knows it by.
    pub mounts: Option<u32>,
    pub mount_ns_id: Option<u64>,
    /// The processes in it.
    pub tasks: u64,
}

/// All namespaces that were found, by their inode numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Spaces {
    by_inum: HashMap<u32, Space>,
}

/// The types, by the flags of `unshare()`.
fn ns_type(flag: u64) -> Option<NsType> {
    Some(match flag {
        0x0000_0080 => NsType::Time,
        0x0002_0000 => NsType::Mnt,
        0x0200_0000 => NsType::Cgroup,
        0x0400_0000 => NsType::Uts,
        0x0800_0000 => NsType::Ipc,
        0x1000_0000 => NsType::User,
        0x2000_0000 => NsType::Pid,
        0x4000_0000 => NsType::Net,
        _ => return None,
    })
}

impl Spaces {
    pub fn get_mut(&mut self, inum: u32) -> Option<&mut Space> {
        self.by_inum.get_mut(&inum)
    }

    pub fn has(&self, inum: u32) -> bool {
        self.by_inum.contains_key(&inum)
    }

    /// All of them, by their ids as far as these are known, and else by their inode numbers.
    pub fn in_order(&self) -> Vec<&Space> {
        let mut all: Vec<_> = self.by_inum.values().collect();
        all.sort_by_key(|space| (space.id.unwrap_or(u64::MAX), space.inum));
        all
    }

    /// Takes one of which nothing is known but what its link says.
    pub fn add_bare(&mut self, ns_type: NsType, inum: u32) {
        self.by_inum.entry(inum).or_insert(Space {
            ns_type,
            inum,
            id: None,
            owner: Known::Not,
            parent: Known::Not,
            uid: None,
            mounts: None,
            mount_ns_id: None,
            tasks: 0,
        });
    }

    /// Asks a namespace, and those that own it or are around it.
    pub fn add(&mut self, file: NsFile) -> Option<u32> {
        let inum = file.inum().ok()?;
        let mut left = vec![file];
        while let Some(file) = left.pop() {
            // One that is no namespace any more is none.
            let (Ok(inum), Some(ns_type)) = (file.inum(), file.clone_flag().ok().and_then(ns_type))
            else {
                continue;
            };
            if self
                .by_inum
                .get(&inum)
                .is_some_and(|one| one.owner != Known::Not)
            {
                continue;
            }
            let mut related = |other: std::io::Result<NsFile>| match other {
                Ok(other) => match other.inum() {
                    Ok(inum) => {
                        left.push(other);
                        Known::Is(inum)
                    }
                    Err(_) => Known::Not,
                },
                // It is beyond what we are in.
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => Known::Gone,
                Err(_) => Known::Not,
            };
            let owner = related(file.owner());
            let parent = match ns_type {
                NsType::Pid | NsType::User => related(file.parent()),
                _ => Known::Not,
            };
            self.add_bare(ns_type, inum);
            let Some(space) = self.by_inum.get_mut(&inum) else {
                continue;
            };
            space.owner = owner;
            space.parent = parent;
            space.id = file.id().ok();
            if ns_type == NsType::User {
                space.uid = file.owner_uid().ok();
            }
            if ns_type == NsType::Mnt {
                space.mounts = file.mount_count().ok();
                space.mount_ns_id = file.mount_ns_id().ok();
            }
        }
        Some(inum)
    }

    /// Adds all that the kernel lists.
    pub fn add_listed(&mut self) {
        for id in syscalls::listns().unwrap_or_default() {
            if let Ok(file) = NsFile::open_id(id) {
                self.add(file);
            }
        }
    }

    /// Adds all mount namespaces, which kernels of 6.12 let one go through.
    pub fn add_mount_namespaces(&mut self, from: impl Fn() -> Option<NsFile>) {
        for before in [true, false] {
            let mut next = from().and_then(|own| own.beside(before).ok());
            // A namespace that is made meanwhile comes last, so that this ends only if they are made slower than this.
            for _ in 0..MOST {
                let Some(file) = next else { break };
                next = file.beside(before).ok();
                self.add(file);
            }
        }
    }

    /// How many pid or user namespaces are around one, as far as is known.
    pub fn level(&self, inum: u32) -> u32 {
        self.above(inum).len() as u32
    }

    /// The namespaces around one, the next one first.
    pub fn above(&self, inum: u32) -> Vec<u32> {
        let mut above = Vec::new();
        let mut at = inum;
        while let Some(Known::Is(parent)) = self.by_inum.get(&at).map(|one| &one.parent) {
            if above.len() >= NESTED {
                break;
            }
            above.push(*parent);
            at = *parent;
        }
        above
    }
}

/// How deep pid and user namespaces are nested at most; the kernel's limit is 32.
const NESTED: usize = 64;

/// How many mount namespaces are gone through at most.
const MOST: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_end() {
        let mut spaces = Spaces::default();
        for inum in 1..=3 {
            spaces.add_bare(NsType::Pid, inum);
        }
        for (inum, parent) in [(3, Known::Is(2)), (2, Known::Is(1)), (1, Known::Gone)] {
            spaces.get_mut(inum).expect("there").parent = parent;
        }
        assert_eq!(spaces.above(3), [2, 1]);
        assert_eq!(spaces.level(1), 0);
        // What cannot be must not take forever.
        spaces.get_mut(1).expect("there").parent = Known::Is(3);
        assert_eq!(spaces.above(3).len(), NESTED);
    }
}
