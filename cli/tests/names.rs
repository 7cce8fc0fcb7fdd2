// SPDX-License-Identifier: GPL-2.0

//! Names of containers, on the text of a whole Debian and the files that its runtimes left: what files and cgroups alone
//! tell is what the picture of all processes tells.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nsinspect::identity::{Containers, Names};
use nsinspect::system::System;

/// A directory that is gone with this.
struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("the directory can be read") {
        let entry = entry.expect("the directory can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it has a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

#[test]
fn files_alone() {
    let texts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/texts");
    let bytes = fs::read(texts.join("system.txt")).expect("the text can be read");
    let system = System::read(&bytes).expect("the text is whole");
    let root = Root(std::env::temp_dir().join(format!("nsinspect-names-{}", std::process::id())));
    copy(&texts.join("system-root"), &root.0);
    let cgroups = root.0.join("sys/fs/cgroup");
    fs::create_dir_all(&cgroups).expect("a directory can be made");
    fs::write(cgroups.join("cgroup.controllers"), "").expect("a file can be made");
    for task in &system.tasks {
        if let Some(path) = task.cgroup {
            let path = String::from_utf8_lossy(&path.bytes()).into_owned();
            fs::create_dir_all(cgroups.join(path.trim_start_matches('/')))
                .expect("a cgroup has a name that a directory can have");
        }
    }
    let names = Names::below(&root.0);
    let containers = Containers::find(&system, &names);
    let mut words = BTreeSet::new();
    for one in &containers.list {
        words.extend(one.name.clone());
        words.extend(one.pod.clone());
        words.insert(one.id.clone());
        words.insert(one.short_id().to_string());
        words.insert(one.id.trim_end_matches(".service").to_string());
    }
    let mut told = 0;
    for word in &words {
        let Some(state) = names.first_process(word) else {
            continue;
        };
        told += 1;
        let pids: Vec<_> = containers
            .named(word)
            .iter()
            .map(|one| system.tasks[one.first].pid)
            .collect();
        assert_eq!(pids, [state.pid], "{word}");
    }
    assert!(told > 20, "of {} words only {told} are told", words.len());
    for word in ["web", "db", "front", "unicode"] {
        assert!(names.first_process(word).is_some(), "{word}");
    }
    // docker has one, and podman.
    assert_eq!(containers.named("twin").len(), 2);
    assert!(names.first_process("twin").is_none());
    // Without the file that says who runs one, only the other is told by its name.
    let other = Names::below(&root.0);
    fs::remove_dir_all(root.0.join("var/lib/containers")).expect("it is there");
    let id = &containers
        .named("twin")
        .iter()
        .find(|one| one.runtime.name() == "docker")
        .expect("docker has one")
        .id;
    assert_eq!(
        other.first_process("twin").map(|state| state.id.as_str()),
        Some(id.as_str())
    );
}
