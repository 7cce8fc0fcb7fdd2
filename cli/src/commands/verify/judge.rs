// SPDX-License-Identifier: GPL-2.0

//! Tells what is wrong from what has changed: looks again.
//!
//! A system does not stand still while it is looked at. What differs may have changed after one look and changed back
//! before the next. So a difference counts only if it is found in each of many fresh looks, at the same object: a
//! process that began in the same tick, a namespace or a mount with the same 64-bit id. What is the same in one of them
//! was never wrong, and what is gone cannot be told any more. Some things go to and fro so fast that each look finds
//! them elsewhere. So what the text says is no difference either if this machine has shown just that at another time.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use super::compare::{compare, Difference, Outcome, Verdict};
use super::fact::{Key, Machine};
use super::text::Text;

/// In how many looks something must differ.
pub(super) const NEEDED: u32 = 8;
/// How many looks there are at most.
const LOOKS: u32 = 24;
/// How often something that changes all the time is looked at again.
const PATIENCE: u32 = 2;

/// This machine before and after, and the text in between.
pub(super) struct Look {
    pub before: Machine,
    pub text: Vec<u8>,
    pub after: Machine,
}

/// Something that was not the same, and is looked at again.
#[derive(Clone, Debug, Default)]
struct Doubt {
    difference: Option<Difference>,
    /// All that the text said when it differed, and all that this machine has shown.
    said: BTreeSet<String>,
    shown: BTreeSet<String>,
    differed: u32,
    changed: u32,
}

/// What is certain in the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Judgement {
    /// The first comparison; its counts have what was found to be the same later.
    pub outcome: Outcome,
    pub differences: BTreeMap<(Key, &'static str), Difference>,
    /// How many facts changed each time they were looked at.
    pub changing: u64,
    /// How many belonged to what is gone.
    pub gone: u64,
    pub looks: u32,
    /// What could not be looked at, and how many of it.
    pub gaps: BTreeMap<&'static str, u64>,
}

impl Judgement {
    /// How many facts were compared.
    pub fn compared(&self) -> u64 {
        self.outcome.same.values().sum::<u64>() + self.differences.len() as u64
    }
}

/// Looks, and looks again as long as something is in doubt. `None`: a text was not whole.
pub(super) fn judge<E>(
    mut look: impl FnMut() -> Result<Look, E>,
    wants_objects: bool,
    pause: Duration,
) -> Result<Option<Judgement>, E> {
    let mut gaps = BTreeMap::new();
    let mut once = |wanted: Outcome| -> Result<Option<Outcome>, E> {
        let look = look()?;
        gaps.clone_from(&look.before.gaps);
        Ok(Text::read(&look.text).map(|text| compare(&look.before, &text, &look.after, wanted)))
    };
    let wanted = Outcome {
        compared: wants_objects.then(BTreeMap::new),
        ..Outcome::default()
    };
    let Some(outcome) = once(wanted)? else {
        return Ok(None);
    };
    let mut doubts: BTreeMap<(Key, &'static str), Doubt> = outcome
        .verdicts
        .iter()
        .map(|(what, verdict)| {
            let mut doubt = Doubt::default();
            doubt.add(verdict);
            (*what, doubt)
        })
        .collect();
    let mut judgement = Judgement {
        outcome,
        looks: 1,
        ..Judgement::default()
    };
    while judgement.looks < LOOKS && doubts.values().any(Doubt::is_open) {
        thread::sleep(pause);
        let wanted = Outcome {
            watched: doubts.keys().copied().collect(),
            ..Outcome::default()
        };
        let Some(outcome) = once(wanted)? else {
            return Ok(None);
        };
        judgement.looks += 1;
        doubts.retain(|what, doubt| {
            if let Some(verdict) = outcome.verdicts.get(what) {
                doubt.add(verdict);
            } else if outcome.met.contains(what) {
                let (key, name) = *what;
                let same = &mut judgement.outcome.same;
                *same.entry((key.kind(), name)).or_default() += 1;
                return false;
            } else if outcome.present.contains(&what.0) {
                doubt.add(&Verdict::Changed(Vec::new()));
            } else {
                judgement.gone += 1;
                return false;
            }
            true
        });
    }
    judgement.gaps = gaps;
    for (what, doubt) in doubts {
        let is_certain = doubt.differed >= NEEDED && !doubt.is_restless();
        match doubt.difference {
            Some(difference) if is_certain => {
                judgement.differences.insert(what, difference);
            }
            _ => judgement.changing += 1,
        }
    }
    Ok(Some(judgement))
}

impl Doubt {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Differs(difference) => {
                self.said.insert(difference.text.clone());
                self.shown.insert(difference.machine.clone());
                self.difference = Some(difference.clone());
                self.differed += 1;
            }
            Verdict::Changed(shown) => {
                self.shown.extend(shown.iter().cloned());
                self.changed += 1;
            }
        }
    }

    /// Whether this machine has shown at one time what the text said at another.
    fn is_restless(&self) -> bool {
        !self.said.is_disjoint(&self.shown)
    }

    /// Whether another look may tell more.
    fn is_open(&self) -> bool {
        if self.differed == 0 || self.is_restless() {
            self.differed + self.changed < PATIENCE
        } else {
            self.differed < NEEDED
        }
    }
}
