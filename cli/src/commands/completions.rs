// SPDX-License-Identifier: GPL-2.0

//! `completions`: what a shell can complete.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell as Target;

use crate::args::{Args, Completions, Shell};

use super::{Failure, DONE};

pub(super) fn run(args: &Completions, out: &mut dyn Write) -> Result<u8, Failure> {
    let shell = match args.shell {
        Shell::Bash => Target::Bash,
        Shell::Zsh => Target::Zsh,
        Shell::Fish => Target::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "nsinspect", &mut script);
    out.write_all(&script)?;
    Ok(DONE)
}
