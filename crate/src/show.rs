//! How names and paths are printed: on one line, and without anything that a terminal would act on.
//!
//! File names and class names are somebody's text. A name may hold a line break that forges a second line of a
//! report, an escape sequence that repaints the screen, or a bidirectional override that shows
//! `gpj.exe` as `exe.jpg`. Every message, table and report prints names through [`Show::shown`].

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

/// Text for a line of a terminal, a log or a report.
pub trait Show {
    /// The text with control characters, line and paragraph separators, bidirectional controls and bytes that are
    /// not UTF-8 replaced by escapes, as in `\n`, `\u{1b}`, `\u{202e}` and `\xff`. All other characters stay as
    /// they are.
    ///
    /// ```
    /// use std::path::Path;
    /// use transfer::Show;
    ///
    /// assert_eq!(Path::new("cats/1.jpg").shown().to_string(), "cats/1.jpg");
    /// assert_eq!("red\u{1b}[31m\nline".shown().to_string(), r"red\u{1b}[31m\nline");
    /// ```
    fn shown(&self) -> Shown<'_>;
}

/// A name or path that is printed safely; made by [`Show::shown`]. Width and alignment work as for `str`.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(&'a OsStr);

impl Show for OsStr {
    fn shown(&self) -> Shown<'_> {
        Shown(self)
    }
}

impl Show for Path {
    fn shown(&self) -> Shown<'_> {
        Shown(self.as_os_str())
    }
}

impl Show for PathBuf {
    fn shown(&self) -> Shown<'_> {
        Shown(self.as_os_str())
    }
}

impl Show for str {
    fn shown(&self) -> Shown<'_> {
        Shown(OsStr::new(self))
    }
}

impl Show for String {
    fn shown(&self) -> Shown<'_> {
        Shown(OsStr::new(self.as_str()))
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_str();
        if let Some(plain) = text.filter(|text| !text.chars().any(must_be_escaped)) {
            return f.pad(plain);
        }
        f.pad(&escaped(self.0))
    }
}

/// Bytes of a platform's string, with escapes. On Unix these are the bytes of the name; elsewhere a lone surrogate
/// shows as its bytes in generalised UTF-8.
fn escaped(text: &OsStr) -> String {
    let mut out = String::new();
    for chunk in text.as_encoded_bytes().utf8_chunks() {
        chunk.valid().chars().for_each(|c| escape(c, &mut out));
        out.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    out
}

fn escape(c: char, out: &mut String) {
    match must_be_escaped(c) {
        true => out.extend(c.escape_default()),
        false => out.push(c),
    }
}

/// Control characters (Unicode's category Cc), the two separators that some programs take for line ends, and the
/// characters of Unicode's property Bidi_Control.
fn must_be_escaped(c: char) -> bool {
    let separator = matches!(c, '\u{2028}' | '\u{2029}');
    let bidirectional = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || separator || bidirectional
}

/// Text that may have several lines, such as a report: line breaks stay, everything else is as for
/// [`Show::shown`].
pub fn shown_lines(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.chars().any(|c| c != '\n' && must_be_escaped(c)) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push(c),
            c => escape(c, &mut out),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_of_any_script_stay_as_they_are() {
        for name in ["a b.jpg", "Käse/日本語.png", "cafe\u{301}", r"C:\photos\1.jpg", "👩‍🔬.jpg", ""]
        {
            assert_eq!(name.shown().to_string(), name);
        }
        assert_eq!(format!("{:>4}|{:<4}|", "ab".shown(), "ab".shown()), "  ab|ab  |");
    }

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        let cases = [
            ("a\nb", r"a\nb"),
            ("a\r\tb", r"a\r\tb"),
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("\u{9b}2J", r"\u{9b}2J"),
            ("\u{202e}gpj.exe", r"\u{202e}gpj.exe"),
            ("\u{2066}x\u{2069}", r"\u{2066}x\u{2069}"),
            ("a\u{2028}b", r"a\u{2028}b"),
            ("\u{7f}", r"\u{7f}"),
        ];
        for (name, expected) in cases {
            assert_eq!(name.shown().to_string(), expected);
        }
        assert_eq!(shown_lines("a\nb\u{1b}"), "a\nb\\u{1b}");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_utf_8_are_told_apart() {
        use std::os::unix::ffi::OsStrExt;
        let names = [&b"a\xff.jpg"[..], b"a\xfe.jpg", b"a\xe2\x80\n"].map(OsStr::from_bytes);
        let shown = names.map(|name| name.shown().to_string());
        assert_eq!(shown, [r"a\xff.jpg", r"a\xfe.jpg", r"a\xe2\x80\n"]);
    }
}
