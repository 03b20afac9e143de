//! `Model::fine_tune`: the recipe in one call, and the solver of the head.

mod recipe;
mod multi_label_regression;
mod softmax_regression;

pub use recipe::FineTuneOptions;
