// SPDX-License-Identifier: GPL-2.0

//! Tables and trees for a terminal, and raw lines for a pipe.

use std::borrow::Cow;
use std::io::{self, Write};

use super::printable::{self, cut, width};
use super::{write_marked, Appearance, Data, Mark, Table};

/// The text of a value. It is harmless.
pub fn shown<'a>(data: &'a Data<'_>) -> Cow<'a, str> {
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
fn push_shown(text: &mut String, data: &Data<'_>) {
    match data {
        Data::Absent => text.push('-'),
        Data::Number(number) => {
            let mut buffer = itoa::Buffer::new();
            // The shorter type is printed much faster.
            text.push_str(match u64::try_from(*number) {
                Ok(number) => buffer.format(number),
                Err(_) => buffer.format(*number),
            });
        }
        Data::Flag(flag) => text.push(if *flag { '1' } else { '0' }),
        // A dash of its own would be taken for nothing.
        Data::Words(words) if words.is_dash() => text.push_str("\\055"),
        Data::Words(words) => text.push_str(words.shown()),
        Data::List(list) if list.is_empty() => text.push('-'),
        Data::Set(_, 0) => text.push('-'),
        Data::Set(words, bits) => {
            let mut left = *bits;
            while left != 0 {
                text.push_str(words.get(left.trailing_zeros() as usize).unwrap_or(&""));
                left &= left - 1;
                text.push_str(if left == 0 { "" } else { "," });
            }
        }
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

/// The words of a set.
pub fn words_of(words: &'static [&'static str], bits: u32) -> impl Iterator<Item = &'static str> {
    let are_in = move |(at, word): (usize, &&'static str)| (bits >> at & 1 != 0).then_some(*word);
    words.iter().enumerate().filter_map(are_in)
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
    /// How many columns the widest cell of each column takes.
    widths: Vec<usize>,
}

impl Texts {
    fn of(table: &Table<'_>) -> Self {
        let rows = table.depths.len();
        let columns = table.columns.len();
        let mut texts = Self {
            text: String::with_capacity(rows * columns * 8),
            ends: Vec::with_capacity(rows * columns),
            widths: vec![0; columns],
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
                let takes = match cell.data {
                    // Each byte of these takes a column.
                    Data::Absent | Data::Number(_) | Data::Flag(_) | Data::Set(..)
                        if table.tree != Some(column) =>
                    {
                        texts.text.len() - begin
                    }
                    _ => width(&texts.text[begin..]),
                };
                let columns = takes.try_into().unwrap_or(u16::MAX);
                texts.widths[column] = texts.widths[column].max(columns.into());
                // A text of 4 GiB is more than any terminal or pipe is for.
                let end = u32::try_from(texts.text.len()).unwrap_or(u32::MAX);
                texts.ends.push((end, columns, cell.mark));
            }
        }
        texts
    }

    /// The cells, row by row: the text of each, how many columns it takes, and what is said of it.
    fn cells(&self) -> impl Iterator<Item = (&str, usize, Mark)> {
        let mut rest = self.text.as_str();
        let mut begin = 0;
        self.ends.iter().map(move |(end, columns, mark)| {
            let (text, behind) = rest
                .split_at_checked((*end - begin) as usize)
                .unwrap_or((rest, ""));
            (rest, begin) = (behind, *end);
            (text, usize::from(*columns), *mark)
        })
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
    let mut widths = texts.widths.clone();
    if !style.no_headings {
        for (widest, one) in widths.iter_mut().zip(&table.columns) {
            *widest = (*widest).max(width(one.name));
        }
    }
    if let Some(columns) = style.width {
        shrink(table, &mut widths, columns);
    }
    let is_right = |column: usize| table.columns[column].right && table.tree != Some(column);
    let mut line = Line {
        text: String::new(),
        marks: Vec::new(),
    };
    if !style.no_headings {
        for (column, one) in table.columns.iter().enumerate() {
            let is_last = column + 1 == columns;
            line.add(
                one.name,
                width(one.name),
                widths[column],
                is_right(column),
                is_last,
            );
        }
        line.fit(style.width);
        write_marked(out, &line.text, Mark::Strong, style.color)?;
        out.write_all(b"\n")?;
    }
    // What holds for each cell of a column: how wide it is, and whether the text stands at the right.
    let layout: Vec<(usize, bool)> = (0..columns).map(|at| (widths[at], is_right(at))).collect();
    let mut cells = texts.cells();
    for _ in 0..table.depths.len() {
        line.clear();
        for (column, (width, right)) in layout.iter().copied().enumerate() {
            let Some((text, takes, mark)) = cells.next() else {
                break;
            };
            let begin = line.text.len();
            let is_last = column + 1 == columns;
            if takes <= width {
                line.add(text, takes, width, right, is_last);
            } else {
                let text = cut(text, width);
                line.add(&text, printable::width(&text), width, right, is_last);
            }
            if style.color && mark != Mark::Plain {
                line.marks.push((begin, line.text.len(), mark));
            }
        }
        line.fit(style.width);
        line.write(out)?;
    }
    Ok(())
}

/// A line that is put together, and the places in it that have marks, from one byte to before another.
struct Line {
    text: String,
    marks: Vec<(usize, usize, Mark)>,
}

impl Line {
    fn clear(&mut self) {
        self.text.clear();
        self.marks.clear();
    }

    /// Adds a cell whose text takes so many columns. Nothing stands behind the last one.
    #[inline]
    fn add(&mut self, text: &str, takes: usize, columns: usize, right: bool, last: bool) {
        let blanks = columns.saturating_sub(takes);
        let between = usize::from(!self.text.is_empty());
        self.blanks(between + if right { blanks } else { 0 });
        self.text.push_str(text);
        if !right && !last {
            self.blanks(blanks);
        }
    }

    fn blanks(&mut self, number: usize) {
        const BLANKS: &str = "                                ";
        let mut left = number;
        while left > 0 {
            let part = left.min(BLANKS.len());
            self.text.push_str(&BLANKS[..part]);
            left -= part;
        }
    }

    /// Cuts what is still too wide.
    fn fit(&mut self, columns: Option<usize>) {
        if let Some(columns) = columns {
            if width(&self.text) > columns {
                self.text = cut(&self.text, columns).into_owned();
            }
        }
        self.text.truncate(self.text.trim_end_matches(' ').len());
    }

    fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.text.push('\n');
        let line = self.text.as_str();
        let mut at = 0;
        for (begin, end, mark) in &self.marks {
            let (begin, end) = ((*begin).min(line.len()), (*end).min(line.len()));
            // A line that was cut may end within a cell, and in another character.
            let Some(cell) = line.get(begin..end) else {
                break;
            };
            out.write_all(&line.as_bytes()[at..begin])?;
            // The blanks that align a cell are not part of what is said of it.
            let inner = cell.trim_matches([' ', '\n']);
            let lead = cell.len() - cell.trim_start_matches(' ').len();
            out.write_all(&cell.as_bytes()[..lead])?;
            write_marked(out, inner, *mark, true)?;
            out.write_all(&cell.as_bytes()[lead + inner.len()..])?;
            at = end;
        }
        out.write_all(&line.as_bytes()[at..])
    }
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
