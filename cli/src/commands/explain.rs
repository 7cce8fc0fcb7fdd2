// SPDX-License-Identifier: GPL-2.0

//! `explain`: the kernel's structures behind a process or a namespace, drawn with their values.
//!
//! What is asked for becomes a picture ([`answers`]), the picture a drawing ([`process`], [`namespace`]), and the drawing a
//! tree, a graph for Graphviz, or an SVG.

use std::io::Write;

use crate::args::{Explain, Listing};
use crate::identity::Containers;
use crate::system::System;
use crate::what::What;

use super::{Failure, Session, DONE};

mod answers;
mod dot;
mod drawer;
mod drawing;
mod layout;
mod markup;
mod namespace;
mod process;
mod svg;
mod tree;

/// What is explained, by where it stands in the picture.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Task(usize),
    Namespace(usize),
}

pub(super) fn run(
    session: &Session<'_>,
    args: &Explain,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let what = session.what(&args.what)?;
    let answers = answers::ask(session, &what)?;
    let system = answers::picture(session, &answers)?;
    let containers = session.containers(&system);
    let mut drawing = match subject(&what, &system, &containers)? {
        Subject::Task(index) => process::draw(&system, &containers, index),
        Subject::Namespace(index) => namespace::draw(&system, &containers, index),
    };
    drawing.notes = vec![
        drawing::shown![
            "Structures and headers: Linux 7.3. Values: Linux ",
            system.text.release,
            ".",
        ],
        "At the right: headers, and keys of the text of /proc/nsinspect.".into(),
    ];
    session.tell_missing();
    if args.dot {
        dot::write(&drawing, out)?;
    } else if args.svg {
        svg::write(&drawing, out)?;
    } else {
        let style = session.appearance(&Listing::default());
        tree::write(&drawing, out, style.width, style.color)?;
    }
    Ok(DONE)
}

/// The one process or namespace that is meant.
///
/// # Errors
///
/// It is not there, is neither, or is several.
fn subject(what: &What, system: &System<'_>, containers: &Containers) -> Result<Subject, Failure> {
    answers::only(what, &what.resolve(system, containers)?, system)
}

#[cfg(test)]
mod tests {
    use super::drawing::{Drawing, Way};
    use super::*;
    use crate::identity::Names;
    use crate::output::printable::width;

    /// A process whose root lies in the host's mount namespace, with names that nobody should trust; a zombie; pid
    /// namespaces that a text says to be around each other; a text of a module that knew less.
    const TEXT: &[u8] = b"nsinspect 1 release=7.3.4 uptime=5
ns user 4026531837 id=3 owner=- tasks=3 refs=1 active=1 level=0 parent=- uid=0 uid_map=0:0:4294967295 gid_map=-
ns pid 4026531836 id=4 owner=4026531837 tasks=2 refs=1 active=1 level=0 parent=- reaper=1 pids=3 pid_max=9 dying=0
ns mnt 4026531832 id=8 owner=4026531837 tasks=1 refs=1 active=1 mounts=2 pending=0 event=1 origin=- root=101
ns mnt 90 id=20 owner=4026531837 tasks=1 refs=1 active=1 mounts=900 pending=0 event=1 origin=- root=201
ns pid 91 id=21 owner=4026531837 tasks=1 refs=1 active=0 level=1 parent=92 reaper=- pids=1 pid_max=9 dying=1
ns pid 92 id=22 owner=4026531837 tasks=0 refs=1 active=1 level=1 parent=91 reaper=- pids=1 pid_max=9 dying=0
ns user 93 id=23 owner=93 tasks=0 refs=1 active=1 level=1 parent=93 uid=0 uid_map=- gid_map=-
task 1 comm=init level=0 upid=1@4026531836 pgid=1 sid=1 ppid=0 uid=0 gid=0 threads=1 state=S kind=user start=1 pidns=4026531836 mntns=4026531832 userns=4026531837
task 7 comm=\\033[31m<b>\\042&\\134N level=1 upid=7@4026531836,1@91 pgid=0,0 sid=0,0 ppid=1 tracer=1 uid=0 gid=0 euid=0 egid=0 caps=000001ffffffffff seccomp=2 nnp=1 threads=1 state=D kind=user start=1500000000 pidns=91 pid_for_children=91 mntns=90 utsns=- ipcns=- netns=- cgroupns=- timens=- time_for_children=- userns=4026531837 chroot=1 root=/srv rootns=4026531832 cwd=/data/a\\040b cwdns=90 cgroup=/\\303\\251 cgroup_id=5
task 8 comm=\\055 level=0 upid=8@4026531836 pgid=0 sid=0 ppid=1 tracer=- uid=0 gid=0 euid=0 egid=0 caps=0000000000000000 seccomp=0 nnp=0 threads=1 state=Z kind=user start=1 pidns=4026531836 pid_for_children=- mntns=- utsns=- ipcns=- netns=- cgroupns=- timens=- time_for_children=- userns=4026531837 chroot=- root=- rootns=- cwd=- cwdns=- cgroup=/ cgroup_id=1
mount 4026531832 101 outside 1 1 0:2 / / rw - nullfs nullfs rw
mount 4026531832 102 root 2 1 8:1 / / rw - ext4 /dev/sda1 rw
mount 90 201 root 11 11 8:1 / / rw - ext4 /dev/sda1 rw
mount 90 202 root 12 11 8:2 /x /data rw - ext4 /dev/sda2 rw
mount 90 203 covered 13 12 8:2 / /data/a\\040b/c rw - ext4 /dev/sda2 rw
end ns=7 tasks=3 threads=0 mounts=5 holds=0
";

    fn all() -> Vec<Drawing> {
        let system = System::read(TEXT).unwrap_or_else(|error| panic!("{error}"));
        let containers = Containers::find(&system, &Names::none());
        let tasks = (0..system.tasks.len()).map(|at| process::draw(&system, &containers, at));
        let namespaces =
            (0..system.namespaces.len()).map(|at| namespace::draw(&system, &containers, at));
        tasks.chain(namespaces).collect()
    }

    fn tree(drawing: &Drawing, columns: Option<usize>) -> String {
        let mut out = Vec::new();
        tree::write(drawing, &mut out, columns, false).unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8(out).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn all_forms_say_the_same() {
        for drawing in all() {
            let tree = tree(&drawing, None);
            let (mut dot, mut svg) = (Vec::new(), Vec::new());
            dot::write(&drawing, &mut dot).unwrap_or_else(|error| panic!("{error}"));
            svg::write(&drawing, &mut svg).unwrap_or_else(|error| panic!("{error}"));
            let (dot, svg) = (String::from_utf8_lossy(&dot), String::from_utf8_lossy(&svg));
            for node in &drawing.nodes {
                // Each structure is reached, and drawn.
                assert!(tree.contains(node.structure.name), "{tree}");
                for row in &node.rows {
                    for text in [Some(&row.name), row.value.as_ref()].into_iter().flatten() {
                        assert!(tree.contains(text.as_str()), "{text:?} {tree}");
                        let text = markup::escape(text.as_str());
                        assert!(dot.contains(&text) && svg.contains(&text), "{text}");
                    }
                }
            }
            let headers = drawing.nodes.len();
            assert_eq!(
                tree.matches(" include/").count() + tree.matches(" fs/mount.h").count(),
                headers,
                "{tree}"
            );
            let links = drawing
                .nodes
                .iter()
                .flat_map(|node| &node.rows)
                .filter(|row| row.link.is_some())
                .count();
            assert_eq!(dot.matches(" -> ").count(), links);
            assert_eq!(svg.matches("<path class=\"line").count(), links);
        }
    }

    #[test]
    fn lines_fit() {
        for drawing in all() {
            for columns in [1, 10, 30, 50, 80, 200] {
                for line in tree(&drawing, Some(columns)).lines() {
                    assert!(width(line) <= columns, "{columns}: {line}");
                }
            }
        }
    }

    #[test]
    fn colour_changes_nothing_else() {
        for drawing in all() {
            for columns in [None, Some(40)] {
                let mut out = Vec::new();
                tree::write(&drawing, &mut out, columns, true)
                    .unwrap_or_else(|error| panic!("{error}"));
                let mut text = String::from_utf8_lossy(&out).into_owned();
                while let Some(at) = text.find('\x1b') {
                    let length = text[at..].find('m').unwrap_or(0);
                    text.replace_range(at..=at + length, "");
                }
                assert_eq!(text, tree(&drawing, columns));
            }
        }
    }

    #[test]
    fn roots_elsewhere() {
        let tree = tree(&all()[1], None);
        for line in [
            "├─ comm = \\033[31m<b>\"&\\134N ",
            "├─ __state = D: TASK_UNINTERRUPTIBLE ",
            "├─ start_boottime = 1500000000 (1.500 s) ",
            "├─ parent = 1 init ",
            "│  ├─ root = /srv ──> mount 2 (above) ",
            "│  ├─ root.mnt: mnt_ns = another one ──> mnt_namespace ",
            "│  ├─ pwd = /data/a b ──> mount 12 (above) ",
            "│  ├─ uts_ns = - ",
            "└─ mounts: … and 897 more",
            "pid_allocated = without PIDNS_ADDING: it is dying ",
            "├─ kn = /é ",
        ] {
            assert!(tree.contains(line), "{line:?} in:\n{tree}");
        }
    }

    #[test]
    fn what_is_gone_is_a_dash() {
        let tree = tree(&all()[2], None);
        for line in [
            "exit_state = Z: EXIT_ZOMBIE ",
            "├─ comm = \\055 ",
            "├─ nsproxy = -\n",
            "├─ real_fs = -\n",
        ] {
            assert!(tree.contains(line), "{line:?} in:\n{tree}");
        }
    }

    #[test]
    fn loops_end() {
        for drawing in all() {
            assert!(drawing.nodes.len() < 20, "{drawing:?}");
            let parents = |row: &&drawing::Row| {
                row.arrow() == "parent" && row.link.as_ref().is_some_and(|link| link.way == Way::To)
            };
            for node in &drawing.nodes {
                assert!(node.rows.iter().filter(parents).count() <= 1);
            }
        }
    }
}
