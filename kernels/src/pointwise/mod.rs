//! 1x1 convolution: each pixel's channels times one matrix, `y = act(x W + b (+ residual))`.
//!
//! Rows are pixels, of as many images as one likes: a matrix product. Weights are packed once into
//! the order in which the kernel reads them.
//!
//! ```
//! use transfer_kernels::{pointwise, Activation, PackedWeights};
//! // Two pixels of two channels to one channel: x W + b with W = (1, 10), b = 100.
//! let w = PackedWeights::new(&[1.0, 10.0], &[100.0], 2, 1);
//! let mut y = [0.0; 2];
//! pointwise(&[1.0, 2.0, 3.0, 4.0], 2, &w, Activation::Linear, None, &mut y);
//! assert_eq!(y, [121.0, 143.0]);
//! ```

pub(crate) mod backward_weights;
pub(crate) mod cpu;
mod packed;
pub mod reference;
#[cfg(test)]
mod tests;
pub(crate) mod tile;

pub use packed::PackedWeights;

use super::simd::{active, Isa};
use super::{check_len, count, Activation};

/// `y = act(x W + b (+ residual))`.
///
/// `x` is `(rows, ci)`, `y` and the residual `(rows, co)`.
///
/// # Panics
/// When a slice's length contradicts the shape, or a residual comes with ReLU6, which MobileNetV2
/// never asks for.
pub fn pointwise(
    x: &[f32],
    rows: usize,
    w: &PackedWeights,
    act: Activation,
    residual: Option<&[f32]>,
    y: &mut [f32],
) {
    check_forward("pointwise", (x, residual, y), rows, (w.ci(), w.co()), act);
    cpu::gemm(x, rows, w, act, residual, None, y);
}

/// Gradient by the input: `dx = mask(dy Wᵀ (+ add))`.
///
/// `dy` is `(rows, co)`; `wt` holds the weights packed by [`PackedWeights::new_transposed`]; `dx`
/// is `(rows, ci)`, and so are `mask`, the ReLU6 output that was the convolution's input (the
/// gradient passes where it lies strictly between 0 and 6), and `add`, a gradient that reached the
/// same input by another way.
///
/// # Panics
/// When a slice's length contradicts the shape.
pub fn pointwise_backward_input(
    dy: &[f32],
    rows: usize,
    wt: &PackedWeights,
    mask: Option<&[f32]>,
    add: Option<&[f32]>,
    dx: &mut [f32],
) {
    check_backward_input("pointwise_backward_input", (dy, dx), [mask, add], rows, (wt.ci(), wt.co()));
    cpu::gemm(dy, rows, wt, Activation::Linear, add, mask, dx);
}

/// Gradients by weights and bias, summed over the rows: `dw = xᵀ dy`, `db = Σ dy`; both are
/// overwritten.
///
/// `x` is `(rows, ci)`, `dy` `(rows, co)`, `dw` `(ci, co)`, `db` `(co)`.
///
/// # Panics
/// When a slice's length contradicts the shape.
pub fn pointwise_backward_weights(
    x: &[f32],
    dy: &[f32],
    rows: usize,
    ci: usize,
    co: usize,
    dw: &mut [f32],
    db: &mut [f32],
) {
    backward_weights_on(active(), x, dy, rows, (ci, co), dw, db);
}

fn backward_weights_on(
    isa: Isa,
    x: &[f32],
    dy: &[f32],
    rows: usize,
    (ci, co): (usize, usize),
    dw: &mut [f32],
    db: &mut [f32],
) {
    check_backward_weights("pointwise_backward_weights", (x, dy, dw, db), rows, (ci, co));
    backward_weights::run(isa, x, dy, rows, (ci, co), dw, db);
}

/// Panics unless `x`, a residual and `y` have the lengths of a convolution in any precision, or where a residual comes
/// with an activation.
#[track_caller]
pub(crate) fn check_forward(
    name: &str,
    (x, residual, y): (&[f32], Option<&[f32]>, &[f32]),
    rows: usize,
    (ci, co): (usize, usize),
    act: Activation,
) {
    check_len(format_args!("{name}: x"), x.len(), count(&[rows, ci]));
    check_len(format_args!("{name}: y"), y.len(), count(&[rows, co]));
    if let Some(r) = residual {
        check_len(format_args!("{name}: residual"), r.len(), count(&[rows, co]));
        assert!(act == Activation::Linear, "{name}: a residual is added to a linear convolution only");
    }
}

/// Panics unless `dy`, a mask, what is added and `dx` have the lengths of a gradient by the input.
#[track_caller]
pub(crate) fn check_backward_input(
    name: &str,
    (dy, dx): (&[f32], &[f32]),
    [mask, add]: [Option<&[f32]>; 2],
    rows: usize,
    (co, ci): (usize, usize),
) {
    check_len(format_args!("{name}: dy"), dy.len(), count(&[rows, co]));
    check_len(format_args!("{name}: dx"), dx.len(), count(&[rows, ci]));
    for (what, slice) in [("mask", mask), ("add", add)] {
        if let Some(slice) = slice {
            check_len(format_args!("{name}: {what}"), slice.len(), count(&[rows, ci]));
        }
    }
}

/// Panics unless `x`, `dy`, `dw` and `db` have the lengths of a gradient by the weights.
#[track_caller]
pub(crate) fn check_backward_weights(
    name: &str,
    (x, dy, dw, db): (&[f32], &[f32], &[f32], &[f32]),
    rows: usize,
    (ci, co): (usize, usize),
) {
    check_len(format_args!("{name}: x"), x.len(), count(&[rows, ci]));
    check_len(format_args!("{name}: dy"), dy.len(), count(&[rows, co]));
    check_len(format_args!("{name}: dw"), dw.len(), count(&[ci, co]));
    check_len(format_args!("{name}: db"), db.len(), co);
}
