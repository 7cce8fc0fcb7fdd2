// SPDX-License-Identifier: GPL-2.0

//! `diff`: what changed between two texts, or since a text.

use std::collections::HashMap;
use std::io::Write;

use crate::args::{Common, Diff};
use crate::changes::{self, Change, Side, Subject};
use crate::identity::Container;
use crate::output::{Cell, Column, Form, Mark};
use crate::source::{Query, Source};
use crate::system::System;
use crate::text::{Inum, Value};

use super::{Failure, Session, View, DONE, FOUND};

/// The columns.
pub static COLUMNS: &[Column] = &[
    Column::new(
        "EVENT",
        "",
        "what happened: born, gone, entered, remounted …",
    ),
    Column::new(
        "WHAT",
        "",
        "to what: a container, namespace, process or mount",
    ),
    Column::new("PID", "task.2", "the process; of a container its first one").right(),
    Column::new(
        "NS",
        "ns.3",
        "the namespace; of a mount, the one that it is in",
    )
    .right(),
    Column::new(
        "CONTAINER",
        "",
        "the container, pod, unit or jail that it belongs to",
    )
    .shrinks(10),
    Column::new(
        "NAME",
        "",
        "the name of a process, the type of a namespace, or where a mount is",
    )
    .shrinks(10),
    Column::new("KEY", "", "what has another value, as the text calls it"),
    Column::new("FROM", "", "the value before").shrinks(8),
    Column::new("TO", "", "the value after").shrinks(8),
    Column::new(
        "ID",
        "",
        "the 64-bit id of the namespace or mount, which is never used again",
    )
    .right()
    .extra(),
    Column::new(
        "START",
        "task.start",
        "when the process began, in nanoseconds since boot",
    )
    .right()
    .extra(),
    Column::new("RUNTIME", "", "what runs the container").extra(),
];

/// What cells are made of, besides the change: by whether it is of the earlier picture alone.
struct Context<'a> {
    sides: [Side<'a>; 2],
    owners: [HashMap<Inum, Option<&'a Container>>; 2],
}

pub(super) fn run(common: &Common, args: &Diff, out: &mut dyn Write) -> Result<u8, Failure> {
    let view = View {
        name: "changes",
        all: COLUMNS,
        listing: &args.listing,
        tree: None,
    };
    if view.is_settled(out)? {
        return Ok(DONE);
    }
    let Some(before) = &args.before else {
        return Err(Failure::Usage("diff takes a saved text".to_string()));
    };
    if common.from.is_some() {
        return Err(Failure::Usage(
            "diff takes no --from: name the two texts, the older one first".to_string(),
        ));
    }
    if Some(before) == args.after.as_ref() && before.as_os_str() == "-" {
        return Err(Failure::Usage(
            "only one of the two texts can come from standard input".to_string(),
        ));
    }
    let old = Session::with(common, Source::saved(before)?);
    let new = match &args.after {
        Some(after) => Session::with(common, Source::saved(after)?),
        None => Session::open(common)?,
    };
    let query = Query::show("ns,tasks,mounts");
    let texts = [old.ask(&query)?, new.ask(&query)?];
    let systems = [old.picture(&texts[0])?, new.picture(&texts[1])?];
    // Both are of one machine, and what is not here any more may have left its files.
    let containers = [new.containers(&systems[0]), new.containers(&systems[1])];
    warn_of_gaps(&systems, [&old, &new]);
    let side = |at: usize| Side {
        system: &systems[at],
        containers: &containers[at],
    };
    let list = changes::between(side(0), side(1), args.each_mount)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let context = Context {
        sides: [side(0), side(1)],
        owners: [0, 1].map(|at| owners(side(at))),
    };
    let has_changes = !list.is_empty();
    if !has_changes && new.appearance(&args.listing).form == Form::Table {
        let nanoseconds = systems[1].text.uptime - systems[0].text.uptime;
        writeln!(out, "nothing changed in {}", seconds(nanoseconds))?;
        return Ok(DONE);
    }
    let rows: Vec<(Change<'_>, usize)> = list.into_iter().map(|one| (one, 0)).collect();
    new.show(
        &view,
        &rows,
        &|change, column| context.cell(change, column),
        &systems[1],
        out,
    )?;
    Ok(if has_changes { FOUND } else { DONE })
}

/// Says if one of the texts was made without mounts.
fn warn_of_gaps(systems: &[System<'_>; 2], sessions: [&Session<'_>; 2]) {
    for (system, session) in systems.iter().zip(sessions) {
        if !changes::has_mounts(system) {
            eprintln!(
                "nsinspect: {} has no mounts, so they are not compared",
                session.source.name()
            );
        }
    }
}

/// A time in seconds.
fn seconds(nanoseconds: u64) -> String {
    format!(
        "{}.{:01} s",
        nanoseconds / 1_000_000_000,
        nanoseconds / 100_000_000 % 10
    )
}

/// The container of the first process in each namespace that is not the host's.
fn owners(side: Side<'_>) -> HashMap<Inum, Option<&Container>> {
    let mut owners = HashMap::new();
    for (index, task) in side.system.tasks.iter().enumerate() {
        for (_, inum) in side.system.differs(task) {
            owners
                .entry(inum)
                .or_insert_with(|| side.containers.of_task(index));
        }
    }
    owners
}

impl<'a> Context<'a> {
    /// The container that something belongs to.
    fn container(&self, change: &Change<'a>) -> Option<&'a Container> {
        let at = usize::from(!change.is_past);
        let owner = |ns: Inum| self.owners[at].get(&ns).copied().flatten();
        match change.subject {
            Subject::Container(one, _) => Some(one),
            Subject::Task(index, _) => self.sides[at].containers.of_task(index),
            Subject::Mount(one) => owner(one.ns),
            Subject::Namespace(one) => owner(one.inum?),
        }
    }

    fn cell(&self, change: &'a Change<'a>, column: &str) -> Cell<'a> {
        match (column, change.subject) {
            ("EVENT", _) => change.event.name().into(),
            ("WHAT", subject) => subject.kind().into(),
            ("PID", Subject::Container(_, task) | Subject::Task(_, task)) => task.pid.into(),
            ("NS", Subject::Namespace(one)) => one.inum.into(),
            ("NS", Subject::Mount(one)) => one.ns.into(),
            ("CONTAINER" | "RUNTIME", _) => self
                .container(change)
                .map_or_else(Cell::absent, |one| super::ps::container_cell(one, column)),
            ("NAME", Subject::Container(_, task) | Subject::Task(_, task)) => task.comm.into(),
            ("NAME", Subject::Namespace(one)) => one.ns_type.into(),
            ("NAME", Subject::Mount(one)) => one.point.into(),
            ("KEY", _) => change.key.into(),
            ("FROM", _) => value(&change.from),
            ("TO", _) => value(&change.to).marked(Mark::Strong),
            ("ID", Subject::Namespace(one)) => one.id.into(),
            ("ID", Subject::Mount(one)) => one.id.into(),
            ("START", Subject::Container(_, task) | Subject::Task(_, task)) => task.start.into(),
            _ => Cell::absent(),
        }
    }
}

fn value<'a>(value: &'a Value<'a>) -> Cell<'a> {
    match value {
        Value::Made(text) => text.as_str().into(),
        other => other.clone().into(),
    }
}
