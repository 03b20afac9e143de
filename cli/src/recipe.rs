//! How a classifier is trained: [`Model::fine_tune`] with what the command line says.

use std::path::PathBuf;

use transfer::model::LayerRef;
use transfer::prelude::*;

/// What the recipe has to know besides the photographs.
pub struct Recipe {
    pub epochs: usize,
    /// The first layer that is fine-tuned.
    pub fine_tune_at: LayerRef,
    /// The highest one of fine-tuning.
    pub learning_rate: f32,
    /// Whether each class counts alike.
    pub balanced: bool,
    /// Whether mirror images show the same things.
    pub flip: bool,
    pub seed: u64,
    pub precision: Precision,
    /// Whether outputs of frozen layers may be kept in memory.
    pub cache: bool,
    /// A folder for checkpoints.
    pub checkpoints: PathBuf,
}

/// Trains a classifier of the classes of `train`.
pub fn train(train: &Dataset, validation: &Dataset, recipe: Recipe) -> Result<Model> {
    let mut model = Model::imagenet(train)?;
    model.base_model_mut().set_precision(recipe.precision)?;
    if !recipe.cache {
        model.set_feature_cache_bytes(0);
    }
    let mut options = FineTuneOptions::epochs(recipe.epochs)
        .fine_tune_at(recipe.fine_tune_at)
        .learning_rate(recipe.learning_rate)
        .flip(recipe.flip)
        .seed(recipe.seed)
        .validation_data(validation)
        .checkpoint(Checkpoints::new(recipe.checkpoints).each_run(true));
    if recipe.balanced {
        options = options.class_weights(ClassWeights::balanced());
    }
    model.fine_tune(train, options)?;
    Ok(model)
}
