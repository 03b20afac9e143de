//! 1x1 convolutions whose factors are rounded to bfloat16, and their gradients. Sums and results are f32.

use super::gemm::{Gemm, Round};
use super::{backward_weights, dispatch, padded, Bf16Unit, PackedBf16, SIDE};
use crate::pointwise::cpu::{pieces_of_rows, Finish};
use crate::pointwise::{check_backward_input, check_backward_weights, check_forward};
use crate::workspace::{parallel, part, with_scratch, Shared};
use crate::Activation;

/// [`pointwise`](crate::pointwise()) with `x` and the weights rounded to bfloat16.
///
/// `x` is `(rows, ci)`, `y` and the residual `(rows, co)`.
///
/// # Panics
/// When a slice's length contradicts the shape, or a residual comes with ReLU6.
///
/// ```
/// use transfer_kernels::{pointwise_bf16, Activation, Bf16Unit, PackedBf16};
/// // Two pixels of two channels to one channel, where the processor multiplies in bfloat16.
/// if let Ok(unit) = Bf16Unit::best() {
///     let w = PackedBf16::new(unit, &[1.0, 10.0], &[100.0], 2, 1);
///     let mut y = [0.0; 2];
///     // 2.002 is rounded to 2.
///     pointwise_bf16(&[1.0, 2.002, 3.0, 4.0], 2, &w, Activation::Linear, None, &mut y);
///     assert_eq!(y, [121.0, 143.0]);
/// }
/// ```
pub fn pointwise_bf16(
    x: &[f32],
    rows: usize,
    w: &PackedBf16,
    act: Activation,
    residual: Option<&[f32]>,
    y: &mut [f32],
) {
    check_forward("pointwise_bf16", (x, residual, y), rows, (w.ci(), w.co()), act);
    let relu6 = act == Activation::Relu6;
    gemm(x, rows, w, Finish { y: Shared::new(y), columns: w.co(), relu6, add: residual, mask: None });
}

/// [`pointwise_backward_input`](crate::pointwise_backward_input) with `dy` and the weights rounded to bfloat16.
///
/// `dy` is `(rows, co)`; `wt` holds the weights packed by [`PackedBf16::new_transposed`]; `dx`, `mask` and `add` are
/// `(rows, ci)`.
///
/// # Panics
/// When a slice's length contradicts the shape.
pub fn pointwise_backward_input_bf16(
    dy: &[f32],
    rows: usize,
    wt: &PackedBf16,
    mask: Option<&[f32]>,
    add: Option<&[f32]>,
    dx: &mut [f32],
) {
    check_backward_input("pointwise_backward_input_bf16", (dy, dx), [mask, add], rows, (wt.ci(), wt.co()));
    gemm(dy, rows, wt, Finish { y: Shared::new(dx), columns: wt.co(), relu6: false, add, mask });
}

/// [`pointwise_backward_weights`](crate::pointwise_backward_weights) with `x` and `dy` rounded to bfloat16; the gradient
/// by the bias sums `dy` as it is.
///
/// `x` is `(rows, ci)`, `dy` `(rows, co)`, `dw` `(ci, co)`, `db` `(co)`.
///
/// # Panics
/// When a slice's length contradicts the shape, or the processor does not have the unit.
#[allow(clippy::too_many_arguments)] // the arguments of its namesake, and the unit
pub fn pointwise_backward_weights_bf16(
    unit: Bf16Unit,
    x: &[f32],
    dy: &[f32],
    rows: usize,
    ci: usize,
    co: usize,
    dw: &mut [f32],
    db: &mut [f32],
) {
    unit.check();
    check_backward_weights("pointwise_backward_weights_bf16", (x, dy, dw, db), rows, (ci, co));
    backward_weights::run(unit, x, dy, rows, (ci, co), dw, db);
}

/// A product on all threads: each rounds some rows, and multiplies them.
fn gemm(x: &[f32], rows: usize, w: &PackedBf16, finish: Finish<'_>) {
    let (ci, unit) = (w.ci(), w.unit());
    let pieces = pieces_of_rows(rows, ci);
    parallel(pieces, |i| {
        let rows = part(rows, pieces, SIDE, i);
        if rows.is_empty() {
            return;
        }
        let (x, n) = (&x[rows.start * ci..rows.end * ci], rows.len());
        let finish = finish.rows_from(rows.start);
        with_scratch(|scratch| {
            scratch.a.at_least((n + SIDE) * padded(ci) / 2);
            // SAFETY: the weights' unit is there; lengths were checked, the rounded rows have SIDE more behind them, and
            // no two pieces have a row in common.
            unsafe {
                dispatch(unit, Round { x, c: ci, to: &mut scratch.a.as_bf16_mut()[..n * padded(ci)] });
                let (x, ldx) = (scratch.a.as_bf16().as_ptr(), padded(ci));
                dispatch(unit, Gemm { unit, x, ldx, w, rows: 0..n, panels: 0..w.panels(), finish });
            }
        });
    });
}
