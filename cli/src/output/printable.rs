// SPDX-License-Identifier: GPL-2.0

//! Words that somebody else chose, made harmless for a terminal.
//!
//! Process names, host names and paths may have any byte. What is no visible character of UTF-8 is shown as a backslash
//! and three octal digits for each byte, as in the text: control characters, escape sequences, and characters that are
//! not seen or that turn the direction of writing.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::text::Escaped;

/// Words for a cell. They are shown as they are: nothing in them can harm a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words<'a>(Form<'a>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form<'a> {
    /// They are visible ASCII, as most are, and stay where they are.
    Plain(&'a str),
    Made(Box<Made>),
}

/// Words that had to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Made {
    shown: String,
    /// What JSON has, where that is something else: JSON has escapes of its own for control characters.
    json: Option<String>,
    /// There were bytes that are no UTF-8, and the words have escapes in their place.
    escaped: bool,
    /// They are a sign that this program has made, and mean themselves even where they are a dash.
    sign: bool,
}

impl Made {
    fn of(bytes: &[u8]) -> Self {
        let shown = printable(bytes);
        let text = std::str::from_utf8(bytes);
        Self {
            escaped: text.is_err(),
            json: text.ok().filter(|text| *text != shown).map(str::to_string),
            shown,
            sign: false,
        }
    }
}

/// Whether these are characters of ASCII, and none that has to be escaped.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |so_far, byte| {
        so_far & (b' '..=b'~').contains(byte) & (*byte != b'\\')
    })
}

impl From<Made> for Words<'_> {
    fn from(made: Made) -> Self {
        Self(Form::Made(Box::new(made)))
    }
}

impl<'a> From<&'a str> for Words<'a> {
    fn from(text: &'a str) -> Self {
        if is_plain(text.as_bytes()) {
            Self::known(text)
        } else {
            Made::of(text.as_bytes()).into()
        }
    }
}

impl From<Vec<u8>> for Words<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Made::of(&bytes).into()
    }
}

impl<'a> Words<'a> {
    /// Takes bytes of any kind.
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => Made::of(bytes).into(),
        }
    }

    /// Takes words that are known to be visible ASCII without a backslash: this program's own.
    pub(super) const fn known(words: &'a str) -> Self {
        Self(Form::Plain(words))
    }

    /// Takes a sign of this program's own: `-` is one, and does not mean that there is nothing.
    pub fn sign(sign: &str) -> Self {
        Made {
            sign: true,
            ..Made::of(sign.as_bytes())
        }
        .into()
    }

    /// Whether they would be taken for nothing.
    pub fn is_dash(&self) -> bool {
        self.shown() == "-" && !matches!(&self.0, Form::Made(made) if made.sign)
    }

    /// Takes a value as it stands in a text. One that had to be cut ends in `\~`.
    pub fn from_escaped(text: Escaped<'a>) -> Self {
        // What has no escape has no such mark either.
        if is_plain(text.raw()) {
            return Self::from_bytes(text.raw());
        }
        let mut made = Made::of(&text.bytes());
        if text.is_cut() {
            made.shown.push_str("\\~");
            if let Some(json) = &mut made.json {
                json.push_str("\\~");
            }
        }
        made.into()
    }

    /// What is shown.
    pub fn shown(&self) -> &str {
        match &self.0 {
            Form::Plain(text) => text,
            Form::Made(made) => &made.shown,
        }
    }

    /// What JSON has.
    pub fn json(&self) -> &str {
        match &self.0 {
            Form::Plain(text) => text,
            Form::Made(made) => made.json.as_deref().unwrap_or(&made.shown),
        }
    }

    /// Whether bytes that are no UTF-8 are escaped in both.
    pub fn is_escaped(&self) -> bool {
        matches!(&self.0, Form::Made(made) if made.escaped)
    }
}

/// Escapes what is not visible. A backslash is doubled in no case: `\` is `\134`, so that an escape is always one.
fn printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let escape = |out: &mut String, bytes: &[u8]| {
        for byte in bytes {
            out.push_str(&format!("\\{byte:03o}"));
        }
    };
    for chunk in bytes.utf8_chunks() {
        let mut buffer = [0; 4];
        let mut before = None;
        for one in chunk.valid().chars() {
            if is_visible(one, before) {
                out.push(one);
            } else {
                escape(&mut out, one.encode_utf8(&mut buffer).as_bytes());
            }
            before = Some(one);
        }
        escape(&mut out, chunk.invalid());
    }
    out
}

/// Whether a character is seen. One without a width of its own, as an accent, is seen on the one before it.
fn is_visible(one: char, before: Option<char>) -> bool {
    match one {
        '\\' => false,
        ' '..='~' => true,
        // What joins the parts of one emoji, and chooses how it looks.
        '\u{200d}' | '\u{fe0f}' => {
            before.is_some_and(|before| before.width() != Some(0) && before > '\u{7f}')
        }
        _ if one.is_control() => false,
        // Formatting, tags, and what turns the direction of writing.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0e}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{3164}'
        | '\u{ffa0}' => false,
        // Private use: nobody knows what it looks like.
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' => false,
        _ if one.is_whitespace() => false,
        _ => one.width() != Some(0) || before.is_some_and(|before| before > ' '),
    }
}

/// How many columns of a terminal words take.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

/// Cuts words to so many columns, with `…` at the end of what is longer.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for one in text.chars() {
        out.push(one);
        // The width of a whole may be less than that of its parts, as of an emoji that is made of several.
        if width(&out) >= columns {
            while width(&out) >= columns && out.pop().is_some() {}
            break;
        }
    }
    // Nothing may be left half: an accent without its letter stands at the beginning of what was cut off.
    if columns > 0 {
        out.push('…');
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> String {
        Words::from_bytes(bytes).shown().to_string()
    }

    #[test]
    fn harmless() {
        assert_eq!(shown(b"nginx: worker"), "nginx: worker");
        assert_eq!(shown(b"a\x1b[31mred"), "a\\033[31mred");
        assert_eq!(shown(b"a\nb\tc\r"), "a\\012b\\011c\\015");
        assert_eq!(shown(b"back\\slash"), "back\\134slash");
        assert_eq!(shown("abc\u{202e}def".as_bytes()), "abc\\342\\200\\256def");
        assert_eq!(shown("\u{9b}31m".as_bytes()), "\\302\\23331m");
        assert_eq!(shown(b"\xff\xfe"), "\\377\\376");
        assert_eq!(shown("网站 é 🐳".as_bytes()), "网站 é 🐳");
        assert_eq!(shown("e\u{301}".as_bytes()), "e\u{301}");
        assert_eq!(shown("\u{301}".as_bytes()), "\\314\\201");
    }

    #[test]
    fn json() {
        let words = Words::from_bytes(b"a\nb");
        assert_eq!((words.json(), words.is_escaped()), ("a\nb", false));
        let words = Words::from_bytes(b"a\xffb");
        assert_eq!((words.json(), words.is_escaped()), ("a\\377b", true));
    }

    #[test]
    fn widths() {
        assert_eq!(
            (width("abc"), width("网站"), width("e\u{301}"), width("🐳")),
            (3, 4, 1, 2)
        );
        assert_eq!(cut("网站名字", 5), "网站…");
        assert_eq!(cut("网站名字", 6), "网站…");
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 3), "ab…");
        assert_eq!(cut("abcdef", 1), "…");
        assert_eq!(cut("abcdef", 0), "");
    }
}
