// SPDX-License-Identifier: GPL-2.0

//! Bytes for the reader: a text that grows in pieces, and how values are spelled in it. Pure.

#![deny(unsafe_code)]

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
        for digit in this.digits.iter_mut().rev() {
            // CAST: A remainder of ten is a digit.
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            // Twenty digits are enough for any number, so this stays in the array.
            this.start = this.start.wrapping_sub(1);
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

/// Size of a piece of a [`Text`] in bytes.
const PIECE: usize = 64 * 1024;

/// A text in memory, in pieces of equal size, so that it can grow without being moved.
pub(crate) struct Text {
    /// All full but the last.
    pieces: KVVec<KVVec<u8>>,
    len: usize,
}

impl Text {
    /// An empty text.
    pub(crate) fn new() -> Self {
        Self {
            pieces: KVVec::new(),
            len: 0,
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result {
        let mut rest = bytes;
        while !rest.is_empty() {
            let last = self.pieces.last();
            let room = last.map_or(0, |piece| PIECE.saturating_sub(piece.len()));
            if room == 0 {
                let piece = KVVec::with_capacity(PIECE, GFP_KERNEL_ACCOUNT)?;
                self.pieces.push(piece, GFP_KERNEL_ACCOUNT)?;
                continue;
            }
            let (now, later) = rest.split_at(room.min(rest.len()));
            let piece = self.pieces.last_mut().ok_or(EINVAL)?;
            piece.extend_from_slice(now, GFP_KERNEL_ACCOUNT)?;
            self.len = self.len.saturating_add(now.len());
            rest = later;
        }
        Ok(())
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
            let piece = self.pieces.get(at / PIECE).ok_or(EINVAL)?;
            let bytes = piece.get(at % PIECE..).ok_or(EINVAL)?;
            let now = to.copy_to_iter(bytes);
            at = at.saturating_add(now);
            copied = copied.saturating_add(now);
            if now == 0 {
                break;
            }
        }
        if copied == 0 && at < self.len && !to.is_empty() {
            return Err(EFAULT);
        }
        *pos = i64::try_from(at).map_err(|_| EOVERFLOW)?;
        Ok(copied)
    }

    /// Whether it is made of these bytes.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn equals(&self, bytes: &[u8]) -> bool {
        self.pieces.iter().flat_map(|piece| piece.iter()).eq(bytes)
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
    fn a_text_longer_than_a_piece() -> Result {
        let mut text = Text::new();
        for number in 0..30_000_u64 {
            text.push(Decimal::new(number % 10).as_bytes())?;
            text.push(b"56789")?;
        }
        assert!(text.len == 180_000);
        assert!(text.pieces.len() == text.len.div_ceil(PIECE));
        // Every byte is where it would be in one piece.
        for at in 0..text.len {
            let byte = text.pieces[at / PIECE][at % PIECE];
            let expected = match at % 6 {
                0 => b'0' + (at / 6 % 10) as u8,
                rest => b'4' + rest as u8,
            };
            assert!(byte == expected);
        }
        Ok(())
    }
}
