//! The files that a data set left out, as a report to show.
//!
//! What is wrong with a file is found in [`decode`](super::decode); who skips it is the store.

use crate::{OutputFile, Result, Show};
use std::path::{Path, PathBuf};

/// How many files the text of a report names; all are in [`BadImages::files`].
const NAMED: usize = 50;

/// A file that was left out of a data set, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, in words that follow its name: `is empty (0 bytes)`.
    pub reason: String,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path.shown(), self.reason)
    }
}

/// Which photographs of a data set cannot be decoded, so far; made by
/// [`Dataset::bad_images`](super::Dataset::bad_images).
///
/// Its text, which a notebook shows for a cell's last expression, names each with its reason.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BadImages {
    /// The files that were left out, sorted by path.
    pub files: Vec<Skipped>,
    /// How many files there are in the folder, these included.
    pub found: usize,
    /// What the text leaves out of the paths.
    pub(super) folder: PathBuf,
}

impl BadImages {
    /// How many files were left out.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// This report and another's as one, for data sets of one folder. What is in both counts once.
    pub(super) fn and(mut self, other: BadImages) -> BadImages {
        self.files.extend(other.files);
        self.files.sort();
        self.files.dedup();
        self.found += other.found;
        self
    }

    /// Writes all files as a table (CSV) with the columns `file` and `reason`. Names stand there byte for byte, but for
    /// those that a spreadsheet would compute: see [`csv_cell`](crate::csv_cell).
    ///
    /// # Errors
    /// As [`OutputFile::write_csv`].
    pub fn save_csv(&self, to: impl Into<OutputFile>) -> Result<()> {
        let row = |file: &Skipped| {
            [file.path.as_os_str().as_encoded_bytes().to_vec(), file.reason.clone().into_bytes()]
        };
        to.into().write_csv(&Self::COLUMNS, self.files.iter().map(row))
    }

    /// The columns of the table that [`save_csv`](Self::save_csv) writes.
    pub const COLUMNS: [&'static str; 2] = ["file", "reason"];

    /// The reason of one file; `None` where it was not left out.
    pub fn reason(&self, path: impl AsRef<Path>) -> Option<String> {
        let path = path.as_ref();
        self.files.iter().find(|file| file.path == path).map(|file| file.reason.clone())
    }
}

impl std::fmt::Display for BadImages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { files, found, folder } = self;
        if files.is_empty() {
            return write!(f, "Left out none of {found} files.");
        }
        write!(f, "Left out {} of {found} files:", files.len())?;
        for file in files.iter().take(NAMED) {
            let name = file.path.strip_prefix(folder).unwrap_or(&file.path);
            write!(f, "\n  {} {}", name.shown(), file.reason)?;
        }
        match files.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl std::fmt::Debug for BadImages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(n: usize) -> BadImages {
        let file = |i| Skipped {
            path: format!("/data/cats/{i:03}.jpg").into(),
            reason: "is empty (0 bytes)".into(),
        };
        BadImages { files: (0..n).map(file).collect(), found: 100, folder: "/data".into() }
    }

    #[test]
    fn the_text_names_each_file_below_its_folder_with_its_reason() {
        assert_eq!(report(0).to_string(), "Left out none of 100 files.");
        let one = report(1).to_string();
        assert_eq!(one, "Left out 1 of 100 files:\n  cats/000.jpg is empty (0 bytes)");
        assert_eq!(report(2).to_string().lines().count(), 3);
        assert_eq!(report(2).reason("/data/cats/001.jpg").as_deref(), Some("is empty (0 bytes)"));
        assert_eq!(report(2).reason("/data/cats/002.jpg"), None);
    }

    #[test]
    fn the_table_has_a_line_for_each_file_and_computes_nothing() {
        let mut odd = report(2);
        odd.files[0].path = "=cmd(),\n.jpg".into();
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("left_out.csv");
        odd.save_csv(&table).unwrap();
        assert_eq!(
            std::fs::read_to_string(&table).unwrap(),
            "file,reason\n\"'=cmd(),\n.jpg\",is empty (0 bytes)\n/data/cats/001.jpg,is empty (0 bytes)\n"
        );
    }

    #[test]
    fn reports_of_one_folder_add_up_without_naming_a_file_twice() {
        let both = report(3).and(BadImages { found: 5, ..report(4) });
        assert_eq!((both.len(), both.found), (4, 105));
    }

    #[test]
    fn a_long_list_is_cut_and_a_hostile_name_stays_on_its_line() {
        let text = report(53).to_string();
        assert!(text.ends_with("\n  and 3 more") && text.lines().count() == 52, "{text}");
        let mut odd = report(1);
        odd.files[0].path = "/data/cats/\n\u{1b}[2J.jpg".into();
        assert_eq!(odd.to_string().lines().count(), 2);
        assert!(!odd.to_string().contains('\u{1b}'));
    }
}
