//! How a classifier is trained: the head first, then the upper layers with it.

use transfer::prelude::*;

/// What the recipe has to know besides the photographs.
pub struct Recipe {
    pub epochs: usize,
    pub seed: u64,
    pub precision: Precision,
    /// Whether outputs of frozen layers may be kept in memory.
    pub cache: bool,
    /// A folder for checkpoints of all phases.
    pub checkpoints: std::path::PathBuf,
}

/// Epochs in which only the head trains.
const HEAD_EPOCHS: usize = 5;
/// The first layer that is fine-tuned.
const FINE_TUNE_AT: usize = 100;

/// Trains a classifier of the classes of `train`.
pub fn train(train: &Dataset, validation: &Dataset, recipe: &Recipe) -> Result<Model> {
    let classes = train.class_names().len();
    let (h, w) = train.image_size();
    let mut base = MobileNetV2::imagenet((h, w, 3))?;
    base.set_trainable(false);
    base.set_precision(recipe.precision)?;
    let augmentation = Sequential::new()
        .add(RandomFlip::horizontal())
        .add(RandomRotation::new(0.03))
        .add(RandomZoom::new(0.1));
    let mut model = Model::chain()
        .then(augmentation.seed(recipe.seed))
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(if classes == 2 { 1 } else { classes }).seed(recipe.seed))
        .seed(recipe.seed)
        .build()?;
    if !recipe.cache {
        model.set_feature_cache_bytes(0);
    }
    let loss = Loss::for_classes(classes);
    let kept = |phase: &str| Checkpoints::new(recipe.checkpoints.join(phase)).each_run(true);

    model.compile(Adam::new(1e-3), loss)?;
    let options = FitOptions::epochs(HEAD_EPOCHS).validation_data(validation);
    model.fit(train, options.checkpoint(kept("head")))?;

    model.base_model_mut().fine_tune_at(FINE_TUNE_AT)?;
    model.compile(Adam::new(1e-4), loss)?;
    let options = FitOptions::epochs(HEAD_EPOCHS + recipe.epochs).initial_epoch(HEAD_EPOCHS);
    model.fit(train, options.validation_data(validation).checkpoint(kept("fine")))?;
    Ok(model)
}
