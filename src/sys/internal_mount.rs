// SPDX-License-Identifier: GPL-2.0

//! A mount that the kernel makes for itself, in no namespace, and the files on it.
//!
//! C headers: [`include/linux/mount.h`](srctree/include/linux/mount.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    bindings,
    file::FileRef, //
};
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

/// A mount of a file system that is always there, as procfs and sysfs are. Dropping it unmounts.
///
/// # Invariants
///
/// `mnt` is a mount that `kern_mount()` made, and that nobody else unmounts.
pub(super) struct InternalMount {
    mnt: NonNull<bindings::vfsmount>,
}

impl InternalMount {
    /// Mounts the file system. What it shows depends on the namespaces of the calling process.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the kernel has no such file system; `ENOMEM`.
    pub(super) fn new(fs_type: &CStr) -> Result<Self> {
        // SAFETY: The name ends in a NUL. The file system is part of the kernel, so that the
        // reference to its module, which is dropped nowhere, is one to nothing.
        let fs_type = unsafe { bindings::get_fs_type(fs_type.as_char_ptr()) };
        if fs_type.is_null() {
            return Err(ENODEV);
        }
        // SAFETY: `fs_type` is valid, and stays.
        let mnt = from_err_ptr(unsafe { bindings::kern_mount(fs_type) })?;
        // INVARIANT: As just made.
        Ok(Self {
            mnt: NonNull::new(mnt).ok_or(ENODEV)?,
        })
    }

    /// Opens a file for reading, with the credentials of the calling process.
    ///
    /// # Errors
    ///
    /// Those of `open()`.
    pub(super) fn open(&self, name: &CStr) -> Result<OpenFile> {
        let mnt = self.mnt.as_ptr();
        // SAFETY: By the type invariants the mount is valid; its root is constant, and stays with it.
        // The name ends in a NUL.
        let file = from_err_ptr(unsafe {
            let root = bindings::path {
                mnt,
                dentry: (*mnt).mnt_root,
            };
            let flags = kernel::bindings::O_RDONLY as c_int;
            bindings::file_open_root(&root, name.as_char_ptr(), flags, 0)
        })?;
        let file = NonNull::new(file).ok_or(ENODEV)?;
        // SAFETY: It is open, and the reference is nobody else's.
        Ok(OpenFile(unsafe { FileRef::from_raw(file) }))
    }
}

impl Drop for InternalMount {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. Files that are open have references of their own.
        unsafe { bindings::kern_unmount(self.mnt.as_ptr()) };
    }
}

/// A file that is open for reading. Dropping it closes it.
pub(super) struct OpenFile(FileRef);

impl OpenFile {
    /// The open file itself, for as long as this one is there.
    pub(super) fn as_ptr(&self) -> *const bindings::file {
        self.0.as_ptr()
    }

    /// Reads from `pos` on into `to`, and moves `pos`. Returns how much that was: 0 at the end.
    ///
    /// # Errors
    ///
    /// Those of `read()`.
    pub(super) fn read(&self, to: &mut [u8], pos: &mut i64) -> Result<usize> {
        let file = self.0.as_ptr();
        // CAST: A `loff_t` is a number of 64 bits, by whatever name.
        let pos = core::ptr::from_mut(pos).cast();
        // SAFETY: There is a reference to the file, which is open. `to` has room for that many bytes.
        let len = unsafe { bindings::kernel_read(file, to.as_mut_ptr().cast(), to.len(), pos) };
        usize::try_from(len).map_err(|_| {
            // An error number is small.
            Error::from_errno(c_int::try_from(len).unwrap_or(EIO.to_errno()))
        })
    }
}
