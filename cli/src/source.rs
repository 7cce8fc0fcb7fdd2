// SPDX-License-Identifier: GPL-2.0

//! Where a text comes from: the live file with its queries, a saved one, or procfs in its place.
//!
//! [`Source::ask`] gives the bytes of a text that has at least what the query asks for. A saved text is whole, so that
//! commands look for what they want in each answer, whatever it has besides. Nothing here looks into a text.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::text::{Device, Inum};

mod absent;
pub mod procfs;

/// The file of the module.
pub const LIVE: &str = "/proc/nsinspect";

/// What the live file is asked for: docs/format.md, "Queries". The default asks for namespaces, processes and mounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The process with that number on the host.
    pub pid: Option<u32>,
    /// That with a number in a pid namespace.
    pub upid: Option<(u32, Inum)>,
    /// That namespace, and who is in it.
    pub ns: Option<Inum>,
    /// The mounts of that device.
    pub device: Option<Device>,
    /// The mount with that 64-bit id.
    pub mount: Option<u64>,
    /// No threads of the kernel.
    pub user_only: bool,
    /// Which kinds of records.
    pub show: Option<Show>,
}

/// Kinds of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Show {
    pub ns: bool,
    pub tasks: bool,
    pub threads: bool,
    pub mounts: bool,
    pub holds: bool,
}

impl Query {
    /// Whether it asks for one process, and what belongs to that.
    fn is_of_one(&self) -> bool {
        self.pid.is_some() || self.upid.is_some()
    }

    /// Asks for records of these kinds, by their names in a query: `ns,tasks`.
    pub fn show(kinds: &str) -> Self {
        let mut show = Show::default();
        for kind in kinds.split(',') {
            match kind {
                "ns" => show.ns = true,
                "tasks" => show.tasks = true,
                "threads" => show.threads = true,
                "mounts" => show.mounts = true,
                "holds" => show.holds = true,
                _ => debug_assert!(false, "no kind of record is called {kind}"),
            }
        }
        Self {
            show: Some(show),
            ..Self::default()
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if let Some(pid) = self.pid {
            words.push(format!("pid={pid}"));
        }
        if let Some((number, ns)) = self.upid {
            words.push(format!("upid={number}@{ns}"));
        }
        if let Some(ns) = self.ns {
            words.push(format!("ns={ns}"));
        }
        if let Some(device) = self.device {
            words.push(format!("dev={device}"));
        }
        if let Some(mount) = self.mount {
            words.push(format!("mount={mount}"));
        }
        if self.user_only {
            words.push("kind=user".to_string());
        }
        if let Some(show) = self.show {
            let kinds: Vec<_> = [
                (show.ns, "ns"),
                (show.tasks, "tasks"),
                (show.threads, "threads"),
                (show.mounts, "mounts"),
                (show.holds, "holds"),
            ]
            .into_iter()
            .filter_map(|(wanted, name)| wanted.then_some(name))
            .collect();
            words.push(format!("show={}", kinds.join(",")));
        }
        f.write_str(&words.join(" "))
    }
}

/// Why there is no text: the cause, and the cure.
#[derive(Debug)]
pub struct Error {
    /// What is wrong.
    pub cause: String,
    /// What to do about it.
    pub cure: String,
}

impl Error {
    pub(crate) fn new(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            cure: cure.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause, self.cure)
    }
}

impl std::error::Error for Error {}

/// Where texts come from.
#[derive(Debug)]
pub enum Source {
    /// The module's file on this machine.
    Live(Live),
    /// A text that was saved, on this machine or another.
    Saved(Saved),
    /// procfs and system calls, which know less.
    Procfs(procfs::Procfs),
}

impl Source {
    /// Opens the live file.
    ///
    /// # Errors
    ///
    /// Says why there is none, and what to do.
    pub fn live() -> Result<Self, Error> {
        Live::open(Path::new(LIVE)).map(Self::Live)
    }

    /// Loads the module, if it is not, and opens the live file. That taints the kernel, so nobody does it unasked.
    ///
    /// # Errors
    ///
    /// Says why it does not load, and what to do.
    pub fn load() -> Result<Self, Error> {
        absent::load()?;
        Self::live()
    }

    /// Reads a saved text; `-` is standard input.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn saved(path: &Path) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            io::stdin().lock().read_to_end(&mut bytes)
        } else {
            File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
        }
        .map_err(|error| {
            Error::new(
                format!("cannot read {}: {}", path.display(), reason(&error)),
                "--from takes a file that \"nsinspect save\" has written, or - for standard input",
            )
        })?;
        Ok(Self::Saved(Saved {
            path: path.to_path_buf(),
            bytes,
        }))
    }

    /// What a saved text is called, or the live file.
    pub fn name(&self) -> String {
        match self {
            Self::Live(_) => LIVE.to_string(),
            Self::Saved(saved) => saved.path.display().to_string(),
            Self::Procfs(_) => "procfs".to_string(),
        }
    }

    /// Whether files and processes of this machine are those of the text.
    pub fn is_here(&self) -> bool {
        !matches!(self, Self::Saved(_))
    }

    /// What this source cannot know.
    pub fn missing(&self) -> &[&'static str] {
        match self {
            Self::Procfs(procfs) => procfs.missing(),
            _ => &[],
        }
    }

    /// Gives a text that has at least what the query asks for.
    ///
    /// # Errors
    ///
    /// Says why there is none, and what to do.
    pub fn ask(&self, query: &Query) -> Result<std::borrow::Cow<'_, [u8]>, Error> {
        match self {
            Self::Live(live) => live.ask(query).map(Into::into),
            Self::Saved(saved) => Ok(saved.bytes.as_slice().into()),
            Self::Procfs(procfs) => procfs.ask(query).map(Into::into),
        }
    }
}

/// A text that was saved.
#[derive(Debug)]
pub struct Saved {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// So large, in bytes, are most texts at most.
const MOST_TEXTS: usize = 32 << 20;

/// The same of a text about one process.
const ONE: usize = 16 << 10;

/// The module's file, open.
#[derive(Debug)]
pub struct Live {
    file: File,
}

impl Live {
    fn open(path: &Path) -> Result<Self, Error> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map(|file| Self { file })
            .map_err(|error| absent::explain(&error))
    }

    fn ask(&self, query: &Query) -> Result<Vec<u8>, Error> {
        let mut file = &self.file;
        file.write_all(format!("{query}\n").as_bytes())
            .map_err(|error| absent::explain_query(&error, query))?;
        let progress = Progress::start();
        let mut bytes = Vec::new();
        // Of a large text this is address space alone, which costs nothing: one that grows bit by bit has its memory in small
        // pages. A short one would have a large page cleared for it.
        if query.is_of_one() {
            bytes.reserve(ONE);
        } else {
            let _ = bytes.try_reserve(MOST_TEXTS);
        }
        let result = file.read_to_end(&mut bytes);
        drop(progress);
        bytes.shrink_to_fit();
        match result {
            Ok(_) => Ok(bytes),
            Err(error) => Err(absent::explain_read(&error)),
        }
    }
}

/// Says on a terminal that something goes on, once it takes long. Ends with the value.
#[derive(Debug)]
pub struct Progress {
    end: Option<(mpsc::Sender<()>, thread::JoinHandle<()>)>,
}

impl Progress {
    const PATIENCE: Duration = Duration::from_secs(2);

    /// Begins to watch the time, if standard error is a terminal.
    pub fn start() -> Self {
        if !io::stderr().is_terminal() {
            return Self { end: None };
        }
        let (sender, receiver) = mpsc::channel();
        let begun = Instant::now();
        let handle = thread::spawn(move || {
            let mut wait = Self::PATIENCE;
            let mut shown = false;
            while receiver.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                eprint!("\rnsinspect: reading for {} s ", begun.elapsed().as_secs());
                shown = true;
                wait = Duration::from_secs(1);
            }
            if shown {
                eprint!("\r\x1b[K");
            }
        });
        Self {
            end: Some((sender, handle)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, handle)) = self.end.take() {
            drop(sender);
            let _ = handle.join();
        }
    }
}

/// The system's words for an error, without the number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}
