//! The ops on dfdx's tape ([`inverted_residual`], [`conv`], [`head`]), over any [`backend`].
//!
//! An op takes parameters, as dfdx tensors, and knows no network, no loss and no optimizer. What differs between
//! devices is an implementation of [`backend::Backend`]; the CPU's calls the functions on slices of the package
//! `transfer-kernels`.
//!
//! Images and activations are NHWC and contiguous, BatchNormalization is folded into weights and bias.

pub mod backend;
pub mod conv;
pub mod conv_bn;
mod cpu;
#[cfg(any(test, feature = "cuda"))]
pub(crate) mod cuda;
#[cfg(feature = "cuda")]
#[doc(hidden)]
pub use cuda::{recording::Counts, KeptBatch};
pub mod head;
pub mod inverted_residual;
pub(crate) mod lent;
pub(crate) mod multiplying;
mod tensors;
pub mod variable;
pub(crate) mod view;
