// SPDX-License-Identifier: GPL-2.0

//! A drawing as a graph for Graphviz: a table for each structure, and an arrow for each field that leads to another.

use std::io::{self, Write};

use super::drawing::{Drawing, Way};
use super::markup::escape;

/// Writes the graph.
///
/// # Errors
///
/// Those of the output.
pub(super) fn write(drawing: &Drawing, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "digraph nsinspect {{")?;
    writeln!(out, "    rankdir=LR;")?;
    writeln!(out, "    fontname=\"monospace\";")?;
    write!(out, "    label=<{}", escape(drawing.title.as_str()))?;
    for note in &drawing.notes {
        write!(out, "<BR/>{}", escape(note.as_str()))?;
    }
    writeln!(out, ">;")?;
    writeln!(
        out,
        "    node [shape=plain, fontname=\"monospace\", fontsize=10];"
    )?;
    writeln!(out, "    edge [fontname=\"monospace\", fontsize=9];")?;
    for (at, node) in drawing.nodes.iter().enumerate() {
        write!(
            out,
            "    n{at} [label=<<TABLE BORDER=\"0\" CELLBORDER=\"1\" CELLSPACING=\"0\" CELLPADDING=\"4\">\
             <TR><TD PORT=\"t\" COLSPAN=\"3\"><B>{}</B><BR/>{}</TD></TR>",
            escape(node.structure.name),
            escape(node.structure.header)
        )?;
        for (row_at, row) in node.rows.iter().enumerate() {
            let (begin, end) = if row.is_remark {
                ("<I>", "</I>")
            } else {
                ("", "")
            };
            write!(
                out,
                "<TR><TD ALIGN=\"LEFT\">{begin}{}{end}</TD><TD ALIGN=\"LEFT\">{}</TD><TD ALIGN=\"LEFT\" PORT=\"r{row_at}\">{}</TD></TR>",
                escape(row.name.as_str()),
                row.value.as_ref().map(|value| escape(value.as_str())).unwrap_or_default(),
                escape(row.key)
            )?;
        }
        writeln!(out, "</TABLE>>];")?;
    }
    for (at, node) in drawing.nodes.iter().enumerate() {
        for (row_at, row) in node.rows.iter().enumerate() {
            let Some(link) = &row.link else { continue };
            let style = match link.way {
                Way::To => "",
                Way::Holds => ", arrowhead=none, style=dashed",
                Way::From => ", dir=back",
            };
            writeln!(
                out,
                "    n{at}:r{row_at} -> n{}:t [label={}{style}];",
                link.to,
                quote(&row.arrow())
            )?;
        }
    }
    writeln!(out, "}}")
}

/// A string of Graphviz, in which nothing stands for something else.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for one in text.chars() {
        match one {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // In labels, `&` begins the name of a character.
            '&' => out.push_str("&amp;"),
            _ => out.push(one),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{self, Column, Row};
    use super::*;
    use crate::output::Words;

    #[test]
    fn quotes() {
        assert_eq!(
            quote("a\"]; evil [b=\"\\N&lt;"),
            "\"a\\\"]; evil [b=\\\"\\\\N&amp;lt;\""
        );
    }

    #[test]
    fn names_stay_inside_of_their_cells() {
        let mut drawing = Drawing::default();
        let node = drawing.add(&drawing::TASK_STRUCT, "", Column::First);
        let evil = Words::from_bytes(b"</TD>>]; x [label=\"\x1b&amp;");
        drawing.row(node, Row::field("comm", evil));
        let mut out = Vec::new();
        write(&drawing, &mut out).unwrap_or_else(|error| panic!("{error}"));
        let out = String::from_utf8_lossy(&out).into_owned();
        let cell = "<TD ALIGN=\"LEFT\">&lt;/TD&gt;&gt;]; x [label=&quot;\\033&amp;amp;</TD>";
        assert!(out.contains(cell), "{out}");
        assert_eq!(out.matches("</TABLE>>];").count(), 1);
    }
}
