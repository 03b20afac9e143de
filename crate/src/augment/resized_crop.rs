//! A random part of the image, enlarged to the whole, as torchvision's `RandomResizedCrop` with its
//! defaults.
//!
//! One difference: what lies at the crop's border is mixed with what lies beyond it, if the image goes on
//! there; torchvision cuts first and repeats the border.

use super::rotation::Turn;
use super::{between, Bounds};
use crate::random::Rng;

/// Cuts a random part out of each image and enlarges it to the image's size.
///
/// ```
/// use transfer::augment::RandomResizedCrop;
///
/// let layer = RandomResizedCrop::new();
/// assert_eq!(layer.scale, (0.08, 1.0));
/// let gentle = RandomResizedCrop::new().scale(0.5, 1.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomResizedCrop {
    /// Between which parts of the image's area the crop's lies, all equally likely.
    pub scale: Bounds,
    /// Between which numbers the crop's width divided by its height lies, before it is enlarged; half
    /// and double are equally likely.
    pub ratio: Bounds,
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self::new()
    }
}

/// A part of an image, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Crop {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

/// How often a crop may turn out larger than the image before a middle one is taken.
const TRIES: usize = 10;

impl RandomResizedCrop {
    /// From 8 % of the image to all of it, and ratios from 3:4 to 4:3.
    pub fn new() -> Self {
        Self { scale: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0) }
    }

    /// Other parts of the area. With small ones the crop may miss what the photograph is of.
    pub fn scale(mut self, least: f32, most: f32) -> Self {
        self.scale = (least, most);
        self
    }

    /// Other ratios. The further from 1, the more things are stretched.
    pub fn ratio(mut self, least: f32, most: f32) -> Self {
        self.ratio = (least, most);
        self
    }

    /// Where the pixels of one image come from.
    pub(super) fn choose(&self, chance: &mut Rng, h: usize, w: usize) -> Turn {
        let crop = self.crop(chance, h, w);
        // Half a pixel, since it is pixels' centres that are mapped.
        let line = |from: usize, part: usize, len: usize| {
            let step = part as f32 / len as f32;
            (step, from as f32 + 0.5 * step - 0.5)
        };
        let ((across, left), (down, top)) = (line(crop.left, crop.width, w), line(crop.top, crop.height, h));
        Turn { to_x: [across, 0.0, left], to_y: [0.0, down, top] }
    }

    fn crop(&self, chance: &mut Rng, h: usize, w: usize) -> Crop {
        let usable = |v: f32, or: f32| if v.is_finite() && v > 0.0 { v } else { or };
        let scale = (usable(self.scale.0, 0.08), usable(self.scale.1, 1.0));
        let (low, high) = (usable(self.ratio.0, 1.0), usable(self.ratio.1, 1.0));
        for _ in 0..TRIES {
            let area = (h * w) as f32 * between(chance, scale);
            let ratio = between(chance, (low.ln(), high.ln())).exp();
            let side = |of: f32| of.sqrt().round().min(1e9) as usize;
            let (width, height) = (side(area * ratio), side(area / ratio));
            if (1..=w).contains(&width) && (1..=h).contains(&height) {
                let (top, left) = (chance.below(h - height + 1), chance.below(w - width + 1));
                return Crop { top, left, height, width };
            }
        }
        // The largest one in the middle that has a ratio as wanted.
        let ratio = w as f32 / h as f32;
        let (height, width) = if ratio < low.min(high) {
            ((w as f32 / low.min(high)).round() as usize, w)
        } else if ratio > low.max(high) {
            (h, (h as f32 * low.max(high)).round() as usize)
        } else {
            (h, w)
        };
        let (height, width) = (height.clamp(1, h), width.clamp(1, w));
        Crop { top: (h - height) / 2, left: (w - width) / 2, height, width }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_placement, spread};
    use super::*;

    #[test]
    fn crops_lie_inside_and_have_the_wanted_areas_and_ratios() {
        let layer = RandomResizedCrop::new().scale(0.2, 0.6);
        let (h, w) = (160, 160);
        let crop = |chance: &mut Rng| layer.crop(chance, h, w);
        spread(
            |chance| {
                let Crop { top, left, height, width } = crop(chance);
                assert!(top + height <= h && left + width <= w);
                let ratio = width as f32 / height as f32;
                assert!((0.72..1.38).contains(&ratio), "{ratio}");
                (height * width) as f32 / (h * w) as f32
            },
            (0.195, 0.605),
        );
        // Large enough that whole pixels do not show.
        let logarithm = |crop: Crop| (crop.width as f32 / crop.height as f32).ln();
        spread(|chance| logarithm(layer.crop(chance, 4000, 4000)), (-0.289, 0.289));
        let all = RandomResizedCrop::new().scale(1.0, 1.0).ratio(1.0, 1.0);
        assert_eq!(all.crop(&mut Rng::new(&[1]), 7, 7), Crop { top: 0, left: 0, height: 7, width: 7 });
    }

    #[test]
    fn a_crop_is_enlarged_to_the_whole_image() {
        // No crop of half the ratio fits, so it is the one in the middle: all of the height.
        let layer = RandomResizedCrop::new().scale(1.0, 1.0).ratio(0.5, 0.5);
        check_placement(layer, |(y, x), (h, w)| {
            let width = (h * 0.5).round().min(w);
            let height = if w / h < 0.5 { (w / 0.5).round() } else { h };
            let (top, left) = (((h - height) / 2.0).floor(), ((w - width) / 2.0).floor());
            (top + (y + 0.5) * height / h - 0.5, left + (x + 0.5) * width / w - 0.5)
        });
    }

    #[test]
    fn the_whole_image_is_itself_and_no_setting_leaves_it() {
        let image: Vec<f32> = (0..12 * 20 * 3).map(|i| (i * 37 % 251) as f32).collect();
        let turned = |layer: RandomResizedCrop, seed: u64| {
            let mut image = image.clone();
            let layers = super::super::Sequential::new().add(layer).seed(seed);
            layers.apply(
                &mut image,
                (12, 20, 3),
                crate::data::ImageKey { epoch: 0, index: 0 },
                &mut Vec::new(),
            );
            image
        };
        assert_eq!(
            turned(RandomResizedCrop::new().scale(1.0, 1.0).ratio(20.0 / 12.0, 20.0 / 12.0), 1),
            image
        );
        for value in [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e30, 1e-30] {
            for seed in 0..5 {
                let out = turned(RandomResizedCrop::new().scale(value, value).ratio(value, 1.0), seed);
                assert!(out.iter().all(|v| (0.0..=250.01).contains(v)));
            }
        }
    }
}
