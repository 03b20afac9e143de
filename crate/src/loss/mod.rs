//! The losses, computed from logits: on the tape by dfdx, and on the host for evaluation.
//!
//! `targets.rs` turns labels into what a loss takes: smoothed, weighted, mixed.

#[allow(clippy::module_inception)]
mod loss;
pub(crate) mod targets;
mod traced;

pub use loss::Loss;
