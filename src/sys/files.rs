// SPDX-License-Identifier: GPL-2.0

//! `struct files_struct`: the descriptors of a task.
//!
//! C header: [`include/linux/fdtable.h`](srctree/include/linux/fdtable.h)

use super::{
    bindings,
    file::File,
    read_once,
    task::TaskLock, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::bindings::{
    spin_lock,
    spin_unlock, //
};

/// Descriptors in a word of a table's bitmap.
const WORD_BITS: u32 = u64::BITS;

/// The descriptors of a task, while nobody opens or closes one.
///
/// Since a table that is locked keeps its files open, none of them needs a reference. C: `iterate_fd()`,
/// as `update_classid_task()` of [`net/core/netclassid_cgroup.c`](srctree/net/core/netclassid_cgroup.c)
/// calls it inside `task_lock()`. That one looks at empty places as well, of which there can be a million
/// one after another; this one asks the bitmap, and can stop anywhere.
///
/// # Invariants
///
/// The task's `alloc_lock` is held until `'l` ends, so that `files` stays its table. The table's
/// `file_lock` is held by this object.
pub(crate) struct Descriptors<'l> {
    files: NonNull<bindings::files_struct>,
    _lock: PhantomData<(&'l (), *mut ())>,
}

/// What comes next in a table.
pub(crate) enum Next<'d> {
    /// A descriptor, and its file.
    Open(u32, File<'d>),
    /// Nothing in as many places as were to be looked at. The first one that was not.
    Later(u32),
    /// There are no more.
    End,
}

impl<'l> Descriptors<'l> {
    /// Locks the table of a task; `None` once the task has given it back.
    pub(super) fn of(
        files: *mut bindings::files_struct,
        _lock: &'l TaskLock<'_, '_>,
    ) -> Option<Self> {
        let files = NonNull::new(files)?;
        // SAFETY: The table is the task's as long as its `alloc_lock` is held. `file_lock` is never taken
        // with interrupts disabled, and nests inside `alloc_lock`, as in `update_classid_task()`.
        unsafe { spin_lock((&raw mut (*files.as_ptr()).file_lock).cast()) };
        // INVARIANT: Both locks are held.
        Some(Self {
            files,
            _lock: PhantomData,
        })
    }

    /// The first descriptor that is `from` or more. `words` is how many words of the bitmap may be
    /// looked at, and counts down.
    pub(crate) fn next(&self, from: u32, words: &mut usize) -> Next<'_> {
        // SAFETY: The table is valid by the type invariants. `fdt` is replaced, and a file taken out of the
        // array, with `file_lock` held only. A file may be put into a place that is reserved meanwhile.
        let (max, open, array) = unsafe {
            let fdt = read_once(&raw const (*self.files.as_ptr()).fdt);
            ((*fdt).max_fds, (*fdt).open_fds.cast::<u64>(), (*fdt).fd)
        };
        let mut at = from;
        while at < max {
            let Some(left) = words.checked_sub(1) else {
                return Next::Later(at);
            };
            *words = left;
            let index = at / WORD_BITS;
            // SAFETY: The bitmap has a bit for each of `max` descriptors, which is a multiple of 64. C
            // reads it word by word, too.
            let mut word = unsafe { read_once(open.add(index as usize)) };
            word &= u64::MAX << (at % WORD_BITS);
            while word != 0 {
                let fd = index
                    .wrapping_mul(WORD_BITS)
                    .wrapping_add(word.trailing_zeros());
                // SAFETY: The array has `max` places, and `fd` is less.
                let file = unsafe { read_once(array.add(fd as usize)) };
                if let Some(file) = NonNull::new(file) {
                    // SAFETY: A file is taken out of the table with `file_lock` held, and its reference
                    // dropped after that. So it stays until this object is dropped.
                    return Next::Open(fd, unsafe { File::from_ptr(file) });
                }
                // It is reserved for a file that is about to be opened.
                word &= word.wrapping_sub(1);
            }
            at = index.wrapping_add(1).wrapping_mul(WORD_BITS);
        }
        Next::End
    }
}

impl Drop for Descriptors<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the table is valid, and its lock is held by this object.
        unsafe { spin_unlock((&raw mut (*self.files.as_ptr()).file_lock).cast()) };
    }
}

/// Which table of descriptors a task has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FilesKey {
    /// Its address: never print it.
    address: usize,
    /// Others have it as well.
    pub(crate) is_shared: bool,
}

impl FilesKey {
    /// # Safety
    ///
    /// `files` must be null or stay valid during the call.
    pub(super) unsafe fn of(files: *mut bindings::files_struct) -> Option<Self> {
        let files = NonNull::new(files)?;
        // SAFETY: The caller ensures that the table is valid; C reads the count without a lock, too.
        let count = unsafe { read_once(&raw const (*files.as_ptr()).count.counter) };
        Some(Self {
            address: files.as_ptr().addr(),
            is_shared: count > 1,
        })
    }

    /// Distinguishes the table from all others that are there.
    pub(crate) fn as_u64(self) -> u64 {
        self.address as u64
    }
}
