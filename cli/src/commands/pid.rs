// SPDX-License-Identifier: GPL-2.0

//! `pid`

use super::Failure;
use crate::args::{Common, Pid};
use std::io::Write;
pub(super) fn run(_common: &Common, _args: &Pid, _out: &mut dyn Write) -> Result<u8, Failure> {
    Err(Failure::Usage("this command is not there yet".to_string()))
}
