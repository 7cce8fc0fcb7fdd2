// SPDX-License-Identifier: GPL-2.0

//! The description of the keys, docs/format.md, and the columns of the commands say the same.

use std::collections::BTreeMap;

use nsinspect::text::KINDS;

const FORMAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/format.md");

/// The rows of tables in a section of the page that have a column `field`: that cell, and where the kernel has it.
fn fields(page: &str, section: &str) -> Vec<(String, String)> {
    let start = page
        .find(&format!("\n### {section}\n"))
        .expect("the page has the section");
    let body = &page[start + 5..];
    let end = body
        .find("\n### ")
        .or_else(|| body.find("\n## "))
        .unwrap_or(body.len());
    let mut rows = Vec::new();
    let (mut field, mut kernel) = (None, None);
    for line in body[..end].lines().filter(|line| !line.starts_with("|--")) {
        if !line.starts_with('|') {
            field = None;
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        match field {
            // The first row of a table names its columns.
            None => {
                field = Some(cells.iter().position(|cell| *cell == "field"));
                kernel = cells.iter().position(|cell| *cell == "in the kernel");
            }
            Some(Some(at)) => {
                let kernel = kernel
                    .and_then(|at| cells.get(at))
                    .copied()
                    .unwrap_or_default();
                rows.push((cells[at].to_string(), kernel.replace('`', "")));
            }
            Some(None) => {}
        }
    }
    rows
}

/// The words in backquotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_string)
        .collect()
}

/// The keys that the tables of a section describe, and where the kernel has each.
fn documented(page: &str, section: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for (cell, kernel) in fields(page, section) {
        for name in quoted(&cell) {
            keys.entry(name).or_insert_with(|| kernel.clone());
        }
    }
    keys
}

/// The key=value fields of the examples of a section, which are real lines.
fn examples(page: &str, kind: &str) -> Vec<Vec<String>> {
    page.lines()
        .filter_map(|line| {
            line.strip_prefix("    ")?
                .strip_prefix(kind)?
                .strip_prefix(' ')
        })
        .map(|line| {
            line.split(' ')
                .filter_map(|word| Some(word.split_once('=')?.0.to_string()))
                .collect()
        })
        .collect()
}

fn page() -> String {
    std::fs::read_to_string(FORMAT).expect("the page can be read")
}

fn keys(kind: &str) -> Vec<&'static str> {
    KINDS
        .iter()
        .find(|one| one.name == kind)
        .expect("there is such a kind")
        .keys
        .iter()
        .map(|key| key.name)
        .collect()
}

/// Every key of the description is in the page's tables, and every one of the tables in the description.
#[test]
fn tables_have_all_keys() {
    let page = page();
    let documented_ns = documented(&page, "ns");
    let documented_ns: Vec<_> = documented_ns.keys().map(String::as_str).collect();
    let mut wanted = keys("ns");
    wanted.sort_unstable();
    assert_eq!(documented_ns, wanted, "keys of ns");

    let mut task = documented(&page, "task");
    // `mntns` … `time_for_children` stands for all between.
    for name in ["utsns", "ipcns", "netns", "cgroupns", "timens"] {
        task.insert(name.to_string(), "nsproxy".to_string());
    }
    // What stands at the end of a record is told in the text.
    for name in ["via", "mixed", "unlisted", "unnumbered"] {
        assert!(
            page.contains(&format!("`{name}=")),
            "docs/format.md does not tell of {name}="
        );
        task.insert(name.to_string(), String::new());
    }
    let documented_task: Vec<_> = task.keys().map(String::as_str).collect();
    let mut wanted = keys("task");
    wanted.sort_unstable();
    assert_eq!(documented_task, wanted, "keys of task");

    // Those of a hold are told in two tables, of which one has several in a cell.
    let mut hold: Vec<String> = documented(&page, "hold").into_keys().collect();
    hold.extend(["ppid", "tracer", "of", "mntns", "keeps", "ns", "by"].map(str::to_string));
    for key in keys("hold") {
        assert!(
            hold.iter().any(|name| name == key),
            "docs/format.md has no key {key} of hold"
        );
    }
}

/// Where the kernel has a key is told in the same words.
#[test]
fn tables_name_the_same_fields() {
    let page = page();
    let mut compared = 0;
    for kind in ["ns", "task"] {
        let documented = documented(&page, kind);
        for key in KINDS
            .iter()
            .find(|one| one.name == kind)
            .expect("there is such a kind")
            .keys
        {
            let Some(wanted) = documented.get(key.name) else {
                continue;
            };
            if key.kernel.is_empty() || wanted.is_empty() || key.name == "root" {
                continue;
            }
            // Where a row tells of several keys, it has the fields of all.
            let is_one = wanted.split(", ").any(|one| one == key.kernel);
            assert!(
                is_one || key.kernel == wanted,
                "{kind}.{}: {wanted}, not {}",
                key.name,
                key.kernel
            );
            compared += 1;
        }
    }
    assert!(compared > 40, "only {compared} were compared");
}

/// The lines that the page shows have their keys in the order of the description.
#[test]
fn examples_have_that_order() {
    let page = page();
    let mut compared = 0;
    for kind in ["ns", "task", "thread", "hold"] {
        let order = keys(kind);
        for example in examples(&page, kind) {
            let places: Vec<_> = example
                .iter()
                .map(|name| {
                    order
                        .iter()
                        .position(|one| one == name)
                        .unwrap_or_else(|| panic!("{kind}: no key {name}"))
                })
                .collect();
            assert!(places.is_sorted(), "{kind}: {example:?}");
            compared += places.len();
        }
    }
    assert!(compared > 80, "only {compared} were compared");
}

/// A column that says where the text has it names a key that there is.
#[test]
fn columns_name_keys() {
    for (command, columns) in nsinspect::commands::columns() {
        for column in columns {
            let Some((kind, key)) = column.key.split_once('.') else {
                assert!(column.key.is_empty(), "{command}: {}", column.name);
                continue;
            };
            // A field without a key has its number, and those of a mount are not described here.
            let is_there =
                key.parse::<u32>().is_ok() || kind == "mount" || keys(kind).contains(&key);
            assert!(is_there, "{command}: {} names {}", column.name, column.key);
        }
        let mut names: Vec<_> = columns.iter().map(|one| one.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), columns.len(), "{command}: a name stands twice");
    }
}
