//! The kernels, run on the processor: compiled by the C++ compiler with sanitizers, launched by the very
//! [`calls`](super::calls) that launch them on a GPU, block after block, in three orders.
//!
//! What this shows: indices, formulas, barriers, that nothing is read or written out of bounds, and that
//! results depend on no order. What only a GPU shows: speed, and what nvcc makes of it.

mod build;
mod emulator;

mod batch_norm_tests;
mod convolution_tests;
mod elementwise_tests;
mod fused_tests;
mod image_tests;

use emulator::{on_emulator, Emulator};
