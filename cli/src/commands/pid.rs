// SPDX-License-Identifier: GPL-2.0

//! `pid`: one process, and its number at every level.
//!
//! It looks at one process, however many there are: the kernel finds it by its number, and a container's first process
//! is known by the files of its runtime. Only a name that no file has needs a picture of all.

use std::io::Write;

use crate::args::{Common, Pid};
use crate::identity::{of_cgroup, Containers};
use crate::output::{Cell, Column};
use crate::source::{Query, Source};
use crate::system::System;
use crate::text::{Caps, Escaped, Inum, NsType, Task, UpidList};
use crate::what::{self, What};

use super::users::Users;
use super::{Failure, Session, View, DONE};

/// The columns.
pub static COLUMNS: &[Column] = &[
    Column::new(
        "LEVEL",
        "task.level",
        "how deep the pid namespace is nested; 0 is the host's",
    )
    .right(),
    Column::new("PID", "task.upid", "the number of the process in it").right(),
    Column::new("PIDNS", "task.upid", "the pid namespace").right(),
    Column::new(
        "CONTAINER",
        "",
        "the container, pod, unit or jail that the process belongs to",
    )
    .shrinks(10),
    Column::new(
        "USER",
        "task.uid",
        "the user of the process, as the host calls it",
    )
    .shrinks(8),
    Column::new("COMMAND", "task.comm", "the name of the process").shrinks(8),
    Column::new(
        "PGID",
        "task.pgid",
        "the number of its process group in that namespace",
    )
    .right()
    .extra(),
    Column::new(
        "SID",
        "task.sid",
        "the number of its session in that namespace",
    )
    .right()
    .extra(),
    Column::new(
        "TGID",
        "thread.tgid",
        "of a thread: the process that it is of, on the host",
    )
    .right()
    .extra(),
    Column::new("RUNTIME", "", "what runs the container").extra(),
    Column::new("POD", "", "the pod that it is in").extra(),
    Column::new("UID", "task.uid", "the user id on the host")
        .right()
        .extra(),
    Column::new(
        "CAPS",
        "task.caps",
        "the effective capabilities of the process",
    )
    .extra(),
    Column::new("CGROUP", "task.cgroup", "the cgroup of the process")
        .extra()
        .shrinks(8),
];

/// The process or thread that was asked for.
struct Found<'t> {
    upid: UpidList<'t>,
    pgid: Vec<u32>,
    sid: Vec<u32>,
    tgid: Option<u32>,
    uid: u32,
    comm: Escaped<'t>,
    caps: Option<Caps>,
    cgroup: Option<Escaped<'t>>,
    /// Where it stands among the tasks, if it is a process.
    task: Option<usize>,
}

pub(super) fn run(common: &Common, args: &Pid, out: &mut dyn Write) -> Result<u8, Failure> {
    let view = View {
        name: "numbers",
        all: COLUMNS,
        listing: &args.listing,
        tree: None,
    };
    if view.is_settled(out)? {
        return Ok(DONE);
    }
    let session = Session::open(common)?;
    let word = args.number.as_deref().unwrap_or_default();
    let what = session.what(word)?;
    let usage = || {
        Failure::Usage(format!(
            "\"{word}\" is no number of a process: 4711 on the host, or 7@WHERE, as 7@web"
        ))
    };
    let query = match &what {
        What::Pid(pid) => Some(Query {
            pid: Some(*pid),
            ..Query::show("ns,tasks,threads")
        }),
        What::NumberIn(number, place) => quick_namespace(&session, place)?.map(|ns| Query {
            upid: Some((*number, ns)),
            ..Query::show("ns,tasks,threads")
        }),
        _ => return Err(usage()),
    };
    // A saved text answers each query with everything.
    let text = session.ask(&query.unwrap_or_else(|| Query::show("ns,tasks")))?;
    let system = session.picture(&text)?;
    let containers = session.containers(&system);
    let found = match (&what, query) {
        (What::Pid(pid), _) => by_number(&system, *pid),
        (
            What::NumberIn(number, _),
            Some(Query {
                upid: Some((_, ns)),
                ..
            }),
        ) => by_upid(&system, *number, ns),
        (What::NumberIn(number, place), _) => {
            let ns = what::pid_namespace(&place.resolve(&system, &containers)?, &system)
                .ok_or_else(|| Failure::Usage(format!("{place} has no pid namespace")))?;
            by_upid(&system, *number, ns)
        }
        _ => return Err(usage()),
    };
    let found = found.ok_or_else(|| Failure::NotThere(format!("there is no {what}")))?;
    let rows: Vec<_> = found.upid.iter().enumerate().map(|row| (row, 0)).collect();
    let users = Users::of(&session);
    let cell = |(level, upid): &(usize, crate::text::Upid), column: &str| match column {
        "LEVEL" => (*level).into(),
        "PID" => upid.number.into(),
        "PIDNS" => upid.ns.into(),
        "CONTAINER" | "RUNTIME" | "POD" => container(&found, &containers, column),
        "USER" => users.cell(found.uid),
        "COMMAND" => found.comm.into(),
        "PGID" => found.pgid.get(*level).copied().into(),
        "SID" => found.sid.get(*level).copied().into(),
        "TGID" => found.tgid.into(),
        "UID" => found.uid.into(),
        "CAPS" => found.caps.map(|caps| format!("{:016x}", caps.0)).into(),
        "CGROUP" => found.cgroup.into(),
        _ => Cell::absent(),
    };
    session.show(&view, &rows, &cell, &system, out)?;
    Ok(DONE)
}

/// The container of what was found. Alone in its answer a process has its cgroup and its host name, and its whole
/// container only in a text that has all.
fn container<'a>(found: &Found<'_>, containers: &'a Containers, column: &str) -> Cell<'a> {
    found
        .task
        .and_then(|index| containers.of_task(index))
        .map_or(Cell::absent(), |one| super::ps::container_cell(one, column))
}

fn by_number<'t>(system: &System<'t>, pid: u32) -> Option<Found<'t>> {
    find(system, |upid| {
        upid.iter().next().is_some_and(|first| first.number == pid)
    })
}

fn by_upid<'t>(system: &System<'t>, number: u32, ns: Inum) -> Option<Found<'t>> {
    find(system, |upid| upid.in_namespace(ns) == Some(number))
}

fn find<'t>(system: &System<'t>, is_it: impl Fn(UpidList<'t>) -> bool) -> Option<Found<'t>> {
    if let Some((index, task)) = system
        .tasks
        .iter()
        .enumerate()
        .find(|(_, task)| is_it(task.upid))
    {
        return Some(Found {
            upid: task.upid,
            pgid: task.pgid.iter().collect(),
            sid: task.sid.iter().collect(),
            tgid: None,
            uid: task.uid,
            comm: task.comm,
            caps: task.caps,
            cgroup: task.cgroup,
            task: Some(index),
        });
    }
    let thread = system.threads.iter().find(|thread| is_it(thread.upid))?;
    Some(Found {
        upid: thread.upid,
        pgid: Vec::new(),
        sid: Vec::new(),
        tgid: Some(thread.tgid),
        uid: thread.uid,
        comm: thread.comm,
        caps: thread.caps,
        cgroup: thread.cgroup,
        task: system.tasks.iter().position(|task| task.pid == thread.tgid),
    })
}

/// The pid namespace that a place means, if that can be known without a picture of all processes.
fn quick_namespace(session: &Session<'_>, place: &What) -> Result<Option<Inum>, Failure> {
    if !matches!(session.source, Source::Live(_)) {
        return Ok(None);
    }
    let (pid, id) = match place {
        What::Namespace(inum) => return Ok(pid_namespace_itself(session, *inum)?.then_some(*inum)),
        What::Pid(pid) => (*pid, None),
        What::Name(name) => match session.names.first_process(name) {
            Some(state) => (state.pid, Some(state.id.as_str())),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let text = session.ask(&Query {
        pid: Some(pid),
        ..Query::show("tasks")
    })?;
    let system = session.picture(&text)?;
    Ok(system
        .task(pid)
        .filter(|task| id.is_none_or(|id| may_be_of(task, id)))
        .and_then(|task| task.namespace(NsType::Pid)))
}

/// Whether a process may be of the container with that id, by its cgroup. A file that was left behind names a process
/// that is gone, and its number another's.
fn may_be_of(task: &Task<'_>, id: &str) -> bool {
    let path = task.cgroup.map(|path| path.bytes());
    path.and_then(|path| of_cgroup(&String::from_utf8_lossy(&path)))
        .is_none_or(|found| !found.runtime.is_container() || found.id == id)
}

/// Whether that is a pid namespace.
///
/// # Errors
///
/// It is one of another type, or there is none.
fn pid_namespace_itself(session: &Session<'_>, inum: Inum) -> Result<bool, Failure> {
    let text = session.ask(&Query {
        ns: Some(inum),
        ..Query::show("ns")
    })?;
    let system = session.picture(&text)?;
    match system.namespace(inum) {
        Some(one) if one.ns_type == NsType::Pid => Ok(true),
        Some(one) => Err(Failure::Usage(format!(
            "namespace {inum} is of type {}: a number is one in a pid namespace",
            one.ns_type
        ))),
        None => Err(Failure::NotThere(format!("there is no namespace {inum}"))),
    }
}
