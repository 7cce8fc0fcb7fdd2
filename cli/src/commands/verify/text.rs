// SPDX-License-Identifier: GPL-2.0

//! A reader of the module's text that is as small as it can be: lines, blanks, and `key=value`.

use std::collections::BTreeMap;

use super::fact::TICK;

/// A line, in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Record<'t> {
    line: &'t [u8],
    words: Vec<&'t [u8]>,
}

impl<'t> Record<'t> {
    fn new(line: &'t [u8]) -> Self {
        Self {
            line,
            words: line.split(|byte| *byte == b' ').collect(),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&'t [u8]> {
        self.words
            .iter()
            .find_map(|word| word.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
    }

    /// All keys with their values.
    #[cfg(test)]
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &'t [u8])> + '_ {
        self.words.iter().filter_map(|word| {
            let at = word.iter().position(|byte| *byte == b'=')?;
            // Names of facts live as long as the program does.
            let name = String::from_utf8_lossy(&word[..at]).into_owned().leak();
            Some((&*name, &word[at + 1..]))
        })
    }

    /// A field by its number, from 1.
    pub fn field(&self, number: usize) -> Option<&'t [u8]> {
        self.words.get(number.checked_sub(1)?).copied()
    }

    /// A number in a field.
    fn number(&self, field: usize) -> Option<u64> {
        number(self.field(field)?)
    }

    /// Of a task: the tick in which it began.
    pub fn tick(&self) -> Option<u64> {
        Some(number(self.get("start")?)? / TICK)
    }

    /// A value of a mount. Behind the third field stands a line of mountinfo.
    pub fn of_mount(&self, name: &str) -> Option<Vec<u8>> {
        let dash = self.words.iter().skip(10).position(|word| *word == b"-")? + 10;
        let optional = self.words.get(10..dash)?;
        let tag = |name: &[u8]| {
            optional
                .iter()
                .find_map(|word| word.strip_prefix(name))
                .unwrap_or(b"0")
                .to_vec()
        };
        let words = || self.field(4).map(|words| words.split(|byte| *byte == b','));
        match name {
            "reach" => Some(words()?.next()?.to_vec()),
            "line" => {
                // The words that stand before it are as long as this.
                let before: usize = self.words.get(..4)?.iter().map(|word| word.len() + 1).sum();
                self.line.get(before..).map(<[u8]>::to_vec)
            }
            "mnt_id" => self.field(5).map(<[u8]>::to_vec),
            "parent" => self.field(6).map(<[u8]>::to_vec),
            "device" => self.field(7).map(<[u8]>::to_vec),
            "directory" => self.field(8).map(<[u8]>::to_vec),
            "point" => self.field(9).map(<[u8]>::to_vec),
            "options" => self.field(10).map(<[u8]>::to_vec),
            "shared" => Some(tag(b"shared:")),
            "master" => Some(tag(b"master:")),
            "type" => {
                let fs_type = self.words.get(dash + 1)?;
                Some(fs_type.split(|byte| *byte == b'.').next()?.to_vec())
            }
            "source" => self.words.get(dash + 2).map(|word| word.to_vec()),
            "options of the file system" => {
                Some(self.words.get(dash + 3..)?.join(&b' ')).filter(|words| !words.is_empty())
            }
            _ => None,
        }
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// The records of a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Text<'t> {
    /// The first line, and the last one.
    pub first: Record<'t>,
    pub end: Record<'t>,
    /// By their numbers.
    pub processes: BTreeMap<u32, Record<'t>>,
    pub threads: BTreeMap<u32, Record<'t>>,
    /// By their 64-bit ids.
    pub namespaces: BTreeMap<u64, Record<'t>>,
    /// By namespace and 64-bit id.
    pub mounts: BTreeMap<(u32, u64), Record<'t>>,
    /// The ids of the mounts of each namespace that are in mountinfo, in the order of the text.
    pub seen: BTreeMap<u32, Vec<u64>>,
    /// How many records of each kind there are, and how many of them are like another one.
    pub counts: BTreeMap<&'static str, u64>,
    pub twice: u64,
}

impl<'t> Text<'t> {
    /// Reads it; `None` if it is not whole.
    pub fn read(bytes: &'t [u8]) -> Option<Self> {
        let mut lines = bytes.strip_suffix(b"\n")?.split(|byte| *byte == b'\n');
        let mut text = Self {
            first: Record::new(lines.next()?),
            ..Self::default()
        };
        if !text.first.line.starts_with(b"nsinspect 1 ") {
            return None;
        }
        let mut last = None;
        for line in lines {
            if let Some(line) = last.replace(line) {
                text.take(Record::new(line))?;
            }
        }
        text.end = Record::new(last?);
        (text.end.field(1)? == b"end").then_some(text)
    }

    fn take(&mut self, record: Record<'t>) -> Option<()> {
        let small = |field: usize| u32::try_from(record.number(field)?).ok();
        let (kind, before) = match record.field(1)? {
            b"task" => ("tasks", self.processes.insert(small(2)?, record)),
            b"thread" => ("threads", self.threads.insert(small(2)?, record)),
            b"ns" => {
                let id = number(record.get("id")?)?;
                ("ns", self.namespaces.insert(id, record))
            }
            b"mount" => {
                let (ns, id) = (small(2)?, record.number(3)?);
                if record.of_mount("reach")? != b"outside" {
                    self.seen.entry(ns).or_default().push(id);
                }
                ("mounts", self.mounts.insert((ns, id), record))
            }
            b"hold" => ("holds", None),
            _ => return Some(()),
        };
        *self.counts.entry(kind).or_default() += 1;
        self.twice += u64::from(before.is_some());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_text() {
        let text = b"nsinspect 1 release=7 uptime=9\nns pid 5 id=4 owner=-\ntask 1 comm=a start=25000000\n\
            mount 5 77 root,locked 2 1 0:24 / /a\\040b ro shared:3 master:4 - fuse.x  rw,a b\nnew 1\nend ns=1 tasks=1 mounts=1\n";
        let text = Text::read(text).expect("whole");
        assert_eq!(text.first.get("release"), Some(&b"7"[..]));
        assert_eq!(text.end.get("tasks"), Some(&b"1"[..]));
        assert_eq!(text.namespaces[&4].field(3), Some(&b"5"[..]));
        assert_eq!(text.processes[&1].tick(), Some(2));
        let mount = &text.mounts[&(5, 77)];
        for (name, value) in [
            ("reach", "root"),
            (
                "line",
                "2 1 0:24 / /a\\040b ro shared:3 master:4 - fuse.x  rw,a b",
            ),
            ("mnt_id", "2"),
            ("parent", "1"),
            ("device", "0:24"),
            ("directory", "/"),
            ("point", "/a\\040b"),
            ("options", "ro"),
            ("shared", "3"),
            ("master", "4"),
            ("type", "fuse"),
            ("source", ""),
            ("options of the file system", "rw,a b"),
        ] {
            assert_eq!(
                mount.of_mount(name).as_deref(),
                Some(value.as_bytes()),
                "{name}"
            );
        }
        assert_eq!(text.seen[&5], [77]);
        assert_eq!((text.counts["mounts"], text.twice), (1, 0));
    }

    #[test]
    fn texts_that_are_not_whole() {
        for text in [
            "",
            "nsinspect 1 a\n",
            "nsinspect 1 a\nend",
            "nsinspect 2 a\nend\n",
            "nsinspect 1 a\ntask 1\n",
            "nsinspect 1 a\ntask x\nend\n",
        ] {
            assert!(Text::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
