// SPDX-License-Identifier: GPL-2.0

//! What a rule means, for people.

use std::io::{self, Write};

use crate::args::Common;
use crate::audit::Rule;
use crate::output::{self, Mark};

/// How wide the text is where nothing else is known; wider lines are hard to read.
const WIDTH: usize = 100;

/// Writes rules, one after the other.
pub(super) fn write(rules: &[&Rule], common: &Common, out: &mut dyn Write) -> io::Result<()> {
    let color = output::wants_color(common.color);
    let width = match common.width {
        Some(0) => usize::MAX,
        Some(width) => width,
        None => output::terminal_width().unwrap_or(WIDTH).min(WIDTH),
    };
    for (at, rule) in rules.iter().enumerate() {
        if at > 0 {
            out.write_all(b"\n")?;
        }
        let heading = format!("{}: {} ({})", rule.id, rule.title, rule.severity);
        output::write_marked(out, &heading, Mark::Strong, color)?;
        out.write_all(b"\n")?;
        for (name, text) in [
            ("When", rule.condition),
            ("Abuse", rule.abuse),
            ("Normal", rule.normal),
            ("Cure", rule.cure),
        ] {
            paragraph(name, text, width, out)?;
        }
        for source in rule.sources {
            paragraph("See", source, width, out)?;
        }
    }
    Ok(())
}

/// Writes a paragraph behind its name, in lines that are not wider than that, if the words are not.
fn paragraph(name: &str, text: &str, width: usize, out: &mut dyn Write) -> io::Result<()> {
    const INDENT: usize = 10;
    let mut at = INDENT;
    write!(out, "  {name:8}")?;
    for (index, word) in text.split_whitespace().enumerate() {
        if index > 0 {
            if at + 1 + word.len() > width {
                write!(out, "\n{:INDENT$}", "")?;
                at = INDENT;
            } else {
                out.write_all(b" ")?;
                at += 1;
            }
        }
        out.write_all(word.as_bytes())?;
        at += word.len();
    }
    out.write_all(b"\n")
}
