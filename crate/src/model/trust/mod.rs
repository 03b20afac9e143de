//! How far a model can be trusted: what is kept of it in the model.
//!
//! | file | what it holds |
//! |---|---|
//! | `interval.rs` | the 95 % interval of an accuracy |
//! | `cross_validation.rs` | what k-fold cross-validation found |

mod cross_validation;
mod interval;

pub use cross_validation::CrossValidation;
pub(crate) use interval::behind;
pub use interval::{wilson_interval, Interval};
