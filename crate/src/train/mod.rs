//! Training and prediction: `fit`, `evaluate`, `predict`, the history of a run, and its checkpoints.

pub mod checkpoint;
mod evaluate;
pub(crate) mod features;
mod fit;
mod grad_cam;
mod history;
pub(crate) mod loss;
mod on_card;
mod pipeline;
mod pooled;
mod predict;
pub mod report;
pub(crate) mod run;
mod saving;
mod step;
mod top_losses;
mod views;

pub use checkpoint::Checkpoints;
pub use evaluate::Evaluation;
pub use fit::FitOptions;
pub use grad_cam::GradCam;
pub use history::History;
pub use loss::Loss;
pub use pooled::PooledFeatures;
pub use predict::Predictions;
pub use top_losses::TopLosses;
