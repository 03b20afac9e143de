//! `Model::fine_tune`: the recipe in one call, and the solver of the head.

pub(in crate::train) mod collected;
mod multi_label_regression;
mod recipe;
pub(in crate::train) mod softmax_regression;

pub use recipe::FineTuneOptions;
