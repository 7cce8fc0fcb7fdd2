// SPDX-License-Identifier: GPL-2.0

//! JSON: one document, or one a line.
//!
//! A document has `version`, which changes when something in it gets another meaning; `source`, which says where it comes
//! from and what that cannot know; and the rows. Rows of a tree have their children in them.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{table::words_of, Data, Origin, Table};

/// The version of the documents.
pub const VERSION: u32 = 1;

/// So many levels of a tree are one in the other, as JSON readers take. What is deeper stands beside its parent.
const DEEPEST: usize = 100;

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Data::Absent => serializer.serialize_none(),
            Data::Flag(flag) => serializer.serialize_bool(*flag),
            Data::Words(words) => serializer.serialize_str(words.json()),
            Data::List(list) => serializer.collect_seq(list),
            Data::Set(words, bits) => serializer.collect_seq(words_of(words, *bits)),
            Data::Number(number) => match (u64::try_from(*number), i64::try_from(*number)) {
                (Ok(number), _) => serializer.serialize_u64(number),
                (_, Ok(number)) => serializer.serialize_i64(number),
                _ => serializer.serialize_str(&number.to_string()),
            },
        }
    }
}

fn is_escaped(data: &Data<'_>) -> bool {
    match data {
        Data::Words(words) => words.is_escaped(),
        Data::List(list) => list.iter().any(is_escaped),
        _ => false,
    }
}

/// A row as an object, with those below it in a tree. `escaped` names the columns whose bytes are no UTF-8.
struct Object<'a, 't> {
    table: &'a Table<'t>,
    row: usize,
    children: Option<Rows<'a, 't>>,
}

impl Serialize for Object<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut escaped = Vec::new();
        for (at, column) in self.table.columns.iter().enumerate() {
            let name = column.name.to_ascii_lowercase();
            let data = (self.table.cell)(self.row, at).data;
            map.serialize_entry(&name, &data)?;
            if is_escaped(&data) {
                escaped.push(name);
            }
        }
        if !escaped.is_empty() {
            map.serialize_entry("escaped", &escaped)?;
        }
        if let Some(children) = &self.children {
            map.serialize_entry("children", children)?;
        }
        map.end()
    }
}

/// Rows, from one to before another, of which none is above the first one in a tree.
struct Rows<'a, 't> {
    table: &'a Table<'t>,
    from: usize,
    to: usize,
    level: usize,
}

impl Serialize for Rows<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let depths = &self.table.depths;
        let mut row = self.from;
        while row < self.to {
            let mut next = row + 1;
            if self.table.tree.is_some() && self.level < DEEPEST {
                while next < self.to && depths[next] > depths[row] {
                    next += 1;
                }
            }
            let children = (next > row + 1).then_some(Rows {
                table: self.table,
                from: row + 1,
                to: next,
                level: self.level + 1,
            });
            list.serialize_element(&Object {
                table: self.table,
                row,
                children,
            })?;
            row = next;
        }
        list.end()
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("from", &self.source)?;
        map.serialize_entry("release", &self.release)?;
        map.serialize_entry("uptime", &self.uptime)?;
        map.serialize_entry("missing", &self.missing)?;
        map.end()
    }
}

struct Document<'a, 't> {
    table: &'a Table<'t>,
    origin: &'a Origin,
}

impl Serialize for Document<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry("source", self.origin)?;
        map.serialize_entry(
            self.table.name,
            &Rows {
                table: self.table,
                from: 0,
                to: self.table.depths.len(),
                level: 0,
            },
        )?;
        map.end()
    }
}

/// Writes one document.
pub fn write(table: &Table<'_>, out: &mut dyn Write, origin: &Origin) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Document { table, origin })
        .map_err(io::Error::from)?;
    out.write_all(b"\n")
}

/// Writes a document for each row.
pub fn write_lines(table: &Table<'_>, out: &mut dyn Write) -> io::Result<()> {
    for row in 0..table.depths.len() {
        serde_json::to_writer(
            &mut *out,
            &Object {
                table,
                row,
                children: None,
            },
        )
        .map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
