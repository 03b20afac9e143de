//! A data set cut in two, by images or by batches.
//!
//! [`take`](Dataset::take) and [`skip`](Dataset::skip) cut by batches; here is what never leaves a side empty.

use super::dataset::{Dataset, SPLIT};
use crate::random::Rng;
use crate::{Error, Result, SPLIT_SEED};

impl Dataset {
    /// Two data sets without a common image: one to train on, and `part` of each class for validation. A
    /// class of two images or more has at least one in each; a single image is trained on. Which image is
    /// where depends on `seed` and the images alone. Both share their files and cache with this one.
    ///
    /// Where photographs have several labels, it is as [`stratified_group_split`](Self::stratified_group_split) without
    /// groups.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `part` does not lie between 0 and 1; [`Error::Data`] where either would be
    /// empty.
    ///
    /// ```no_run
    /// # fn example(all: &transfer::data::Dataset) -> transfer::Result<()> {
    /// let (train, validation) = all.stratified_split(0.2, transfer::SPLIT_SEED)?;
    /// println!("{:?} and {:?}", train.class_counts(), validation.class_counts());
    /// # Ok(()) }
    /// ```
    pub fn stratified_split(&self, part: f32, seed: u64) -> Result<(Dataset, Dataset)> {
        if !(part > 0.0 && part < 1.0) {
            return Err(Error::Invalid(format!(
                "stratified_split expected a part between 0 and 1, both excluded. Received: {part}"
            )));
        }
        if self.label_sets().is_some() {
            // Sets of labels are too many for a part of each.
            return self.split_by_numbers(part, seed, &self.indices().into_iter().map(|i| (i, i)).collect());
        }
        let mut aside = vec![false; self.labels().len()];
        let mut sorted = self.indices();
        sorted.sort_unstable();
        let mut of_classes: Vec<Vec<usize>> = vec![Vec::new(); self.class_names().len()];
        sorted.into_iter().for_each(|i| of_classes[self.labels()[i] as usize].push(i));
        for (label, mut of_class) in of_classes.into_iter().enumerate() {
            Rng::new(&[seed, SPLIT, label as u64]).shuffle(&mut of_class);
            let n = of_class.len();
            let wanted = (n as f64 * f64::from(part)).round() as usize;
            let wanted = if n < 2 { 0 } else { wanted.clamp(1, n - 1) };
            of_class[..wanted].iter().for_each(|&i| aside[i] = true);
        }
        let side = |validation: bool| {
            self.with_order(self.indices().into_iter().filter(|&i| aside[i] == validation).collect())
        };
        let (train, validation) = (side(false), side(true));
        if train.is_empty() || validation.is_empty() {
            return Err(Error::Data(format!(
                "a split needs a class with two images or more. Received: at most {} of each of {} classes. Add images.",
                self.class_counts().into_iter().max().unwrap_or(0),
                self.class_names().len()
            )));
        }
        Ok((train, validation))
    }

    /// Two data sets without a common image: a `part` to test with at the end, and the rest.
    ///
    /// As in the tutorial, they are the first whole batches and what is left, as by [`take`](Self::take) and
    /// [`skip`](Self::skip): a part of 0.2 of 32 batches is 6 batches. Where the part is less than a batch, it is cut
    /// by images instead, class by class as in [`stratified_split`](Self::stratified_split) with [`SPLIT_SEED`], so
    /// that it is not empty.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `part` does not lie between 0 and 1; [`Error::Data`] where either would be empty.
    ///
    /// ```no_run
    /// # fn example(held_out: &transfer::data::Dataset) -> transfer::Result<()> {
    /// let (test, validation) = held_out.test_split(0.2)?;
    /// println!("{} and {} images", test.len(), validation.len());
    /// # Ok(()) }
    /// ```
    pub fn test_split(&self, part: f32) -> Result<(Dataset, Dataset)> {
        if !(part > 0.0 && part < 1.0) {
            return Err(Error::Invalid(format!(
                "test_split expected a part between 0 and 1, both excluded. Received: {part}"
            )));
        }
        // A part such as 0.7 is a little less in binary; ten batches should still give seven.
        let batches = (self.cardinality() as f64 * f64::from(part) + 1e-4) as usize;
        let (test, rest) = (self.take(batches), self.skip(batches));
        if !test.is_empty() && !rest.is_empty() {
            return Ok((test, rest));
        }
        let (rest, test) = self.stratified_split(part, SPLIT_SEED)?;
        Ok((test, rest))
    }
}
