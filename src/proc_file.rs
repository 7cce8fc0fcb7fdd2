// SPDX-License-Identifier: GPL-2.0

//! `/proc/nsinspect`: who may open it, and what a read gets.

#![deny(unsafe_code)]

use crate::{
    query::{
        Invalid,
        Query, //
    },
    render,
    snapshot::Sources,
    sys::{
        access,
        log,
        memory,
        procfs::ProcFile, //
    },
    text::Text,
};
use kernel::{
    fs::LocalFile,
    iov::IovIterDest,
    new_mutex,
    prelude::*,
    sync::Mutex,
    uaccess::UserSliceReader, //
};

/// The file.
pub(crate) struct NsInspectFile;

/// One who has it open.
#[pin_data]
pub(crate) struct Open {
    #[pin]
    state: Mutex<State>,
}

/// What one who has it open has asked for, and got.
struct State {
    query: Query,
    /// The query is newer than the text.
    is_pending: bool,
    /// The text, from the first read on: all reads until the next query are of the same snapshot.
    text: Option<Text>,
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
                state <- new_mutex!(
                    State {
                        query: Query::EVERYTHING,
                        is_pending: false,
                        text: None,
                    },
                    "nsinspect_file"
                ),
            }),
            memory::charged(),
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
        let mut state = open.state.lock();
        if state.is_pending && *pos == 0 {
            state.text = None;
        }
        if state.text.is_none() {
            state.text = Some(render::text_of(sources, &state.query, file)?);
            state.is_pending = false;
        }
        state.text.as_ref().ok_or(EINVAL)?.read(pos, to)
    }

    /// Takes one query. The former one stays in force if it is none.
    ///
    /// # Errors
    ///
    /// `E2BIG` if it is too long; `EINVAL` if it is malformed; `EFAULT`; `ENOMEM`.
    fn write(open: Pin<&Open>, from: UserSliceReader) -> Result {
        let query = Self::parse(from)?;
        let mut state = open.state.lock();
        state.query = query;
        state.is_pending = true;
        Ok(())
    }
}

impl NsInspectFile {
    fn parse(mut from: UserSliceReader) -> Result<Query> {
        let parsed = if from.len() > Query::MAX_BYTES {
            Err(Invalid::TooLong)
        } else {
            let mut line = KVec::from_elem(0, from.len(), memory::charged())?;
            from.read_slice(&mut line)?;
            Query::parse(&line)
        };
        parsed.map_err(|invalid| {
            log::rate_limited(|| pr_notice!("not a query: {}\n", invalid.reason()));
            invalid.into()
        })
    }
}
