//! The result of a check.

use std::path::PathBuf;

use super::duplicates::{is_most_of_a_class, DuplicateKind};
use super::findings::{
    CheckedFile, ClassFinding, DuplicateGroup, OddPhotograph, Outlier, Sizes, SuspectedLabel,
};
use crate::data::{Groups, Skipped};

/// What [`check_photographs`](super::check_photographs) found. Printed, it is a summary with the first files of each
/// kind; a notebook shows that for a cell's last expression.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The folder.
    pub dir: PathBuf,
    /// The names of the classes.
    pub class_names: Vec<String>,
    /// The sets of the folder, `all` alone or `train` first, each with its number of photographs of each class, those
    /// left out that cannot be decoded.
    pub sets: Vec<(String, Vec<usize>)>,
    /// Groups of photographs that show the same.
    pub duplicates: Vec<DuplicateGroup>,
    /// Photographs whose label is probably wrong, the surest first.
    pub suspects: Vec<SuspectedLabel>,
    /// Photographs that are far from all others, the farthest first.
    pub outliers: Vec<Outlier>,
    /// Files that cannot be decoded, with the reason.
    pub unreadable: Vec<Skipped>,
    /// What is unusual about classes.
    pub classes: Vec<ClassFinding>,
    /// Photographs with unusual pixels.
    pub odd: Vec<OddPhotograph>,
    /// How large the photographs are.
    pub sizes: Sizes,
}

impl CheckReport {
    /// How many photographs were looked at, without those that cannot be decoded.
    pub fn photographs(&self) -> usize {
        self.sets.iter().flat_map(|(_, counts)| counts).sum()
    }

    /// How many photographs of the validation and the test set show the same as one of the training set: their
    /// accuracy is better than it would be on new photographs.
    pub fn leaks(&self) -> usize {
        self.duplicates.iter().map(DuplicateGroup::leaks).sum()
    }

    /// The photographs that a split must not separate: the groups of duplicates. A group that holds more than half of
    /// the photographs of a class is not among them, since the class could not be split then; such photographs are
    /// drawings or scans of one form rather than duplicates. Where most photographs are in such groups, only copies are
    /// duplicates.
    pub fn groups(&self) -> Groups {
        let photographs = |group: &&DuplicateGroup| group.files.len();
        let of_class: Vec<usize> = (0..self.class_names.len())
            .map(|class| self.sets.iter().map(|(_, counts)| counts[class]).sum())
            .collect();
        let class_of = |file: &CheckedFile| self.class_names.iter().position(|name| *name == file.class);
        let (alike, mut kept): (Vec<_>, Vec<_>) = self
            .duplicates
            .iter()
            .partition(|group| is_most_of_a_class(group.files.iter().filter_map(class_of), &of_class));
        if 2 * alike.iter().map(photographs).sum::<usize>() > self.photographs() {
            kept.retain(|group| group.kind == DuplicateKind::Copy);
        }
        let files = |group: &DuplicateGroup| group.files.iter().map(|file| file.path.clone()).collect();
        Groups::of_files(kept.into_iter().map(files).collect())
    }

    /// Whether nothing was found, but for sizes.
    pub fn is_clean(&self) -> bool {
        self.duplicates.is_empty()
            && self.suspects.is_empty()
            && self.outliers.is_empty()
            && self.unreadable.is_empty()
            && self.classes.is_empty()
            && self.odd.is_empty()
    }
}
