// SPDX-License-Identifier: GPL-2.0

//! What does not end: S1.

use crate::text::{Device, Namespace, NsType};

use super::{Facts, Findings, Severity, Subject};

/// A device whose file system is in use, though it is mounted nowhere and nobody holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// What the kernel calls it: `sda1`.
    pub name: String,
    /// Its number.
    pub device: Device,
    /// The type of its file system.
    pub fstype: &'static str,
}

pub(super) fn find(facts: &Facts<'_, '_>, busy: &[Busy], found: &mut Findings) {
    for one in &facts.system.namespaces {
        let Some(how) = how_stuck(one) else { continue };
        let what = format!("{how}: {}", one.ns_type);
        let finding = found.add("S1", Severity::Info, Subject::Namespace(one.id), what);
        finding.namespaces.extend(one.inum);
        // Who is still in it, and has not ended or was not waited for.
        if one.ns_type == NsType::Pid {
            finding.tasks.extend(
                facts
                    .system
                    .tasks
                    .iter()
                    .enumerate()
                    .filter(|(_, task)| task.pidns == one.inum)
                    .map(|(index, _)| index),
            );
        }
    }
    for one in busy {
        let what = format!(
            "file system of type {} is in use, but mounted nowhere, and held by nobody to be seen",
            one.fstype
        );
        found.add(
            "S1",
            Severity::Info,
            Subject::Device(one.name.clone()),
            what,
        );
    }
}

/// What is wrong with a namespace that should have ended.
fn how_stuck(one: &Namespace<'_>) -> Option<&'static str> {
    if one.dying == Some(true) {
        Some("its first process has ended, and it is still there")
    } else if one.tasks == Some(0) && one.active == 0 && one.refs > 0 {
        Some("nothing leads to it, and something in the kernel keeps it")
    } else {
        None
    }
}
