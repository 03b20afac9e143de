//! Which files are images: by their content, whatever they are called. One rule for training, evaluation and
//! prediction.

use super::decode::{probe, Unusable};
use super::kinds::is_called_like_an_image;
use super::names::counted;
use crate::progress::check_stop;
use crate::{input, Show};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// How many files a line about what was passed over names.
const NAMED: usize = 3;

/// What a file is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Look {
    /// Its head is that of an image that can be decoded.
    Image,
    /// It is an image, or is called like one, and cannot be decoded; for this reason.
    Bad(String),
    /// Something else: notes, a table, a film.
    Other,
}

impl Look {
    /// What a file is of which this was found out.
    ///
    /// # Errors
    /// Where it could not be read.
    pub fn of(path: &Path, found: Result<(), Unusable>) -> crate::Result<Look> {
        match found {
            Ok(()) => Ok(Look::Image),
            Err(Unusable::Unread(e)) => Err(input::photograph(path, e)),
            Err(Unusable::NoImage(_) | Unusable::NoFile(_)) if !is_called_like_an_image(path) => {
                Ok(Look::Other)
            }
            Err(Unusable::Content(reason) | Unusable::NoImage(reason) | Unusable::NoFile(reason)) => {
                Ok(Look::Bad(reason))
            }
        }
    }
}

/// Looks at the head of a regular file.
///
/// # Errors
/// Where it cannot be read; [`Interrupted`](crate::Error::Interrupted).
pub(super) fn look(path: &Path) -> crate::Result<Look> {
    check_stop("the listing of the photographs")?;
    Look::of(path, probe(path))
}

/// The same for what is no regular file, for this reason.
pub(super) fn look_at_odd(path: &Path, reason: String) -> Look {
    match is_called_like_an_image(path) {
        true => Look::Bad(reason),
        false => Look::Other,
    }
}

/// Files in folders that are no images and are not called like images either; printed, their number and the names of
/// the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// How many there are.
    pub files: usize,
    /// The first of them.
    pub first: Vec<PathBuf>,
}

impl PassedOver {
    pub(super) fn add(&mut self, path: PathBuf) {
        self.files += 1;
        if self.first.len() < NAMED {
            self.first.push(path);
        }
    }

    /// Adds those of another folder.
    pub fn extend(&mut self, other: PassedOver) {
        self.files += other.files;
        let room = NAMED.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.files == 1 { "that is no image" } else { "that are no images" };
        write!(f, "Passed over {} {kind}: ", counted(self.files, "file"))?;
        let names: Vec<String> = self.first.iter().map(|path| path.shown().to_string()).collect();
        write!(f, "{}", names.join(", "))?;
        match self.files - self.first.len() {
            0 => write!(f, "."),
            more => write!(f, ", and {more} more."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_what_is_an_image_and_the_name_only_what_is_a_bad_one() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let png = at("picture");
        image::RgbImage::new(3, 2).save_with_format(&png, image::ImageFormat::Png).unwrap();
        let bytes = std::fs::read(&png).unwrap();
        assert_eq!(look(&png).unwrap(), Look::Image);
        let cases: [(&str, &[u8], bool); 6] = [
            ("cut.txt", &bytes[..20], true),
            ("empty.jpg", b"", true),
            ("text.JPEG", b"no image", true),
            ("notes.txt", b"no image", false),
            ("bmw.txt", b"BMW and other makes of cars", false),
            ("empty", b"", false),
        ];
        for (name, bytes, bad) in cases {
            std::fs::write(at(name), bytes).unwrap();
            assert_eq!(matches!(look(&at(name)).unwrap(), Look::Bad(_)), bad, "{name}");
        }
        assert!(look(&at("gone")).is_err(), "what cannot be read is an error");
        assert!(look(&at("gone.jpg")).unwrap_err().to_string().contains("gone.jpg"));
    }

    #[test]
    fn what_was_passed_over_is_counted_and_the_first_are_named() {
        let mut all = PassedOver::default();
        all.add("a.txt".into());
        assert_eq!(all.to_string(), "Passed over 1 file that is no image: a.txt.");
        let mut more = PassedOver::default();
        ["b", "c", "d\n"].into_iter().for_each(|name| more.add(name.into()));
        assert_eq!(more.to_string(), "Passed over 3 files that are no images: b, c, d\\n.");
        all.extend(more);
        assert_eq!(all.to_string(), "Passed over 4 files that are no images: a.txt, b, c, and 1 more.");
    }
}
