// SPDX-License-Identifier: GPL-2.0

//! The commands, one file each: from the picture to rows.
//!
//! A command says which query has what it needs, looks for what was asked in the picture, and gives rows. How these are
//! shown is the output's business: [`Session::show`].

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use crate::args::{Args, Command, Common, Listing, SourceKind};
use crate::identity::{Containers, Names};
use crate::output::filter::Filter;
use crate::output::{self, Appearance, Cell, Column, Form, Origin, Table};
use crate::source::{self, procfs::Procfs, Query, Source};
use crate::system::System;
use crate::text;
use crate::what::{self, Target, What};

mod audit;
mod change;
mod completions;
mod containers;
mod diff;
mod explain;
mod holders;
mod mounts;
mod ns;
mod pid;
mod ps;
mod save;
mod summary;
mod users;
mod verify;
mod watch;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// It is not there.
    NotThere(String),
    /// What was typed makes no sense.
    Usage(String),
    /// There is no text.
    NoSource(source::Error),
    /// The text is not as it should be: where it comes from, and what is wrong.
    Text(String, text::Error),
    /// The output cannot be written.
    Output(io::Error),
}

impl Failure {
    /// The exit status that says so.
    pub fn status(&self) -> u8 {
        match self {
            Self::NotThere(_) | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::NoSource(_) => 3,
            Self::Text(..) => 4,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere(text) | Self::Usage(text) => f.write_str(text),
            Self::NoSource(error) => error.fmt(f),
            Self::Text(name, error) => write!(f, "{name}: {error}"),
            Self::Output(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<source::Error> for Failure {
    fn from(error: source::Error) -> Self {
        Self::NoSource(error)
    }
}

impl From<what::Error> for Failure {
    fn from(error: what::Error) -> Self {
        match error {
            what::Error::Usage(text) => Self::Usage(text),
            what::Error::NotThere(text) => Self::NotThere(text),
        }
    }
}

/// The exit status of a command that has found nothing it should warn of.
pub const DONE: u8 = 0;
/// That of a command that looks for something, and has found it.
pub const FOUND: u8 = 1;

/// Runs what was typed, and gives the exit status.
///
/// # Errors
///
/// Says why it could not.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failure> {
    let common = &args.common;
    match &args.command {
        None => summary::run(&Session::open(common)?, out),
        Some(Command::Containers(args)) => containers::run(common, args, out),
        Some(Command::Ps(args)) => ps::run(common, args, out),
        Some(Command::Ns(args)) => ns::run(common, args, out),
        Some(Command::Mounts(args)) => mounts::run(common, args, out),
        Some(Command::Pid(args)) => pid::run(common, args, out),
        Some(Command::Holders(args)) => holders::run(common, args, out),
        Some(Command::Explain(args)) => explain::run(&Session::open(common)?, args, out),
        Some(Command::Audit(args)) => audit::run(common, args, out),
        Some(Command::Diff(args)) => diff::run(common, args, out),
        Some(Command::Watch(args)) => watch::run(common, args, out),
        Some(Command::Save(args)) => save::run(&Session::open(common)?, args, out),
        Some(Command::Verify(args)) => verify::run(common, args, out),
        Some(Command::Completions(args)) => completions::run(args, out),
    }
}

/// The columns of each command that has some.
pub fn columns() -> Vec<(&'static str, &'static [Column])> {
    vec![
        ("containers", containers::COLUMNS),
        ("ps", ps::COLUMNS),
        ("ns", ns::COLUMNS),
        ("mounts", mounts::COLUMNS),
        ("pid", pid::COLUMNS),
        ("holders", holders::COLUMNS),
        ("audit", audit::COLUMNS),
        ("diff", change::COLUMNS),
    ]
}

/// What all commands work with: where the text comes from, and where names do.
#[derive(Debug)]
pub struct Session<'a> {
    /// The options of all commands.
    pub common: &'a Common,
    /// Where texts come from.
    pub source: Source,
    /// The names of containers.
    pub names: Names,
}

impl<'a> Session<'a> {
    /// Opens the source that the options name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn open(common: &'a Common) -> Result<Self, Failure> {
        let source = match (&common.from, common.source) {
            (Some(path), _) => Source::saved(path)?,
            (None, Some(SourceKind::Procfs)) => Source::Procfs(Procfs::open()?),
            (None, _) if common.load => Source::load()?,
            (None, _) => Source::live()?,
        };
        Ok(Self::with(common, source))
    }

    /// The same with a source that is open already.
    pub fn with(common: &'a Common, source: Source) -> Self {
        let names = match &common.root {
            Some(root) => Names::below(root),
            None if source.is_here() => Names::below(Path::new("/")),
            None => Names::none(),
        };
        Self {
            common,
            source,
            names,
        }
    }

    /// Gives a text that has at least what the query asks for.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn ask(&self, query: &Query) -> Result<Cow<'_, [u8]>, Failure> {
        Ok(self.source.ask(query)?)
    }

    /// Reads a text into a picture.
    ///
    /// # Errors
    ///
    /// The text is not as it should be.
    pub fn picture<'t>(&self, text: &'t [u8]) -> Result<System<'t>, Failure> {
        System::read(text).map_err(|error| Failure::Text(self.source.name(), error))
    }

    /// Finds the containers of a picture.
    pub fn containers(&self, system: &System<'_>) -> Containers {
        Containers::find(system, &self.names)
    }

    /// What was typed, by its form.
    ///
    /// # Errors
    ///
    /// It has the form of something, and is not.
    pub fn what(&self, text: &str) -> Result<What, Failure> {
        Ok(What::parse(text, self.source.is_here())?)
    }

    /// All that several words mean.
    ///
    /// # Errors
    ///
    /// One is not there, or means several things.
    pub fn targets<'c>(
        &self,
        words: &[String],
        system: &System<'_>,
        containers: &'c Containers,
    ) -> Result<Vec<Target<'c>>, Failure> {
        let mut targets = Vec::new();
        for word in words {
            targets.extend(self.what(word)?.resolve(system, containers)?);
        }
        Ok(targets)
    }

    /// What is said of the source in JSON.
    pub fn origin(&self, system: &System<'_>) -> Origin {
        Origin {
            source: self.source.name(),
            missing: self.source.missing().to_vec(),
            release: String::from_utf8_lossy(&system.text.release.bytes()).into_owned(),
            uptime: system.text.uptime,
        }
    }

    /// Says once what the source cannot know.
    pub fn tell_missing(&self) {
        let missing = self.source.missing();
        if !missing.is_empty() {
            eprintln!(
                "nsinspect: {} does not know: {}",
                self.source.name(),
                missing.join(", ")
            );
        }
    }

    /// Shows rows. `cell` gives the value of a column, by its name, in a row.
    ///
    /// # Errors
    ///
    /// A column or a filter that makes no sense; those of the output.
    pub fn show<'c, R>(
        &self,
        view: &View<'_>,
        rows: &'c [(R, usize)],
        cell: &dyn Fn(&'c R, &str) -> Cell<'c>,
        system: &System<'_>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let columns = view.columns()?;
        let filter = view.filter()?;
        let kept = kept(rows, view.tree.is_some(), |row| {
            filter
                .as_ref()
                .is_none_or(|filter| filter.matches(&|at| cell(row, filter.columns[at].name).data))
        });
        let rows: Vec<&'c (R, usize)> = rows
            .iter()
            .zip(kept)
            .filter_map(|(row, keep)| keep.then_some(row))
            .collect();
        let table = Table {
            name: view.name,
            tree: view
                .tree
                .and_then(|name| columns.iter().position(|one| one.name == name)),
            depths: rows.iter().map(|(_, depth)| *depth).collect(),
            cell: &|row, column| cell(&rows[row].0, columns[column].name),
            columns: columns.clone(),
        };
        let style = self.appearance(view.listing);
        if matches!(style.form, Form::Table | Form::Raw) {
            self.tell_missing();
        }
        table.write(out, style, &self.origin(system))?;
        Ok(())
    }

    /// How the options want it to look.
    pub fn appearance(&self, listing: &Listing) -> Appearance {
        let form = match listing {
            Listing { json: true, .. } => Form::Json,
            Listing { jsonl: true, .. } => Form::JsonLines,
            Listing { raw: true, .. } => Form::Raw,
            _ => Form::Table,
        };
        Appearance {
            form,
            no_headings: listing.noheadings,
            color: output::wants_color(self.common.color),
            width: match self.common.width {
                Some(0) => None,
                Some(width) => Some(width),
                None => output::terminal_width(),
            },
        }
    }
}

/// Which rows are shown: those that match, and in a tree what is above them.
fn kept<'c, R>(
    rows: &'c [(R, usize)],
    is_tree: bool,
    matches: impl Fn(&'c R) -> bool,
) -> Vec<bool> {
    let mut kept: Vec<bool> = rows.iter().map(|(row, _)| matches(row)).collect();
    if is_tree {
        // From below: the depth that the next row above must be less deep than to be kept.
        let mut needed = 0;
        for at in (0..rows.len()).rev() {
            let depth = rows[at].1;
            if kept[at] || depth < needed {
                kept[at] = true;
                needed = depth;
            }
        }
    }
    kept
}

/// What a command's rows are, and how the options want to see them.
#[derive(Debug)]
pub struct View<'a> {
    /// What the rows are, for JSON.
    pub name: &'static str,
    /// All columns that there are.
    pub all: &'static [Column],
    /// The options.
    pub listing: &'a Listing,
    /// The column that a tree is drawn in, if there is one.
    pub tree: Option<&'static str>,
}

impl View<'_> {
    /// The columns that are shown.
    ///
    /// # Errors
    ///
    /// There is no such column.
    pub fn columns(&self) -> Result<Vec<&'static Column>, Failure> {
        output::choose(self.all, self.listing.output.as_deref()).map_err(Failure::Usage)
    }

    /// The filter, if there is one.
    ///
    /// # Errors
    ///
    /// It makes no sense.
    pub fn filter(&self) -> Result<Option<Filter>, Failure> {
        self.listing
            .filter
            .as_ref()
            .map(|text| Filter::parse(text, self.all))
            .transpose()
            .map_err(Failure::Usage)
    }

    /// Whether a column is looked at, to be shown or to filter by.
    ///
    /// # Errors
    ///
    /// Those of [`View::columns`] and [`View::filter`].
    pub fn uses(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.columns()?.iter().any(|one| one.name == name)
            || self
                .filter()?
                .is_some_and(|filter| filter.columns.iter().any(|one| one.name == name)))
    }

    /// Does what `--list-columns` asks for, which settles it. Otherwise looks whether columns and filter make sense, before
    /// anything is read.
    ///
    /// # Errors
    ///
    /// Those of [`View::columns`] and [`View::filter`]; those of the output.
    pub fn is_settled(&self, out: &mut dyn Write) -> Result<bool, Failure> {
        if self.listing.list_columns {
            output::list_columns(out, self.all)?;
        } else {
            self.columns()?;
            self.filter()?;
        }
        Ok(self.listing.list_columns)
    }
}
