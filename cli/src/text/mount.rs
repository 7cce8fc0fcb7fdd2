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

/// The parts of a list with commas between. One behind a backslash, or in quotes, is no comma of the list.
fn list_parts(list: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut begin = 0;
    let mut is_escaped = false;
    let mut is_quoted = false;
    for (at, byte) in list.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                parts.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[begin..]);
    parts
}

/// What `findmnt` makes of these fields. Bytes are those that the escapes stand for.
impl Mount<'_> {
    /// The options of the mount and of the file system in one list. `rw` or `ro` stands once, at the beginning: `ro` if
    /// one of the two says so.
    pub fn merged_options(&self) -> Vec<u8> {
        let own = Escaped::new(self.options).bytes();
        let of_super = Escaped::new(self.super_options).bytes();
        if self.super_options.is_empty() || own == of_super {
            return own.into_owned();
        }
        let mut is_read_only = false;
        // Each of the two lists has one of these words, and no more than that is taken out.
        let mut left = 2;
        let mut others = Vec::with_capacity(own.len() + of_super.len());
        for part in list_parts(&own).into_iter().chain(list_parts(&of_super)) {
            if left > 0 && matches!(part, b"rw" | b"ro") {
                left -= 1;
                is_read_only |= part == b"ro";
            } else {
                others.push(b',');
                others.extend_from_slice(part);
            }
        }
        let mut options = if is_read_only { b"ro" } else { b"rw" }.to_vec();
        options.append(&mut others);
        options
    }

    /// What was mounted. Where only a directory of it was, that stands behind it in brackets.
    pub fn source_and_root(&self) -> Vec<u8> {
        let mut source = self.source.bytes().into_owned();
        if self.root.raw() != b"/" {
            source.push(b'[');
            source.extend_from_slice(&self.root.bytes());
            source.push(b']');
        }
        source
    }

    /// Who gets what is mounted on it, and from whom it gets: `shared` or `private`, and then `slave`, `unbindable`.
    pub fn propagation(&self) -> &'static str {
        let has = |name: &[u8]| {
            self.optional
                .split(|byte| *byte == b' ')
                .any(|word| word.starts_with(name))
        };
        match (has(b"shared:"), has(b"master:"), has(b"unbindable")) {
            (true, false, false) => "shared",
            (true, false, true) => "shared,unbindable",
            (true, true, false) => "shared,slave",
            (true, true, true) => "shared,slave,unbindable",
            (false, false, false) => "private",
            (false, false, true) => "private,unbindable",
            (false, true, false) => "private,slave",
            (false, true, true) => "private,slave,unbindable",
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(tail: &str) -> Mount<'_> {
        Mount::parse(tail.as_bytes()).unwrap()
    }

    #[test]
    fn options() {
        for (own, of_super, wanted) in [
            ("rw,nosuid,relatime", "rw", "rw,nosuid,relatime"),
            ("rw,relatime", "rw,relatime", "rw,relatime"),
            (
                "ro,relatime",
                "rw,size=64k,mode=755",
                "ro,relatime,size=64k,mode=755",
            ),
            (
                "rw,noexec",
                "ro,errors=remount-ro",
                "ro,noexec,errors=remount-ro",
            ),
            ("ro", "ro", "ro"),
            ("ro", "ro,a", "ro,a"),
            ("rw", "rw,lowerdir=/a\\134,rw:/b", "rw,lowerdir=/a\\,rw:/b"),
            ("rw", "rw,context=\"a,ro\"", "rw,context=\"a,ro\""),
            ("rw", "rw,fsname=a\\040b", "rw,fsname=a b"),
            ("rw", "", "rw"),
        ] {
            let line = format!(" 1 2 root 3 4 0:5 / / {own} - x y {of_super}");
            let options = mount(&line).merged_options();
            assert_eq!(
                String::from_utf8_lossy(&options),
                wanted,
                "{own} {of_super}"
            );
        }
    }

    #[test]
    fn sources() {
        let source = |tail: &str| mount(tail).source_and_root();
        assert_eq!(
            source(" 1 2 root 3 4 8:1 / / rw - ext4 /dev/sda1 rw"),
            b"/dev/sda1"
        );
        assert_eq!(
            source(" 1 2 root 3 4 8:1 /a\\040b /x rw - ext4 /dev/sda1 rw"),
            b"/dev/sda1[/a b]"
        );
        assert_eq!(
            source(" 1 2 root 3 4 0:4 net:[4026532195] /run/netns/x rw - nsfs nsfs rw"),
            b"nsfs[net:[4026532195]]"
        );
    }

    #[test]
    fn propagations() {
        let of = |optional: &str| {
            mount(&format!(" 1 2 root 3 4 8:1 / / rw{optional} - x y z")).propagation()
        };
        assert_eq!(of(""), "private");
        assert_eq!(of(" shared:1"), "shared");
        assert_eq!(of(" master:1 propagate_from:2"), "private,slave");
        assert_eq!(of(" shared:3 master:1"), "shared,slave");
        assert_eq!(of(" unbindable"), "private,unbindable");
    }
}
