// SPDX-License-Identifier: GPL-2.0

//! What can be typed: commands and their options. Help, man pages and completions come from here.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::audit::{Severity, RULES};
use crate::text;

/// Reads the arguments of this process. Ends it with a message, and clap's status, where they make no sense, or where they ask
/// for help or the version.
pub fn parse() -> Args {
    let mut command = Args::command();
    if env::args_os().any(|argument| argument == "--version" || argument == "-V") {
        command = command.version(&*versions(Path::new("/sys/module/nsinspect")).leak());
    }
    Args::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

/// The versions of this command, of the module that is loaded, and of the text's format, a line each.
fn versions(module: &Path) -> String {
    let loaded = match fs::read_to_string(module.join("version")) {
        Ok(version) => version.trim().to_string(),
        Err(_) if module.exists() => "loaded, too old to tell its version".to_string(),
        Err(_) => "not loaded".to_string(),
    };
    format!(
        "{}\nmodule {loaded}\nformat {}",
        env!("CARGO_PKG_VERSION"),
        text::FORMAT
    )
}

/// Shows how processes, namespaces and mounts of this machine hang together.
#[derive(Debug, Parser)]
#[command(
    name = "nsinspect",
    version,
    about = "Shows how processes, namespaces, containers and mounts of a machine hang together",
    long_about = "Shows how processes, namespaces, containers and mounts of a machine hang together, from the kernel's own \
                  structures, which the module nsinspect shows in /proc/nsinspect.\n\n\
                  Without a command it says in ten lines what is here.",
    after_help = "Exit status: 0 done; 1 not there, or something was found (audit, diff, verify); 2 usage; 3 no source; 4 the text is cut short, or of \
                  a format that is not known.",
    after_long_help = "WHAT, where a command takes it, is what you have at hand:\n\n  \
        4711               a process, by its number on the host\n  \
        7@web              the process that is number 7 in the container web\n  \
        4026532280         a namespace, by its inode number; also pid:[4026532280]\n  \
        /proc/1/ns/mnt     a namespace, by a file of it; also /run/netns/x\n  \
        web                a container, pod or unit, by its name or the beginning of its id\n  \
        dev:8:1            a device; also /dev/sda1\n  \
        /mnt/data          what is mounted there\n  \
        comm:nginx         processes, by their name\n\n\
        What means two things is an error that lists both.\n\n\
        Exit status: 0 done; 1 not there, or something was found (audit, diff, verify); 2 usage; 3 no source; 4 the text is cut short, or of a \
        format that is not known.\n\n\
        Files: /proc/nsinspect. Environment: NO_COLOR, CLICOLOR_FORCE."
)]
pub struct Args {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    /// What to do; without one, the summary.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of all commands.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Source and colour")]
pub struct Common {
    /// Read a saved text instead of /proc/nsinspect; - is standard input
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["source", "load"])]
    pub from: Option<PathBuf>,
    /// Where to look: the module, or procfs and system calls, which know less
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "SOURCE",
        conflicts_with = "load"
    )]
    pub source: Option<SourceKind>,
    /// Load the module first, if it is not loaded; that taints the kernel
    #[arg(long, global = true)]
    pub load: bool,
    /// Look below DIR for the files that name containers and users: where the disk of the machine of a saved text is
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Cut lines to so many columns; 0: cut nothing [default: as wide as the terminal]
    #[arg(long, global = true, value_name = "COLUMNS")]
    pub width: Option<usize>,
}

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceKind {
    /// /proc/nsinspect
    Module,
    /// /proc, listns(), listmount(), statmount()
    Procfs,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Options of commands that show rows.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Output")]
pub struct Listing {
    /// Show these columns: A,B; or +A for this one besides the usual
    #[arg(short, long, value_name = "COLUMNS", allow_hyphen_values = true)]
    pub output: Option<String>,
    /// Say which columns there are, where the text has each, and what it means
    #[arg(short = 'H', long)]
    pub list_columns: bool,
    /// No headings
    #[arg(short, long = "noheadings")]
    pub noheadings: bool,
    /// One blank between columns, and none inside of them
    #[arg(short, long)]
    pub raw: bool,
    /// One JSON document
    #[arg(short = 'J', long, conflicts_with_all = ["raw", "jsonl"])]
    pub json: bool,
    /// A JSON document for each row
    #[arg(long, conflicts_with = "raw")]
    pub jsonl: bool,
    /// Show the rows for which this holds: 'NPROCS > 1 and TYPE == "mnt"'
    #[arg(short = 'Q', long, value_name = "EXPR")]
    pub filter: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Containers, units and jails, and which namespaces they share with the host
    Containers(Containers),
    /// Processes, with their numbers inside and outside
    Ps(Ps),
    /// Namespaces: who is in them, and what keeps them
    Ns(Ns),
    /// Mounts of any mount namespace
    Mounts(Mounts),
    /// A process's number at every level: 4711, or 7@web
    Pid(Pid),
    /// Who keeps a device, a mount or a namespace busy
    Holders(Holders),
    /// Draws the kernel's structures behind a process or namespace
    Explain(Explain),
    /// What is wrong here: states that let a container reach its host, and what does not end
    Audit(Audit),
    /// What changed between two saved texts, or since one
    Diff(Diff),
    /// What changes, as it happens, until it is ended
    Watch(Watch),
    /// Saves the text, for --from
    Save(Save),
    /// Compares the module's text with what else this machine tells
    Verify(Verify),
    /// Prints completions for a shell
    Completions(Completions),
}

#[derive(Debug, ClapArgs)]
#[allow(missing_docs)]
pub struct Containers {
    /// Only these containers
    #[arg(value_name = "WHAT")]
    pub what: Vec<String>,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, ClapArgs)]
#[allow(missing_docs)]
pub struct Ps {
    /// Only processes of these: a pid, a container, a namespace, comm:NAME …
    #[arg(value_name = "WHAT")]
    pub what: Vec<String>,
    /// Draw a tree: of parents and children, or of pid namespaces
    #[arg(short, long, value_enum, value_name = "KIND", num_args = 0..=1, require_equals = true, default_missing_value = "process")]
    pub tree: Option<PsTree>,
    /// Show threads, too
    #[arg(long)]
    pub threads: bool,
    /// Show threads of the kernel, too
    #[arg(short, long)]
    pub kthreads: bool,
    /// Only processes that are on the kernel's list but not found by number, or the other way round
    #[arg(long)]
    pub hidden: bool,
    #[command(flatten)]
    pub listing: Listing,
}

/// What a tree of processes is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PsTree {
    /// Parents and children
    Process,
    /// Pid namespaces: their first processes, and who else is in them
    Pidns,
}

#[derive(Debug, ClapArgs)]
#[allow(missing_docs)]
pub struct Ns {
    /// Only these namespaces; of a process or container, those that it is in
    #[arg(value_name = "WHAT")]
    pub what: Vec<String>,
    /// Only this type
    #[arg(short = 't', long = "type", value_name = "TYPE", value_parser = ["mnt", "uts", "ipc", "pid", "net", "cgroup", "user", "time"])]
    pub ns_type: Option<String>,
    /// Draw a tree: of parents, or of owners
    #[arg(long, value_enum, value_name = "KIND", num_args = 0..=1, require_equals = true, default_missing_value = "owner")]
    pub tree: Option<NsTree>,
    #[command(flatten)]
    pub listing: Listing,
}

/// What a tree of namespaces is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NsTree {
    /// Pid and user namespaces below the one around them
    Parent,
    /// All below the user namespace that owns them
    Owner,
}

#[derive(Debug, ClapArgs)]
#[allow(missing_docs)]
pub struct Mounts {
    /// Of these mount namespaces, containers or processes [default: the host's]
    #[arg(value_name = "WHAT")]
    pub what: Vec<String>,
    /// Draw a tree
    #[arg(short, long)]
    pub tree: bool,
    /// Of all mount namespaces
    #[arg(short = 'A', long)]
    pub all: bool,
    /// Only of this device: 8:1, /dev/sda1
    #[arg(long, value_name = "DEVICE")]
    pub dev: Option<String>,
    /// Only at or below this path
    #[arg(long, value_name = "PATH")]
    pub under: Option<String>,
    /// What A has and B has not, and the other way round
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["what", "all", "peers"])]
    pub compare: Option<Vec<String>>,
    /// Peer groups: who gets whose mounts, over all namespaces
    #[arg(long, conflicts_with = "tree")]
    pub peers: bool,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, ClapArgs)]
#[allow(missing_docs)]
pub struct Pid {
    /// A number on the host, or NUMBER@WHERE: a container, a namespace, or a process whose namespace is meant
    #[arg(
        value_name = "NUMBER[@WHERE]",
        required_unless_present = "list_columns"
    )]
    pub number: Option<String>,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, ClapArgs)]
#[allow(missing_docs)]
pub struct Holders {
    /// A device, a mount point, a directory, a namespace …
    #[arg(value_name = "WHAT", required_unless_present = "list_columns")]
    pub what: Option<String>,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, ClapArgs)]
#[allow(missing_docs)]
pub struct Explain {
    /// A process or a namespace
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// As a graph for Graphviz
    #[arg(long, conflicts_with = "svg")]
    pub dot: bool,
    /// As a picture
    #[arg(long)]
    pub svg: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = audit_help()
)]
#[allow(missing_docs)]
pub struct Audit {
    /// Say what a rule means, how it is abused, what is normal, and what to do; all: of each rule
    #[arg(long, value_name = "RULE", conflicts_with_all = ["baseline", "save_baseline", "since", "sarif"])]
    pub explain: Option<String>,
    /// Leave out what was accepted: what --save-baseline has written
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Accept all that is found: write it to FILE, by what it is and not by its number
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    pub save_baseline: Option<PathBuf>,
    /// From which severity on the exit status is 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = Severity::Low)]
    pub fail_on: Severity,
    /// Of what does not end, show what has been so since a saved text, or for so many seconds, which this waits
    #[arg(long, value_name = "FILE|SECONDS")]
    pub since: Option<String>,
    /// As SARIF 2.1.0, for tools that collect findings
    #[arg(long, conflicts_with_all = ["json", "jsonl", "raw"])]
    pub sarif: bool,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "Things are told apart by what is never used again: namespaces and mounts by their 64-bit ids, processes by their \
    number and the moment when they began. What came and went between the two texts is in neither.\n\n\
    Exit status: 0 nothing changed, 1 something did."
)]
#[allow(missing_docs)]
pub struct Diff {
    /// The older text; - is standard input
    #[arg(value_name = "A", required_unless_present = "list_columns")]
    pub before: Option<PathBuf>,
    /// The newer one [default: this machine, now]
    #[arg(value_name = "B")]
    pub after: Option<PathBuf>,
    /// Also each mount of a namespace that was made, or is gone
    #[arg(long)]
    pub each_mount: bool,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "It looks again and again, and tells what has changed since the look before. It cannot see what comes and goes between two looks, nor \
    that something changes and changes back; who must see that needs a tracer of events. Changes of processes that leave all namespaces as they are \
    (credentials, directories, cgroup, one process in place of another) are looked for at every twentieth look, or when something else changes; so are, once \
    a minute at an interval of one second, options of file systems that were remounted from elsewhere.\n\n\
    The time of an event is that of the look which saw it, in seconds since boot, as in dmesg.\n\n\
    SIGINT, SIGTERM and SIGHUP end it; so does the end of whoever reads its output. When a log is rotated, end it and start it anew. Exit status: 0."
)]
#[allow(missing_docs)]
pub struct Watch {
    /// Seconds from one look to the next
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub interval: Duration,
    /// A JSON document for each event
    #[arg(long)]
    pub jsonl: bool,
    /// Only events for which this holds, by the columns of diff: 'EVENT == "begun" or EVENT == "ended"'
    #[arg(short = 'Q', long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// Also each mount of a namespace that was made, or is gone
    #[arg(long)]
    pub each_mount: bool,
}

/// What `audit --help` and the man page say at the end.
fn audit_help() -> String {
    let rules: Vec<String> = RULES
        .iter()
        .map(|rule| format!("  {:4} {:9} {}", rule.id, rule.severity.name(), rule.title))
        .collect();
    format!(
        "It judges the state of one moment: who is in which namespaces, which device and directory each mount of a container shows. \
         It goes by what the kernel says, and not by names or paths. What came and went before is not seen.\n\n\
         Rules, and how bad their findings are as a rule:\n\n{}\n\n\
         Severities: info, worth to know; low, it makes an attack easier; warning, something is stuck; medium, it should not be so without a reason; \
         high, it lets who is in the container reach the host; critical, it has happened.\n\n\
         Exit status: 0 nothing found, or nothing as bad as --fail-on says; 1 something is.",
        rules.join("\n")
    )
}

/// Reads an interval: 0.05 to 3600 seconds.
fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "that is no number of seconds".to_string())?;
    if !(0.05..=3600.0).contains(&seconds) {
        return Err("at least 0.05 and at most 3600 seconds".to_string());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[derive(Debug, ClapArgs)]
#[allow(missing_docs)]
pub struct Save {
    /// Where to; - is standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// With all threads
    #[arg(long)]
    pub threads: bool,
    /// With everything that holds something
    #[arg(long)]
    pub holds: bool,
}

#[derive(Debug, ClapArgs)]
#[allow(missing_docs)]
pub struct Verify {
    /// Say every fact that was compared
    #[arg(short, long)]
    pub verbose: bool,
    /// One JSON document
    #[arg(short = 'J', long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
#[allow(missing_docs)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Shells that completions are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}
