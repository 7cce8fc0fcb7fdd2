// SPDX-License-Identifier: GPL-2.0

//! `struct seq_file`, as the buffer that a file system's `show_*` callbacks write to.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)

use super::{
    bindings,
    memory::{
        self,
        charged,
        Vec, //
    }, //
};
use crate::text::{
    octal,
    ByteSet, //
};
use core::ops::Range;
use kernel::{
    error::to_result,
    fs::LocalFile,
    prelude::*, //
};

/// The most that is written at once, in bytes.
const MAX_SIZE: usize = 1 << 19;

/// What stands after a value that had to be cut.
pub(crate) const CUT: &[u8] = b"\\~";

/// The buffer behind a [`Seq`]. It is as long as what was written last.
pub(crate) struct SeqBuf(Vec<u8>);

/// Size of a buffer, in bytes, unless there was a long line.
const USUAL_SIZE: usize = 8192;

impl SeqBuf {
    /// Creates one of no size.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Makes it larger, and says whether it did: there is a limit. The first time, it gets a size that
    /// does for many usual lines.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn grow(&mut self) -> Result<bool> {
        let size = self.0.capacity();
        if size >= MAX_SIZE {
            return Ok(false);
        }
        // Not in place: what is there is of no use any more.
        self.0 = Vec::new();
        let size = size.saturating_mul(4).clamp(USUAL_SIZE, MAX_SIZE);
        self.0 = Vec::with_capacity(size, charged())?;
        Ok(true)
    }

    /// Begins to write, from the start.
    ///
    /// `file` stands for the reader: callbacks translate user ids for whoever opened it.
    pub(crate) fn begin<'b>(&'b mut self, file: &'b LocalFile) -> Seq<'b> {
        Seq::new(&mut self.0, file)
    }

    /// A part of what was written last.
    pub(crate) fn get(&self, range: Range<usize>) -> &[u8] {
        self.0.get(range).unwrap_or_default()
    }
}

/// A `struct seq_file` over a buffer.
///
/// # Invariants
///
/// `raw.buf` and `raw.size` describe the memory of `buf`, which is empty, and `raw.count` is at most
/// `raw.size`; unless it is just that, as many bytes are written. `raw.file` is an open file for as
/// long as `'b` lasts.
pub(crate) struct Seq<'b> {
    raw: bindings::seq_file,
    buf: &'b mut Vec<u8>,
}

impl Drop for Seq<'_> {
    fn drop(&mut self) {
        if let Some(len) = self.len() {
            // SAFETY: By the type invariants the vector is empty, and so many bytes of it, fewer than
            // its capacity, are written.
            unsafe { self.buf.inc_len(len) };
        }
    }
}

impl<'b> Seq<'b> {
    fn new(buf: &'b mut Vec<u8>, file: &'b LocalFile) -> Self {
        buf.clear();
        // INVARIANT: As the arguments' lifetimes say. Nothing is written.
        Self {
            raw: bindings::seq_file {
                buf: buf.as_mut_ptr().cast(),
                size: buf.capacity(),
                file: file.as_ptr().cast(),
                ..Default::default()
            },
            buf,
        }
    }

    /// The `struct seq_file`, for a C function that appends to it.
    pub(super) fn as_raw(&mut self) -> &mut bindings::seq_file {
        &mut self.raw
    }

    /// How many bytes were written; more than there was room for, once it has overflowed.
    pub(crate) fn position(&self) -> usize {
        self.raw.count
    }

    /// Forgets what was written after the first `position` bytes, which had room.
    pub(super) fn rewind(&mut self, position: usize) {
        // INVARIANT: At most what it was, and written.
        self.raw.count = self.raw.count.min(position);
    }

    /// Whether no more has room. C: `seq_has_overflowed()`.
    pub(super) fn has_overflowed(&self) -> bool {
        self.len().is_none()
    }

    /// How much was written, unless it was too much.
    fn len(&self) -> Option<usize> {
        (self.raw.count < self.raw.size).then_some(self.raw.count)
    }

    /// Lets `edit` change what was written after the first `from` bytes, and cut it to the length
    /// that it returns.
    pub(super) fn edit(&mut self, from: usize, edit: impl FnOnce(&mut [u8]) -> usize) {
        let Some(len) = self.len().and_then(|len| len.checked_sub(from)) else {
            return;
        };
        // SAFETY: By the type invariants the buffer is ours, and has `count` bytes, all written.
        let written =
            unsafe { core::slice::from_raw_parts_mut(self.raw.buf.cast::<u8>().add(from), len) };
        self.raw.count = from.saturating_add(edit(written).min(len));
    }

    /// Ends what a callback has written, which returned `result`. If there was something that it
    /// could not tell, the text is marked as one that was cut.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if that is what it returned.
    pub(super) fn finish(&mut self, result: c_int) -> Result {
        match to_result(result) {
            Err(e) if e == ENOMEM => Err(e),
            // Too small a buffer shows in the buffer.
            Err(_) if !self.has_overflowed() => {
                self.put(CUT);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Appends bytes as they are. C: `seq_write()`.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let end = self.raw.count.saturating_add(bytes.len());
        if end >= self.raw.size {
            // C: `seq_set_overflow()`.
            self.raw.count = self.raw.size;
            return;
        }
        // SAFETY: By the type invariants the buffer is ours, so `bytes` is no part of it, and has
        // `size` bytes, more than `end`.
        unsafe {
            memory::copy(bytes, self.raw.buf.cast::<u8>().add(self.raw.count));
        }
        self.raw.count = end;
    }

    /// Appends bytes, with those in `special` as a backslash and three octal digits. C:
    /// `seq_escape()`.
    pub(super) fn put_escaped(&mut self, bytes: &[u8], special: &ByteSet) {
        let mut rest = bytes;
        loop {
            let (plain, special) = special.split(rest);
            self.put(plain);
            let Some((byte, tail)) = special else {
                return;
            };
            self.put(&octal(byte));
            rest = tail;
        }
    }
}
