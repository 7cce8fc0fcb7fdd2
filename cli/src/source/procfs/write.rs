// SPDX-License-Identifier: GPL-2.0

//! Writes the lines of format 1, with its escapes.

use std::fmt::{self, Write as _};

use super::process::Known;

/// A line that is being written. Keys come in the order in which the caller writes them.
#[derive(Debug, Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
}

impl Line {
    /// Begins a record of that kind.
    pub fn begin(&mut self, kind: &str) {
        self.bytes.clear();
        self.bytes.extend_from_slice(kind.as_bytes());
    }

    /// Ends the record, and puts the line to the others.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.bytes.push(b'\n');
        out.append(&mut self.bytes);
    }

    fn print(&mut self, value: impl fmt::Display) {
        // Writing to memory does not fail.
        let _ = write!(Bytes(&mut self.bytes), "{value}");
    }

    fn name(&mut self, name: &str) {
        self.bytes.push(b' ');
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(b'=');
    }

    /// A field without a key.
    pub fn positional(&mut self, value: impl fmt::Display) {
        self.bytes.push(b' ');
        self.print(value);
    }

    /// Bytes that stand as they are, behind a blank.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.push(b' ');
        self.bytes.extend_from_slice(bytes);
    }

    /// A number, or words without anything to escape.
    pub fn key(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        self.print(value);
    }

    /// The same, if it is known.
    pub fn known(&mut self, name: &str, value: &Known<impl fmt::Display>) {
        match value {
            Known::Is(value) => self.key(name, value),
            Known::Gone => self.key(name, '-'),
            Known::Not => {}
        }
    }

    /// Numbers with commas between.
    pub fn list(&mut self, name: &str, numbers: &[u32]) {
        self.name(name);
        for (at, number) in numbers.iter().enumerate() {
            if at != 0 {
                self.bytes.push(b',');
            }
            self.print(number);
        }
    }

    /// A string.
    pub fn text(&mut self, name: &str, text: &[u8]) {
        self.name(name);
        escape(text, &mut self.bytes);
    }

    /// A path; `is_deleted`: what had it is removed.
    pub fn path(&mut self, name: &str, path: &[u8], is_deleted: bool) {
        self.name(name);
        escape_path(path, &mut self.bytes);
        if is_deleted {
            self.bytes.extend_from_slice(b"//deleted");
        }
    }
}

/// Lets numbers be written to bytes.
struct Bytes<'a>(&'a mut Vec<u8>);

impl fmt::Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn octal(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[
        b'\\',
        b'0' + (byte >> 6),
        b'0' + (byte >> 3 & 7),
        b'0' + (byte & 7),
    ]);
}

/// Escapes a string.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    if text == b"-" {
        octal(b'-', out);
        return;
    }
    for byte in text {
        match byte {
            b'\\' | b',' | b'@' | b'#' | b'=' => octal(*byte, out),
            0x21..=0x7E => out.push(*byte),
            _ => octal(*byte, out),
        }
    }
}

/// Escapes a path.
fn escape_path(path: &[u8], out: &mut Vec<u8>) {
    for byte in path {
        match byte {
            b'\\' => octal(*byte, out),
            0x21..=0x7E => out.push(*byte),
            _ => octal(*byte, out),
        }
    }
}

/// Escapes a path in a line of `mountinfo`, as the kernel does.
pub(super) fn escape_mountinfo(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => octal(*byte, out),
            _ => out.push(*byte),
        }
    }
}

/// Escapes a source, or the type of a file system, in a line of `mountinfo`: there the `#` of a comment is one, too.
pub(super) fn escape_source(text: &[u8], out: &mut Vec<u8>) {
    for (at, part) in text.split(|byte| *byte == b'#').enumerate() {
        if at != 0 {
            octal(b'#', out);
        }
        escape_mountinfo(part, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(write: impl FnOnce(&mut Line)) -> String {
        let mut out = Vec::new();
        let mut line = Line::default();
        line.begin("x");
        write(&mut line);
        line.end(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn escapes() {
        assert_eq!(
            line(|line| line.text("a", b"a b\xff@=,#\\")),
            "x a=a\\040b\\377\\100\\075\\054\\043\\134\n"
        );
        assert_eq!(line(|line| line.text("a", b"-")), "x a=\\055\n");
        assert_eq!(line(|line| line.text("a", b"")), "x a=\n");
        assert_eq!(
            line(|line| line.path("a", b"/u@1/a b\\", true)),
            "x a=/u@1/a\\040b\\134//deleted\n"
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(
            line(|line| {
                line.known("a", &Known::Is(1));
                line.known("b", &Known::<u32>::Gone);
                line.known("c", &Known::<u32>::Not);
                line.list("d", &[1, 2]);
            }),
            "x a=1 b=- d=1,2\n"
        );
    }
}
