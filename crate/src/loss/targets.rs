//! What a batch is trained towards: from labels to the numbers that the loss takes, with label smoothing,
//! class weights, and the mixed labels of MixUp. Validation knows nothing of it: there, labels are labels.

use crate::augment::mixup::Mix;
use crate::data::LabelSets;
use crate::loss::Loss;

/// What each image of a batch is to become.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// A probability for each output: for one output that of the second class, otherwise of each class.
    pub values: Vec<f32>,
    /// What each image's loss is multiplied by; `None` where all count 1.
    pub weights: Option<Vec<f32>>,
    /// The class that an image counts as right for.
    pub labels: Vec<u32>,
}

/// How labels become targets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TargetRules {
    /// Keras' `label_smoothing`.
    pub smoothing: f32,
    /// What an image of each class counts.
    pub class_weights: Option<Vec<f32>>,
    /// What labels mean where photographs may have several.
    pub sets: Option<LabelSets>,
}

impl Targets {
    /// The labels as they are.
    pub fn of_labels(labels: &[u32], loss: Loss, units: usize) -> Self {
        TargetRules::default().targets(labels, None, loss, units)
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }
}

impl TargetRules {
    /// The targets of a batch. Labels have been checked.
    pub fn targets(&self, labels: &[u32], mix: Option<&[Mix]>, loss: Loss, units: usize) -> Targets {
        let n = labels.len();
        let (mut values, mut weights) = (vec![0.0; n * units], vec![1.0; n]);
        let mut dominant = labels.to_vec();
        for (i, row) in values.chunks_exact_mut(units).enumerate() {
            let other = mix.map(|mix| mix[i]).filter(|mix| labels[mix.partner] != labels[i]);
            let Some(Mix { partner, part }) = other else {
                weights[i] = self.weight(labels[i]);
                self.add(row, labels[i], 1.0, loss);
                continue;
            };
            let (own, its) = (part * self.weight(labels[i]), (1.0 - part) * self.weight(labels[partner]));
            self.add(row, labels[i], own, loss);
            self.add(row, labels[partner], its, loss);
            let weight = own + its;
            // The loss takes probabilities, and how much they count beside them.
            if weight > 0.0 {
                row.iter_mut().for_each(|value| *value /= weight);
            }
            weights[i] = weight;
            if part < 0.5 {
                dominant[i] = labels[partner];
            }
        }
        let weights = self.class_weights.is_some().then_some(weights);
        Targets { values, weights, labels: dominant }
    }

    fn weight(&self, label: u32) -> f32 {
        self.class_weights.as_ref().map_or(1.0, |weights| weights[label as usize])
    }

    /// Adds `counts` times the target of `label` to a row.
    fn add(&self, row: &mut [f32], label: u32, counts: f32, loss: Loss) {
        let s = self.smoothing;
        match loss {
            Loss::BinaryCrossentropy => row[0] += counts * (label as f32 * (1.0 - s) + 0.5 * s),
            Loss::MultiLabelBinaryCrossentropy => {
                row.iter_mut().for_each(|value| *value += counts * 0.5 * s);
                for &class in self.sets.as_ref().map_or(&[][..], |sets| sets.of(label)) {
                    row[class as usize] += counts * (1.0 - s);
                }
            }
            Loss::SparseCategoricalCrossentropy => {
                let rest = s / row.len() as f32;
                for (class, value) in row.iter_mut().enumerate() {
                    *value += counts * if class == label as usize { 1.0 - s + rest } else { rest };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINARY: Loss = Loss::BinaryCrossentropy;
    const CATEGORICAL: Loss = Loss::SparseCategoricalCrossentropy;

    #[test]
    fn sets_of_labels_are_smoothed_and_mixed_class_by_class() {
        let sets = LabelSets::new(3, vec![vec![0, 2], vec![]]).unwrap();
        let rules = TargetRules { smoothing: 0.2, sets: Some(sets), ..TargetRules::default() };
        let of =
            |mix: Option<&[Mix]>| rules.targets(&[0, 1], mix, Loss::MultiLabelBinaryCrossentropy, 3).values;
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(&of(None), &[0.9, 0.1, 0.9, 0.1, 0.1, 0.1]));
        let mix = [Mix { partner: 1, part: 0.75 }, Mix { partner: 0, part: 1.0 }];
        assert!(near(&of(Some(&mix)), &[0.7, 0.1, 0.7, 0.1, 0.1, 0.1]));
    }

    #[test]
    fn labels_alone_are_zeros_and_ones() {
        assert_eq!(Targets::of_labels(&[1, 0], BINARY, 1).values, [1.0, 0.0]);
        let targets = Targets::of_labels(&[2, 0], CATEGORICAL, 3);
        assert_eq!((targets.values, targets.weights), (vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0], None));
    }

    #[test]
    fn mixed_labels_are_weighted_each_by_its_own_class() {
        let rules = TargetRules { class_weights: Some(vec![1.0, 3.0]), ..TargetRules::default() };
        let mix =
            [Mix { partner: 1, part: 0.25 }, Mix { partner: 0, part: 1.0 }, Mix { partner: 1, part: 0.3 }];
        let targets = rules.targets(&[0, 1, 1], Some(&mix), BINARY, 1);
        // A quarter of class 0 and three quarters of class 1, which counts three times as much.
        let weight = 0.25 + 0.75 * 3.0;
        assert_eq!(targets.weights, Some(vec![weight, 3.0, 3.0]));
        assert_eq!(targets.values, [0.75 * 3.0 / weight, 1.0, 1.0]);
        assert_eq!(targets.labels, [1, 1, 1], "what most of it shows");
    }

    #[test]
    fn each_row_is_a_distribution_whatever_the_rules() {
        let rules = TargetRules {
            smoothing: 0.1,
            class_weights: Some(vec![0.5, 2.0, 7.0]),
            ..TargetRules::default()
        };
        let mix =
            [Mix { partner: 2, part: 0.6 }, Mix { partner: 1, part: 0.9 }, Mix { partner: 0, part: 0.0 }];
        let targets = rules.targets(&[0, 1, 2], Some(&mix), CATEGORICAL, 3);
        for row in targets.values.chunks(3) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
        }
        assert_eq!(targets.labels, [0, 1, 0]);
    }

    #[test]
    fn classes_that_count_nothing_give_no_quotient_of_zeros() {
        let rules = TargetRules {
            smoothing: 0.1,
            class_weights: Some(vec![0.0, 0.0, 1.0]),
            ..TargetRules::default()
        };
        let mix = [Mix { partner: 1, part: 0.5 }, Mix { partner: 0, part: 0.5 }];
        let targets = rules.targets(&[0, 1], Some(&mix), CATEGORICAL, 3);
        assert!(targets.values.iter().all(|v| v.is_finite()));
        assert_eq!(targets.weights, Some(vec![0.0, 0.0]));
    }
}
