//! A better recipe than the tutorial's, in one call.
//!
//! 1. **The head, exactly.** What the frozen base makes of each image and its mirror image is computed once,
//!    and the best dense layer on it is solved for: a convex problem, done in seconds
//!    (`softmax_regression.rs`).
//! 2. **The upper layers, gently.** From block 14 on the base trains with Adam on a one-cycle schedule, deeper
//!    layers more slowly, on flipped and cropped images.
//! 3. **Both ways round.** Predictions are averaged over an image and its mirror image.
//!
//! docs/fine_tune.md has the experiments that chose the numbers.

use std::sync::Arc;
use std::time::Instant;

use super::checkpoint::Checkpoints;
use super::class_weights::ClassWeights;
use super::features::not_contiguous;
use super::history::History;
use super::loss::Loss;
use super::options::FitOptions;
use super::pipeline;
use super::softmax_regression::{Problem, Solution};
use crate::augment::{RandomFlip, RandomResizedCrop, Sequential};
use crate::data::Dataset;
use crate::model::{Dense, Dropout, GlobalAveragePooling2D, LayerRef, MobileNetV2, Model};
use crate::optim::{Adam, LayerRates, Schedule};
use crate::preprocess::Rescaling;
use crate::progress::say;
use crate::{Error, Result};

/// Height and width, in pixels, at which MobileNetV2 was trained and at which [`Model::fine_tune`]'s numbers were
/// chosen.
pub const IMAGE_SIZE: (usize, usize) = (224, 224);

/// What the features of the training images may take in memory. Of more images the head sees a part, as many
/// of each class as there is room for; the epochs afterwards see all.
const FEATURE_BYTES: usize = 96 << 20;

/// What [`Model::fine_tune`] does. The defaults are good for folders of some hundred to some ten thousand
/// photographs.
///
/// ```
/// use transfer::train::FineTuneOptions;
/// let usual = FineTuneOptions::epochs(2);
/// let head_only = FineTuneOptions::epochs(0);
/// let other_domain = FineTuneOptions::epochs(10).fine_tune_at(100).learning_rate(3e-4);
/// ```
#[derive(Debug, Clone)]
pub struct FineTuneOptions {
    epochs: usize,
    validation: Option<Dataset>,
    fine_tune_at: LayerRef,
    learning_rate: f32,
    layer_rates: LayerRates,
    l2: f64,
    test_time_flip: bool,
    options: FitOptions,
    class_weights: Option<ClassWeights>,
}
