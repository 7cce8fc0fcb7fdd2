// SPDX-License-Identifier: GPL-2.0

//! Without a command: what is here, in ten lines, and what to type next.

use std::io::Write;

use crate::audit::{self, Severity};
use crate::identity::{Container, Runtime};
use crate::output::{self, Mark, Words};
use crate::source::Query;
use crate::text::NsType;

use super::{Failure, Session, DONE};

pub(super) fn run(session: &Session<'_>, out: &mut dyn Write) -> Result<u8, Failure> {
    let text = session.ask(&Query::show("ns,tasks"))?;
    let system = session.picture(&text)?;
    let containers = session.containers(&system);
    session.tell_missing();
    let color = output::wants_color(session.common.color);
    let release = Words::from_escaped(system.text.release);
    let mut line = |name: &str, value: &str, mark: Mark| -> Result<(), Failure> {
        output::write_marked(out, &format!("{name:11}"), Mark::Strong, color)?;
        output::write_marked(out, value, mark, color)?;
        out.write_all(b"\n")?;
        Ok(())
    };

    line(
        "kernel",
        &format!("{}, up {}", release.shown(), duration(system.text.uptime)),
        Mark::Plain,
    )?;
    line("source", &session.source.name(), Mark::Plain)?;
    let users = system.tasks.iter().filter(|task| !task.is_kthread());
    let (user, all) = (users.clone().count(), system.tasks.len());
    let zombies = users.clone().filter(|task| task.is_zombie()).count();
    let nested = users.clone().filter(|task| task.level > 0).count();
    line(
        "processes",
        &format!(
            "{user}, and {} kernel threads; {nested} in nested pid namespaces, {zombies} zombies",
            all - user
        ),
        Mark::Plain,
    )?;
    let counts: Vec<String> = NsType::ALL
        .iter()
        .map(|ns_type| {
            let number = system
                .namespaces
                .iter()
                .filter(|one| one.ns_type == *ns_type)
                .count();
            format!("{number} {ns_type}")
        })
        .collect();
    line(
        "namespaces",
        &format!("{}: {}", system.namespaces.len(), counts.join(", ")),
        Mark::Plain,
    )?;
    let mounts: u64 = system
        .namespaces
        .iter()
        .filter_map(|one| one.mounts)
        .map(u64::from)
        .sum();
    line(
        "mounts",
        &format!("{mounts}, in all mount namespaces together"),
        Mark::Plain,
    )?;
    let list = &containers.list;
    line(
        "containers",
        &kinds(list.iter().filter(|one| one.runtime.is_container())),
        Mark::Plain,
    )?;
    let of = |runtime| list.iter().filter(|one| one.runtime == runtime).count();
    line(
        "others",
        &format!(
            "{} units of systemd and {} jails have namespaces of their own",
            of(Runtime::Systemd),
            of(Runtime::Jail)
        ),
        Mark::Plain,
    )?;

    let hidden = system
        .tasks
        .iter()
        .filter(|task| task.unlisted || task.unnumbered)
        .count();
    let dying = system
        .namespaces
        .iter()
        .filter(|one| one.dying == Some(true))
        .count();
    let processless = system
        .namespaces
        .iter()
        .filter(|one| one.tasks == Some(0))
        .count();
    // What shows without the mounts, which are not asked for.
    let bad = audit::find(&system, &containers, &[])
        .iter()
        .filter(|one| one.severity > Severity::Info && one.rule.id != "A9")
        .count();
    let mut findings = Vec::new();
    let mut tell = |number: usize, what: &str, command: &str| {
        if number != 0 {
            findings.push(format!("{number} {what}: nsinspect {command}"));
        }
    };
    tell(hidden, "hidden processes", "ps --hidden");
    tell(bad, "above info, by the rules of audit", "audit");
    tell(
        dying,
        "pid namespaces that are dying",
        "ns --type pid -Q 'STATE =~ \"dying\"'",
    );
    tell(
        processless,
        "namespaces without processes",
        "ns -Q 'NPROCS == 0'",
    );
    if findings.is_empty() {
        let none = "none at a first look; nsinspect audit looks at the mounts as well";
        line("findings", none, Mark::Plain)?;
    }
    for (at, one) in findings.iter().enumerate() {
        let mark = if hidden != 0 && at == 0 {
            Mark::Bad
        } else {
            Mark::Plain
        };
        line(if at == 0 { "findings" } else { "" }, one, mark)?;
    }
    line(
        "next",
        "nsinspect containers | ps --tree | ns | mounts | pid 7@NAME | holders PATH | audit | --help",
        Mark::Plain,
    )?;
    Ok(DONE)
}

/// How many containers there are, and of which runtimes.
fn kinds<'a>(list: impl Iterator<Item = &'a Container>) -> String {
    let mut kinds: std::collections::BTreeMap<Runtime, u64> = std::collections::BTreeMap::new();
    for one in list {
        *kinds.entry(one.runtime).or_default() += 1;
    }
    let total: u64 = kinds.values().sum();
    let parts: Vec<String> = kinds
        .iter()
        .map(|(runtime, number)| format!("{number} {}", runtime.name()))
        .collect();
    if parts.is_empty() {
        "none".to_string()
    } else {
        format!("{total}: {}", parts.join(", "))
    }
}

/// A time since boot, for people.
fn duration(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
