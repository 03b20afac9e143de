//! Training and prediction: `fit`, `evaluate`, `predict`, and the history of a run.

mod evaluate;
pub(crate) mod features;
mod fit;
mod history;
pub(crate) mod loss;
mod pipeline;
mod predict;
pub mod report;

pub use evaluate::Evaluation;
pub use fit::FitOptions;
pub use history::History;
pub use loss::Loss;
pub use predict::Predictions;
