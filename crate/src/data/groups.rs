//! Photographs that belong together: near-duplicates, bursts, pictures of one person. A split keeps them on one side.

use super::dataset::Dataset;
use super::disjoint_sets::DisjointSets;
use super::pattern::Pattern;
use crate::progress::say;
use crate::{Result, Show};
use std::collections::HashMap;
use std::path::PathBuf;

/// Which photographs belong together, so that a split must not separate them. A photograph that is named in no group is
/// a group of its own.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct Groups {
    /// The group of each file that is named.
    of_files: HashMap<PathBuf, u32>,
    pattern: Option<Pattern>,
    next: u32,
}

impl Groups {
    /// No groups.
    pub fn none() -> Self {
        Groups::default()
    }

    /// Groups of files. Groups that share a file are one.
    pub fn of_files(groups: Vec<Vec<PathBuf>>) -> Self {
        let mut all = Groups::default();
        for group in groups {
            let known = group.iter().filter_map(|path| all.of_files.get(path).copied()).collect::<Vec<_>>();
            let id = known.first().copied().unwrap_or_else(|| {
                all.next += 1;
                all.next - 1
            });
            if known.iter().any(|&other| other != id) {
                all.of_files.values_mut().filter(|other| known.contains(other)).for_each(|other| *other = id);
            }
            all.of_files.extend(group.into_iter().map(|path| (path, id)));
        }
        all
    }

    /// The group of each of these files that is named in one, by [`of_files`](Self::of_files) alone; `u32::MAX` of others.
    pub(crate) fn given(&self, files: &[&PathBuf]) -> Vec<u32> {
        files.iter().map(|path| self.of_files.get(*path).copied().unwrap_or(u32::MAX)).collect()
    }

    /// The groups of which [`given`](Self::given) gave these numbers.
    pub(crate) fn of_given(files: &[&PathBuf], numbers: &[u32]) -> Self {
        let named = files.iter().zip(numbers).filter(|(_, number)| **number != u32::MAX);
        let of_files: HashMap<PathBuf, u32> =
            named.map(|(path, number)| ((*path).clone(), *number)).collect();
        let next = of_files.values().max().map_or(0, |most| most + 1);
        Groups { of_files, pattern: None, next }
    }

    /// Also keeps photographs together whose names agree in the part that a pattern marks: `(*)_*` joins
    /// `anna_1.jpg` and `anna_2.jpg`. In the pattern `*` stands for any characters but `/`, as few as possible, `?` for
    /// one, and brackets mark the parts that tell groups apart. It is compared with the whole name of the file without
    /// its ending (`.jpg`); with slashes in it, with as many folders above, too: `(*)/*` joins the files of each
    /// sub-folder. Names that do not match are groups of their own.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where the pattern has no brackets, or brackets that do not match.
    pub fn by_pattern(mut self, pattern: &str) -> Result<Self> {
        self.pattern = Some(Pattern::new(pattern)?);
        Ok(self)
    }

    /// Whether no photographs are joined.
    pub fn is_none(&self) -> bool {
        self.of_files.is_empty() && self.pattern.is_none()
    }

    /// The group of each of [`Dataset::file_paths`]: equal numbers mean the same group. What
    /// [`FineTuneOptions::groups`](crate::train::FineTuneOptions::groups) and
    /// [`CrossValidateOptions::groups`](crate::train::CrossValidateOptions::groups) want.
    ///
    /// ```no_run
    /// # fn example(photographs: transfer::data::OwnPhotographs) -> transfer::Result<()> {
    /// use transfer::prelude::*;
    /// let groups = photographs.check(CheckOptions::default())?.groups();
    /// let options = FineTuneOptions::default().groups(groups.numbers(&photographs.train));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn numbers(&self, dataset: &Dataset) -> Vec<u32> {
        self.joined(dataset.file_paths()).0.into_iter().map(|root| root as u32).collect()
    }

    /// A number for the group of each path; equal numbers mean the same group.
    pub(super) fn of(&self, paths: &[PathBuf]) -> Vec<usize> {
        let (roots, matched) = self.joined(paths);
        if let Some(pattern) = self.pattern.as_ref().filter(|_| matched < paths.len()) {
            say(format!(
                "{} of {} names do not match the pattern {}: each of these photographs is a group of its own.",
                paths.len() - matched,
                paths.len(),
                pattern.text().shown()
            ));
        }
        roots
    }

    /// See [`of`](Self::of); and how many names match the pattern.
    fn joined(&self, paths: &[PathBuf]) -> (Vec<usize>, usize) {
        let mut sets = DisjointSets::new(paths.len());
        let mut first: HashMap<Key, usize> = HashMap::new();
        let mut matched = 0;
        for (i, path) in paths.iter().enumerate() {
            let key = self.pattern.as_ref().and_then(|pattern| pattern.key(path));
            matched += usize::from(key.is_some());
            let keys = [self.of_files.get(path).map(|&id| Key::Group(id)), key.map(Key::Name)];
            for key in keys.into_iter().flatten() {
                sets.join(*first.entry(key).or_insert(i), i);
            }
        }
        (sets.roots(), matched)
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Group(u32),
    Name(String),
}

/// How many of these files belong to a group that has a photograph among `others`.
pub(super) fn shared_with(groups: &Groups, files: &[PathBuf], others: &[PathBuf]) -> usize {
    let all: Vec<PathBuf> = others.iter().chain(files).cloned().collect();
    let ids = groups.of(&all);
    let there: std::collections::HashSet<usize> = ids[..others.len()].iter().copied().collect();
    ids[others.len()..].iter().filter(|id| there.contains(id)).count()
}
