//! Patterns of names, with brackets around what tells groups apart.

use crate::{Error, Result};
use std::path::Path;

/// The longest pattern, in characters.
const LONGEST: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Character(char),
    /// `*`
    Any,
    /// `?`
    One,
    Open,
    Close,
}

/// A pattern such as `(*)_*`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern {
    text: String,
    parts: Vec<Part>,
    /// Slashes in it.
    folders: usize,
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Err(Error::Invalid(format!(
                "a pattern of groups expected names with `*`, and brackets around what tells groups apart, such as \
                 `(*)_*`. Received `{text}`, {what}."
            )))
        };
        let (mut parts, mut open, mut pairs) = (Vec::new(), false, 0);
        for c in text.chars() {
            parts.push(match c {
                '*' => Part::Any,
                '?' => Part::One,
                '(' if open => return wrong("with brackets in brackets"),
                '(' => {
                    open = true;
                    Part::Open
                }
                ')' if !open => return wrong("with a closing bracket too much"),
                ')' => {
                    (open, pairs) = (false, pairs + 1);
                    Part::Close
                }
                c => Part::Character(c),
            });
        }
        match (open, pairs, parts.len()) {
            (true, ..) => wrong("without a closing bracket"),
            (_, 0, _) => wrong("without brackets"),
            (.., n) if n > LONGEST => wrong("which has more than 255 characters"),
            _ => Ok(Pattern { text: text.to_owned(), folders: text.matches('/').count(), parts }),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the brackets hold for a path; `None` where it does not match.
    pub fn key(&self, path: &Path) -> Option<String> {
        let stem = path.file_stem()?.to_str()?;
        let mut names: Vec<&str> =
            path.parent()?.iter().rev().take(self.folders).map_while(|part| part.to_str()).collect();
        if names.len() < self.folders {
            return None;
        }
        names.reverse();
        names.push(stem);
        let name: Vec<char> = names.join("/").chars().collect();
        let mut dead = vec![false; (self.parts.len() + 1) * (name.len() + 1)];
        let mut marks = Vec::new();
        self.matches(&name, 0, 0, &mut dead, &mut marks).then(|| {
            // Marks were noted from the last to the first.
            marks.reverse();
            let held = marks.chunks_exact(2).map(|pair| name[pair[0]..pair[1]].iter().collect::<String>());
            held.collect::<Vec<_>>().join("\0")
        })
    }

    /// Whether the parts from `part` on match the name from `at` on. What failed once is not tried again, so that no
    /// pattern takes long.
    fn matches(
        &self,
        name: &[char],
        part: usize,
        at: usize,
        dead: &mut [bool],
        marks: &mut Vec<usize>,
    ) -> bool {
        let place = part * (name.len() + 1) + at;
        if dead[place] {
            return false;
        }
        let next = name.get(at);
        let done = match self.parts.get(part) {
            None => next.is_none(),
            Some(Part::Character(c)) => next == Some(c) && self.matches(name, part + 1, at + 1, dead, marks),
            Some(Part::One) => {
                next.is_some_and(|&c| c != '/') && self.matches(name, part + 1, at + 1, dead, marks)
            }
            // As few characters as possible.
            Some(Part::Any) => {
                self.matches(name, part + 1, at, dead, marks)
                    || next.is_some_and(|&c| c != '/') && self.matches(name, part, at + 1, dead, marks)
            }
            Some(Part::Open | Part::Close) => {
                let done = self.matches(name, part + 1, at, dead, marks);
                if done {
                    marks.push(at);
                }
                done
            }
        };
        dead[place] = !done;
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pattern: &str, path: &str) -> Option<String> {
        Pattern::new(pattern).unwrap().key(Path::new(path))
    }

    #[test]
    fn brackets_hold_what_tells_groups_apart() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(key("(*)_*", "cats/anna_12_3.jpg"), some("anna"));
        assert_eq!(key("IMG_(????????)_*", "IMG_20240131_101500.jpg"), some("20240131"));
        assert_eq!(key("(*)/*", "photos/cats/anna/1.jpg"), some("anna"));
        assert_eq!(key("(*)-*-(*)", "x/a-b-c-d.png"), some("a\0c-d"));
        assert_eq!(key("(*)", "x/a.tar.gz"), some("a.tar"));
        assert_eq!(key("(*)_*", "x/anna.jpg"), None);
        assert_eq!(key("(*)/*", "1.jpg"), None);
        assert_eq!(key("(*)_b", "a/x_b.jpg"), some("x"));
        assert_eq!(key("(é*)_*", "été_1.jpg"), some("été"));
    }

    #[test]
    fn patterns_that_make_no_sense_are_refused_and_none_takes_long() {
        for wrong in ["", "*", "(*", "*)", "((*))", ")("] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
        assert!(Pattern::new(&"(*)".repeat(100)).is_err());
        let name = "a".repeat(250);
        assert_eq!(key(&format!("({}b)", "*a".repeat(60)), &format!("{name}.jpg")), None);
    }
}
