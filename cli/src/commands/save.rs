// SPDX-License-Identifier: GPL-2.0

//! `save`: the text as it is, for `--from` on this machine or another.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::args::Save;
use crate::source::Query;
use crate::text::Text;

use super::{Failure, Session, DONE};

pub(super) fn run(session: &Session<'_>, args: &Save, out: &mut dyn Write) -> Result<u8, Failure> {
    let kinds = match (args.threads, args.holds) {
        (false, false) => None,
        (true, false) => Some("ns,tasks,threads,mounts"),
        (false, true) => Some("ns,tasks,mounts,holds"),
        (true, true) => Some("ns,tasks,threads,mounts,holds"),
    };
    let text = session.ask(&kinds.map_or_else(Query::default, Query::show))?;
    Text::open(&text).map_err(|error| Failure::Text(session.source.name(), error))?;
    session.tell_missing();
    if args.file == Path::new("-") {
        out.write_all(&text)?;
        return Ok(DONE);
    }
    // It tells what only root may know.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&args.file)
        .and_then(|mut file| file.write_all(&text))
        .map_err(|error| {
            Failure::Usage(format!(
                "cannot write {}: {}",
                args.file.display(),
                crate::source::reason(&error)
            ))
        })?;
    Ok(DONE)
}
