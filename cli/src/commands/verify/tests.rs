// SPDX-License-Identifier: GPL-2.0

//! Whether this notices: a text in which one value of each kind is wrong, and a system that does not stand still.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use super::compare::THERE;
use super::fact::{Key, Kind, Machine, MountList, Object, Want, TICK};
use super::judge::{judge, Judgement, Look, NEEDED};
use super::machine;
use super::text::Text;

const TEXT: &str = "\
nsinspect 1 release=7.3.4 uptime=500000000
ns uts 4026531838 id=2 owner=4026531837 tasks=2 refs=1 active=1 nodename=box domainname=(none)
ns user 4026531837 id=3 owner=- tasks=2 refs=1 active=1 level=0 parent=- uid=0 uid_map=0:0:4294967295 gid_map=0:0:4294967295
ns pid 4026531836 id=4 owner=4026531837 tasks=1 refs=1 active=1 level=0 parent=- reaper=1 pids=3 pid_max=32768 dying=0
ns pid 4026532280 id=45 owner=4026531837 tasks=1 refs=3 active=2 level=1 parent=4026531836 reaper=252 pids=1 pid_max=4194304 dying=0
ns time 4026531834 id=6 owner=4026531837 tasks=2 refs=1 active=1 monotonic=-5 boottime=7
ns mnt 4026531832 id=8 owner=4026531837 tasks=2 refs=1 active=1 mounts=3 pending=0 event=19 origin=- root=77
ns net 4026532500 id=50 owner=4026531837 tasks=0 refs=1 active=0
task 1 comm=init level=0 upid=1@4026531836 pgid=1 sid=1 ppid=0 tracer=- uid=0 gid=0 euid=0 egid=0 caps=000001ffffffffff seccomp=0 nnp=0 threads=1 state=S kind=user start=90000000 pidns=4026531836 pid_for_children=4026531836 mntns=4026531832 utsns=4026531838 ipcns=4026531839 netns=4026531833 cgroupns=4026531835 timens=4026531834 time_for_children=4026531834 userns=4026531837 chroot=0 root=/ rootns=4026531832 cwd=/a\\040b cwdns=4026531832 cgroup=/ cgroup_id=1
task 252 comm=sleep level=1 upid=252@4026531836,1@4026532280 pgid=244,0 sid=244,0 ppid=1 tracer=1 uid=5 gid=6 euid=7 egid=8 caps=0000000000000000 seccomp=2 nnp=1 threads=2 state=Z kind=user start=120000000 pidns=4026532280 pid_for_children=- mntns=4026531832 utsns=4026531838 ipcns=- netns=- cgroupns=- timens=4026531834 time_for_children=- userns=4026531837 chroot=- root=- rootns=- cwd=- cwdns=- cgroup=/x//deleted cgroup_id=17 via=253 mixed=1
thread 253 tgid=252 comm=worker level=0 upid=253@4026531836 tracer=- uid=0 gid=0 euid=0 egid=0 caps=000001ffffffffff seccomp=0 nnp=0 state=S start=130000000 pidns=4026532280 pid_for_children=4026531836 mntns=4026531832 utsns=4026531838 ipcns=4026531839 netns=4026531833 cgroupns=4026531835 timens=4026531834 time_for_children=4026531834 userns=4026531837 chroot=0 root=/ rootns=4026531832 cwd=/ cwdns=4026531832 cgroup=/ cgroup_id=1
mount 4026531832 77 outside 1 1 0:2 / / rw - nullfs nullfs rw
mount 4026531832 78 root 23 1 0:19 / / rw,relatime shared:4 - overlay overlay rw,lowerdir=/a
mount 4026531832 79 covered,locked 24 23 0:24 /x /a\\040b ro,nosuid,relatime master:4 - tmpfs t rw
end ns=7 tasks=2 threads=1 mounts=3 holds=0
";

/// What has no other source, or says nothing of its own.
const UNTOLD: &[&str] = &[
    "refs", "pids", "dying", "pending", "event", "origin", "holds",
];

/// A machine that is as the text says.
fn machine_of(text: &str) -> Machine {
    let text = Text::read(text.as_bytes()).expect("whole");
    let mut machine = Machine {
        began: 500_000_000,
        listed: Some(BTreeSet::new()),
        ..Machine::default()
    };
    let mut whole = Object::new("the text".to_string());
    whole.add("release", "x", Want::Is(b"7.3.4".to_vec()));
    machine.objects.insert(Key::Text, whole);
    let tasks = text
        .processes
        .iter()
        .map(|(pid, record)| (*pid, record, true))
        .chain(
            text.threads
                .iter()
                .map(|(tid, record)| (*tid, record, false)),
        );
    for (pid, record, is_process) in tasks {
        let mut object = Object::new(format!("task {pid}"));
        for (name, value) in record.pairs() {
            let want = match name {
                "start" => Want::Tick(record.tick().expect("a tick")),
                "state" => Want::State(value[0], (1, 1)),
                _ => Want::Is(value.to_vec()),
            };
            object.add(name, "procfs", want);
        }
        for name in ["via", "mixed", "unnumbered"] {
            if is_process && record.get(name).is_none() {
                object.add(name, "procfs", Want::Absent);
            }
        }
        let tick = record.tick().expect("a tick");
        let key = if is_process {
            Key::Process(pid, tick)
        } else {
            Key::Thread(pid, tick)
        };
        machine.objects.insert(key, object);
        for key in ["pidns", "mntns", "utsns", "timens", "userns"] {
            let inum = record.get(key).and_then(number).expect("a number");
            if is_process {
                machine.members.entry(inum).or_default().insert((pid, tick));
            }
        }
    }
    for (id, record) in &text.namespaces {
        if record.get("active") == Some(b"0") {
            continue;
        }
        machine.listed.as_mut().expect("a list").insert(*id);
        let mut object = Object::new(format!("namespace {id}"));
        object.add(
            "type",
            "nsfs",
            Want::Is(record.field(2).expect("it").to_vec()),
        );
        object.add(
            "inum",
            "nsfs",
            Want::Is(record.field(3).expect("it").to_vec()),
        );
        for (name, value) in record.pairs() {
            match name {
                "active" => object.add(name, "listns()", Want::Above(0)),
                "id" | "tasks" => {}
                _ if UNTOLD.contains(&name) => {}
                _ => object.add(name, "nsfs", Want::Is(value.to_vec())),
            }
        }
        machine.objects.insert(Key::Namespace(*id), object);
    }
    let mut list = MountList {
        id: 8,
        lines: Some(vec![78, 79]),
        ..MountList::default()
    };
    for ((ns, id), record) in &text.mounts {
        list.all.insert(*id);
        let mut object = Object::new(format!("mount {id}"));
        for name in [
            "mnt_id",
            "parent",
            "device",
            "directory",
            "options",
            "shared",
            "master",
            "type",
            "source",
            "options of the file system",
        ] {
            let value = record.of_mount(name).expect("a value");
            object.add(name, "statmount()", Want::Is(value));
        }
        if *id == 77 {
            object.add("reach", "mountinfo", Want::Outside);
        } else {
            let value = record.of_mount("reach").expect("a word");
            object.add("reach", "mountinfo", Want::Is(value));
            let line = record.of_mount("line").expect("a line");
            object.add("line", "mountinfo", Want::Is(line));
        }
        machine.objects.insert(Key::Mount(*ns, *id), object);
    }
    machine.lists.insert(4_026_531_832, list);
    machine
}

fn number(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn look(before: &Machine, text: &str, after: &Machine) -> Look {
    Look {
        before: before.clone(),
        text: text.as_bytes().to_vec(),
        after: after.clone(),
    }
}

/// Judges by looks that come one after the other; the last one comes again and again.
fn judged(looks: Vec<Look>) -> Judgement {
    let mut looks = VecDeque::from(looks);
    let next = || -> Result<Look, Infallible> {
        if looks.len() > 1 {
            return Ok(looks.pop_front().expect("one more"));
        }
        let last = &looks[0];
        Ok(Look {
            before: last.before.clone(),
            text: last.text.clone(),
            after: last.after.clone(),
        })
    };
    match judge(next, false, Duration::ZERO) {
        Ok(judgement) => judgement.expect("whole texts"),
        Err(never) => match never {},
    }
}

fn differences(machine: &Machine, text: &str) -> Vec<(Key, &'static str)> {
    judged(vec![look(machine, text, machine)])
        .differences
        .into_keys()
        .collect()
}

#[test]
fn nothing_differs() {
    let machine = machine_of(TEXT);
    let judgement = judged(vec![look(&machine, TEXT, &machine)]);
    assert_eq!(
        judgement.differences.len(),
        0,
        "{:?}",
        judgement.differences
    );
    assert_eq!(judgement.looks, 1);
    assert!(judgement.compared() > 150);
    // What nothing leads to is known to the module alone.
    assert_eq!(judgement.outcome.skipped.values().sum::<u64>(), 1);
}

/// Another value of the same form.
fn other(name: &str, value: &str) -> String {
    match (name, value) {
        ("state", "S") => "R".to_string(),
        ("comm" | "release" | "nodename" | "domainname", _) => format!("{value}x"),
        ("caps", "0000000000000000") => "0000000000000001".to_string(),
        // A tick later.
        ("start", _) => (value.parse::<u64>().expect("a number") + TICK).to_string(),
        ("uptime", _) => "7".to_string(),
        ("active", _) => "0".to_string(),
        (_, "-") => "7".to_string(),
        (_, "0") => "1".to_string(),
        _ => "-".to_string(),
    }
}

#[test]
fn each_wrong_value_of_a_key_is_noticed() {
    let machine = machine_of(TEXT);
    let mut tried = 0;
    for (at, line) in TEXT.lines().enumerate() {
        if line.starts_with("mount") {
            continue;
        }
        for word in line.split(' ') {
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            // Another id is another namespace, and one that nothing leads to is not compared with anything.
            if name == "id" || line.contains("active=0") {
                continue;
            }
            let wrong = line.replacen(
                &format!(" {name}={value}"),
                &format!(" {name}={}", other(name, value)),
                1,
            );
            assert_ne!(wrong, line);
            let text = TEXT
                .lines()
                .enumerate()
                .map(|(number, one)| if number == at { wrong.as_str() } else { one })
                .fold(String::new(), |text, line| text + line + "\n");
            let found = differences(&machine, &text);
            if UNTOLD.contains(&name) {
                assert_eq!(found, [], "{wrong}");
                continue;
            }
            tried += 1;
            assert!(
                found.iter().any(|(_, fact)| *fact == name),
                "{name}={value}: {found:?}"
            );
            assert!(found.len() == 1, "{name}={value}: {found:?}");
        }
    }
    assert!(tried > 130, "{tried}");
}

fn replaced(from: &str, to: &str) -> String {
    let text = TEXT.replacen(from, to, 1);
    assert_ne!(text, TEXT, "there is no {from}");
    text
}

#[test]
fn each_wrong_field_of_a_mount_is_noticed() {
    let machine = machine_of(TEXT);
    for (from, to, names) in [
        ("79 covered,locked", "79 over,locked", &["reach"][..]),
        ("77 outside", "77 root", &["reach"]),
        ("locked 24 23 ", "locked 25 23 ", &["line", "mnt_id"]),
        ("locked 24 23 ", "locked 24 22 ", &["line", "parent"]),
        (" 0:24 /x", " 0:25 /x", &["device", "line"]),
        (" 0:24 /x", " 0:24 /y", &["directory", "line"]),
        ("/x /a\\040b", "/x /a\\040c", &["line"]),
        (" ro,nosuid", " rw,nosuid", &["line", "options"]),
        (" master:4", " master:5", &["line", "master"]),
        (" shared:4", "", &["line", "shared"]),
        (" - tmpfs t", " - ramfs t", &["line", "type"]),
        (" tmpfs t rw", " tmpfs u rw", &["line", "source"]),
        (
            "lowerdir=/a",
            "lowerdir=/b",
            &["line", "options of the file system"],
        ),
        (" 77 outside 1 1 0:2", " 77 outside 1 1 0:3", &["device"]),
    ] {
        let found: Vec<_> = differences(&machine, &replaced(from, to))
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(
            found.iter().collect::<BTreeSet<_>>(),
            names.iter().collect()
        );
    }
}

/// The text without a line, and with an end that counts so.
fn without(begin: &str, end: (&str, &str)) -> String {
    let text: String = TEXT
        .lines()
        .filter(|line| !line.starts_with(begin))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_ne!(text.len(), TEXT.len());
    text.replace(end.0, end.1)
}

#[test]
fn records_that_are_missing() {
    let machine = machine_of(TEXT);
    for (line, end, key) in [
        (
            "task 252 ",
            ("tasks=2 t", "tasks=1 t"),
            Key::Process(252, 12),
        ),
        (
            "thread 253 ",
            ("tasks=2 threads=1", "tasks=2 threads=0"),
            Key::Thread(253, 13),
        ),
        ("ns time ", ("end ns=7", "end ns=6"), Key::Namespace(6)),
        (
            "mount 4026531832 77 ",
            ("mounts=3 h", "mounts=2 h"),
            Key::Mount(4_026_531_832, 77),
        ),
    ] {
        assert_eq!(differences(&machine, &without(line, end)), [(key, THERE)]);
    }
    // A line that comes twice.
    let line = TEXT
        .lines()
        .find(|line| line.starts_with("task 1 "))
        .expect("it");
    let text = TEXT
        .replace(line, &format!("{line}\n{line}"))
        .replace("tasks=2 threads=1", "tasks=3 threads=1");
    assert_eq!(
        differences(&machine, &text),
        [(Key::Text, "no record twice")]
    );
    // Mounts in another order.
    let mut lines: Vec<&str> = TEXT.lines().collect();
    let at = lines.len() - 3;
    lines.swap(at, at + 1);
    let text = lines.join("\n") + "\n";
    assert_eq!(
        differences(&machine, &text),
        [(Key::Namespace(8), "order of mounts")]
    );
}

#[test]
fn records_of_what_is_not_there() {
    let mut machine = machine_of(TEXT);
    for (key, name) in [
        (Key::Process(252, 12), THERE),
        (Key::Thread(253, 13), THERE),
        (Key::Namespace(6), "active"),
        (Key::Mount(4_026_531_832, 77), THERE),
    ] {
        let mut less = machine.clone();
        less.objects.remove(&key);
        match key {
            Key::Namespace(id) => {
                less.listed.as_mut().expect("a list").remove(&id);
            }
            Key::Mount(ns, id) => {
                less.lists.get_mut(&ns).expect("a list").all.remove(&id);
            }
            _ => {}
        }
        let found = differences(&less, TEXT);
        assert!(found.contains(&(key, name)), "{key:?}: {found:?}");
    }
    // One that began after the look did need not have been seen.
    machine.began = 100_000_000;
    let text = replaced("uptime=500000000", "uptime=100000000");
    machine.objects.remove(&Key::Process(252, 12));
    machine.objects.remove(&Key::Thread(253, 13));
    for members in machine.members.values_mut() {
        members.remove(&(252, 12));
    }
    assert_eq!(differences(&machine, &text), []);
    // One whose number is hidden, as the text says itself.
    machine.began = 500_000_000;
    assert_eq!(
        differences(&machine, &replaced(" mixed=1", " mixed=1 unnumbered=1")),
        []
    );
}

#[test]
fn a_hidden_number_that_is_not() {
    let machine = machine_of(TEXT);
    let text = replaced(
        "cgroup=/ cgroup_id=1\ntask",
        "cgroup=/ cgroup_id=1 unnumbered=1\ntask",
    );
    assert_eq!(
        differences(&machine, &text),
        [(Key::Process(1, 9), "unnumbered")]
    );
}

/// A machine whose process 252 has something else.
fn changed(name: &str, want: Want) -> Machine {
    let mut machine = machine_of(TEXT);
    let object = machine
        .objects
        .get_mut(&Key::Process(252, 12))
        .expect("the process");
    object
        .facts
        .iter_mut()
        .find(|fact| fact.name == name)
        .expect("the fact")
        .want = want;
    machine
}

#[test]
fn what_changes_is_no_difference() {
    let (one, other) = (machine_of(TEXT), changed("uid", Want::number(9u32)));
    // It changed and changed back, so that both looks at the machine were the same.
    let judgement = judged(vec![
        look(&other, TEXT, &other),
        look(&other, TEXT, &other),
        look(&one, TEXT, &one),
    ]);
    assert_eq!(judgement.differences.len(), 0);
    assert_eq!((judgement.looks, judgement.changing), (3, 0));
    // It changed from before to after.
    let judgement = judged(vec![look(&one, TEXT, &other), look(&one, TEXT, &one)]);
    assert_eq!((judgement.looks, judgement.changing), (2, 0));
    // It changes all the time.
    let judgement = judged(vec![look(&one, TEXT, &other)]);
    assert_eq!((judgement.differences.len(), judgement.changing), (0, 1));
    // It differs whenever it can be told.
    let third = changed("uid", Want::number(10u32));
    let mut looks: Vec<_> = (0..NEEDED)
        .flat_map(|_| [look(&other, TEXT, &other), look(&third, TEXT, &other)])
        .collect();
    looks.push(look(&one, TEXT, &one));
    let judgement = judged(looks);
    let found: Vec<_> = judgement.differences.keys().collect();
    assert_eq!(found, [&(Key::Process(252, 12), "uid")]);
}

#[test]
fn what_goes_to_and_fro_is_no_difference() {
    // Whenever the machine has the one, the text has the other.
    let (one, other) = (machine_of(TEXT), changed("uid", Want::number(9u32)));
    let text = replaced("uid=5", "uid=9");
    let looks = (0..NEEDED)
        .flat_map(|_| [look(&other, TEXT, &other), look(&one, &text, &one)])
        .collect();
    let judgement = judged(looks);
    assert_eq!((judgement.differences.len(), judgement.changing), (0, 1));
    // What the text says was there at another time.
    let mut looks: Vec<_> = (0..NEEDED).map(|_| look(&other, TEXT, &other)).collect();
    looks.insert(1, look(&one, &text, &other));
    let judgement = judged(looks);
    assert_eq!((judgement.differences.len(), judgement.changing), (0, 1));
}

#[test]
fn what_is_gone_is_no_difference() {
    let other = changed("uid", Want::number(9u32));
    let mut gone = machine_of(TEXT);
    gone.objects.remove(&Key::Process(252, 12));
    gone.objects.remove(&Key::Thread(253, 13));
    let text = without("task 252 ", ("tasks=2 t", "tasks=1 t"));
    let judgement = judged(vec![look(&other, TEXT, &other), look(&gone, &text, &gone)]);
    assert_eq!((judgement.differences.len(), judgement.gone), (0, 1));
}

#[test]
fn a_state_without_a_switch() {
    let running = changed("state", Want::State(b'R', (1, 1)));
    // It was switched meanwhile, and may have been in any state.
    let later = changed("state", Want::State(b'R', (2, 1)));
    let judgement = judged(vec![look(&running, TEXT, &later)]);
    assert_eq!((judgement.differences.len(), judgement.changing), (0, 1));
    let judgement = judged(vec![look(&running, TEXT, &running)]);
    assert_eq!(judgement.differences.len(), 1);
}

#[test]
fn counts_of_processes_that_come_and_go() {
    let machine = machine_of(TEXT);
    let mut fewer = machine.clone();
    fewer.objects.remove(&Key::Process(252, 12));
    for members in fewer.members.values_mut() {
        members.remove(&(252, 12));
    }
    let has_tasks = |text: &str| {
        judged(vec![look(&machine, text, &fewer)])
            .differences
            .contains_key(&(Key::Namespace(2), "tasks"))
    };
    // It ended before the text was made, or after it.
    let uts = "4026531838 id=2 owner=4026531837 tasks=2";
    assert!(!has_tasks(TEXT));
    assert!(!has_tasks(&replaced(
        uts,
        &uts.replace("tasks=2", "tasks=1")
    )));
    assert!(has_tasks(&replaced(
        uts,
        &uts.replace("tasks=2", "tasks=0")
    )));
    assert!(has_tasks(&replaced(
        uts,
        &uts.replace("tasks=2", "tasks=3")
    )));
}

#[test]
fn a_text_that_is_cut_is_none() {
    let machine = machine_of(TEXT);
    let cut = || -> Result<Look, Infallible> { Ok(look(&machine, &TEXT[..900], &machine)) };
    assert!(matches!(judge(cut, false, Duration::ZERO), Ok(None)));
}

/// This very machine, without the module.
#[test]
fn this_machine_shows_itself() {
    let machine = machine::look();
    let own = std::process::id();
    let object = machine
        .objects
        .iter()
        .find(|(key, _)| matches!(key, Key::Process(pid, _) if *pid == own))
        .map(|(_, object)| object)
        .expect("this process");
    for name in ["comm", "upid", "uid", "caps", "state", "mntns", "mixed"] {
        assert!(
            object
                .facts
                .iter()
                .any(|fact| fact.name == name && !matches!(fact.want, Want::Not(_))),
            "{name}"
        );
    }
    let threads = machine
        .objects
        .keys()
        .filter(|key| key.kind() == Kind::Thread)
        .count();
    assert!(threads > 1);
}
