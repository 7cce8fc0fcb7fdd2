// SPDX-License-Identifier: GPL-2.0

//! `/proc/nsinspect`: who may open it, and what a read gets.

#![deny(unsafe_code)]

use crate::{
    query::{
        Invalid,
        Query, //
    },
    render::Renderer,
    snapshot::{
        Snapshot,
        Sources, //
    },
    sys::{
        access,
        lock::KillableMutex,
        log,
        memory::{
            self,
            Box, //
        },
        procfs::ProcFile, //
    },
};
use kernel::{
    fs::LocalFile,
    iov::IovIterDest,
    prelude::*,
    uaccess::UserSliceReader, //
};

/// The file.
pub(crate) struct NsInspectFile;

/// One who has it open.
#[pin_data]
pub(crate) struct Open {
    #[pin]
    state: KillableMutex<State>,
}

/// What one who has it open has asked for, and got.
struct State {
    query: Query,
    /// The query is newer than the snapshot.
    is_pending: bool,
    /// The snapshot and its text, from the first read on: all reads until the next query are of the
    /// same.
    text: Option<Box<Renderer>>,
}

impl ProcFile for NsInspectFile {
    type Context = Sources;
    type Open = Pin<Box<Open>>;

    /// # Errors
    ///
    /// `EPERM` for whoever may not see all namespaces; `ENOMEM`.
    fn open(_sources: &Sources) -> Result<Pin<Box<Open>>> {
        access::check_may_see_all_namespaces()?;
        Box::pin_init(
            pin_init!(Open {
                state <- KillableMutex::new(
                    State {
                        query: Query::EVERYTHING,
                        is_pending: false,
                        text: None,
                    },
                    c"nsinspect_file",
                    kernel::static_lock_class!(),
                ),
            }),
            memory::charged(),
        )
    }

    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG` if the snapshot would take more memory than it may; `EINTR` if the reader is
    /// being killed; `EFAULT`; `EINVAL` for a negative `pos`.
    fn read(
        sources: &Sources,
        open: Pin<&Open>,
        file: &LocalFile,
        pos: &mut i64,
        to: &mut IovIterDest<'_>,
    ) -> Result<usize> {
        let mut state = open.state.lock()?;
        if state.is_pending && *pos == 0 {
            state.text = None;
        }
        if state.text.is_none() {
            state.text = Some(begin(sources, &state.query, file)?);
            state.is_pending = false;
        }
        state.text.as_mut().ok_or(EINVAL)?.read(pos, to)
    }

    /// Takes one query. The former one stays in force if it is none.
    ///
    /// # Errors
    ///
    /// `E2BIG` if it is too long; `EINVAL` if it is malformed; `EFAULT`; `EINTR` if the writer is being
    /// killed.
    fn write(open: Pin<&Open>, from: UserSliceReader) -> Result {
        let query = Self::parse(from)?;
        let mut state = open.state.lock()?;
        state.query = query;
        state.is_pending = true;
        Ok(())
    }
}

impl NsInspectFile {
    fn parse(mut from: UserSliceReader) -> Result<Query> {
        let mut line = [0; Query::MAX_BYTES];
        let parsed = match line.get_mut(..from.len()) {
            None => Err(Invalid::TooLong),
            Some(line) => {
                from.read_slice(line)?;
                Query::parse(line)
            }
        };
        parsed.map_err(|invalid| {
            log::rate_limited(|| pr_notice!("not a query: {}\n", invalid.reason()));
            invalid.into()
        })
    }
}

/// Takes a snapshot, and prepares to make the text of it.
// Not inlined: what it has on the stack is not to be there while the text is read.
#[inline(never)]
fn begin(sources: &Sources, query: &Query, file: &LocalFile) -> Result<Box<Renderer>> {
    let snapshot = Snapshot::take(sources, query, file).inspect_err(|e| {
        if *e == EFBIG {
            say_what_is_smaller(sources, query);
        }
    })?;
    Ok(Box::new(Renderer::new(snapshot)?, memory::charged())?)
}

/// Says in the log, once, which query takes less memory.
fn say_what_is_smaller(sources: &Sources, query: &Query) {
    let smaller = query.smaller();
    let max = sources.max_memory();
    kernel::pr_notice_once!(
        "a read would take more than {max} bytes (parameter max_memory); this takes less: {smaller}\n"
    );
}
