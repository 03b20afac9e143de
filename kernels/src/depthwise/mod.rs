//! Depthwise convolution with kernels of 3x3 or 5x5: each channel by itself.
//!
//! [`Padding`] says where the zeros around an image lie. The output measures `ceil(size / stride)`.
//!
//! ```
//! use transfer_kernels::{depthwise, Activation, DepthwiseShape, Padding};
//! // Sums of the 3x3 neighbourhoods in a 2x2 image of ones: all four pixels lie within reach.
//! let shape = DepthwiseShape { n: 1, h: 2, w: 2, c: 1, stride: 1, side: 3, padding: Padding::Same };
//! let mut y = [0.0; 4];
//! depthwise(&[1.0; 4], shape, &[1.0; 9], &[0.5], Activation::Linear, &mut y);
//! assert_eq!(y, [4.5; 4]);
//! ```

mod backward_weights;
mod cpu;
pub mod reference;
pub(crate) mod rows;
#[cfg(test)]
mod tests;

use super::simd::{active, Isa};
use super::{check_len, count, Activation, Padding};

/// The input of a depthwise convolution, and its stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthwiseShape {
    /// Images.
    pub n: usize,
    /// Height of the input.
    pub h: usize,
    /// Width of the input.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Side of the kernel, 3 or 5.
    pub side: usize,
    /// Where the zeros around an image lie.
    pub padding: Padding,
}

impl DepthwiseShape {
    /// Height of the output.
    pub fn out_h(&self) -> usize {
        self.h.div_ceil(self.stride)
    }

    /// Width of the output.
    pub fn out_w(&self) -> usize {
        self.w.div_ceil(self.stride)
    }

    /// Rows of zeros above the image.
    pub fn pad_top(&self) -> usize {
        self.padding.before(self.h, self.side, self.stride)
    }

    /// Columns of zeros left of the image.
    pub fn pad_left(&self) -> usize {
        self.padding.before(self.w, self.side, self.stride)
    }

    fn input_len(&self) -> usize {
        count(&[self.n, self.h, self.w, self.c])
    }

    fn output_len(&self) -> usize {
        count(&[self.n, self.out_h(), self.out_w(), self.c])
    }

    /// Numbers in the kernel.
    pub(crate) fn kernel_len(&self) -> usize {
        count(&[self.side, self.side, self.c])
    }

    #[track_caller]
    fn check(&self) {
        assert!(matches!(self.stride, 1 | 2), "depthwise: stride must be 1 or 2. Received: {}.", self.stride);
        assert!(matches!(self.side, 3 | 5), "depthwise: side must be 3 or 5. Received: {}.", self.side);
    }
}

/// `y = act(x ∗ k + bias)`.
///
/// `x` is `(n, h, w, c)`, `k` `(side, side, c)`, `y` `(n, out_h, out_w, c)`.
///
/// # Panics
/// When a slice's length contradicts the shape, or stride and side are none that [`DepthwiseShape`] allows.
pub fn depthwise(x: &[f32], shape: DepthwiseShape, k: &[f32], bias: &[f32], act: Activation, y: &mut [f32]) {
    forward_on(active(), x, shape, k, bias, act, y);
}

fn forward_on(
    isa: Isa,
    x: &[f32],
    shape: DepthwiseShape,
    k: &[f32],
    bias: &[f32],
    act: Activation,
    y: &mut [f32],
) {
    shape.check();
    check_len("depthwise: x", x.len(), shape.input_len());
    check_len("depthwise: k", k.len(), shape.kernel_len());
    check_len("depthwise: bias", bias.len(), shape.c);
    check_len("depthwise: y", y.len(), shape.output_len());
    cpu::forward(isa, x, shape, k, bias, act, y);
}

/// Gradient by the input: `dx = mask(dy ∗ᵀ k)`.
///
/// `dy` is `(n, out_h, out_w, c)`, `dx` as the shape says, and so is `mask`, the ReLU6 output that
/// was the convolution's input: the gradient passes where it lies strictly between 0 and 6.
///
/// # Panics
/// When a slice's length contradicts the shape, or stride and side are none that [`DepthwiseShape`] allows.
pub fn depthwise_backward_input(
    dy: &[f32],
    shape: DepthwiseShape,
    k: &[f32],
    mask: Option<&[f32]>,
    dx: &mut [f32],
) {
    backward_input_on(active(), dy, shape, k, mask, dx);
}

fn backward_input_on(
    isa: Isa,
    dy: &[f32],
    shape: DepthwiseShape,
    k: &[f32],
    mask: Option<&[f32]>,
    dx: &mut [f32],
) {
    shape.check();
    check_len("depthwise_backward_input: dy", dy.len(), shape.output_len());
    check_len("depthwise_backward_input: k", k.len(), shape.kernel_len());
    check_len("depthwise_backward_input: dx", dx.len(), shape.input_len());
    if let Some(mask) = mask {
        check_len("depthwise_backward_input: mask", mask.len(), shape.input_len());
    }
    cpu::backward_input(isa, dy, shape, k, mask, dx);
}

/// Gradients by kernel and bias, summed over images and pixels; both are overwritten.
///
/// `x` is as the shape says, `dy` `(n, out_h, out_w, c)`, `dk` `(side, side, c)`, `db` `(c)`.
///
/// # Panics
/// When a slice's length contradicts the shape, or stride and side are none that [`DepthwiseShape`] allows.
pub fn depthwise_backward_weights(
    x: &[f32],
    dy: &[f32],
    shape: DepthwiseShape,
    dk: &mut [f32],
    db: &mut [f32],
) {
    backward_weights_on(active(), x, dy, shape, dk, db);
}

fn backward_weights_on(
    isa: Isa,
    x: &[f32],
    dy: &[f32],
    shape: DepthwiseShape,
    dk: &mut [f32],
    db: &mut [f32],
) {
    shape.check();
    check_len("depthwise_backward_weights: x", x.len(), shape.input_len());
    check_len("depthwise_backward_weights: dy", dy.len(), shape.output_len());
    check_len("depthwise_backward_weights: dk", dk.len(), shape.kernel_len());
    check_len("depthwise_backward_weights: db", db.len(), shape.c);
    backward_weights::run(isa, x, dy, shape, dk, db);
}
