//! The files that a data set left out, as a report to show.
//!
//! What is wrong with a file is found in [`decode`](super::decode); who skips it is the store.

use crate::assets::files::write_whole;
use crate::cell::csv_cell;
use crate::{input, Error, Result, Show};
use std::io::Read;
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

    /// All files as a table (CSV) with the columns `file` and `reason`, for a file or a pipe. Names stand there byte
    /// for byte, but for those that a spreadsheet would compute: see [`csv_cell`](crate::csv_cell).
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn write_csv(&self, out: impl std::io::Write) -> std::io::Result<()> {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(Self::COLUMNS)?;
        for file in &self.files {
            let path = csv_cell(file.path.as_os_str().as_encoded_bytes());
            table.write_record([&*path, &*csv_cell(file.reason.as_bytes())])?;
        }
        table.flush()
    }

    /// [`write_csv`](Self::write_csv) to a file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn save_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        write_whole(path.as_ref(), |out| self.write_csv(out))
    }

    /// Whether a file is a table as [`write_csv`](Self::write_csv) makes it, by its first line.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read or is no regular file.
    pub fn is_csv(path: impl AsRef<Path>) -> Result<bool> {
        let (path, head) = (path.as_ref(), Self::COLUMNS.join(",") + "\n");
        let read = input::open(path).and_then(|input| {
            let mut start = Vec::new();
            input.file.take(head.len() as u64).read_to_end(&mut start)?;
            Ok(start)
        });
        Ok(read.map_err(|e| Error::io("cannot read", path, e))? == head.as_bytes())
    }

    /// The columns of [`write_csv`](Self::write_csv).
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
        let mut text = Vec::new();
        odd.write_csv(&mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
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
