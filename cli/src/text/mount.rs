// SPDX-License-Identifier: GPL-2.0

//! The record `mount`: a namespace, an id, words, and a line of `/proc/PID/mountinfo`.

use std::borrow::Cow;

use super::field::Cursor;
use super::{Device, Escaped, Inum};

/// A mount. The fields from `mnt_id` on are those of `mountinfo`, with that file's escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'t> {
    /// The mount namespace that it is in.
    pub ns: Inum,
    /// Its 64-bit id, which is never used again (`STATX_MNT_ID_UNIQUE`).
    pub id: u64,
    /// Who can reach it, and more words, with commas between.
    pub words: &'t [u8],
    /// The id that `mountinfo` shows, which is used again.
    pub mnt_id: u32,
    /// That of the mount that it is on.
    pub parent: u32,
    /// The device of its file system.
    pub device: Device,
    /// Which directory of the file system it shows.
    pub root: Escaped<'t>,
    /// Where it is, as seen from the root of its namespace.
    pub point: Escaped<'t>,
    /// The options of the mount.
    pub options: &'t [u8],
    /// The optional fields, with blanks between: `shared:1 master:2`; without the closing `-`.
    pub optional: &'t [u8],
    /// The type of the file system.
    pub fstype: Escaped<'t>,
    /// What was mounted: a device, or any name.
    pub source: Escaped<'t>,
    /// The options of the file system.
    pub super_options: &'t [u8],
    /// Of a mount whose directory and options would not fit: the mark stands for both, and all is in here.
    cut: bool,
}

impl<'t> Mount<'t> {
    pub(crate) fn parse(line: &'t [u8]) -> Result<Self, &'static str> {
        const BAD: &str = "a record mount is not as the format has it";
        let mut cursor = Cursor::new(line);
        let ns = cursor.positional().ok_or(BAD)?;
        let id = cursor.positional().ok_or(BAD)?;
        let words = cursor.positional::<Escaped<'_>>().ok_or(BAD)?.raw();
        let mnt_id = cursor.positional().ok_or(BAD)?;
        let parent = cursor.positional().ok_or(BAD)?;
        let device = cursor.positional::<Escaped<'_>>().ok_or(BAD)?.raw();
        let device = Device::from_bytes(device).ok_or("a mount has no valid device")?;
        let root = cursor.positional().ok_or(BAD)?;
        let point = cursor.positional().ok_or(BAD)?;
        let options = cursor.positional::<Escaped<'_>>().ok_or(BAD)?.raw();
        let tail = cursor.rest();
        // The optional fields end at the first word that is a single dash.
        let (optional, after) = match tail {
            [b' ', b'-', b' ', after @ ..] => (&tail[..0], after),
            _ => {
                let at = memchr::memmem::find(tail, b" - ")
                    .ok_or("a mount has no dash after its options")?;
                (tail.get(1..at).ok_or(BAD)?, &tail[at + 3..])
            }
        };
        let mut rest = after.splitn(3, |byte| *byte == b' ');
        let (Some(fstype), Some(source)) = (rest.next(), rest.next()) else {
            return Err("a mount has no type or source");
        };
        let super_options = rest.next();
        Ok(Self {
            ns,
            id,
            words,
            mnt_id,
            parent,
            device,
            root,
            point,
            options,
            optional,
            fstype: Escaped::new(fstype),
            source: Escaped::new(source),
            super_options: super_options.unwrap_or_default(),
            cut: super_options.is_none(),
        })
    }

    /// Whether one of its words is this one: `root`, `over`, `covered`, `outside`, `locked`, `copy`.
    pub fn has(&self, word: &str) -> bool {
        self.words
            .split(|byte| *byte == b',')
            .any(|one| one == word.as_bytes())
    }

    /// Who can reach it: `root`, `over`, `covered` or `outside`.
    pub fn reach(&self) -> &'t [u8] {
        self.words
            .split(|byte| *byte == b',')
            .next()
            .unwrap_or_default()
    }

    /// The number behind an optional field: `shared`, `master`, `propagate_from`.
    pub fn peer_group(&self, name: &str) -> Option<u64> {
        self.optional.split(|byte| *byte == b' ').find_map(|word| {
            let value = word.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
            std::str::from_utf8(value).ok()?.parse().ok()
        })
    }

    /// The value of an option of the file system, as `lowerdir=` of an overlay.
    pub fn super_option(&self, name: &str) -> Option<Cow<'t, [u8]>> {
        self.super_options
            .split(|byte| *byte == b',')
            .find_map(|one| one.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            .map(|value| Escaped::new(value).bytes())
    }
}

impl Mount<'_> {
    /// The record as it stands in a text, without the newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut line = format!("mount {} {} ", self.ns, self.id).into_bytes();
        line.extend_from_slice(self.words);
        line.extend_from_slice(
            format!(" {} {} {}", self.mnt_id, self.parent, self.device).as_bytes(),
        );
        let mut fields = vec![self.root.raw(), self.point.raw(), self.options];
        if !self.optional.is_empty() {
            fields.push(self.optional);
        }
        fields.extend([b"-", self.fstype.raw(), self.source.raw()]);
        if !self.cut {
            fields.push(self.super_options);
        }
        for field in fields {
            line.push(b' ');
            line.extend_from_slice(field);
        }
        line
    }
}
