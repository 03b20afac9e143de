//! How many photographs are enough: accuracy over the number of photographs that a head was trained on.

use std::fmt;

use crate::data::Dataset;
use crate::loss::Loss;
use crate::model::{wilson_interval, Interval, Model};
use crate::progress::check_stop;
use crate::random::Rng;
use crate::train::fine_tune::softmax_regression::{Problem, Solution};
use crate::train::fine_tune::USUAL_L2;
use crate::{Error, Result, SPLIT_SEED};

/// Purpose that random numbers are drawn for.
const SIZES: u64 = u64::from_be_bytes(*b"sizes   ");
/// Heads for each number of photographs but the last, which has one: there is one way to take them all.
const DRAWS: usize = 3;
/// Fewer photographs of each class than this are not tried.
const FEWEST: usize = 5;
/// Numbers of photographs at most; each is half of the next one.
const MOST_SIZES: usize = 8;

/// Accuracies of heads that were trained on parts of a training set; see [`Model::size_curve`]. Printed, it is a table.
#[derive(Clone, PartialEq)]
pub struct SizeCurve {
    /// Numbers of photographs, rising; the last is the whole training set.
    pub sizes: Vec<usize>,
    /// For each number, the accuracies of heads on the validation set: several draws, and one for the last number.
    pub accuracies: Vec<Vec<f64>>,
    /// The 95 % interval of the last accuracy, which says how much the validation set can tell.
    pub interval: Interval,
}

impl SizeCurve {
    /// The mean accuracy for each number of photographs.
    pub fn means(&self) -> Vec<f64> {
        let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        self.accuracies.iter().map(mean).collect()
    }

    /// The curve as a picture.
    ///
    /// # Errors
    /// As [`size_curve_figure`](crate::plot::size_curve_figure).
    #[cfg(feature = "plot")]
    pub fn figure(&self) -> Result<crate::plot::Figure> {
        let of = |((&photographs, values), accuracy): ((&usize, &Vec<f64>), f64)| crate::plot::SizePoint {
            photographs,
            accuracy,
            lowest: values.iter().copied().fold(1.0, f64::min),
            highest: values.iter().copied().fold(0.0, f64::max),
        };
        let points = self.sizes.iter().zip(&self.accuracies).zip(self.means()).map(of);
        crate::plot::size_curve_figure(&points.collect::<Vec<_>>())
    }
}

impl fmt::Display for SizeCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "photographs  accuracy  of single heads")?;
        for ((size, values), mean) in self.sizes.iter().zip(&self.accuracies).zip(self.means()) {
            let single: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
            write!(f, "\n{size:>11}  {mean:>8.4}  {}", single.join(" "))?;
        }
        write!(f, "\n95 % interval of the last accuracy: {}", self.interval)
    }
}

impl fmt::Debug for SizeCurve {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Model {
    /// The accuracy on `validation` of heads that are solved for on parts of `train`: a half, a quarter and so on, down
    /// to about five photographs of a class, three draws of each, with classes in proportion; and on all of it. It shows whether more
    /// photographs would help: where the accuracy still rises from the last but one number to the last, they would.
    ///
    /// scikit-learn calls this a learning curve (`sklearn.model_selection.learning_curve`). The features are computed
    /// once and each head is the best one for them (L2 penalty 0.08), so this takes seconds. The model does not change,
    /// and its own head is not used. Duplicates are not kept together in the parts. Of more images than fit into 96 MiB of
    /// features (18,000) a part is used.
    ///
    /// # Errors
    /// Where the data sets do not fit the model, have other classes than each other, or cannot be read; [`Error::Invalid`] where
    /// photographs may have several labels; [`Error::Interrupted`] where somebody asked for a stop.
    ///
    /// ```no_run
    /// # fn example(train: &transfer::data::Dataset, validation: &transfer::data::Dataset) -> transfer::Result<()> {
    /// use transfer::prelude::*;
    /// let model = Model::imagenet(train)?;
    /// let curve = model.size_curve(train, validation)?;
    /// println!("{curve}");
    /// curve.figure()?.save("sizes.png")?;
    /// # Ok(()) }
    /// ```
    pub fn size_curve(&self, train: &Dataset, validation: &Dataset) -> Result<SizeCurve> {
        for dataset in [train, validation] {
            self.check_dataset(dataset)?;
            dataset.expect_one_label("size_curve")?;
        }
        if train.class_names() != validation.class_names() {
            return Err(Error::Data(
                "size_curve expected a training and a validation set of the same classes. Received sets of different \
                 ones. Make both from one folder, as `own_photographs` does."
                    .into(),
            ));
        }
        let (seen, unseen) = (self.collect(train, false, false)?, self.collect(validation, false, false)?);
        let units = match train.class_names().len() {
            2 => 1,
            classes => classes,
        };
        let of_unseen = Problem {
            features: &unseen.features,
            labels: &unseen.labels,
            units,
            class_weights: None,
            l2: USUAL_L2,
            seen: None,
            start: None,
        };
        let of_seen = Problem { features: &seen.features, labels: &seen.labels, ..of_unseen };
        let shares = shares(&seen.labels);
        let (mut sizes, mut accuracies) = (Vec::new(), Vec::new());
        for (number, &share) in shares.iter().enumerate() {
            let draws = if number + 1 == shares.len() { 1 } else { DRAWS };
            let mut of_draws = Vec::with_capacity(draws);
            let mut size = 0;
            for draw in 0..draws {
                check_stop("The accuracy by number of photographs")?;
                let part = part(&seen.labels, share, draw as u64);
                size = part.iter().filter(|&&counts| counts).count();
                let Solution { kernel, bias, .. } = Problem { seen: Some(&part), ..of_seen }.solve()?;
                of_draws.push(of_unseen.measure(&kernel, &bias, Loss::for_units(units)).1);
            }
            sizes.push(size);
            accuracies.push(of_draws);
        }
        let images = unseen.labels.len();
        let last = accuracies.last().and_then(|values| values.last()).copied().unwrap_or(0.0);
        let interval = wilson_interval((last * images as f64).round() as usize, images)?;
        Ok(SizeCurve { sizes, accuracies, interval })
    }
}

/// Parts of the photographs to train on, rising to 1: the smallest leaves a class of mean size about [`FEWEST`].
fn shares(labels: &[u32]) -> Vec<f64> {
    let classes = labels.iter().collect::<std::collections::BTreeSet<_>>().len().max(1);
    let each = labels.len() as f64 / classes as f64;
    let mut shares = vec![1.0];
    while shares.len() < MOST_SIZES && shares[shares.len() - 1] / 2.0 * each >= FEWEST as f64 {
        shares.push(shares[shares.len() - 1] / 2.0);
    }
    shares.reverse();
    shares
}

/// Which photographs are in a part: the same share of each class, and at least one.
fn part(labels: &[u32], share: f64, draw: u64) -> Vec<bool> {
    let mut chosen = vec![false; labels.len()];
    let classes: std::collections::BTreeSet<u32> = labels.iter().copied().collect();
    for class in classes {
        let mut of_class: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class).collect();
        Rng::new(&[SPLIT_SEED, SIZES, draw, u64::from(class)]).shuffle(&mut of_class);
        let n = ((share * of_class.len() as f64).round() as usize).clamp(1, of_class.len());
        of_class[..n].iter().for_each(|&i| chosen[i] = true);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_all_classes_in_proportion_and_grow_by_photographs() {
        let labels: Vec<u32> = (0..300).map(|i| u32::from(i >= 200) + u32::from(i >= 298)).collect();
        let count = |part: &[bool], class: u32| {
            part.iter().zip(&labels).filter(|(chosen, label)| **chosen && **label == class).count()
        };
        let quarter = part(&labels, 0.25, 0);
        assert_eq!([count(&quarter, 0), count(&quarter, 1), count(&quarter, 2)], [50, 25, 1]);
        let half = part(&labels, 0.5, 0);
        assert!(quarter.iter().zip(&half).all(|(a, b)| !a || *b));
        assert_ne!(quarter, part(&labels, 0.25, 1));
        assert!(part(&labels, 1.0, 2).iter().all(|&chosen| chosen));
    }

    #[test]
    fn the_smallest_part_has_about_five_photographs_of_a_class_and_the_last_one_all() {
        let labels: Vec<u32> = (0..300).map(|i| i % 6).collect();
        assert_eq!(shares(&labels), [0.125, 0.25, 0.5, 1.0]);
        assert_eq!(shares(&[0, 1]), [1.0]);
        let many: Vec<u32> = (0..40_000).map(|i| i % 2).collect();
        assert_eq!(shares(&many).len(), MOST_SIZES);
    }
}
