// SPDX-License-Identifier: GPL-2.0

//! Writes the man pages into a directory: `cargo run --example man -- DIRECTORY`.

use std::path::Path;
use std::{env, fs, io, process};

use clap::CommandFactory;
use nsinspect::args::Args;

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1) else {
        eprintln!("usage: man DIRECTORY");
        process::exit(2);
    };
    fs::create_dir_all(&directory)?;
    let mut command = Args::command();
    command.build();
    write(&command, "nsinspect", Path::new(&directory))?;
    for one in command
        .get_subcommands()
        .filter(|one| one.get_name() != "help")
    {
        write(
            one,
            &format!("nsinspect-{}", one.get_name()),
            Path::new(&directory),
        )?;
    }
    Ok(())
}

fn write(command: &clap::Command, name: &str, directory: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    let shown: &'static str = Box::leak(name.to_string().into_boxed_str());
    clap_mangen::Man::new(command.clone().name(shown)).render(&mut page)?;
    fs::write(directory.join(format!("{name}.1")), page)
}
