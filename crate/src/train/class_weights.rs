//! How much an image of each class counts in training: for folders where one class has many more images
//! than another.

use std::collections::BTreeMap;

use crate::data::Dataset;
use crate::{Error, Result};

/// What each class's images count in training, as Keras' `class_weight`: the loss of an image is multiplied
/// by the weight of its class, and the mean still divides by the number of images.
///
/// ```
/// use transfer::train::ClassWeights;
/// // Three times as many images of the first class.
/// let weights = ClassWeights::balanced().of(&[0, 0, 0, 1], 2)?;
/// assert_eq!(weights, [4.0 / (2.0 * 3.0), 4.0 / (2.0 * 1.0)]);
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ClassWeights(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Balanced,
    Given(Vec<f64>),
}

impl ClassWeights {
    /// Each class counts as much as any other: scikit-learn's `balanced`, which is images / (classes · images
    /// of the class).
    pub fn balanced() -> Self {
        ClassWeights(Kind::Balanced)
    }

    /// The weight of each class, in the order of the class names.
    pub fn by_class(weights: impl Into<Vec<f64>>) -> Self {
        ClassWeights(Kind::Given(weights.into()))
    }

    /// [`of`](Self::of) the labels of a data set's images.
    pub(crate) fn of_dataset(&self, dataset: &Dataset, classes: usize) -> Result<Vec<f64>> {
        dataset.expect_one_label("class_weights")?;
        let labels: Vec<u32> = dataset.indices().iter().map(|&i| dataset.labels()[i]).collect();
        self.of(&labels, classes)
    }

    /// The weights for images with these labels, one for each of `classes` classes. A class without images
    /// weighs 1 when balanced, and isn't counted.
    ///
    /// # Errors
    /// Where weights were given for another number of classes, one is negative or not finite, or all are 0;
    /// where a label is no class, or there is no label.
    pub fn of(&self, labels: &[u32], classes: usize) -> Result<Vec<f64>> {
        match &self.0 {
            Kind::Given(weights) => {
                let sane = |w: &f64| w.is_finite() && *w >= 0.0;
                if weights.len() != classes || !weights.iter().all(sane) || weights.iter().all(|w| *w == 0.0)
                {
                    return Err(Error::Invalid(format!(
                        "class_weights expected {classes} numbers, one for each class, of at least 0 and not all 0. \
                         Received: {weights:?}"
                    )));
                }
                Ok(weights.clone())
            }
            Kind::Balanced => {
                let mut counts = BTreeMap::new();
                for &label in labels {
                    if label as usize >= classes {
                        return Err(Error::Data(format!(
                            "class_weights expected labels from 0 to {}. Received: {label}",
                            classes.saturating_sub(1)
                        )));
                    }
                    *counts.entry(label).or_insert(0usize) += 1;
                }
                if counts.is_empty() {
                    return Err(Error::Data(
                        "class_weights expected at least one label. Received: none".into(),
                    ));
                }
                let (images, present) = (labels.len() as f64, counts.len() as f64);
                let weight = |class| counts.get(&class).map_or(1.0, |&n| images / (present * n as f64));
                Ok((0..classes as u32).map(weight).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_fit_no_class_are_refused() {
        for given in [vec![1.0], vec![1.0, -1.0], vec![0.0, 0.0], vec![f64::NAN, 1.0], vec![]] {
            let error = ClassWeights::by_class(given).of(&[0, 1], 2).unwrap_err().to_string();
            assert!(error.contains("2 numbers"), "{error}");
        }
        assert!(ClassWeights::balanced().of(&[2], 2).unwrap_err().to_string().contains("Received: 2"));
        assert!(ClassWeights::balanced().of(&[], 2).is_err());
        assert_eq!(ClassWeights::by_class([1.0, 0.0]).of(&[], 2).unwrap(), [1.0, 0.0]);
    }

    #[test]
    fn a_class_without_images_is_not_counted() {
        assert_eq!(ClassWeights::balanced().of(&[2, 2, 0], 3).unwrap(), [1.5, 1.0, 0.75]);
    }
}
