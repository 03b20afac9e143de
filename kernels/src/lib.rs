//! Convolutions and their gradients on plain slices, on all cores of a CPU.
//!
//! Slices go in, slices come out; there is no tensor type. The functions are those that mobile networks for images are
//! made of:
//!
//! | function | what it computes |
//! |---|---|
//! | [`pointwise()`] and its two gradients | 1x1 convolution: a matrix product with bias, activation and residual |
//! | [`pointwise_bf16()`] and its two gradients | the same with factors rounded to bfloat16, where the processor has a [`Bf16Unit`] |
//! | [`depthwise()`] and its two gradients | 3x3 or 5x5 convolution of each channel by itself, stride 1 or 2 |
//! | [`conv3x3_first`] and its gradient | 3x3 convolution of an image with 3 channels, stride 2 |
//! | [`FrozenPlan`] | a whole network without gradients: packed once, fused, in f32 or bfloat16 |
//! | [`batch_norm`] | folds BatchNormalization into a convolution, and the gradients back out |
//! | [`pooling`], [`relu6_backward`], [`optimizer`] | mean over pixels, the gradient of ReLU6, Adam and RMSprop |
//!
//! ```
//! use transfer_kernels::{depthwise, Activation, DepthwiseShape, Padding};
//! // One image of 4x4 pixels and 2 channels; each channel has a 3x3 kernel of its own.
//! let shape = DepthwiseShape { n: 1, h: 4, w: 4, c: 2, stride: 2, side: 3, padding: Padding::Same };
//! let x = [0.5; 4 * 4 * 2];
//! let kernel = [0.25; 3 * 3 * 2];
//! let bias = [1.0, -1.0];
//! let mut y = [0.0; 2 * 2 * 2];
//! depthwise(&x, shape, &kernel, &bias, Activation::Relu6, &mut y);
//! assert_eq!(y[..2], [2.125, 0.125]);
//! ```
//!
//! # Layout
//! Images and activations are NHWC: `(n, h, w, c)`, contiguous, channels innermost. Kernels have their output channels
//! innermost: `(3, 3, c)` of a depthwise convolution, `(ci, co)` of a pointwise one.
//!
//! # Instruction sets and threads
//! The instruction set is chosen when the first kernel runs: the best that the processor has of AVX-512, AVX2, NEON
//! and portable code. The environment variable `TRANSFER_ISA` (`avx512`, `avx2`, `neon`, `portable`) asks for a lesser
//! one. All functions share one pool of threads, see [`threads`]. Results have the same bits with any number of
//! threads, because no sum is split between threads; they differ in the last bits between instruction sets.
//!
//! # Errors and panics
//! A slice whose length contradicts the stated shape is a mistake of the calling program: the function panics and
//! names the argument, the length that was expected and the length that was received. Whatever depends on data from
//! outside (the shapes of a [`FrozenSpec`], an instruction set asked for by name) is checked and gives an [`Error`].
//!
//! Each fast kernel has a plain one in f64 beside it, in a module called `reference`. The tests hold one against the
//! other on every instruction set that the processor has.

mod activation;
mod add;
pub mod batch_norm;
pub mod bf16;
mod block;
pub mod conv3x3;
pub mod depthwise;
mod error;
pub mod frozen;
pub mod kept;
pub(crate) mod meeting;
pub mod optimizer;
mod padding;
pub mod pointwise;
pub mod pooling;
mod precision;
pub mod random;
pub mod recycled;
mod settings;
pub mod simd;
mod sync;
pub(crate) mod team;
#[doc(hidden)]
pub mod testing;
pub mod threads;
mod warm;
pub mod workspace;

pub use activation::{relu6_backward, Activation};
pub use add::add_into;
pub use bf16::{
    pointwise_backward_input_bf16, pointwise_backward_weights_bf16, pointwise_bf16, Bf16Unit, PackedBf16,
};
pub use block::BlockShape;
pub use conv3x3::{conv3x3_first, conv3x3_first_backward_weights};
pub use depthwise::{depthwise, depthwise_backward_input, depthwise_backward_weights, DepthwiseShape};
pub use error::{Error, Result};
pub use frozen::{FoldedBlock, FoldedConv, FoldedUnit, FrozenPlan, FrozenSpec, Images};
pub use padding::Padding;
pub use pointwise::{pointwise, pointwise_backward_input, pointwise_backward_weights, PackedWeights};
pub use precision::Precision;
pub use warm::warm;

/// Panics with a text unless a slice has the length that the shape asks for.
#[track_caller]
pub(crate) fn check_len(what: impl std::fmt::Display, len: usize, expected: usize) {
    assert!(len == expected, "{what} must hold {expected} numbers for the given shape. Received: {len}.");
}

/// Numbers in an array of these sides. Saturates, so that no absurd shape matches a real slice.
pub fn count(sides: &[usize]) -> usize {
    sides.iter().fold(1, |product, &side| product.saturating_mul(side))
}
