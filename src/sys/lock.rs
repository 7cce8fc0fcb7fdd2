// SPDX-License-Identifier: GPL-2.0

//! `struct mutex`, with a wait that a fatal signal ends.
//!
//! C header: [`include/linux/mutex.h`](srctree/include/linux/mutex.h)

use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    },
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::LockClassKey,
    types::Opaque, //
};

/// A mutex around a `T`. The kernel crate's own has no `lock()` that can be interrupted.
///
/// # Invariants
///
/// `mutex` is an initialized `struct mutex`. Only who holds it uses `data`.
#[pin_data]
pub(crate) struct KillableMutex<T> {
    #[pin]
    mutex: Opaque<bindings::mutex>,
    data: UnsafeCell<T>,
}

// SAFETY: The mutex may be used by all tasks, and one at a time uses the data.
unsafe impl<T: Send> Send for KillableMutex<T> {}
// SAFETY: As above.
unsafe impl<T: Send> Sync for KillableMutex<T> {}

impl<T> KillableMutex<T> {
    /// Initializes it. C: `mutex_init()`.
    pub(crate) fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `__mutex_init()` initializes it.
            mutex <- Opaque::ffi_init(|mutex| {
                // SAFETY: `mutex` is valid for writes; name and key are static.
                unsafe { bindings::__mutex_init(mutex, name.as_char_ptr(), key.as_ptr()) }
            }),
            data: UnsafeCell::new(data),
        })
    }

    /// Waits for the mutex, and takes it. C: `mutex_lock_killable()`.
    ///
    /// # Errors
    ///
    /// `EINTR` if a fatal signal came first.
    pub(crate) fn lock(&self) -> Result<Guard<'_, T>> {
        let mutex = self.mutex.get();
        #[cfg(not(CONFIG_DEBUG_LOCK_ALLOC))]
        // SAFETY: It is initialized by the type invariants.
        let result = unsafe { bindings::mutex_lock_killable(mutex) };
        #[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
        // SAFETY: It is initialized by the type invariants; there is no other lock that it nests in.
        let result = unsafe { bindings::_mutex_lock_killable(mutex, 0, core::ptr::null_mut()) };
        to_result(result)?;
        // INVARIANT: It was just taken.
        Ok(Guard {
            lock: self,
            _not_send: PhantomData,
        })
    }
}

/// A [`KillableMutex`] that is held.
///
/// # Invariants
///
/// The current task holds the mutex.
pub(crate) struct Guard<'a, T> {
    lock: &'a KillableMutex<T>,
    _not_send: PhantomData<*mut ()>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The mutex is held by the type invariants, so nobody else uses the data.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: As above, and this guard is borrowed mutably.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: The mutex is held by the type invariants.
        unsafe { bindings::mutex_unlock(self.lock.mutex.get()) };
    }
}
