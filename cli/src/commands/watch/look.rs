// SPDX-License-Identifier: GPL-2.0

//! Looks at this machine again and again, and asks for as little as tells a change.
//!
//! A look asks for the namespaces alone. If nothing that it counts has moved there, that is all. Otherwise it asks for the
//! processes, and for the mounts of those namespaces whose list has changed. Of what is kept, a step makes two texts
//! of the same form as the module's, with what may differ: so they are compared as any two saved ones are.

use std::collections::{HashMap, HashSet};

use crate::identity::Containers;
use crate::source::Query;
use crate::text::{Inum, NsType};

use super::super::{Failure, Session};

/// One look of so many asks for the processes, whatever the namespaces say.
const PROCESSES_EVERY: u64 = 20;
/// One of so many asks for all mounts.
const MOUNTS_EVERY: u64 = 60;
/// The mounts of more namespaces than that are asked for at once.
const MOST_SINGLE: usize = 8;

/// Two texts that are compared.
pub(super) struct Step {
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
    /// The lists of mounts as they were, of the namespaces whose list was read again.
    replaced: HashMap<Inum, Vec<u8>>,
    /// The namespaces and processes before.
    records: Vec<u8>,
}

/// The mounts of a namespace, as they were last read.
struct List {
    /// The namespace's 64-bit id, and the stamp of its last change. `None`: it changed while it was read.
    id: u64,
    event: Option<u64>,
    /// Its records.
    text: Vec<u8>,
}

/// What was seen so far.
pub(super) struct Looks<'a> {
    session: Session<'a>,
    count: u64,
    /// The first line of the last text, and its records of namespaces and of processes.
    first_line: Vec<u8>,
    namespaces: Vec<u8>,
    tasks: Vec<u8>,
    /// The threads of the kernel, which a rule wants to know of. They change rarely.
    kthreads: Vec<u8>,
    lists: HashMap<Inum, List>,
    host: Option<Inum>,
    /// Containers whose names were looked for.
    known: HashSet<String>,
}

/// The lines of a text that are of these kinds.
fn records(text: &[u8], is_wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut found = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if is_wanted(line) {
            found.extend_from_slice(line);
        }
    }
    found
}

/// Whether two texts say the same of namespaces and processes, apart from what goes up and down all the time and is not told:
/// references, and the state of a process.
fn are_alike(one: &[u8], other: &[u8]) -> bool {
    let lines = |text| -> std::slice::Split<'_, u8, fn(&u8) -> bool> {
        <[u8]>::split(text, |byte| *byte == b'\n')
    };
    let (mut one, mut other) = (lines(one), lines(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                let is_told = |word: &&[u8]| {
                    !(word.starts_with(b"refs=")
                        || word.starts_with(b"active=")
                        || word.starts_with(b"state="))
                };
                let words = |line| <[u8]>::split(line, |byte| *byte == b' ').filter(is_told);
                if !words(a).eq(words(b)) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// Sorts records of mounts by their namespace.
fn by_namespace(text: &[u8]) -> HashMap<Inum, Vec<u8>> {
    let mut lists: HashMap<Inum, Vec<u8>> = HashMap::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let inum = line
            .strip_prefix(b"mount ")
            .and_then(|rest| rest.split(|byte| *byte == b' ').next())
            .and_then(|number| std::str::from_utf8(number).ok()?.parse().ok())
            .and_then(Inum::new);
        if let Some(inum) = inum {
            lists.entry(inum).or_default().extend_from_slice(line);
        }
    }
    lists
}

impl<'a> Looks<'a> {
    /// Takes the first look, with which the later ones are compared.
    pub(super) fn begin(session: Session<'a>) -> Result<Self, Failure> {
        let text = session.ask(&Query::show("ns,tasks,mounts"))?.into_owned();
        let mut looks = Self {
            session,
            count: 0,
            first_line: Vec::new(),
            namespaces: Vec::new(),
            tasks: Vec::new(),
            kthreads: records(&text, |line| line.starts_with(b"task ") && is_kthread(line)),
            lists: HashMap::new(),
            host: None,
            known: HashSet::new(),
        };
        let system = looks.session.picture(&text)?;
        looks.host = system.host(NsType::Mnt);
        let mut lists = by_namespace(&text);
        for one in &system.namespaces {
            if let Some(inum) = one.inum.filter(|_| one.ns_type == NsType::Mnt) {
                let list = List {
                    id: one.id,
                    event: one.event.filter(|_| !one.torn),
                    text: lists.remove(&inum).unwrap_or_default(),
                };
                looks.lists.insert(inum, list);
            }
        }
        let containers = looks.session.containers(&system);
        looks.known = ids(&containers);
        drop(system);
        looks.keep(&text);
        Ok(looks)
    }

    pub(super) fn session(&self) -> &Session<'a> {
        &self.session
    }

    /// Keeps what a text says of namespaces and processes.
    fn keep(&mut self, text: &[u8]) {
        let end = memchr::memchr(b'\n', text).map_or(text.len(), |at| at + 1);
        self.first_line = text[..end].to_vec();
        self.namespaces = records(text, |line| line.starts_with(b"ns "));
        self.tasks = records(text, |line| line.starts_with(b"task ") && !is_kthread(line));
    }

    /// The records of namespaces and processes.
    fn records(&self) -> Vec<u8> {
        [&self.namespaces[..], &self.tasks].concat()
    }

    /// Looks again. `None`: nothing has changed that is looked at.
    pub(super) fn look(&mut self) -> Result<Option<Step>, Failure> {
        self.count += 1;
        let is_all = self.count % MOUNTS_EVERY == 0;
        // A list that changed while it was read is read again.
        let owes_nothing = self.lists.values().all(|list| list.event.is_some());
        if !is_all && owes_nothing && self.count % PROCESSES_EVERY != 0 {
            let text = self.session.ask(&Query::show("ns"))?;
            let now = records(&text, |line| line.starts_with(b"ns "));
            if are_alike(&self.namespaces, &now) {
                return Ok(None);
            }
        }
        let query = Query {
            user_only: true,
            ..Query::show("ns,tasks")
        };
        let text = self.session.ask(&query)?.into_owned();
        let before = self.records();
        let first_line = std::mem::take(&mut self.first_line);
        self.keep(&text);
        if !is_all && owes_nothing && are_alike(&before, &self.records()) {
            return Ok(None);
        }
        let (moved, there) = {
            let system = self.session.picture(&text)?;
            let lists: HashMap<Inum, (u64, Option<u64>)> = system
                .namespaces
                .iter()
                .filter(|one| one.ns_type == NsType::Mnt)
                .filter_map(|one| Some((one.inum?, (one.id, one.event))))
                .collect();
            let moved: HashSet<Inum> = lists
                .iter()
                .filter(|(inum, (id, event))| {
                    is_all
                        || !self.lists.get(inum).is_some_and(|list| {
                            list.id == *id && list.event.is_some() && list.event == *event
                        })
                })
                .map(|(inum, _)| *inum)
                .collect();
            (moved, lists)
        };
        let replaced = self.read_lists(moved)?;
        // Lists of namespaces that are gone are told of no more, once this step has compared them.
        let gone: Vec<Inum> = self
            .lists
            .keys()
            .filter(|inum| !there.contains_key(inum))
            .copied()
            .collect();
        let mut replaced = replaced;
        for inum in gone {
            if let Some(list) = self.lists.remove(&inum) {
                replaced.insert(inum, list.text);
            }
        }
        Ok(Some(self.step(first_line, before, replaced)))
    }

    /// Reads the mounts of these namespaces. Gives those that were there before.
    fn read_lists(&mut self, moved: HashSet<Inum>) -> Result<HashMap<Inum, Vec<u8>>, Failure> {
        let mut replaced = HashMap::new();
        let queries: Vec<Query> = if moved.len() > MOST_SINGLE {
            vec![Query::show("ns,mounts")]
        } else {
            moved
                .iter()
                .map(|inum| Query {
                    ns: Some(*inum),
                    ..Query::show("ns,mounts")
                })
                .collect()
        };
        for query in queries {
            let text = match self.session.ask(&query) {
                Ok(text) => text,
                // It may have gone meanwhile.
                Err(_) if query.ns.is_some() => continue,
                Err(error) => return Err(error),
            };
            let system = self.session.picture(&text)?;
            let mut lists = by_namespace(&text);
            for one in &system.namespaces {
                let Some(inum) = one
                    .inum
                    .filter(|inum| one.ns_type == NsType::Mnt && moved.contains(inum))
                else {
                    continue;
                };
                if one.torn {
                    // It stays as it was, and is read again at the next look.
                    self.lists.entry(inum).and_modify(|list| list.event = None);
                    continue;
                }
                let list = List {
                    id: one.id,
                    event: one.event,
                    text: lists.remove(&inum).unwrap_or_default(),
                };
                let was = self.lists.insert(inum, list);
                replaced.insert(inum, was.map(|list| list.text).unwrap_or_default());
            }
        }
        Ok(replaced)
    }

    /// Makes the two texts: of namespaces, processes, and of the mounts that may differ.
    fn step(
        &self,
        first_line: Vec<u8>,
        records: Vec<u8>,
        replaced: HashMap<Inum, Vec<u8>>,
    ) -> Step {
        // Those of the host are in both, so that both have some.
        let host = self.host.filter(|inum| !replaced.contains_key(inum));
        let of_host = host.and_then(|inum| self.lists.get(&inum));
        let of_host = of_host.map_or(&[][..], |list| &list.text);
        let mut before = [&first_line[..], &records, of_host].concat();
        let mut after = [&self.first_line[..], &self.records(), of_host].concat();
        for (inum, text) in &replaced {
            before.extend_from_slice(text);
            if let Some(list) = self.lists.get(inum) {
                after.extend_from_slice(&list.text);
            }
        }
        before.extend_from_slice(b"end\n");
        after.extend_from_slice(b"end\n");
        Step {
            before,
            after,
            replaced,
            records: [first_line, records].concat(),
        }
    }

    /// The same with all mounts, and with the threads of the kernel: what rules look at.
    pub(super) fn whole_pictures(&self, step: &Step) -> [Vec<u8>; 2] {
        let mut before = [&step.records[..], &self.kthreads].concat();
        let mut after = [&self.first_line[..], &self.records(), &self.kthreads].concat();
        for (inum, list) in &self.lists {
            after.extend_from_slice(&list.text);
            if !step.replaced.contains_key(inum) {
                before.extend_from_slice(&list.text);
            }
        }
        for text in step.replaced.values() {
            before.extend_from_slice(text);
        }
        before.extend_from_slice(b"end\n");
        after.extend_from_slice(b"end\n");
        [before, after]
    }

    /// Takes note of the containers that there are now. The names of new ones are looked for at the next look, as their
    /// runtimes write these down a moment later.
    pub(super) fn know(&mut self, containers: &Containers) {
        let ids = ids(containers);
        if ids != self.known {
            self.session.names = self.session.names.renewed(containers);
            self.known = ids;
        }
    }
}

fn is_kthread(line: &[u8]) -> bool {
    memchr::memmem::find(line, b" kind=kthread ").is_some()
}

fn ids(containers: &Containers) -> HashSet<String> {
    containers
        .list
        .iter()
        .filter(|one| one.runtime.is_container())
        .map(|one| one.id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_alike_but_for_references_and_states() {
        let text =
            b"ns mnt 7 id=1 tasks=1 refs=1 active=1 event=3\ntask 1 comm=a state=S kind=user\n";
        let alike =
            b"ns mnt 7 id=1 tasks=1 refs=9 active=2 event=3\ntask 1 comm=a state=R kind=user\n";
        assert!(are_alike(text, alike));
        for (from, to) in [
            ("event=3", "event=4"),
            ("comm=a", "comm=b"),
            ("task 1", "task 2"),
        ] {
            let other = String::from_utf8_lossy(text).replace(from, to);
            assert!(!are_alike(text, other.as_bytes()), "{to}");
        }
        assert!(!are_alike(text, &text[..50]));
    }

    #[test]
    fn mounts_are_sorted_by_their_namespace() {
        let text = b"ns mnt 7 id=1\nmount 7 1 root\nmount 8 2 root\nmount 7 3 root\nend\n";
        let lists = by_namespace(text);
        let of = |number| lists[&Inum::new(number).unwrap()].as_slice();
        assert_eq!(of(7), b"mount 7 1 root\nmount 7 3 root\n");
        assert_eq!(of(8), b"mount 8 2 root\n");
    }
}
