//! How many photographs a model was trained on.

use serde::{Deserialize, Serialize};

use crate::data::Dataset;

/// How many photographs a model was last trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// Photographs that it was trained on.
    pub training: usize,
    /// Photographs that it was validated with.
    pub validation: usize,
    /// Photographs of both that were left out because they could not be decoded.
    pub left_out: usize,
}

impl TrainedOn {
    /// After a training on `train`, when it is known what cannot be decoded.
    pub(crate) fn of(train: &Dataset, validation: Option<&Dataset>) -> Self {
        let good = |dataset: &Dataset| dataset.len() - dataset.damaged();
        let other = validation.filter(|validation| !validation.shares_files_with(train));
        TrainedOn {
            training: good(train),
            validation: validation.map_or(0, good),
            left_out: train.left_out() + other.map_or(0, Dataset::left_out),
        }
    }
}
