// SPDX-License-Identifier: GPL-2.0

//! A drawing as a tree for a terminal. Each structure is drawn where something first leads to it.

use std::io::{self, Write};

use crate::output::printable::{cut, width};
use crate::output::{write_marked, Mark};

use super::drawing::{Drawing, Link, Row, Way};

/// Where headers and keys stand at most, if the lines before them are short enough.
const RIGHT: usize = 54;
/// So many columns the tree itself has at least.
const LEAST: usize = 24;

/// A line: the tree with its marks, by where they begin and end, and what stands at the right.
#[derive(Debug, Default)]
struct Line {
    left: String,
    marks: Vec<(usize, usize, Mark)>,
    right: &'static str,
}

impl Line {
    fn push(&mut self, text: &str, mark: Mark) {
        let begin = self.left.len();
        self.left.push_str(text);
        self.marks.push((begin, self.left.len(), mark));
    }
}

/// Writes the tree, cut to so many columns.
///
/// # Errors
///
/// Those of the output.
pub(super) fn write(
    drawing: &Drawing,
    out: &mut dyn Write,
    columns: Option<usize>,
    color: bool,
) -> io::Result<()> {
    let lines = lines(drawing);
    let widest = lines
        .iter()
        .map(|line| width(line.right))
        .max()
        .unwrap_or(0);
    // Where there is no room for both, what stands at the right is left out.
    let room = columns.map_or(RIGHT, |columns| columns.saturating_sub(widest + 1));
    let has_right = room >= LEAST;
    let right_at = lines
        .iter()
        .filter(|line| !line.right.is_empty())
        .map(|line| width(&line.left))
        .max()
        .unwrap_or(0)
        .min(RIGHT)
        .min(room);
    for line in &lines {
        let right = if has_right { line.right } else { "" };
        let room = columns.map(|columns| match width(right) {
            0 => columns,
            right => columns.saturating_sub(right + 1),
        });
        let left = room.map_or(line.left.as_str().into(), |room| cut(&line.left, room));
        let mut at = 0;
        for (begin, end, mark) in &line.marks {
            // The mark of a cut may be longer than what it stands for, and stands at the end.
            let begin = floor(&left, *begin);
            let end = if *end >= line.left.len() || *end >= left.len() {
                left.len()
            } else {
                floor(&left, *end)
            };
            if begin < at || end <= begin {
                continue;
            }
            write_marked(out, &left[begin..end], *mark, color)?;
            at = end;
        }
        write_marked(out, &left[at..], Mark::Plain, color)?;
        if !right.is_empty() {
            let blanks = right_at.saturating_sub(width(&left)) + 1;
            write!(out, "{:blanks$}", "")?;
            write_marked(out, right, Mark::Dim, color)?;
        }
        out.write_all(b"\n")?;
    }
    out.write_all(b"\n")?;
    for note in &drawing.notes {
        let note = note.as_str();
        let note = columns.map_or(note.into(), |columns| cut(note, columns));
        write_marked(out, &note, Mark::Dim, color)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The last place up to this one where a character begins.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn lines(drawing: &Drawing) -> Vec<Line> {
    let Some(first) = drawing.nodes.first() else {
        return Vec::new();
    };
    let mut line = Line {
        right: first.structure.header,
        ..Line::default()
    };
    line.push(first.structure.name, Mark::Strong);
    let mut lines = vec![line];
    let mut drawn = vec![false; drawing.nodes.len()];
    drawn[0] = true;
    // The structures that are being drawn, and which row of each comes next.
    let mut stack = vec![(0, 0)];
    while let Some((node, at)) = stack.last_mut() {
        let rows = &drawing.nodes[*node].rows;
        let Some(row) = rows.get(*at) else {
            stack.pop();
            continue;
        };
        *at += 1;
        let mut branch = String::new();
        for (depth, (node, next)) in stack.iter().enumerate() {
            let goes_on = *next < drawing.nodes[*node].rows.len();
            branch.push_str(match (depth + 1 == stack.len(), goes_on) {
                (true, true) => "├─ ",
                (true, false) => "└─ ",
                (false, true) => "│  ",
                (false, false) => "   ",
            });
        }
        let mut line = Line::default();
        line.push(&branch, Mark::Plain);
        describe(row, &mut line);
        line.right = row.key;
        if let Some(link) = &row.link {
            if let (Some(to), Some(is_drawn)) = (drawing.nodes.get(link.to), drawn.get_mut(link.to))
            {
                line.push(arrow(link), Mark::Plain);
                line.push(to.structure.name, Mark::Strong);
                if *is_drawn {
                    line.push(" ", Mark::Plain);
                    line.push(to.id.as_str(), Mark::Plain);
                    let above = if to.id.as_str().is_empty() {
                        "(above)"
                    } else {
                        " (above)"
                    };
                    line.push(above, Mark::Dim);
                } else {
                    *is_drawn = true;
                    line.right = to.structure.header;
                    stack.push((link.to, 0));
                }
            }
        }
        lines.push(line);
    }
    lines
}

fn describe(row: &Row, line: &mut Line) {
    let Some(value) = &row.value else {
        line.push(row.name.as_str(), Mark::Plain);
        return;
    };
    if row.is_remark {
        line.push(&format!("{}: ", row.name.as_str()), row.mark);
    } else {
        line.push(&format!("{} = ", row.name.as_str()), Mark::Plain);
    }
    line.push(value.as_str(), row.mark);
}

fn arrow(link: &Link) -> &'static str {
    match link.way {
        Way::To => " ──> ",
        Way::Holds => ": ",
        Way::From => " <── ",
    }
}
