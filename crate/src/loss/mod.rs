//! The losses, computed from logits: on the tape by dfdx, and on the host for evaluation.

pub(crate) mod targets;

use dfdx::losses::{binary_cross_entropy_with_logits_loss, cross_entropy_with_logits_loss};
use dfdx::prelude::{MeanTo, OwnedTape, Rank0, Tensor, TryMul};

use crate::ops::backend::{device_error, Backend, Matrix};
use crate::{Error, Result};
use targets::Targets;

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

    /// The mean loss of a batch, on the tape. `logits` is `(n, units)`. Weights multiply the losses, and the
    /// mean divides by the number of images all the same, as Keras' does.
    pub(crate) fn traced<D: Backend>(
        self,
        logits: Matrix<D, OwnedTape<f32, D>>,
        targets: &Targets,
        units: usize,
        device: &D,
    ) -> Result<Tensor<Rank0, f32, D, OwnedTape<f32, D>>> {
        let n = targets.len();
        let tensor = |values: Vec<f32>| device.try_tensor_from_vec(values, (n, units)).map_err(device_error);
        let values = targets.values.clone();
        match (self, &targets.weights) {
            (Loss::BinaryCrossentropy, None) => {
                Ok(binary_cross_entropy_with_logits_loss(logits, tensor(values)?))
            }
            (Loss::BinaryCrossentropy, Some(weights)) => {
                let losses = logits.try_bce_with_logits(tensor(values)?).map_err(device_error)?;
                let weighted = losses.try_mul(tensor(weights.clone())?).map_err(device_error)?;
                weighted.try_mean().map_err(device_error)
            }
            (Loss::SparseCategoricalCrossentropy, weights) => {
                let mut values = values;
                if let Some(weights) = weights {
                    for (row, weight) in values.chunks_exact_mut(units).zip(weights) {
                        row.iter_mut().for_each(|value| *value *= weight);
                    }
                }
                Ok(cross_entropy_with_logits_loss(logits, tensor(values)?))
            }
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
        logits.chunks_exact(units).zip(labels).filter(|(row, &label)| self.decide(row) == label).count()
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
    use crate::augment::mixup::Mix;
    use crate::loss::targets::TargetRules;
    use dfdx::prelude::*;
    use serde_json::Value;

    #[test]
    fn the_loss_on_the_tape_is_the_mean_of_the_loss_on_the_host() {
        let dev = Cpu::default();
        let cases: [(Loss, usize, Vec<f32>, Vec<u32>); 2] = [
            (Loss::BinaryCrossentropy, 1, vec![0.3, -2.0, 5.0, -60.0, 60.0], vec![1, 0, 0, 1, 1]),
            (Loss::SparseCategoricalCrossentropy, 3, vec![0.1, 0.2, 0.3, -4.0, 2.0, 50.0], vec![2, 1]),
        ];
        for (loss, units, logits, labels) in cases {
            let n = labels.len();
            let t = dev.tensor_from_vec(logits.clone(), (n, units)).leaky_traced();
            let targets = Targets::of_labels(&labels, loss, units);
            let traced = loss.traced(t, &targets, units, &dev).unwrap().array();
            let host = loss.sum(&logits, &labels, units) / n as f64;
            assert!((f64::from(traced) - host).abs() < 1e-5 * host.max(1.0), "{loss:?} {traced} {host}");
        }
    }

    #[test]
    fn smoothed_weighted_and_mixed_losses_and_their_gradients_are_keras() {
        let file: Value = serde_json::from_str(include_str!("../../tests/recipe/reference.json")).unwrap();
        let cases = file["losses"].as_array().unwrap();
        assert!(cases.len() > 20);
        let numbers = |value: &Value| -> Vec<f32> {
            value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
        };
        let dev = Cpu::default();
        for (number, case) in cases.iter().enumerate() {
            let units = case["units"].as_u64().unwrap() as usize;
            let loss = Loss::for_units(units);
            let labels: Vec<u32> = numbers(&case["labels"]).into_iter().map(|l| l as u32).collect();
            let class_weights = case["weights"].is_array().then(|| numbers(&case["weights"]));
            let rules = TargetRules { smoothing: case["smoothing"].as_f64().unwrap() as f32, class_weights };
            let mix: Option<Vec<Mix>> = case["mix"].as_array().map(|mix| {
                let pairs = mix.iter().map(numbers);
                pairs.map(|pair| Mix { partner: pair[0] as usize, part: pair[1] }).collect()
            });
            let targets = rules.targets(&labels, mix.as_deref(), loss, units);
            let logits = dev.tensor_from_vec(numbers(&case["logits"]), (labels.len(), units));
            let traced = loss.traced(logits.leaky_trace(), &targets, units, &dev).unwrap();
            let (value, gradient) = (traced.array(), traced.backward().get(&logits).as_vec());
            let expected = case["loss"].as_f64().unwrap() as f32;
            assert!(
                (value - expected).abs() <= 2e-6 * expected.max(1.0),
                "case {number}: {value}, {expected}"
            );
            for (ours, theirs) in gradient.iter().zip(numbers(&case["gradient"])) {
                assert!((ours - theirs).abs() <= 2e-6, "case {number}: {ours}, {theirs}");
            }
        }
    }

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
