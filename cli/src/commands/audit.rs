// SPDX-License-Identifier: GPL-2.0

//! `audit`: what is wrong here.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::args::{Audit, Common};
use crate::audit::{self, baseline, rules, Finding, Rule, Severity, Subject, RULES};
use crate::identity::Containers;
use crate::output::{Cell, Column, Form, Mark};
use crate::source::{reason, Progress, Query, Source};
use crate::system::System;

use super::{Failure, Session, View, DONE, FOUND};

mod busy;
mod explain;
mod sarif;

/// The columns.
pub static COLUMNS: &[Column] = &[
    Column::new(
        "SEVERITY",
        "",
        "how bad it is: critical, high, medium, warning, low or info",
    ),
    Column::new("RULE", "", "the rule that found it; --explain says more"),
    Column::new(
        "CONTAINER",
        "",
        "the container, pod, unit or jail that it concerns",
    )
    .shrinks(10),
    Column::new("PIDS", "task.2", "the processes that show it").shrinks(8),
    Column::new("WHAT", "", "what is wrong").shrinks(30),
    Column::new("RUNTIME", "", "what runs the container").extra(),
    Column::new("TITLE", "", "what the rule finds").extra(),
    Column::new(
        "MOUNTS",
        "mount.3",
        "the 64-bit ids of the mounts that show it",
    )
    .extra(),
    Column::new("NAMESPACES", "ns.3", "the namespaces that show it").extra(),
    Column::new(
        "OF",
        "",
        "whom it concerns, by what stays the same tomorrow: as in a baseline",
    )
    .extra(),
];

/// What was found, and in which picture.
struct Found<'a, 't> {
    system: &'a System<'t>,
    containers: &'a Containers,
    findings: Vec<Finding>,
}

/// Since when something has been stuck that S1 tells.
enum Since {
    /// It was so in a saved text.
    Text(PathBuf),
    /// For so long.
    Seconds(u64),
}

pub(super) fn run(common: &Common, args: &Audit, out: &mut dyn Write) -> Result<u8, Failure> {
    let view = View {
        name: "findings",
        all: COLUMNS,
        listing: &args.listing,
        tree: None,
    };
    if view.is_settled(out)? {
        return Ok(DONE);
    }
    if let Some(id) = &args.explain {
        return explain_rules(common, id, out);
    }
    // Before anything is waited for.
    let accepted = args.baseline.as_deref().map(read_baseline).transpose()?;
    let since = args.since.as_deref().map(Since::parse).transpose()?;
    let session = Session::open(common)?;
    let earlier = match &since {
        Some(since) => Some(since.subjects(&session)?),
        None => None,
    };

    let text = session.ask(&Query::show("ns,tasks,mounts"))?;
    let with_threads;
    let mut system = session.picture(&text)?;
    if audit::needs_threads(&system) {
        with_threads = session.ask(&Query::show("ns,tasks,threads,mounts"))?;
        system = session.picture(&with_threads)?;
    }
    let containers = session.containers(&system);
    let mut findings = find(&session, &system, &containers);
    if let Some(earlier) = earlier {
        findings.retain_mut(|one| {
            let is_old = one.rule.id != "S1" || earlier.contains(&one.subject);
            if one.rule.id == "S1" {
                one.severity = one.rule.severity;
            }
            is_old
        });
        findings.sort_by_key(|one| std::cmp::Reverse(one.severity));
    }
    let all = findings.len();
    if let Some(accepted) = &accepted {
        findings.retain(|one| !accepted.has(one, &containers));
    }
    let found = Found {
        system: &system,
        containers: &containers,
        findings,
    };
    if let Some(path) = &args.save_baseline {
        return save_baseline(&found, path, out);
    }
    show(
        &session,
        &view,
        args,
        &found,
        all - found.findings.len(),
        out,
    )?;
    let is_bad = found
        .findings
        .iter()
        .any(|one| one.severity >= args.fail_on);
    Ok(if is_bad { FOUND } else { DONE })
}

fn find(session: &Session<'_>, system: &System<'_>, containers: &Containers) -> Vec<Finding> {
    let busy = match session.source {
        Source::Live(_) => busy::find(session, system),
        _ => Vec::new(),
    };
    audit::find(system, containers, &busy)
}

fn show(
    session: &Session<'_>,
    view: &View<'_>,
    args: &Audit,
    found: &Found<'_, '_>,
    accepted: usize,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if args.sarif {
        return Ok(sarif::write(found.findings.iter(), found, out)?);
    }
    let is_table = session.appearance(&args.listing).form == Form::Table;
    if is_table && found.findings.is_empty() {
        session.tell_missing();
        match accepted {
            0 => writeln!(out, "nothing is wrong that a rule knows")?,
            _ => writeln!(
                out,
                "nothing is wrong besides what was accepted: {accepted}"
            )?,
        }
        return Ok(());
    }
    let rows: Vec<(&Finding, usize)> = found.findings.iter().map(|one| (one, 0)).collect();
    session.show(
        view,
        &rows,
        &|finding, column| found.cell(finding, column),
        found.system,
        out,
    )?;
    if is_table && io::stderr().is_terminal() {
        let rule = found.findings.first().map_or("A1", |one| one.rule.id);
        eprintln!("nsinspect audit --explain {rule} says what that means, and what to do");
    }
    Ok(())
}

impl Found<'_, '_> {
    fn cell<'c>(&'c self, finding: &'c Finding, column: &str) -> Cell<'c> {
        match column {
            "SEVERITY" => Cell::from(finding.severity.name()).marked(mark(finding.severity)),
            "RULE" => finding.rule.id.into(),
            "TITLE" => finding.rule.title.into(),
            "CONTAINER" | "RUNTIME" => finding
                .container(self.containers)
                .map_or_else(Cell::absent, |one| super::ps::container_cell(one, column)),
            "PIDS" => several(self.pids(finding)),
            "WHAT" => finding.what.as_str().into(),
            "MOUNTS" => several(finding.mounts.iter().copied()),
            "NAMESPACES" => several(finding.namespaces.iter().copied()),
            "OF" => finding.of(self.containers).into(),
            _ => Cell::absent(),
        }
    }

    /// The numbers of the processes that show a finding.
    fn pids<'c>(&'c self, finding: &'c Finding) -> impl ExactSizeIterator<Item = u32> + 'c {
        finding
            .tasks
            .iter()
            .map(|index| self.system.tasks[*index].pid)
    }
}

/// A list, or nothing if there is none.
fn several<'c, T: Into<Cell<'c>>>(list: impl ExactSizeIterator<Item = T>) -> Cell<'c> {
    if list.len() == 0 {
        Cell::absent()
    } else {
        Cell::list(list)
    }
}

fn mark(severity: Severity) -> Mark {
    match severity {
        Severity::Critical | Severity::High => Mark::Bad,
        Severity::Medium | Severity::Warning => Mark::Strong,
        Severity::Low => Mark::Plain,
        Severity::Info => Mark::Dim,
    }
}

/// Says what one rule means, or each.
fn explain_rules(common: &Common, id: &str, out: &mut dyn Write) -> Result<u8, Failure> {
    let chosen: Vec<&Rule> = if id == "all" {
        RULES.iter().collect()
    } else {
        let rule = rules::rule(id).ok_or_else(|| {
            let ids: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
            Failure::Usage(format!(
                "there is no rule \"{id}\": the rules are {}; all explains each",
                ids.join(", ")
            ))
        })?;
        vec![rule]
    };
    explain::write(&chosen, common, out)?;
    Ok(DONE)
}

fn read_baseline(path: &Path) -> Result<baseline::Baseline, Failure> {
    let text = fs::read(path).map_err(|error| {
        Failure::Usage(format!(
            "cannot read {}: {}; --save-baseline FILE writes such a file",
            path.display(),
            reason(&error)
        ))
    })?;
    baseline::Baseline::parse(&text)
        .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

fn save_baseline(found: &Found<'_, '_>, path: &Path, out: &mut dyn Write) -> Result<u8, Failure> {
    let text = baseline::save(&found.findings, found.containers);
    if path == Path::new("-") {
        out.write_all(text.as_bytes())?;
        return Ok(DONE);
    }
    fs::write(path, text).map_err(|error| {
        Failure::Usage(format!(
            "cannot write {}: {}",
            path.display(),
            reason(&error)
        ))
    })?;
    let number = found.findings.len();
    writeln!(
        out,
        "{number} findings are accepted in {}: read it, and take out what is not to be",
        path.display()
    )?;
    Ok(DONE)
}

impl Since {
    fn parse(text: &str) -> Result<Self, Failure> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Ok(Self::Text(PathBuf::from(text)));
        }
        match text.parse() {
            Ok(seconds) if seconds > 0 && seconds <= 86_400 => Ok(Self::Seconds(seconds)),
            _ => Err(Failure::Usage(format!(
                "--since {text}: at least a second, and at most 86400; a file with that name is ./{text}"
            ))),
        }
    }

    /// What was stuck then. Waits, if it is a time.
    fn subjects(&self, session: &Session<'_>) -> Result<Vec<Subject>, Failure> {
        let subjects = |session: &Session<'_>| -> Result<Vec<Subject>, Failure> {
            let text = session.ask(&Query::show("ns,tasks,mounts"))?;
            let system = session.picture(&text)?;
            let containers = session.containers(&system);
            Ok(find(session, &system, &containers)
                .into_iter()
                .filter(|one| one.rule.id == "S1")
                .map(|one| one.subject)
                .collect())
        };
        match self {
            Self::Text(path) => {
                let earlier = Session::with(session.common, Source::saved(path)?);
                subjects(&earlier)
            }
            Self::Seconds(_) if !session.source.is_here() => Err(Failure::Usage(
                "--since SECONDS waits and looks again, which a saved text cannot: give the earlier text, --since FILE"
                    .to_string(),
            )),
            Self::Seconds(seconds) => {
                let then = subjects(session)?;
                let progress = Progress::start();
                thread::sleep(Duration::from_secs(*seconds));
                drop(progress);
                Ok(then)
            }
        }
    }
}
