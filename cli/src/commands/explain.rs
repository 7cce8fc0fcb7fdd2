// SPDX-License-Identifier: GPL-2.0

//! `explain`

use std::io::Write;

use crate::args::Explain;

use super::{Failure, Session};

pub(super) fn run(
    _session: &Session<'_>,
    _args: &Explain,
    _out: &mut dyn Write,
) -> Result<u8, Failure> {
    Err(Failure::Usage("this command is not there yet".to_string()))
}
