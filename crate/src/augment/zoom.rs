//! Random zoom about the centre, as Keras' layer `RandomZoom` with its defaults: bilinear, and what lies
//! outside the image is its reflection.

use super::rotation::Turn;
use super::{between, Bounds};
use crate::random::Rng;

/// Zooms each image in or out by a random factor.
///
/// ```
/// use transfer::augment::RandomZoom;
///
/// let layer = RandomZoom::new(0.2); // things get 20 % smaller to 20 % larger
/// assert_eq!(layer.height_factor, (-0.2, 0.2));
/// let only_in = RandomZoom { height_factor: (-0.5, 0.0), width_factor: None };
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomZoom {
    /// Between which numbers the factor lies, all equally likely: the image shows `1 + factor` times its
    /// own height, so that a negative one zooms in and a positive one out.
    pub height_factor: Bounds,
    /// The same for the width; `None` takes the height's factor, which keeps the aspect.
    pub width_factor: Option<Bounds>,
}

impl RandomZoom {
    /// A layer that zooms by up to `factor` in and out and keeps the aspect. A factor that is not a
    /// finite number zooms by nothing.
    pub fn new(factor: f32) -> Self {
        Self { height_factor: super::around_zero(factor), width_factor: None }
    }

    /// Another factor for the width, chosen by itself.
    pub fn width_factor(mut self, factor: f32) -> Self {
        self.width_factor = Some(super::around_zero(factor));
        self
    }

    /// Where the pixels of one image come from.
    pub(super) fn choose(&self, chance: &mut Rng, h: usize, w: usize) -> Turn {
        // A factor of -1 would show a single point.
        let zoom = |factor: f32| (1.0 + factor).max(0.01);
        let high = zoom(between(chance, self.height_factor));
        let wide = self.width_factor.map_or(high, |range| zoom(between(chance, range)));
        let offset = |zoom: f32, len: usize| (len as f32 - 1.0) / 2.0 * (1.0 - zoom);
        Turn { to_x: [wide, 0.0, offset(wide, w)], to_y: [0.0, high, offset(high, h)] }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_placement, spread};
    use super::*;

    #[test]
    fn the_middle_stays_and_distances_from_it_grow_by_the_factor() {
        for (height, width) in [(0.4, -0.3), (-0.5, 0.0), (0.0, 1.5)] {
            let layer = RandomZoom { height_factor: (height, height), width_factor: Some((width, width)) };
            check_placement(layer, |(y, x), (h, w)| {
                let (middle_y, middle_x) = ((h - 1.0) / 2.0, (w - 1.0) / 2.0);
                (
                    middle_y + (y - middle_y) * (1.0 + f64::from(height)),
                    middle_x + (x - middle_x) * (1.0 + f64::from(width)),
                )
            });
        }
    }

    #[test]
    fn factors_are_spread_over_their_range_and_keep_the_aspect_unless_told_otherwise() {
        let layer = RandomZoom::new(0.3);
        spread(|chance| layer.choose(chance, 8, 8).to_y[1], (0.7, 1.3));
        let one = layer.choose(&mut Rng::new(&[1]), 8, 8);
        assert_eq!(one.to_x[0], one.to_y[1]);
        let other = layer.width_factor(0.1).choose(&mut Rng::new(&[1]), 8, 8);
        assert_ne!(other.to_x[0], other.to_y[1]);
        assert_eq!(RandomZoom::new(f32::NAN).height_factor, (0.0, 0.0));
        let point = RandomZoom { height_factor: (-7.0, -7.0), width_factor: None };
        assert_eq!(point.choose(&mut Rng::new(&[1]), 8, 8).to_x[0], 0.01);
    }
}
