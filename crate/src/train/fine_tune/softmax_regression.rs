//! The best dense layer for features that stay as they are: L2-regularised logistic regression for one
//! output, softmax regression for several.
//!
//! What `sklearn.linear_model.LogisticRegression` computes with `C = 1 / (l2 · n)`: the mean cross-entropy
//! plus `l2/2 · ‖W‖²`, the bias free of the penalty. The function is convex, so that there is one answer and
//! nothing to tune; it takes seconds where epochs of gradient descent take minutes.
//!
//! The search sees features less their mean `m`: `xW + b = (x − m)W + (b + mW)`, so it looks for `W` and
//! `b + mW`. Features of ReLU6 are all positive and share a large mean, which would make the function hundreds of times
//! steeper along it than anywhere else, and the search slow.

use crate::loss::actual::Actual;
use crate::loss::cross_entropy::binary_cross_entropy;
use crate::loss::Loss;
use crate::optim::lbfgs::{minimize, Minimum};
use crate::progress::{check_stop, stop_requested};
use crate::threads;
use crate::{Error, Result};
use transfer_kernels::{pointwise, pointwise_backward_weights, Activation, PackedWeights};

/// Iterations at most; the usual is 20 to 100.
pub(super) const MAX_ITERATIONS: usize = 200;
/// The gradient's largest element at the end.
pub(super) const TOLERANCE: f64 = 1e-5;

/// What a dense layer is fitted to.
#[derive(Clone, Copy)]
pub(crate) struct Problem<'a> {
    /// `(n, features)`.
    pub features: &'a [f32],
    /// `n` numbers below the number of classes.
    pub labels: &'a [u32],
    /// Outputs: 1 for two classes, else one for each class.
    pub units: usize,
    /// How much an image of each class counts, 1 for all where there is nothing.
    pub class_weights: Option<&'a [f64]>,
    /// The penalty's factor.
    pub l2: f64,
    /// Which images count; all where there is nothing.
    pub seen: Option<&'a [bool]>,
    /// Kernel and bias that the search starts from; zeros where there are none.
    pub start: Option<(&'a [f32], &'a [f32])>,
}

/// A dense layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Solution {
    /// `(features, units)`.
    pub kernel: Vec<f32>,
    /// `units` numbers.
    pub bias: Vec<f32>,
    /// How the search for it ended.
    pub minimum: Minimum,
}

impl Problem<'_> {
    /// Finds the layer; the same problem gives the same bits with any number of threads.
    ///
    /// # Errors
    /// Where there are no images, lengths contradict each other, or a feature is not finite;
    /// [`Error::Interrupted`] where somebody asks for a stop.
    pub fn solve(&self) -> Result<Solution> {
        let (n, units) = (self.labels.len(), self.units);
        if n == 0 || units == 0 || !self.features.len().is_multiple_of(n) || self.features.is_empty() {
            return Err(Error::Shape(format!(
                "A regression expected features (n, c) for n labels, and at least 1 output. Received: {} numbers, \
                 {n} labels, {units} outputs",
                self.features.len()
            )));
        }
        if self.features.iter().any(|v| !v.is_finite()) {
            return Err(Error::Data(
                "A regression expected finite features. Received NaN or infinity: the weights of the base are damaged."
                    .into(),
            ));
        }
        let c = self.features.len() / n;
        let weights = self.image_weights()?;
        let mean = self.mean(&weights);
        let mut x = self.start(c, &mean)?;
        let mut work = Work::new(n, c, units, mean);
        let minimum = threads::pool().install(|| {
            minimize(&mut x, MAX_ITERATIONS, TOLERANCE, |x, g| match stop_requested() {
                // The search never goes where the function is not finite: it ends here.
                true => f64::NAN,
                false => self.value_and_gradient(x, g, &weights, &mut work),
            })
        });
        check_stop("The training of the head")?;
        let (kernel, bias) = x.split_at_mut(c * units);
        uncentred(bias, kernel, &work.mean);
        let single = |v: &[f64]| v.iter().map(|&v| v as f32).collect();
        Ok(Solution { kernel: single(kernel), bias: single(bias), minimum })
    }

    /// The mean loss, without weights and penalty, and the part of the images that a layer is right about.
    pub fn measure(&self, kernel: &[f32], bias: &[f32], loss: Loss) -> (f64, f64) {
        measure(self.features, self.labels.into(), (kernel, bias), loss)
    }

    /// Where the search starts: kernel, and the bias of features less their mean.
    fn start(&self, c: usize, mean: &[f64]) -> Result<Vec<f64>> {
        let units = self.units;
        let Some((kernel, bias)) = self.start else { return Ok(vec![0.0; (c + 1) * units]) };
        if (kernel.len(), bias.len()) != (c * units, units) {
            return Err(Error::Shape(format!(
                "A regression expected to start from a kernel ({c}, {units}) and {units} biases. Received: {} and {} \
                 numbers",
                kernel.len(),
                bias.len()
            )));
        }
        let mut x: Vec<f64> = kernel.iter().chain(bias).map(|&v| f64::from(v)).collect();
        let (kernel, bias) = x.split_at_mut(c * units);
        for (weights, m) in kernel.chunks_exact(units).zip(mean) {
            bias.iter_mut().zip(weights).for_each(|(b, w)| *b += m * w);
        }
        Ok(x)
    }

    /// The share of each image in the loss; they sum to 1.
    fn image_weights(&self) -> Result<Vec<f32>> {
        let classes = Loss::for_units(self.units).classes(self.units);
        let mut weights: Vec<f64> = Vec::with_capacity(self.labels.len());
        for (i, &label) in self.labels.iter().enumerate() {
            if label as usize >= classes {
                return Err(Error::Data(format!(
                    "A regression expected labels below {classes}. Received: {label}"
                )));
            }
            let weight = self.class_weights.map_or(Some(1.0), |w| w.get(label as usize).copied());
            let weight = weight.filter(|w| w.is_finite() && *w >= 0.0).ok_or_else(|| {
                Error::Invalid(format!(
                    "Class {label} expected a weight that is not negative. Received none."
                ))
            })?;
            let counts = self.seen.is_none_or(|seen| seen.get(i).copied().unwrap_or(false));
            weights.push(if counts { weight } else { 0.0 });
        }
        let sum: f64 = weights.iter().sum();
        if sum <= 0.0 {
            return Err(Error::Invalid("At least one class expected a weight above 0.".into()));
        }
        Ok(weights.iter().map(|&w| (w / sum) as f32).collect())
    }

    /// The mean of the features, each image with its share in the loss.
    fn mean(&self, weights: &[f32]) -> Vec<f64> {
        let mut mean = vec![0.0; self.features.len() / self.labels.len()];
        for (row, &weight) in self.features.chunks_exact(mean.len()).zip(weights) {
            mean.iter_mut().zip(row).for_each(|(m, &x)| *m += f64::from(weight) * f64::from(x));
        }
        mean
    }

    fn value_and_gradient(&self, x: &[f64], gradient: &mut [f64], weights: &[f32], work: &mut Work) -> f64 {
        let (n, units) = (self.labels.len(), self.units);
        let c = self.features.len() / n;
        let (centred_kernel, centred_bias) = x.split_at(c * units);
        work.bias.copy_from_slice(centred_bias);
        uncentred(&mut work.bias, centred_kernel, &work.mean);
        let both = centred_kernel.iter().chain(&work.bias);
        work.parameters.iter_mut().zip(both).for_each(|(p, &x)| *p = x as f32);
        let (kernel, bias) = work.parameters.split_at(c * units);
        let packed = PackedWeights::new(kernel, bias, c, units);
        pointwise(self.features, n, &packed, Activation::Linear, None, &mut work.logits);
        let mut value = 0.0;
        for ((row, &label), &weight) in work.logits.chunks_exact_mut(units).zip(self.labels).zip(weights) {
            value += f64::from(weight) * loss_and_slope(row, label as usize);
            row.iter_mut().for_each(|v| *v *= weight);
        }
        pointwise_backward_weights(self.features, &work.logits, n, c, units, &mut work.dw, &mut work.db);
        let (by_kernel, by_bias) = gradient.split_at_mut(c * units);
        for (i, ((g, &dw), &w)) in by_kernel.iter_mut().zip(&work.dw).zip(centred_kernel).enumerate() {
            *g = f64::from(dw) - work.mean[i / units] * f64::from(work.db[i % units]) + self.l2 * w;
        }
        by_bias.iter_mut().zip(&work.db).for_each(|(g, &db)| *g = f64::from(db));
        value + 0.5 * self.l2 * centred_kernel.iter().map(|w| w * w).sum::<f64>()
    }
}

/// The mean loss of a dense layer, and the part of the images that it gets right.
pub(super) fn measure(
    features: &[f32],
    actual: Actual<'_>,
    (kernel, bias): (&[f32], &[f32]),
    loss: Loss,
) -> (f64, f64) {
    let (n, units) = (actual.labels.len(), bias.len());
    let logits = logits(features, n, (kernel, bias));
    (loss.sum(&logits, actual, units) / n as f64, loss.correct(&logits, actual, units) as f64 / n as f64)
}

/// What a dense layer makes of features `(n, c)`: logits `(n, units)`.
pub(super) fn logits(features: &[f32], n: usize, (kernel, bias): (&[f32], &[f32])) -> Vec<f32> {
    let units = bias.len();
    let packed = PackedWeights::new(kernel, bias, features.len() / n.max(1), units);
    let mut logits = vec![0.0; n * units];
    threads::pool().install(|| pointwise(features, n, &packed, Activation::Linear, None, &mut logits));
    logits
}

/// Makes `b + mW` into `b`.
fn uncentred(bias: &mut [f64], kernel: &[f64], mean: &[f64]) {
    for (weights, m) in kernel.chunks_exact(bias.len()).zip(mean) {
        bias.iter_mut().zip(weights).for_each(|(b, w)| *b -= m * w);
    }
}

/// The cross-entropy of one image's logits, which become its gradient by them.
fn loss_and_slope(row: &mut [f32], label: usize) -> f64 {
    if let [logit] = row {
        let (x, z) = (f64::from(*logit), label as f64);
        *logit = (1.0 / (1.0 + (-x).exp()) - z) as f32;
        return binary_cross_entropy(x, z);
    }
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| f64::from(x - max).exp()).sum();
    let actual = f64::from(row[label] - max);
    row.iter_mut().for_each(|x| *x = (f64::from(*x - max).exp() / sum) as f32);
    row[label] -= 1.0;
    sum.ln() - actual
}

/// Memory that one evaluation after the other uses.
struct Work {
    /// Of the features.
    mean: Vec<f64>,
    /// That of features which are not centred.
    bias: Vec<f64>,
    /// Kernel and bias.
    parameters: Vec<f32>,
    logits: Vec<f32>,
    dw: Vec<f32>,
    db: Vec<f32>,
}

impl Work {
    fn new(n: usize, c: usize, units: usize, mean: Vec<f64>) -> Self {
        Work {
            mean,
            bias: vec![0.0; units],
            parameters: vec![0.0; (c + 1) * units],
            logits: vec![0.0; n * units],
            dw: vec![0.0; c * units],
            db: vec![0.0; units],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        match value {
            Value::Array(all) => all.iter().flat_map(numbers).collect(),
            other => vec![other.as_f64().unwrap()],
        }
    }

    fn single(values: &[f64]) -> Vec<f32> {
        values.iter().map(|&v| v as f32).collect()
    }

    #[test]
    fn the_layers_are_scikit_learns() {
        let file: Value =
            serde_json::from_str(include_str!("../../../tests/api/metrics/reference.json")).unwrap();
        let cases = file["logistic_regression"].as_array().unwrap();
        assert!(cases.len() > 20);
        for (number, case) in cases.iter().enumerate() {
            let classes = case["classes"].as_u64().unwrap() as usize;
            let labels: Vec<u32> = numbers(&case["labels"]).iter().map(|&l| l as u32).collect();
            let weights = (!case["weights"].is_null()).then(|| numbers(&case["weights"]));
            let problem = Problem {
                features: &single(&numbers(&case["x"])),
                labels: &labels,
                units: if classes == 2 { 1 } else { classes },
                class_weights: weights.as_deref(),
                l2: case["l2"].as_f64().unwrap(),
                seen: None,
                start: None,
            };
            let found = problem.solve().unwrap();
            for (ours, theirs) in [(&found.kernel, &case["kernel"]), (&found.bias, &case["bias"])] {
                let theirs = numbers(theirs);
                assert_eq!(ours.len(), theirs.len());
                for (a, b) in ours.iter().zip(theirs) {
                    // The search ends where f32 no longer sees the loss fall, which is a little before the bottom.
                    assert!((f64::from(*a) - b).abs() < 5e-3 * b.abs().max(1.0), "case {number}: {a} {b}");
                }
            }
        }
    }

    #[test]
    #[ignore = "one of the children of progress::tests::whatever_waits_or_searches_notices_a_stop"]
    fn child_after_a_stop_the_head_is_not_solved() {
        // Another child in this process may have asked for a stop.
        crate::progress::resume();
        // Classes that overlap, so that there is something to search for.
        let features: Vec<f32> = (0..64).map(|i| (i % 7) as f32).collect();
        let labels: Vec<u32> = (0..64).map(|i| i % 2).collect();
        let problem = Problem {
            features: &features,
            labels: &labels,
            units: 1,
            class_weights: None,
            l2: 1e-3,
            seen: None,
            start: None,
        };
        assert!(problem.solve().unwrap().minimum.iterations > 1);
        crate::progress::request_stop();
        let stopped = problem.solve();
        assert!(matches!(stopped, Err(Error::Interrupted(_))), "{stopped:?}");
    }

    #[test]
    fn what_cannot_be_solved_is_refused() {
        let problem = |features, labels, units| Problem {
            features,
            labels,
            units,
            class_weights: None,
            l2: 0.1,
            seen: None,
            start: None,
        };
        assert!(problem(&[], &[], 1).solve().is_err());
        assert!(problem(&[1.0, 2.0, 3.0], &[0, 1], 1).solve().is_err());
        assert!(problem(&[1.0, 2.0], &[0, 2], 1).solve().unwrap_err().to_string().contains("below 2"));
        assert!(problem(&[1.0, f32::NAN], &[0, 1], 1).solve().unwrap_err().to_string().contains("finite"));
        let none = Problem { class_weights: Some(&[0.0, 0.0]), ..problem(&[1.0, 2.0], &[0, 1], 1) };
        assert!(none.solve().is_err());
    }
}
