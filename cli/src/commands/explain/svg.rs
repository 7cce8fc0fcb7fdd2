// SPDX-License-Identifier: GPL-2.0

//! A drawing as a picture that stands alone: no scripts, no fonts, readable in light and in dark.

use std::io::{self, Write};

use crate::output::{printable, Mark};

use super::drawing::{Drawing, Way};
use super::layout::{self, CHARACTER, MARGIN, PADDING, ROW, TITLE};
use super::markup::escape;

/// How many colours lines have, so that one can follow them.
const COLORS: usize = 6;
/// How round the corners of lines are.
const CORNER: usize = 4;

const STYLE: &str = "\
text{font:12px ui-monospace,monospace;fill:#1f2328;white-space:pre}
.page{fill:#ffffff}
.box{fill:#f6f8fa;stroke:#8c959f}
.head{fill:#dbe4ee}
.title{font-weight:bold}
.header,.key,.note,.dim{fill:#59636e}
.header{font-size:11px}
.remark{font-style:italic}
.strong{font-weight:bold}
.shared{fill:#b35900}
.bad{fill:#c1121f;font-weight:bold}
.line{fill:none;stroke-width:1.5}
.holds{stroke-dasharray:4 3}
.c0{stroke:#0969da}.c1{stroke:#8250df}.c2{stroke:#1a7f37}.c3{stroke:#bc4c00}.c4{stroke:#bf3989}.c5{stroke:#57606a}
.t0{fill:#0969da}.t1{fill:#8250df}.t2{fill:#1a7f37}.t3{fill:#bc4c00}.t4{fill:#bf3989}.t5{fill:#57606a}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}
.page{fill:#0d1117}
.box{fill:#161b22;stroke:#6e7681}
.head{fill:#263242}
.header,.key,.note,.dim{fill:#9198a1}
.shared{fill:#f0a35e}
.bad{fill:#ff7b72}
.c0{stroke:#58a6ff}.c1{stroke:#bc8cff}.c2{stroke:#56d364}.c3{stroke:#f0883e}.c4{stroke:#f778ba}.c5{stroke:#9198a1}
.t0{fill:#58a6ff}.t1{fill:#bc8cff}.t2{fill:#56d364}.t3{fill:#f0883e}.t4{fill:#f778ba}.t5{fill:#9198a1}
}
";

/// Writes the picture.
///
/// # Errors
///
/// Those of the output.
pub(super) fn write(drawing: &Drawing, out: &mut dyn Write) -> io::Result<()> {
    let layout = layout::make(drawing);
    let notes = drawing
        .notes
        .iter()
        .map(|note| printable::width(note.as_str()));
    let width = layout
        .width
        .max(notes.max().unwrap_or(0) * CHARACTER + 2 * MARGIN);
    let height = layout.height + drawing.notes.len() * ROW;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">"
    )?;
    writeln!(out, "<title>{}</title>", escape(drawing.title.as_str()))?;
    writeln!(out, "<style>\n{STYLE}</style>")?;
    writeln!(
        out,
        "<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>"
    )?;
    for at in 0..drawing.nodes.len() {
        write_box(drawing, &layout, at, out)?;
    }
    for (at, edge) in layout.edges.iter().enumerate() {
        let color = at % COLORS;
        let holds = if edge.way == Way::Holds { " holds" } else { "" };
        writeln!(
            out,
            "<path class=\"line c{color}{holds}\" d=\"{}\"/>",
            path(&edge.points)
        )?;
        let tip = match edge.way {
            Way::To => tip(edge.points.iter().rev()),
            Way::From => tip(edge.points.iter()),
            Way::Holds => None,
        };
        if let Some(tip) = tip {
            writeln!(out, "<path class=\"t{color}\" d=\"{tip}\"/>")?;
        }
    }
    for (at, note) in drawing.notes.iter().enumerate() {
        writeln!(
            out,
            "<text class=\"note\" x=\"{MARGIN}\" y=\"{}\">{}</text>",
            layout.height + at * ROW,
            escape(note.as_str())
        )?;
    }
    writeln!(out, "</svg>")
}

fn write_box(
    drawing: &Drawing,
    layout: &layout::Layout,
    at: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (Some(node), Some(rect), Some(parts)) = (
        drawing.nodes.get(at),
        layout.boxes.get(at),
        layout.parts.get(at),
    ) else {
        return Ok(());
    };
    let (x, y) = (rect.x, rect.y);
    writeln!(
        out,
        "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"4\"/>",
        rect.width, rect.height
    )?;
    writeln!(
        out,
        "<rect class=\"head\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\"/>",
        x + 1,
        y + 1,
        rect.width.saturating_sub(2),
        TITLE - 4
    )?;
    let left = x + PADDING;
    writeln!(
        out,
        "<text class=\"title\" x=\"{left}\" y=\"{}\">{}</text>",
        y + 16,
        escape(node.structure.name)
    )?;
    writeln!(
        out,
        "<text class=\"header\" x=\"{left}\" y=\"{}\">{}</text>",
        y + 31,
        escape(node.structure.header)
    )?;
    for (nth, row) in node.rows.iter().enumerate() {
        let y = y + TITLE + nth * ROW + 13;
        let class = if row.is_remark {
            " class=\"remark\""
        } else {
            ""
        };
        writeln!(
            out,
            "<text{class} x=\"{left}\" y=\"{y}\">{}</text>",
            escape(row.name.as_str())
        )?;
        let shown = layout::shown(drawing, row);
        // What had to be cut can be read all the same.
        let whole = match &row.value {
            Some(value) if shown != value.as_str() => {
                format!("<title>{}</title>", escape(value.as_str()))
            }
            _ => String::new(),
        };
        let mark = if row.value.is_some() {
            row.mark
        } else {
            Mark::Dim
        };
        if !shown.is_empty() {
            writeln!(
                out,
                "<text{} x=\"{}\" y=\"{y}\">{whole}{}</text>",
                class_of(mark),
                x + parts.value,
                escape(&shown)
            )?;
        }
        if !row.key.is_empty() {
            writeln!(
                out,
                "<text class=\"key\" text-anchor=\"end\" x=\"{}\" y=\"{y}\">{}</text>",
                x + parts.key_end,
                escape(row.key)
            )?;
        }
    }
    Ok(())
}

fn class_of(mark: Mark) -> &'static str {
    match mark {
        Mark::Plain => "",
        Mark::Shared => " class=\"shared\"",
        Mark::Bad => " class=\"bad\"",
        Mark::Dim => " class=\"dim\"",
        Mark::Strong => " class=\"strong\"",
    }
}

/// A line with round corners.
fn path(points: &[(usize, usize)]) -> String {
    let mut out = String::new();
    for (at, (x, y)) in points.iter().copied().enumerate() {
        let (Some(before), Some(after)) = (
            at.checked_sub(1).and_then(|at| points.get(at)),
            points.get(at + 1),
        ) else {
            out.push_str(&format!("{}{x} {y}", if at == 0 { "M" } else { "L" }));
            continue;
        };
        let (ax, ay) = towards((x, y), *before);
        let (bx, by) = towards((x, y), *after);
        out.push_str(&format!("L{ax} {ay}Q{x} {y} {bx} {by}"));
    }
    out
}

/// A point near the first one, on the way to the second.
fn towards((x, y): (usize, usize), (to_x, to_y): (usize, usize)) -> (usize, usize) {
    let near = |from: usize, to: usize| {
        let step = CORNER.min(from.abs_diff(to) / 2);
        if to > from {
            from + step
        } else {
            from - step
        }
    };
    (near(x, to_x), near(y, to_y))
}

/// The head of an arrow at the first of these points, where its line comes from the second.
fn tip<'a>(mut points: impl Iterator<Item = &'a (usize, usize)>) -> Option<String> {
    let ((x, y), (from, _)) = (*points.next()?, *points.next()?);
    let back = if from < x { x.saturating_sub(8) } else { x + 8 };
    Some(format!(
        "M{x} {y}L{back} {}L{back} {}Z",
        y.saturating_sub(4),
        y + 4
    ))
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{self, Column, Row};
    use super::*;
    use crate::output::Words;

    #[test]
    fn names_stay_text() {
        let mut drawing = Drawing::default();
        let node = drawing.add(&drawing::TASK_STRUCT, "", Column::First);
        let evil = Words::from_bytes(b"</text><script>\x01&\xff");
        drawing.row(node, Row::field("comm", evil));
        let mut out = Vec::new();
        write(&drawing, &mut out).unwrap_or_else(|error| panic!("{error}"));
        let out = String::from_utf8_lossy(&out).into_owned();
        assert!(
            out.contains(">&lt;/text&gt;&lt;script&gt;\\001&amp;\\377</text>"),
            "{out}"
        );
        assert!(!out.contains("<script"));
        assert!(out.chars().all(|one| one == '\n' || !one.is_control()));
    }

    #[test]
    fn corners() {
        assert_eq!(
            path(&[(0, 0), (10, 0), (10, 20)]),
            "M0 0L6 0Q10 0 10 4L10 20"
        );
        assert_eq!(
            path(&[(0, 5), (10, 5), (10, 5), (20, 5)]),
            "M0 5L6 5Q10 5 10 5L10 5Q10 5 14 5L20 5"
        );
    }
}
