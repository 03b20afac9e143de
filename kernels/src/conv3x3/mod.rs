//! The first convolution: 3x3 over the three colours, stride 2.
//!
//! [`Padding`] says where the zeros around an image lie. There is no gradient by the input, since nobody trains photographs.
//!
//! ```
//! use transfer_kernels::{conv3x3_first, Activation, Padding};
//! // Sums over all that a window sees, of a 2x2 image of ones.
//! let mut y = [0.0; 1];
//! conv3x3_first(&[1.0; 12], 1, 2, 2, Padding::Same, &[1.0; 27], &[0.25], 1, Activation::Linear, &mut y);
//! assert_eq!(y, [12.25]);
//! ```

pub(crate) mod cpu;
pub mod reference;
#[cfg(test)]
mod tests;

use super::simd::{active, Isa};
use super::{check_len, count};
use super::{Activation, PackedWeights, Padding};

/// `y = act(x ∗ k + bias)`.
///
/// `x` is `(n, h, w, 3)`, `k` `(3, 3, 3, co)`, `y` `(n, ceil(h / 2), ceil(w / 2), co)`.
///
/// # Panics
/// When a slice's length contradicts the shape.
#[allow(clippy::too_many_arguments)] // the shape of the input, spelled out
pub fn conv3x3_first(
    x: &[f32],
    n: usize,
    h: usize,
    w: usize,
    padding: Padding,
    k: &[f32],
    bias: &[f32],
    co: usize,
    act: Activation,
    y: &mut [f32],
) {
    forward_on(active(), x, (n, h, w), padding, k, bias, co, act, y);
}

#[allow(clippy::too_many_arguments)] // as above
fn forward_on(
    isa: Isa,
    x: &[f32],
    (n, h, w): (usize, usize, usize),
    padding: Padding,
    k: &[f32],
    bias: &[f32],
    co: usize,
    act: Activation,
    y: &mut [f32],
) {
    check_len("conv3x3_first: x", x.len(), count(&[n, h, w, 3]));
    check_len("conv3x3_first: y", y.len(), count(&[n, h.div_ceil(2), w.div_ceil(2), co]));
    check_len("conv3x3_first: k", k.len(), count(&[27, co]));
    check_len("conv3x3_first: bias", bias.len(), co);
    cpu::forward(x, (n, h, w), padding, &PackedWeights::new_on(isa, k, bias, 27, co), act, y);
}

/// Gradients by kernel and bias, summed over images and pixels; both are overwritten.
///
/// `x` is `(n, h, w, 3)`, `dy` `(n, ceil(h / 2), ceil(w / 2), co)`, `dk` `(3, 3, 3, co)`, `db`
/// `(co)`.
///
/// # Panics
/// When a slice's length contradicts the shape.
#[allow(clippy::too_many_arguments)] // the shape of the input, spelled out
pub fn conv3x3_first_backward_weights(
    x: &[f32],
    dy: &[f32],
    n: usize,
    h: usize,
    w: usize,
    padding: Padding,
    co: usize,
    dk: &mut [f32],
    db: &mut [f32],
) {
    backward_weights_on(active(), x, dy, (n, h, w), padding, co, dk, db);
}

#[allow(clippy::too_many_arguments)] // as above
fn backward_weights_on(
    isa: Isa,
    x: &[f32],
    dy: &[f32],
    (n, h, w): (usize, usize, usize),
    padding: Padding,
    co: usize,
    dk: &mut [f32],
    db: &mut [f32],
) {
    check_len("conv3x3_first_backward_weights: x", x.len(), count(&[n, h, w, 3]));
    check_len("conv3x3_first_backward_weights: dy", dy.len(), count(&[n, h.div_ceil(2), w.div_ceil(2), co]));
    check_len("conv3x3_first_backward_weights: dk", dk.len(), count(&[27, co]));
    check_len("conv3x3_first_backward_weights: db", db.len(), co);
    cpu::backward_weights(isa, x, dy, (n, h, w), padding, co, dk, db);
}
