//! Random shift, as Keras' layer `RandomTranslation` with its defaults: bilinear, and what lies outside
//! the image is its reflection.

use super::rotation::Turn;
use super::{between, Bounds};
use crate::random::Rng;

/// Shifts each image by a random part of its size.
///
/// ```
/// use transfer::augment::RandomTranslation;
///
/// // Up to a tenth of the height up or down, up to a fifth of the width left or right.
/// let layer = RandomTranslation::new(0.1, 0.2);
/// assert_eq!(layer.width_factor, (-0.2, 0.2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomTranslation {
    /// Between which parts of the height the shift lies, all equally likely; positive is down.
    pub height_factor: Bounds,
    /// Between which parts of the width; positive is to the right.
    pub width_factor: Bounds,
}

impl RandomTranslation {
    /// A layer that shifts by up to these parts of height and width either way. A part that is not a
    /// finite number shifts by nothing.
    pub fn new(height_factor: f32, width_factor: f32) -> Self {
        let (height_factor, width_factor) =
            (super::around_zero(height_factor), super::around_zero(width_factor));
        Self { height_factor, width_factor }
    }

    /// Where the pixels of one image come from.
    pub(super) fn choose(&self, chance: &mut Rng, h: usize, w: usize) -> Turn {
        let down = between(chance, self.height_factor) * h as f32;
        let right = between(chance, self.width_factor) * w as f32;
        Turn { to_x: [1.0, 0.0, -right], to_y: [0.0, 1.0, -down] }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_placement, spread};
    use super::*;

    #[test]
    fn every_pixel_comes_from_the_same_distance() {
        for (down, right) in [(0.25, -0.1), (-0.33, 0.0), (0.0, 0.5)] {
            let layer = RandomTranslation { height_factor: (down, down), width_factor: (right, right) };
            check_placement(layer, |(y, x), (h, w)| (y - f64::from(down) * h, x - f64::from(right) * w));
        }
    }

    #[test]
    fn shifts_are_spread_over_their_range() {
        let layer = RandomTranslation::new(0.5, -0.25);
        spread(|chance| layer.choose(chance, 10, 20).to_y[2], (-5.0, 5.0));
        spread(|chance| layer.choose(chance, 10, 20).to_x[2], (-5.0, 5.0));
        assert_eq!(RandomTranslation::new(f32::INFINITY, 0.0).height_factor, (0.0, 0.0));
    }
}
