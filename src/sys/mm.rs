// SPDX-License-Identifier: GPL-2.0

//! `struct mm_struct`: the program that a task runs, and the files that it has mapped.
//!
//! C header: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use super::{
    bindings,
    file::FileRef,
    read_once,
    task::TaskLock, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// The memory of a task.
///
/// Nothing here takes `mmap_lock`: whoever maps a file of a file system that does not answer holds that
/// for as long as they like.
///
/// # Invariants
///
/// The task's `alloc_lock` is held until `'l` ends, so that `mm` stays its memory, of which it is a user.
pub(crate) struct Mm<'l> {
    mm: NonNull<bindings::mm_struct>,
    _lock: PhantomData<(&'l (), *mut ())>,
}

/// How often the program is looked for that is replaced meanwhile.
const MAX_REPEATS: usize = 4;

impl<'l> Mm<'l> {
    /// The memory that `mm` points to; `None` if it is null.
    ///
    /// # Safety
    ///
    /// `mm` must be `task_struct::mm` of the task whose lock is `_lock`, and that task not a kernel thread.
    pub(super) unsafe fn of(
        mm: *mut bindings::mm_struct,
        _lock: &'l TaskLock<'_, '_>,
    ) -> Option<Self> {
        // INVARIANT: `exit_mm()` and `exec_mmap()` take `alloc_lock` before they replace the memory of a
        // task, and drop what it has of it after that.
        Some(Self {
            mm: NonNull::new(mm)?,
            _lock: PhantomData,
        })
    }

    /// How many mappings there are. C: `mm_struct::map_count`.
    pub(crate) fn map_count(&self) -> usize {
        // SAFETY: The memory is valid by the type invariants. C reads it without a lock, too.
        let count = unsafe { read_once(&raw const (*self.mm.as_ptr()).__bindgen_anon_1.map_count) };
        usize::try_from(count).unwrap_or(0)
    }

    /// The program. C: `get_mm_exe_file()`.
    pub(crate) fn exe(&self, _rcu: &rcu::Guard) -> Option<FileRef> {
        // SAFETY: The memory is valid by the type invariants, and the RCU read lock is held. The place
        // holds null or a file that stays one until it is replaced, which drops its reference.
        let place = unsafe { &raw const (*self.mm.as_ptr()).__bindgen_anon_1.exe_file };
        // SAFETY: As above.
        (0..MAX_REPEATS).find_map(|_| unsafe { FileRef::get(place) })
    }

    /// The file of the first mapping that ends behind `from` and has another one than `last`, which is an
    /// address. Looks at `max` mappings at most; `None` if there are none.
    ///
    /// C: `mt_find()`, as in `find_vma()`, but under RCU.
    pub(crate) fn next_mapped_file(
        &self,
        from: usize,
        last: usize,
        max: usize,
        _rcu: &rcu::Guard,
    ) -> Option<Passed> {
        // SAFETY: The memory is valid by the type invariants. Only an address is computed.
        let tree = unsafe { &raw mut (*self.mm.as_ptr()).__bindgen_anon_1.mm_mt };
        // SAFETY: The tree is that of memory which has a user, so that its nodes are freed through RCU:
        // `exit_mmap()` ends that once there is none. The function takes the RCU read lock.
        let find = |at: &mut c_ulong| unsafe { bindings::mt_find(tree, at, c_ulong::MAX) };
        let mut passed = Passed {
            count: 0,
            next: from,
            file: None,
            last,
        };
        while passed.count < max && passed.file.is_none() {
            passed.count = passed.count.wrapping_add(1);
            // CAST: `unsigned long` has 64 bits.
            let mut at = passed.next as c_ulong;
            let vma = NonNull::new(find(&mut at).cast::<bindings::vm_area_struct>())?.as_ptr();
            // CAST: As above. Behind the last address there is nothing.
            passed.next = if at == 0 { usize::MAX } else { at as usize };
            // SAFETY: What was found in the tree is a mapping. It may be taken out of it just then, and its
            // memory be that of another one, but of nothing else while the RCU read lock is held
            // (`SLAB_TYPESAFE_BY_RCU`). Its `vm_file` holds null, or points at what is, or has been since
            // then, a file.
            let place = unsafe { &raw const (*vma).vm_file };
            // SAFETY: As above. The pointer is not followed.
            let address = unsafe { read_once(place) };
            if address.is_null() || address.addr() == passed.last {
                continue;
            }
            // SAFETY: As above; the RCU read lock is held.
            let Some(file) = (unsafe { FileRef::get(place) }) else {
                continue;
            };
            // It may be another file that got the memory of the one that was mapped, and not even be open
            // yet. But if the mapping is in the tree now, and has this file, to which there is a reference,
            // then this is the file that is mapped.
            let mut inside = at.wrapping_sub(1);
            let again = find(&mut inside);
            // SAFETY: As above. The pointer is not followed.
            let now = unsafe { read_once(place) };
            if ptr::eq(again.cast(), vma) && ptr::eq(now, file.as_ptr()) {
                passed.last = file.as_ptr().addr();
                passed.file = Some(file);
            }
        }
        Some(passed)
    }

    /// Which memory it is.
    pub(crate) fn key(&self) -> MmKey {
        // SAFETY: The memory is valid by the type invariants. C reads the count without a lock, too.
        let users =
            unsafe { read_once(&raw const (*self.mm.as_ptr()).__bindgen_anon_1.mm_users.counter) };
        MmKey {
            address: self.mm.as_ptr().addr(),
            users: u32::try_from(users).unwrap_or(0),
        }
    }
}

/// Which memory a task has.
#[derive(Clone, Copy)]
pub(crate) struct MmKey {
    /// Its address: never print it.
    pub(crate) address: usize,
    /// How many tasks have it, and others who use it for a moment.
    pub(crate) users: u32,
}

/// How far a look at mappings went.
pub(crate) struct Passed {
    /// How many were looked at.
    pub(crate) count: usize,
    /// The address to go on from.
    pub(crate) next: usize,
    /// The file of the last one.
    pub(crate) file: Option<FileRef>,
    /// The address of that, or of the one before: neighbours often have the same.
    pub(crate) last: usize,
}
