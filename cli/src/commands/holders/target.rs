// SPDX-License-Identifier: GPL-2.0

//! What is asked for: devices, a mount, or namespaces.

use std::os::unix::ffi::OsStrExt;

use crate::identity::Containers;
use crate::output::Words;
use crate::source::Query;
use crate::system::{tidy, System};
use crate::text::{Device, Hold, Inum, NsType};
use crate::what::{Target, What};

use super::super::mounts::{own_namespace, Devices};
use super::super::{Failure, Session};
use super::namespace_name;

/// Something that may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Held {
    /// A file system, by its device, or the device itself.
    Device(Device),
    /// A mount alone, by its 64-bit id; the device of its file system.
    Mount(u64, Device),
    /// A namespace.
    Namespace(Inum),
}

impl Held {
    /// What tells who holds it.
    pub(super) fn query(&self) -> Query {
        let mut query = Query::show("holds");
        match *self {
            Self::Device(device) => query.device = Some(device),
            Self::Mount(id, _) => query.mount = Some(id),
            Self::Namespace(inum) => query.ns = Some(inum),
        }
        query
    }

    /// Whether a record is of it.
    pub(super) fn is_of(&self, hold: &Hold<'_>) -> bool {
        match *self {
            Self::Device(device) => hold.held_device() == Some(device),
            Self::Mount(id, device) => hold.held_device() == Some(device) && hold.mount == Some(id),
            Self::Namespace(inum) => hold.held_namespace() == Some(inum),
        }
    }

    /// Its name, in a form that this command takes.
    pub(super) fn name(&self, system: &System<'_>) -> String {
        match *self {
            Self::Device(device) | Self::Mount(_, device) => format!("dev:{device}"),
            Self::Namespace(inum) => namespace_name(system, inum),
        }
    }
}

/// What was typed.
pub(super) struct Asked<'a> {
    word: &'a str,
    what: What,
    devices: Devices,
    /// The mount that a path leads to, by its 64-bit id.
    mount: std::cell::Cell<Option<u64>>,
}

impl<'a> Asked<'a> {
    /// Takes it by its form.
    pub(super) fn parse(session: &Session<'_>, word: &'a str) -> Result<Self, Failure> {
        let what = session.what(word)?;
        let mut devices = Devices::default();
        // In a saved text a path may be the name of a device.
        let may_be_device = match what {
            What::Device(_) => true,
            What::Path(_) => !session.source.is_here(),
            _ => false,
        };
        if may_be_device {
            devices.add(session, word)?;
        }
        Ok(Self {
            word,
            what,
            devices,
            mount: std::cell::Cell::new(None),
        })
    }

    /// Whether it is something that is mounted.
    pub(super) fn is_place(&self) -> bool {
        matches!(self.what, What::Device(_) | What::Path(_))
    }

    /// The mount that its path leads to, once that is known.
    pub(super) fn mount(&self) -> Option<u64> {
        self.mount.get()
    }

    /// What it means.
    pub(super) fn held(
        &self,
        session: &Session<'_>,
        context: &System<'_>,
        containers: &Containers,
        mounts: &System<'_>,
    ) -> Result<Vec<Held>, Failure> {
        match &self.what {
            What::Device(device) => {
                let mut held = vec![Held::Device(*device)];
                // That of btrfs has a number of its own.
                if !mounts.mounts.iter().any(|mount| mount.device == *device) {
                    let mut others: Vec<_> = self.devices.by_name(&[mounts]).into_iter().collect();
                    others.sort_unstable();
                    held.extend(others.into_iter().map(Held::Device));
                }
                Ok(held)
            }
            What::Path(path) => {
                let mut devices: Vec<_> = self.devices.by_name(&[mounts]).into_iter().collect();
                devices.sort_unstable();
                if !devices.is_empty() {
                    return Ok(devices.into_iter().map(Held::Device).collect());
                }
                let own = session.source.is_here().then(own_namespace).flatten();
                let ns = own.or_else(|| context.host(NsType::Mnt));
                let mount = ns
                    .and_then(|ns| mounts.mount_points(ns).of(path.as_os_str().as_bytes()))
                    .ok_or_else(|| {
                        Failure::NotThere(format!("no mount is known that {} is on", self.word))
                    })?;
                if mount.fstype.raw() == b"nsfs" {
                    let root = String::from_utf8_lossy(mount.root.raw());
                    if let Ok(What::Namespace(inum)) = What::parse(&root, false) {
                        return Ok(vec![Held::Namespace(inum)]);
                    }
                }
                self.mount.set(Some(mount.id));
                // Of a whole file system all is meant, wherever it is mounted; of a directory this mount alone.
                Ok(vec![if mount.root.raw() == b"/" {
                    Held::Device(mount.device)
                } else {
                    Held::Mount(mount.id, mount.device)
                }])
            }
            what => {
                let targets = what.resolve(context, containers)?;
                let mut held = Vec::new();
                for target in targets {
                    for inum in namespaces(target, context) {
                        if !held.contains(&Held::Namespace(inum)) {
                            held.push(Held::Namespace(inum));
                        }
                    }
                }
                if held.is_empty() {
                    return Err(Failure::Usage(format!(
                        "{what} has no namespace of its own: holders takes a device, a path, a namespace or a container"
                    )));
                }
                Ok(held)
            }
        }
    }

    /// Says which mount is meant, where the path is not where that is mounted.
    pub(super) fn note(&self, mounts: &System<'_>) -> Option<String> {
        let (What::Path(path), Some(id)) = (&self.what, self.mount()) else {
            return None;
        };
        let mount = mounts.mounts.iter().find(|mount| mount.id == id)?;
        let point = mount.point.bytes();
        let is_point = tidy(path.as_os_str().as_bytes()).as_deref() == Some(&*point);
        (!is_point).then(|| {
            format!(
                "nothing is mounted on {}: this is what holds {} (dev:{})",
                self.word,
                Words::from_bytes(&point).shown(),
                mount.device
            )
        })
    }

    /// Says that nothing holds it.
    pub(super) fn nothing(&self, held: &[Held]) -> String {
        let word = self.word;
        match (held, self.mount()) {
            ([Held::Device(device)], Some(_)) => {
                format!("nothing holds {word} (dev:{device}) but that it is mounted there")
            }
            ([Held::Mount(..)], _) => format!("nothing holds {word} but that it is mounted there"),
            ([Held::Device(device)], None) if word != format!("dev:{device}") => {
                format!("nothing holds {word} (dev:{device})")
            }
            _ => format!("nothing holds {word}"),
        }
    }
}

/// The namespaces that are meant: one itself, or those of a process that are not the host's. Of a container those of its
/// first process, and of the first one that is number 1 in its pid namespace: what starts a container is in it as well.
fn namespaces(target: Target<'_>, system: &System<'_>) -> Vec<Inum> {
    let tasks = match target {
        Target::Namespace(index) => return system.namespaces[index].inum.into_iter().collect(),
        Target::Task(index) => vec![index],
        Target::Container(one) => {
            let init = one.tasks.iter().copied().find(|index| {
                let task = &system.tasks[*index];
                task.level > 0 && task.own_number() == Some(1)
            });
            std::iter::once(one.first).chain(init).collect()
        }
        Target::Device(_) => return Vec::new(),
    };
    let mut found: Vec<(NsType, Inum)> = Vec::new();
    for one in tasks
        .into_iter()
        .flat_map(|index| system.differs(&system.tasks[index]))
    {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found.sort_by_key(|(ns_type, _)| NsType::ALL.iter().position(|one| one == ns_type));
    found.into_iter().map(|(_, inum)| inum).collect()
}
