// SPDX-License-Identifier: GPL-2.0

//! `watch`: what changes, as it happens.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::args::{Common, SourceKind, Watch};
use crate::changes::{self, Change, Side};
use crate::output::filter::Filter;
use crate::syscalls::{self, EndSignals};
use crate::system::System;

use super::change::{Context, COLUMNS};
use super::{Failure, Session, DONE};

mod line;
mod look;

use look::{Looks, Step};

/// More than that of a processor is worth a warning, in parts of a hundred.
const MUCH: u64 = 10;
/// After so many looks is said what it takes, if that is much.
const LOOKS_UNTIL_WARNING: u64 = 20;

pub(super) fn run(common: &Common, args: &Watch, out: &mut dyn Write) -> Result<u8, Failure> {
    if common.from.is_some() || common.source == Some(SourceKind::Procfs) {
        return Err(Failure::Usage(
            "watch looks at this machine, by the module: it takes neither --from nor --source=procfs; diff compares saved texts"
                .to_string(),
        ));
    }
    let filter = args
        .filter
        .as_ref()
        .map(|text| Filter::parse(text, COLUMNS))
        .transpose()
        .map_err(Failure::Usage)?;
    let signals = EndSignals::hold()?;
    let session = Session::open(common)?;
    let mut watcher = Watcher {
        args,
        filter,
        color: crate::output::wants_color(common.color),
        looks: Looks::begin(session)?,
    };
    let mut cost = Cost::begin();
    eprintln!(
        "nsinspect: watching, with a look every {} s; ^C ends it",
        args.interval.as_secs_f64()
    );
    let mut next = Instant::now() + args.interval;
    loop {
        let now = Instant::now();
        if now < next {
            if signals.wait(next - now)? {
                break;
            }
            continue;
        }
        // Where a look takes longer than the interval, the next one follows at once, and none is made up for.
        next = (next + args.interval).max(now);
        if syscalls::is_abandoned(io::stdout().as_fd()) {
            return Ok(DONE);
        }
        if let Some(step) = watcher.looks.look()? {
            watcher.tell(&step, out)?;
            out.flush()?;
        }
        cost.looked();
        // Signals are taken even if there is never time to wait.
        if signals.wait(Duration::ZERO)? {
            break;
        }
    }
    out.flush()?;
    eprintln!("nsinspect: {cost}");
    Ok(DONE)
}

struct Watcher<'a> {
    args: &'a Watch,
    filter: Option<Filter>,
    color: bool,
    looks: Looks<'a>,
}

impl Watcher<'_> {
    /// Tells what happened between two looks.
    fn tell(&mut self, step: &Step, out: &mut dyn Write) -> Result<(), Failure> {
        let session = self.looks.session();
        let before = session.picture(&step.before)?;
        let after = session.picture(&step.after)?;
        let containers = [session.containers(&before), session.containers(&after)];
        let side = |at: usize, system| Side {
            system,
            containers: &containers[at],
            findings: &[],
        };
        let list = changes::between(side(0, &before), side(1, &after), self.args.each_mount)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let context = Context::new(side(0, &before), side(1, &after));
        self.write(&list, &context, &after, out)?;
        if !list.is_empty() {
            self.findings(step, out)?;
        }
        self.looks.know(&containers[1]);
        Ok(())
    }

    /// Tells what is wrong now and was not, and the other way round.
    fn findings(&mut self, step: &Step, out: &mut dyn Write) -> Result<(), Failure> {
        let [before, after] = self.looks.whole_pictures(step);
        let session = self.looks.session();
        let (before, after) = (session.picture(&before)?, session.picture(&after)?);
        let systems = [&before, &after];
        let containers = systems.map(|system| session.containers(system));
        let findings = [0, 1].map(|at| crate::audit::find(systems[at], &containers[at], &[]));
        let side = |at: usize| Side {
            system: systems[at],
            containers: &containers[at],
            findings: &findings[at],
        };
        let list = changes::findings(side(0), side(1));
        let context = Context::new(side(0), side(1));
        self.write(&list, &context, &after, out)
    }

    fn write(
        &self,
        list: &[Change<'_>],
        context: &Context<'_>,
        system: &System<'_>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let list: Vec<&Change<'_>> = list
            .iter()
            .filter(|one| {
                self.filter.as_ref().is_none_or(|filter| {
                    filter.matches(&|at| context.cell(one, filter.columns[at].name).data)
                })
            })
            .collect();
        for one in list {
            if self.args.jsonl {
                line::write_json(one, context, system, out)?;
            } else {
                line::write(one, context, system, self.color, out)?;
            }
        }
        Ok(())
    }
}

/// What watching costs.
struct Cost {
    begun: Instant,
    processor: u64,
    looks: u64,
    warned: bool,
}

impl Cost {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            processor: syscalls::processor_time(),
            looks: 0,
            warned: false,
        }
    }

    /// Of a processor, in parts of a thousand.
    fn share(&self) -> u64 {
        let worked = syscalls::processor_time().saturating_sub(self.processor);
        let passed = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        worked.saturating_mul(1000) / passed.max(1)
    }

    /// Counts a look. Says once that this takes much, if it does.
    fn looked(&mut self) {
        self.looks += 1;
        if self.looks == LOOKS_UNTIL_WARNING && !self.warned && self.share() > 10 * MUCH {
            self.warned = true;
            eprintln!("nsinspect: {self}; a longer --interval takes less");
        }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = self.share();
        write!(
            f,
            "{} looks in {:.1} s took {}.{} % of a processor",
            self.looks,
            self.begun.elapsed().as_secs_f64(),
            share / 10,
            share % 10
        )
    }
}
