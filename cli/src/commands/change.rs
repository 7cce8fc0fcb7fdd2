// SPDX-License-Identifier: GPL-2.0

//! A change as a row: what `diff` and `watch` show of it.

use std::collections::HashMap;

use crate::changes::{Change, Side, Subject};
use crate::identity::Container;
use crate::output::{Cell, Column, Mark};
use crate::text::{Inum, Value};

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
        "to what: a container, namespace, process, mount or finding",
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
        "the name of a process, the type of a namespace, where a mount is, or the rule that has found something",
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
    Column::new("SEVERITY", "", "how bad it is that something was found").extra(),
];

/// What cells are made of, besides the change: by whether it is of the earlier picture alone.
pub(super) struct Context<'a> {
    sides: [Side<'a>; 2],
    owners: [HashMap<Inum, Option<&'a Container>>; 2],
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
    pub(super) fn new(before: Side<'a>, after: Side<'a>) -> Self {
        Self {
            sides: [before, after],
            owners: [owners(before), owners(after)],
        }
    }

    /// The container that something belongs to.
    pub(super) fn container(&self, change: &Change<'a>) -> Option<&'a Container> {
        let at = usize::from(!change.is_past);
        let owner = |ns: Inum| self.owners[at].get(&ns).copied().flatten();
        match change.subject {
            Subject::Container(one, _) => Some(one),
            Subject::Task(index, _) => self.sides[at].containers.of_task(index),
            Subject::Mount(one) => owner(one.ns),
            Subject::Namespace(one) => owner(one.inum?),
            Subject::Finding(one) => one.container(self.sides[at].containers),
        }
    }

    pub(super) fn cell(&self, change: &'a Change<'a>, column: &str) -> Cell<'a> {
        let at = usize::from(!change.is_past);
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
            ("NAME", Subject::Finding(one)) => one.rule.id.into(),
            ("SEVERITY", Subject::Finding(one)) => one.severity.name().into(),
            ("PID", Subject::Finding(one)) => one
                .tasks
                .first()
                .map(|index| self.sides[at].system.tasks[*index].pid)
                .into(),
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
