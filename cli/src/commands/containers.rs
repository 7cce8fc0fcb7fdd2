// SPDX-License-Identifier: GPL-2.0

//! `containers`: who has namespaces of its own, and what is shared with the host all the same.

use std::io::Write;

use crate::args::{Common, Containers as Args, Listing};
use crate::identity::{Container, Containers, Runtime};
use crate::output::{Appearance, Cell, Column, Form, Mark};
use crate::source::Query;
use crate::system::System;
use crate::text::NsType;
use crate::what::Target;

use super::users::Users;
use super::{Failure, Session, View, DONE};

/// The columns.
pub static COLUMNS: &[Column] = &[
    Column::new("NAME", "", "what people call it").shrinks(12),
    Column::new(
        "RUNTIME",
        "task.cgroup",
        "what runs it; jail: namespaces of its own, by whomever",
    ),
    Column::new("ID", "task.cgroup", "the beginning of its id").shrinks(8),
    Column::new("POD", "", "the pod that it is in").shrinks(8),
    Column::new(
        "PID",
        "task.2",
        "its first process, by its number on the host",
    )
    .right(),
    Column::new("PROCS", "", "how many processes it has").right(),
    Column::new(
        "MOUNTS",
        "ns.mounts",
        "how many mounts there are in its mount namespace",
    )
    .right(),
    Column::new("PIDNS", "task.pidns", "its pid namespace").right(),
    Column::new("MNTNS", "task.mntns", "its mount namespace").right(),
    Column::new("UTSNS", "task.utsns", "its uts namespace").right(),
    Column::new("IPCNS", "task.ipcns", "its ipc namespace").right(),
    Column::new("NETNS", "task.netns", "its network namespace").right(),
    Column::new("CGROUPNS", "task.cgroupns", "its cgroup namespace").right(),
    Column::new("USERNS", "task.userns", "its user namespace").right(),
    Column::new("TIMENS", "task.timens", "its time namespace").right(),
    Column::new("FULL_ID", "task.cgroup", "its whole id").extra(),
    Column::new("SANDBOX", "", "1: it is the pause container of a pod")
        .right()
        .extra(),
    Column::new(
        "GUESS",
        "",
        "1: the name is a guess, by its host name or its first process",
    )
    .right()
    .extra(),
    Column::new(
        "SHARED",
        "",
        "the types of namespace that it shares with the host",
    )
    .extra(),
    Column::new(
        "USER",
        "task.uid",
        "the user of its first process, as the host calls it",
    )
    .extra()
    .shrinks(8),
    Column::new("COMMAND", "task.comm", "the name of its first process").extra(),
    Column::new("HOSTNAME", "ns.nodename", "its host name").extra(),
    Column::new("CGROUP", "task.cgroup", "the cgroup of its first process")
        .extra()
        .shrinks(8),
    Column::new(
        "CAPS",
        "task.caps",
        "the effective capabilities of its first process",
    )
    .extra(),
    Column::new(
        "SECCOMP",
        "task.seccomp",
        "of its first process: 2: a filter of system calls",
    )
    .right()
    .extra(),
];

/// The column of a type of namespace.
fn ns_type(column: &str) -> Option<NsType> {
    Some(match column {
        "PIDNS" => NsType::Pid,
        "MNTNS" => NsType::Mnt,
        "UTSNS" => NsType::Uts,
        "IPCNS" => NsType::Ipc,
        "NETNS" => NsType::Net,
        "CGROUPNS" => NsType::Cgroup,
        "USERNS" => NsType::User,
        "TIMENS" => NsType::Time,
        _ => return None,
    })
}

pub(super) fn run(common: &Common, args: &Args, out: &mut dyn Write) -> Result<u8, Failure> {
    let view = View {
        name: "containers",
        all: COLUMNS,
        listing: &args.listing,
        tree: None,
    };
    if view.is_settled(out)? {
        return Ok(DONE);
    }
    let session = Session::open(common)?;
    let mut query = Query::show("ns,tasks");
    query.user_only = true;
    let text = session.ask(&query)?;
    let system = session.picture(&text)?;
    let containers = session.containers(&system);
    let users = Users::of(&session);
    let targets = session.targets(&args.what, &system, &containers)?;
    let mut list: Vec<&Container> = match args.what.as_slice() {
        [] => containers.list.iter().collect(),
        _ => chosen(&targets, &system, &containers, &args.what)?,
    };
    // Containers come before units, and these before jails; of each the oldest first.
    list.sort_by_key(|one| (!one.runtime.is_container(), one.runtime == Runtime::Jail));
    let style = session.appearance(&args.listing);
    let context = Context {
        system: &system,
        users: &users,
        // Eight numbers of ten digits need a wide terminal: elsewhere a word stands for each.
        in_words: style.form == Form::Table
            && style.width.is_some_and(|width| width < 160)
            && args.listing.output.is_none(),
    };
    if list.is_empty() && style.form == Form::Table {
        session.tell_missing();
        writeln!(out, "no container, unit or jail has a namespace of its own")?;
        return Ok(DONE);
    }
    let listing = Listing {
        output: columns(&list, &style, &args.listing),
        ..args.listing.clone()
    };
    let view = View {
        listing: &listing,
        ..view
    };
    let rows: Vec<_> = list.into_iter().map(|one| (one, 0)).collect();
    session.show(
        &view,
        &rows,
        &|one, column| context.cell(one, column),
        &system,
        out,
    )?;
    Ok(DONE)
}

/// Which columns are shown where nobody chose them: on a narrow terminal fewer, and none of dashes alone.
fn columns(list: &[&Container], style: &Appearance, listing: &Listing) -> Option<String> {
    if listing.output.is_some() || style.form != Form::Table {
        return listing.output.clone();
    }
    let has_pod = list.iter().any(|one| one.pod.is_some());
    let is_narrow = style.width.is_some_and(|width| width < 110);
    let names: Vec<_> = COLUMNS
        .iter()
        .filter(|one| one.default)
        .map(|one| one.name)
        .filter(|name| match *name {
            "POD" => has_pod && !is_narrow,
            "ID" | "MOUNTS" => !is_narrow,
            _ => true,
        })
        .collect();
    Some(names.join(","))
}

/// The containers that are meant: themselves, or those of processes and namespaces.
fn chosen<'c>(
    targets: &[Target<'c>],
    system: &System<'_>,
    containers: &'c Containers,
    words: &[String],
) -> Result<Vec<&'c Container>, Failure> {
    let tasks = super::ps::tasks_of(targets, system);
    let mut list: Vec<&Container> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Container(one) => Some(*one),
            _ => None,
        })
        .collect();
    for one in &containers.list {
        if !list.iter().any(|other| other.first == one.first)
            && one.tasks.iter().any(|task| tasks.contains(task))
        {
            list.push(one);
        }
    }
    if list.is_empty() {
        return Err(Failure::NotThere(format!(
            "{} is in no container",
            words.join(", ")
        )));
    }
    Ok(list)
}

struct Context<'a, 't> {
    system: &'a System<'t>,
    users: &'a Users,
    in_words: bool,
}

impl Context<'_, '_> {
    fn cell<'c>(&'c self, one: &&'c Container, column: &str) -> Cell<'c> {
        let first = &self.system.tasks[one.first];
        if let Some(ns_type) = ns_type(column) {
            return match first.namespace(ns_type) {
                None => Cell::absent(),
                Some(inum) if Some(inum) == self.system.host(ns_type) => {
                    Cell::from("host").marked(Mark::Shared)
                }
                Some(_) if self.in_words => "own".into(),
                Some(inum) => inum.into(),
            };
        }
        match column {
            "NAME" => super::ps::container_cell(one, column),
            "RUNTIME" => one.runtime.name().into(),
            // What has no other id than its name has it there.
            "ID" if one.name.as_deref() == Some(one.short_id())
                || one.runtime == Runtime::Systemd =>
            {
                Cell::absent()
            }
            "ID" => one.short_id().into(),
            "FULL_ID" => one.id.as_str().into(),
            "POD" => one.pod.as_deref().into(),
            "PID" => first.pid.into(),
            "PROCS" => one.tasks.len().into(),
            "MOUNTS" => first
                .mntns
                .and_then(|inum| self.system.namespace(inum))
                .and_then(|namespace| namespace.mounts)
                .into(),
            "SANDBOX" => one.is_sandbox.into(),
            "GUESS" => one.is_guess.into(),
            "SHARED" => Cell::list(NsType::ALL.into_iter().filter(|ns_type| {
                first
                    .namespace(*ns_type)
                    .is_some_and(|inum| Some(inum) == self.system.host(*ns_type))
            })),
            "USER" => self.users.cell(first.uid),
            "COMMAND" => first.comm.into(),
            "HOSTNAME" => first
                .utsns
                .and_then(|inum| self.system.namespace(inum))
                .and_then(|namespace| namespace.nodename)
                .into(),
            "CGROUP" => first.cgroup.into(),
            "CAPS" => first.value("caps").into(),
            "SECCOMP" => first.seccomp.into(),
            _ => Cell::absent(),
        }
    }
}
