//! The losses, computed from logits: on the tape by dfdx, and on the host for evaluation.
//!
//! `actual.rs` is what photographs show, `multi_label.rs` the loss where that may be several labels. `targets.rs` turns
//! labels into what a loss takes: smoothed, weighted, mixed.

pub(crate) mod actual;
pub(crate) mod cross_entropy;
#[allow(clippy::module_inception)]
mod loss;
mod multi_label;
pub(crate) mod targets;
mod traced;

pub use loss::Loss;
