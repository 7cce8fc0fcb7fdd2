// SPDX-License-Identifier: GPL-2.0

//! Bytes for the reader: a window into a text that is longer, and how values are spelled. Pure.

#![deny(unsafe_code)]

use crate::sys::memory::FixedBuf;
use kernel::prelude::*;

/// A number in decimal digits.
///
/// The kernel's `fmt` would do as well; this has no path that could fail, and is several times
/// faster, which counts when a text is mostly numbers.
pub(crate) struct Decimal {
    /// Eight digits each. The last ones are in use.
    octets: [[u8; 8]; 3],
    start: usize,
}

impl Decimal {
    /// Spells `number`.
    #[inline]
    pub(crate) fn new(number: u64) -> Self {
        let mut this = Self {
            octets: [[b'0'; 8]; 3],
            start: 24,
        };
        let mut rest = number;
        for octet in this.octets.iter_mut().rev() {
            let digits = eight_digits(rest % 100_000_000);
            rest /= 100_000_000;
            // In each byte there is room for the sum.
            let ascii = digits.wrapping_add(u64::from_ne_bytes([b'0'; 8]));
            *octet = ascii.to_le_bytes();
            this.start = this.start.wrapping_sub(8);
            if rest == 0 {
                // CAST: Eight at most. The last digit stands in any case.
                let zeros = (digits.trailing_zeros() / 8).min(7) as usize;
                this.start = this.start.wrapping_add(zeros);
                break;
            }
        }
        this
    }

    /// The digits.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let digits = self.octets.as_flattened();
        digits.get(self.start..).unwrap_or_default()
    }
}

/// The digits of a number below 100,000,000, one in each byte; the first is in the lowest byte. All are
/// found at once: the number is split in two, these in two again, and so on, side by side.
#[inline]
fn eight_digits(number: u64) -> u64 {
    // No lane is ever left, so that nothing wraps around.
    // Two numbers below 10,000, in 32 bits each.
    let two = (number / 10_000) | (number % 10_000) << 32;
    // 10,486 / 2^20 is 1/100, as exactly as numbers below 10,000 need.
    let hundreds = (two.wrapping_mul(10_486) >> 20) & 0x0000_007f_0000_007f;
    // Four below 100, in 16 bits each.
    let four = hundreds | two.wrapping_sub(hundreds.wrapping_mul(100)) << 16;
    // And 103 / 2^10 is 1/10, as exactly as numbers below 100 need.
    let tens = (four.wrapping_mul(103) >> 10) & 0x000f_000f_000f_000f;
    tens | four.wrapping_sub(tens.wrapping_mul(10)) << 8
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

/// What the format escapes: all that could be taken for its own, or is no visible ASCII character.
pub(crate) static SPECIAL: ByteSet = ByteSet::not_graphic_or(b"\\,@#=");

/// What the format escapes in names of paths: what `mountinfo` does, and all that is no visible ASCII
/// character.
pub(crate) static PATH_SPECIAL: ByteSet = ByteSet::not_graphic_or(b"\\");

/// What stands behind the path of what has been removed. C: `dentry_path()`.
pub(crate) const DELETED: &[u8] = b"//deleted";

/// What `mountinfo` escapes in names of paths. All of it is in [`PATH_SPECIAL`].
pub(crate) static MOUNTINFO_SPECIAL: ByteSet = ByteSet::of(b" \t\n\\");

/// A window into a text that is written from some place on: it keeps what falls into it, and counts
/// the rest.
pub(crate) struct Window {
    /// What was written of it.
    room: FixedBuf,
    /// Where in the text the window begins.
    begin: usize,
    /// Bytes that are still to be written before the window begins.
    skip: usize,
    /// Bytes that were written behind its end.
    lost: usize,
}

impl Window {
    /// Creates one of `len` bytes, in which nothing is written.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(len: usize) -> Result<Self> {
        Ok(Self {
            room: FixedBuf::new(len)?,
            begin: 0,
            skip: 0,
            lost: 0,
        })
    }

    /// Empties it, and moves it to `begin`; what is pushed next goes to `position`, which is not
    /// behind that.
    pub(crate) fn restart(&mut self, begin: usize, position: usize) {
        self.begin = begin;
        self.skip = begin.saturating_sub(position);
        self.room.clear();
        self.lost = 0;
    }

    /// Appends bytes to the text.
    #[inline(always)]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.skip != 0 || !self.room.push(bytes) {
            self.push_over_an_edge(bytes);
        }
    }

    #[cold]
    fn push_over_an_edge(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip = self.skip.saturating_sub(skipped);
        let bytes = bytes.get(skipped..).unwrap_or_default();
        let kept = bytes.get(..self.room.free()).unwrap_or(bytes);
        self.room.push(kept);
        self.lost = self
            .lost
            .saturating_add(bytes.len().saturating_sub(kept.len()));
    }

    /// Where in the text the next byte goes.
    pub(crate) fn position(&self) -> usize {
        self.end().wrapping_sub(self.skip).wrapping_add(self.lost)
    }

    /// How many bytes there is room for.
    #[inline]
    pub(crate) fn free(&self) -> usize {
        self.room.free()
    }

    /// Where the part of the text that the window has ends.
    pub(crate) fn end(&self) -> usize {
        self.begin.wrapping_add(self.room.as_bytes().len())
    }

    /// The bytes of the text from `at` on that are in the window.
    pub(crate) fn bytes_at(&self, at: usize) -> &[u8] {
        let from = at.checked_sub(self.begin);
        from.and_then(|from| self.room.as_bytes().get(from..))
            .unwrap_or_default()
    }
}

#[kernel::macros::kunit_tests(nsinspect_text)]
mod tests {
    use super::*;
    use crate::sys::memory::{
        charged,
        Vec, //
    };

    #[test]
    fn decimal_numbers() {
        for (number, digits) in [
            (0, "0"),
            (9, "9"),
            (10, "10"),
            (99, "99"),
            (100, "100"),
            (9999, "9999"),
            (10000, "10000"),
            (99999999, "99999999"),
            (100000000, "100000000"),
            (4026531836, "4026531836"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert!(Decimal::new(number).as_bytes() == digits.as_bytes());
        }
    }

    #[test]
    fn each_digit_by_its_own() {
        // All numbers of four digits, as either half.
        for number in 0..10_000_u64 {
            for eight in [number, number * 10_000] {
                let mut rest = eight;
                let digits = eight_digits(eight).to_le_bytes();
                for digit in digits.iter().rev() {
                    assert!(u64::from(*digit) == rest % 10);
                    rest /= 10;
                }
            }
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
        for byte in 0..=u8::MAX {
            let is_in = |set: &ByteSet| set.split(&[byte]).1.is_some();
            assert!(is_in(&SPECIAL) || !is_in(&MOUNTINFO_SPECIAL));
        }
        let set = ByteSet::not_graphic_or(b"=");
        for byte in 0..=u8::MAX {
            let is_in = !byte.is_ascii_graphic() || byte == b'=';
            assert!(set.split(&[byte]).1.is_some() == is_in);
        }
    }

    /// A text of pieces of 0 to 9 bytes.
    fn write(to: &mut Window) {
        for number in 0..200_usize {
            to.push(b"abcdefghi".get(..number % 10).unwrap_or_default());
        }
    }

    #[test]
    fn a_window_anywhere() -> Result {
        let mut whole = Window::new(1000)?;
        write(&mut whole);
        assert!(whole.position() == 900 && whole.end() == 900 && whole.free() == 100);
        let mut window = Window::new(64)?;
        for begin in 0..920 {
            window.restart(begin, 0);
            write(&mut window);
            assert!(window.position() == 900);
            let end = 900.min(begin + 64);
            assert!(window.end() == begin.max(end));
            let expected = whole.bytes_at(begin.min(900));
            let expected = expected
                .get(..end.saturating_sub(begin))
                .unwrap_or_default();
            assert!(window.bytes_at(begin) == expected);
            assert!(window.bytes_at(begin + 64).is_empty() && window.bytes_at(end).is_empty());
        }
        Ok(())
    }

    #[test]
    fn bytes_longer_than_a_window() -> Result {
        let all = Vec::from_elem(0, 1000, charged())?;
        let mut window = Window::new(10)?;
        window.restart(500, 3);
        window.push(&all);
        assert!(window.position() == 1003 && window.end() == 510 && window.free() == 0);
        assert!(window.bytes_at(505) == [0; 5]);
        Ok(())
    }
}
