// SPDX-License-Identifier: GPL-2.0

//! The program: reads what was typed, runs the command, and ends with its status.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use nsinspect::args;
use nsinspect::commands::{self, Failure};

fn main() -> ExitCode {
    let args = args::parse();
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let result = commands::run(&args, &mut out).and_then(|status| {
        out.flush()?;
        Ok(status)
    });
    match result {
        Ok(status) => ExitCode::from(status),
        // Who reads our output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // What was written before belongs before.
            let _ = out.flush();
            eprintln!("nsinspect: {failure}");
            ExitCode::from(failure.status())
        }
    }
}
