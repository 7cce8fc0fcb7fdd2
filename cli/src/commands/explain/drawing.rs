// SPDX-License-Identifier: GPL-2.0

//! What is drawn: structures of the kernel with their fields, and which field leads to which structure.
//!
//! The terminal's tree, the graph for Graphviz and the picture all draw this and nothing else, so that they cannot
//! differ in what they say. Words that somebody else chose come in through [`Words`] alone: see [`Shown`].

use crate::output::{Mark, Words};
use crate::text::{Caps, Device, Escaped, Inum};

/// A structure of the kernel, and the header that declares it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Structure {
    pub(super) name: &'static str,
    pub(super) header: &'static str,
}

macro_rules! structures {
    ($($const:ident = $name:literal, $header:literal;)*) => {
        $(pub(super) static $const: Structure = Structure { name: $name, header: $header };)*
    };
}

// As Linux 7.2 and 7.3 have them.
structures! {
    TASK_STRUCT = "task_struct", "include/linux/sched.h";
    SIGNAL_STRUCT = "signal_struct", "include/linux/sched/signal.h";
    PID = "pid", "include/linux/pid.h";
    CRED = "cred", "include/linux/cred.h";
    FS_STRUCT = "fs_struct", "include/linux/fs_struct.h";
    NSPROXY = "nsproxy", "include/linux/nsproxy.h";
    CSS_SET = "css_set", "include/linux/cgroup-defs.h";
    CGROUP = "cgroup", "include/linux/cgroup-defs.h";
    MOUNT = "mount", "fs/mount.h";
    NS_COMMON = "ns_common", "include/linux/ns/ns_common_types.h";
    PID_NAMESPACE = "pid_namespace", "include/linux/pid_namespace.h";
    USER_NAMESPACE = "user_namespace", "include/linux/user_namespace.h";
    MNT_NAMESPACE = "mnt_namespace", "fs/mount.h";
    UTS_NAMESPACE = "uts_namespace", "include/linux/uts_namespace.h";
    IPC_NAMESPACE = "ipc_namespace", "include/linux/ipc_namespace.h";
    NET = "net", "include/net/net_namespace.h";
    CGROUP_NAMESPACE = "cgroup_namespace", "include/linux/cgroup_namespace.h";
    TIME_NAMESPACE = "time_namespace", "include/linux/time_namespace.h";
}

/// Text that is safe to show: the program's own words, numbers, and [`Words`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown(String);

impl Shown {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Adds a piece at the end.
    #[must_use]
    pub(super) fn and(mut self, piece: impl Into<Self>) -> Self {
        self.0.push_str(&piece.into().0);
        self
    }

    /// Joins pieces with commas.
    pub(super) fn list(pieces: impl IntoIterator<Item = Self>) -> Self {
        let pieces: Vec<String> = pieces.into_iter().map(|one| one.0).collect();
        Self(pieces.join(", "))
    }
}

/// Makes a [`Shown`] of pieces.
macro_rules! shown {
    ($($piece:expr),+ $(,)?) => {
        crate::commands::explain::drawing::Shown::default()$(.and($piece))+
    };
}
pub(super) use shown;

impl From<&'static str> for Shown {
    fn from(words: &'static str) -> Self {
        Self(words.to_string())
    }
}

impl From<Words<'_>> for Shown {
    fn from(words: Words<'_>) -> Self {
        Self(match words.shown() {
            // As in tables, a dash of its own would be taken for nothing.
            _ if words.is_dash() => "\\055".to_string(),
            "" => "\"\"".to_string(),
            shown => shown.to_string(),
        })
    }
}

impl From<Escaped<'_>> for Shown {
    fn from(text: Escaped<'_>) -> Self {
        Words::from_escaped(text).into()
    }
}

impl From<Caps> for Shown {
    fn from(caps: Caps) -> Self {
        Self(format!("{:016x}", caps.0))
    }
}

macro_rules! from_number {
    ($($type:ty),*) => {$(
        impl From<$type> for Shown {
            fn from(number: $type) -> Self {
                Self(number.to_string())
            }
        }
    )*};
}
from_number!(u32, u64, i64, usize, Inum, Device);

/// What there is not is a dash.
impl<T: Into<Shown>> From<Option<T>> for Shown {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Self("-".to_string()), Into::into)
    }
}

/// Nanoseconds, and the same in seconds.
pub(super) fn time(nanoseconds: u64) -> Shown {
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    Shown(format!(
        "{nanoseconds} ({seconds}.{:03} s)",
        rest / 1_000_000
    ))
}

/// How a field leads to a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It points there.
    To,
    /// The structure stands in the field itself.
    Holds,
    /// A field of the other structure points here.
    From,
}

/// Where a field leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The structure, by where it stands among the nodes.
    pub(super) to: usize,
    pub(super) way: Way,
    /// What of the field leads there, where that is a part of it: `.ns`
    pub(super) part: &'static str,
}

/// A line of a structure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The field; of a remark what it is about.
    pub(super) name: Shown,
    /// What it has; nothing where it only leads somewhere.
    pub(super) value: Option<Shown>,
    /// It is no field of the kernel.
    pub(super) is_remark: bool,
    pub(super) mark: Mark,
    /// Where the text has it.
    pub(super) key: &'static str,
    pub(super) link: Option<Link>,
}

impl Row {
    /// A field with a value.
    pub(super) fn field(name: impl Into<Shown>, value: impl Into<Shown>) -> Self {
        Self {
            name: name.into(),
            value: Some(value.into()),
            is_remark: false,
            mark: Mark::Plain,
            key: "",
            link: None,
        }
    }

    /// What the text says besides, or the program has found.
    pub(super) fn remark(about: impl Into<Shown>, value: impl Into<Shown>) -> Self {
        Self {
            is_remark: true,
            mark: Mark::Dim,
            ..Self::field(about, value)
        }
    }

    /// A field that leads to a structure.
    pub(super) fn link(name: impl Into<Shown>, way: Way, to: usize) -> Self {
        Self {
            value: None,
            link: Some(Link { to, way, part: "" }),
            ..Self::field(name, "")
        }
    }

    /// A field of which a part leads to a structure.
    #[must_use]
    pub(super) fn leading(mut self, part: &'static str, to: usize) -> Self {
        self.link = Some(Link {
            to,
            way: Way::To,
            part,
        });
        self
    }

    #[must_use]
    pub(super) fn key(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    #[must_use]
    pub(super) fn mark(mut self, mark: Mark) -> Self {
        self.mark = mark;
        self
    }

    /// The name of the arrow that begins here.
    pub(super) fn arrow(&self) -> String {
        let part = self.link.as_ref().map_or("", |link| link.part);
        format!("{}{part}", self.name.as_str())
    }
}

/// Which column of the picture a structure stands in, from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    First,
    Second,
    Third,
    Fourth,
}

impl Column {
    pub(super) const ALL: [Self; 4] = [Self::First, Self::Second, Self::Third, Self::Fourth];
}

/// A structure with its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) structure: &'static Structure,
    /// What tells it from others of its kind.
    pub(super) id: Shown,
    pub(super) column: Column,
    pub(super) rows: Vec<Row>,
}

/// Structures, and how they hang together. Each can be reached from the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Drawing {
    pub(super) title: Shown,
    pub(super) nodes: Vec<Node>,
    /// What is said below it, in lines.
    pub(super) notes: Vec<Shown>,
}

impl Drawing {
    /// Adds a structure without rows, and gives its place.
    pub(super) fn add(
        &mut self,
        structure: &'static Structure,
        id: impl Into<Shown>,
        column: Column,
    ) -> usize {
        self.nodes.push(Node {
            structure,
            id: id.into(),
            column,
            rows: Vec::new(),
        });
        self.nodes.len() - 1
    }

    /// Adds a row to a structure.
    pub(super) fn row(&mut self, node: usize, row: Row) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.rows.push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_harmless() {
        let comm = Escaped::new(b"a\\033[31m<b>\\012");
        assert_eq!(shown![comm].as_str(), "a\\033[31m<b>\\012");
        assert_eq!(shown![Escaped::new(b"")].as_str(), "\"\"");
        assert_eq!(shown![Escaped::new(b"\\055")].as_str(), "\\055");
        assert_eq!(shown![None::<u32>].as_str(), "-");
    }

    #[test]
    fn times() {
        assert_eq!(time(4_069_309_312).as_str(), "4069309312 (4.069 s)");
    }
}
