// SPDX-License-Identifier: GPL-2.0

//! `ns`

use super::Failure;
use crate::args::{Common, Ns};
use std::io::Write;
pub(super) fn run(_common: &Common, _args: &Ns, _out: &mut dyn Write) -> Result<u8, Failure> {
    Err(Failure::Usage("this command is not there yet".to_string()))
}
