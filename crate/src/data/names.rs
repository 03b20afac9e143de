//! What names of files and folders mean: which are no part of a data set, and which are one name in another spelling.

use crate::Show;
use std::ffi::OsStr;
use unicode_normalization::UnicodeNormalization;

/// Files and folders that systems and programs put between somebody's photographs, in lower case.
const LEFT_OUT: [&str; 9] = [
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eadir",
    "#recycle",
    "lost+found",
    "$recycle.bin",
    "system volume information",
];

/// Whether a file or folder is left out without a word: hidden, or made by a system.
pub(super) fn is_left_out(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(b".") || LEFT_OUT.iter().any(|known| bytes.eq_ignore_ascii_case(known.as_bytes()))
}

/// The name in Unicode's normalisation form C. `é` may be one code point or two; macOS writes two, and most other
/// programs one. Both are the same name for a reader.
pub(super) fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// The name without what a reader easily overlooks: case, blanks around it, normalisation.
pub(super) fn rough(name: &str) -> String {
    composed(name.trim()).to_lowercase()
}

/// The name with all its code points that are not ASCII, to tell apart what looks alike.
pub(super) fn with_code_points(name: &str) -> String {
    let points: Vec<String> = name.chars().map(|c| format!("U+{:04X}", u32::from(c))).collect();
    format!("{} ({})", name.shown(), points.join(" "))
}

/// Names on one line, the first `most` of them.
pub(super) fn joined<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let all: Vec<&str> = names.into_iter().collect();
    let mut shown: Vec<String> = all.iter().take(most).map(|name| name.shown().to_string()).collect();
    if all.len() > most {
        shown.push(format!("and {} more", all.len() - most));
    }
    shown.join(", ")
}

/// A number of things, with the word in the right form.
pub(super) fn counted(n: usize, one: &str) -> String {
    let ending = match (n, one.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        _ => "s",
    };
    format!("{} {one}{ending}", crate::thousands::thousands(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systems_leave_behind_is_left_out_in_any_case() {
        for name in
            [".DS_Store", ".ipynb_checkpoints", "__MACOSX", "Thumbs.db", "THUMBS.DB", "@eaDir", "desktop.ini"]
        {
            assert!(is_left_out(OsStr::new(name)), "{name}");
        }
        for name in ["cats", "thumbs", "lost", "DS_Store", "Desktop"] {
            assert!(!is_left_out(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn names_that_look_alike_are_told_apart_by_their_code_points() {
        let (one, two) = ("caf\u{e9}", "cafe\u{301}");
        assert_eq!(composed(one), composed(two));
        assert!(
            with_code_points(one).ends_with("U+00E9)") && with_code_points(two).ends_with("U+0065 U+0301)")
        );
        assert_eq!(rough(" Cafe\u{301} "), one);
        assert_eq!(joined(["a", "b", "c"], 2), "a, b, and 1 more");
        assert_eq!((counted(1, "file"), counted(2, "file")), ("1 file".into(), "2 files".into()));
    }
}
