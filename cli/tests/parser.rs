// SPDX-License-Identifier: GPL-2.0

//! The parser, on real texts and on mutilated ones: it never panics, and prints back what it has read.
//!
//! `NSINSPECT_CASES=10000000 cargo test --release --test parser` tries more than the usual number.

use std::fs;
use std::path::{Path, PathBuf};

use nsinspect::identity::{Containers, Names};
use nsinspect::system::System;
use nsinspect::text::{self, Error, Record, Text};

fn texts() -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/texts");
    let mut texts: Vec<_> = fs::read_dir(directory)
        .expect("there are texts")
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
        .map(|path| (path.clone(), fs::read(&path).expect("the text can be read")))
        .collect();
    texts.sort();
    assert!(!texts.is_empty(), "there is no text to try");
    texts
}

/// Every record of a real text, printed back, is its line.
#[test]
fn round_trip() {
    for (path, bytes) in texts() {
        let text = Text::open(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut number = 0;
        for (record, line) in text
            .records()
            .zip(bytes.split(|byte| *byte == b'\n').skip(1))
        {
            let record = record.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(
                !matches!(record, Record::Unknown(_)),
                "{}",
                String::from_utf8_lossy(line)
            );
            // What it takes over from the record before is what it would have read.
            assert_eq!(Ok(&record), text::record(line).as_ref());
            let printed = record.to_bytes();
            assert_eq!(
                String::from_utf8_lossy(&printed),
                String::from_utf8_lossy(line)
            );
            number += 1;
        }
        assert!(number > 20, "{}: {number} records", path.display());
    }
}

/// What a later version may add is passed over: keys at the end and in between, kinds, fields of the first line.
#[test]
fn later_versions() {
    let old =
        b"task 7 comm=a level=0 upid=7@4026531836 ppid=1 uid=0 start=5 pidns=4026531836 mixed=1";
    let new = b"task 7 comm=a later=1,2 level=0 upid=7@4026531836 ppid=1 uid=0 start=5 other= pidns=4026531836 mixed=1 more=x";
    let (Ok(Record::Task(old)), Ok(Record::Task(new))) = (text::record(old), text::record(new))
    else {
        panic!("they are no tasks");
    };
    assert_eq!(old, new);
    assert!(new.mixed && new.pid == 7 && !new.has("caps"));
    // Two that end alike from before what is unknown.
    let ends = "later=1 level=2 upid=7@4026531836 ppid=1 uid=9 start=5 pidns=4026531836 mixed=1";
    let two = format!(
        "nsinspect 1 release=x uptime=3\ntask 7 comm=a {ends}\ntask 8 comm=b {ends}\nend\n"
    );
    let system = System::read(two.as_bytes()).expect("the text is whole");
    let seen: Vec<_> = system
        .tasks
        .iter()
        .map(|task| (task.pid, task.level, task.uid, task.mixed))
        .collect();
    assert_eq!(seen, [(7, 2, 9, true), (8, 2, 9, true)]);
    let whole = b"nsinspect 1 release=x later=2 uptime=3\nplanet earth size=1\nend ns=0 tasks=0 planets=1\n";
    let system = System::read(whole).expect("the text is whole");
    assert_eq!((system.text.uptime, system.tasks.len()), (3, 0));
}

/// What is none of this format is refused, and says why.
#[test]
fn refused() {
    let cases: [(&[u8], Error); 9] = [
        (b"", Error::NotText),
        (b"hello\n", Error::NotText),
        (b"nsinspect\n", Error::NotText),
        (b"nsinspect one\nend\n", Error::NotText),
        (
            b"nsinspect 2 release=x\nend ns=0\n",
            Error::Format("2".to_string()),
        ),
        (b"nsinspect 1 release=x uptime=1\n", Error::CutShort),
        (
            b"nsinspect 1 release=x uptime=1\nns mnt 1 id=1\nend ns=1",
            Error::CutShort,
        ),
        (
            b"nsinspect 1 release=x uptime=1\nend ns=1\n",
            Error::Counts("ns", 1, 0),
        ),
        (
            b"nsinspect 1 release=x uptime=1\ntask x\nend tasks=1\n",
            Error::Malformed(2, "a record task has no valid pid"),
        ),
    ];
    for (bytes, wanted) in cases {
        assert_eq!(
            System::read(bytes).err(),
            Some(wanted),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
}

/// A cheap generator, so that ten million cases take minutes (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit.max(1)
    }
}

fn mutilate(random: &mut Random, bytes: &mut Vec<u8>) {
    const PIECES: [&[u8]; 16] = [
        b"\\~",
        b"//deleted",
        b"-",
        b" ",
        b"\n",
        b"=",
        b",",
        b"@",
        b"4294967296",
        b"18446744073709551616",
        b"\\",
        b"\\400",
        b" - ",
        b"\xff",
        b"end ns=9999999999999999999\n",
        b"task 1 ",
    ];
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            1 if !bytes.is_empty() => {
                bytes.remove(at);
            }
            2 => bytes.truncate(at),
            3 => {
                let length = random.below(40).min(bytes.len() - at);
                let copy = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}

/// Texts with bytes changed, taken away, doubled, and with pieces of the grammar put in: no panic, and whoever is read
/// prints back to what reads the same.
#[test]
fn mutilated() {
    let cases = std::env::var("NSINSPECT_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(200_000);
    let texts = texts();
    // Short texts, so that each change meets something: some lines of each kind, from all over the real ones.
    let lines: Vec<&[u8]> = texts
        .iter()
        .flat_map(|(_, bytes)| bytes.split(|byte| *byte == b'\n'))
        .filter(|line| {
            !line.is_empty() && !line.starts_with(b"nsinspect") && !line.starts_with(b"end")
        })
        .collect();
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0x9E37_79B9_7F4A_7C15);
    println!("seed {seed}, {cases} cases");
    let mut random = Random(seed);
    let names = Names::none();
    let (mut whole, mut broken) = (0, 0);
    for _ in 0..cases {
        let mut bytes = b"nsinspect 1 release=7.3.4 uptime=5\n".to_vec();
        let mut line = lines[random.below(lines.len())];
        for _ in 0..random.below(8) {
            // One that is like the one before, now and then.
            if random.below(3) != 0 {
                line = lines[random.below(lines.len())];
            }
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(b"end\n");
        mutilate(&mut random, &mut bytes);
        match System::read(&bytes) {
            Ok(system) => {
                whole += 1;
                let containers = Containers::find(&system, &names);
                for (index, task) in system.tasks.iter().enumerate() {
                    let _ = (
                        containers.of_task(index),
                        task.own_number(),
                        system.task(task.ppid),
                    );
                }
                let lines = bytes.split(|byte| *byte == b'\n').skip(1);
                for (record, line) in system.text.records().flatten().zip(lines) {
                    assert_eq!(Ok(&record), text::record(line).as_ref());
                    let printed = record.to_bytes();
                    let again = text::record(&printed).expect("what was printed can be read");
                    assert_eq!(again.to_bytes(), printed);
                }
            }
            Err(_) => broken += 1,
        }
    }
    assert!(
        whole > cases / 20 && broken > cases / 20,
        "{whole} whole, {broken} broken"
    );
}

/// How fast a text of 100 MB is parsed, and how much memory the picture of it takes. Says so, and fails below what is
/// promised; only optimized code is measured:
///
/// `cargo test --release --test parser -- --ignored --nocapture speed`
#[test]
#[ignore = "it measures, and wants optimized code"]
fn speed() {
    let (path, sample) = texts().pop().expect("there is a text");
    let records: Vec<&[u8]> = sample
        .split(|byte| *byte == b'\n')
        // What a text has unless a query asks for more. Holds have short lines, and their records are larger.
        .filter(|line| {
            [b"ns ".as_slice(), b"task ", b"mount "]
                .iter()
                .any(|kind| line.starts_with(kind))
        })
        .collect();
    let mut bytes = b"nsinspect 1 release=x uptime=1\n".to_vec();
    'full: loop {
        for line in &records {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
            if bytes.len() > 100_000_000 {
                break 'full;
            }
        }
    }
    bytes.extend_from_slice(b"end\n");
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = std::time::Instant::now();
        let mut number = 0;
        for record in Text::open(&bytes).expect("the text is whole").records() {
            std::hint::black_box(record.expect("the record can be read"));
            number += 1;
        }
        assert!(number > 100_000);
        best = best.min(start.elapsed().as_secs_f64());
    }
    let rate = bytes.len() as f64 / best / 1e6;
    let peak = || {
        let status = fs::read_to_string("/proc/self/status").expect("there is a procfs");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("it tells of memory");
        line.split_whitespace()
            .nth(1)
            .and_then(|word| word.parse::<f64>().ok())
            .expect("it is a number")
            * 1024.0
    };
    let before = peak();
    let system = System::read(&bytes).expect("the text is whole");
    let picture = peak() - before;
    std::hint::black_box(&system);
    let times = (bytes.len() as f64 + picture) / bytes.len() as f64;
    println!(
        "{}: {rate:.0} MB/s; text and picture take {times:.2} times the text",
        path.display()
    );
    assert!(rate >= 500.0, "{rate:.0} MB/s");
    assert!(times <= 2.0, "{times:.2} times the text");
}
