// SPDX-License-Identifier: GPL-2.0

//! A file in procfs.
//!
//! C header: [`include/linux/proc_fs.h`](srctree/include/linux/proc_fs.h)

use super::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    fs::LocalFile,
    iov::IovIterDest,
    prelude::*,
    types::ForeignOwnable,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    },
};

/// What a file in procfs does.
pub(crate) trait ProcFile: 'static {
    /// What all open files share.
    type Context: Send + Sync;
    /// What belongs to one open file.
    type Open: ForeignOwnable + Send + Sync;

    /// Opens the file, on behalf of the calling process.
    ///
    /// # Errors
    ///
    /// Whatever `open()` is to fail with.
    fn open(context: &Self::Context) -> Result<Self::Open>;

    /// Reads from `pos` on into `to`, and moves `pos`. `file` is the open file itself.
    ///
    /// # Errors
    ///
    /// Whatever `read()` is to fail with.
    fn read(
        context: &Self::Context,
        open: <Self::Open as ForeignOwnable>::Borrowed<'_>,
        file: &LocalFile,
        pos: &mut i64,
        to: &mut IovIterDest<'_>,
    ) -> Result<usize>;

    /// Takes all of what one call to `write()` hands over.
    ///
    /// # Errors
    ///
    /// Whatever `write()` is to fail with.
    fn write(open: <Self::Open as ForeignOwnable>::Borrowed<'_>, from: UserSliceReader) -> Result;
}

/// The entry of a [`ProcFile`] in the root of procfs. Dropping it takes the entry away, waits for
/// calls in flight, and closes what is open.
///
/// # Invariants
///
/// `entry` is an entry that [`Registration::new`] made. `context` is what its `data` points at.
pub(crate) struct Registration<T: ProcFile> {
    entry: NonNull<bindings::proc_dir_entry>,
    _context: KBox<T::Context>,
    _file: PhantomData<T>,
}

// SAFETY: The entry may be removed by any task; the context may be shared by all.
unsafe impl<T: ProcFile> Send for Registration<T> {}
// SAFETY: There is nothing to be done through a shared reference.
unsafe impl<T: ProcFile> Sync for Registration<T> {}

impl<T: ProcFile> Registration<T> {
    const OPS: bindings::proc_ops = bindings::proc_ops {
        proc_open: Some(Self::open),
        proc_read_iter: Some(Self::read_iter),
        proc_write: Some(Self::write),
        proc_lseek: Some(Self::lseek),
        proc_release: Some(Self::release),
        ..Self::NO_OPS
    };

    /// No operation at all: `Default` is not `const`.
    const NO_OPS: bindings::proc_ops = {
        // SAFETY: All members of a `struct proc_ops` are numbers or optional functions.
        unsafe { core::mem::zeroed() }
    };

    /// Makes the entry, readable for its owner, root, alone.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(name: &CStr, context: T::Context) -> Result<Self> {
        let context = KBox::new(context, GFP_KERNEL)?;
        // SAFETY: The name is copied. The operations are constant in this module, and the context
        // is where the box has it, until `Drop` has removed the entry. The callbacks below keep
        // the contract of `struct proc_ops`.
        let entry = unsafe {
            bindings::proc_create_data(
                name.as_char_ptr(),
                0o400,
                core::ptr::null_mut(),
                const { &Self::OPS },
                core::ptr::from_ref::<T::Context>(&context)
                    .cast_mut()
                    .cast(),
            )
        };
        // INVARIANT: As just made.
        Ok(Self {
            // Null also stands for a name that is taken; the kernel has warned of that by now.
            entry: NonNull::new(entry).ok_or(ENOMEM)?,
            _context: context,
            _file: PhantomData,
        })
    }

    /// The context of the entry that `inode` belongs to. C: `pde_data()`.
    ///
    /// # Safety
    ///
    /// `inode` must belong to an entry that [`Registration::new`] made, during a call to one of its
    /// operations.
    unsafe fn context<'a>(inode: *const bindings::inode) -> &'a T::Context {
        // SAFETY: procfs puts the entry's `data` there. It points at the context, which stays at
        // least until `proc_remove()`, which waits for the call.
        unsafe { &*(*inode).i_private.cast::<T::Context>() }
    }

    /// # Safety
    ///
    /// `inode` and `file` must be those of an entry of this type that is being opened.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: The caller ensures that this is a call to an operation of an entry of ours.
        let context = unsafe { Self::context(inode) };
        match T::open(context) {
            Ok(open) => {
                // SAFETY: The caller ensures that `file` is valid, and being opened by this task
                // alone. `release` takes back what is put there.
                unsafe { (*file).private_data = open.into_foreign().cast() };
                0
            }
            Err(e) => e.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `kiocb` must be that of a read from an open file of this type, and `iter` its destination.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        let iter = iter.cast::<kernel::bindings::iov_iter>();
        // What `from_raw()` below would panic for.
        // SAFETY: The caller ensures that it is valid.
        if unsafe { (*iter).data_source } != (kernel::bindings::ITER_DEST != 0) {
            return EINVAL.to_errno() as isize;
        }
        // SAFETY: The caller ensures that both are valid, and that nobody else uses them meanwhile.
        let (file, pos, to) = unsafe {
            (
                (*kiocb).ki_filp,
                &mut (*kiocb).ki_pos,
                IovIterDest::from_raw(iter),
            )
        };
        // SAFETY: The file is open during the call. `f_inode` is the inode of an entry of ours, and
        // `open()` has put a `T::Open` into `private_data`, where it stays until `release()`.
        let (context, open, file) = unsafe {
            (
                Self::context((*file).f_inode),
                <T::Open as ForeignOwnable>::borrow((*file).private_data.cast()),
                LocalFile::from_raw_file(file.cast()),
            )
        };
        match T::read(context, open, file, pos, to) {
            // No more than what `to` has room for, which is at most `MAX_RW_COUNT`.
            Ok(len) => isize::try_from(len).unwrap_or(isize::MAX),
            Err(e) => e.to_errno() as isize,
        }
    }

    /// Where a text ends is not known before it was read to its end.
    ///
    /// # Safety
    ///
    /// `file` must be an open file of this type.
    unsafe extern "C" fn lseek(file: *mut bindings::file, offset: i64, whence: c_int) -> i64 {
        // SAFETY: The caller ensures that the file is open.
        unsafe { kernel::bindings::no_seek_end_llseek(file.cast(), offset, whence) }
    }

    /// The file's position goes back to 0, where the answer begins.
    ///
    /// # Safety
    ///
    /// `file` must be an open file of this type, `from` a pointer of the calling process, which
    /// writes, and `pos` valid, and not used by others meanwhile.
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        from: *const u8,
        len: usize,
        pos: *mut i64,
    ) -> isize {
        if len == 0 {
            return 0;
        }
        // SAFETY: The file is open during the call, and `open()` has put a `T::Open` there.
        let open = unsafe { <T::Open as ForeignOwnable>::borrow((*file).private_data.cast()) };
        let from = UserSlice::new(UserPtr::from_ptr(from.cast_mut().cast()), len).reader();
        match T::write(open, from) {
            Ok(()) => {
                // SAFETY: The caller ensures that `pos` is valid.
                unsafe { *pos = 0 };
                // At most `MAX_RW_COUNT`.
                isize::try_from(len).unwrap_or(isize::MAX)
            }
            Err(e) => e.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// `file` must be an open file of this type that nobody will use again.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: The caller ensures that the file is valid, and nobody uses it. `open()` has put a
        // `T::Open` there.
        drop(unsafe { <T::Open as ForeignOwnable>::from_foreign((*file).private_data.cast()) });
        0
    }
}

impl<T: ProcFile> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the entry is there, and is removed only here. When this
        // returns, no operation is running or will run: `proc_reg_*()` fails from then on, and
        // files that are still open have been released.
        unsafe { bindings::proc_remove(self.entry.as_ptr()) };
    }
}
