//! A head for each fold, and what it says of the images that it did not see.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis};

use crate::loss::Loss;
use crate::progress::check_stop;
use crate::train::fine_tune::softmax_regression::{Problem, Solution};
use crate::{Error, Result};

/// What heads say of images that they did not see, each image by the head of its fold.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutOfFold {
    /// Logits `(n, units)`: one for two classes, else one for each class.
    pub logits: Array2<f32>,
    /// Logarithms of the probabilities `(n, classes)`; those of a row sum to 1.
    pub log_probabilities: Array2<f32>,
    /// The actual class of each image.
    pub labels: Vec<u32>,
    /// The fold of each image.
    pub folds: Vec<u32>,
}

/// Heads for frozen features, each for one fold's images from the images of all other folds.
pub(crate) struct FoldProblem<'a> {
    /// `(n, features)`.
    pub features: &'a [f32],
    /// `n` numbers below `classes`.
    pub labels: &'a [u32],
    /// At least two.
    pub classes: usize,
    /// The fold of each image.
    pub assignment: &'a [u32],
    /// How much an image of each class counts, 1 for all where there is nothing.
    pub class_weights: Option<&'a [f64]>,
    /// The penalty's factor.
    pub l2: f64,
    /// Kernel and bias that the search starts from: those of a head of all images save half of the time.
    pub start: Option<(&'a [f32], &'a [f32])>,
}

/// Solves for a head for each fold, from the images of all other folds, and gives what it says of the fold's images.
///
/// `features` are `(n, features)`, as of [`Model::pooled_features`](crate::model::Model::pooled_features), `labels`
/// are below `classes`, `assignment` is the fold of each image, as of [`fold_assignment`](super::fold_assignment).
/// Each head minimises the mean cross-entropy plus `l2/2 · ‖W‖²`, as
/// [`fine_tune`](crate::model::Model::fine_tune) does, whose default is an `l2` of 0.08. The same arguments give the
/// same bits.
///
/// # Errors
/// [`Error::Shape`] where the numbers of features, labels and folds differ; [`Error::Invalid`] for fewer than two
/// classes, a single fold or an `l2` that is no number of at least 0; [`Error::Data`] for a label that is no class or
/// a feature that is not finite; [`Error::Interrupted`] where somebody asks for a stop.
///
/// ```
/// use ndarray::array;
/// use transfer::train::{fold_assignment, out_of_fold};
///
/// let features = array![[0.1f32], [0.2], [0.3], [1.1], [1.2], [1.3]];
/// let labels = [0, 0, 0, 1, 1, 1];
/// let folds = fold_assignment(&labels, None, 3, 1)?;
/// let heads = out_of_fold(&features, &labels, 2, &folds, 0.01)?;
/// assert_eq!(heads.log_probabilities.dim(), (6, 2));
/// assert_eq!(heads.predicted(), labels);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn out_of_fold(
    features: &Array2<f32>,
    labels: &[u32],
    classes: usize,
    assignment: &[u32],
    l2: f64,
) -> Result<OutOfFold> {
    if features.nrows() != labels.len() {
        return Err(Error::Shape(format!(
            "out_of_fold expected one label for each row of the features. Received: {} rows, {} labels",
            features.nrows(),
            labels.len()
        )));
    }
    let features = features.as_standard_layout();
    let features = features.as_slice().unwrap_or_default();
    FoldProblem { features, labels, classes, assignment, class_weights: None, l2, start: None }.solve()
}

impl FoldProblem<'_> {
    /// See [`out_of_fold`].
    pub fn solve(&self) -> Result<OutOfFold> {
        self.check()?;
        let (n, units) = (self.labels.len(), if self.classes == 2 { 1 } else { self.classes });
        let c = self.features.len() / n;
        let mut logits = Array2::zeros((n, units));
        let mut folds: Vec<u32> = self.assignment.to_vec();
        folds.sort_unstable();
        folds.dedup();
        for &fold in &folds {
            check_stop("The cross-validation")?;
            let seen: Vec<bool> = self.assignment.iter().map(|&other| other != fold).collect();
            let Solution { kernel, bias, .. } = Problem {
                features: self.features,
                labels: self.labels,
                units,
                class_weights: self.class_weights,
                l2: self.l2,
                seen: Some(&seen),
                start: self.start,
            }
            .solve()?;
            let rows = self.features.chunks_exact(c).zip(logits.rows_mut()).zip(&seen);
            for ((row, mut out), _) in rows.filter(|(_, seen)| !**seen) {
                for (unit, out) in out.iter_mut().enumerate() {
                    let products = row.iter().zip(kernel.iter().skip(unit).step_by(units));
                    let sum: f64 = products.map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
                    *out = (sum + f64::from(bias[unit])) as f32;
                }
            }
        }
        let log_probabilities = log_probabilities(&logits);
        Ok(OutOfFold {
            logits,
            log_probabilities,
            labels: self.labels.to_vec(),
            folds: self.assignment.to_vec(),
        })
    }

    fn check(&self) -> Result<()> {
        let n = self.labels.len();
        if n == 0
            || self.assignment.len() != n
            || self.features.is_empty()
            || !self.features.len().is_multiple_of(n)
        {
            return Err(Error::Shape(format!(
                "out_of_fold expected features (n, c), n labels and n folds, n at least 2. Received: {} numbers, {n} \
                 labels, {} folds",
                self.features.len(),
                self.assignment.len()
            )));
        }
        if self.classes < 2 {
            return Err(Error::Invalid(format!(
                "out_of_fold expected at least two classes. Received: {}",
                self.classes
            )));
        }
        if !(self.l2.is_finite() && self.l2 >= 0.0) {
            return Err(Error::Invalid(format!(
                "out_of_fold expected an l2 of at least 0, such as 0.08. Received: {}",
                self.l2
            )));
        }
        if self.assignment.iter().all(|&fold| fold == self.assignment[0]) {
            return Err(Error::Invalid(format!(
                "out_of_fold expected at least two folds. Received: fold {} for all {n} images",
                self.assignment[0]
            )));
        }
        Ok(())
    }
}

/// The logarithms of the probabilities `(n, classes)` of logits `(n, units)`.
fn log_probabilities(logits: &Array2<f32>) -> Array2<f32> {
    let loss = Loss::for_units(logits.ncols());
    let units = logits.ncols();
    let classes = loss.classes(units);
    let one = |(i, class): (usize, usize)| {
        let row = logits.row(i);
        -loss.sum(row.as_slice().unwrap_or_default(), &[class as u32], units) as f32
    };
    Array2::from_shape_fn((logits.nrows(), classes), one)
}

impl OutOfFold {
    /// The class that each image is taken for.
    pub fn predicted(&self) -> Vec<u32> {
        let loss = Loss::for_units(self.logits.ncols());
        self.logits.rows().into_iter().map(|row| loss.decide(&row.to_vec())).collect()
    }

    /// Whether each image is taken for its own class.
    pub fn hits(&self) -> Vec<bool> {
        self.predicted().iter().zip(&self.labels).map(|(predicted, actual)| predicted == actual).collect()
    }

    /// The mean of the logits of all rows with the same number in `images`, which becomes one row: for images that
    /// were seen several times, such as mirrored. Rows are in the order of the numbers.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is not one number for each row; [`Error::Invalid`] where rows of one image have
    /// different labels or folds.
    pub fn averaged_by(&self, images: &[u32]) -> Result<OutOfFold> {
        if images.len() != self.labels.len() {
            return Err(Error::Shape(format!(
                "averaged_by expected one image for each row. Received: {} images, {} rows",
                images.len(),
                self.labels.len()
            )));
        }
        let mut rows: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        images.iter().enumerate().for_each(|(row, &image)| rows.entry(image).or_default().push(row));
        let mut logits = Array2::zeros((rows.len(), self.logits.ncols()));
        let (mut labels, mut folds) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for ((image, rows), mut mean) in rows.iter().zip(logits.rows_mut()) {
            let first = rows[0];
            let of = |row: usize| (self.labels[row], self.folds[row]);
            if let Some(&row) = rows.iter().find(|&&row| of(row) != of(first)) {
                return Err(Error::Invalid(format!(
                    "averaged_by expected one label and one fold for each image. Received for image {image}: {:?} in \
                     row {first}, {:?} in row {row}",
                    of(first),
                    of(row)
                )));
            }
            let sum = self.logits.select(Axis(0), rows).sum_axis(Axis(0));
            mean.assign(&(sum / rows.len() as f32));
            labels.push(self.labels[first]);
            folds.push(self.folds[first]);
        }
        let log_probabilities = log_probabilities(&logits);
        Ok(OutOfFold { logits, log_probabilities, labels, folds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;
    use crate::train::fold_assignment;

    /// Overlapping clouds.
    fn clouds(n: usize, c: usize, classes: usize) -> (Array2<f32>, Vec<u32>) {
        let mut rng = Rng::new(&[5, classes as u64]);
        let labels: Vec<u32> = (0..n).map(|i| (i % classes) as u32).collect();
        let features = Array2::from_shape_fn((n, c), |(i, j)| {
            let noise: f32 = (0..4).map(|_| rng.uniform()).sum();
            noise + if j % classes == labels[i] as usize { 0.5 } else { 0.0 }
        });
        (features, labels)
    }

    #[test]
    fn each_row_is_of_the_head_of_the_other_rows() {
        for classes in [2, 3] {
            let (features, labels) = clouds(60, 8, classes);
            let folds = fold_assignment(&labels, None, 4, 2).unwrap();
            let all = out_of_fold(&features, &labels, classes, &folds, 0.1).unwrap();
            for fold in 0..4 {
                // The same from a problem that has the other rows alone.
                let inside: Vec<usize> = (0..60).filter(|&i| folds[i] != fold).collect();
                let part = features.select(Axis(0), &inside);
                let units = if classes == 2 { 1 } else { classes };
                let found = Problem {
                    features: part.as_slice().unwrap(),
                    labels: &inside.iter().map(|&i| labels[i]).collect::<Vec<_>>(),
                    units,
                    class_weights: None,
                    l2: 0.1,
                    seen: None,
                    start: None,
                }
                .solve()
                .unwrap();
                for i in (0..60).filter(|&i| folds[i] == fold) {
                    for unit in 0..units {
                        let column = found.kernel.iter().skip(unit).step_by(units);
                        let products = features.row(i).iter().zip(column).map(|(x, w)| x * w).sum::<f32>();
                        let logit = products + found.bias[unit];
                        assert!(
                            (logit - all.logits[[i, unit]]).abs() < 2e-3,
                            "{logit} {}",
                            all.logits[[i, unit]]
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn probabilities_sum_to_one_and_agree_with_the_logits() {
        for classes in [2, 4] {
            let (features, labels) = clouds(40, 6, classes);
            let folds = fold_assignment(&labels, None, 5, 2).unwrap();
            let all = out_of_fold(&features, &labels, classes, &folds, 0.1).unwrap();
            assert_eq!(all.log_probabilities.dim(), (40, classes));
            for (row, predicted) in all.log_probabilities.rows().into_iter().zip(all.predicted()) {
                let sum: f64 = row.iter().map(|&p| f64::from(p).exp()).sum();
                assert!((sum - 1.0).abs() < 1e-6, "{row}");
                let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert_eq!(row[predicted as usize], largest);
            }
            assert!(all.hits().iter().filter(|&&hit| hit).count() > 20, "{:?}", all.hits());
        }
    }

    #[test]
    fn a_search_from_the_head_of_all_images_ends_at_the_same_logits() {
        let (features, labels) = clouds(200, 10, 3);
        let folds = fold_assignment(&labels, None, 5, 2).unwrap();
        let cold = out_of_fold(&features, &labels, 3, &folds, 0.08).unwrap();
        let x = features.as_slice().unwrap();
        let problem = Problem {
            features: x,
            labels: &labels,
            units: 3,
            class_weights: None,
            l2: 0.08,
            seen: None,
            start: None,
        };
        let head = problem.solve().unwrap();
        let start = Some((&head.kernel[..], &head.bias[..]));
        let warm = FoldProblem {
            features: x,
            labels: &labels,
            classes: 3,
            assignment: &folds,
            class_weights: None,
            l2: 0.08,
            start,
        }
        .solve()
        .unwrap();
        assert!(cold != warm);
        for (a, b) in cold.logits.iter().zip(&warm.logits) {
            assert!((a - b).abs() < 2e-3, "{a} {b}");
        }
    }

    #[test]
    fn rows_of_one_image_are_averaged() {
        let rows = OutOfFold {
            logits: ndarray::array![[1.0], [5.0], [3.0]],
            log_probabilities: Array2::zeros((3, 2)),
            labels: vec![0, 1, 0],
            folds: vec![1, 0, 1],
        };
        let mean = rows.averaged_by(&[4, 2, 4]).unwrap();
        assert_eq!(
            (mean.logits, mean.labels, mean.folds),
            (ndarray::array![[5.0], [2.0]], vec![1, 0], vec![0, 1])
        );
        assert!((mean.log_probabilities[[1, 1]] - (1.0 / (1.0 + (-2.0f32).exp())).ln()).abs() < 1e-6);
        assert!(rows.averaged_by(&[4, 4, 4]).unwrap_err().to_string().contains("row 1"));
        assert!(rows.averaged_by(&[4]).is_err());
    }

    #[test]
    fn what_cannot_be_solved_is_refused() {
        let (features, labels) = clouds(6, 2, 2);
        let says = |result: Result<OutOfFold>, what: &str| {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(what), "{text}");
        };
        says(out_of_fold(&features, &labels[..5], 2, &[0, 1, 0, 1, 0, 1], 0.1), "6 rows, 5 labels");
        says(out_of_fold(&features, &labels, 2, &[0, 1], 0.1), "2 folds");
        says(out_of_fold(&features, &labels, 1, &[0, 1, 0, 1, 0, 1], 0.1), "two classes");
        says(out_of_fold(&features, &labels, 2, &[3; 6], 0.1), "fold 3 for all 6");
        says(out_of_fold(&features, &labels, 2, &[0, 1, 0, 1, 0, 1], f64::NAN), "NaN");
        says(out_of_fold(&features, &[0, 1, 2, 0, 1, 2], 2, &[0, 1, 0, 1, 0, 1], 0.1), "below 2");
        says(out_of_fold(&Array2::zeros((0, 2)), &[], 2, &[], 0.1), "0 labels");
    }
}
