//! The fast first convolution.
//!
//! The three pixels that a row of the window sees are nine numbers in a row, and the next output's
//! nine start six numbers on: so each of the window's rows is a matrix product with rows that
//! overlap, and the register tile of the pointwise convolution does the work.

use crate::pointwise::cpu::{relu6 as relu6_of, store};
use crate::pointwise::tile::{multiply, start, tiles, with_const};
use crate::pointwise::{backward_weights, PackedWeights};
use crate::simd::{dispatch, Isa, Kernel, Simd};
use crate::workspace::{parallel, part, threads, with_scratch, Buffer, Shared};
use crate::{Activation, Padding};
use std::ops::Range;

/// An image, `(h, w, 3)`.
#[derive(Clone, Copy)]
pub(crate) struct Image<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) padding: Padding,
}

impl Image<'_> {
    fn out_w(&self) -> usize {
        self.w.div_ceil(2)
    }

    /// Numbers in a padded row.
    fn padded(&self) -> usize {
        (2 * self.out_w() + 1) * 3
    }

    /// Copies the three padded rows that output row `row` sees into `buffer`.
    #[inline(always)]
    pub(crate) fn window<'b>(&self, row: usize, buffer: &'b mut Buffer) -> &'b [f32] {
        let (width, left) = (self.padded(), 3 * self.padding.before(self.w, 3, 2));
        let rows = buffer.at_least(3 * width);
        for (ky, to) in rows.chunks_exact_mut(width).enumerate() {
            match (2 * row + ky).checked_sub(self.padding.before(self.h, 3, 2)) {
                Some(y) if y < self.h => {
                    to[..left].fill(0.0);
                    to[left..left + 3 * self.w].copy_from_slice(&self.x[y * self.w * 3..][..self.w * 3]);
                    to[left + 3 * self.w..].fill(0.0);
                }
                _ => to.fill(0.0),
            }
        }
        rows
    }
}

/// One row of outputs, of panel `p`'s channels: `put` gets them pixel by pixel, `last` says how many
/// numbers of the last vector to write.
///
/// # Safety
/// `window` is [`Image::window`]'s; `at(x)` has room for the panel's vectors, but in the last one
/// for only `last` numbers.
#[inline(always)]
pub(crate) unsafe fn output_row<S: Simd>(
    window: &[f32],
    width: usize,
    w: &PackedWeights,
    p: usize,
    relu6: bool,
    last: usize,
    at: impl Fn(usize) -> *mut f32,
) {
    let stride = window.len() / 3;
    let (b, bias) = (w.panel(p).as_ptr(), w.panel_bias(p).as_ptr());
    let vectors = w.panel_width(p) / S::LANES;
    macro_rules! tile {
        ($MR:ident, $NV:literal, $x:ident) => {{
            let mut tile = start::<S, $MR, $NV>(bias);
            for ky in 0..3 {
                let rows = window.as_ptr().add(ky * stride + $x * 6);
                multiply::<S, $MR, $NV>(&mut tile, 9, rows, 6, b.add(ky * 9 * $NV * S::LANES));
            }
            if relu6 {
                relu6_of::<S, $MR, $NV>(&mut tile);
            }
            store::<S, $MR, $NV>(&tile, |r| at($x + r), last);
        }};
    }
    for (x, n) in tiles(width, S::ROWS) {
        // SAFETY: the window holds 2 * width + 1 pixels a row, the panel 27 rows.
        unsafe {
            with_const!(n, S::ROWS, MR => {
                if vectors == 2 {
                    tile!(MR, 2, x)
                } else {
                    tile!(MR, 1, x)
                }
            });
        }
    }
}

/// Lengths were checked; `w` is `(27, co)`.
pub(crate) fn forward(
    x: &[f32],
    (n, h, w): (usize, usize, usize),
    padding: Padding,
    weights: &PackedWeights,
    act: Activation,
    y: &mut [f32],
) {
    if y.is_empty() {
        return;
    }
    let out_h = h.div_ceil(2);
    let bands = if threads() == 1 { 1 } else { (4 * threads()).div_ceil(n).min(out_h) };
    let y = Shared::new(y);
    parallel(n * bands, |i| {
        let image = Image { x: &x[i / bands * h * w * 3..][..h * w * 3], h, w, padding };
        let rows = part(out_h, bands, 1, i % bands);
        let first = i / bands * out_h;
        with_scratch(|scratch| {
            let buffer = &mut scratch.a;
            let relu6 = act == Activation::Relu6;
            // SAFETY: lengths were checked; each piece writes rows of its own.
            unsafe { dispatch(weights.isa, Band { image, rows, first, weights, relu6, y, buffer }) };
        });
    });
}

/// Some rows of outputs of an image.
pub(crate) struct Band<'a> {
    pub(crate) image: Image<'a>,
    pub(crate) rows: Range<usize>,
    /// The image's first row among all rows of `y`.
    pub(crate) first: usize,
    pub(crate) weights: &'a PackedWeights,
    pub(crate) relu6: bool,
    pub(crate) y: Shared,
    pub(crate) buffer: &'a mut Buffer,
}

impl Kernel for Band<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Band { image, rows, first, weights, relu6, y, buffer } = self;
        let (co, width) = (weights.co(), image.out_w());
        for row in rows {
            let window = image.window(row, buffer);
            for p in 0..weights.panels() {
                let column = p * 2 * S::LANES;
                let last = (co - column).min(weights.panel_width(p)) + S::LANES - weights.panel_width(p);
                let from = (first + row) * width * co + column;
                // SAFETY: the row's pixels have the panel's channels.
                unsafe {
                    let at = |x: usize| y.at(from + x * co);
                    output_row::<S>(window, width, weights, p, relu6, last, at);
                }
            }
        }
    }
}

/// Lengths were checked.
#[allow(clippy::too_many_arguments)] // the shape of the input, spelled out
pub(crate) fn backward_weights(
    isa: Isa,
    x: &[f32],
    dy: &[f32],
    (n, h, w): (usize, usize, usize),
    padding: Padding,
    co: usize,
    dk: &mut [f32],
    db: &mut [f32],
) {
    dk.fill(0.0);
    db.fill(0.0);
    if dy.is_empty() {
        return;
    }
    let pixels = h.div_ceil(2) * w.div_ceil(2);
    with_scratch(|scratch| {
        // One image's gradients after the other; they are added in the order of the images.
        let each = scratch.a.at_least(n * 28 * co);
        let parts = Shared::new(each);
        parallel(n, |i| {
            with_scratch(|scratch| {
                let image = Image { x: &x[i * h * w * 3..][..h * w * 3], h, w, padding };
                let patches = scratch.c.at_least(pixels * 27);
                unfold(image, &mut scratch.d, patches);
                // SAFETY: each image has a part of its own.
                let part = unsafe { parts.slice_mut(i * 28 * co..(i + 1) * 28 * co) };
                let (dk, db) = part.split_at_mut(27 * co);
                let dy = &dy[i * pixels * co..][..pixels * co];
                backward_weights::run_here(isa, patches, dy, pixels, (27, co), dk, db);
            });
        });
        for part in each.chunks_exact(28 * co) {
            let (k, b) = part.split_at(27 * co);
            dk.iter_mut().zip(k).for_each(|(sum, k)| *sum += k);
            db.iter_mut().zip(b).for_each(|(sum, b)| *sum += b);
        }
    });
}

/// Writes the 27 numbers that each output sees, output by output.
fn unfold(image: Image<'_>, buffer: &mut Buffer, patches: &mut [f32]) {
    let width = image.out_w();
    for (row, patches) in patches.chunks_exact_mut(27 * width).enumerate() {
        let window = image.window(row, buffer);
        for (x, patch) in patches.chunks_exact_mut(27).enumerate() {
            for (to, from) in patch.chunks_exact_mut(9).zip(window.chunks_exact(window.len() / 3)) {
                to.copy_from_slice(&from[x * 6..x * 6 + 9]);
            }
        }
    }
}
