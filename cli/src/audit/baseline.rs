// SPDX-License-Identifier: GPL-2.0

//! What somebody has looked at, and accepted: a file of findings without numbers, so that it holds for tomorrow's
//! processes as well.
//!
//! A finding is the same as an accepted one if its rule, whom it concerns and what is wrong are the same. What gets worse has
//! other words, and is told.

use std::collections::HashSet;
use std::fmt;

use serde_json::{json, Value};

use crate::identity::Containers;

use super::Finding;

/// The version of the file's form.
const VERSION: u64 = 1;

/// A finding, by what stays the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Accepted {
    rule: String,
    of: String,
    what: String,
}

impl Accepted {
    fn new(finding: &Finding, containers: &Containers) -> Self {
        Self {
            rule: finding.rule.id.to_string(),
            of: finding.of(containers),
            what: finding.what.clone(),
        }
    }
}

/// What was accepted.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    accepted: HashSet<Accepted>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is no JSON, or has not the form of one.
    Malformed(String),
    /// It is of a version that this does not know.
    Version(u64),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(
                f,
                "this is no file that --save-baseline has written: {what}"
            ),
            Self::Version(version) => write!(
                f,
                "this baseline is of version {version}, and this program knows version {VERSION} alone"
            ),
        }
    }
}

impl std::error::Error for Error {}

impl Baseline {
    /// Reads a file's contents.
    ///
    /// # Errors
    ///
    /// It has another form.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let malformed = |what: &str| Error::Malformed(what.to_string());
        let value: Value =
            serde_json::from_slice(text).map_err(|error| Error::Malformed(error.to_string()))?;
        match value.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => return Err(Error::Version(other)),
            None => return Err(malformed("it has no version")),
        }
        let list = value
            .get("accepted")
            .and_then(Value::as_array)
            .ok_or_else(|| malformed("it has no list \"accepted\""))?;
        let accepted = list
            .iter()
            .map(|one| {
                let word = |name: &str| {
                    one.get(name)
                        .and_then(Value::as_str)
                        .map(str::to_string)
                        .ok_or_else(|| malformed(&format!("an entry has no \"{name}\"")))
                };
                Ok(Accepted {
                    rule: word("rule")?,
                    of: word("of")?,
                    what: word("what")?,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { accepted })
    }

    /// Whether a finding was accepted.
    pub fn has(&self, finding: &Finding, containers: &Containers) -> bool {
        self.accepted.contains(&Accepted::new(finding, containers))
    }
}

/// The contents of a file that accepts these findings.
pub fn save(findings: &[Finding], containers: &Containers) -> String {
    let mut list: Vec<Accepted> = findings
        .iter()
        .map(|one| Accepted::new(one, containers))
        .collect();
    list.sort();
    list.dedup();
    let list: Vec<Value> = list
        .into_iter()
        .map(|one| json!({"rule": one.rule, "of": one.of, "what": one.what}))
        .collect();
    let value = json!({"version": VERSION, "accepted": list});
    format!("{value:#}\n")
}
