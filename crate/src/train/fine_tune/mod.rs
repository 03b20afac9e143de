//! `Model::fine_tune`: the recipe in one call, and the solver of the head.

mod recipe;
mod softmax_regression;

pub use recipe::FineTuneOptions;
