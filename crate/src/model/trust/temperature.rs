//! The temperature that makes probabilities mean what they say.

use std::fmt;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::loss::cross_entropy::binary_cross_entropy;
use crate::loss::Loss;
use crate::{Error, Result};

/// No temperature lies outside of `e^-3 … e^3`, 0.05 to 20.
const LARGEST_LOGARITHM: f64 = 3.0;
/// How far the logarithm of a temperature usually is from 0: the standard deviation that is assumed before any image is
/// seen.
const USUAL: f64 = 0.25;
/// Steps of the search, each of which leaves 62 % of the range.
const STEPS: usize = 60;

/// What a temperature was fitted on, and what it changed.
///
/// Printed, it is one line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Calibration {
    /// Logits are divided by it before they become probabilities. Above 1 the model was too sure, below 1 not sure
    /// enough.
    pub temperature: f64,
    /// Number of images that it was fitted on, none of which the model, or the head that predicted it, had seen.
    pub images: usize,
    /// Mean cross-entropy of these images with a temperature of 1.
    pub loss_before: f64,
    /// Mean cross-entropy of these images with this temperature.
    pub loss_after: f64,
}

impl Calibration {
    /// Refuses what no calibration can have found.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_temperature(self.temperature)?;
        match self.loss_before.is_finite() && self.loss_after.is_finite() {
            true => Ok(()),
            false => Err(format!("expected finite losses of a calibration. Received: {self:?}")),
        }
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "temperature {:.3}, from {} photographs that were not trained on (their loss: {:.4} before, {:.4} after)",
            self.temperature, self.images, self.loss_before, self.loss_after
        )
    }
}

/// Refuses what logits cannot be divided by.
pub(crate) fn check_temperature(temperature: f64) -> Result<(), String> {
    match (1e-3..=1e3).contains(&temperature) {
        true => Ok(()),
        false => Err(format!("expected a temperature from 0.001 to 1000. Received: {temperature}")),
    }
}

/// Finds the temperature of logits `(n, units)` and the actual class of each image: logits are divided by it before
/// they become probabilities (Guo et al. 2017, <https://arxiv.org/abs/1706.04599>, section 4.2). It changes no
/// predicted class. The images must be ones that the model was not trained on.
///
/// The temperature `T` minimises the sum of the cross-entropies plus `(ln T)² / (2 · 0.25²)`. The second term says that
/// temperatures are usually near 1. It hardly matters for a thousand images, and keeps a few, of which all happen to be
/// right, from making a model certain of everything: the best temperature for these would be 0.
///
/// # Errors
/// [`Error::Shape`] where there is not one row for each label; [`Error::Data`] where there are no images or a label
/// is no class; [`Error::Weights`] for logits that are not finite.
///
/// ```
/// use ndarray::Array2;
/// use transfer::model::temperature_scaling;
///
/// // Sure of everything, and wrong about every fourth image.
/// let logits = Array2::from_elem((100, 1), 8.0f32);
/// let labels: Vec<u32> = (0..100).map(|i| u32::from(i % 4 > 0)).collect();
/// let found = temperature_scaling(&logits, &labels)?;
/// assert!(found.temperature > 2.0 && found.loss_after < found.loss_before);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn temperature_scaling(logits: &Array2<f32>, labels: &[u32]) -> Result<Calibration> {
    let (n, units) = logits.dim();
    if n != labels.len() {
        return Err(Error::Shape(format!(
            "temperature_scaling expected one row of logits for each label. Received: {n} rows, {} labels",
            labels.len()
        )));
    }
    if n == 0 || units == 0 {
        return Err(Error::Data("temperature_scaling expected at least one image. Received none.".into()));
    }
    let loss = Loss::for_units(units);
    loss.check_labels(units, labels)?;
    if let Some(value) = logits.iter().find(|v| !v.is_finite()) {
        return Err(Error::Weights(format!("temperature_scaling expected finite logits. Received: {value}")));
    }
    let sum = |logarithm: f64| -> f64 {
        let temperature = logarithm.exp();
        let rows = logits.rows().into_iter().zip(labels);
        rows.map(|(row, &label)| cross_entropy(row.iter().map(|&z| f64::from(z) / temperature), label)).sum()
    };
    let logarithm = golden_section(LARGEST_LOGARITHM, |t| sum(t) + 0.5 * (t / USUAL).powi(2));
    Ok(Calibration {
        temperature: logarithm.exp(),
        images: n,
        loss_before: sum(0.0) / n as f64,
        loss_after: sum(logarithm) / n as f64,
    })
}

/// Of one image: from its one logit, or from one of each class.
fn cross_entropy(logits: impl ExactSizeIterator<Item = f64> + Clone, label: u32) -> f64 {
    if logits.len() == 1 {
        return binary_cross_entropy(logits.sum(), f64::from(label));
    }
    let max = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.clone().map(|x| (x - max).exp()).sum();
    sum.ln() + max - logits.clone().nth(label as usize).unwrap_or(max)
}

/// Where `f` is smallest from `-bound` to `bound`, if it falls and then rises.
fn golden_section(bound: f64, f: impl Fn(f64) -> f64) -> f64 {
    let part = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-bound, bound);
    let (mut left, mut right) = (high - part * (high - low), low + part * (high - low));
    let (mut at_left, mut at_right) = (f(left), f(right));
    for _ in 0..STEPS {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - part * (high - low);
            at_left = f(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + part * (high - low);
            at_right = f(right);
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    /// Labels that are drawn with the probabilities of the logits over a temperature.
    fn drawn(n: usize, units: usize, temperature: f64) -> (Array2<f32>, Vec<u32>) {
        let mut rng = Rng::new(&[n as u64, units as u64]);
        let logits = Array2::from_shape_simple_fn((n, units), || 8.0 * rng.uniform() - 4.0);
        let classes = units.max(2) as u32;
        let draw = |row: ndarray::ArrayView1<f32>| {
            let scaled: Vec<f64> = row.iter().map(|&z| f64::from(z) / temperature).collect();
            let mut left = f64::from(rng.uniform());
            (0..classes)
                .find(|&class| {
                    left -= (-cross_entropy(scaled.iter().copied(), class)).exp();
                    left < 0.0
                })
                .unwrap_or(classes - 1)
        };
        let labels = logits.rows().into_iter().map(draw).collect();
        (logits, labels)
    }

    #[test]
    fn the_temperature_that_labels_were_drawn_with_is_found() {
        for units in [1, 3, 10] {
            for temperature in [0.5, 1.0, 3.0] {
                let (logits, labels) = drawn(20_000, units, temperature);
                let found = temperature_scaling(&logits, &labels).unwrap();
                assert!(
                    (found.temperature / temperature - 1.0).abs() < 0.05,
                    "{units} {temperature}: {found}"
                );
                assert!(found.loss_after <= found.loss_before);
            }
        }
    }

    #[test]
    fn a_few_images_that_are_all_right_do_not_make_a_model_certain() {
        let logits = Array2::from_elem((10, 1), 2.0);
        let found = temperature_scaling(&logits, &[1; 10]).unwrap();
        assert!((0.6..0.99).contains(&found.temperature), "{found}");
        let nothing = temperature_scaling(&Array2::zeros((10, 1)), &[1; 10]).unwrap();
        assert!((nothing.temperature - 1.0).abs() < 1e-6, "{nothing}");
    }

    #[test]
    fn what_has_no_temperature_is_refused() {
        let says = |result: Result<Calibration>, what: &str| {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(what), "{text}");
        };
        says(temperature_scaling(&Array2::zeros((2, 1)), &[1]), "2 rows, 1 labels");
        says(temperature_scaling(&Array2::zeros((0, 3)), &[]), "at least one image");
        says(temperature_scaling(&Array2::zeros((1, 3)), &[3]), "from 0 to 2");
        says(temperature_scaling(&Array2::from_elem((1, 3), f32::NAN), &[0]), "NaN");
        let odd = Calibration { temperature: 0.0, images: 1, loss_before: 0.1, loss_after: 0.1 };
        assert!(odd.check().is_err() && Calibration { temperature: 2.0, ..odd }.check().is_ok());
    }
}
