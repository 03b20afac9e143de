//! Training and prediction, as methods of [`Model`](crate::model::Model): `fit`, `fine_tune`, `evaluate`, `predict`, the
//! history of a run, its callbacks and checkpoints.

pub mod callbacks;
pub mod checkpoint;
mod class_weights;
#[cfg(test)]
mod data_kinds_tests;
mod evaluate;
mod evaluation;
mod fine_tune;
pub(crate) mod fit;
mod folds;
mod history;
mod lr_find;
mod novelty;
#[cfg(all(test, feature = "onnx"))]
#[path = "onnx_features/tests.rs"]
mod onnx_features_tests;
mod predict;
mod predict_bytes;
mod prediction;
pub mod report;
mod size_curve;

pub use callbacks::{CsvLogger, EarlyStopping, ModelCheckpoint, ReduceLrOnPlateau, TensorBoard};
pub use checkpoint::Checkpoints;
pub use class_weights::ClassWeights;
pub use evaluation::Evaluation;
pub use fine_tune::FineTuneOptions;
pub use fit::options::FitOptions;
pub use folds::{fold_assignment, out_of_fold, CrossValidateOptions, OutOfFold};
pub use history::{History, Kept};
pub use lr_find::{LrFind, LrFindOptions, Suggestion};
pub(crate) use novelty::at_most;
pub(crate) use predict::check_outputs;
pub use predict::Predictions;
pub use prediction::Prediction;
pub use size_curve::SizeCurve;
