//! Training and prediction: `fit`, `evaluate`, `predict`, the history of a run, its callbacks and checkpoints.

pub mod callbacks;
pub mod checkpoint;
mod class_weights;
mod evaluate;
pub(crate) mod features;
mod fit;
mod grad_cam;
mod history;
pub(crate) mod loss;
mod lr_find;
mod options;
mod pipeline;
mod pooled;
mod predict;
mod recipe;
pub mod report;
pub(crate) mod run;
mod saving;
mod softmax_regression;
mod step;
pub(crate) mod targets;
mod top_losses;
mod views;

pub use callbacks::{CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, TensorBoard};
pub use checkpoint::Checkpoints;
pub use class_weights::ClassWeights;
pub use evaluate::Evaluation;
pub use grad_cam::GradCam;
pub use history::History;
pub use loss::Loss;
pub use lr_find::{LrFind, LrFindOptions, Suggestion};
pub use options::FitOptions;
pub use pooled::PooledFeatures;
pub use predict::Predictions;
pub use top_losses::TopLosses;
