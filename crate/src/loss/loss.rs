//! The losses: which there are, and their values on the host.

use super::actual::Actual;
use super::cross_entropy::binary_cross_entropy;
use super::multi_label;
use crate::{Error, Result};

/// What training makes small. All losses take logits, never probabilities.
///
/// ```
/// use transfer::loss::Loss;
/// assert_eq!(Loss::for_classes(2), Loss::BinaryCrossentropy);
/// assert_eq!(Loss::for_classes(5), Loss::SparseCategoricalCrossentropy);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// For two classes and one output: Keras' `BinaryCrossentropy(from_logits=True)`.
    BinaryCrossentropy,
    /// For as many outputs as classes: Keras' `SparseCategoricalCrossentropy(from_logits=True)`.
    SparseCategoricalCrossentropy,
    /// For photographs that may have several labels, with one output for each class: Keras'
    /// `BinaryCrossentropy(from_logits=True)` of targets of zeros and ones, the mean over the classes.
    MultiLabelBinaryCrossentropy,
}

impl Loss {
    /// The usual loss for so many classes.
    pub fn for_classes(classes: usize) -> Self {
        if classes <= 2 {
            Loss::BinaryCrossentropy
        } else {
            Loss::SparseCategoricalCrossentropy
        }
    }

    /// The loss that goes with so many outputs: one for two classes, otherwise one for each class.
    pub(crate) fn for_units(units: usize) -> Self {
        if units == 1 {
            Loss::BinaryCrossentropy
        } else {
            Loss::SparseCategoricalCrossentropy
        }
    }

    /// Refuses a number of outputs that makes no sense with this loss.
    pub(crate) fn check(self, units: usize) -> Result<()> {
        match self {
            Loss::BinaryCrossentropy if units != 1 => Err(Error::Invalid(format!(
                "BinaryCrossentropy expected a model with 1 output. Received: {units} outputs. For more than \
                 two classes use Loss::SparseCategoricalCrossentropy."
            ))),
            Loss::SparseCategoricalCrossentropy if units < 2 => Err(Error::Invalid(format!(
                "SparseCategoricalCrossentropy expected one output for each class. Received: {units} output. \
                 For two classes use Dense::new(1) with Loss::BinaryCrossentropy, or Dense::new(2)."
            ))),
            Loss::MultiLabelBinaryCrossentropy if units < 2 => Err(Error::Invalid(format!(
                "MultiLabelBinaryCrossentropy expected one output for each of two classes or more. Received: {units} \
                 output. Give the last layer as many: Dense::new(class_names.len())."
            ))),
            _ => Ok(()),
        }
    }

    /// Number of classes that a model with `units` outputs tells apart.
    pub(crate) fn classes(self, units: usize) -> usize {
        match self {
            Loss::BinaryCrossentropy => 2,
            Loss::SparseCategoricalCrossentropy | Loss::MultiLabelBinaryCrossentropy => units,
        }
    }

    /// Refuses labels that the model has no output for.
    pub(crate) fn check_labels<'a>(self, units: usize, actual: impl Into<Actual<'a>>) -> Result<()> {
        let actual = actual.into();
        let labels = match (self, actual.sets) {
            (Loss::MultiLabelBinaryCrossentropy, _) => return multi_label::check(actual, units),
            (_, Some(_)) => return Err(multi_label::one_label_each()),
            (_, None) => actual.labels,
        };
        let classes = self.classes(units);
        match labels.iter().find(|&&l| l as usize >= classes) {
            None => Ok(()),
            Some(l) => Err(Error::Data(format!(
                "A model for {classes} classes expected labels from 0 to {}. Received: {l}. \
                 Give the last layer one output for each class: Dense::new(class_names.len()).",
                classes - 1
            ))),
        }
    }

    /// The summed loss of a batch. `logits` holds `units` numbers for each label.
    pub(crate) fn sum<'a>(self, logits: &[f32], actual: impl Into<Actual<'a>>, units: usize) -> f64 {
        let actual = actual.into();
        if self == Loss::MultiLabelBinaryCrossentropy {
            return multi_label::sum(logits, actual, units);
        }
        let rows = logits.chunks_exact(units).zip(actual.labels);
        rows.map(|(row, &label)| match self {
            Loss::BinaryCrossentropy => binary_cross_entropy(f64::from(row[0]), f64::from(label)),
            _ => {
                let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = row.iter().map(|&x| f64::from(x - max).exp()).sum();
                sum.ln() + f64::from(max) - f64::from(row[label as usize])
            }
        })
        .sum()
    }

    /// How many labels the logits get right; of sets of labels, how many whole sets.
    pub(crate) fn correct<'a>(self, logits: &[f32], actual: impl Into<Actual<'a>>, units: usize) -> usize {
        let actual = actual.into();
        if self == Loss::MultiLabelBinaryCrossentropy {
            return multi_label::correct(logits, actual, units);
        }
        logits
            .chunks_exact(units)
            .zip(actual.labels)
            .filter(|(row, label)| self.decide(row) == **label)
            .count()
    }

    /// The class that one row of logits speaks for: `logit > 0`, or the largest (the first of equals).
    pub(crate) fn decide(self, row: &[f32]) -> u32 {
        match self {
            Loss::BinaryCrossentropy => u32::from(row[0] > 0.0),
            Loss::SparseCategoricalCrossentropy | Loss::MultiLabelBinaryCrossentropy => {
                let mut best = 0;
                for (i, x) in row.iter().enumerate() {
                    if *x > row[best] {
                        best = i;
                    }
                }
                best as u32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_of_outputs_is_refused_with_what_to_do() {
        let e = Loss::BinaryCrossentropy.check(3).unwrap_err().to_string();
        assert!(e.contains("SparseCategoricalCrossentropy"), "{e}");
        assert!(Loss::SparseCategoricalCrossentropy.check(1).is_err());
        let e = Loss::BinaryCrossentropy.check_labels(1, &[0, 2]).unwrap_err().to_string();
        assert!(e.contains("Received: 2"), "{e}");
    }

    #[test]
    fn accuracy_counts_a_logit_above_zero_as_the_second_class() {
        let loss = Loss::BinaryCrossentropy;
        assert_eq!(loss.correct(&[0.1, -0.1, 0.0, 3.0], &[1, 0, 0, 0], 1), 3);
        assert_eq!(Loss::SparseCategoricalCrossentropy.decide(&[1.0, 3.0, 3.0]), 1);
    }
}
