// SPDX-License-Identifier: GPL-2.0

//! `mounts`: mounts of any mount namespace, as `findmnt` draws them.
//!
//! Columns that `findmnt` has as well have its names and its values. The kernel is asked for no more than what is shown:
//! one namespace (`ns=`), one device (`dev=`), or all.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use crate::args::{Common, Listing, Mounts};
use crate::identity::{Container, Containers};
use crate::output::{tree, Cell, Column, Mark, Words};
use crate::source::{Query, Source};
use crate::system::{is_below, tidy, System};
use crate::text::{Device, Inum, Mount, NsType};
use crate::what::{namespace_of, Target, What};

use super::{Failure, Session, View, DONE};

mod compare;
mod copies;
mod peers;

use compare::Change;
use copies::Copies;

/// The columns.
pub static COLUMNS: &[Column] = &[
    Column::new(
        "CHANGE",
        "",
        "with --compare: - only in A, + only in B, ~ in both, and not the same",
    )
    .extra(),
    Column::new("IN", "", "with --compare: A or B, as it was typed").extra(),
    Column::new("GROUP", "mountinfo.7", "its peer group: who shares what is mounted on it")
        .right()
        .extra(),
    Column::new("ROLE", "mountinfo.7", "shared, or slave of a peer group").extra(),
    Column::new("NS", "mount.2", "its mount namespace").right().extra(),
    Column::new("CONTAINER", "", "whose namespace that is: a container, pod, unit or jail")
        .extra()
        .shrinks(10),
    Column::new("TARGET", "mountinfo.5", "where it is mounted").shrinks(12),
    Column::new("SOURCE", "mountinfo.10", "what is mounted; in brackets which directory of it").shrinks(10),
    Column::new("FSTYPE", "mountinfo.9", "the type of the file system").shrinks(6),
    Column::new("OPTIONS", "", "VFS-OPTIONS and FS-OPTIONS in one list").shrinks(10),
    Column::new(
        "REACH",
        "mount.4",
        "root: its path leads there; over: another lies on top; covered: another covers a directory on the way; outside: not below the root",
    )
    .extra(),
    Column::new("DIFFERS", "", "with --compare: the columns that are not the same in A and B").extra(),
    Column::new("MAJ:MIN", "mountinfo.3", "the device of the file system").extra(),
    Column::new("FSROOT", "mountinfo.4", "which directory of the file system is mounted")
        .extra()
        .shrinks(8),
    Column::new("VFS-OPTIONS", "mountinfo.6", "the options of the mount")
        .extra()
        .shrinks(10),
    Column::new("FS-OPTIONS", "mountinfo.11", "the options of the file system")
        .extra()
        .shrinks(10),
    Column::new(
        "PROPAGATION",
        "mountinfo.7",
        "shared or private; slave, unbindable",
    )
    .extra(),
    Column::new("OPT-FIELDS", "mountinfo.7", "the same, with the numbers of the groups").extra(),
    Column::new("MASTER", "mountinfo.7", "the peer group that it is a slave of")
        .right()
        .extra(),
    Column::new("ID", "mountinfo.1", "its id in mountinfo, which is used again")
        .right()
        .extra(),
    Column::new("PARENT", "mountinfo.2", "the id of the mount that it is on")
        .right()
        .extra(),
    Column::new("UNIQ-ID", "mount.3", "its id that is never used again")
        .right()
        .extra(),
    Column::new("LOCKED", "mount.4", "1: it cannot be unmounted alone")
        .right()
        .extra(),
    Column::new(
        "COPY",
        "mount.4",
        "1: a copy of one in another mount namespace; known where all mounts are read, or --dev",
    )
    .right()
    .extra(),
];

/// As many namespaces are asked for one by one.
const FEW: usize = 8;

/// A row.
#[derive(Clone, Copy, Debug)]
struct Entry<'a, 't> {
    mount: &'a Mount<'t>,
    change: Option<Change<'a>>,
}

impl<'a, 't> Entry<'a, 't> {
    fn new(mount: &'a Mount<'t>) -> Self {
        Self {
            mount,
            change: None,
        }
    }
}

pub(super) fn run(common: &Common, args: &Mounts, out: &mut dyn Write) -> Result<u8, Failure> {
    let view = View {
        name: "mounts",
        all: COLUMNS,
        listing: &args.listing,
        tree: None,
    };
    if view.is_settled(out)? {
        return Ok(DONE);
    }
    if args.all && !args.what.is_empty() {
        return Err(Failure::Usage(
            "--all means all mount namespaces, so that none is to be named besides".to_string(),
        ));
    }
    let under = args.under.as_deref().map(directory).transpose()?;
    let session = Session::open(common)?;
    let plan = Plan::new(&session, args, view.uses("CONTAINER")? || args.peers)?;

    let text = session.ask(&plan.first)?;
    let system = session.picture(&text)?;
    let containers = session.containers(&system);
    let scope = plan.scope(&system, &containers)?;
    let texts = plan
        .more(&scope)
        .iter()
        .map(|query| session.ask(query))
        .collect::<Result<Vec<_>, _>>()?;
    let pictures = texts
        .iter()
        .map(|text| session.picture(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut pictures: Vec<&System<'_>> = pictures.iter().collect();
    if pictures.is_empty() {
        pictures.push(&system);
    }

    let mut mounts = scope.mounts(&pictures);
    // A file system may have another number than the device that it is on.
    let again;
    let again_picture;
    let mut is_again = false;
    if mounts.is_empty() && plan.is_live && !plan.devices.names.is_empty() {
        again = session.ask(&Query::show("mounts"))?;
        again_picture = session.picture(&again)?;
        pictures = vec![&again_picture];
        is_again = true;
        mounts = scope.mounts(&pictures);
        let devices = plan.devices.by_name(&pictures);
        mounts.retain(|mount| devices.contains(&mount.device));
    } else if !plan.devices.is_empty() {
        let devices = plan.devices.all(&pictures, plan.is_live);
        mounts.retain(|mount| devices.contains(&mount.device));
    }
    if let Some(under) = &under {
        mounts.retain(|mount| is_below(&mount.point.bytes(), under));
    }

    let (name, entries): (_, Vec<(Entry<'_, '_>, usize)>) = if let Some(names) = &args.compare {
        ("changes", compare::rows(&mounts, &scope, names))
    } else if args.peers {
        let everywhere: Vec<_> = pictures.iter().flat_map(|one| &one.mounts).collect();
        let is_whole = args.what.is_empty() && plan.devices.is_empty() && under.is_none();
        let seeds = (!is_whole).then_some(mounts.as_slice());
        ("peers", peers::rows(&everywhere, seeds))
    } else if args.tree {
        ("mounts", tree(&mounts))
    } else {
        let rows = mounts.iter().map(|mount| (Entry::new(mount), 0));
        ("mounts", rows.collect())
    };

    let listing = usual(args, &entries);
    let view = View {
        name,
        listing: &listing,
        // A slave has a group above it, not a mount.
        tree: (args.tree || (args.peers && !listing.json)).then_some("TARGET"),
        ..view
    };
    let owners = owners(&system, &containers);
    let copies = view
        .uses("COPY")?
        .then(|| Copies::find(&pictures, plan.knows(&scope, is_again)));
    session.show(
        &view,
        &entries,
        &|entry, column| match column {
            // procfs does not know.
            "LOCKED" if matches!(session.source, Source::Procfs(_)) => Cell::absent(),
            _ => cell(entry, column, &owners, copies.as_ref()),
        },
        &system,
        out,
    )?;
    Ok(DONE)
}

/// A directory, as it was typed.
fn directory(path: &str) -> Result<Vec<u8>, Failure> {
    tidy(path.as_bytes()).ok_or_else(|| {
        Failure::Usage(format!(
            "\"{path}\" is no path from the root: --under takes one that begins with /"
        ))
    })
}

/// The options, with the columns that these rows usually have.
fn usual(args: &Mounts, entries: &[(Entry<'_, '_>, usize)]) -> Listing {
    let mut columns = if args.compare.is_some() {
        "CHANGE,IN,TARGET,SOURCE,FSTYPE,OPTIONS,DIFFERS".to_string()
    } else if args.peers {
        "GROUP,ROLE,NS,CONTAINER,TARGET,SOURCE".to_string()
    } else {
        let first = entries.first().map(|(entry, _)| entry.mount.ns);
        let has_several = entries.iter().any(|(one, _)| Some(one.mount.ns) != first);
        let is_hidden = entries
            .iter()
            .any(|(entry, _)| entry.mount.reach() != b"root");
        format!(
            "{}TARGET,SOURCE,FSTYPE,OPTIONS{}",
            if has_several { "NS," } else { "" },
            if is_hidden { ",REACH" } else { "" }
        )
    };
    let mut listing = args.listing.clone();
    match listing
        .output
        .as_deref()
        .map(|output| output.strip_prefix('+'))
    {
        None => listing.output = Some(columns),
        Some(Some(more)) => {
            columns.push(',');
            columns.push_str(more);
            listing.output = Some(columns);
        }
        Some(None) => {}
    }
    listing
}

/// Devices that were typed, by number or by name.
#[derive(Debug, Default)]
pub(super) struct Devices {
    numbers: Vec<Device>,
    names: Vec<Vec<u8>>,
}

impl Devices {
    /// Adds what was typed: `8:1`, `dev:8:1`, `/dev/sda1`.
    pub(super) fn add(&mut self, session: &Session<'_>, word: &str) -> Result<(), Failure> {
        if let Some(device) = Device::from_bytes(word.as_bytes()) {
            self.numbers.push(device);
            return Ok(());
        }
        match session.what(word)? {
            What::Device(device) => {
                self.numbers.push(device);
                if word.starts_with('/') {
                    self.names.push(word.as_bytes().to_vec());
                    if let Ok(path) = fs::canonicalize(word) {
                        self.names.push(path.as_os_str().as_bytes().to_vec());
                    }
                }
                Ok(())
            }
            What::Path(path) if !session.source.is_here() => {
                self.names.push(path.as_os_str().as_bytes().to_vec());
                Ok(())
            }
            _ => Err(Failure::Usage(format!(
                "\"{word}\" is no device: MAJOR:MINOR, as 8:1, or a file of one, as /dev/sda1"
            ))),
        }
    }

    fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.names.is_empty()
    }

    /// Their numbers. In a saved text, a name means what was mounted by that name.
    fn all(&self, pictures: &[&System<'_>], is_live: bool) -> HashSet<Device> {
        let mut devices: HashSet<_> = self.numbers.iter().copied().collect();
        if !is_live {
            devices.extend(self.by_name(pictures));
        }
        devices
    }

    /// The numbers of file systems that were mounted by these names. That of btrfs is another one than the device's.
    pub(super) fn by_name(&self, pictures: &[&System<'_>]) -> HashSet<Device> {
        pictures
            .iter()
            .flat_map(|one| &one.mounts)
            .filter(|mount| self.names.iter().any(|name| *mount.source.bytes() == *name))
            .map(|mount| mount.device)
            .collect()
    }
}

/// What to ask for.
struct Plan<'a> {
    args: &'a Mounts,
    words: Vec<What>,
    paths: Vec<Vec<u8>>,
    devices: Devices,
    is_live: bool,
    /// The mount namespace that we are in, if the text is of this machine: where paths mean something.
    own: Option<Inum>,
    /// Who is in which namespace must be known.
    wants_tasks: bool,
    /// What is asked for first.
    first: Query,
    /// The first text has no mounts.
    is_split: bool,
}

/// Where to look for mounts.
pub(super) struct Scope {
    /// In these mount namespaces; `None`: in all.
    namespaces: Option<Vec<Inum>>,
    /// For what these paths lead to, in these namespaces.
    paths: Vec<(Inum, Vec<u8>)>,
}

impl<'a> Plan<'a> {
    fn new(
        session: &Session<'_>,
        args: &'a Mounts,
        wants_container: bool,
    ) -> Result<Self, Failure> {
        let mut plan = Self {
            args,
            words: Vec::new(),
            paths: Vec::new(),
            devices: Devices::default(),
            is_live: matches!(session.source, Source::Live(_)),
            own: session.source.is_here().then(own_namespace).flatten(),
            wants_tasks: args.compare.is_some(),
            first: Query::show("ns,tasks,mounts"),
            is_split: false,
        };
        if let Some(device) = &args.dev {
            plan.devices.add(session, device)?;
        }
        for word in args.compare.as_ref().unwrap_or(&args.what) {
            match session.what(word)? {
                What::Device(_) if args.compare.is_none() => plan.devices.add(session, word)?,
                What::Path(path) if args.compare.is_none() => {
                    plan.paths.push(path.as_os_str().as_bytes().to_vec());
                }
                what => {
                    plan.wants_tasks = true;
                    plan.words.push(what);
                }
            }
        }
        plan.wants_tasks |= wants_container && (!plan.devices.is_empty() || args.all);
        if !plan.is_live || args.all || args.peers {
            return Ok(plan);
        }
        if plan.wants_tasks {
            plan.first = Query::show("ns,tasks");
            plan.is_split = true;
        } else {
            plan.first = Query::show("mounts");
            plan.first.device = plan.one_device();
            if !plan.is_everywhere() {
                plan.first.ns = plan
                    .own
                    .filter(|_| !plan.paths.is_empty())
                    .or(plan.host(None));
            }
        }
        Ok(plan)
    }

    fn one_device(&self) -> Option<Device> {
        match self.devices.numbers.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Whether mounts of all namespaces are meant.
    fn is_everywhere(&self) -> bool {
        let says_where = !self.words.is_empty() || !self.paths.is_empty();
        !says_where && (self.args.all || self.args.peers || !self.devices.is_empty())
    }

    /// The host's mount namespace. The kernels that the module is for give it a fixed number.
    fn host(&self, system: Option<&System<'_>>) -> Option<Inum> {
        match system {
            Some(system) if !self.is_live => system.host(NsType::Mnt),
            _ => Inum::new(NsType::Mnt.initial()),
        }
    }

    /// Where to look.
    fn scope(&self, system: &System<'_>, containers: &Containers) -> Result<Scope, Failure> {
        let mut scope = Scope {
            namespaces: None,
            paths: Vec::new(),
        };
        let host = || {
            self.host(Some(system))
                .ok_or_else(|| Failure::NotThere("there is no mount namespace".to_string()))
        };
        if !self.is_everywhere() {
            let mut namespaces = Vec::new();
            for what in &self.words {
                let found = mount_namespaces(&what.resolve(system, containers)?, what, system)?;
                if self.args.compare.is_some() && found.len() != 1 {
                    return Err(Failure::Usage(format!(
                        "{what} means {} mount namespaces, and --compare takes two: {}",
                        found.len(),
                        list(&found)
                    )));
                }
                namespaces.extend(found);
            }
            if self.args.compare.is_none() {
                let mut seen = HashSet::new();
                namespaces.retain(|one| seen.insert(*one));
            }
            for path in &self.paths {
                let place = self.own.map_or_else(host, Ok)?;
                scope.paths.push((place, path.clone()));
            }
            if namespaces.is_empty() && scope.paths.is_empty() {
                namespaces.push(host()?);
            }
            scope.namespaces = Some(namespaces);
        }
        Ok(scope)
    }

    /// How it can be known which mounts are copies.
    fn knows(&self, scope: &Scope, is_again: bool) -> copies::Knowledge {
        let asks_device = self.is_live && !is_again && self.one_device().is_some();
        if asks_device && !self.args.all && !self.args.peers {
            copies::Knowledge::Told
        } else if !self.is_live || is_again || scope.namespaces.is_none() {
            copies::Knowledge::All
        } else {
            copies::Knowledge::None
        }
    }

    /// What else to ask for: the mounts, where the first text has none.
    fn more(&self, scope: &Scope) -> Vec<Query> {
        if !self.is_split {
            return Vec::new();
        }
        let mut query = Query::show("mounts");
        query.device = self.one_device();
        let Some(namespaces) = &scope.namespaces else {
            return vec![query];
        };
        let mut all: Vec<Inum> = namespaces.clone();
        all.extend(scope.paths.iter().map(|(ns, _)| *ns));
        all.sort_unstable();
        all.dedup();
        if all.len() > FEW {
            return vec![query];
        }
        all.into_iter()
            .map(|ns| Query {
                ns: Some(ns),
                ..query
            })
            .collect()
    }
}

impl Scope {
    /// The mounts in it, those of a namespace together.
    fn mounts<'a, 't>(&self, pictures: &[&'a System<'t>]) -> Vec<&'a Mount<'t>> {
        let Some(namespaces) = &self.namespaces else {
            return pictures.iter().flat_map(|one| &one.mounts).collect();
        };
        let mut mounts = Vec::new();
        let mut seen = HashSet::new();
        for ns in namespaces {
            // With --compare both may be the same.
            if seen.insert(*ns) {
                mounts.extend(pictures.iter().flat_map(|one| one.mounts_of(*ns)));
            }
        }
        for (ns, path) in &self.paths {
            let found = pictures
                .iter()
                .find_map(|one| one.mount_points(*ns).of(path));
            mounts.extend(found.filter(|_| !seen.contains(ns)));
        }
        mounts
    }
}

/// The mount namespace that we are in ourselves.
pub(super) fn own_namespace() -> Option<Inum> {
    let link = fs::read_link("/proc/self/ns/mnt").ok()?;
    let number = OsStr::as_bytes(link.as_os_str())
        .strip_prefix(b"mnt:[")?
        .strip_suffix(b"]")?;
    Inum::new(std::str::from_utf8(number).ok()?.parse().ok()?)
}

fn list(namespaces: &[Inum]) -> String {
    let names: Vec<_> = namespaces.iter().map(Inum::to_string).collect();
    names.join(", ")
}

/// The mount namespaces of what was named.
fn mount_namespaces(
    targets: &[Target<'_>],
    what: &What,
    system: &System<'_>,
) -> Result<Vec<Inum>, Failure> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut failure = None;
    for target in targets {
        match (namespace_of(target, NsType::Mnt, system), target) {
            (Some(ns), _) => {
                if seen.insert(ns) {
                    found.push(ns);
                }
            }
            (None, Target::Namespace(index)) => {
                failure = Some(Failure::Usage(format!(
                    "{what} is a {} namespace, and has no mounts: name a mount namespace, a process or a container",
                    system.namespaces[*index].ns_type
                )));
            }
            (None, _) => {
                failure = Some(Failure::NotThere(format!(
                    "{what} has no mount namespace any more: it has ended"
                )));
            }
        }
    }
    // Of several, some may have ended.
    match failure {
        Some(failure) if found.is_empty() => Err(failure),
        _ => Ok(found),
    }
}

/// Whose mount namespaces are: that of the oldest process in each. The host's is nobody's.
pub(super) fn owners<'c>(
    system: &System<'_>,
    containers: &'c Containers,
) -> HashMap<Inum, Option<&'c Container>> {
    let mut owners = HashMap::new();
    if let Some(host) = system.host(NsType::Mnt) {
        owners.insert(host, None);
    }
    for (index, task) in system.tasks.iter().enumerate() {
        if let Some(ns) = task.mntns {
            owners
                .entry(ns)
                .or_insert_with(|| containers.of_task(index));
        }
    }
    owners
}

/// Puts mounts below those that they are on. A mount whose parent is not shown stands at the top.
fn tree<'a, 't>(mounts: &[&'a Mount<'t>]) -> Vec<(Entry<'a, 't>, usize)> {
    let at: HashMap<(Inum, u32), usize> = mounts
        .iter()
        .enumerate()
        .map(|(index, mount)| ((mount.ns, mount.mnt_id), index))
        .collect();
    let rows = tree::rows(mounts.len(), |one| {
        at.get(&(mounts[one].ns, mounts[one].parent)).copied()
    });
    rows.into_iter()
        .map(|(one, depth)| (Entry::new(mounts[one]), depth))
        .collect()
}

/// `shared`, `slave of 7`, or both.
fn role(mount: &Mount<'_>) -> Option<String> {
    match (mount.peer_group("shared"), mount.peer_group("master")) {
        (None, None) => None,
        (Some(_), None) => Some("shared".to_string()),
        (None, Some(master)) => Some(format!("slave of {master}")),
        (Some(_), Some(master)) => Some(format!("shared, slave of {master}")),
    }
}

fn raw_words(raw: &[u8]) -> Cell<'_> {
    Words::from_escaped(crate::text::Escaped::new(raw)).into()
}

fn cell<'a>(
    entry: &Entry<'a, 'a>,
    column: &str,
    owners: &HashMap<Inum, Option<&'a Container>>,
    copies: Option<&Copies>,
) -> Cell<'a> {
    let mount = entry.mount;
    match column {
        "CHANGE" => entry.change.map(|change| Words::sign(change.sign)).into(),
        "IN" => entry.change.map(|change| change.place).into(),
        "DIFFERS" => match entry.change {
            Some(change) if change.sign == "~" => Cell::list(change.differs.names()),
            _ => Cell::absent(),
        },
        "GROUP" => mount.peer_group("shared").into(),
        "MASTER" => mount.peer_group("master").into(),
        "ROLE" => role(mount).into(),
        "NS" => mount.ns.into(),
        "CONTAINER" => owners
            .get(&mount.ns)
            .copied()
            .flatten()
            .map_or_else(Cell::absent, |one| super::ps::container_cell(one, column)),
        "TARGET" => Cell::from(mount.point).marked(if mount.reach() == b"root" {
            Mark::Plain
        } else {
            Mark::Dim
        }),
        "SOURCE" => Words::from(mount.source_and_root()).into(),
        "FSTYPE" => mount.fstype.into(),
        "OPTIONS" => Words::from(mount.merged_options()).into(),
        "REACH" => raw_words(mount.reach()),
        "MAJ:MIN" => mount.device.to_string().into(),
        "FSROOT" => mount.root.into(),
        "VFS-OPTIONS" => raw_words(mount.options),
        "FS-OPTIONS" => raw_words(mount.super_options),
        "PROPAGATION" => mount.propagation().into(),
        "OPT-FIELDS" if mount.optional.is_empty() => Cell::absent(),
        "OPT-FIELDS" => raw_words(mount.optional),
        "ID" => mount.mnt_id.into(),
        "PARENT" => mount.parent.into(),
        "UNIQ-ID" => mount.id.into(),
        "LOCKED" => mount.has("locked").into(),
        "COPY" => copies.and_then(|copies| copies.has(mount)).into(),
        _ => Cell::absent(),
    }
}
