//! How a photograph of another aspect ratio becomes an image of the size that a model takes.

use super::resize::{resize_window, Window};
use std::fmt;

/// The grey level around a photograph that is padded, in each colour: half of 255, which a model's rescaling to
/// [-1, 1] makes 0. Convolutions pad with the same 0.
pub const PAD_LEVEL: f32 = 127.5;

/// What happens to the aspect ratio of a photograph when it is resized to (height, width).
///
/// A photograph that has the wanted aspect ratio becomes the same image in each case. `docs/fit.md` compares the three
/// on photographs.
///
/// ```
/// use transfer::data::{Fit, ImageDatasetOptions};
/// let options = ImageDatasetOptions::default().image_size(224, 224).fit(Fit::Crop);
/// assert_eq!(ImageDatasetOptions::default().fit, Fit::Squash);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Fit {
    /// The whole photograph, stretched to the size: Keras' `image_dataset_from_directory` without options.
    #[default]
    Squash,
    /// The largest part of the wanted aspect ratio in the middle of the photograph: Keras' `crop_to_aspect_ratio`.
    /// What lies outside is not seen.
    Crop,
    /// The whole photograph with its aspect ratio, in the middle of an image that is otherwise grey ([`PAD_LEVEL`]):
    /// `tf.image.resize_with_pad`, where the rest is black.
    Pad,
}

impl Fit {
    /// All of them.
    pub const ALL: [Fit; 3] = [Fit::Squash, Fit::Crop, Fit::Pad];

    /// `squash`, `crop` or `pad`.
    pub fn name(self) -> &'static str {
        match self {
            Fit::Squash => "squash",
            Fit::Crop => "crop",
            Fit::Pad => "pad",
        }
    }

    /// The window of a photograph of (height, width) that is shown, and the window of the image that it fills.
    fn windows(self, from: (usize, usize), to: (usize, usize)) -> (Window, Window) {
        let (all, image) = (Window::all(from), Window::all(to));
        match self {
            Fit::Squash => (all, image),
            Fit::Crop => (inner(from, to), image),
            Fit::Pad => (all, inside(from, to)),
        }
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The largest window of `shape`'s aspect ratio in the middle of (height, width), of one pixel a side at least.
fn inner((h, w): (usize, usize), shape: (usize, usize)) -> Window {
    // Whole numbers, so that no rounding of a quotient takes a row away.
    let side = |other: usize, numerator: usize, denominator: usize| {
        (other as u64 * numerator as u64 / (denominator as u64).max(1)) as usize
    };
    let height = side(w, shape.0, shape.1).clamp(1, h.max(1));
    let width = side(h, shape.1, shape.0).clamp(1, w.max(1));
    Window { top: h.saturating_sub(height) / 2, left: w.saturating_sub(width) / 2, height, width }
}

/// The window of an image of (height, width) that a photograph `from` fills with its aspect ratio. As TensorFlow, it
/// rounds the longer of the two margins up, and those of a side of 6.4 pixels are 0 and 2 of 8.
fn inside(from: (usize, usize), to: (usize, usize)) -> Window {
    let side = |from: (usize, usize), to: (usize, usize)| {
        let [length, other, room, limit] = [from.0, from.1, to.0, to.1].map(|n| n as u64);
        let exact = (length * limit).min(room * other);
        let other = other.max(1);
        ((exact / other).max(1) as usize, ((room * other - exact) / (2 * other)) as usize)
    };
    let (height, top) = side(from, to);
    let (width, left) = side((from.1, from.0), (to.1, to.0));
    Window { top, left, height, width }
}

/// Resizes an image (h, w, 3) of bytes to `out`, (out_h, out_w, 3), with `row` as scratch.
pub(super) fn resize_to_fit(
    pixels: &[u8],
    size: (usize, usize),
    out: &mut [f32],
    out_size: (usize, usize),
    fit: Fit,
    row: &mut Vec<f32>,
) {
    let (shown, filled) = fit.windows(size, out_size);
    if filled != Window::all(out_size) {
        out.fill(PAD_LEVEL);
    }
    resize_window((pixels, size.1, shown), 3, (out, out_size.1, filled), row);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::resize;
    use ndarray::{s, Array3};
    use serde_json::Value;

    fn fitted(image: &Array3<u8>, size: (usize, usize), fit: Fit) -> Vec<f32> {
        let mut out = vec![-1.0; size.0 * size.1 * 3];
        let (h, w, _) = image.dim();
        resize_to_fit(image.as_slice().unwrap(), (h, w), &mut out, size, fit, &mut Vec::new());
        out
    }

    /// As `tests/fit/make_reference.py` makes them.
    fn picture(h: usize, w: usize) -> Array3<u8> {
        Array3::from_shape_fn((h, w, 3), |(y, x, k)| ((y * 37 + x * 11 + k * 71 + (y * x) % 13) % 256) as u8)
    }

    #[test]
    fn crop_and_pad_are_keras_and_tensorflows() {
        let file: Value = serde_json::from_str(include_str!("../../tests/api/fit/reference.json")).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert!(cases.len() >= 20);
        for case in cases {
            let n = |name: &str, i: usize| case[name][i].as_u64().unwrap() as usize;
            let (image, size) = (picture(n("from", 0), n("from", 1)), (n("to", 0), n("to", 1)));
            for fit in Fit::ALL {
                let theirs = case[fit.name()].as_array().unwrap();
                let ours = fitted(&image, size, fit);
                assert_eq!(ours.len(), theirs.len());
                for (a, b) in ours.iter().zip(theirs) {
                    let b = b.as_f64().unwrap() as f32;
                    assert!((a - b).abs() < 2e-3, "{fit} of {:?} to {size:?}: {a}, {b}", image.dim());
                }
            }
        }
    }

    #[test]
    fn squash_has_the_bits_of_resize_and_so_have_all_at_the_wanted_aspect_ratio() {
        let image = picture(30, 45);
        let plain = |size| resize(image.view(), size).unwrap().into_raw_vec_and_offset().0;
        assert_eq!(fitted(&image, (17, 91), Fit::Squash), plain((17, 91)));
        for fit in Fit::ALL {
            assert_eq!(fitted(&image, (20, 30), fit), plain((20, 30)), "{fit}");
        }
    }

    #[test]
    fn crop_is_the_resized_middle_and_pad_the_resized_whole_in_grey() {
        let wide = picture(20, 50);
        let middle = wide.slice(s![.., 15..35, ..]).to_owned();
        let expected = resize(middle.view(), (10, 10)).unwrap().into_raw_vec_and_offset().0;
        assert_eq!(fitted(&wide, (10, 10), Fit::Crop), expected);
        let padded = Array3::from_shape_vec((10, 10, 3), fitted(&wide, (10, 10), Fit::Pad)).unwrap();
        assert_eq!(padded.slice(s![3..7, .., ..]), resize(wide.view(), (4, 10)).unwrap());
        assert!(padded.slice(s![..3, .., ..]).iter().all(|&v| v == PAD_LEVEL));
        assert!(padded.slice(s![7.., .., ..]).iter().all(|&v| v == PAD_LEVEL));
    }

    #[test]
    fn a_line_of_pixels_is_seen_however_long_it_is() {
        for (h, w) in [(1, 10_000), (10_000, 1), (1, 1), (2, 65_000)] {
            let line = Array3::from_elem((h, w, 3), 9);
            for size in [(8, 8), (1, 1), (3, 40)] {
                for fit in Fit::ALL {
                    let image = fitted(&line, size, fit);
                    assert!(image.contains(&9.0), "{fit} of {h}x{w} to {size:?}");
                    assert!(image.iter().all(|&v| v == 9.0 || (fit == Fit::Pad && v == PAD_LEVEL)));
                }
            }
        }
    }
}
