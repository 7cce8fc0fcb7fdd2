// SPDX-License-Identifier: GPL-2.0

//! Bytes for the reader: a text that grows in pieces, and how values are spelled in it. Pure.

#![deny(unsafe_code)]

use crate::sys::memory;
use kernel::{
    iov::IovIterDest,
    prelude::*, //
};

/// A number in decimal digits.
///
/// The kernel's `fmt` would do as well; this has no path that could fail, and is several times
/// faster, which counts when a text is mostly numbers.
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    /// Spells `number`.
    pub(crate) fn new(number: u64) -> Self {
        let mut this = Self {
            digits: [b'0'; 20],
            start: 20,
        };
        let mut rest = number;
        // Two at a time: dividing is what takes long.
        for pair in this.digits.rchunks_exact_mut(2) {
            // CAST: A remainder of a hundred is small.
            let digits = (rest % 100) as u8;
            rest /= 100;
            pair.copy_from_slice(&[b'0' + digits / 10, b'0' + digits % 10]);
            // Twenty digits are enough for any number, so this stays in the array.
            let leading = u8::from(rest == 0 && digits < 10);
            this.start = this.start.wrapping_sub(2 - usize::from(leading));
            if rest == 0 {
                break;
            }
        }
        this
    }

    /// The digits.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

/// A byte as a backslash and three octal digits.
pub(crate) fn octal(byte: u8) -> [u8; 4] {
    [
        b'\\',
        b'0' + (byte >> 6),
        b'0' + (byte >> 3 & 7),
        b'0' + (byte & 7),
    ]
}

/// A set of bytes.
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    /// The set of these.
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        Self([false; 256]).with(bytes)
    }

    /// The set of all that are no visible ASCII character, and these.
    pub(crate) const fn not_graphic_or(bytes: &[u8]) -> Self {
        let mut set = [true; 256];
        let mut byte = b'!';
        while byte <= b'~' {
            set[byte as usize] = false;
            byte += 1;
        }
        Self(set).with(bytes)
    }

    const fn with(self, bytes: &[u8]) -> Self {
        let mut set = self.0;
        let mut rest = bytes;
        while let [byte, tail @ ..] = rest {
            set[*byte as usize] = true;
            rest = tail;
        }
        Self(set)
    }

    /// Splits bytes at the first that is in the set: what stands before it, and if there is one, it
    /// and what stands behind it.
    #[inline]
    pub(crate) fn split<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], Option<(u8, &'a [u8])>) {
        let is_in = |byte: &u8| self.0.get(usize::from(*byte)).is_some_and(|is_in| *is_in);
        let at = bytes.iter().position(is_in).unwrap_or(bytes.len());
        let (before, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
        (before, rest.split_first().map(|(byte, tail)| (*byte, tail)))
    }
}

/// Size of the first piece of a text in bytes.
const MIN_PIECE: usize = 4 * 1024;

/// Size that no piece of a text exceeds.
const MAX_PIECE: usize = 64 * 1024;

/// A text that is being written, in pieces, so that it can grow without being moved.
pub(crate) struct TextBuf {
    /// What is finished.
    text: Text,
    /// The piece that is being filled, and how much of it is. The rest is zeros: they take a
    /// fraction of the time that it takes to fill them, and spare every value a look at what is
    /// initialized.
    piece: KVVec<u8>,
    used: usize,
}

impl TextBuf {
    /// An empty text.
    pub(crate) fn new() -> Self {
        Self {
            text: Text {
                pieces: KVVec::new(),
                len: 0,
            },
            piece: KVVec::new(),
            used: 0,
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    #[inline(always)]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result {
        let end = self.used.wrapping_add(bytes.len());
        match self.piece.get_mut(self.used..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.used = end;
                Ok(())
            }
            None => self.push_over_the_end(bytes),
        }
    }

    /// What was written last: all, if that is less than 4 KiB.
    pub(crate) fn last_piece(&self) -> &[u8] {
        self.piece.get(..self.used).unwrap_or_default()
    }

    /// Forgets what is in the last piece.
    pub(crate) fn clear_last_piece(&mut self) {
        self.used = 0;
    }

    #[cold]
    fn push_over_the_end(&mut self, bytes: &[u8]) -> Result {
        let mut rest = bytes;
        loop {
            let room = self.piece.get_mut(self.used..).unwrap_or_default();
            let (now, later) = rest.split_at(room.len().min(rest.len()));
            for (to, from) in room.iter_mut().zip(now) {
                *to = *from;
            }
            self.used = self.used.saturating_add(now.len());
            if later.is_empty() {
                return Ok(());
            }
            rest = later;
            self.finish_piece()?;
            // As long as all before, so that a short text takes little memory.
            let size = self.text.len.clamp(MIN_PIECE, MAX_PIECE);
            self.piece = memory::zeros(size)?;
        }
    }

    fn finish_piece(&mut self) -> Result {
        let mut bytes = core::mem::take(&mut self.piece);
        bytes.truncate(self.used);
        self.used = 0;
        self.text.push_piece(bytes)
    }

    /// Appends another text, without copying it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn append(&mut self, mut other: TextBuf) -> Result {
        self.finish_piece()?;
        other.finish_piece()?;
        for piece in other.text.pieces {
            self.text.push_piece(piece.bytes)?;
        }
        Ok(())
    }

    /// The text as it is now, for readers.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn finish(mut self) -> Result<Text> {
        self.finish_piece()?;
        Ok(self.text)
    }
}

/// A part of a text.
struct Piece {
    /// Where in the text it begins.
    begin: usize,
    bytes: KVVec<u8>,
}

/// A text in memory.
pub(crate) struct Text {
    /// None of them is empty.
    pieces: KVVec<Piece>,
    len: usize,
}

impl Text {
    fn push_piece(&mut self, bytes: KVVec<u8>) -> Result {
        if bytes.is_empty() {
            return Ok(());
        }
        let piece = Piece {
            begin: self.len,
            bytes,
        };
        // It is in memory, as is all that came before.
        self.len = self.len.saturating_add(piece.bytes.len());
        self.pieces.push(piece, memory::charged())?;
        Ok(())
    }

    /// The bytes from `at` on that lie in one piece; none at the end.
    fn bytes_at(&self, at: usize) -> &[u8] {
        let after = self.pieces.partition_point(|piece| piece.begin <= at);
        let piece = after.checked_sub(1).and_then(|i| self.pieces.get(i));
        piece
            .and_then(|piece| piece.bytes.get(at.wrapping_sub(piece.begin)..))
            .unwrap_or_default()
    }

    /// Copies what stands from `pos` on to a reader, as much as it has room for, and moves `pos`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `pos` is negative; `EFAULT` if the reader's memory is not there.
    pub(crate) fn read(&self, pos: &mut i64, to: &mut IovIterDest<'_>) -> Result<usize> {
        let mut at = usize::try_from(*pos).map_err(|_| EINVAL)?;
        let mut copied = 0_usize;
        while at < self.len && !to.is_empty() {
            let now = to.copy_to_iter(self.bytes_at(at));
            if now == 0 {
                break;
            }
            at = at.saturating_add(now);
            copied = copied.saturating_add(now);
        }
        if copied == 0 && at < self.len && !to.is_empty() {
            return Err(EFAULT);
        }
        *pos = i64::try_from(at).map_err(|_| EOVERFLOW)?;
        Ok(copied)
    }
}

#[kernel::macros::kunit_tests(nsinspect_text)]
mod tests {
    use super::*;

    #[test]
    fn decimal_numbers() {
        for (number, digits) in [
            (0, "0"),
            (9, "9"),
            (10, "10"),
            (4026531836, "4026531836"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert!(Decimal::new(number).as_bytes() == digits.as_bytes());
        }
    }

    #[test]
    fn octal_bytes() {
        assert!(octal(0) == *b"\\000");
        assert!(octal(b' ') == *b"\\040");
        assert!(octal(b'\\') == *b"\\134");
        assert!(octal(255) == *b"\\377");
    }

    #[test]
    fn sets_of_bytes() {
        let set = ByteSet::of(b" \\");
        assert!(set.split(b"ab c\\") == (b"ab".as_slice(), Some((b' ', b"c\\".as_slice()))));
        assert!(set.split(b"\\") == (b"".as_slice(), Some((b'\\', b"".as_slice()))));
        assert!(set.split(b"abc") == (b"abc".as_slice(), None));
        let set = ByteSet::not_graphic_or(b"=");
        for byte in 0..=u8::MAX {
            let is_in = !byte.is_ascii_graphic() || byte == b'=';
            assert!(set.split(&[byte]).1.is_some() == is_in);
        }
    }

    /// Writes `count` times six bytes.
    fn write(count: u64) -> Result<TextBuf> {
        let mut text = TextBuf::new();
        for number in 0..count {
            text.push(Decimal::new(number % 10).as_bytes())?;
            text.push(b"56789")?;
        }
        Ok(text)
    }

    /// Whether every byte of what `write` has written is where it would be in one piece.
    fn is_whole(text: &Text) -> bool {
        (0..text.len).all(|at| {
            let expected = match at % 6 {
                0 => b'0' + (at / 6 % 10) as u8,
                rest => b'4' + rest as u8,
            };
            text.bytes_at(at).first() == Some(&expected)
        }) && text.bytes_at(text.len).is_empty()
    }

    #[test]
    fn a_text_longer_than_a_piece() -> Result {
        let text = write(30_000)?.finish()?;
        assert!(text.len == 180_000);
        // 4, 4, 8, 16, 32 KiB and then 64 each.
        assert!(text.pieces.len() == 7);
        assert!(is_whole(&text));
        Ok(())
    }

    #[test]
    fn bytes_longer_than_a_piece() -> Result {
        let all = KVVec::from_elem(b'x', 3 * MAX_PIECE, GFP_KERNEL)?;
        let mut text = TextBuf::new();
        text.push(b"x")?;
        text.push(&all)?;
        let text = text.finish()?;
        assert!(text.len == 3 * MAX_PIECE + 1);
        let mut pieces = text.pieces.iter().map(|piece| &piece.bytes);
        assert!(pieces.all(|bytes| bytes.len() <= MAX_PIECE && bytes.iter().all(|b| *b == b'x')));
        Ok(())
    }

    #[test]
    fn texts_are_joined() -> Result {
        let mut text = TextBuf::new();
        text.append(TextBuf::new())?;
        text.append(write(1_000)?)?;
        text.append(TextBuf::new())?;
        text.append(write(20_000)?)?;
        text.append(write(10)?)?;
        let text = text.finish()?;
        assert!(text.len == 6 * 21_010);
        assert!(is_whole(&text));
        Ok(())
    }
}
