//! `Model::fine_tune`: the recipe in one call, and the solver of the head.

mod multi_label_regression;
mod recipe;
mod softmax_regression;

pub use recipe::FineTuneOptions;
