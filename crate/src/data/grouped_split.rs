//! A data set cut in two where some photographs must stay together, or have several labels.

use super::dataset::{first_order, Dataset, SPLIT};
use super::groups::Groups;
use crate::progress::say;
use crate::random::Rng;
use crate::{Error, Result, Show};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

impl Dataset {
    /// As [`stratified_split`](Self::stratified_split), but photographs of a group are on the same side. Without groups
    /// of several photographs it is the same split, photograph by photograph.
    ///
    /// Groups come class by class, the smallest class first, in the order in which the other split takes photographs. One
    /// goes to validation where there is room for all of its photographs in each of its classes. Where photographs have
    /// several labels, it is enough that there is room in the class whose turn it is, and that the parts of its other
    /// classes come nearer to `part` on the whole; those without any label are one more class. A class of which no group
    /// fits gives its smallest group; a class that is a single group is trained on whole, and named in a line.
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
        let paths: Vec<PathBuf> = sorted.iter().map(|&i| self.store.path(i)).collect();
        let ids = groups.of(&paths);
        if self.label_sets().is_none() && ids.iter().enumerate().all(|(i, &id)| i == id) {
            return self.stratified_split(part, seed);
        }
        self.split_by_numbers(part, seed, &sorted.into_iter().zip(ids).collect())
    }

    /// The same with a number for the group of each image, by its position in [`file_paths`](Self::file_paths). Which
    /// numbers they are does not matter.
    pub(super) fn split_by_numbers(
        &self,
        part: f32,
        seed: u64,
        of_image: &HashMap<usize, usize>,
    ) -> Result<(Dataset, Dataset)> {
        if !(part > 0.0 && part < 1.0) {
            return Err(Error::Invalid(format!(
                "stratified_group_split expected a part between 0 and 1, both excluded. Received: {part}"
            )));
        }
        let mut sorted = self.indices();
        sorted.sort_unstable();
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        sorted.iter().for_each(|i| members.entry(of_image[i]).or_default().push(*i));
        let mut of_classes: Vec<Vec<usize>> = vec![Vec::new(); self.class_names().len() + 1];
        for &i in &sorted {
            self.classes_of(i).iter().for_each(|&class| of_classes[class as usize].push(i));
            if self.classes_of(i).is_empty() {
                of_classes[self.class_names().len()].push(i);
            }
        }
        let mut sides = Sides::new(self, part, &members, &of_classes);
        let mut order: Vec<usize> = (0..of_classes.len()).collect();
        order.sort_by_key(|&label| (of_classes[label].len(), label));
        for label in order {
            let mut of_class = std::mem::take(&mut of_classes[label]);
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
                 {} groups. Add photographs of other scenes, or split without groups (`--group none`; a table: without its \
                 column `group`).",
                sorted.len(),
                members.len()
            )));
        }
        Ok((train, validation))
    }

    /// All images of the folder (of this side of a `validation_split`), in the order of its first epoch.
    pub(super) fn whole(&self) -> Dataset {
        self.with_order(first_order(&self.store))
    }
}

/// Which groups are set aside so far.
struct Sides<'a> {
    data: &'a Dataset,
    members: &'a BTreeMap<usize, Vec<usize>>,
    /// Photographs of each class to set aside, those without a label last.
    wanted: Vec<usize>,
    all: Vec<usize>,
    aside: Vec<usize>,
    decided: HashMap<usize, bool>,
}

impl<'a> Sides<'a> {
    fn new(
        data: &'a Dataset,
        part: f32,
        members: &'a BTreeMap<usize, Vec<usize>>,
        of_classes: &[Vec<usize>],
    ) -> Self {
        let wanted = |n: usize| match n {
            0 | 1 => 0,
            n => ((n as f64 * f64::from(part)).round() as usize).clamp(1, n - 1),
        };
        let all: Vec<usize> = of_classes.iter().map(Vec::len).collect();
        let wanted: Vec<usize> = all.iter().map(|&n| wanted(n)).collect();
        Sides { data, members, aside: vec![0; wanted.len()], wanted, all, decided: HashMap::new() }
    }

    fn is_aside(&self, group: usize) -> bool {
        self.decided.get(&group).copied().unwrap_or(false)
    }

    /// How many photographs of each class a group has.
    fn counts(&self, group: usize) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for &i in &self.members[&group] {
            let classes = self.data.classes_of(i);
            classes.iter().for_each(|&class| *counts.entry(class as usize).or_insert(0) += 1);
            if classes.is_empty() {
                *counts.entry(self.wanted.len() - 1).or_insert(0) += 1;
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

    /// Whether there is room for a group, of whose classes it is the turn of `label`.
    fn fits(&self, label: usize, group: usize) -> bool {
        let counts = self.counts(group);
        let fits = |(&l, &n): (&usize, &usize)| self.aside[l] + n <= self.wanted[l];
        if self.data.label_sets().is_none() {
            return counts.iter().all(fits);
        }
        let nearer = |(&l, &n): (&usize, &usize)| {
            let missing = self.wanted[l] as f64 - self.aside[l] as f64;
            let then = missing - n as f64;
            (missing * missing - then * then) / self.all[l] as f64
        };
        let keeps_some = counts.iter().all(|(&l, &n)| self.all[l] == 1 || self.aside[l] + n < self.all[l]);
        keeps_some
            && counts.get_key_value(&label).is_some_and(fits)
            && counts.iter().map(nearer).sum::<f64>() > 0.0
    }

    /// Decides about the groups of a class, in this order.
    fn fill(&mut self, label: usize, groups: impl Iterator<Item = usize>) {
        let mut all = Vec::new();
        for group in groups {
            all.push(group);
            if self.decided.contains_key(&group) || self.aside[label] >= self.wanted[label] {
                continue;
            }
            let fits = self.fits(label, group);
            self.decide(group, fits);
        }
        all.sort_unstable();
        all.dedup();
        if self.wanted[label] == 0 || self.aside[label] > 0 {
            return;
        }
        let name = self
            .data
            .class_names()
            .get(label)
            .map_or("without a label".into(), |name| name.shown().to_string());
        if all.len() < 2 {
            return say(format!(
                "All {} photographs of {name} are one group: none is set aside for validation.",
                self.all[label]
            ));
        }
        // No group fits: the smallest one, of equally small ones the first.
        if let Some(smallest) = all.into_iter().min_by_key(|group| (self.members[group].len(), *group)) {
            self.decide(smallest, true);
        }
    }
}
