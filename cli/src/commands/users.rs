// SPDX-License-Identifier: GPL-2.0

//! The names of users and groups, from the machine's own file.
//!
//! A program that is linked statically cannot ask NSS, so users of a directory service have a number alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::output::Cell;

use super::Session;

/// The users of one machine.
#[derive(Debug, Default)]
pub struct Users {
    names: BTreeMap<u32, String>,
}

impl Users {
    /// Reads those of the machine that the text is of, if its files are at hand.
    pub fn of(session: &Session<'_>) -> Self {
        let root = match &session.common.root {
            Some(root) => root.clone(),
            None if session.source.is_here() => PathBuf::from("/"),
            None => return Self::default(),
        };
        Self::below(&root)
    }

    fn below(root: &Path) -> Self {
        let text = fs::read(root.join("etc/passwd")).unwrap_or_default();
        let mut names = BTreeMap::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let mut fields = line.split(':');
            if let (Some(name), Some(Ok(uid))) = (fields.next(), fields.nth(1).map(str::parse)) {
                names.entry(uid).or_insert_with(|| name.to_string());
            }
        }
        Self { names }
    }

    /// The name of a user, or the number of one that has none.
    pub fn cell(&self, uid: u32) -> Cell<'_> {
        match self.names.get(&uid) {
            Some(name) => name.as_str().into(),
            None => uid.to_string().into(),
        }
    }
}
