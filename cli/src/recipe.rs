//! How a classifier is trained: [`Model::fine_tune`] with what the command line says.

use transfer::data::Groups;
use transfer::network::LayerRef;
use transfer::prelude::*;

use crate::args::{Precision as Asked, Train, TrainPrecision};
use crate::features::Start;
use crate::screen;

/// The options that the numbers of a training depend on, as the command line has them.
pub fn noted(checkpoints: Checkpoints, asked: &Train, start: &Start) -> Checkpoints {
    let (h, w) = asked.image_size.unwrap_or(start.image_size());
    let yes_or_no = |yes| if yes { "yes" } else { "no" };
    fn given(value: Option<impl ToString>) -> String {
        value.map_or_else(|| "by the number of photographs".into(), |value| value.to_string())
    }
    let share = asked.share.map_or_else(|| "by held-out photographs".into(), |share| share.to_string());
    let checkpoints = match start.noted() {
        Some((option, value)) => checkpoints.note(option, value),
        None => checkpoints,
    };
    // Not where it is as it always was: checkpoints of earlier versions stay valid.
    let checkpoints = match asked.refit {
        true => checkpoints.note("--refit", "yes"),
        false => checkpoints,
    };
    let checkpoints = match asked.train_precision {
        TrainPrecision::F32 => checkpoints,
        TrainPrecision::Bf16 => checkpoints.note("--train-precision", "bf16"),
    };
    checkpoints
        .note("--epochs", given(asked.epochs))
        .note("--fine-tune-at", asked.fine_tune_at_noted())
        .note("--learning-rate", given(asked.learning_rate))
        .note("--share", share)
        .note("--balanced", yes_or_no(asked.balanced))
        .note("--no-flip", yes_or_no(asked.no_flip))
        .note("--image-size", format!("{h}x{w}"))
        .note("--fit", transfer::data::Fit::from(asked.fit))
        .note("--seed", asked.seed)
        .note("--validation-split", asked.validation_split)
        .note("--group", asked.grouping.said())
        .note("--precision", format!("{:?}", asked.precision).to_lowercase())
        .note("--batch-size", asked.images_in_a_batch())
        .note("--no-cache", yes_or_no(asked.no_cache))
}

/// Photographs of a micro-batch with `--no-cache`, where memory has to stay small.
const LITTLE_MEMORY: u32 = 8;

/// Trains a classifier of the classes of the photographs, with checkpoints in a folder. Returns it and its history. Groups stay together where some
/// are held out.
pub fn train(
    photographs: &OwnPhotographs,
    groups: &Groups,
    (asked, start): (&Train, &Start),
    checkpoints: &Checkpoints,
    device: &Device,
) -> Result<(Model, History)> {
    let (train, validation) = (&photographs.train, &photographs.validation);
    let mut model = start.model(train, device)?;
    model.set_team(crate::team::team());
    if let Some(origin) = model.base_model().weights_origin() {
        screen::note(&format!("Weights: {origin}."));
    }
    model.base_model_mut().set_precision(match asked.precision {
        Asked::F32 => Precision::F32,
        Asked::Tf32 => Precision::Tf32,
        Asked::Bf16 => Precision::Bf16,
    })?;
    model.base_model_mut().set_train_precision(match asked.train_precision {
        TrainPrecision::F32 => Precision::F32,
        TrainPrecision::Bf16 => Precision::Bf16,
    })?;
    if asked.no_cache {
        model.set_feature_cache_bytes(0);
    }
    let mut options = match asked.epochs {
        Some(epochs) => FineTuneOptions::epochs(epochs as usize),
        None => FineTuneOptions::default(),
    };
    if let Some(rate) = asked.learning_rate {
        options = options.learning_rate(rate);
    }
    if let Some(images) = asked.batch_size {
        options = options.batch_size(images as usize);
    }
    if let Some(share) = asked.share {
        options = options.share(share);
    }
    options = options.refit(asked.refit);
    if let Some(limit) = asked.time {
        options = options.time_limit(limit);
    }
    // A GPU records whole batches, and has memory of its own.
    let little_memory = asked.no_cache && !device.is_cuda();
    if let Some(images) = asked.micro_batch.or(little_memory.then_some(LITTLE_MEMORY)) {
        options = options.micro_batch(images as usize);
    }
    options = options
        .flip(!asked.no_flip)
        .seed(asked.seed)
        .folds(asked.folds as usize)
        .validation_data(validation)
        .checkpoint(checkpoints.clone());
    if let Some(layer) = &asked.fine_tune_at {
        options = options.fine_tune_at(match layer.parse::<usize>() {
            Ok(number) => LayerRef::from(number),
            Err(_) => layer.as_str().into(),
        });
    }
    if !groups.is_none() {
        options = options.groups(groups.numbers(train));
    }
    if asked.balanced {
        options = options.class_weights(ClassWeights::balanced());
    }
    let history = model.fine_tune(train, options)?;
    match model.is_multi_label() {
        true => crate::multi_label::choose_thresholds(&mut model, train)?,
        false => trust(&mut model, train, validation)?,
    }
    Ok((model, history))
}

/// The part of known photographs that `predict` may call unknown.
const UNKNOWN_RATE: f64 = 0.05;

/// What the model says of photographs that it was not trained on decides how sure it is, and what is unknown to it.
fn trust(model: &mut Model, train: &Dataset, validation: &Dataset) -> Result<()> {
    let calibration = match model.calibration() {
        Some(calibration) => *calibration,
        None => model.calibrate(validation)?,
    };
    screen::note(&format!("Calibration: {calibration}."));
    match model.fit_novelty(train, validation, UNKNOWN_RATE) {
        Ok(()) => Ok(()),
        Err(Error::Data(why)) => {
            screen::note(&format!("`predict` will call no photograph unknown: {why}"));
            Ok(())
        }
        Err(e) => Err(e),
    }
}
