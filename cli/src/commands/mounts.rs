// SPDX-License-Identifier: GPL-2.0

//! `mounts`

use std::io::Write;

use crate::args::{Common, Mounts};

use super::Failure;

pub(super) fn run(_common: &Common, _args: &Mounts, _out: &mut dyn Write) -> Result<u8, Failure> {
    Err(Failure::Usage("this command is not there yet".to_string()))
}
