//! The steps of a plan that are no blocks, each in one thread.

use super::block::round_rows;
use super::matrix::Matrix;
use super::FrozenPlan;
use crate::conv3x3::cpu::{Band, Image};
use crate::pointwise::cpu::Finish;
use crate::pointwise::PackedWeights;
use crate::workspace::{Buffer, Shared};
use std::ops::Range;

/// The first convolution of an image, where no block takes it in.
pub(super) fn first_convolution(
    plan: &FrozenPlan,
    weights: &PackedWeights,
    x: &[f32],
    out: &mut [f32],
    buffer: &mut Buffer,
) {
    let (h, w) = plan.spec_input;
    let (rows, y) = (0..h.div_ceil(2), Shared::new(out));
    let band = Band {
        image: Image { x, h, w, padding: plan.padding },
        first: 0,
        rows,
        weights,
        relu6: true,
        y,
        buffer,
    };
    // SAFETY: the output has room for the image.
    unsafe { plan.with.dispatch(band) };
}

/// Rows and panels of a pointwise convolution, in this thread.
///
/// # Safety
/// `x` and `y` have the rows; nobody else writes these rows and panels.
pub(super) unsafe fn pointwise(
    plan: &FrozenPlan,
    matrix: &Matrix,
    x: &[f32],
    rows: Range<usize>,
    panels: Range<usize>,
    y: Shared,
    rounded: &mut Buffer,
) {
    let finish = Finish { y, columns: matrix.co(), relu6: true, add: None, mask: None };
    let (x, ldx) = match matrix {
        Matrix::F32(_) => (x, matrix.ci()),
        Matrix::Bf16(..) => (round_rows(plan.with, x, matrix.ci(), rounded), plan.with.factors(matrix.ci())),
    };
    // SAFETY: the caller's promise; behind the rounded rows there is room.
    unsafe { matrix.multiply(x, ldx, rows, panels, finish) };
}

/// The last step: each channel's mean, or a copy.
pub(super) fn finish(plan: &FrozenPlan, x: &[f32], y: &mut [f32]) {
    if !plan.pool {
        return y.copy_from_slice(x);
    }
    let scale = 1.0 / plan.pixels as f32;
    for (y, x) in y.chunks_exact_mut(plan.channels).zip(x.chunks_exact(plan.pixels * plan.channels)) {
        y.fill(0.0);
        for x in x.chunks_exact(plan.channels) {
            y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
        }
        y.iter_mut().for_each(|y| *y *= scale);
    }
}
