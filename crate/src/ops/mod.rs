//! The ops: on dfdx's tape ([`inverted_residual`], [`conv`], [`head`], over any [`backend`]), and below
//! them the convolutions on the CPU as plain functions on slices, which the rest of this page is about.
//!
//! Images and activations are NHWC and contiguous, BatchNorm is already folded into weights and
//! bias, and the ReLU6, a residual or a ReLU6's gradient mask ride along in the last step of a
//! convolution. All functions use the threads of [`crate::threads::pool`]; results are the same
//! bits whatever their number, because no sum is ever split between threads.
//!
//! Each kernel's folder holds the entry points with their checks (`mod.rs`), the fast form
//! (`cpu.rs`) and plain scalar loops that say what is meant (`reference.rs`), which the tests hold
//! against each other.
//!
//! Slices whose lengths contradict the stated shape are a mistake of the caller's program, not of
//! its input: these functions panic and say which one it was.

mod activation;
pub mod backend;
pub mod bf16;
pub(crate) mod buffer;
pub mod conv;
pub mod conv3x3;
pub mod conv_bn;
mod cpu;
#[cfg(any(test, feature = "cuda"))]
pub(crate) mod cuda;
pub mod depthwise;
pub mod frozen;
pub mod head;
pub mod inverted_residual;
pub(crate) mod kept;
pub(crate) mod lent;
pub(crate) mod meeting;
pub mod pointwise;
pub(crate) mod pooling;
pub mod simd;
mod sync;
pub(crate) mod team;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod view;
pub(crate) mod warm;
pub(crate) mod workspace;

pub use activation::{relu6_backward, Activation};
pub use bf16::Bf16Unit;
pub use conv3x3::{conv3x3_first, conv3x3_first_backward_weights};
pub use depthwise::{depthwise, depthwise_backward_input, depthwise_backward_weights, DepthwiseShape};
pub use frozen::{FoldedBlock, FoldedConv, FrozenPlan, FrozenSpec};
pub use pointwise::{pointwise, pointwise_backward_input, pointwise_backward_weights, PackedWeights};

/// Panics with a text unless a slice has the length that the shape asks for.
#[track_caller]
pub(crate) fn check_len(what: &str, len: usize, expected: usize) {
    assert!(len == expected, "{what} must hold {expected} numbers for the given shape. Received: {len}.");
}

/// Numbers in an array of these sides. Saturates, so that no absurd shape matches a real slice.
pub(crate) fn count(sides: &[usize]) -> usize {
    sides.iter().fold(1, |product, &side| product.saturating_mul(side))
}
