// SPDX-License-Identifier: GPL-2.0

//! `diff`: what changed between two texts, or since a text.

use std::io::Write;

use crate::args::{Common, Diff};
use crate::audit;
use crate::changes::{self, Change, Side};
use crate::output::Form;
use crate::source::{Query, Source};
use crate::system::System;

use super::change::{Context, COLUMNS};
use super::{Failure, Session, View, DONE, FOUND};

pub(super) fn run(common: &Common, args: &Diff, out: &mut dyn Write) -> Result<u8, Failure> {
    let view = View {
        name: "changes",
        all: COLUMNS,
        listing: &args.listing,
        tree: None,
    };
    if view.is_settled(out)? {
        return Ok(DONE);
    }
    let Some(before) = &args.before else {
        return Err(Failure::Usage("diff takes a saved text".to_string()));
    };
    if common.from.is_some() {
        return Err(Failure::Usage(
            "diff takes no --from: name the two texts, the older one first".to_string(),
        ));
    }
    if Some(before) == args.after.as_ref() && before.as_os_str() == "-" {
        return Err(Failure::Usage(
            "only one of the two texts can come from standard input".to_string(),
        ));
    }
    let old = Session::with(common, Source::saved(before)?);
    let new = match &args.after {
        Some(after) => Session::with(common, Source::saved(after)?),
        None => Session::open(common)?,
    };
    let query = Query::show("ns,tasks,mounts");
    let texts = [old.ask(&query)?, new.ask(&query)?];
    let systems = [old.picture(&texts[0])?, new.picture(&texts[1])?];
    // Both are of one machine, and what is not here any more may have left its files.
    let containers = [new.containers(&systems[0]), new.containers(&systems[1])];
    let has_all = warn_of_gaps(&systems, [&old, &new]);
    // Some rules look at mounts. In a text without them they would find less.
    let findings = [0, 1].map(|at| {
        if has_all {
            audit::find(&systems[at], &containers[at], &[])
        } else {
            Vec::new()
        }
    });
    let side = |at: usize| Side {
        system: &systems[at],
        containers: &containers[at],
        findings: &findings[at],
    };
    let list = changes::between(side(0), side(1), args.each_mount)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let context = Context::new(side(0), side(1));
    let has_changes = !list.is_empty();
    if !has_changes && new.appearance(&args.listing).form == Form::Table {
        let nanoseconds = systems[1].text.uptime - systems[0].text.uptime;
        writeln!(out, "nothing changed in {}", seconds(nanoseconds))?;
        return Ok(DONE);
    }
    let rows: Vec<(Change<'_>, usize)> = list.into_iter().map(|one| (one, 0)).collect();
    new.show(
        &view,
        &rows,
        &|change, column| context.cell(change, column),
        &systems[1],
        out,
    )?;
    Ok(if has_changes { FOUND } else { DONE })
}

/// Says if one of the texts was made without mounts. Gives whether both have them.
fn warn_of_gaps(systems: &[System<'_>; 2], sessions: [&Session<'_>; 2]) -> bool {
    for (system, session) in systems.iter().zip(sessions) {
        if !changes::has_mounts(system) {
            eprintln!(
                "nsinspect: {} has no mounts, so neither they nor findings are compared",
                session.source.name()
            );
        }
    }
    systems.iter().all(changes::has_mounts)
}

/// A time in seconds.
fn seconds(nanoseconds: u64) -> String {
    format!(
        "{}.{:01} s",
        nanoseconds / 1_000_000_000,
        nanoseconds / 100_000_000 % 10
    )
}
