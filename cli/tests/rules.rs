// SPDX-License-Identifier: GPL-2.0

//! docs/audit.md says of each rule what `audit --explain` says.
//!
//! `AUDIT=overwrite cargo test --test rules` writes that part of the file anew.

use std::fmt::Write;
use std::fs;

use nsinspect::audit::RULES;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/audit.md");
const BEGIN: &str =
    "<!-- The rules, from cli/src/audit/rules.rs: AUDIT=overwrite cargo test --test rules -->\n";

/// Lines of a paragraph, no longer than the others of the file.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    for word in text.split_whitespace() {
        if at > 0 && at + 1 + word.len() > 110 {
            out.push('\n');
            at = 0;
        } else if at > 0 {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        at += word.len();
    }
    out
}

fn rules() -> String {
    let mut out = String::new();
    for rule in &RULES {
        let _ = writeln!(
            out,
            "\n### {}: {} ({})\n",
            rule.id, rule.title, rule.severity
        );
        for (name, text) in [
            ("When", rule.condition),
            ("Abuse", rule.abuse),
            ("Normal", rule.normal),
            ("Cure", rule.cure),
        ] {
            let _ = writeln!(out, "{}\n", wrapped(&format!("**{name}:** {text}")));
        }
        let _ = writeln!(
            out,
            "{}",
            wrapped(&format!("**See:** {}", rule.sources.join("; ")))
        );
    }
    out
}

#[test]
fn the_document_has_the_rules() {
    let text = fs::read_to_string(FILE).expect("there is a docs/audit.md");
    let at = text.find(BEGIN).expect("it has the mark") + BEGIN.len();
    let wanted = rules();
    if std::env::var("AUDIT").is_ok_and(|value| value == "overwrite") {
        fs::write(FILE, format!("{}{wanted}", &text[..at])).expect("it can be written");
        return;
    }
    assert!(
        text[at..] == wanted,
        "docs/audit.md says something else than the rules: AUDIT=overwrite cargo test --test rules"
    );
}
