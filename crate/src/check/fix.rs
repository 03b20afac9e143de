//! What a report proposes to change.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::duplicates::DuplicateKind;
use super::findings::{CheckedFile, DuplicateGroup};
use super::report::CheckReport;
use crate::data::FileDigest;
use crate::{Error, OutputFile, Result, Show};

/// What is done with a photograph.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// It stays where it is. The same goes for photographs that a table does not name.
    Keep,
    /// It is left out.
    Drop,
    /// It goes to another set: `train`, `validation` or `test`.
    Move(String),
    /// It goes to another class.
    Relabel(String),
}

impl Action {
    /// The word in the table.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Keep => "keep",
            Action::Drop => "drop",
            Action::Move(_) => "move",
            Action::Relabel(_) => "relabel",
        }
    }

    /// The set or class that it goes to; empty where there is none.
    pub fn to(&self) -> &str {
        match self {
            Action::Keep | Action::Drop => "",
            Action::Move(to) | Action::Relabel(to) => to,
        }
    }
}

/// A row of the table of changes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Fix {
    /// The photograph, below the checked folder.
    pub file: PathBuf,
    /// What is done with it.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// How sure that is, 0 to 1; the similarity of duplicates, the probability of another class. For an outlier its
    /// distance.
    pub score: f32,
}

impl CheckReport {
    /// The columns of the table that [`save_fixes`](Self::save_fixes) writes.
    pub const FIX_COLUMNS: [&'static str; 5] = ["file", "action", "to", "reason", "score"];

    /// What could be changed, a row for each photograph, for somebody to look through:
    ///
    /// | finding | action |
    /// |---|---|
    /// | cannot be decoded | drop |
    /// | copies, and what was resized or compressed again, within a set | drop all but the one with the most pixels |
    /// | the same of a photograph of the training set, in another set | drop the one in the other set |
    /// | other duplicates of photographs of the training set in another set | move them to the training set |
    /// | copies with different labels | keep, for you to decide |
    /// | suspected labels | relabel to the class that they look like |
    /// | outliers | keep, for you to decide |
    ///
    /// Mirrored and cropped ones, and series, within a set stay. Photographs in a folder of their own, outside of the
    /// checked one, are not among the rows.
    pub fn fixes(&self) -> Vec<Fix> {
        let (mut rows, mut named): (Vec<Fix>, HashSet<PathBuf>) = Default::default();
        let mut add = |path: &Path, action: Action, reason: String, score: f32| {
            let Ok(file) = path.strip_prefix(&self.dir) else { return };
            if named.insert(file.to_owned()) {
                rows.push(Fix { file: file.to_owned(), action, reason, score });
            }
        };
        for file in &self.unreadable {
            add(&file.path, Action::Drop, format!("cannot be decoded: it {}", file.reason), 1.0);
        }
        for group in &self.duplicates {
            self.fix_group(group, &mut add);
        }
        for suspect in &self.suspects {
            let reason = format!(
                "looks like {} ({:.3}) rather than {} ({:.3})",
                suspect.looks_like, suspect.probability, suspect.file.class, suspect.given_probability
            );
            let action = Action::Relabel(suspect.looks_like.clone());
            add(&suspect.file.path, action, reason, suspect.probability);
        }
        for outlier in &self.outliers {
            add(
                &outlier.file.path,
                Action::Keep,
                "far from all others: look at it".to_owned(),
                outlier.distance,
            );
        }
        rows
    }

    fn fix_group(&self, group: &DuplicateGroup, add: &mut dyn FnMut(&Path, Action, String, f32)) {
        let best = |files: &[&CheckedFile]| -> Option<PathBuf> {
            let worth = |file: &&&CheckedFile| (file.size.0 * file.size.1, file.bytes);
            // Of equal ones the first.
            files.iter().rev().max_by_key(worth).map(|file| file.path.clone())
        };
        let name = |path: &Path| self.short(path).shown().to_string();
        let first = &group.files[0];
        if group.has_several_classes() {
            for file in &group.files {
                let reason =
                    format!("the same photograph as others of another class, such as {}", name(&first.path));
                add(&file.path, Action::Keep, reason, group.similarity);
            }
            return;
        }
        let trained = group.files.iter().find(|file| file.set == "train");
        let (leaks, rest): (Vec<&CheckedFile>, Vec<_>) =
            group.files.iter().partition(|file| trained.is_some() && file.set != "train");
        let is_saved_again = matches!(group.kind, DuplicateKind::Copy | DuplicateKind::Resaved);
        if let Some(trained) = trained {
            for file in leaks {
                let reason = format!("{} of {}, which is trained on", group.kind.name(), name(&trained.path));
                let action = if is_saved_again { Action::Drop } else { Action::Move("train".to_owned()) };
                add(&file.path, action, reason, group.similarity);
            }
        }
        let mut sets: Vec<&str> = rest.iter().map(|file| file.set.as_str()).collect();
        sets.dedup();
        for set in sets {
            let mut here: Vec<&CheckedFile> = rest.iter().copied().filter(|file| file.set == set).collect();
            // Copies are not needed, whatever else belongs to the group.
            let mut seen: HashMap<FileDigest, &Path> = HashMap::new();
            here.retain(|file| match seen.get(&file.digest) {
                Some(first) => {
                    add(&file.path, Action::Drop, format!("a copy of {}", name(first)), 1.0);
                    false
                }
                None => seen.insert(file.digest, &file.path).is_none(),
            });
            let Some(kept) = best(&here).filter(|_| is_saved_again) else { continue };
            for file in here.iter().filter(|file| file.path != kept) {
                let reason = format!("{} of {}", group.kind.name(), name(&kept));
                add(&file.path, Action::Drop, reason, group.similarity);
            }
        }
    }

    /// Writes [`fixes`](Self::fixes) as a table (CSV) with the columns `file`, `action`, `to`, `reason` and `score`, to
    /// be looked through, edited, and given to [`apply_fixes`](super::apply_fixes).
    ///
    /// # Errors
    /// As [`OutputFile::write_csv`]; [`Error::Data`] where a file name is not valid UTF-8, so that no table can hold it.
    pub fn save_fixes(&self, to: impl Into<OutputFile>) -> Result<()> {
        let mut rows = Vec::new();
        for fix in self.fixes() {
            let Some(file) = fix.file.to_str() else {
                return Err(Error::Data(format!(
                    "a table of changes expected file names that are valid UTF-8. Received: {}. Rename it.",
                    fix.file.shown()
                )));
            };
            // With slashes on every system.
            let file = file.replace(std::path::MAIN_SEPARATOR, "/");
            let (action, score) = (fix.action.name().to_owned(), format!("{:.4}", fix.score));
            rows.push([file, action, fix.action.to().to_owned(), fix.reason, score]);
        }
        to.into().write_csv(&Self::FIX_COLUMNS, rows)
    }
}
