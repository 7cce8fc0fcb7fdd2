// SPDX-License-Identifier: GPL-2.0

//! The values of format 1: how each is read from the bytes of a line, and how it is printed back.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::{Inum, NsType};

/// A value for columns and JSON, apart from the type that it has in the record.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'t> {
    /// There is none.
    Absent,
    /// A number.
    Number(i128),
    /// Yes or no; in the text 1 or 0.
    Flag(bool),
    /// A string, with the escapes of the text.
    Text(Escaped<'t>),
    /// A string that this program has made.
    Made(String),
    /// A list.
    List(Vec<Value<'t>>),
}

/// A place in a line. It stands at a blank, or at the end.
pub(crate) struct Cursor<'t> {
    rest: &'t [u8],
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(line: &'t [u8]) -> Self {
        Self { rest: line }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes a blank and a field without a key.
    #[inline]
    pub(crate) fn positional<T: Field<'t>>(&mut self) -> Option<T> {
        self.rest = self.rest.strip_prefix(b" ")?;
        self.value()
    }

    /// Takes a blank, the key and its `=`, if they come next.
    #[inline(always)]
    pub(crate) fn at_key(&mut self, key: &[u8]) -> bool {
        match self.rest.strip_prefix(key) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a value, up to the next blank.
    #[inline(always)]
    pub(crate) fn value<T: Field<'t>>(&mut self) -> Option<T> {
        let value = T::take(self)?;
        matches!(self.rest.first(), None | Some(b' ')).then_some(value)
    }

    /// Takes all bytes up to the next blank.
    #[inline(always)]
    pub(crate) fn word(&mut self) -> &'t [u8] {
        let (word, rest) = self
            .rest
            .split_at(memchr::memchr(b' ', self.rest).unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    /// Passes over a field.
    pub(crate) fn skip(&mut self) -> Result<(), &'static str> {
        self.rest = self
            .rest
            .strip_prefix(b" ")
            .ok_or("a field does not end in a blank")?;
        if self.word().is_empty() {
            return Err("two blanks in a row, or one at the end");
        }
        Ok(())
    }

    /// What was not yet taken.
    pub(crate) fn rest(&self) -> &'t [u8] {
        self.rest
    }
}

/// What can stand in a field.
pub trait Field<'t>: Sized {
    /// Reads it from a line, up to where it ends.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self>;
    /// Prints it as it stands in the text.
    fn print(&self, out: &mut Vec<u8>);
    /// The same for columns.
    fn to_value(&self) -> Value<'t>;
}

/// Reads a decimal number that is all there is.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    let (value, length) = digits(bytes)?;
    (length == bytes.len()).then_some(value)
}

/// Reads the digits at the beginning: the number, and how many there are. None if there are none, or too many.
#[inline(always)]
fn digits(bytes: &[u8]) -> Option<(u64, usize)> {
    let (mut value, mut length) = match bytes.first_chunk() {
        Some(first) => eight_digits(*first),
        None => (0, 0),
    };
    // Less than eight ended before a byte that is none.
    if bytes.len() >= 8 && length < 8 {
        return (length != 0).then_some((value, length));
    }
    for byte in &bytes[length..] {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        length += 1;
        // 19 digits always fit.
        if length < 20 {
            value = value * 10 + u64::from(digit);
        } else {
            value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
        }
    }
    (length != 0).then_some((value, length))
}

/// Reads the digits at the beginning of eight bytes at once: the number, and how many there are.
#[inline(always)]
fn eight_digits(bytes: [u8; 8]) -> (u64, usize) {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    // The first byte is the lowest. One that was a digit is now 0 to 9.
    let word = u64::from_le_bytes(bytes) ^ ZEROS;
    // The highest bit of a byte is set if that is over 9. What a sum carries goes into bytes behind the first such.
    let over = (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080;
    let length = over.trailing_zeros() / 8;
    // The digits come last, behind zeros.
    let word = word.checked_shl(64 - 8 * length).unwrap_or(0);
    // Neighbours become one number: of two, of four, of eight digits.
    let word = word.wrapping_mul(10 * 256 + 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let word = word.wrapping_mul((100 << 16) + 1) >> 16 & 0x0000_ffff_0000_ffff;
    let word = word.wrapping_mul((10_000 << 32) + 1) >> 32;
    (word, length as usize)
}

impl<'t> Field<'t> for u64 {
    #[inline(always)]
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        let (value, length) = digits(cursor.rest)?;
        cursor.rest = &cursor.rest[length..];
        Some(value)
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }

    fn to_value(&self) -> Value<'t> {
        Value::Number((*self).into())
    }
}

impl<'t> Field<'t> for u32 {
    #[inline(always)]
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        u64::take(cursor)?.try_into().ok()
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }

    fn to_value(&self) -> Value<'t> {
        Value::Number((*self).into())
    }
}

impl<'t> Field<'t> for i64 {
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        let negative = cursor.rest.first() == Some(&b'-');
        if negative {
            cursor.rest = &cursor.rest[1..];
        }
        let value = i128::from(u64::take(cursor)?);
        (if negative { -value } else { value }).try_into().ok()
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }

    fn to_value(&self) -> Value<'t> {
        Value::Number((*self).into())
    }
}

impl<'t> Field<'t> for bool {
    #[inline(always)]
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        let value = match cursor.rest.first() {
            Some(b'0') => false,
            Some(b'1') => true,
            _ => return None,
        };
        cursor.rest = &cursor.rest[1..];
        Some(value)
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.push(if *self { b'1' } else { b'0' });
    }

    fn to_value(&self) -> Value<'t> {
        Value::Flag(*self)
    }
}

impl<'t> Field<'t> for Inum {
    #[inline(always)]
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        NonZeroU32::new(u32::take(cursor)?).map(Inum)
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }

    fn to_value(&self) -> Value<'t> {
        Value::Number(self.get().into())
    }
}

impl<'t> Field<'t> for NsType {
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        Self::from_name(cursor.word())
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name().as_bytes());
    }

    fn to_value(&self) -> Value<'t> {
        Value::Made(self.name().to_string())
    }
}

/// `-` is none. A negative number is a value all the same.
impl<'t, T: Field<'t>> Field<'t> for Option<T> {
    #[inline(always)]
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        match cursor.rest {
            [b'-'] | [b'-', b' ', ..] => {
                cursor.rest = &cursor.rest[1..];
                Some(None)
            }
            _ => T::take(cursor).map(Some),
        }
    }

    fn print(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.print(out),
            None => out.push(b'-'),
        }
    }

    fn to_value(&self) -> Value<'t> {
        self.as_ref().map_or(Value::Absent, Field::to_value)
    }
}

/// A string with the escapes of the text: a backslash and three octal digits stand for a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Escaped<'t>(&'t [u8]);

impl<'t> Escaped<'t> {
    /// Takes bytes as they stand in a text.
    pub const fn new(raw: &'t [u8]) -> Self {
        Self(raw)
    }

    /// The bytes as they stand in the text.
    pub const fn raw(self) -> &'t [u8] {
        self.0
    }

    /// Whether it had to be cut: it ends in the mark `\~`.
    pub fn is_cut(self) -> bool {
        self.0.ends_with(b"\\~")
    }

    /// Whether what it names was removed: it ends in `//deleted`.
    pub fn is_deleted(self) -> bool {
        self.0.ends_with(b"//deleted")
    }

    /// The bytes that it stands for, without the mark of a cut.
    pub fn bytes(self) -> Cow<'t, [u8]> {
        let raw = self.0.strip_suffix(b"\\~").unwrap_or(self.0);
        let Some(first) = memchr::memchr(b'\\', raw) else {
            return Cow::Borrowed(raw);
        };
        let mut bytes = Vec::with_capacity(raw.len());
        bytes.extend_from_slice(&raw[..first]);
        let mut rest = &raw[first..];
        while let Some((&byte, after)) = rest.split_first() {
            match (byte, after) {
                (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                    bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                    rest = after;
                }
                _ => {
                    bytes.push(byte);
                    rest = after;
                }
            }
        }
        Cow::Owned(bytes)
    }
}

impl<'t> Field<'t> for Escaped<'t> {
    #[inline(always)]
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        Some(Self(cursor.word()))
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    fn to_value(&self) -> Value<'t> {
        Value::Text(*self)
    }
}

/// Capabilities: 16 hexadecimal digits, as in `CapEff`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Caps(pub u64);

/// What each byte is as a hexadecimal digit; 255 is none.
const HEXADECIMAL: [u8; 256] = {
    let mut values = [255; 256];
    let digits = b"0123456789abcdef";
    let mut at = 0;
    while at < digits.len() {
        values[digits[at] as usize] = at as u8;
        at += 1;
    }
    values
};

impl<'t> Field<'t> for Caps {
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        let digits: &[u8; 16] = cursor.rest.first_chunk()?;
        let mut value = 0u64;
        let mut all = 0;
        for digit in digits {
            let digit = HEXADECIMAL[usize::from(*digit)];
            all |= digit;
            value = (value << 4) | u64::from(digit & 15);
        }
        if all > 15 {
            return None;
        }
        cursor.rest = &cursor.rest[16..];
        Some(Self(value))
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{:016x}", self.0).as_bytes());
    }

    fn to_value(&self) -> Value<'t> {
        Value::Made(format!("{:016x}", self.0))
    }
}

/// Numbers with commas between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NumberList<'t>(&'t [u8]);

impl<'t> NumberList<'t> {
    /// The numbers. The mark of a list that was cut is none of them.
    pub fn iter(self) -> impl Iterator<Item = u32> + 't {
        self.0
            .split(|byte| *byte == b',')
            .filter_map(|part| number(part)?.try_into().ok())
    }
}

impl<'t> Field<'t> for NumberList<'t> {
    #[inline(always)]
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        Some(Self(cursor.word()))
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    fn to_value(&self) -> Value<'t> {
        Value::List(self.iter().map(|one| Value::Number(one.into())).collect())
    }
}

/// A number, and the pid namespace in which it is one (`struct upid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Upid {
    /// The number.
    pub number: u32,
    /// The pid namespace.
    pub ns: UpidNamespace,
}

impl Upid {
    fn read(part: &[u8]) -> Option<Self> {
        let at = memchr::memchr(b'@', part)?;
        Some(Self {
            number: number(&part[..at])?.try_into().ok()?,
            ns: number(&part[at + 1..]).and_then(|one| Inum::new(one.try_into().ok()?)),
        })
    }
}

/// The namespace of a number; always there but in texts that something has damaged.
pub type UpidNamespace = Option<Inum>;

/// The numbers of a task from the initial pid namespace inwards (`pid.numbers[]`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpidList<'t>(&'t [u8]);

impl<'t> UpidList<'t> {
    /// The numbers, the host's first.
    pub fn iter(self) -> impl Iterator<Item = Upid> + 't {
        self.0.split(|byte| *byte == b',').filter_map(Upid::read)
    }

    /// The number that it has itself: the innermost.
    pub fn own_number(self) -> Option<u32> {
        // 13 bytes or less come behind.
        let at = self.0.iter().rposition(|byte| *byte == b'@')?;
        let lead = &self.0[..at];
        let comma = lead.iter().rposition(|byte| *byte == b',');
        number(&lead[comma.map_or(0, |at| at + 1)..])?
            .try_into()
            .ok()
    }

    /// Its number in that pid namespace.
    pub fn in_namespace(self, ns: Inum) -> Option<u32> {
        self.iter()
            .find(|one| one.ns == Some(ns))
            .map(|one| one.number)
    }
}

impl<'t> Field<'t> for UpidList<'t> {
    #[inline(always)]
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        Some(Self(cursor.word()))
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    fn to_value(&self) -> Value<'t> {
        Value::List(
            self.iter()
                .map(|one| Value::Made(format!("{}@{}", one.number, one.ns.map_or(0, Inum::get))))
                .collect(),
        )
    }
}

/// A range of ids: from which one in the namespace, from which one in the initial one, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct IdRange {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

/// Which ids of the initial user namespace the ids of another stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IdMap<'t>(&'t [u8]);

impl<'t> IdMap<'t> {
    /// Its ranges.
    pub fn iter(self) -> impl Iterator<Item = IdRange> + 't {
        self.0.split(|byte| *byte == b',').filter_map(|part| {
            let mut numbers = part
                .split(|byte| *byte == b':')
                .map(|one| number(one)?.try_into().ok());
            Some(IdRange {
                inside: numbers.next()??,
                outside: numbers.next()??,
                count: numbers.next()??,
            })
        })
    }

    /// Who an id of the initial user namespace is in there.
    pub fn inside(self, outside: u32) -> Option<u32> {
        self.iter()
            .find(|range| outside >= range.outside && outside - range.outside < range.count)
            .map(|range| range.inside + (outside - range.outside))
    }
}

impl<'t> Field<'t> for IdMap<'t> {
    #[allow(private_interfaces)]
    fn take(cursor: &mut Cursor<'t>) -> Option<Self> {
        Some(Self(cursor.word()))
    }

    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    fn to_value(&self) -> Value<'t> {
        Value::Made(String::from_utf8_lossy(self.0).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of all lengths, and what follows them.
    #[test]
    fn numbers() {
        for length in 0..=20 {
            for lead in ["1", "9", "0", "18446744073709551615"] {
                let text: String = lead.chars().cycle().take(length).collect();
                for behind in [
                    "",
                    " ",
                    "/",
                    ":",
                    ",1",
                    " 12345678",
                    "\u{7f}\u{ff}:9",
                    "a0000000",
                ] {
                    let whole = format!("{text}{behind}");
                    let wanted = text.parse::<u64>().ok().map(|value| (value, length));
                    assert_eq!(digits(whole.as_bytes()), wanted, "{whole:?}");
                }
            }
        }
        assert_eq!(
            digits(b"000000000000000000000000000000012 "),
            Some((12, 33))
        );
        assert_eq!(digits(b"18446744073709551616"), None);
    }
}
