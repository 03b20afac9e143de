//! Random contrast, as Keras' layer `RandomContrast`.

use super::{between, Bounds};
use crate::random::Rng;

/// Moves each image's values away from their mean, or closer to it, by a random factor.
///
/// ```
/// use transfer::augment::RandomContrast;
///
/// let layer = RandomContrast::new(0.2); // from 0.8 to 1.2 times the contrast
/// assert_eq!(layer.factor, (0.2, 0.2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomContrast {
    /// By how much the contrast may be less than the image's own, and by how much more: it is between
    /// `1 - factor.0` and `1 + factor.1`, all equally likely.
    pub factor: Bounds,
    /// Between which numbers values lie; what would leave them is cut off.
    pub value_range: Bounds,
}

impl RandomContrast {
    /// A layer that changes the contrast by up to `factor` either way, for grey levels 0..255. A factor
    /// that is not a finite number changes nothing.
    pub fn new(factor: f32) -> Self {
        let factor = if factor.is_finite() { factor.abs() } else { 0.0 };
        Self { factor: (factor, factor), value_range: super::GREY_LEVELS }
    }

    /// Another range of values, such as (-1, 1) behind a `Rescaling`.
    pub fn value_range(mut self, low: f32, high: f32) -> Self {
        self.value_range = (low, high);
        self
    }

    /// What the distance from the mean is multiplied by, for one image.
    pub(super) fn choose(&self, chance: &mut Rng) -> f32 {
        between(chance, (1.0 - self.factor.0, 1.0 + self.factor.1))
    }

    /// `(x − mean)·factor + mean` for each channel by itself, of an image of `c` channels.
    pub(super) fn apply(&self, image: &mut [f32], c: usize, factor: f32) {
        let pixels = (image.len() / c) as f64;
        for channel in 0..c {
            let sum: f64 = image.iter().skip(channel).step_by(c).map(|&v| f64::from(v)).sum();
            let mean = (sum / pixels) as f32;
            for value in image.iter_mut().skip(channel).step_by(c) {
                *value = super::within((*value - mean) * factor + mean, self.value_range);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{applied, noise, spread};
    use super::*;

    #[test]
    fn each_channel_keeps_its_mean_and_changes_its_spread_by_the_factor() {
        let image: Vec<f32> = noise(7 * 5 * 3).iter().map(|v| 60.0 + v / 2.0).collect();
        let layer = RandomContrast { factor: (-0.3, 0.3), value_range: (0.0, 255.0) };
        let changed = applied(layer, &image, (7, 5, 3));
        for channel in 0..3 {
            let of = |image: &[f32]| image.iter().skip(channel).step_by(3).copied().collect::<Vec<f32>>();
            let (before, after) = (of(&image), of(&changed));
            let mean = before.iter().sum::<f32>() / 35.0;
            for (b, a) in before.iter().zip(&after) {
                assert!((a - (mean + 1.3 * (b - mean))).abs() < 1e-3, "{b} became {a}");
            }
        }
    }

    #[test]
    fn values_stay_in_their_range_and_factors_spread_over_theirs() {
        let layer = RandomContrast { factor: (-9.0, 9.0), value_range: (0.0, 255.0) };
        let changed = applied(layer, &noise(300), (10, 10, 3));
        assert!(changed.iter().all(|v| (0.0..=255.0).contains(v)) && changed.contains(&0.0));
        let layer = RandomContrast::new(0.4);
        spread(|chance| layer.choose(chance), (0.6, 1.4));
        assert_eq!(RandomContrast::new(f32::NAN).choose(&mut Rng::new(&[1])), 1.0);
    }
}
