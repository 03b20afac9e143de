//! A data set cut in two where some photographs must stay together, or have several labels.

use super::dataset::{Dataset, SPLIT};
use super::names::counted;
use crate::random::Rng;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Keys the order in which groups are looked at.
const GROUPS: u64 = u64::from_be_bytes(*b"groups  ");

impl Dataset {
    /// Two data sets: one to train on, and about `part` of each class for validation. Photographs of one group are on
    /// one side. `groups` has a number for each of [`file_paths`](Self::file_paths).
    ///
    /// Groups are taken from large to small, those of one size in an order that `seed` decides; each goes to where the
    /// shares of its classes come nearer to `part`, but for one with the last photographs of a class, which is trained
    /// on.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `part` does not lie between 0 and 1 or there is not one group for each file;
    /// [`Error::Data`] where either side would be empty.
    pub fn grouped_split(&self, part: f32, seed: u64, groups: &[u32]) -> Result<(Dataset, Dataset)> {
        if !(part > 0.0 && part < 1.0) || groups.len() != self.labels().len() {
            return Err(Error::Invalid(format!(
                "grouped_split expected a part between 0 and 1, both excluded, and {} groups, one for each file. \
                 Received: {part} and {}",
                self.labels().len(),
                groups.len()
            )));
        }
        let mut sorted = self.indices();
        sorted.sort_unstable();
        let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        sorted.into_iter().for_each(|i| members.entry(groups[i]).or_default().push(i));
        let mut members: Vec<Vec<usize>> = members.into_values().collect();
        // Numbers of groups may depend on the order of a table; first members do not.
        members.sort_unstable_by_key(|group| group[0]);
        Rng::new(&[seed, SPLIT, GROUPS]).shuffle(&mut members);
        members.sort_by_key(|group| std::cmp::Reverse(group.len()));
        let aside = self.set_aside(&members, f64::from(part));
        let side = |validation: bool| {
            self.with_order(self.indices().into_iter().filter(|&i| aside[i] == validation).collect())
        };
        let (train, validation) = (side(false), side(true));
        if train.is_empty() || validation.is_empty() {
            return Err(Error::Data(format!(
                "expected photographs that can be divided into a part to train on and a part to validate with. \
                 Received: {} in {}, of which none can be set aside without a class losing all its photographs. Add \
                 photographs, or validate with others.",
                counted(self.len(), "photograph"),
                counted(members.len(), "group")
            )));
        }
        Ok((train, validation))
    }

    /// Which files are set aside.
    fn set_aside(&self, groups: &[Vec<usize>], part: f64) -> Vec<bool> {
        let all: Vec<f64> = self.class_counts().into_iter().map(|n| n as f64).collect();
        let (mut here, mut aside) = (vec![0.0; all.len()], vec![false; self.labels().len()]);
        let counts = |group: &[usize]| -> Vec<(usize, f64)> {
            let mut counts = BTreeMap::new();
            for &i in group {
                self.classes_of(i)
                    .iter()
                    .for_each(|&class| *counts.entry(class as usize).or_insert(0.0) += 1.0);
            }
            counts.into_iter().collect()
        };
        for group in groups {
            let of_group = counts(group);
            let keeps_all = of_group.iter().all(|&(class, n)| here[class] + n < all[class]);
            let gain: f64 = of_group
                .iter()
                .map(|&(class, n)| {
                    let before = part * all[class] - here[class];
                    (before * before - (before - n) * (before - n)) / all[class]
                })
                .sum();
            if keeps_all && gain > 0.0 {
                of_group.iter().for_each(|&(class, n)| here[class] += n);
                group.iter().for_each(|&i| aside[i] = true);
            }
        }
        if !aside.iter().any(|&aside| aside) {
            // Where each group is more than the part: the smallest that leaves each class something.
            let keeps_all = |group: &&Vec<usize>| counts(group).iter().all(|&(class, n)| n < all[class]);
            if let Some(group) = groups.iter().rev().find(keeps_all).filter(|_| groups.len() > 1) {
                group.iter().for_each(|&i| aside[i] = true);
            }
        }
        aside
    }
}
