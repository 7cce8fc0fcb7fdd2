// SPDX-License-Identifier: GPL-2.0

//! Tables and trees for a terminal, and raw lines for a pipe.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::printable::{self, cut, width};
use super::{write_marked, Appearance, Data, Mark, Table};

/// The text of a value. It is harmless.
pub fn shown(data: &Data) -> Cow<'_, str> {
    match data {
        Data::Words(words) if !words.is_dash() => words.shown().into(),
        _ => {
            let mut text = String::new();
            push_shown(&mut text, data);
            text.into()
        }
    }
}

/// Adds the text of a value.
fn push_shown(text: &mut String, data: &Data) {
    match data {
        Data::Absent => text.push('-'),
        Data::Number(number) => {
            // The shorter type is printed much faster.
            let _ = match u64::try_from(*number) {
                Ok(number) => write!(text, "{number}"),
                Err(_) => write!(text, "{number}"),
            };
        }
        Data::Flag(flag) => text.push(if *flag { '1' } else { '0' }),
        // A dash of its own would be taken for nothing.
        Data::Words(words) if words.is_dash() => text.push_str("\\055"),
        Data::Words(words) => text.push_str(words.shown()),
        Data::List(list) if list.is_empty() => text.push('-'),
        Data::List(list) => {
            for (at, one) in list.iter().enumerate() {
                if at != 0 {
                    text.push(',');
                }
                push_shown(text, one);
            }
        }
    }
}

/// So many levels of a tree are drawn. Processes may be as deep below each other as there are processes, and the branches
/// of all would take the square of that.
const DEEPEST: usize = 60;

/// Adds what stands before a row of a tree. `more` says of each level whether a sibling comes below.
fn push_branch(text: &mut String, depth: usize, more: &[bool]) {
    if depth > DEEPEST {
        text.push_str(&format!("… {depth} levels deep: "));
        return;
    }
    for (level, goes_on) in more.iter().enumerate().take(depth + 1).skip(1) {
        text.push_str(match (level == depth, *goes_on) {
            (true, true) => "├─",
            (true, false) => "└─",
            (false, true) => "│ ",
            (false, false) => "  ",
        });
    }
}

/// The texts of all cells, one behind the other.
struct Texts {
    text: String,
    /// Where each cell ends, row by row, how many columns it takes, and what is said of it.
    ends: Vec<(u32, u16, Mark)>,
    columns: usize,
}

impl Texts {
    fn of(table: &Table<'_>) -> Self {
        let rows = table.depths.len();
        let columns = table.columns.len();
        let mut texts = Self {
            text: String::new(),
            ends: Vec::with_capacity(rows * columns),
            columns,
        };
        // Whether a sibling comes below, of the row above at each level.
        let mut more: Vec<bool> = Vec::new();
        for (row, is_last) in last_siblings(&table.depths).into_iter().enumerate() {
            let depth = table.depths[row].min(DEEPEST + 1);
            more.truncate(depth);
            more.resize(depth, false);
            more.push(!is_last);
            for column in 0..columns {
                let begin = texts.text.len();
                if table.tree == Some(column) {
                    push_branch(&mut texts.text, table.depths[row], &more);
                }
                let cell = (table.cell)(row, column);
                push_shown(&mut texts.text, &cell.data);
                if cell.mark == Mark::Shared {
                    texts.text.push('*');
                }
                let columns = width(&texts.text[begin..]).try_into().unwrap_or(u16::MAX);
                // A text of 4 GiB is more than any terminal or pipe is for.
                let end = u32::try_from(texts.text.len()).unwrap_or(u32::MAX);
                texts.ends.push((end, columns, cell.mark));
            }
        }
        texts
    }

    /// The text of a cell, how many columns it takes, and what is said of it.
    fn get(&self, row: usize, column: usize) -> (&str, usize, Mark) {
        let at = row * self.columns + column;
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before].0);
        let (end, columns, mark) = self.ends[at];
        let text = self.text.get(begin as usize..end as usize);
        (text.unwrap_or_default(), columns.into(), mark)
    }
}

/// Of each row of a tree whether no sibling comes below it.
fn last_siblings(depths: &[usize]) -> Vec<bool> {
    let mut last = vec![true; depths.len()];
    // Of each level whether a row was seen, going up, since one that is less deep.
    let mut seen: Vec<bool> = Vec::new();
    for (row, depth) in depths.iter().enumerate().rev() {
        let depth = (*depth).min(DEEPEST + 1);
        seen.resize(depth + 1, false);
        last[row] = !seen[depth];
        seen[depth] = true;
    }
    last
}

/// Writes aligned columns, with headings.
pub fn write(table: &Table<'_>, out: &mut dyn Write, style: Appearance) -> io::Result<()> {
    let texts = Texts::of(table);
    let columns = table.columns.len();
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
    for row in 0..table.depths.len() {
        for (column, widest) in widths.iter_mut().enumerate() {
            *widest = (*widest).max(texts.get(row, column).1);
        }
    }
    if let Some(columns) = style.width {
        shrink(table, &mut widths, columns);
    }
    let is_right = |column: usize| table.columns[column].right && table.tree != Some(column);
    let mut line = String::new();
    if !style.no_headings {
        for (column, one) in table.columns.iter().enumerate() {
            let is_last = column + 1 == columns;
            pad(
                &mut line,
                one.name,
                width(one.name),
                widths[column],
                is_right(column),
                is_last,
            );
        }
        fit(&mut line, style.width);
        write_marked(out, &line, Mark::Strong, style.color)?;
        out.write_all(b"\n")?;
    }
    let mut marks = Vec::new();
    for row in 0..table.depths.len() {
        line.clear();
        marks.clear();
        for (column, width) in widths.iter().copied().enumerate() {
            let (text, takes, mark) = texts.get(row, column);
            let begin = line.len();
            let is_last = column + 1 == columns;
            if takes <= width {
                pad(&mut line, text, takes, width, is_right(column), is_last);
            } else {
                let text = cut(text, width);
                pad(
                    &mut line,
                    &text,
                    printable::width(&text),
                    width,
                    is_right(column),
                    is_last,
                );
            }
            if style.color && mark != Mark::Plain {
                marks.push((begin, line.len(), mark));
            }
        }
        fit(&mut line, style.width);
        write_line(out, &line, &marks)?;
    }
    Ok(())
}

/// Writes a line in which some places, from one byte to before another, have marks.
fn write_line(out: &mut dyn Write, line: &str, marks: &[(usize, usize, Mark)]) -> io::Result<()> {
    let mut at = 0;
    for (begin, end, mark) in marks {
        let (begin, end) = ((*begin).min(line.len()), (*end).min(line.len()));
        // A line that was cut may end within a cell, and in another character.
        let Some(cell) = line.get(begin..end) else {
            break;
        };
        out.write_all(&line.as_bytes()[at..begin])?;
        // The blanks that align a cell are not part of what is said of it.
        let inner = cell.trim_matches(' ');
        let lead = cell.len() - cell.trim_start_matches(' ').len();
        out.write_all(&cell.as_bytes()[..lead])?;
        write_marked(out, inner, *mark, true)?;
        out.write_all(&cell.as_bytes()[lead + inner.len()..])?;
        at = end;
    }
    out.write_all(&line.as_bytes()[at..])?;
    out.write_all(b"\n")
}

/// Takes columns from those that may be cut, the widest first, until the line fits.
fn shrink(table: &Table<'_>, widths: &mut [usize], columns: usize) {
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

/// Adds a cell to a line, whose text takes so many columns. Nothing stands behind the last one.
fn pad(line: &mut String, text: &str, takes: usize, columns: usize, right: bool, last: bool) {
    if !line.is_empty() {
        line.push(' ');
    }
    let blanks = columns.saturating_sub(takes);
    if right {
        push_blanks(line, blanks);
    }
    line.push_str(text);
    if !right && !last {
        push_blanks(line, blanks);
    }
}

fn push_blanks(line: &mut String, number: usize) {
    const BLANKS: &str = "                                ";
    let mut left = number;
    while left > 0 {
        let part = left.min(BLANKS.len());
        line.push_str(&BLANKS[..part]);
        left -= part;
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
pub fn write_raw(table: &Table<'_>, out: &mut dyn Write, style: Appearance) -> io::Result<()> {
    if !style.no_headings {
        let names: Vec<_> = table.columns.iter().map(|one| one.name).collect();
        writeln!(out, "{}", names.join(" "))?;
    }
    let mut line = String::new();
    for row in 0..table.depths.len() {
        line.clear();
        for column in 0..table.columns.len() {
            if column != 0 {
                line.push(' ');
            }
            let begin = line.len();
            push_shown(&mut line, &(table.cell)(row, column).data);
            if line[begin..].contains(' ') {
                let text = line[begin..].replace(' ', "\\040");
                line.truncate(begin);
                line.push_str(&text);
            }
        }
        line.push('\n');
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}
