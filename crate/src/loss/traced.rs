//! The losses on dfdx's tape.

use dfdx::losses::{binary_cross_entropy_with_logits_loss, cross_entropy_with_logits_loss};
use dfdx::prelude::{MeanTo, OwnedTape, Rank0, Tensor, TryMul};

use super::loss::Loss;
use super::targets::Targets;
use crate::ops::backend::{device_error, Backend, Matrix};
use crate::Result;

impl Loss {
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
            (Loss::BinaryCrossentropy | Loss::MultiLabelBinaryCrossentropy, None) => {
                Ok(binary_cross_entropy_with_logits_loss(logits, tensor(values)?))
            }
            (Loss::BinaryCrossentropy | Loss::MultiLabelBinaryCrossentropy, Some(weights)) => {
                let weights: Vec<f32> =
                    weights.iter().flat_map(|&weight| std::iter::repeat_n(weight, units)).collect();
                let losses = logits.try_bce_with_logits(tensor(values)?).map_err(device_error)?;
                let weighted = losses.try_mul(tensor(weights)?).map_err(device_error)?;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::mixup::Mix;
    use crate::data::LabelSets;
    use crate::loss::actual::Actual;
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
    fn the_loss_of_several_labels_is_the_mean_over_the_classes_and_its_gradient_the_difference() {
        let dev = Cpu::default();
        let sets = LabelSets::new(3, vec![vec![], vec![0, 2], vec![1]]).unwrap();
        let (labels, units, loss) = (vec![1, 0, 2, 1], 3, Loss::MultiLabelBinaryCrossentropy);
        let logits: Vec<f32> = (0..12).map(|i| (i as f32 * 1.7).sin() * 4.0).collect();
        let rules = TargetRules { sets: Some(sets.clone()), ..TargetRules::default() };
        let targets = rules.targets(&labels, None, loss, units);
        assert_eq!(targets.values, sets.multi_hot(&labels));
        let t = dev.tensor_from_vec(logits.clone(), (4, units));
        let traced = loss.traced(t.leaky_trace(), &targets, units, &dev).unwrap();
        let (value, gradient) = (traced.array(), traced.backward().get(&t).as_vec());
        let host = loss.sum(&logits, Actual { labels: &labels, sets: Some(&sets) }, units) / 4.0;
        assert!((f64::from(value) - host).abs() < 1e-5, "{value} {host}");
        for ((g, x), z) in gradient.iter().zip(&logits).zip(&targets.values) {
            let expected = (1.0 / (1.0 + (-x).exp()) - z) / 12.0;
            assert!((g - expected).abs() < 1e-6, "{g} {expected}");
        }
        let weighted = Targets { weights: Some(vec![1.0, 0.0, 0.0, 0.0]), ..targets };
        let traced = loss.traced(t.leaky_trace(), &weighted, units, &dev).unwrap().array();
        let first = loss.sum(&logits[..3], Actual { labels: &labels[..1], sets: Some(&sets) }, units) / 4.0;
        assert!((f64::from(traced) - first).abs() < 1e-5);
    }

    #[test]
    fn smoothed_weighted_and_mixed_losses_and_their_gradients_are_keras() {
        let file: Value =
            serde_json::from_str(include_str!("../../tests/api/recipe/reference.json")).unwrap();
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
            let rules = TargetRules {
                smoothing: case["smoothing"].as_f64().unwrap() as f32,
                class_weights,
                sets: None,
            };
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
}
