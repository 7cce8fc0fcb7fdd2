// SPDX-License-Identifier: GPL-2.0

//! `struct seq_file`, as the buffer that a file system's `show_*` callbacks write to.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)

use super::bindings;
use core::marker::PhantomData;
use kernel::{
    fs::LocalFile,
    prelude::*, //
};

/// The buffer behind a [`Seq`], which grows with what is written.
pub(crate) struct SeqBuf(KVVec<u8>);

impl SeqBuf {
    /// Makes a buffer of a size that does for nearly all lines.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(KVVec::from_elem(0, 8192, GFP_KERNEL_ACCOUNT)?))
    }

    /// Calls `write` until all that it writes has room, and returns what it wrote.
    ///
    /// `file` stands for the reader: callbacks translate user ids for whoever opened it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and what `write` returns.
    pub(super) fn write(
        &mut self,
        file: &LocalFile,
        mut write: impl FnMut(&mut Seq<'_>) -> Result,
    ) -> Result<&[u8]> {
        let len = loop {
            let mut seq = Seq::new(&mut self.0, file);
            write(&mut seq)?;
            if let Some(len) = seq.len() {
                break len;
            }
            let size = self.0.len().checked_mul(2).ok_or(ENOMEM)?;
            self.0 = KVVec::new();
            self.0 = KVVec::from_elem(0, size, GFP_KERNEL_ACCOUNT)?;
        };
        self.0.get(..len).ok_or(EINVAL)
    }
}

/// A `struct seq_file` over a buffer.
///
/// # Invariants
///
/// `raw.buf` and `raw.size` describe a buffer that is borrowed for `'b`, and `raw.count` is at most
/// `raw.size`; `raw.file` is an open file for as long.
pub(super) struct Seq<'b> {
    raw: bindings::seq_file,
    _buf: PhantomData<&'b mut [u8]>,
}

impl<'b> Seq<'b> {
    fn new(buf: &'b mut [u8], file: &'b LocalFile) -> Self {
        // INVARIANT: As the arguments' lifetimes say.
        Self {
            raw: bindings::seq_file {
                buf: buf.as_mut_ptr().cast(),
                size: buf.len(),
                file: file.as_ptr().cast(),
                ..Default::default()
            },
            _buf: PhantomData,
        }
    }

    /// The `struct seq_file`, for a C function that appends to it.
    pub(super) fn as_raw(&mut self) -> &mut bindings::seq_file {
        &mut self.raw
    }

    /// How much was written, unless it was too much. C: `seq_has_overflowed()`.
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
        self.raw.count = from + edit(written).min(len);
    }

    /// Appends bytes as they are. C: `seq_write()`.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        // SAFETY: By the type invariants, `raw` is a `struct seq_file` that may be written to; the
        // function reads `bytes` and takes care of the size of the buffer.
        unsafe {
            kernel::bindings::seq_write(
                (&raw mut self.raw).cast(),
                bytes.as_ptr().cast(),
                bytes.len(),
            )
        };
    }

    /// Appends bytes, with those in `special` as a backslash and three octal digits. C:
    /// `seq_escape()`.
    pub(super) fn put_escaped(&mut self, bytes: &[u8], special: &[u8]) {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| special.contains(byte)) {
            let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            self.put(plain);
            if let Some((byte, tail)) = tail.split_first() {
                self.put(&crate::text::octal(*byte));
                rest = tail;
            } else {
                return;
            }
        }
        self.put(rest);
    }

    /// Appends a decimal number.
    pub(super) fn put_number(&mut self, number: impl Into<i64>) {
        let number = number.into();
        if number < 0 {
            self.put(b"-");
        }
        self.put(crate::text::Decimal::new(number.unsigned_abs()).as_bytes());
    }
}
