//! Bilinear resize exactly as `tf.image.resize` does it: half-pixel centres, no antialiasing, and
//! a result in `f32` that is not rounded.
//!
//! Not a general scaler: no other filter. What is cropped or padded is for [`Fit`](super::Fit) to say. Where an image
//! shrinks by more than two, pixels in between are passed over, because TensorFlow passes over them.

use crate::{Error, Result};
use ndarray::{Array3, ArrayView3};

/// Resizes one image (h, w, c) to `size` = (height, width).
///
/// # Errors
/// Where either image would be empty.
///
/// ```
/// use ndarray::arr3;
/// let image = arr3(&[[[0u8], [100]]]);
/// let wide = transfer::data::resize(image.view(), (1, 4)).unwrap();
/// assert_eq!(wide.as_slice().unwrap(), [0.0, 25.0, 75.0, 100.0]);
/// ```
pub fn resize(image: ArrayView3<'_, u8>, size: (usize, usize)) -> Result<Array3<f32>> {
    let (h, w, c) = image.dim();
    if h == 0 || w == 0 || c == 0 || size.0 == 0 || size.1 == 0 {
        return Err(Error::Shape(format!(
            "resize: expected images with at least one pixel and channel. Received: ({h}, {w}, {c}) to {size:?}"
        )));
    }
    let image = image.as_standard_layout();
    let pixels = image.as_slice().unwrap_or_default();
    let mut out = Array3::zeros((size.0, size.1, c));
    if let Some(out) = out.as_slice_mut() {
        resize_into(pixels, (h, w), c, out, size, &mut Vec::new());
    }
    Ok(out)
}

/// Where one output coordinate lies between two input coordinates.
#[derive(Debug, Clone, Copy)]
struct Tap {
    lower: usize,
    upper: usize,
    weight: f32,
}

fn taps(from: usize, to: usize) -> impl Iterator<Item = Tap> {
    let scale = from as f32 / to as f32;
    (0..to).map(move |i| {
        let at = (i as f32 + 0.5) * scale - 0.5;
        let below = at.floor();
        Tap {
            lower: below.max(0.0) as usize,
            upper: (at.ceil().max(0.0) as usize).min(from - 1),
            weight: at - below,
        }
    })
}

/// A part of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

impl Window {
    /// The whole of an image of (height, width).
    pub fn all((height, width): (usize, usize)) -> Self {
        Window { top: 0, left: 0, height, width }
    }
}

/// [`resize`] on slices, with `row` as scratch.
pub(super) fn resize_into(
    pixels: &[u8],
    size: (usize, usize),
    c: usize,
    out: &mut [f32],
    out_size: (usize, usize),
    row: &mut Vec<f32>,
) {
    resize_window((pixels, size.1, Window::all(size)), c, (out, out_size.1, Window::all(out_size)), row);
}

/// Resizes a window of an image to a window of another, each given with the image's pixels and width. Rows are blended
/// first, since whole rows of bytes vectorise and single pixels do not.
pub(super) fn resize_window(
    (pixels, w, from): (&[u8], usize, Window),
    c: usize,
    (out, out_w, to): (&mut [f32], usize, Window),
    row: &mut Vec<f32>,
) {
    let columns: Vec<Tap> =
        taps(from.width, to.width).map(|t| Tap { lower: t.lower * c, upper: t.upper * c, ..t }).collect();
    // One number more than the row has, so that three channels can be read as four.
    row.resize(from.width * c + 1, 0.0);
    let rows = out.chunks_exact_mut(out_w * c).skip(to.top);
    for (tap, out) in taps(from.height, to.height).zip(rows) {
        let line = |y: usize| &pixels[((from.top + y) * w + from.left) * c..][..from.width * c];
        blend_rows(line(tap.lower), line(tap.upper), tap.weight, row);
        let out = &mut out[to.left * c..][..to.width * c];
        if c == 3 {
            blend_columns_rgb(row, &columns, out);
        } else {
            for (tap, out) in columns.iter().zip(out.chunks_exact_mut(c)) {
                for (k, out) in out.iter_mut().enumerate() {
                    let (a, b) = (row[tap.lower + k], row[tap.upper + k]);
                    *out = a + (b - a) * tap.weight;
                }
            }
        }
    }
}

/// Picks the same code compiled for wider registers, where the processor has them.
fn blend_rows(a: &[u8], b: &[u8], weight: f32, row: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn wide(a: &[u8], b: &[u8], weight: f32, row: &mut [f32]) {
            blend_rows_here(a, b, weight, row);
        }
        // SAFETY: the processor was just asked.
        return unsafe { wide(a, b, weight, row) };
    }
    blend_rows_here(a, b, weight, row);
}

#[inline(always)]
fn blend_rows_here(a: &[u8], b: &[u8], weight: f32, row: &mut [f32]) {
    if weight == 0.0 {
        for (row, &a) in row.iter_mut().zip(a) {
            *row = f32::from(a);
        }
        return;
    }
    for ((row, &a), &b) in row.iter_mut().zip(a).zip(b) {
        let a = f32::from(a);
        *row = a + (f32::from(b) - a) * weight;
    }
}

fn blend_columns_rgb(row: &[f32], columns: &[Tap], out: &mut [f32]) {
    let four = |at: usize| -> [f32; 4] { std::array::from_fn(|k| row[at..][..4][k]) };
    let mix = |tap: &Tap| -> [f32; 4] {
        let (a, b) = (four(tap.lower), four(tap.upper));
        std::array::from_fn(|k| a[k] + (b[k] - a[k]) * tap.weight)
    };
    // Four numbers are written for three; the next pixel overwrites the fourth.
    let Some((last, most)) = columns.split_last() else { return };
    for (i, tap) in most.iter().enumerate() {
        out[i * 3..][..4].copy_from_slice(&mix(tap));
    }
    out[most.len() * 3..].copy_from_slice(&mix(last)[..3]);
}

/// The same, pixel by pixel, from TensorFlow's definition.
#[cfg(test)]
pub(super) mod reference {
    pub fn resize(pixels: &[u8], (h, w): (usize, usize), c: usize, (oh, ow): (usize, usize)) -> Vec<f32> {
        let place = |i: usize, from: usize, to: usize| {
            let at = (i as f32 + 0.5) * (from as f32 / to as f32) - 0.5;
            let low = at.floor();
            let clamp = |v: f32| v.clamp(0.0, from as f32 - 1.0) as usize;
            (clamp(low), clamp(low + 1.0), at - low)
        };
        let mut out = Vec::new();
        for y in 0..oh {
            let (y0, y1, ty) = place(y, h, oh);
            for x in 0..ow {
                let (x0, x1, tx) = place(x, w, ow);
                for k in 0..c {
                    let at = |y: usize, x: usize| f32::from(pixels[(y * w + x) * c + k]);
                    let top = at(y0, x0) + (at(y0, x1) - at(y0, x0)) * tx;
                    let bottom = at(y1, x0) + (at(y1, x1) - at(y1, x0)) * tx;
                    out.push(top + (bottom - top) * ty);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_shape_and_channel_count_equals_the_reference() {
        let mut rng = crate::random::Rng::new(&[1]);
        for (h, w, c, oh, ow) in [
            (1, 1, 3, 7, 5),
            (5, 9, 3, 5, 9),
            (64, 3, 3, 11, 40),
            (31, 77, 1, 16, 16),
            (10, 20, 4, 33, 7),
            (2, 2, 3, 1, 1),
        ] {
            let pixels: Vec<u8> = (0..h * w * c).map(|_| rng.below(256) as u8).collect();
            let image = ArrayView3::from_shape((h, w, c), &pixels).unwrap();
            let ours = resize(image, (oh, ow)).unwrap();
            let wanted = reference::resize(&pixels, (h, w), c, (oh, ow));
            for (a, b) in ours.iter().zip(&wanted) {
                assert!((a - b).abs() < 2e-4, "{a} and {b} at {h}x{w}x{c} to {oh}x{ow}");
            }
        }
    }

    #[test]
    fn a_view_with_strides_is_resized_like_its_copy() {
        let image = Array3::from_shape_fn((6, 8, 3), |(y, x, k)| (y * 30 + x * 3 + k) as u8);
        let turned = image.view().permuted_axes([1, 0, 2]);
        assert_eq!(
            resize(turned, (4, 4)).unwrap(),
            resize(turned.as_standard_layout().view(), (4, 4)).unwrap()
        );
    }

    #[test]
    fn an_empty_image_is_an_error() {
        let image = Array3::<u8>::zeros((0, 4, 3));
        assert!(resize(image.view(), (2, 2)).unwrap_err().to_string().contains("(0, 4, 3)"));
    }
}
