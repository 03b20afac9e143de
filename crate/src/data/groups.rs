//! Photographs that belong together: near-duplicates, bursts, pictures of one person. A split keeps them on one side.

use super::dataset::{first_order, Dataset, SPLIT};
use super::disjoint_sets::DisjointSets;
use super::pattern::Pattern;
use crate::progress::say;
use crate::random::Rng;
use crate::{Error, Result, Show};
use std::collections::{BTreeMap, HashMap};
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

    /// Also keeps photographs together whose names agree in the part that a pattern marks: `(*)_*` joins
    /// `anna_1.jpg` and `anna_2.jpg`. In the pattern `*` stands for any characters but `/`, as few as possible, `?` for
    /// one, and brackets mark the parts that tell groups apart. It is compared with the whole name of the file without
    /// its ending (`.jpg`); with slashes in it, with as many folders above, too: `(*)/*` joins the files of each
    /// sub-folder. Names that do not match are groups of their own.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the pattern has no brackets, or brackets that do not match.
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
    fn of(&self, paths: &[PathBuf]) -> Vec<usize> {
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

impl Dataset {
    /// As [`stratified_split`](Self::stratified_split), but photographs of a group are on the same side. Without groups
    /// of several photographs it is the same split, photograph by photograph.
    ///
    /// Groups come in the order in which the other split takes photographs. One goes to validation where there is room
    /// for all of its photographs, class by class. A class of which no group fits gives its smallest group; a class
    /// that is a single group is trained on whole, and named in a line.
    ///
    /// # Errors
    /// As [`stratified_split`](Self::stratified_split).
    pub fn stratified_group_split(
        &self,
        part: f32,
        seed: u64,
        groups: &Groups,
    ) -> Result<(Dataset, Dataset)> {
        let mut sorted = self.indices();
        sorted.sort_unstable();
        let paths: Vec<PathBuf> = sorted.iter().map(|&i| self.file_paths()[i].clone()).collect();
        let ids = groups.of(&paths);
        if ids.iter().enumerate().all(|(i, &id)| i == id) {
            return self.stratified_split(part, seed);
        }
        if !(part > 0.0 && part < 1.0) {
            return Err(Error::Invalid(format!(
                "stratified_group_split expected a part between 0 and 1, both excluded. Received: {part}"
            )));
        }
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        ids.iter().zip(&sorted).for_each(|(&id, &i)| members.entry(id).or_default().push(i));
        let of_image: HashMap<usize, usize> = sorted.iter().copied().zip(ids).collect();
        let mut sides = Sides::new(self, part, &members);
        for label in 0..self.class_names().len() {
            let mut of_class: Vec<usize> =
                sorted.iter().copied().filter(|&i| self.classes_of(i).contains(&(label as u32))).collect();
            Rng::new(&[seed, SPLIT, label as u64]).shuffle(&mut of_class);
            sides.fill(label, of_class.into_iter().map(|i| of_image[&i]));
        }
        let side = |validation: bool| {
            self.with_order(
                self.indices().into_iter().filter(|i| sides.is_aside(of_image[i]) == validation).collect(),
            )
        };
        let (train, validation) = (side(false), side(true));
        if train.is_empty() || validation.is_empty() {
            return Err(Error::Data(format!(
                "a split that keeps groups together needs a class with two groups or more. Received: {} photographs in \
                 {} groups. Add photographs of other scenes, or split without groups (`--group none`).",
                sorted.len(),
                members.len()
            )));
        }
        Ok((train, validation))
    }
}

impl Dataset {
    /// All images of the folder (of this side of a `validation_split`), in the order of its first epoch.
    pub(super) fn whole(&self) -> Dataset {
        self.with_order(first_order(&self.store))
    }
}

/// Which groups are set aside so far.
struct Sides<'a> {
    data: &'a Dataset,
    members: &'a BTreeMap<usize, Vec<usize>>,
    /// Photographs of each class to set aside.
    wanted: Vec<usize>,
    aside: Vec<usize>,
    decided: HashMap<usize, bool>,
}

impl<'a> Sides<'a> {
    fn new(data: &'a Dataset, part: f32, members: &'a BTreeMap<usize, Vec<usize>>) -> Self {
        let wanted = |n: usize| match n {
            0 | 1 => 0,
            n => ((n as f64 * f64::from(part)).round() as usize).clamp(1, n - 1),
        };
        let wanted: Vec<usize> = data.class_counts().into_iter().map(wanted).collect();
        Sides { data, members, aside: vec![0; wanted.len()], wanted, decided: HashMap::new() }
    }

    fn is_aside(&self, group: usize) -> bool {
        self.decided.get(&group).copied().unwrap_or(false)
    }

    fn counts(&self, group: usize) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for &i in &self.members[&group] {
            for &class in self.data.classes_of(i) {
                *counts.entry(class as usize).or_insert(0) += 1;
            }
        }
        counts
    }

    fn decide(&mut self, group: usize, aside: bool) {
        if aside {
            self.counts(group).into_iter().for_each(|(label, n)| self.aside[label] += n);
        }
        self.decided.insert(group, aside);
    }

    /// Decides about the groups of a class, in this order.
    fn fill(&mut self, label: usize, groups: impl Iterator<Item = usize>) {
        let mut all = Vec::new();
        for group in groups {
            all.push(group);
            if self.decided.contains_key(&group) || self.aside[label] >= self.wanted[label] {
                continue;
            }
            let fits = self.counts(group).into_iter().all(|(l, n)| self.aside[l] + n <= self.wanted[l]);
            self.decide(group, fits);
        }
        all.sort_unstable();
        all.dedup();
        if self.wanted[label] == 0 || self.aside[label] > 0 {
            return;
        }
        let name = self.data.class_names()[label].shown();
        if all.len() < 2 {
            return say(format!(
                "All {} photographs of {name} are one group: none is set aside for validation.",
                self.data.class_counts()[label]
            ));
        }
        // No group fits: the smallest one, of equally small ones the first.
        if let Some(smallest) = all.into_iter().min_by_key(|group| (self.members[group].len(), *group)) {
            self.decide(smallest, true);
        }
    }
}

/// How many of these files belong to a group that has a photograph among `others`.
pub(super) fn shared_with(groups: &Groups, files: &[PathBuf], others: &[PathBuf]) -> usize {
    let all: Vec<PathBuf> = others.iter().chain(files).cloned().collect();
    let ids = groups.of(&all);
    let there: std::collections::HashSet<usize> = ids[..others.len()].iter().copied().collect();
    ids[others.len()..].iter().filter(|id| there.contains(id)).count()
}
