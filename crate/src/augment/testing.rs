//! What the tests of layers share: images, and the definition of a placement in f64.

use super::{AugmentationLayer, Sequential};
use crate::data::ImageKey;
use crate::random::Rng;

/// `n` grey levels.
pub(super) fn noise(n: usize) -> Vec<f32> {
    let mut rng = Rng::new(&[n as u64]);
    (0..n).map(|_| rng.uniform() * 255.0).collect()
}

/// What a layer makes of an image (h, w, c).
pub(super) fn applied(
    layer: impl Into<AugmentationLayer>,
    image: &[f32],
    size: (usize, usize, usize),
) -> Vec<f32> {
    let mut image = image.to_vec();
    Sequential::new().add(layer).apply(&mut image, size, ImageKey { epoch: 0, index: 0 }, &mut Vec::new());
    image
}

/// Checks a layer whose choice is fixed: the value at (y, x) is that at `from((y, x), (h, w))`, bilinear,
/// and the image goes on as its reflection.
pub(super) fn check_placement(
    layer: impl Into<AugmentationLayer> + Copy,
    from: impl Fn((f64, f64), (f64, f64)) -> (f64, f64),
) {
    for (h, w, c) in [(16, 24, 3), (24, 16, 3), (9, 9, 1), (1, 5, 3), (2, 2, 3), (40, 6, 3)] {
        let image = noise(h * w * c);
        let got = applied(layer, &image, (h, w, c));
        // The reflected image, without end: d c b a | a b c d | d c b a.
        let mirrored = |i: f64, len: usize| {
            let i = (i as i64).rem_euclid(2 * len as i64) as usize;
            i.min(2 * len - 1 - i)
        };
        for (i, got) in got.iter().enumerate() {
            let (y, x, channel) = (i / (w * c), i / c % w, i % c);
            let (at_y, at_x) = from((y as f64, x as f64), (h as f64, w as f64));
            let (top, left) = (at_y.floor(), at_x.floor());
            let value =
                |y: f64, x: f64| f64::from(image[(mirrored(y, h) * w + mirrored(x, w)) * c + channel]);
            let row = |y: f64| value(y, left) * (left + 1.0 - at_x) + value(y, left + 1.0) * (at_x - left);
            let expected = row(top) * (top + 1.0 - at_y) + row(top + 1.0) * (at_y - top);
            assert!((f64::from(*got) - expected).abs() < 0.02, "{h}x{w}x{c} at {y}, {x}: {got}, {expected}");
        }
    }
}

/// Checks that a choice reaches all of `low..high`, and nothing beyond it.
pub(super) fn spread(choose: impl Fn(&mut Rng) -> f32, (low, high): (f32, f32)) {
    let mut bins = [0; 8];
    for i in 0..4000 {
        let value = choose(&mut Rng::new(&[6, i]));
        assert!((low - 1e-3..=high + 1e-3).contains(&value), "{value} is not between {low} and {high}");
        bins[((value - low) / (high - low) * 8.0).clamp(0.0, 7.0) as usize] += 1;
    }
    assert!(bins.iter().all(|&n| n > 350), "{bins:?}");
}
