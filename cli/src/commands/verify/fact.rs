// SPDX-License-Identifier: GPL-2.0

//! What is compared: objects, and facts about them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Text,
    Process,
    Thread,
    Namespace,
    Mount,
}

impl Kind {
    /// Several of them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Process => "processes",
            Self::Thread => "threads",
            Self::Namespace => "namespaces",
            Self::Mount => "mounts",
        }
    }
}

/// What tells an object apart from all others, those included that get its number after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// The text as a whole.
    Text,
    /// A process: its number, and when it began, in ticks.
    Process(u32, u64),
    /// A thread, in the same way.
    Thread(u32, u64),
    /// A namespace, by its 64-bit id.
    Namespace(u64),
    /// A mount: the inode number of its mount namespace, and its 64-bit id.
    Mount(u32, u64),
}

impl Key {
    pub fn kind(self) -> Kind {
        match self {
            Self::Text => Kind::Text,
            Self::Process(..) => Kind::Process,
            Self::Thread(..) => Kind::Thread,
            Self::Namespace(_) => Kind::Namespace,
            Self::Mount(..) => Kind::Mount,
        }
    }
}

/// What a field of the text should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// These bytes.
    Is(Vec<u8>),
    /// No such field.
    Absent,
    /// A thread of the kernel that procfs calls so: it has longer names for them, and says what a worker works at.
    KernelName(Vec<u8>),
    /// This letter. A task that was switched as often as before did not change its state.
    State(u8, (u64, u64)),
    /// A time in nanoseconds that is within this tick.
    Tick(u64),
    /// Any number above that.
    Above(u64),
    /// A mount that no line of mountinfo shows.
    Outside,
    /// Nobody tells: why.
    Not(&'static str),
}

/// Nanoseconds of a tick of procfs.
pub(super) const TICK: u64 = 10_000_000;

/// The longest name that the kernel keeps of a task.
const COMM: usize = 15;

impl Want {
    pub fn number(number: impl Into<u64>) -> Self {
        Self::Is(number.into().to_string().into_bytes())
    }

    /// A number, or the sign for none.
    pub fn optional(number: Option<u32>) -> Self {
        number.map_or_else(|| Self::Is(b"-".to_vec()), Self::number)
    }

    /// Whether two looks saw the same.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::KernelName(one), Self::KernelName(other)) => base(one) == base(other),
            _ => self == other,
        }
    }

    /// Whether a field of the text is as it should be.
    pub fn is_met_by(&self, got: Option<&[u8]>) -> bool {
        let Some(got) = got else {
            return matches!(self, Self::Absent);
        };
        let number = || std::str::from_utf8(got).ok()?.parse::<u64>().ok();
        match self {
            Self::Is(wanted) => got == wanted,
            Self::Absent | Self::Not(_) => false,
            Self::KernelName(name) => {
                name.starts_with(got)
                    && (got.len() == COMM
                        || matches!(name.get(got.len()), None | Some(b'+' | b'-')))
            }
            Self::State(letter, _) => got == [*letter],
            Self::Tick(tick) => number().is_some_and(|number| number / TICK == *tick),
            Self::Above(least) => number().is_some_and(|number| number > *least),
            Self::Outside => got == b"outside",
        }
    }

    /// What it wants, in words.
    pub fn shown(&self) -> String {
        match self {
            Self::Is(bytes) | Self::KernelName(bytes) => shown(Some(bytes)),
            Self::Absent => "absent".to_string(),
            Self::State(letter, _) => char::from(*letter).to_string(),
            Self::Tick(tick) => format!("from {} to {}", tick * TICK, tick * TICK + TICK - 1),
            Self::Above(least) => format!("above {least}"),
            Self::Outside => "outside".to_string(),
            Self::Not(why) => (*why).to_string(),
        }
    }
}

/// The part of a kernel thread's name that does not change while it works.
fn base(name: &[u8]) -> &[u8] {
    if !name.starts_with(b"kworker/") || name.starts_with(b"kworker/R-") {
        return name;
    }
    let end = name.iter().position(|byte| matches!(byte, b'+' | b'-'));
    &name[..end.unwrap_or(name.len())]
}

/// Bytes for people: what is not visible ASCII never reaches a terminal.
pub(super) fn shown(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "absent".to_string(),
        Some(b"") => "empty".to_string(),
        Some(bytes) => bytes
            .iter()
            .map(|byte| match byte {
                0x20..=0x7E => char::from(*byte).to_string(),
                _ => format!("\\{byte:03o}"),
            })
            .collect(),
    }
}

/// Something about an object.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// The key in the text, or a word for it.
    pub name: &'static str,
    /// Who says so.
    pub source: &'static str,
    pub want: Want,
}

/// An object, as this machine shows it without the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    /// What to call it.
    pub label: String,
    pub facts: Vec<Fact>,
}

impl Object {
    pub fn new(label: String) -> Self {
        Self {
            label,
            facts: Vec::new(),
        }
    }

    pub fn add(&mut self, name: &'static str, source: &'static str, want: Want) {
        self.facts.push(Fact { name, source, want });
    }
}

/// All that one look at this machine saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// When it was begun, in nanoseconds since boot.
    pub began: u64,
    pub objects: BTreeMap<Key, Object>,
    /// Who is in a namespace, by its inode number: process and tick.
    pub members: HashMap<u32, BTreeSet<(u32, u64)>>,
    /// The ids of all namespaces that `listns()` lists.
    pub listed: Option<BTreeSet<u64>>,
    /// Of each mount namespace that could be listed, by its inode number.
    pub lists: BTreeMap<u32, MountList>,
    /// What could not be looked at, and how many of it.
    pub gaps: BTreeMap<&'static str, u64>,
}

/// Which mounts a mount namespace has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MountList {
    /// The id of the namespace.
    pub id: u64,
    /// The 64-bit ids of all its mounts.
    pub all: BTreeSet<u64>,
    /// Those of the lines of mountinfo, in their order.
    pub lines: Option<Vec<u64>>,
}

impl Machine {
    pub fn gap(&mut self, why: &'static str) {
        *self.gaps.entry(why).or_default() += 1;
    }
}

fn octal(byte: u8) -> [u8; 4] {
    [
        b'\\',
        b'0' + (byte >> 6),
        b'0' + (byte >> 3 & 7),
        b'0' + (byte & 7),
    ]
}

fn escaped(bytes: &[u8], is_plain: impl Fn(u8) -> bool) -> Vec<u8> {
    bytes.iter().fold(Vec::new(), |mut out, byte| {
        if is_plain(*byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(&octal(*byte));
        }
        out
    })
}

/// A string as docs/format.md has it.
pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    if bytes == b"-" {
        return octal(b'-').to_vec();
    }
    escaped(bytes, |byte| {
        byte.is_ascii_graphic() && !b"\\,@#=".contains(&byte)
    })
}

/// A path as docs/format.md has it.
pub(super) fn path(bytes: &[u8]) -> Vec<u8> {
    escaped(bytes, |byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// A name as mountinfo has it.
pub(super) fn mangled(bytes: &[u8]) -> Vec<u8> {
    escaped(bytes, |byte| !b" \t\n\\".contains(&byte))
}

/// What `mangled` was made of.
pub(super) fn unmangled(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 4).filter(|digits| {
            bytes[at] == b'\\' && digits.iter().all(|one| (b'0'..=b'7').contains(one))
        });
        match digits {
            Some(digits) => {
                let value = digits
                    .iter()
                    .fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                out.push((value & 0xFF) as u8);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wants() {
        assert!(Want::number(7u32).is_met_by(Some(b"7")));
        assert!(!Want::number(7u32).is_met_by(None));
        assert!(Want::Absent.is_met_by(None));
        assert!(!Want::Absent.is_met_by(Some(b"1")));
        assert!(Want::optional(None).is_met_by(Some(b"-")));
        assert!(Want::Tick(12).is_met_by(Some(b"129999999")));
        assert!(!Want::Tick(12).is_met_by(Some(b"130000000")));
        assert!(Want::Above(1).is_met_by(Some(b"2")));
        assert!(!Want::Above(1).is_met_by(Some(b"-")));
        assert!(Want::State(b'S', (1, 2)).is_met_by(Some(b"S")));
    }

    #[test]
    fn names_of_kernel_threads() {
        let want = Want::KernelName(b"kworker/0:1-events".to_vec());
        assert!(want.is_met_by(Some(b"kworker/0:1")));
        assert!(!want.is_met_by(Some(b"kworker/0:")));
        assert!(!want.is_met_by(Some(b"kworker/0:2")));
        assert!(want.is_same(&Want::KernelName(b"kworker/0:1+mm".to_vec())));
        assert!(!want.is_same(&Want::KernelName(b"kworker/0:2+mm".to_vec())));
        assert!(Want::KernelName(b"a name that is too long".to_vec())
            .is_met_by(Some(b"a name that is ")));
    }

    #[test]
    fn escapes() {
        assert_eq!(string(b"a b@"), b"a\\040b\\100");
        assert_eq!(string(b"-"), b"\\055");
        assert_eq!(path(b"/a@ \xff"), b"/a@\\040\\377");
        assert_eq!(unmangled(&mangled(b"/a b\\\n\xff")), b"/a b\\\n\xff");
        assert_eq!(unmangled(b"\\04"), b"\\04");
        assert_eq!(shown(Some(b"a\x1b")), "a\\033");
    }
}
