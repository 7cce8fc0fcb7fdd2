// SPDX-License-Identifier: GPL-2.0

//! Tables and trees for a terminal, and raw lines for a pipe.

use std::borrow::Cow;
use std::io::{self, Write};

use super::printable::{cut, width};
use super::{write_marked, Appearance, Cell, Data, Mark, Table};

/// The text of a value. It is harmless.
pub fn shown(data: &Data) -> Cow<'_, str> {
    match data {
        Data::Absent => "-".into(),
        Data::Number(number) => number.to_string().into(),
        Data::Flag(flag) => if *flag { "1" } else { "0" }.into(),
        // A dash of its own would be taken for nothing.
        Data::Words(words) if words.is_dash() => "\\055".into(),
        Data::Words(words) => words.shown().into(),
        Data::List(list) if list.is_empty() => "-".into(),
        Data::List(list) => list.iter().map(shown).collect::<Vec<_>>().join(",").into(),
    }
}

fn shown_cell(cell: &Cell) -> Cow<'_, str> {
    match cell.mark {
        Mark::Shared => format!("{}*", shown(&cell.data)).into(),
        _ => shown(&cell.data),
    }
}

/// What stands before each row of a tree: which branches go on is known from the rows below.
fn branches(table: &Table) -> Vec<String> {
    let rows = &table.rows;
    let mut out = vec![String::new(); rows.len()];
    // Of each depth, whether a sibling comes below.
    let mut more: Vec<bool> = Vec::new();
    for at in (0..rows.len()).rev() {
        let depth = rows[at].depth;
        more.resize(depth + 1, false);
        let mut branch = String::new();
        for (level, goes_on) in more.iter().enumerate().skip(1) {
            branch.push_str(match (level == depth, *goes_on) {
                (true, true) => "├─",
                (true, false) => "└─",
                (false, true) => "│ ",
                (false, false) => "  ",
            });
        }
        out[at] = branch;
        more[depth] = true;
    }
    out
}

/// Writes aligned columns, with headings.
pub fn write(table: &Table, out: &mut dyn Write, style: Appearance) -> io::Result<()> {
    let branches = if table.tree.is_some() {
        branches(table)
    } else {
        Vec::new()
    };
    let text = |row: usize, column: usize| -> Cow<'_, str> {
        let text = shown_cell(&table.rows[row].cells[column]);
        if table.tree == Some(column) {
            format!("{}{text}", branches[row]).into()
        } else {
            text
        }
    };
    let mut widths: Vec<usize> = table
        .columns
        .iter()
        .map(|one| {
            if style.no_headings {
                0
            } else {
                width(one.name)
            }
        })
        .collect();
    for row in 0..table.rows.len() {
        for (column, widest) in widths.iter_mut().enumerate() {
            *widest = (*widest).max(width(&text(row, column)));
        }
    }
    if let Some(columns) = style.width {
        shrink(table, &mut widths, columns);
    }
    let mut line = String::new();
    if !style.no_headings {
        for (column, one) in table.columns.iter().enumerate() {
            let right = one.right && table.tree != Some(column);
            pad(
                &mut line,
                one.name,
                widths[column],
                right,
                column + 1 == table.columns.len(),
            );
        }
        fit(&mut line, style.width);
        write_marked(out, &line, Mark::Strong, style.color)?;
        out.write_all(b"\n")?;
    }
    for row in 0..table.rows.len() {
        line.clear();
        let mut marks = Vec::new();
        for (column, one) in table.columns.iter().enumerate() {
            let text = text(row, column);
            let right = one.right && table.tree != Some(column);
            let begin = line.len();
            pad(
                &mut line,
                &cut(&text, widths[column]),
                widths[column],
                right,
                column + 1 == table.columns.len(),
            );
            let mark = table.rows[row].cells[column].mark;
            if style.color && mark != Mark::Plain {
                marks.push((begin, line.len(), mark));
            }
        }
        fit(&mut line, style.width);
        let mut at = 0;
        for (begin, end, mark) in marks {
            let (begin, end) = (begin.min(line.len()), end.min(line.len()));
            out.write_all(&line.as_bytes()[at..begin])?;
            // The blanks that align a cell are not part of what is said of it.
            let cell = &line[begin..end];
            let inner = cell.trim_matches(' ');
            let lead = cell.len() - cell.trim_start_matches(' ').len();
            out.write_all(&cell.as_bytes()[..lead])?;
            write_marked(out, inner, mark, true)?;
            out.write_all(&cell.as_bytes()[lead + inner.len()..])?;
            at = end;
        }
        out.write_all(&line.as_bytes()[at..])?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Takes columns from those that may be cut, the widest first, until the line fits.
fn shrink(table: &Table, widths: &mut [usize], columns: usize) {
    loop {
        let total: usize = widths.iter().sum::<usize>() + widths.len().saturating_sub(1);
        if total <= columns {
            return;
        }
        let widest = (0..widths.len())
            .filter(|at| table.columns[*at].shrink != 0 && widths[*at] > table.columns[*at].shrink)
            .max_by_key(|at| widths[*at]);
        match widest {
            Some(at) => widths[at] -= 1,
            None => return,
        }
    }
}

/// Adds a cell to a line. Nothing stands behind the last one.
fn pad(line: &mut String, text: &str, columns: usize, right: bool, last: bool) {
    if !line.is_empty() {
        line.push(' ');
    }
    let blanks = columns.saturating_sub(width(text));
    if right {
        line.extend(std::iter::repeat_n(' ', blanks));
    }
    line.push_str(text);
    if !right && !last {
        line.extend(std::iter::repeat_n(' ', blanks));
    }
}

/// Cuts a line that is still too wide.
fn fit(line: &mut String, columns: Option<usize>) {
    if let Some(columns) = columns {
        if width(line) > columns {
            *line = cut(line, columns).into_owned();
        }
    }
    line.truncate(line.trim_end_matches(' ').len());
}

/// Writes one blank between columns. A blank in a value is `\040`, so that columns can be counted.
pub fn write_raw(table: &Table, out: &mut dyn Write, style: Appearance) -> io::Result<()> {
    if !style.no_headings {
        let names: Vec<_> = table.columns.iter().map(|one| one.name).collect();
        writeln!(out, "{}", names.join(" "))?;
    }
    let mut line = String::new();
    for row in &table.rows {
        line.clear();
        for (at, cell) in row.cells.iter().enumerate() {
            if at != 0 {
                line.push(' ');
            }
            let text = shown(&cell.data);
            if text.contains(' ') {
                line.push_str(&text.replace(' ', "\\040"));
            } else {
                line.push_str(&text);
            }
        }
        line.push('\n');
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}
