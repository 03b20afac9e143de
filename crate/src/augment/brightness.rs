//! Random brightness, as Keras' layer `RandomBrightness`.

use super::{between, Bounds};
use crate::random::Rng;

/// Adds a random number to all of an image's values.
///
/// ```
/// use transfer::augment::RandomBrightness;
///
/// let layer = RandomBrightness::new(0.2); // up to 51 grey levels darker or brighter
/// assert_eq!(layer.factor, (-0.2, 0.2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomBrightness {
    /// Between which parts of the range of values the number lies, all equally likely.
    pub factor: Bounds,
    /// Between which numbers values lie; what would leave them is cut off.
    pub value_range: Bounds,
}

impl RandomBrightness {
    /// A layer that darkens or brightens by up to `factor` of the range, for grey levels 0..255. A
    /// factor that is not a finite number changes nothing.
    pub fn new(factor: f32) -> Self {
        Self { factor: super::around_zero(factor), value_range: super::GREY_LEVELS }
    }

    /// Another range of values, such as (-1, 1) behind a `Rescaling`.
    pub fn value_range(mut self, low: f32, high: f32) -> Self {
        self.value_range = (low, high);
        self
    }

    /// What is added to the values of one image.
    pub(super) fn choose(&self, chance: &mut Rng) -> f32 {
        between(chance, self.factor) * (self.value_range.1 - self.value_range.0)
    }

    pub(super) fn apply(&self, image: &mut [f32], delta: f32) {
        for value in image {
            *value = super::within(*value + delta, self.value_range);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{applied, noise, spread};
    use super::*;

    #[test]
    fn all_values_move_by_the_same_part_of_their_range_and_stay_in_it() {
        let image = noise(4 * 6 * 3);
        for factor in [0.25, -0.5] {
            let layer = RandomBrightness { factor: (factor, factor), value_range: (0.0, 255.0) };
            for (before, after) in image.iter().zip(applied(layer, &image, (4, 6, 3))) {
                assert_eq!(after, (before + factor * 255.0).clamp(0.0, 255.0));
            }
        }
        let scaled: Vec<f32> = image.iter().map(|v| v / 127.5 - 1.0).collect();
        let layer =
            RandomBrightness { factor: (0.25, 0.25), ..RandomBrightness::new(0.0) }.value_range(-1.0, 1.0);
        for (before, after) in scaled.iter().zip(applied(layer, &scaled, (4, 6, 3))) {
            assert_eq!(after, (before + 0.5).clamp(-1.0, 1.0));
        }
    }

    #[test]
    fn factors_are_spread_over_their_range() {
        let layer = RandomBrightness::new(-0.2);
        spread(|chance| layer.choose(chance), (-51.0, 51.0));
        assert_eq!(RandomBrightness::new(f32::NAN).choose(&mut Rng::new(&[1])), 0.0);
    }
}
