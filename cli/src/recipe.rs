//! How a classifier is trained: by `fine_tune`, with what the command line says otherwise.

use transfer::prelude::*;

use crate::args::{Precision as Asked, Train};

/// Trains a classifier of the classes of `train`; `checkpoints` is a folder for what is learned on the way.
pub fn train(
    train: &Dataset,
    validation: &Dataset,
    asked: &Train,
    checkpoints: &std::path::Path,
) -> Result<Model> {
    let mut model = Model::imagenet(train)?;
    model.base_model_mut().set_precision(match asked.precision {
        Asked::F32 => Precision::F32,
        Asked::Bf16 => Precision::Bf16,
    })?;
    if asked.no_cache {
        model.set_feature_cache_bytes(0);
    }
    let mut options = FineTuneOptions::epochs(asked.epochs as usize)
        .seed(asked.seed)
        .flip(!asked.no_flip)
        .learning_rate(asked.learning_rate)
        .validation_data(validation)
        .checkpoint(Checkpoints::new(checkpoints).each_run(true));
    if let Some(layer) = &asked.fine_tune_at {
        options = match layer.parse::<usize>() {
            Ok(number) => options.fine_tune_at(number),
            Err(_) => options.fine_tune_at(layer.as_str()),
        };
    }
    if asked.balanced {
        options = options.class_weights(ClassWeights::balanced());
    }
    model.fine_tune(train, options)?;
    Ok(model)
}
