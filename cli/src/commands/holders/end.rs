// SPDX-License-Identifier: GPL-2.0

//! The commands that would end a hold. None of them is ever run.

use std::collections::HashMap;
use std::fmt::Write;

use crate::output::Words;
use crate::system::System;
use crate::text::{Hold, Inum, Mount, NsType};

/// How to get into a mount namespace that no process is in.
#[derive(Clone, Debug)]
pub(super) enum Entrance {
    /// By a descriptor of its file: the process or thread, and the number.
    Descriptor(u32, u32),
    /// By its file, which is mounted there: a word for the shell.
    File(String),
}

impl Entrance {
    /// The one that a hold of that namespace is.
    pub(super) fn by(hold: &Hold<'_>, ns: Inum, exits: &Exits<'_, '_>) -> Option<Self> {
        if hold.held_namespace() != Some(ns) {
            return None;
        }
        match hold.by.raw() {
            b"fd" => Some(Self::Descriptor(hold.tid.or(hold.pid)?, hold.fd?)),
            b"mount" if hold.mntns == exits.host => {
                let mount = exits.by_id.get(&hold.mount?)?;
                let is_seen = mount.reach() == b"root";
                let word = shell_word(&mount.point.bytes()).filter(|_| is_seen)?;
                Some(Self::File(word))
            }
            _ => None,
        }
    }
}

/// A command that ends something, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The command.
    Command(String),
    /// There is none, as this says.
    Not(&'static str),
}

/// The ways out: what is known of processes and mounts that commands need.
pub(super) struct Exits<'a, 't> {
    context: &'a System<'t>,
    by_id: HashMap<u64, &'a Mount<'t>>,
    host: Option<Inum>,
    /// Of each mount namespace the oldest process in it.
    inside: HashMap<Inum, u32>,
    entrances: HashMap<Inum, Entrance>,
}

impl<'a, 't> Exits<'a, 't> {
    /// Looks where processes and mounts are.
    pub(super) fn new(context: &'a System<'t>, mounts: &'a System<'t>) -> Self {
        let mut inside = HashMap::new();
        for task in &context.tasks {
            if let Some(ns) = task.mntns.filter(|_| !task.is_kthread()) {
                inside.entry(ns).or_insert(task.pid);
            }
        }
        Self {
            context,
            by_id: mounts
                .mounts
                .iter()
                .map(|mount| (mount.id, mount))
                .collect(),
            host: context.host(NsType::Mnt),
            inside,
            entrances: HashMap::new(),
        }
    }

    /// The mount with that 64-bit id.
    pub(super) fn mount(&self, id: u64) -> Option<&'a Mount<'t>> {
        self.by_id.get(&id).copied()
    }

    /// Mount namespaces without processes that holds tell of: so many of them.
    pub(super) fn closed(&self, holds: &[&Hold<'_>], most: usize) -> Vec<Inum> {
        let mut closed: Vec<Inum> = holds
            .iter()
            .filter_map(|hold| hold.mntns)
            .filter(|ns| Some(*ns) != self.host && !self.inside.contains_key(ns))
            .collect();
        closed.sort_unstable();
        closed.dedup();
        closed.truncate(most);
        closed
    }

    /// Remembers how to get into a namespace.
    pub(super) fn add(&mut self, ns: Inum, entrance: Entrance) {
        self.entrances.insert(ns, entrance);
    }

    /// Ends a process, and others that share what it has. Threads of the kernel, and the first process of the machine,
    /// are not to be ended.
    pub(super) fn kill(&self, pid: u32, also: impl Iterator<Item = u32>) -> End {
        let mut forced = false;
        let mut command = String::new();
        for pid in std::iter::once(pid).chain(also) {
            if pid == 1 {
                return End::Not("process 1 is not to be ended");
            }
            if let Some(task) = self.context.task(pid) {
                if task.is_kthread() {
                    return End::Not("a thread of the kernel cannot be ended");
                }
                // To others, process 1 of a pid namespace is as deaf as it wants.
                forced |= task.level > 0 && task.own_number() == Some(1);
            }
            let _ = write!(command, " {pid}");
        }
        End::Command(format!(
            "kill{}{command}",
            if forced { " -KILL" } else { "" }
        ))
    }

    /// Unmounts.
    pub(super) fn unmount(&self, mount: &Mount<'_>) -> End {
        match mount.reach() {
            b"over" => return End::Not("another mount lies on top of it"),
            b"covered" => return End::Not("another mount covers a directory on the way"),
            b"outside" => return End::Not("no path leads there"),
            _ => {}
        }
        if mount.has("locked") {
            return End::Not("it is locked, and goes with its mount namespace");
        }
        if mount.point.raw() == b"/" {
            return self.end_namespace(mount.ns);
        }
        match shell_word(&mount.point.bytes()) {
            Some(path) if !mount.point.is_cut() => {
                self.in_namespace(mount.ns, &format!("umount {path}"))
            }
            _ => End::Not("its name does not go into a command line"),
        }
    }

    /// The root of a mount namespace goes with that.
    fn end_namespace(&self, ns: Inum) -> End {
        const ROOT: &str = "it is the root of its mount namespace";
        let Some(pid) = self.inside.get(&ns).filter(|_| Some(ns) != self.host) else {
            return End::Not(ROOT);
        };
        let is_first = self
            .context
            .task(*pid)
            .is_some_and(|task| task.level > 0 && task.own_number() == Some(1));
        if is_first {
            self.kill(*pid, std::iter::empty())
        } else {
            End::Not(ROOT)
        }
    }

    /// Runs a command in a mount namespace.
    fn in_namespace(&self, ns: Inum, command: &str) -> End {
        if Some(ns) == self.host {
            return End::Command(command.to_string());
        }
        if let Some(pid) = self.inside.get(&ns) {
            return End::Command(format!("nsenter -t {pid} -m {command}"));
        }
        match self.entrances.get(&ns) {
            Some(Entrance::Descriptor(pid, fd)) => {
                End::Command(format!("nsenter --mount=/proc/{pid}/fd/{fd} {command}"))
            }
            Some(Entrance::File(path)) => End::Command(format!("nsenter --mount={path} {command}")),
            None => End::Not("nothing leads into its mount namespace"),
        }
    }

    /// Whether a mount namespace is the host's.
    pub(super) fn is_host(&self, ns: Inum) -> bool {
        Some(ns) == self.host
    }
}

/// A path as one word of a shell's command line. What a terminal would not show as it is, cannot be one.
pub(super) fn shell_word(path: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    // What begins with a dash would be an option.
    if text.is_empty() || text.starts_with('-') || Words::from_bytes(path).shown() != text {
        return None;
    }
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:,@%=".contains(&byte));
    if is_plain {
        return Some(text.to_string());
    }
    // A backslash is not shown as it is, so that a quote cannot be had in quotes.
    (!text.contains('\'')).then(|| format!("'{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let word = |path: &str| shell_word(path.as_bytes());
        assert_eq!(word("/mnt/data"), Some("/mnt/data".to_string()));
        assert_eq!(word("/mnt/a b"), Some("'/mnt/a b'".to_string()));
        assert_eq!(word("/mnt/$(x)"), Some("'/mnt/$(x)'".to_string()));
        assert_eq!(word("/mnt/ünï"), Some("'/mnt/ünï'".to_string()));
        assert_eq!(word("-rf"), None);
        assert_eq!(word("/mnt/it's"), None);
        assert_eq!(word("/mnt/a\nb"), None);
        assert_eq!(word("/mnt/a\\b"), None);
        assert_eq!(word("/mnt/a\u{202e}b"), None);
        assert_eq!(shell_word(b"/mnt/\xff"), None);
    }
}
