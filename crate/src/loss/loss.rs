//! The losses: which there are, and their values on the host.

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
            _ => Ok(()),
        }
    }

    /// Number of classes that a model with `units` outputs tells apart.
    pub(crate) fn classes(self, units: usize) -> usize {
        match self {
            Loss::BinaryCrossentropy => 2,
            Loss::SparseCategoricalCrossentropy => units,
        }
    }

    /// Refuses labels that the model has no output for.
    pub(crate) fn check_labels(self, units: usize, labels: &[u32]) -> Result<()> {
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
    pub(crate) fn sum(self, logits: &[f32], labels: &[u32], units: usize) -> f64 {
        let rows = logits.chunks_exact(units).zip(labels);
        rows.map(|(row, &label)| match self {
            Loss::BinaryCrossentropy => {
                // max(x, 0) − x·z + ln(1 + e^−|x|), which never overflows.
                let (x, z) = (f64::from(row[0]), f64::from(label));
                x.max(0.0) - x * z + (-x.abs()).exp().ln_1p()
            }
            Loss::SparseCategoricalCrossentropy => {
                let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = row.iter().map(|&x| f64::from(x - max).exp()).sum();
                sum.ln() + f64::from(max) - f64::from(row[label as usize])
            }
        })
        .sum()
    }

    /// How many labels the logits get right.
    pub(crate) fn correct(self, logits: &[f32], labels: &[u32], units: usize) -> usize {
        logits.chunks_exact(units).zip(labels).filter(|(row, label)| self.decide(row) == **label).count()
    }

    /// The class that one row of logits speaks for: `logit > 0`, or the largest (the first of equals).
    pub(crate) fn decide(self, row: &[f32]) -> u32 {
        match self {
            Loss::BinaryCrossentropy => u32::from(row[0] > 0.0),
            Loss::SparseCategoricalCrossentropy => {
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
