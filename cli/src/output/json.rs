// SPDX-License-Identifier: GPL-2.0

//! JSON: one document, or one a line.
//!
//! A document has `version`, which changes when something in it gets another meaning; `source`, which says where it comes
//! from and what that cannot know; and the rows. Rows of a tree have their children in them.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::{Data, Origin, Row, Table};

/// The version of the documents.
pub const VERSION: u32 = 1;

/// A value in JSON. Numbers of more than 64 bits do not come.
fn value(data: &Data) -> Value {
    match data {
        Data::Absent => Value::Null,
        Data::Number(number) => u64::try_from(*number)
            .map(Value::from)
            .or_else(|_| i64::try_from(*number).map(Value::from))
            .unwrap_or_else(|_| Value::String(number.to_string())),
        Data::Flag(flag) => Value::Bool(*flag),
        Data::Words(words) => Value::String(words.json().to_string()),
        Data::List(list) => Value::Array(list.iter().map(value).collect()),
    }
}

fn is_escaped(data: &Data) -> bool {
    match data {
        Data::Words(words) => words.is_escaped(),
        Data::List(list) => list.iter().any(is_escaped),
        _ => false,
    }
}

/// A row as an object. `escaped` names the columns whose bytes are no UTF-8.
fn object(table: &Table, row: &Row) -> Map<String, Value> {
    let mut object = Map::new();
    let mut escaped = Vec::new();
    for (column, cell) in table.columns.iter().zip(&row.cells) {
        let name = column.name.to_ascii_lowercase();
        if is_escaped(&cell.data) {
            escaped.push(Value::String(name.clone()));
        }
        object.insert(name, value(&cell.data));
    }
    if !escaped.is_empty() {
        object.insert("escaped".to_string(), Value::Array(escaped));
    }
    object
}

/// What a document says before its rows.
pub fn head(origin: &Origin) -> Map<String, Value> {
    let mut source = Map::new();
    source.insert("from".to_string(), origin.source.clone().into());
    source.insert("release".to_string(), origin.release.clone().into());
    source.insert("uptime".to_string(), origin.uptime.into());
    source.insert(
        "missing".to_string(),
        origin.missing.iter().map(|one| Value::from(*one)).collect(),
    );
    let mut head = Map::new();
    head.insert("version".to_string(), VERSION.into());
    head.insert("source".to_string(), Value::Object(source));
    head
}

/// Writes one document.
pub fn write(table: &Table, out: &mut dyn Write, origin: &Origin) -> io::Result<()> {
    let mut document = head(origin);
    let rows = if table.tree.is_some() {
        let mut at = 0;
        nested(table, &mut at, 0)
    } else {
        table
            .rows
            .iter()
            .map(|row| Value::Object(object(table, row)))
            .collect()
    };
    document.insert(table.name.to_string(), Value::Array(rows));
    write_value(out, &Value::Object(document))
}

/// Writes a whole document.
pub fn write_value(out: &mut dyn Write, document: &Value) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

/// The rows of that depth from a place on, each with those below it. They may be as deep as processes are, so that their
/// number has a bound alone in what JSON readers take: 100 levels, and what is below these stands beside its parent.
fn nested(table: &Table, at: &mut usize, level: usize) -> Vec<Value> {
    const DEEPEST: usize = 100;
    let mut list = Vec::new();
    let Some(first) = table.rows.get(*at) else {
        return list;
    };
    let depth = first.depth;
    while let Some(row) = table.rows.get(*at) {
        if row.depth < depth {
            break;
        }
        *at += 1;
        let mut one = object(table, row);
        if table
            .rows
            .get(*at)
            .is_some_and(|next| next.depth > row.depth)
            && level < DEEPEST
        {
            let children = nested(table, at, level + 1);
            one.insert("children".to_string(), Value::Array(children));
        }
        list.push(Value::Object(one));
    }
    list
}

/// Writes a document for each row.
pub fn write_lines(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    for row in &table.rows {
        serde_json::to_writer(&mut *out, &Value::Object(object(table, row)))
            .map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
