// SPDX-License-Identifier: GPL-2.0

//! What people have at hand, told apart by its form: a pid, a namespace's number or file, a container's name, a device,
//! a path.
//!
//! [`What::parse`] goes by the form and the files of this machine alone. What is left is a [`What::Name`], which
//! [`What::resolve`] looks for in a picture. What means two things is an error that lists both.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::identity::{Container, Containers};
use crate::system::System;
use crate::text::{Device, Inum, NsType};

/// The largest number that a process can have (`PID_MAX_LIMIT`). A larger one is a namespace's.
pub const PID_MAX: u32 = 4 << 20;

/// What was typed, by its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A process, by its number on the host.
    Pid(u32),
    /// A process, by its number in the pid namespace of something else.
    NumberIn(u32, Box<What>),
    /// A namespace, by its inode number.
    Namespace(Inum),
    /// A device.
    Device(Device),
    /// A path on this machine, which is none of the above.
    Path(PathBuf),
    /// Processes by their name.
    Comm(String),
    /// A container, a pod or a unit, by its name or id.
    Name(String),
}

/// What something is, in a picture.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A process, by where it stands among the tasks.
    Task(usize),
    /// A namespace, by where it stands among all.
    Namespace(usize),
    /// A container, pod, unit or jail.
    Container(&'a Container),
    /// A device.
    Device(Device),
}

/// Why something is not what it was taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is nothing that this knows, or cannot be looked at.
    Usage(String),
    /// It is not there.
    NotThere(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::NotThere(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(f, "process {pid}"),
            Self::NumberIn(number, place) => write!(f, "process {number} in {place}"),
            Self::Namespace(inum) => write!(f, "namespace {inum}"),
            Self::Device(device) => write!(f, "device {device}"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Comm(name) => write!(f, "a process called \"{name}\""),
            Self::Name(name) => write!(f, "\"{name}\""),
        }
    }
}

/// Reads `mnt:[4026531832]`.
fn namespace_link(text: &str) -> Option<(NsType, Inum)> {
    let (ns_type, rest) = text.split_once(":[")?;
    let ns_type = NsType::from_name(ns_type.as_bytes())?;
    Some((ns_type, Inum::new(rest.strip_suffix(']')?.parse().ok()?)?))
}

impl What {
    /// Takes it by its form. Paths are looked at only if the text is of this machine (`is_here`).
    ///
    /// # Errors
    ///
    /// It has the form of something, and is not.
    pub fn parse(text: &str, is_here: bool) -> Result<Self, Error> {
        if let Ok(number) = text.parse::<u64>() {
            if text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Self::number(number, text);
            }
        }
        if let Some((_, inum)) = namespace_link(text) {
            return Ok(Self::Namespace(inum));
        }
        if let Some(device) = text.strip_prefix("dev:") {
            return Device::from_bytes(device.as_bytes())
                .map(Self::Device)
                .ok_or_else(|| {
                    Error::Usage(format!(
                        "\"{text}\" is no device: dev:MAJOR:MINOR, as dev:8:1"
                    ))
                });
        }
        if let Some(name) = text.strip_prefix("comm:") {
            return Ok(Self::Comm(name.to_string()));
        }
        if text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text == "."
        {
            return Self::path(Path::new(text), is_here);
        }
        if let Some((number, place)) = text.split_once('@') {
            if let Ok(number) = number.parse() {
                return Ok(Self::NumberIn(
                    number,
                    Box::new(Self::parse(place, is_here)?),
                ));
            }
        }
        if text.is_empty() {
            return Err(Error::Usage("an empty name is nothing".to_string()));
        }
        Ok(Self::Name(text.to_string()))
    }

    fn number(number: u64, text: &str) -> Result<Self, Error> {
        let found = match u32::try_from(number) {
            Ok(pid) if pid <= PID_MAX => Some(Self::Pid(pid)),
            Ok(inum) => Inum::new(inum).map(Self::Namespace),
            Err(_) => None,
        };
        found.ok_or_else(|| {
            Error::Usage(format!(
                "{text} is neither a process nor a namespace: it is too large"
            ))
        })
    }

    fn path(path: &Path, is_here: bool) -> Result<Self, Error> {
        // A name of a device says which it is, on any machine, only here.
        if !is_here {
            return Ok(Self::Path(path.to_path_buf()));
        }
        if let Some((_, inum)) = fs::read_link(path)
            .ok()
            .as_deref()
            .and_then(Path::to_str)
            .and_then(namespace_link)
        {
            return Ok(Self::Namespace(inum));
        }
        let about = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotThere(format!("{} is not there", path.display())),
            _ => Error::Usage(format!(
                "cannot look at {}: {}",
                path.display(),
                crate::source::reason(&error)
            )),
        })?;
        if about.file_type().is_block_device() {
            return Ok(Self::Device(Device::from_dev(about.rdev())));
        }
        // A namespace's file that is mounted is no link. Its file system has the number of none other.
        if is_nsfs(&about) {
            if let Some(inum) = u32::try_from(about.ino()).ok().and_then(Inum::new) {
                return Ok(Self::Namespace(inum));
            }
        }
        Ok(Self::Path(
            fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()),
        ))
    }

    /// Looks for it in a picture: all that it can mean.
    ///
    /// # Errors
    ///
    /// It is not there, or means several things.
    pub fn resolve<'a>(
        &self,
        system: &System<'_>,
        containers: &'a Containers,
    ) -> Result<Vec<Target<'a>>, Error> {
        let not_there = |what: &dyn fmt::Display| Error::NotThere(format!("there is no {what}"));
        match self {
            Self::Pid(pid) => {
                if system.task(*pid).is_none() {
                    return Err(match system.threads.iter().find(|one| one.tid == *pid) {
                        Some(thread) => Error::NotThere(format!(
                            "{pid} is no process, but a thread of process {}",
                            thread.tgid
                        )),
                        None => not_there(self),
                    });
                }
                if let Some(one) = containers.named(&pid.to_string()).first() {
                    return Err(Error::Usage(format!(
                        "\"{pid}\" means several: process {pid}, and {} {}, whose first process is {}; say which by that",
                        one.runtime.name(),
                        one.short_id(),
                        system.tasks[one.first].pid
                    )));
                }
                let index = system.tasks.iter().position(|task| task.pid == *pid);
                Ok(index.map(Target::Task).into_iter().collect())
            }
            Self::NumberIn(number, place) => {
                let ns = pid_namespace(&place.resolve(system, containers)?, system)
                    .ok_or_else(|| Error::Usage(format!("{place} has no pid namespace")))?;
                let index = system
                    .tasks
                    .iter()
                    .position(|task| task.upid.in_namespace(ns) == Some(*number))
                    .ok_or_else(|| not_there(self))?;
                Ok(vec![Target::Task(index)])
            }
            Self::Namespace(inum) => system
                .namespace_index(*inum)
                .map(|index| vec![Target::Namespace(index)])
                .ok_or_else(|| not_there(self)),
            Self::Device(device) => Ok(vec![Target::Device(*device)]),
            Self::Comm(name) => {
                let found: Vec<_> = system
                    .tasks
                    .iter()
                    .enumerate()
                    .filter(|(_, task)| *task.comm.bytes() == *name.as_bytes())
                    .map(|(index, _)| Target::Task(index))
                    .collect();
                if found.is_empty() {
                    return Err(not_there(self));
                }
                Ok(found)
            }
            Self::Path(path) => Err(Error::Usage(format!(
                "{} is no namespace, no block device, and no name of a container",
                path.display()
            ))),
            Self::Name(name) => {
                let found = containers.named(name);
                match found.as_slice() {
                    [] => Err(Error::NotThere(format!(
                        "there is no container, pod or unit called \"{name}\" with a namespace of its own; \"nsinspect containers\" shows all"
                    ))),
                    [one] => Ok(vec![Target::Container(one)]),
                    // A pod is all of its containers.
                    all if all.iter().all(|one| one.pod.as_deref() == Some(name.as_str())) => {
                        Ok(all.iter().map(|one| Target::Container(one)).collect())
                    }
                    several => {
                        let list: Vec<_> = several
                            .iter()
                            .map(|one| {
                                format!("{} {} (process {})", one.runtime.name(), one.short_id(), system.tasks[one.first].pid)
                            })
                            .collect();
                        Err(Error::Usage(format!("\"{name}\" means several: {}; say which by its id or process", list.join(", "))))
                    }
                }
            }
        }
    }
}

/// The pid namespace that is meant by something: its own, or that of its first process.
pub fn pid_namespace(targets: &[Target<'_>], system: &System<'_>) -> Option<Inum> {
    namespace_of(targets.first()?, NsType::Pid, system)
}

/// The namespace of a type that is meant by something.
pub fn namespace_of(target: &Target<'_>, ns_type: NsType, system: &System<'_>) -> Option<Inum> {
    match target {
        Target::Task(index) => system.tasks[*index].namespace(ns_type),
        Target::Container(one) => system.tasks[one.first].namespace(ns_type),
        Target::Namespace(index) if system.namespaces[*index].ns_type == ns_type => {
            system.namespaces[*index].inum
        }
        _ => None,
    }
}

/// Whether a file is one of a namespace: it is on the same file system as our own.
fn is_nsfs(about: &fs::Metadata) -> bool {
    fs::metadata("/proc/self/ns/mnt").is_ok_and(|own| own.dev() == about.dev())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Names;

    /// A thread has a number, and is no process: whose it is says the error.
    #[test]
    fn threads() {
        let text = b"nsinspect 1 release=x uptime=1\n\
            thread 12 tgid=10 comm=a level=0 upid=12@4026531836 uid=0 start=5 pidns=4026531836\nend\n";
        let system = System::read(text).expect("the text is whole");
        let containers = Containers::find(&system, &Names::none());
        let error = |pid: u32| {
            let found = What::Pid(pid).resolve(&system, &containers);
            found.expect_err("there is no process").to_string()
        };
        assert_eq!(error(12), "12 is no process, but a thread of process 10");
        assert_eq!(error(13), "there is no process 13");
    }
}
