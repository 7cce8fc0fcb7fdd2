// SPDX-License-Identifier: GPL-2.0

//! Asks for what is drawn and no more, and makes one picture of the answers.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::source::Query;
use crate::system::System;
use crate::text::{Inum, Task};
use crate::what::{Target, What};

use super::super::{Failure, Session};
use super::{subject, Subject};

/// A text with at least what the drawing needs, in several parts; a saved one is whole.
///
/// # Errors
///
/// There is none, or it has not what was asked for.
pub(super) fn ask<'s>(
    session: &'s Session<'_>,
    what: &What,
) -> Result<Vec<Cow<'s, [u8]>>, Failure> {
    if !session.source.is_here() {
        return Ok(vec![session.ask(&Query::default())?]);
    }
    if let What::Namespace(inum) = what {
        return Ok(vec![
            session.ask(&Query::show("ns"))?,
            session.ask(&Query {
                ns: Some(*inum),
                ..Query::show("ns,tasks,mounts")
            })?,
        ]);
    }
    let mut answers = Vec::new();
    let own = match what {
        What::Pid(pid) => {
            let own = session.ask(&Query {
                pid: Some(*pid),
                // Of a thread there is a record of its own, which says whose it is.
                ..Query::show("ns,tasks,threads")
            })?;
            let system = session.picture(&own)?;
            what.resolve(&system, &session.containers(&system))?;
            Some(own)
        }
        _ => None,
    };
    // Who shares its namespaces is not in the answer to pid=. Without it the rest is still drawn.
    let all = match (session.ask(&Query::show("ns,tasks")), &own) {
        (Ok(all), _) => Some(all),
        (Err(_), Some(_)) => None,
        (Err(failure), None) => return Err(failure),
    };
    answers.extend(all);
    answers.extend(own);
    let mut mounts = Vec::new();
    for inum in mount_namespaces(session, what, &answers)? {
        mounts.push(session.ask(&Query {
            ns: Some(inum),
            ..Query::show("mounts")
        })?);
    }
    answers.extend(mounts);
    Ok(answers)
}

/// The mount namespaces whose mounts are drawn.
fn mount_namespaces(
    session: &Session<'_>,
    what: &What,
    answers: &[Cow<'_, [u8]>],
) -> Result<Vec<Inum>, Failure> {
    let system = picture(session, answers)?;
    let mut inums = Vec::new();
    if let Subject::Task(index) = subject(what, &system, &session.containers(&system))? {
        let task = &system.tasks[index];
        for inum in [task.mntns, task.rootns, task.cwdns].into_iter().flatten() {
            if !inums.contains(&inum) {
                inums.push(inum);
            }
        }
    }
    Ok(inums)
}

/// Makes one picture of several answers.
///
/// # Errors
///
/// One of them is not as it should be.
pub(super) fn picture<'t>(
    session: &Session<'_>,
    answers: &'t [Cow<'_, [u8]>],
) -> Result<System<'t>, Failure> {
    let mut systems = Vec::with_capacity(answers.len());
    for answer in answers {
        systems.push(session.picture(answer)?);
    }
    let mut systems = systems.into_iter();
    let Some(mut whole) = systems.next() else {
        return Err(Failure::NotThere("there is no answer".to_string()));
    };
    for part in systems {
        absorb(&mut whole, part);
    }
    Ok(whole)
}

/// Adds to a picture what it has not. Nobody has looked anything up in it so far.
fn absorb<'t>(whole: &mut System<'t>, part: System<'t>) {
    let mut places: HashMap<u64, usize> = whole
        .namespaces
        .iter()
        .enumerate()
        .map(|(at, one)| (one.id, at))
        .collect();
    for one in part.namespaces {
        match places
            .get(&one.id)
            .and_then(|at| whole.namespaces.get_mut(*at))
        {
            // Not every answer counts who is in there.
            Some(known) if known.tasks.is_none() => *known = one,
            Some(_) => {}
            None => {
                places.insert(one.id, whole.namespaces.len());
                whole.namespaces.push(one);
            }
        }
    }
    whole.namespaces.sort_by_key(|one| one.id);

    let mut places: HashMap<u32, usize> = whole
        .tasks
        .iter()
        .enumerate()
        .map(|(at, task)| (task.pid, at))
        .collect();
    let is_same = |one: &Task<'_>, other: &Task<'_>| one.start == other.start;
    for task in part.tasks {
        match places
            .get(&task.pid)
            .and_then(|at| whole.tasks.get_mut(*at))
        {
            Some(known) if is_same(known, &task) => {}
            Some(known) => *known = task,
            None => {
                places.insert(task.pid, whole.tasks.len());
                whole.tasks.push(task);
            }
        }
    }

    // Those of a namespace stand together.
    let known: HashSet<Inum> = whole.mounts.iter().map(|mount| mount.ns).collect();
    whole.mounts.extend(
        part.mounts
            .into_iter()
            .filter(|one| !known.contains(&one.ns)),
    );
}

/// The one process or namespace that is meant.
///
/// # Errors
///
/// It is neither, or several.
pub(super) fn only(
    what: &What,
    targets: &[Target<'_>],
    system: &System<'_>,
) -> Result<Subject, Failure> {
    match targets {
        [Target::Task(index)] => Ok(Subject::Task(*index)),
        [Target::Container(one)] => Ok(Subject::Task(one.first)),
        [Target::Namespace(index)] => Ok(Subject::Namespace(*index)),
        [] | [Target::Device(_)] => Err(Failure::Usage(format!(
            "{what} is neither a process nor a namespace; \"nsinspect holders\" tells of devices"
        ))),
        several => {
            let pids: Vec<String> = several
                .iter()
                .filter_map(|one| match one {
                    Target::Task(index) => Some(*index),
                    Target::Container(one) => Some(one.first),
                    _ => None,
                })
                .filter_map(|index| system.tasks.get(index))
                .map(|task| task.pid.to_string())
                .collect();
            let shown = pids.len().min(8);
            let more = if pids.len() > shown { ", …" } else { "" };
            Err(Failure::Usage(format!(
                "{what} means several: the processes {}{more}; say which",
                pids[..shown].join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_a_whole() {
        let all = b"nsinspect 1 release=7.3 uptime=1\n\
            ns pid 11 id=4 owner=- tasks=2 refs=1 active=1\n\
            task 1 comm=init start=1\n\
            task 7 comm=old start=5\n\
            end ns=1 tasks=2\n";
        let own = b"nsinspect 1 release=7.3 uptime=2\n\
            ns mnt 12 id=2 owner=- tasks=- refs=1 active=1\n\
            ns pid 11 id=4 owner=- tasks=- refs=1 active=1\n\
            task 7 comm=new start=9\n\
            end ns=2 tasks=1\n";
        let mounts = b"nsinspect 1 release=7.3 uptime=3\n\
            mount 12 1 root 1 1 0:1 / / rw - tmpfs tmpfs rw\n\
            mount 12 2 root 2 1 0:2 / /a rw - tmpfs tmpfs rw\n\
            end mounts=2\n";
        let mut whole = System::read(all).unwrap_or_else(|error| panic!("{error}"));
        for part in [&own[..], mounts, mounts] {
            let part = System::read(part).unwrap_or_else(|error| panic!("{error}"));
            absorb(&mut whole, part);
        }
        let ids: Vec<_> = whole
            .namespaces
            .iter()
            .map(|one| (one.id, one.tasks))
            .collect();
        assert_eq!(ids, [(2, None), (4, Some(2))]);
        let comms: Vec<_> = whole.tasks.iter().map(|task| task.comm.raw()).collect();
        assert_eq!(comms, [&b"init"[..], b"new"]);
        assert_eq!(whole.mounts.len(), 2);
    }
}
