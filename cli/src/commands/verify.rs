// SPDX-License-Identifier: GPL-2.0

//! `verify`: does the module tell the truth here? For whoever does not believe us.
//!
//! Compares the module's text with what procfs, the ioctls of nsfs, `listns()`, `listmount()`, `statmount()` and
//! `statx()` show of this very machine. It is a program of its own mind: it has its own reader of the text, and reads
//! procfs on its own, instead of with the parser and the source that the other commands use. Were it built on these, a
//! mistake in them would be on both sides of each comparison, and nobody would see it. What is shared with them are the
//! bare system calls alone.
//!
//! [`fact`] says what is compared, [`machine`] with [`tasks`] and [`mounts`] looks at this machine, [`text`] reads what
//! the module says, [`compare`] puts one against the other, and [`judge`] tells what is wrong from what has changed. No
//! namespace is entered.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::time::Duration;

use serde::ser::{Serialize, Serializer};
use serde_json::{json, Map, Value};

use crate::args::{Common, SourceKind, Verify};
use crate::output::json::VERSION;
use crate::source::{self, Progress, Source};

use super::{Failure, DONE, FOUND};

mod compare;
mod fact;
mod judge;
mod machine;
mod mounts;
mod tasks;
#[cfg(test)]
mod tests;
mod text;

use compare::Outcome;
use fact::Kind;
use judge::{Judgement, Look};

/// What the text has and nothing else tells, so that nobody can compare it.
const UNTOLD: &str =
    "refs, pids, dying, pending, event, origin and torn of namespaces; locked of mounts";

/// How long to wait before the next look.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) fn run(common: &Common, args: &Verify, out: &mut dyn Write) -> Result<u8, Failure> {
    if common.from.is_some() || common.source == Some(SourceKind::Procfs) {
        return Err(Failure::Usage(
            "verify compares what the module says now with this machine: it takes neither --from nor --source=procfs"
                .to_string(),
        ));
    }
    // This knows why there is none.
    drop(if common.load {
        Source::load()?
    } else {
        Source::live()?
    });
    if is_shifted() {
        return Err(Failure::NoSource(source::Error {
            cause: "this command is in a time namespace of its own, where all times are others"
                .to_string(),
            cure: "run it in that of process 1: nsenter --target 1 --time".to_string(),
        }));
    }
    // It has a thread, which is to be there all the time: we compare ourselves, too.
    let progress = Progress::start();
    let judgement = judge::judge(look, args.verbose, PAUSE);
    drop(progress);
    let judgement = judgement?
        .ok_or_else(|| Failure::Text(source::LIVE.to_string(), crate::text::Error::CutShort))?;
    if compared_with_others(&judgement) == 0 {
        return Err(Failure::NoSource(source::Error {
            cause: "nothing could be compared: neither procfs nor the kernel's calls show anything"
                .to_string(),
            cure: "run it as root, on the host, with /proc mounted".to_string(),
        }));
    }
    if args.json {
        write_json(&judgement, out)?;
    } else {
        write_lines(&judgement, out)?;
    }
    Ok(if judgement.differences.is_empty() {
        DONE
    } else {
        FOUND
    })
}

/// Whether times are others for us than for the module.
fn is_shifted() -> bool {
    const INITIAL: &str = "time:[4026531834]";
    std::fs::read_link("/proc/self/ns/time").is_ok_and(|link| link.as_os_str() != INITIAL)
}

/// One look at both.
fn look() -> Result<Look, Failure> {
    let before = machine::look();
    let text = read().map_err(|error| {
        Failure::NoSource(source::Error {
            cause: format!("cannot read {}: {}", source::LIVE, source::reason(&error)),
            cure: "if it was unloaded meanwhile, load it again: modprobe nsinspect".to_string(),
        })
    })?;
    Ok(Look {
        before,
        text,
        after: machine::look(),
    })
}

/// Reads the text. The other commands do so in another way, with a thread beside them.
fn read() -> io::Result<Vec<u8>> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(source::LIVE)?;
    file.write_all(b"show=ns,tasks,threads,mounts")?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// How many facts were compared with something else than the text itself.
fn compared_with_others(judgement: &Judgement) -> u64 {
    let same = &judgement.outcome.same;
    let of_itself = same.iter().filter(|((kind, _), _)| *kind == Kind::Text);
    judgement.compared() - of_itself.map(|(_, count)| *count).sum::<u64>()
}

/// Facts that were compared, by kind: the kind, how many objects, the names, how many facts.
fn groups(outcome: &Outcome) -> Vec<(Kind, u64, Vec<&'static str>, u64)> {
    outcome
        .order
        .iter()
        .map(|(kind, names)| {
            let count = |name: &&'static str| outcome.same.get(&(*kind, *name)).copied();
            let known: Vec<_> = names
                .iter()
                .copied()
                .filter(|name| count(name).is_some())
                .collect();
            let facts = known.iter().filter_map(count).sum();
            let objects = outcome.objects.get(kind).copied().unwrap_or(0);
            (*kind, objects, known, facts)
        })
        .collect()
}

/// Why something was not compared: kind, why, how many facts, their names.
type Skipped = BTreeMap<(Kind, &'static str), (u64, Vec<&'static str>)>;

fn skipped(outcome: &Outcome) -> Skipped {
    let mut skipped = Skipped::new();
    for ((kind, name, why), count) in &outcome.skipped {
        let one = skipped.entry((*kind, *why)).or_default();
        one.0 += count;
        one.1.push(name);
    }
    skipped
}

/// A number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn write_lines(judgement: &Judgement, out: &mut dyn Write) -> io::Result<()> {
    let outcome = &judgement.outcome;
    for one in outcome.compared.iter().flat_map(BTreeMap::values) {
        write!(out, "{}: {}", one.label, one.same.join(", "))?;
        if !one.other.is_empty() {
            write!(out, "; looked at again: {}", one.other.join(", "))?;
        }
        if !one.skipped.is_empty() {
            write!(out, "; not compared: {}", one.skipped.join(", "))?;
        }
        writeln!(out)?;
    }
    for (kind, objects, names, facts) in groups(outcome) {
        if kind == Kind::Text {
            writeln!(out, "text: {}: {} facts", names.join(", "), grouped(facts))?;
        } else {
            writeln!(
                out,
                "{} {}: {}: {} facts",
                grouped(objects),
                kind.name(),
                names.join(", "),
                grouped(facts)
            )?;
        }
    }
    for ((kind, why), (count, names)) in skipped(outcome) {
        writeln!(
            out,
            "not compared: {} of {}, {}: {why}",
            grouped(count),
            kind.name(),
            names.join(", ")
        )?;
    }
    for (why, count) in &judgement.gaps {
        writeln!(out, "not compared: {} {why}", grouped(*count))?;
    }
    writeln!(out, "not compared, as nothing else tells: {UNTOLD}")?;
    if judgement.changing > 0 {
        writeln!(
            out,
            "not compared: {} facts that changed in each of {} looks",
            grouped(judgement.changing),
            judgement.looks
        )?;
    }
    if judgement.gone > 0 {
        writeln!(
            out,
            "not compared: {} facts of what came or went meanwhile",
            grouped(judgement.gone)
        )?;
    }
    for ((_, name), one) in &judgement.differences {
        writeln!(
            out,
            "differs: {}: {name}: {} in the text, {} by {}",
            one.label, one.text, one.machine, one.source
        )?;
    }
    writeln!(
        out,
        "{} facts compared, {} differ",
        grouped(judgement.compared()),
        grouped(judgement.differences.len() as u64)
    )
}

/// An object whose keys come in this order.
struct Document(Vec<(&'static str, Value)>);

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn write_json(judgement: &Judgement, out: &mut dyn Write) -> io::Result<()> {
    let outcome = &judgement.outcome;
    let mut facts = Map::new();
    for (kind, objects, _, _) in groups(outcome) {
        let names: Map<String, Value> = outcome.order[&kind]
            .iter()
            .filter_map(|name| {
                Some((
                    (*name).to_string(),
                    json!(outcome.same.get(&(kind, *name))?),
                ))
            })
            .collect();
        facts.insert(
            kind.name().to_string(),
            json!({ "objects": objects, "same": names }),
        );
    }
    let mut skipped: Vec<Value> = skipped(outcome)
        .into_iter()
        .map(|((kind, why), (count, names))| {
            json!({ "of": kind.name(), "facts": names, "count": count, "why": why })
        })
        .collect();
    skipped.extend(
        judgement
            .gaps
            .iter()
            .map(|(why, count)| json!({ "count": count, "why": why })),
    );
    let differences: Vec<Value> = judgement
        .differences
        .iter()
        .map(|((key, name), one)| {
            json!({
                "of": key.kind().name(),
                "object": one.label,
                "fact": name,
                "text": one.text,
                "machine": one.machine,
                "by": one.source,
            })
        })
        .collect();
    let mut document = Document(vec![
        ("version", json!(VERSION)),
        ("compared", json!(judgement.compared())),
        ("differ", json!(differences.len())),
        ("changing", json!(judgement.changing)),
        ("gone", json!(judgement.gone)),
        ("looks", json!(judgement.looks)),
        ("differences", Value::Array(differences)),
        ("facts", Value::Object(facts)),
        ("skipped", Value::Array(skipped)),
    ]);
    if let Some(compared) = &outcome.compared {
        let objects: Vec<Value> = compared
            .values()
            .map(|one| {
                json!({
                    "object": one.label,
                    "same": one.same,
                    "looked_at_again": one.other,
                    "skipped": one.skipped,
                })
            })
            .collect();
        document.0.push(("objects", Value::Array(objects)));
    }
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}
