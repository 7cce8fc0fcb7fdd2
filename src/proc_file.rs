// SPDX-License-Identifier: GPL-2.0

//! `/proc/nsinspect`: who may open it, and what a read gets.

#![deny(unsafe_code)]

use crate::{
    snapshot::{
        Snapshot,
        Sources, //
    },
    sys::{
        access,
        procfs::ProcFile, //
    },
    text::Text,
};
use kernel::{
    fs::LocalFile,
    iov::IovIterDest,
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

/// The file.
pub(crate) struct NsInspectFile;

/// One who has it open.
#[pin_data]
pub(crate) struct Open {
    /// The text, from the first read on: all reads are of the same snapshot.
    #[pin]
    text: Mutex<Option<Text>>,
}

impl ProcFile for NsInspectFile {
    type Context = Sources;
    type Open = Pin<KBox<Open>>;

    /// # Errors
    ///
    /// `EPERM` for whoever may not see all namespaces; `ENOMEM`.
    fn open(_sources: &Sources) -> Result<Pin<KBox<Open>>> {
        access::check_may_see_all_namespaces()?;
        KBox::try_pin_init(
            try_pin_init!(Open {
                text <- new_mutex!(None, "nsinspect_text"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// # Errors
    ///
    /// `ENOMEM`; `EFAULT`; `EINVAL` for a negative `pos`.
    fn read(
        sources: &Sources,
        open: Pin<&Open>,
        file: &LocalFile,
        pos: &mut i64,
        to: &mut IovIterDest<'_>,
    ) -> Result<usize> {
        let mut text = open.text.lock();
        if let Some(text) = &*text {
            return text.read(pos, to);
        }
        let taken = Snapshot::take(sources, file)?.render()?;
        text.insert(taken).read(pos, to)
    }
}
