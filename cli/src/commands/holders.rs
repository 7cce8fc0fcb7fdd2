// SPDX-License-Identifier: GPL-2.0

//! `holders`: who keeps a device, a file system, a mount or a namespace busy, and what would end that.
//!
//! Most of it is in the `hold` records. What these cannot know is joined from the mount records (layers of overlays, mounts
//! on mounts) and, if the text is of this machine, from its files (swap, loop devices, device mapper). The commands in the
//! column END are shown, and never run.

use std::collections::HashMap;
use std::io::Write;

use crate::args::{Common, Holders, Listing};
use crate::identity::{Container, Containers};
use crate::output::{Cell, Column};
use crate::source::{self, Query, Source};
use crate::system::System;
use crate::text::{Hold, Inum, NsType};

use super::mounts::owners;
use super::{Failure, Session, View, DONE};

mod end;
mod find;
mod machine;
mod overlay;
mod target;

use end::{Entrance, Exits};
use find::{Finder, Holder};
use machine::Machine;
use target::{Asked, Held};

/// The columns.
pub static COLUMNS: &[Column] = &[
    Column::new("HELD", "hold.3", "what is held: dev:8:1, net:[4026532195]; shown if there are several")
        .extra()
        .shrinks(16),
    Column::new(
        "BY",
        "hold.by",
        "by what; task: a process in a namespace; and overlay, submount, swap, loop, device, which are in no record",
    ),
    Column::new("PID", "hold.pid", "the process that does").right(),
    Column::new("COMMAND", "task.comm", "its name").shrinks(8),
    Column::new(
        "CONTAINER",
        "",
        "the container, pod, unit or jail of the process, or of the mount's namespace",
    )
    .shrinks(8),
    Column::new("FD", "hold.fd", "its descriptor").right(),
    Column::new("PATH", "hold.path", "what it has there, or where that is mounted").shrinks(12),
    Column::new("END", "", "the command that would end it; it is not run").shrinks(24),
    Column::new("MEANS", "", "the same in words").shrinks(16),
    Column::new("MOUNT", "hold.mount", "the mount, by its id that is never used again")
        .right()
        .extra(),
    Column::new(
        "AT",
        "hold.at",
        "attached; detached: unmounted with umount -l; anonymous: only a descriptor leads there",
    )
    .extra(),
    Column::new("MNTNS", "hold.mntns", "the mount namespace of the mount")
        .right()
        .extra(),
    Column::new("NS", "hold.ns", "the namespace below, or that it owns")
        .right()
        .extra(),
    Column::new("TID", "hold.tid", "the thread, where its process has not the same")
        .right()
        .extra(),
    Column::new("ALSO", "hold.also", "other processes that share it").extra(),
    Column::new("KEEPS", "hold.keeps", "0: it belongs to what is held, and does not keep it")
        .right()
        .extra(),
];

/// So many mount namespaces without processes are looked into for a way in.
const FEW: usize = 16;

pub(super) fn run(common: &Common, args: &Holders, out: &mut dyn Write) -> Result<u8, Failure> {
    let view = View {
        name: "holders",
        all: COLUMNS,
        listing: &args.listing,
        tree: None,
    };
    if view.is_settled(out)? {
        return Ok(DONE);
    }
    let session = Session::open(common)?;
    let asked = Asked::parse(&session, args.what.as_deref().unwrap_or_default())?;
    let is_live = matches!(session.source, Source::Live(_));

    let text = session.ask(&Query::show(if is_live {
        "ns,tasks"
    } else {
        "ns,tasks,mounts,holds"
    }))?;
    let context = session.picture(&text)?;
    if matches!(session.source, Source::Saved(_)) && context.holds.is_empty() {
        return Err(without_holds(&session));
    }
    let containers = session.containers(&context);

    // The mounts of all namespaces: where a path leads, and what lies on a file system.
    let mounts_text = (is_live && asked.is_place())
        .then(|| session.ask(&Query::show("mounts")))
        .transpose()?;
    let mounts = mounts_text
        .as_deref()
        .map(|text| session.picture(text))
        .transpose()?;
    let held = asked.held(
        &session,
        &context,
        &containers,
        mounts.as_ref().unwrap_or(&context),
    )?;

    let queries: Vec<Query> = held.iter().filter(|_| is_live).map(Held::query).collect();
    let texts = ask_all(&session, &queries)?;
    let pictures = read_all(&session, &texts)?;
    let holds: Vec<&Hold<'_>> = if is_live {
        pictures.iter().flat_map(|one| &one.holds).collect()
    } else {
        context.holds.iter().collect()
    };
    // Where a bind mount of a namespace is, must be known as well.
    let late_text = (is_live && mounts.is_none() && holds.iter().any(|hold| hold.mntns.is_some()))
        .then(|| session.ask(&Query::show("mounts")))
        .transpose()?;
    let late = late_text
        .as_deref()
        .map(|text| session.picture(text))
        .transpose()?;
    let mounts = mounts.as_ref().or(late.as_ref()).unwrap_or(&context);

    let mut exits = Exits::new(&context, mounts);
    let closed = exits.closed(&holds, FEW);
    let queries: Vec<Query> = closed
        .iter()
        .filter(|_| is_live)
        .map(|ns| Query {
            ns: Some(*ns),
            ..Query::show("holds")
        })
        .collect();
    let key_texts = ask_all(&session, &queries)?;
    let key_pictures = read_all(&session, &key_texts)?;
    let keys = key_pictures.iter().flat_map(|one| &one.holds);
    for ns in closed {
        let mut all = keys.clone().chain(holds.iter().copied());
        if let Some(entrance) = all.find_map(|hold| Entrance::by(hold, ns, &exits)) {
            exits.add(ns, entrance);
        }
    }

    if let Some(note) = asked.note(mounts) {
        eprintln!("nsinspect: {note}");
    }
    let finder = Finder {
        context: &context,
        mounts,
        exits: &exits,
        own_pid: own_pid(&session, &context),
        machine: session.source.is_here().then(Machine::here),
        place: asked.mount(),
    };
    let holders = finder.find(&held, &holds);
    let keeps = holders.iter().any(|holder| holder.keeps);

    let listing = usual(&args.listing, &held);
    let view = View {
        listing: &listing,
        ..view
    };
    let rows: Vec<_> = holders.into_iter().map(|holder| (holder, 0)).collect();
    let owners = owners(&context, &containers);
    if !rows.is_empty() || listing.json {
        session.show(
            &view,
            &rows,
            &|holder, column| cell(holder, column, &context, &containers, &owners),
            &context,
            out,
        )?;
    } else {
        session.tell_missing();
    }
    if keeps {
        Ok(DONE)
    } else {
        Err(Failure::NotThere(asked.nothing(&held)))
    }
}

fn ask_all<'s>(
    session: &'s Session<'_>,
    queries: &[Query],
) -> Result<Vec<std::borrow::Cow<'s, [u8]>>, Failure> {
    queries.iter().map(|query| session.ask(query)).collect()
}

fn read_all<'t>(
    session: &Session<'_>,
    texts: &'t [std::borrow::Cow<'_, [u8]>],
) -> Result<Vec<System<'t>>, Failure> {
    texts.iter().map(|text| session.picture(text)).collect()
}

fn without_holds(session: &Session<'_>) -> Failure {
    Failure::NoSource(source::Error::new(
        format!("{} was saved without hold records", session.source.name()),
        "\"nsinspect save --holds FILE\" saves them",
    ))
}

/// The options, with the columns that these rows usually have.
fn usual(listing: &Listing, held: &[Held]) -> Listing {
    let mut listing = listing.clone();
    if held.len() > 1 {
        let columns: Vec<_> = COLUMNS
            .iter()
            .filter(|one| one.default || one.name == "HELD")
            .map(|one| one.name)
            .collect();
        let columns = columns.join(",");
        listing.output = match listing.output.as_deref().map(|text| text.strip_prefix('+')) {
            None => Some(columns),
            Some(Some(more)) => Some(format!("{columns},{more}")),
            Some(None) => listing.output,
        };
    }
    listing
}

/// This very process, by its number on the host. It reads, and so has something open, but that is over at once.
fn own_pid(session: &Session<'_>, system: &System<'_>) -> Option<u32> {
    if !session.source.is_here() {
        return None;
    }
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let number = link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?;
    let ns = Inum::new(number.parse().ok()?)?;
    let own = std::process::id();
    let task = system
        .tasks
        .iter()
        .find(|task| task.upid.in_namespace(ns) == Some(own))?;
    Some(task.pid)
}

fn cell<'a>(
    holder: &'a Holder<'a>,
    column: &str,
    context: &'a System<'_>,
    containers: &'a Containers,
    owners: &HashMap<Inum, Option<&'a Container>>,
) -> Cell<'a> {
    match column {
        "HELD" => Cell::list(holder.held.iter().map(|one| one.name(context))),
        "BY" => holder.by.clone(),
        "PID" => holder.pid.into(),
        "COMMAND" => holder
            .pid
            .and_then(|pid| context.task(pid))
            .map(|task| task.comm)
            .into(),
        "CONTAINER" => {
            let of_process = holder
                .pid
                .and_then(|pid| context.task_index(pid))
                .and_then(|index| containers.of_task(index));
            let of_mount = holder
                .mntns
                .and_then(|ns| owners.get(&ns).copied().flatten());
            of_process
                .or(of_mount.filter(|_| holder.pid.is_none()))
                .map_or_else(Cell::absent, |one| {
                    super::ps::container_cell(one, "CONTAINER")
                })
        }
        "FD" => holder.fd.into(),
        "PATH" => holder.path.clone(),
        "END" => holder.end.as_deref().into(),
        "MEANS" => holder.means.as_str().into(),
        "MOUNT" => holder.mount.into(),
        "AT" => holder.hold.and_then(|hold| hold.at).into(),
        "MNTNS" => holder.mntns.into(),
        "NS" => holder.hold.and_then(|hold| hold.ns).into(),
        "TID" => holder.hold.and_then(|hold| hold.tid).into(),
        "ALSO" => match holder.hold.and_then(|hold| hold.also) {
            Some(also) => Cell::list(also.iter()),
            None => Cell::absent(),
        },
        "KEEPS" => holder.keeps.into(),
        _ => Cell::absent(),
    }
}

/// The name of a namespace, as `ls -l /proc/PID/ns` has it.
fn namespace_name(system: &System<'_>, inum: Inum) -> String {
    let ns_type = system
        .namespace(inum)
        .map_or("ns", |one| NsType::name(one.ns_type));
    format!("{ns_type}:[{inum}]")
}
