//! How good a head is on images that it did not see: `Model::cross_validate`.

use crate::data::Dataset;
use crate::model::{CrossValidation, Model};
use crate::train::class_weights::ClassWeights;
use crate::train::fine_tune::collected::Collected;
use crate::train::folds::{fold_assignment, FoldProblem, OutOfFold};
use crate::{Error, Result, SPLIT_SEED};

impl OutOfFold {
    /// How good the heads are.
    pub fn cross_validation(&self) -> CrossValidation {
        let hits = self.hits();
        let folds = self.folds.iter().max().map_or(0, |&most| most as usize + 1);
        let (mut right, mut all) = (vec![0usize; folds], vec![0usize; folds]);
        for (&fold, &hit) in self.folds.iter().zip(&hits) {
            all[fold as usize] += 1;
            right[fold as usize] += usize::from(hit);
        }
        let rows = self.log_probabilities.rows().into_iter().zip(&self.labels);
        let loss: f64 = rows.map(|(row, &label)| -f64::from(row[label as usize])).sum();
        let shares = right.iter().zip(&all).filter(|(_, n)| **n > 0);
        CrossValidation {
            accuracies: shares.map(|(&right, &n)| right as f64 / n as f64).collect(),
            images: hits.len(),
            errors: hits.iter().filter(|&&hit| !hit).count(),
            loss: loss / hits.len().max(1) as f64,
        }
    }
}

/// How [`Model::cross_validate`] divides the images, and what its heads are solved with.
///
/// ```
/// use transfer::train::CrossValidateOptions;
/// let ten = CrossValidateOptions::folds(10);
/// let bursts = CrossValidateOptions::default().groups(vec![0, 0, 1, 2, 2, 3]);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct CrossValidateOptions {
    folds: usize,
    groups: Option<Vec<u32>>,
    l2: f64,
    flip: bool,
    class_weights: Option<ClassWeights>,
    seed: u64,
}

impl Default for CrossValidateOptions {
    /// Five folds.
    fn default() -> Self {
        CrossValidateOptions::folds(5)
    }
}

impl CrossValidateOptions {
    /// So many folds, 2 to 100. More train on more of the images, and take longer.
    pub fn folds(folds: usize) -> Self {
        CrossValidateOptions {
            folds,
            groups: None,
            l2: 0.08,
            flip: true,
            class_weights: None,
            seed: SPLIT_SEED,
        }
    }

    /// Keeps images of the same group in one fold: near-duplicates, bursts, photographs of one person. One number
    /// for each of [`Dataset::file_paths`].
    pub fn groups(mut self, groups: Vec<u32>) -> Self {
        self.groups = Some(groups);
        self
    }

    /// The penalty on the heads' weights; see [`FineTuneOptions::l2`](crate::train::FineTuneOptions::l2).
    pub fn l2(mut self, l2: f64) -> Self {
        self.l2 = l2;
        self
    }

    /// Whether heads learn from mirror images, too, and predictions are averaged over both; as without a call.
    pub fn flip(mut self, yes: bool) -> Self {
        self.flip = yes;
        self
    }

    /// Lets images of some classes count more.
    pub fn class_weights(mut self, weights: ClassWeights) -> Self {
        self.class_weights = Some(weights);
        self
    }

    /// What the folds depend on besides labels and groups; [`SPLIT_SEED`] without a call.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Model {
    /// k-fold cross-validation of the head on frozen features: they are computed once, and for each fold a head is
    /// solved for on all other folds. Takes a second or two more than computing the features of the images.
    ///
    /// It measures heads on the base as it is now. A base that was fine-tuned on these images has seen them all, so
    /// call it before [`fine_tune`](Self::fine_tune), or ask for [`FineTuneOptions::folds`](crate::train::FineTuneOptions::folds). The model does not
    /// change, its own head is not used. Of more images than fit into 96 MiB of features (18,000, half as many
    /// mirrored) a part is used, the same of each class.
    ///
    /// # Errors
    /// As [`fold_assignment`] and [`out_of_fold`](super::out_of_fold); where the data set does not fit the model or
    /// cannot be read.
    ///
    /// ```no_run
    /// # fn example(train: &transfer::data::Dataset) -> transfer::Result<()> {
    /// use transfer::prelude::*;
    /// let model = Model::imagenet(train)?;
    /// println!("{}", model.cross_validate(train, CrossValidateOptions::default())?);
    /// # Ok(()) }
    /// ```
    pub fn cross_validate(
        &self,
        dataset: &Dataset,
        options: CrossValidateOptions,
    ) -> Result<CrossValidation> {
        self.check_dataset(dataset)?;
        dataset.expect_one_label("cross_validate")?;
        let collected = self.collect(dataset, options.flip, false)?;
        let class_weights = match &options.class_weights {
            Some(weights) => Some(weights.of_dataset(dataset, dataset.class_names().len())?),
            None => None,
        };
        let heads = collected.out_of_fold(&options.of(dataset, class_weights.as_deref()), None)?;
        Ok(heads.cross_validation())
    }
}

/// What the folds of collected features depend on.
pub(in crate::train) struct Folds<'a> {
    pub folds: usize,
    pub classes: usize,
    /// The group of each of [`Dataset::file_paths`].
    pub groups: Option<&'a [u32]>,
    pub class_weights: Option<&'a [f64]>,
    pub l2: f64,
    pub seed: u64,
    /// Number of files.
    pub files: usize,
}

impl CrossValidateOptions {
    fn of<'a>(&'a self, dataset: &Dataset, class_weights: Option<&'a [f64]>) -> Folds<'a> {
        Folds {
            folds: self.folds,
            classes: dataset.class_names().len(),
            groups: self.groups.as_deref(),
            class_weights,
            l2: self.l2,
            seed: self.seed,
            files: dataset.labels().len(),
        }
    }
}

impl Collected {
    /// Heads for folds of the images, and what they say of the others: a row for each image, in the order of
    /// [`Dataset::file_paths`].
    pub(in crate::train) fn out_of_fold(
        &self,
        folds: &Folds<'_>,
        start: Option<(&[f32], &[f32])>,
    ) -> Result<OutOfFold> {
        if let Some(groups) = folds.groups.filter(|groups| groups.len() != folds.files) {
            return Err(Error::Shape(format!(
                "cross_validate expected one group for each of {} files. Received: {}",
                folds.files,
                groups.len()
            )));
        }
        // Views of one image are in one group.
        let group = |&index: &usize| folds.groups.map_or(index as u32, |groups| groups[index]);
        let groups: Vec<u32> = self.indices.iter().map(group).collect();
        let assignment = fold_assignment(&self.labels, Some(&groups), folds.folds, folds.seed)?;
        let problem = FoldProblem {
            features: &self.features,
            labels: &self.labels,
            classes: folds.classes,
            assignment: &assignment,
            class_weights: folds.class_weights,
            l2: folds.l2,
            start,
        };
        let images: Vec<u32> = self.indices.iter().map(|&index| index as u32).collect();
        problem.solve()?.averaged_by(&images)
    }
}
