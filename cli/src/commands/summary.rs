// SPDX-License-Identifier: GPL-2.0

//! `summary`

use super::{Failure, Session};
use std::io::Write;
pub(super) fn run(_session: &Session<'_>, _out: &mut dyn Write) -> Result<u8, Failure> {
    Err(Failure::Usage("this command is not there yet".to_string()))
}
