// SPDX-License-Identifier: GPL-2.0

//! Parses what is written to `/proc/nsinspect`: which records the next snapshot keeps. Pure.
//!
//! The keys are described in `docs/format.md`.

#![deny(unsafe_code)]

use kernel::prelude::*;

/// The longest query, without its newline, in bytes.
const MAX_LEN: usize = 256;

/// Which kinds of records are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Show {
    pub(crate) ns: bool,
    pub(crate) tasks: bool,
    pub(crate) threads: bool,
    pub(crate) mounts: bool,
    pub(crate) holds: bool,
    /// Of mounts, only those that are no copies.
    pub(crate) originals: bool,
}

impl Show {
    const NOTHING: Self = Self {
        ns: false,
        tasks: false,
        threads: false,
        mounts: false,
        holds: false,
        originals: false,
    };
}

/// A number in a pid namespace, which is named by its inode number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Upid {
    pub(crate) nr: i32,
    pub(crate) ns: u32,
}

/// A device number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// Whether a process is a kernel thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskKind {
    User,
    Kthread,
}

/// What a record must be like to be kept. All that is there must hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Query {
    /// The process or thread with this number in the initial pid namespace.
    pub(crate) pid: Option<i32>,
    /// The process or thread with this number in another one.
    pub(crate) upid: Option<Upid>,
    /// The namespace with this inode number.
    pub(crate) ns: Option<u32>,
    /// The mounts of this device.
    pub(crate) dev: Option<Device>,
    /// The mount with this 64-bit id.
    pub(crate) mount: Option<u64>,
    /// Processes and threads of this kind.
    pub(crate) kind: Option<TaskKind>,
    /// The kinds of records, if they were named.
    pub(crate) show: Option<Show>,
    /// Whether mounts show which peer group they get events from.
    pub(crate) propagate_from: bool,
}

/// Why a query is none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    TooLong,
    Lines,
    Blank,
    NoValue,
    Key,
    Twice,
    Number,
    Upid,
    Device,
    Kind,
    TaskKind,
    Flag,
}

impl Invalid {
    /// The reason, for people.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "it is longer than 256 bytes",
            Self::Lines => "it has more than one line",
            Self::Blank => "its fields are not separated by exactly one blank",
            Self::NoValue => "a field is not of the form key=value",
            Self::Key => "the keys are pid, upid, ns, dev, mount, kind, show and propagate_from",
            Self::Twice => "a key is given twice",
            Self::Number => "pid=, ns= and mount= take a decimal number",
            Self::Upid => "upid= takes a number, an @ and the inode number of a pid namespace",
            Self::Device => "dev= takes a major number, a colon and a minor number",
            Self::Kind => {
                "show= takes a list, separated by commas, of ns, tasks, threads, mounts, holds, originals"
            }
            Self::TaskKind => "kind= takes user or kthread",
            Self::Flag => "propagate_from= takes 0 or 1",
        }
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::TooLong => E2BIG,
            _ => EINVAL,
        }
    }
}

impl Query {
    /// The query that keeps everything, threads aside.
    pub(crate) const EVERYTHING: Self = Self {
        pid: None,
        upid: None,
        ns: None,
        dev: None,
        mount: None,
        kind: None,
        show: None,
        propagate_from: false,
    };

    /// The most bytes that a query can have, its newline included.
    pub(crate) const MAX_BYTES: usize = MAX_LEN + 1;

    /// Parses one line, with or without its newline. An empty one keeps everything.
    ///
    /// # Errors
    ///
    /// Why it is not a query.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, Invalid> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() > MAX_LEN {
            return Err(Invalid::TooLong);
        }
        if line.contains(&b'\n') {
            return Err(Invalid::Lines);
        }
        let mut query = Self::EVERYTHING;
        if line.is_empty() {
            return Ok(query);
        }
        let mut propagate_from = None;
        for field in line.split(|byte| *byte == b' ') {
            if field.is_empty() {
                return Err(Invalid::Blank);
            }
            let (key, value) = split_once(field, b'=').ok_or(Invalid::NoValue)?;
            match key {
                b"pid" => once(&mut query.pid, decimal(value).ok_or(Invalid::Number)?)?,
                b"upid" => once(&mut query.upid, upid(value).ok_or(Invalid::Upid)?)?,
                b"ns" => once(&mut query.ns, decimal(value).ok_or(Invalid::Number)?)?,
                b"dev" => once(&mut query.dev, device(value).ok_or(Invalid::Device)?)?,
                b"mount" => once(&mut query.mount, decimal(value).ok_or(Invalid::Number)?)?,
                b"kind" => once(&mut query.kind, task_kind(value).ok_or(Invalid::TaskKind)?)?,
                b"show" => once(&mut query.show, show(value).ok_or(Invalid::Kind)?)?,
                b"propagate_from" => {
                    once(&mut propagate_from, flag(value).ok_or(Invalid::Flag)?)?;
                }
                _ => return Err(Invalid::Key),
            }
        }
        query.propagate_from = propagate_from.unwrap_or(false);
        Ok(query)
    }

    /// A query, for people, whose answer takes less memory than that to this one.
    pub(crate) fn smaller(&self) -> &'static str {
        let show = self.show();
        let of_mounts = self.dev.is_some() || self.mount.is_some();
        if self.pid.is_some() || self.upid.is_some() || self.ns.is_some() || of_mounts {
            if show.mounts {
                "the same with show=ns,tasks"
            } else {
                "the same with show=ns"
            }
        } else if show.mounts {
            "show=ns,tasks, or ns= or pid= for one namespace or process"
        } else {
            "show=ns, or ns= or pid= for one namespace or process"
        }
    }

    /// Which kinds of records are shown.
    pub(crate) fn show(&self) -> Show {
        self.show.unwrap_or(Show {
            ns: true,
            tasks: true,
            threads: false,
            mounts: true,
            holds: false,
            originals: false,
        })
    }
}

/// Sets what was not set before.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Invalid> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Invalid::Twice),
    }
}

/// What stands before and after the first `at`.
fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = bytes.iter().position(|byte| *byte == at)?;
    let (before, after) = bytes.split_at_checked(index)?;
    Some((before, after.split_first()?.1))
}

/// Decimal digits, and nothing else, that make a number of this type.
fn decimal<T: TryFrom<u64>>(digits: &[u8]) -> Option<T> {
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        number.checked_mul(10)?.checked_add(digit.into())
    })?;
    T::try_from(number).ok()
}

fn upid(value: &[u8]) -> Option<Upid> {
    let (nr, ns) = split_once(value, b'@')?;
    Some(Upid {
        nr: decimal(nr)?,
        ns: decimal(ns)?,
    })
}

fn device(value: &[u8]) -> Option<Device> {
    let (major, minor) = split_once(value, b':')?;
    Some(Device {
        major: decimal(major)?,
        minor: decimal(minor)?,
    })
}

fn task_kind(value: &[u8]) -> Option<TaskKind> {
    match value {
        b"user" => Some(TaskKind::User),
        b"kthread" => Some(TaskKind::Kthread),
        _ => None,
    }
}

fn show(value: &[u8]) -> Option<Show> {
    let mut show = Show::NOTHING;
    for kind in value.split(|byte| *byte == b',') {
        let place = match kind {
            b"ns" => &mut show.ns,
            b"tasks" => &mut show.tasks,
            b"threads" => &mut show.threads,
            b"mounts" => &mut show.mounts,
            b"holds" => &mut show.holds,
            b"originals" => &mut show.originals,
            _ => return None,
        };
        *place = true;
    }
    Some(show)
}

fn flag(value: &[u8]) -> Option<bool> {
    match value {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

#[kernel::macros::kunit_tests(nsinspect_query)]
mod tests {
    use super::*;

    /// What a query asks for, as one value, so that a test is one line.
    fn parse(line: &str) -> Result<Query, Invalid> {
        Query::parse(line.as_bytes())
    }

    fn is(line: &str, expected: Query) -> bool {
        parse(line).is_ok_and(|query| query == expected)
    }

    fn fails(line: &str, expected: Invalid) -> bool {
        parse(line).is_err_and(|invalid| invalid == expected)
    }

    #[test]
    fn nothing_keeps_everything() {
        assert!(is("", Query::EVERYTHING));
        assert!(is("\n", Query::EVERYTHING));
        let show = Query::EVERYTHING.show();
        assert!(show.ns && show.tasks && show.mounts && !show.threads);
    }

    #[test]
    fn each_key() {
        let all = Query::EVERYTHING;
        assert!(is(
            "pid=7",
            Query {
                pid: Some(7),
                ..all
            }
        ));
        let upid = Some(Upid {
            nr: 7,
            ns: 4026531836,
        });
        assert!(is("upid=7@4026531836\n", Query { upid, ..all }));
        assert!(is(
            "ns=4294967295",
            Query {
                ns: Some(u32::MAX),
                ..all
            }
        ));
        let dev = Some(Device { major: 8, minor: 1 });
        assert!(is("dev=8:1", Query { dev, ..all }));
        let mount = Some(u64::MAX);
        assert!(is("mount=18446744073709551615", Query { mount, ..all }));
        let kind = Some(TaskKind::User);
        assert!(is("kind=user", Query { kind, ..all }));
        let kind = Some(TaskKind::Kthread);
        assert!(is("kind=kthread", Query { kind, ..all }));
        assert!(is(
            "propagate_from=1",
            Query {
                propagate_from: true,
                ..all
            }
        ));
        assert!(is("propagate_from=0", all));
        let show = Some(Show {
            threads: true,
            tasks: true,
            ..Show::NOTHING
        });
        assert!(is("show=threads,tasks", Query { show, ..all }));
        let show = Some(Show {
            mounts: true,
            holds: true,
            originals: true,
            ..Show::NOTHING
        });
        assert!(is("show=originals,holds,mounts", Query { show, ..all }));
    }

    #[test]
    fn several_keys() {
        let (pid, ns) = (Some(1), Some(2));
        let both = Query {
            pid,
            ns,
            ..Query::EVERYTHING
        };
        assert!(is("pid=1 ns=2", both));
        assert!(is("ns=2 pid=1\n", both));
    }

    #[test]
    fn leading_zeros_are_digits() {
        assert!(is(
            "pid=007",
            Query {
                pid: Some(7),
                ..Query::EVERYTHING
            }
        ));
    }

    #[test]
    fn bad_fields() {
        assert!(fails("pid", Invalid::NoValue));
        assert!(fails("=", Invalid::Key));
        assert!(fails("PID=1", Invalid::Key));
        assert!(fails("pid=1 pid=1", Invalid::Twice));
        assert!(fails("propagate_from=0 propagate_from=0", Invalid::Twice));
        assert!(fails(" pid=1", Invalid::Blank));
        assert!(fails("pid=1 ", Invalid::Blank));
        assert!(fails("pid=1  ns=2", Invalid::Blank));
        assert!(fails(" ", Invalid::Blank));
        assert!(fails("pid=1\tns=2", Invalid::Number));
        assert!(fails("pid=1\nns=2", Invalid::Lines));
        assert!(fails("\n\n", Invalid::Lines));
    }

    #[test]
    fn bad_values() {
        for value in [
            "pid=",
            "pid=-1",
            "pid=+1",
            "pid=0x1",
            "pid=1=2",
            "pid=2147483648",
        ] {
            assert!(fails(value, Invalid::Number));
        }
        for value in [
            "ns=4294967296",
            "ns=99999999999999999999999",
            "ns=\0",
            "ns=1,2",
        ] {
            assert!(fails(value, Invalid::Number));
        }
        for value in [
            "upid=1",
            "upid=@",
            "upid=1@",
            "upid=@1",
            "upid=1@2@3",
            "upid=1@4294967296",
        ] {
            assert!(fails(value, Invalid::Upid));
        }
        for value in ["dev=8", "dev=:", "dev=8:", "dev=:1", "dev=8:1:2", "dev=sda"] {
            assert!(fails(value, Invalid::Device));
        }
        for value in [
            "show=",
            "show=,",
            "show=ns,",
            "show=namespaces",
            "show=ns=1",
        ] {
            assert!(fails(value, Invalid::Kind));
        }
        for value in ["mount=", "mount=-1", "mount=18446744073709551616"] {
            assert!(fails(value, Invalid::Number));
        }
        for value in ["kind=", "kind=User", "kind=users", "kind=user,kthread"] {
            assert!(fails(value, Invalid::TaskKind));
        }
        for value in ["propagate_from=", "propagate_from=2", "propagate_from=yes"] {
            assert!(fails(value, Invalid::Flag));
        }
    }

    #[test]
    fn the_longest() {
        let mut line = [b'0'; MAX_LEN + 2];
        line[..4].copy_from_slice(b"pid=");
        assert!(Query::parse(&line[..MAX_LEN]).is_ok());
        assert!(Query::parse(&line[..=MAX_LEN]) == Err(Invalid::TooLong));
        line[MAX_LEN] = b'\n';
        assert!(Query::parse(&line[..=MAX_LEN]).is_ok());
        assert!(Query::parse(&line) == Err(Invalid::TooLong));
    }

    #[test]
    fn errors_have_their_numbers() {
        assert!(Error::from(Invalid::TooLong) == E2BIG);
        assert!(Error::from(Invalid::Key) == EINVAL);
    }
}
