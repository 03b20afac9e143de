//! Training, as the tutorial does it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{json, Value};
use transfer::data::Batches;
use transfer::prelude::*;
use transfer::train::report::peak_memory;

use crate::export::Sets;
use crate::{forward, serve, unknown, Arguments, Result};

/// Rescaling to what the base was trained on.
fn rescaling() -> Rescaling {
    Rescaling::new(1.0 / 127.5, -1.0)
}

fn augmentation() -> Result<Sequential> {
    Ok(Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(seed()?))
}

/// The tutorial's model with the base frozen; `prepared` leaves out what happens to an image before
/// the base.
pub fn model(base: Backbone, prepared: bool) -> Result<Model> {
    let mut base = base;
    base.set_trainable(false);
    let chain =
        if prepared { Model::chain() } else { Model::chain().then(augmentation()?).then(rescaling()) };
    let top = chain.then(base).then(GlobalAveragePooling2D).then(Dropout::new(0.2)).then(Dense::new(1));
    Ok(top.build()?)
}

/// Compiles for a phase of the tutorial, 1 or 2.
fn compile(model: &mut Model, phase: usize) -> Result<()> {
    match phase {
        1 => model.compile(Adam::new(1e-4), Loss::BinaryCrossentropy)?,
        2 => {
            model.base_model_mut().fine_tune_at(100)?;
            model.compile(RmsProp::new(1e-5), Loss::BinaryCrossentropy)?;
        }
        other => return Err(format!("expected phase=1 or phase=2. Received: {other}").into()),
    }
    Ok(())
}

fn folder(arguments: &Arguments) -> Result<PathBuf> {
    Ok(PathBuf::from(arguments.text("folder")?))
}

fn compiled(folder: &Path, arguments: &Arguments, prepared: bool) -> Result<Model> {
    let mut model = model(forward::base(folder, arguments)?, prepared)?;
    compile(&mut model, arguments.number("phase", 1)?)?;
    Ok(model)
}

/// The first `batches` batches (0: all) of the training set, with the cache unless `cache=off`.
fn part(train: Dataset, arguments: &Arguments, batches: usize) -> Result<Dataset> {
    let train = if batches > 0 { train.take(batches) } else { train };
    Ok(if arguments.text_or("cache", "on") == "on" { train.cache() } else { train })
}

fn train_set(arguments: &Arguments, batches: usize) -> Result<Dataset> {
    part(Sets::new(&cats_and_dogs()?, seed()?)?.train, arguments, batches)
}

/// One epoch of `fit`, number `epoch`; its seconds.
fn epoch(model: &mut Model, train: &Dataset, epoch: usize) -> Result<f64> {
    let start = Instant::now();
    model.fit(train, FitOptions::epochs(epoch + 1).initial_epoch(epoch))?;
    Ok(start.elapsed().as_secs_f64())
}

/// Answers `epoch`: one more epoch of `fit`.
pub fn fit(arguments: &Arguments) -> Result<()> {
    let train = train_set(arguments, arguments.number("steps", 0)?)?;
    let mut model = compiled(&folder(arguments)?, arguments, false)?;
    let mut done = 0;
    serve(|request| match request {
        ["epoch"] => {
            let seconds = epoch(&mut model, &train, done)?;
            done += 1;
            Ok(json!({ "seconds": seconds, "steps": train.cardinality(), "images": train.len() }))
        }
        _ => Err(unknown(request)),
    })
}

/// Answers `loader` (an epoch of `fit` over whole batches) and `memory` (as many steps on one batch
/// that is augmented and preprocessed already).
pub fn step(arguments: &Arguments) -> Result<()> {
    // The last batch of the training set is not full, so it is left out.
    let batches = match arguments.number("steps", 0)? {
        0 => train_set(arguments, 0)?.len() / 32,
        n => n,
    };
    let train = train_set(arguments, batches)?;
    let folder = folder(arguments)?;
    let mut with_loader = compiled(&folder, arguments, false)?;
    let mut in_memory = compiled(&folder, arguments, true)?;
    let map = Arc::new(augmentation()?.add(rescaling()));
    let batch = train.take(1).batches_with(0, map)?.next().ok_or("the training set has no batch")??;
    let labels = batch.labels.to_vec();
    let mut done = 0;
    serve(|request| match request {
        ["loader"] => {
            let seconds = epoch(&mut with_loader, &train, done)?;
            done += 1;
            Ok(json!({ "seconds": seconds, "steps": batches }))
        }
        ["memory"] => {
            // Prepared images need no preprocessing, so that `train_on_batch` takes them as they are, without a copy.
            let start = Instant::now();
            for _ in 0..batches {
                in_memory.train_on_batch(&batch.images, &labels)?;
            }
            Ok(json!({ "seconds": start.elapsed().as_secs_f64(), "steps": batches }))
        }
        _ => Err(unknown(request)),
    })
}

/// Answers `run`: the tutorial from the data sets on, `epochs=10` in each phase, and its errors.
pub fn whole(arguments: &Arguments) -> Result<()> {
    let (folder, epochs) = (folder(arguments)?, arguments.number("epochs", 10)?);
    let steps = arguments.number("steps", 0)?;
    serve(|request| match request {
        ["run"] => {
            let photographs = cats_and_dogs()?;
            let start = Instant::now();
            let sets = Sets::new(&photographs, seed()?)?;
            let train = part(sets.train, arguments, steps)?;
            let mut model = model(forward::base(&folder, arguments)?, false)?;
            compile(&mut model, 1)?;
            let mut history =
                model.fit(&train, FitOptions::epochs(epochs).validation_data(&sets.validation))?;
            let phase_1 = start.elapsed().as_secs_f64();
            compile(&mut model, 2)?;
            let more = FitOptions::epochs(2 * epochs).initial_epoch(epochs).validation_data(&sets.validation);
            history.extend(&model.fit(&train, more)?);
            let seconds = start.elapsed().as_secs_f64();
            let (validation, test) = (model.evaluate(&sets.validation)?, model.evaluate(&sets.test)?);
            Ok(json!({
                "seconds": seconds,
                "phase_1": phase_1,
                "epochs": history.seconds,
                "val_accuracy": history.val_accuracy,
                "errors": validation.errors + test.errors,
                "images": validation.images + test.images,
                "peak_bytes": peak_memory(),
            }))
        }
        _ => Err(unknown(request)),
    })
}

/// Answers `run`: an epoch of each phase with validation, and the largest memory.
pub fn peak(arguments: &Arguments) -> Result<()> {
    let folder = folder(arguments)?;
    serve(|request| match request {
        ["run"] => {
            let sets = Sets::new(&cats_and_dogs()?, seed()?)?;
            let train = part(sets.train, arguments, arguments.number("steps", 0)?)?;
            let mut model = model(forward::base(&folder, arguments)?, false)?;
            for phase in [1, 2] {
                compile(&mut model, phase)?;
                let options = FitOptions::epochs(phase).initial_epoch(phase - 1);
                model.fit(&train, options.validation_data(&sets.validation))?;
            }
            model.evaluate(&sets.test)?;
            Ok(json!({ "peak_bytes": peak_memory(), "cache_bytes": train.cache_bytes() }))
        }
        _ => Err(unknown(request)),
    })
}

/// Answers `pass` (all batches, augmented, for nobody), `epoch` (of `fit`) and `peak`, on any folder.
pub fn load(arguments: &Arguments) -> Result<()> {
    let options = ImageDatasetOptions::default().batch_size(32).image_size(160, 160).seed(seed()?);
    let train = image_dataset_from_directory(arguments.text("files")?, options)?;
    let mut model = compiled(&folder(arguments)?, arguments, false)?;
    let map = Arc::new(augmentation()?.add(rescaling()));
    let mut done = 0;
    let timed = |seconds: f64, images: usize| -> Value { json!({ "seconds": seconds, "images": images }) };
    serve(|request| match request {
        ["pass"] => {
            let start = Instant::now();
            done += 1;
            let batches: Batches = train.batches_with(done as u64, map.clone())?;
            let mut images = 0;
            for batch in batches {
                images += batch?.len();
            }
            Ok(timed(start.elapsed().as_secs_f64(), images))
        }
        ["epoch"] => {
            done += 1;
            Ok(timed(epoch(&mut model, &train, done)?, train.len()))
        }
        ["peak"] => Ok(json!({ "peak_bytes": peak_memory() })),
        _ => Err(unknown(request)),
    })
}
