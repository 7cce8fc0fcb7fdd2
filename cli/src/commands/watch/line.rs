// SPDX-License-Identifier: GPL-2.0

//! An event: as a line for people, and as one for programs.

use std::io::{self, Write};
use std::time::SystemTime;

use serde_json::{Map, Value as Json};

use crate::changes::{Change, Event, Subject};
use crate::output::{self, Cell, Data, Mark, Words};
use crate::system::System;
use crate::text::{Escaped, Value};

use super::super::change::{Context, COLUMNS};

/// Writes a line: when, what happened, to what, and what is told of it.
pub(super) fn write(
    change: &Change<'_>,
    context: &Context<'_>,
    system: &System<'_>,
    color: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let seconds = system.text.uptime / 1_000_000_000;
    let rest = system.text.uptime / 1_000_000 % 1000;
    write!(out, "[{seconds:5}.{rest:03}] ")?;
    let name = format!("{:11}", change.event.name());
    output::write_marked(out, &name, mark(change), color)?;
    let mut line = format!(" {}", change.subject.kind());
    let mut tell = |text: &str| {
        line.push(' ');
        line.push_str(text);
    };
    match change.subject {
        Subject::Container(one, task) => {
            tell(&format!(
                "{} ({}), process {}",
                shown(one.label()),
                one.runtime.name(),
                task.pid
            ));
        }
        Subject::Task(_, task) => tell(&format!("{} {}", task.pid, words(task.comm))),
        Subject::Namespace(one) => tell(&format!("{} {}", one.inum(), one.ns_type)),
        Subject::Mount(one) => tell(&format!("{} in {}", words(one.point), one.ns)),
        Subject::Finding(one) => tell(&format!("{} {}", one.rule.id, one.severity)),
    }
    let is_container = matches!(change.subject, Subject::Container(..));
    if let Some(one) = context.container(change).filter(|_| !is_container) {
        tell(&format!("of {}", shown(one.label())));
    }
    match (change.subject, change.key) {
        (Subject::Finding(one), _) => line.push_str(&format!(": {}", shown(&one.what))),
        (Subject::Mount(one), None) if change.event == Event::Added => {
            line.push_str(&format!(": {} {}", words(one.fstype), words(one.source)));
        }
        (_, Some(key)) => {
            let (from, to) = (value(&change.from), value(&change.to));
            line.push_str(&format!(": {key} {from} -> {to}"));
        }
        _ => {}
    }
    line.push('\n');
    out.write_all(line.as_bytes())
}

fn mark(change: &Change<'_>) -> Mark {
    match change.event {
        Event::Found => Mark::Bad,
        Event::Begun | Event::Ended | Event::Entered => Mark::Strong,
        _ => Mark::Plain,
    }
}

/// Words of others, with nothing in them that a terminal would obey.
fn shown(text: &str) -> String {
    Words::from_bytes(text.as_bytes()).shown().to_string()
}

fn words(text: Escaped<'_>) -> String {
    Words::from_escaped(text).shown().to_string()
}

fn value(value: &Value<'_>) -> String {
    match Cell::from(value.clone()).data {
        Data::Absent => "-".to_string(),
        Data::Number(number) => number.to_string(),
        Data::Flag(flag) => u8::from(flag).to_string(),
        Data::Words(words) => words.shown().to_string(),
        Data::List(_) | Data::Set(..) => "...".to_string(),
    }
}

/// Writes a JSON document in one line: when, in nanoseconds since boot and in seconds since 1970; and the columns of diff.
pub(super) fn write_json(
    change: &Change<'_>,
    context: &Context<'_>,
    system: &System<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut row = Map::new();
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |time| (time.as_secs_f64() * 1000.0).round() / 1000.0);
    row.insert("time".to_string(), now.into());
    row.insert("uptime".to_string(), system.text.uptime.into());
    for column in COLUMNS {
        let name = column.name.to_ascii_lowercase();
        row.insert(name, json(context.cell(change, column.name).data));
    }
    serde_json::to_writer(&mut *out, &row)?;
    out.write_all(b"\n")
}

fn json(data: Data<'_>) -> Json {
    match data {
        Data::Absent => Json::Null,
        Data::Number(number) => match u64::try_from(number) {
            Ok(number) => number.into(),
            Err(_) => number.to_string().into(),
        },
        Data::Flag(flag) => flag.into(),
        Data::Words(words) => words.json().into(),
        Data::List(list) => list.into_iter().map(json).collect(),
        Data::Set(..) => Json::Null,
    }
}
