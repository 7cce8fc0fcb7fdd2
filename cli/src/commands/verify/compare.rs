// SPDX-License-Identifier: GPL-2.0

//! Compares a text with what this machine showed right before it and right after it.
//!
//! What was the same before and after is taken for what was there in between. So it need not have been: something may
//! change and change back. That is why nothing that this finds counts at once: see `judge`.

use std::collections::{BTreeMap, BTreeSet};

use super::fact::{shown, Key, Kind, Machine, MountList, Want};
use super::text::Text;

/// A fact that the text shows otherwise, or that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The text says one thing, this machine another.
    Differs(Difference),
    /// It changed from before to after: what it was, as far as that is known.
    Changed(Vec<String>),
}

/// What the text says, and what this machine does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// The object.
    pub label: String,
    pub text: String,
    pub machine: String,
    /// Who says so.
    pub source: &'static str,
}

/// What was compared about an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Compared {
    pub label: String,
    pub same: Vec<&'static str>,
    pub other: Vec<&'static str>,
    pub skipped: Vec<&'static str>,
}

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// How many facts were the same, by kind and name, and the place of that name in the order of the facts.
    pub same: BTreeMap<(Kind, &'static str), u64>,
    /// How many objects were compared.
    pub objects: BTreeMap<Kind, u64>,
    /// The names of facts in their order.
    pub order: BTreeMap<Kind, Vec<&'static str>>,
    pub verdicts: BTreeMap<(Key, &'static str), Verdict>,
    /// What was not compared: kind, name, why, and how often.
    pub skipped: BTreeMap<(Kind, &'static str, &'static str), u64>,
    /// The objects that are in the text, or were there before and after.
    pub present: BTreeSet<Key>,
    /// Of each object what was compared, if that is wanted.
    pub compared: Option<BTreeMap<Key, Compared>>,
    /// The facts that somebody waits for, and those of them that were as they should be.
    pub watched: BTreeSet<(Key, &'static str)>,
    pub met: BTreeSet<(Key, &'static str)>,
}

/// The name of the fact that there is a record, and that there is what it is of.
pub(super) const THERE: &str = "is there";

impl Outcome {
    /// Notes one fact. `None`: it is as it should be.
    fn note(&mut self, key: Key, label: &str, name: &'static str, verdict: Option<Verdict>) {
        let kind = key.kind();
        let order = self.order.entry(kind).or_default();
        if !order.contains(&name) {
            order.push(name);
        }
        if let Some(compared) = &mut self.compared {
            let one = compared.entry(key).or_insert_with(|| Compared {
                label: label.to_string(),
                ..Compared::default()
            });
            if verdict.is_some() {
                one.other.push(name);
            } else {
                one.same.push(name);
            }
        }
        match verdict {
            None => {
                *self.same.entry((kind, name)).or_default() += 1;
                if self.watched.contains(&(key, name)) {
                    self.met.insert((key, name));
                }
            }
            Some(verdict) => {
                self.verdicts.insert((key, name), verdict);
            }
        }
    }

    fn skip(&mut self, key: Key, label: &str, name: &'static str, why: &'static str) {
        *self.skipped.entry((key.kind(), name, why)).or_default() += 1;
        if let Some(compared) = &mut self.compared {
            compared
                .entry(key)
                .or_insert_with(|| Compared {
                    label: label.to_string(),
                    ..Compared::default()
                })
                .skipped
                .push(name);
        }
    }
}

/// Compares all. The outcome that it begins with says what is wanted.
pub(super) fn compare(
    before: &Machine,
    text: &Text<'_>,
    after: &Machine,
    outcome: Outcome,
) -> Outcome {
    let mut outcome = outcome;
    whole(before, text, after, &mut outcome);
    for (key, object) in &before.objects {
        let Some(later) = after.objects.get(key) else {
            continue;
        };
        let label = &object.label;
        let kind = key.kind();
        outcome.present.insert(*key);
        *outcome.objects.entry(kind).or_default() += 1;
        if *key != Key::Text {
            let missing = (!text.has(*key)).then(|| {
                Verdict::Differs(Difference {
                    label: label.clone(),
                    text: "no record".to_string(),
                    machine: "there".to_string(),
                    source: by_whom(kind),
                })
            });
            let is_missing = missing.is_some();
            outcome.note(*key, label, THERE, missing);
            if is_missing {
                continue;
            }
        }
        for fact in &object.facts {
            let Some(other) = later.facts.iter().find(|other| other.name == fact.name) else {
                let was = vec![fact.want.shown()];
                outcome.note(*key, label, fact.name, Some(Verdict::Changed(was)));
                continue;
            };
            if let (Want::Not(why), Want::Not(_)) = (&fact.want, &other.want) {
                outcome.skip(*key, label, fact.name, why);
                continue;
            }
            let verdict = if !fact.want.is_same(&other.want) {
                Some(Verdict::Changed(vec![
                    fact.want.shown(),
                    other.want.shown(),
                ]))
            } else {
                let got = text.get(*key, fact.name);
                (!fact.want.is_met_by(got.as_deref())).then(|| {
                    Verdict::Differs(Difference {
                        label: label.clone(),
                        text: shown(got.as_deref()),
                        machine: fact.want.shown(),
                        source: fact.source,
                    })
                })
            };
            outcome.note(*key, label, fact.name, verdict);
        }
    }
    members(before, text, after, &mut outcome);
    orders(before, text, after, &mut outcome);
    unseen_tasks(before, text, after, &mut outcome);
    unseen_spaces(before, text, after, &mut outcome);
    unseen_mounts(before, text, after, &mut outcome);
    outcome
}

/// Who says whether an object is there.
fn by_whom(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "the text",
        Kind::Process | Kind::Thread => "/proc",
        Kind::Namespace => "listns()",
        Kind::Mount => "listmount()",
    }
}

impl Text<'_> {
    fn has(&self, key: Key) -> bool {
        match key {
            Key::Text => true,
            Key::Process(pid, _) => self.processes.contains_key(&pid),
            Key::Thread(tid, _) => self.threads.contains_key(&tid),
            Key::Namespace(id) => self.namespaces.contains_key(&id),
            Key::Mount(ns, id) => self.mounts.contains_key(&(ns, id)),
        }
    }

    fn get(&self, key: Key, name: &str) -> Option<Vec<u8>> {
        match key {
            Key::Text => self.first.get(name).map(<[u8]>::to_vec),
            Key::Process(pid, _) => self.processes.get(&pid)?.get(name).map(<[u8]>::to_vec),
            Key::Thread(tid, _) => self.threads.get(&tid)?.get(name).map(<[u8]>::to_vec),
            Key::Namespace(id) => {
                let record = self.namespaces.get(&id)?;
                match name {
                    "type" => record.field(2),
                    "inum" => record.field(3),
                    _ => record.get(name),
                }
                .map(<[u8]>::to_vec)
            }
            Key::Mount(ns, id) => self.mounts.get(&(ns, id))?.of_mount(name),
        }
    }

    /// The inode number of a namespace.
    fn inum(&self, id: u64) -> Option<u32> {
        number(self.namespaces.get(&id)?.field(3)?)
    }
}

fn number<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// What the text says of itself.
fn whole(before: &Machine, text: &Text<'_>, after: &Machine, outcome: &mut Outcome) {
    let mut note = |name, is_met: bool, got: Option<&[u8]>, wanted: String| {
        let verdict = (!is_met).then(|| {
            Verdict::Differs(Difference {
                label: "the text".to_string(),
                text: shown(got),
                machine: wanted,
                source: "its own records",
            })
        });
        outcome.note(Key::Text, "the text", name, verdict);
    };
    for name in ["ns", "tasks", "threads", "mounts"] {
        let there = text.counts.get(name).copied().unwrap_or(0);
        let got = text.end.get(name);
        let is_met = got.and_then(number::<u64>) == Some(there);
        note(name, is_met, got, there.to_string());
    }
    note(
        "no record twice",
        text.twice == 0,
        Some(text.twice.to_string().as_bytes()),
        "0".to_string(),
    );
    let got = text.first.get("uptime");
    let is_met = got
        .and_then(number::<u64>)
        .is_some_and(|uptime| (before.began..=after.began).contains(&uptime));
    note(
        "uptime",
        is_met,
        got,
        format!("from {} to {}", before.began, after.began),
    );
    outcome.present.insert(Key::Text);
}

/// How many processes are in each namespace: at least those that were in it before and after, at most those that were
/// in it before or after, and those that came in between.
fn members(before: &Machine, text: &Text<'_>, after: &Machine, outcome: &mut Outcome) {
    let passing = text
        .processes
        .keys()
        .filter(|pid| {
            // Of one that was there before and after, or that had its number, it is known where it is.
            [before, after].into_iter().all(|machine| {
                !has_number(
                    machine,
                    Key::Process(**pid, 0),
                    Key::Process(**pid, u64::MAX),
                )
            })
        })
        .count();
    let none = BTreeSet::new();
    for id in text.namespaces.keys() {
        let key = Key::Namespace(*id);
        let (Some(object), true) = (before.objects.get(&key), after.objects.contains_key(&key))
        else {
            continue;
        };
        let Some(inum) = text.inum(*id) else {
            continue;
        };
        let earlier = before.members.get(&inum).unwrap_or(&none);
        let later = after.members.get(&inum).unwrap_or(&none);
        let least = earlier.intersection(later).count();
        let most = earlier.union(later).count() + passing;
        let got = text.get(key, "tasks");
        let is_met = got
            .as_deref()
            .and_then(number::<usize>)
            .is_some_and(|got| (least..=most).contains(&got));
        let verdict = (!is_met).then(|| {
            Verdict::Differs(Difference {
                label: object.label.clone(),
                text: shown(got.as_deref()),
                machine: if least == most {
                    least.to_string()
                } else {
                    format!("from {least} to {most}")
                },
                source: "the links of all processes",
            })
        });
        outcome.note(key, &object.label, "tasks", verdict);
    }
}

/// Whether the mounts of each namespace come in the order of mountinfo.
fn orders(before: &Machine, text: &Text<'_>, after: &Machine, outcome: &mut Outcome) {
    for (ns, list) in &before.lists {
        let (
            Some(earlier),
            Some(MountList {
                id,
                lines: Some(later),
                ..
            }),
        ) = (&list.lines, after.lists.get(ns))
        else {
            continue;
        };
        let key = Key::Namespace(list.id);
        let Some(object) = before.objects.get(&key).filter(|_| *id == list.id) else {
            continue;
        };
        let stayed: BTreeSet<u64> = later.iter().copied().collect();
        let known: BTreeSet<u64> = earlier
            .iter()
            .copied()
            .filter(|id| stayed.contains(id))
            .collect();
        let only = |list: &[u64]| -> Vec<u64> {
            list.iter()
                .copied()
                .filter(|id| known.contains(id))
                .collect()
        };
        let (wanted, then) = (only(earlier), only(later));
        let got = text.seen.get(ns).map(|list| only(list)).unwrap_or_default();
        let verdict = if wanted != then {
            Some(Verdict::Changed(Vec::new()))
        } else if got != wanted {
            // Which one is missing, and what it is called, say other facts.
            let at = got
                .iter()
                .zip(&wanted)
                .take_while(|(one, other)| one == other)
                .count();
            let place = |list: &[u64]| {
                list.get(at)
                    .map_or("none".to_string(), |id| format!("mount {id}"))
            };
            Some(Verdict::Differs(Difference {
                label: object.label.clone(),
                text: format!("{} at place {}", place(&got), at + 1),
                machine: place(&wanted),
                source: "mountinfo",
            }))
        } else {
            None
        };
        outcome.note(key, &object.label, "order of mounts", verdict);
    }
}

/// Whether this machine has a task with that number, whenever it began.
fn has_number(machine: &Machine, from: Key, to: Key) -> bool {
    machine.objects.range(from..=to).next().is_some()
}

/// Records of tasks that procfs does not show, though they were there before it was looked at.
fn unseen_tasks(before: &Machine, text: &Text<'_>, after: &Machine, outcome: &mut Outcome) {
    let is_unnumbered = |pid: u32| {
        text.processes
            .get(&pid)
            .is_some_and(|record| record.get("unnumbered").is_some())
    };
    type Make = fn(u32, u64) -> Key;
    let kinds: [(&BTreeMap<u32, _>, Make, &str); 2] = [
        (&text.processes, Key::Process, "process"),
        (&text.threads, Key::Thread, "thread"),
    ];
    for (records, make, what) in kinds {
        for (pid, record) in records {
            let leader = record.get("tgid").and_then(number).unwrap_or(*pid);
            let (Some(tick), Some(start)) =
                (record.tick(), record.get("start").and_then(number::<u64>))
            else {
                continue;
            };
            let is_known = [before, after]
                .into_iter()
                .any(|machine| has_number(machine, make(*pid, 0), make(*pid, u64::MAX)));
            if is_known || start >= before.began || is_unnumbered(leader) {
                continue;
            }
            let key = make(*pid, tick);
            let name = record.get("comm").map(|name| shown(Some(name)));
            let label = format!("{what} {pid} ({})", name.unwrap_or_default());
            outcome.present.insert(key);
            outcome.note(
                key,
                &label.clone(),
                THERE,
                Some(Verdict::Differs(Difference {
                    label,
                    text: "there".to_string(),
                    machine: "not there".to_string(),
                    source: by_whom(key.kind()),
                })),
            );
        }
    }
}

/// Records of namespaces that something leads to, and that the kernel does not list.
fn unseen_spaces(before: &Machine, text: &Text<'_>, after: &Machine, outcome: &mut Outcome) {
    let (Some(earlier), Some(later)) = (&before.listed, &after.listed) else {
        return;
    };
    for (id, record) in &text.namespaces {
        let key = Key::Namespace(*id);
        let is_active = record.get("active").and_then(number) != Some(0u64);
        if earlier.contains(id) || later.contains(id) {
            continue;
        }
        let label = format!(
            "{} namespace {}",
            shown(record.field(2)),
            shown(record.field(3))
        );
        if !is_active {
            outcome.skip(
                key,
                &label,
                THERE,
                "nothing but the module shows what nothing leads to",
            );
            continue;
        }
        outcome.present.insert(key);
        outcome.note(
            key,
            &label.clone(),
            "active",
            Some(Verdict::Differs(Difference {
                label,
                text: shown(record.get("active")),
                machine: "not listed".to_string(),
                source: "listns()",
            })),
        );
    }
}

/// Records of mounts that the kernel does not list.
fn unseen_mounts(before: &Machine, text: &Text<'_>, after: &Machine, outcome: &mut Outcome) {
    for ((ns, id), record) in &text.mounts {
        let (Some(earlier), Some(later)) = (before.lists.get(ns), after.lists.get(ns)) else {
            continue;
        };
        // The number may have been given to another namespace.
        let is_same = earlier.id == later.id && text.inum(earlier.id) == Some(*ns);
        if !is_same || earlier.all.contains(id) || later.all.contains(id) {
            continue;
        }
        let key = Key::Mount(*ns, *id);
        let label = format!(
            "mount {id} of namespace {ns} on {}",
            shown(record.of_mount("point").as_deref())
        );
        outcome.present.insert(key);
        outcome.note(
            key,
            &label.clone(),
            THERE,
            Some(Verdict::Differs(Difference {
                label,
                text: "there".to_string(),
                machine: "not listed".to_string(),
                source: "listmount()",
            })),
        );
    }
}
