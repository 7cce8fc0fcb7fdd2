// SPDX-License-Identifier: GPL-2.0

//! From rows to what people and programs read: tables, trees, JSON.
//!
//! A command describes its columns once ([`Column`]) and makes [`Row`]s of [`Cell`]s; which columns are shown, in
//! which form, and which rows, is decided here. Nothing in here knows what a namespace is.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

pub mod filter;
pub mod json;
pub mod printable;
pub mod table;
pub mod tree;

pub use printable::Words;

use crate::text::{Escaped, Value};

/// A column of a command.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading, and its name for `-o`, `-Q` and JSON.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// Where the text has it: `kind.key` of format 1; empty where it is joined from several.
    pub key: &'static str,
    /// Numbers stand at the right.
    pub right: bool,
    /// It is shown unless others are asked for.
    pub default: bool,
    /// It may be cut where the terminal is too narrow, down to so many columns; 0: it may not.
    pub shrink: usize,
}

impl Column {
    /// A column with its text at the left that is shown by default.
    pub const fn new(name: &'static str, key: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            key,
            right: false,
            default: true,
            shrink: 0,
        }
    }

    /// With its text at the right.
    pub const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// Only shown if it is asked for.
    pub const fn extra(mut self) -> Self {
        self.default = false;
        self
    }

    /// May be cut down to so many columns.
    pub const fn shrinks(mut self, to: usize) -> Self {
        self.shrink = to;
        self
    }
}

/// What is said of a cell besides its value: by colour, and never by colour alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    #[default]
    Plain,
    /// Shared with the host; a `*` stands behind it.
    Shared,
    /// Something is wrong, as the word in the cell says.
    Bad,
    /// Of less weight.
    Dim,
    /// What one looks for first.
    Strong,
}

impl Mark {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Shared | Self::Bad => AnsiColor::Red.on_default(),
            Self::Dim => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
        }
    }
}

/// The value of a column in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Data<'a> {
    /// There is none: `-`, and in JSON `null`.
    Absent,
    /// A number.
    Number(i128),
    /// Yes or no: 1 or 0, and in JSON `true` or `false`.
    Flag(bool),
    /// Words.
    Words(Words<'a>),
    /// Several.
    List(Vec<Data<'a>>),
    /// Several of these words, which are visible ASCII: those whose bits are 1, the first one's the lowest.
    Set(&'static [&'static str], u32),
}

/// One place of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell<'a> {
    /// What stands in it.
    pub data: Data<'a>,
    /// What is said of it.
    pub mark: Mark,
}

impl Cell<'_> {
    /// Nothing.
    pub const fn absent() -> Self {
        Self {
            data: Data::Absent,
            mark: Mark::Plain,
        }
    }

    /// The same, with something said of it.
    #[must_use]
    pub fn marked(mut self, mark: Mark) -> Self {
        self.mark = mark;
        self
    }

    /// Several values.
    pub fn list<T: Into<Self>>(list: impl IntoIterator<Item = T>) -> Self {
        Self {
            data: Data::List(list.into_iter().map(|one| one.into().data).collect()),
            mark: Mark::Plain,
        }
    }

    /// Several of the words that there are.
    pub const fn set(words: &'static [&'static str], bits: u32) -> Self {
        Self {
            data: Data::Set(words, bits),
            mark: Mark::Plain,
        }
    }
}

macro_rules! from_number {
    ($($type:ty),*) => {$(
        impl From<$type> for Cell<'_> {
            fn from(number: $type) -> Self {
                Self { data: Data::Number(number as i128), mark: Mark::Plain }
            }
        }
    )*};
}
from_number!(u32, u64, i64, usize, i128);

impl From<bool> for Cell<'_> {
    fn from(flag: bool) -> Self {
        Self {
            data: Data::Flag(flag),
            mark: Mark::Plain,
        }
    }
}

/// Words that are the program's own.
impl<'a> From<&'a str> for Cell<'a> {
    fn from(words: &'a str) -> Self {
        Self {
            data: Data::Words(words.into()),
            mark: Mark::Plain,
        }
    }
}

impl From<String> for Cell<'_> {
    fn from(words: String) -> Self {
        Words::from(words.into_bytes()).into()
    }
}

impl<'a> From<Words<'a>> for Cell<'a> {
    fn from(words: Words<'a>) -> Self {
        Self {
            data: Data::Words(words),
            mark: Mark::Plain,
        }
    }
}

impl<'a> From<Escaped<'a>> for Cell<'a> {
    fn from(text: Escaped<'a>) -> Self {
        Words::from_escaped(text).into()
    }
}

impl From<crate::text::Inum> for Cell<'_> {
    fn from(inum: crate::text::Inum) -> Self {
        inum.get().into()
    }
}

impl From<crate::text::NsType> for Cell<'_> {
    fn from(ns_type: crate::text::NsType) -> Self {
        Words::known(ns_type.name()).into()
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::absent(), Into::into)
    }
}

impl<'a> From<Value<'a>> for Cell<'a> {
    fn from(value: Value<'a>) -> Self {
        match value {
            Value::Absent => Self::absent(),
            Value::Number(number) => number.into(),
            Value::Flag(flag) => flag.into(),
            Value::Text(text) => text.into(),
            Value::Made(text) => text.into(),
            Value::List(list) => Self::list(list),
        }
    }
}

/// What a command has found: rows, and their columns. The cells are made when they are written, and not kept.
pub struct Table<'a> {
    /// What the rows are, in one word for JSON: `processes`.
    pub name: &'static str,
    /// The columns, in the order in which they are shown.
    pub columns: Vec<&'static Column>,
    /// How deep each row is in the tree; 0 everywhere if there is none. Of a tree each row stands below its parent, and
    /// above its own children.
    pub depths: Vec<usize>,
    /// The column that the tree is drawn in.
    pub tree: Option<usize>,
    /// Gives the cell of a row, by its number, in a column, by its number.
    pub cell: &'a dyn Fn(usize, usize) -> Cell<'a>,
}

/// How something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Aligned columns.
    Table,
    /// One blank between columns, everything escaped that is none.
    Raw,
    /// One JSON document.
    Json,
    /// A JSON document a line.
    JsonLines,
}

/// Where it goes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Appearance {
    /// The form.
    pub form: Form,
    /// Without headings.
    pub no_headings: bool,
    /// With colour.
    pub color: bool,
    /// So many columns are there; `None`: nothing is cut.
    pub width: Option<usize>,
}

/// What JSON says of where its numbers come from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The live file, a file's name, or procfs.
    pub source: String,
    /// What the source cannot know.
    pub missing: Vec<&'static str>,
    /// The kernel's release, and the nanoseconds since boot at which the text was made.
    pub release: String,
    /// See above.
    pub uptime: u64,
}

/// Whether standard output is to have colour. `NO_COLOR` and `CLICOLOR_FORCE` are as people agreed.
pub fn wants_color(choice: crate::args::ColorChoice) -> bool {
    use crate::args::ColorChoice;
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if is_set("NO_COLOR") => false,
        ColorChoice::Auto
            if is_set("CLICOLOR_FORCE")
                && std::env::var_os("CLICOLOR_FORCE").is_some_and(|one| one != "0") =>
        {
            true
        }
        ColorChoice::Auto => {
            io::stdout().is_terminal()
                && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
        }
    }
}

/// How many columns standard output has, if it is a terminal.
pub fn terminal_width() -> Option<usize> {
    io::stdout().is_terminal().then(|| {
        terminal_size::terminal_size_of(io::stdout())
            .map_or(80, |(width, _)| usize::from(width.0).max(1))
    })
}

/// Writes words with a mark.
pub fn write_marked(out: &mut dyn Write, text: &str, mark: Mark, color: bool) -> io::Result<()> {
    if color && mark != Mark::Plain {
        let style = mark.style();
        write!(out, "{style}{text}{style:#}")
    } else {
        out.write_all(text.as_bytes())
    }
}

impl Table<'_> {
    /// Writes it.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn write(&self, out: &mut dyn Write, style: Appearance, origin: &Origin) -> io::Result<()> {
        match style.form {
            Form::Table => table::write(self, out, style),
            Form::Raw => table::write_raw(self, out, style),
            Form::Json => json::write(self, out, origin),
            Form::JsonLines => json::write_lines(self, out),
        }
    }
}

/// Writes what `--list-columns` shows.
pub fn list_columns(out: &mut dyn Write, columns: &[Column]) -> io::Result<()> {
    let name = columns.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let key = columns.iter().map(|one| one.key.len()).max().unwrap_or(0);
    for one in columns {
        writeln!(
            out,
            "{:name$}  {:key$}  {}",
            one.name,
            if one.key.is_empty() { "-" } else { one.key },
            one.about
        )?;
    }
    Ok(())
}

/// Chooses columns by what `-o` says: `A,B` these, `+A` the usual ones and this one.
///
/// # Errors
///
/// Names the column that there is not.
pub fn choose(
    columns: &'static [Column],
    chosen: Option<&str>,
) -> Result<Vec<&'static Column>, String> {
    let usual = || columns.iter().filter(|one| one.default);
    let Some(chosen) = chosen else {
        return Ok(usual().collect());
    };
    let (mut list, names) = match chosen.strip_prefix('+') {
        Some(names) => (usual().collect(), names),
        None => (Vec::new(), chosen),
    };
    for name in names.split(',') {
        let name = name.trim();
        let one = columns
            .iter()
            .find(|one| one.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| format!("there is no column \"{name}\"; --list-columns shows all"))?;
        list.push(one);
    }
    Ok(list)
}
