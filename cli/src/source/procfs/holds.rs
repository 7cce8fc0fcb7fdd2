// SPDX-License-Identifier: GPL-2.0

//! What keeps a namespace, or a file system busy, as far as procfs shows it: descriptors, directories, programs,
//! mappings, mounts, and namespaces that others belong to.

use std::collections::{HashMap, HashSet};

use crate::source::Query;
use crate::syscalls::{self, FileId, MountId};
use crate::text::{Escaped, NsType};

use super::mounts::{Entry, Mounts};
use super::process::{
    self, Directory, Known, Place, Task, DELETED, MNT, PID, PID_FOR_CHILDREN, TIME,
    TIME_FOR_CHILDREN,
};
use super::spaces::Spaces;
use super::write::Line;

/// The most that is read of a list of mappings.
const LIMIT: u64 = 64 * 1024 * 1024;

/// A mount, by what the text calls it.
type ById<'a> = HashMap<u64, &'a Entry>;

/// What is looked for.
struct Wanted {
    ns: Option<u32>,
    device: Option<(u32, u32)>,
    mount: Option<u64>,
}

impl Wanted {
    fn of(query: &Query) -> Self {
        Self {
            ns: query.ns.map(|inum| inum.get()),
            device: query.device.map(|device| (device.major, device.minor)),
            mount: query.mount,
        }
    }

    fn namespaces(&self) -> bool {
        self.device.is_none() && self.mount.is_none()
    }

    fn devices(&self) -> bool {
        self.ns.is_none()
    }

    fn is_namespace(&self, inum: u32) -> bool {
        self.namespaces() && self.ns.is_none_or(|wanted| wanted == inum)
    }
}

/// Who holds something: a process, and the thread that has it where the main thread has ended.
#[derive(Clone, Copy)]
struct Holder {
    pid: u32,
    tid: Option<u32>,
}

/// Writes the records, and counts them.
pub(super) struct Holds<'a> {
    wanted: Wanted,
    names: MountId,
    by_id: ById<'a>,
    line: Line,
    out: &'a mut Vec<u8>,
    count: u64,
}

impl<'a> Holds<'a> {
    pub fn new(
        query: &Query,
        names: MountId,
        mounts: &'a [(u32, Mounts)],
        out: &'a mut Vec<u8>,
    ) -> Self {
        let by_id = mounts
            .iter()
            .flat_map(|(_, mounts)| &mounts.entries)
            .map(|entry| (entry.id, entry))
            .collect();
        Self {
            wanted: Wanted::of(query),
            names,
            by_id,
            line: Line::default(),
            out,
            count: 0,
        }
    }

    /// Writes all, and says how many there are.
    pub fn write(mut self, tasks: &[Task], mounts: &[(u32, Mounts)], spaces: &Spaces) -> u64 {
        // Before 7.3 threads of the kernel have its root, which nobody unmounts.
        let own = tasks
            .iter()
            .find(|task| task.pid == std::process::id())
            .and_then(|task| task.links[MNT].get());
        for task in tasks
            .iter()
            .filter(|task| !task.is_kthread || task.links[MNT].get() != own)
        {
            self.of_task(task);
        }
        self.of_mounts(mounts);
        self.of_spaces(spaces);
        self.count
    }

    fn end(&mut self) {
        self.line.end(self.out);
        self.count += 1;
    }

    fn of_task(&mut self, task: &Task) {
        let holder = Holder {
            pid: task.pid,
            tid: task.via,
        };
        let directory = match task.via {
            None => Directory::of(task.pid),
            Some(tid) => Directory::of_thread(task.pid, tid),
        };
        let Ok(directory) = directory else {
            return;
        };
        let mut descriptors = process::entries(&match task.via {
            None => format!("/proc/{}/fd", task.pid),
            Some(tid) => format!("/proc/{}/task/{tid}/fd", task.pid),
        });
        descriptors.sort_unstable();
        for fd in descriptors {
            self.descriptor(&directory, holder, fd);
        }
        for (by, place) in [("cwd", &task.cwd), ("root", &task.root)] {
            if let Known::Is(place) = place {
                self.place(by, holder, None, place);
            }
        }
        for (own, for_children) in [(PID, PID_FOR_CHILDREN), (TIME, TIME_FOR_CHILDREN)] {
            let (Known::Is(own), Known::Is(inum)) = (&task.links[own], &task.links[for_children])
            else {
                continue;
            };
            if inum != own && self.wanted.is_namespace(*inum) {
                self.begin_namespace(*inum, "for_children");
                self.line.key("pid", task.pid);
                self.end_of(holder);
            }
        }
        if let (b'Z', true, Known::Is(inum)) =
            (task.state, task.numbers.len() > 1, &task.links[PID])
        {
            if self.wanted.is_namespace(*inum) {
                self.begin_namespace(*inum, "zombie");
                self.line.key("pid", task.pid);
                self.line.key("ppid", task.ppid);
                if task.tracer == 0 {
                    self.line.key("tracer", '-');
                } else {
                    self.line.key("tracer", task.tracer);
                }
                self.end();
            }
        }
        if self.wanted.devices() {
            if let Some(place) = self.look(&directory, b"exe") {
                self.place("exe", holder, None, &place);
            }
            self.mappings(&directory, holder);
        }
    }

    /// Ends a record of what a process has.
    fn end_of(&mut self, holder: Holder) {
        if let Some(tid) = holder.tid {
            self.line.key("tid", tid);
        }
        self.end();
    }

    fn begin_namespace(&mut self, inum: u32, by: &str) {
        self.line.begin("hold");
        self.line.positional("ns");
        self.line.positional(inum);
        self.line.key("by", by);
    }

    /// Looks at what a link of procfs leads to, without going there.
    fn look(&self, directory: &Directory, name: &[u8]) -> Option<Place> {
        let mut path = syscalls::read_link_below(directory.fd(), name).ok()?;
        if !path.starts_with(b"/") {
            // A socket, a pipe, and the like.
            return None;
        }
        let file = syscalls::statx(Some(directory.fd()), name, self.names).ok();
        let is_deleted = path.ends_with(DELETED) && file.is_none_or(|file| file.links == 0);
        if is_deleted {
            path.truncate(path.len() - DELETED.len());
        }
        Some(Place {
            path,
            is_deleted,
            file,
        })
    }

    fn descriptor(&mut self, directory: &Directory, holder: Holder, fd: u32) {
        let name = format!("fd/{fd}").into_bytes();
        if self.wanted.namespaces() {
            if let Some(inum) = syscalls::read_link_below(directory.fd(), &name)
                .ok()
                .and_then(|link| namespace(&link))
            {
                if self.wanted.is_namespace(inum) {
                    self.begin_namespace(inum, "fd");
                    self.line.key("pid", holder.pid);
                    self.line.key("fd", fd);
                    self.end_of(holder);
                }
                return;
            }
        }
        if self.wanted.devices() {
            if let Some(place) = self.look(directory, &name) {
                self.place("fd", holder, Some(fd), &place);
            }
        }
    }

    /// The mount that a file is on, and the device, if they are asked for.
    fn wanted_device(&self, file: Option<FileId>) -> Option<((u32, u32), Option<u64>)> {
        let file = file?;
        let id = file.mount.or(file.old_mount.map(u64::from));
        let entry = id.and_then(|id| self.by_id.get(&id));
        if let Some(mount) = self.wanted.mount {
            let entry = entry.filter(|entry| entry.id == mount)?;
            return Some((entry.device, Some(entry.id)));
        }
        match (self.wanted.device, entry) {
            (None, Some(entry)) => Some((entry.device, Some(entry.id))),
            (Some(device), Some(entry)) => {
                (entry.device == device).then_some((device, Some(entry.id)))
            }
            // On a mount that no list has: detached, or the kernel's own.
            (Some(device), None) => (file.device == device).then_some((device, None)),
            (None, None) => None,
        }
    }

    fn begin_device(&mut self, device: (u32, u32), by: &str) {
        self.line.begin("hold");
        self.line.positional("dev");
        self.line
            .positional(format_args!("{}:{}", device.0, device.1));
        self.line.key("by", by);
    }

    fn place(&mut self, by: &str, holder: Holder, fd: Option<u32>, place: &Place) {
        if !self.wanted.devices() {
            return;
        }
        let Some((device, mount)) = self.wanted_device(place.file) else {
            return;
        };
        self.begin_device(device, by);
        self.line.key("pid", holder.pid);
        if let Some(fd) = fd {
            self.line.key("fd", fd);
        }
        if let Some(mount) = mount {
            self.line.key("mount", mount);
            self.line.key("at", "attached");
        }
        self.line.path("path", &place.path, place.is_deleted);
        self.end_of(holder);
    }

    /// Files that are mapped, each once.
    fn mappings(&mut self, directory: &Directory, holder: Holder) {
        let Ok(text) = directory.read("maps", LIMIT) else {
            return;
        };
        let mut seen = HashSet::new();
        for line in text.split(|byte| *byte == b'\n') {
            // Address, rights, offset, device, inode number, blanks, path.
            let mut fields = line.splitn(6, |byte| *byte == b' ');
            let (Some(address), Some(device), Some(inode), Some(path)) = (
                fields.next(),
                fields.nth(2),
                fields.next(),
                fields.next().map(<[u8]>::trim_ascii_start),
            ) else {
                continue;
            };
            if !path.starts_with(b"/") || !seen.insert((device.to_vec(), inode.to_vec())) {
                continue;
            }
            let name = [b"map_files/", address_of(address).as_slice()].concat();
            let place = self.look(directory, &name).or_else(|| {
                // Without the right to look there, the list has the device.
                Some(Place {
                    path: path.strip_suffix(DELETED).unwrap_or(path).to_vec(),
                    is_deleted: path.ends_with(DELETED),
                    file: Some(FileId {
                        device: hex_device(device)?,
                        inode: process::number(inode)?,
                        links: 1,
                        old_mount: None,
                        mount: None,
                        is_mount_root: false,
                    }),
                })
            });
            if let Some(place) = place {
                self.place("map", holder, None, &place);
            }
        }
    }

    /// Devices by mounts, and namespaces by mounts of their files.
    fn of_mounts(&mut self, mounts: &[(u32, Mounts)]) {
        for (ns, entry) in mounts
            .iter()
            .flat_map(|(ns, mounts)| mounts.entries.iter().map(|entry| (*ns, entry)))
        {
            let is_wanted = self.wanted.devices()
                && self.wanted.mount.is_none_or(|mount| entry.id == mount)
                && self
                    .wanted
                    .device
                    .is_none_or(|device| entry.device == device);
            if is_wanted {
                self.begin_device(entry.device, "mount");
                self.mounted(ns, entry);
            }
        }
        for (ns, entry) in mounts
            .iter()
            .flat_map(|(ns, mounts)| mounts.entries.iter().map(|entry| (*ns, entry)))
        {
            let Some(inum) = mounted_namespace(entry) else {
                continue;
            };
            if self.wanted.is_namespace(inum) {
                self.begin_namespace(inum, "mount");
                self.line.key("mntns", ns);
                self.line.key("mount", entry.id);
                self.path_of(entry);
                self.end();
            }
        }
    }

    fn mounted(&mut self, ns: u32, entry: &Entry) {
        self.line.key("mntns", ns);
        self.line.key("mount", entry.id);
        self.line.key("at", "attached");
        self.path_of(entry);
        self.end();
    }

    /// A mount point as a path of the text, which has more escapes than `mountinfo`.
    fn path_of(&mut self, entry: &Entry) {
        let point = Escaped::new(&entry.point);
        if point.is_cut() {
            // The mark alone.
            self.line.key("path", "\\~");
            return;
        }
        let point = point.bytes();
        let (path, is_deleted) = match point.strip_suffix(b"//deleted") {
            Some(path) => (path, true),
            None => (&point[..], false),
        };
        self.line.path("path", path, is_deleted);
    }

    /// Namespaces by those below them, and user namespaces by what they own.
    fn of_spaces(&mut self, spaces: &Spaces) {
        if !self.wanted.namespaces() {
            return;
        }
        for space in spaces.in_order() {
            let mut held: Vec<u32> = [&space.parent, &space.owner]
                .into_iter()
                .filter_map(|one| one.get().copied())
                .collect();
            held.dedup();
            for inum in held {
                if self.wanted.is_namespace(inum) {
                    self.begin_namespace(inum, "child");
                    self.line.key("ns", space.inum);
                    self.end();
                }
            }
        }
    }
}

/// Which namespace a mount is of.
pub(super) fn mounted_namespace(entry: &Entry) -> Option<u32> {
    (entry.fs_type == b"nsfs").then(|| namespace(&entry.root))?
}

/// Reads `net:[4026531840]`.
fn namespace(link: &[u8]) -> Option<u32> {
    let at = link.iter().position(|byte| *byte == b':')?;
    NsType::from_name(&link[..at])?;
    process::inum(link)
}

/// The type that stands in it.
pub(super) fn namespace_type(link: &[u8]) -> Option<NsType> {
    let at = link.iter().position(|byte| *byte == b':')?;
    NsType::from_name(&link[..at])
}

/// `00400000-00401000` as `map_files` has it: without the zeros before.
fn address_of(field: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    for part in field.split(|byte| *byte == b'-') {
        if !name.is_empty() {
            name.push(b'-');
        }
        let zeros = part.iter().take_while(|byte| **byte == b'0').count();
        name.extend_from_slice(&part[zeros.min(part.len().saturating_sub(1))..]);
    }
    name
}

/// `08:01`, of hexadecimal numbers.
fn hex_device(field: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(field).ok()?;
    let (major, minor) = text.split_once(':')?;
    Some((
        u32::from_str_radix(major, 16).ok()?,
        u32::from_str_radix(minor, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_maps() {
        assert_eq!(address_of(b"00400000-00401000"), b"400000-401000");
        assert_eq!(address_of(b"00000000-00001000"), b"0-1000");
        assert_eq!(hex_device(b"08:1f"), Some((8, 31)));
        assert_eq!(super::super::mounts::device(b"8:31"), Some((8, 31)));
        assert_eq!(namespace(b"net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(namespace(b"socket:[17]"), None);
    }
}
