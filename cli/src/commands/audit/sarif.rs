// SPDX-License-Identifier: GPL-2.0

//! Findings as SARIF 2.1.0 (OASIS), for tools that collect them.

use std::io::{self, Write};

use serde_json::{json, Value};

use crate::audit::{Finding, Rule, Severity, RULES};

use super::Found;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What SARIF calls a severity.
fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Warning | Severity::Low => "warning",
        Severity::Info => "note",
    }
}

/// The same as a number, from 0 to 10, as some tools want it.
fn number(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Warning | Severity::Low => "3.0",
        Severity::Info => "0.0",
    }
}

fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.condition},
        "help": {"text": format!(
            "Abuse: {}\nNormal: {}\nCure: {}\nSee: {}",
            rule.abuse, rule.normal, rule.cure, rule.sources.join("; ")
        )},
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {"security-severity": number(rule.severity)},
    })
}

fn result(finding: &Finding, found: &Found<'_, '_>) -> Value {
    let of = finding.of(found.containers);
    let place = RULES.iter().position(|rule| rule.id == finding.rule.id);
    let pids: Vec<u32> = found.pids(finding).collect();
    let namespaces: Vec<u32> = finding.namespaces.iter().map(|one| one.get()).collect();
    // Ids of mounts have 64 bits; numbers in JSON, for many, have 53.
    let mounts: Vec<String> = finding.mounts.iter().map(u64::to_string).collect();
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": place,
        "level": level(finding.severity),
        "message": {"text": format!("{of}: {}", finding.what)},
        // No file is at fault. Tools want one all the same.
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": "file:///proc/nsinspect"}},
            "logicalLocations": [{"fullyQualifiedName": of, "kind": "resource"}],
        }],
        "partialFingerprints": {
            "finding/v1": format!("{}|{of}|{}", finding.rule.id, finding.what),
        },
        "properties": {
            "severity": finding.severity.name(),
            "pids": pids,
            "namespaces": namespaces,
            "mounts": mounts,
        },
    })
}

/// Writes one log with one run.
pub(super) fn write<'f>(
    findings: impl Iterator<Item = &'f Finding>,
    found: &Found<'_, '_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let results: Vec<Value> = findings.map(|one| result(one, found)).collect();
    let rules: Vec<Value> = RULES.iter().map(rule).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "nsinspect",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    out.write_all(b"\n")
}
