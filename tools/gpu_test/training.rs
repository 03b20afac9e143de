//! The tutorial's two phases on the photographs, three epochs each, so that the images are on the GPU from the second
//! on, and twice: both must end in the same bits. Then what a user does with a model: evaluate, predict, heat maps,
//! weights to a file and back; and `fine_tune`.

use std::path::Path;
use std::time::Instant;

use ndarray::Array4;
use serde_json::json;
use transfer::model::Initializer;
use transfer::prelude::*;
use transfer::weights::{load, Weights};
use transfer::{Device, Precision};

use crate::report::Report;
use crate::Result;

/// Trains twice, compares, and uses the result.
pub fn check(device: &Device, folder: &Path, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    let (train, validation) = (set(folder, "train")?, set(folder, "validation")?);
    for dataset in [&train, &validation] {
        // Reads all of it into the cache.
        dataset.images(&dataset.indices())?;
    }
    report.remark("decoding 400 photographs, seconds", json!(start.elapsed().as_secs_f64()))?;
    let (model, losses, seconds) = phases(device, folder, &train)?;
    report.remark("seconds of each epoch, three a phase", json!(seconds))?;
    report.remark("loss of each epoch", json!(losses))?;
    report.holds("the loss falls in each phase", losses[2] < losses[0] && losses[5] < losses[3])?;
    let (again, again_losses, seconds) = phases(device, folder, &train)?;
    report.remark("seconds of each epoch, once more", json!(seconds))?;
    report.holds("two runs end in the same bits", bits(&model.weights()?) == bits(&again.weights()?))?;
    report.holds("two runs have the same losses", losses == again_losses)?;

    let evaluation = model.evaluate(&validation)?;
    report.remark("validation accuracy", json!(evaluation.accuracy))?;
    report.holds("it has learned something", evaluation.accuracy > 0.6)?;
    let predictions = model.predict(&validation)?;
    let wrong = predictions.labels().iter().zip(&predictions.actual).filter(|(a, b)| a != b).count();
    report.holds("predict and evaluate count the same errors", wrong == evaluation.errors)?;

    let cpu = on_cpu(&model, folder)?;
    let theirs = cpu.predict(&validation)?;
    let off = predictions.logits.iter().zip(&theirs.logits).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    report.within("logits of the trained model against the CPU", f64::from(off), 1e-3)?;
    let images = validation.first_batch()?.images.clone();
    let (ours, theirs) = (model.grad_cams(&images)?, cpu.grad_cams(&images)?);
    let off = ours.cells.iter().zip(&theirs.cells).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    report.within("heat maps against the CPU", f64::from(off), 1e-3)?;
    steps(device, folder, report)?;
    fine_tune(device, folder, report)
}

/// `fine_tune` in each precision: its errors on the validation photographs, and its seconds.
fn fine_tune(device: &Device, folder: &Path, report: &mut Report) -> Result<()> {
    let (train, validation) = (set(folder, "train")?, set(folder, "validation")?);
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        let mut model = model(device, folder)?;
        if let Err(e) = model.base_model_mut().set_precision(precision) {
            report.remark(&format!("fine_tune in {}", precision.name()), json!(e.to_string()))?;
            continue;
        }
        let start = Instant::now();
        model.fine_tune(&train, FineTuneOptions::default().validation_data(&validation))?;
        let seconds = start.elapsed().as_secs_f64();
        let errors = model.evaluate(&validation)?.errors;
        let name = format!("fine_tune in {}: wrong of 100, seconds", precision.name());
        report.remark(&name, json!([errors, seconds]))?;
        report
            .holds(&format!("fine_tune in {} has at most 8 of 100 wrong", precision.name()), errors <= 8)?;
    }
    Ok(())
}

/// Steps of a small network in each phase and precision, by a tape and recorded: the same bits. Quick enough for
/// compute-sanitizer, and on a GPU all kernels of a step.
pub fn steps(device: &Device, folder: &Path, report: &mut Report) -> Result<()> {
    let weights = load(folder.join("weights.safetensors"))?;
    for fine in [false, true] {
        for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
            let run = |by_tape: bool| -> Result<(Vec<u64>, Vec<u32>)> {
                let mut base = MobileNetV2::on(device, (64, 64, 3), &weights)?;
                base.set_precision(precision)?;
                base.set_trainable(false);
                if fine {
                    base.fine_tune_at(100)?;
                }
                let chain = Model::chain().then(base).then(GlobalAveragePooling2D).then(Dropout::new(0.2));
                let mut model = chain.then(Dense::new(1).seed(1)).seed(1).build()?;
                model.compile(Adam::new(1e-4), Loss::BinaryCrossentropy)?;
                let mut losses = Vec::new();
                for step in 0..4 {
                    let image = |(n, h, w, c): (usize, usize, usize, usize)| {
                        ((n + 2) as f32 * (h as f32 * 0.1 + w as f32 * 0.07) + c as f32 + step as f32).sin()
                    };
                    if by_tape {
                        // Whatever is frozen was changed, as far as the model knows.
                        model.base_model_mut().set_layer_trainable(0, false)?;
                    }
                    losses.push(
                        model
                            .train_on_batch(&Array4::from_shape_fn((3, 64, 64, 3), image), &[0, 1, 1])?
                            .to_bits(),
                    );
                }
                #[cfg(feature = "cuda")]
                if device.is_cuda() && model.recorded_steps()?.is_empty() != by_tape {
                    return Err("a step was recorded, or was not, where it should not be so".into());
                }
                Ok((losses, bits(&model.weights()?)))
            };
            let phase = if fine { "phase 2" } else { "phase 1" };
            let name = format!("recorded steps of {phase} in {} have the bits of others", precision.name());
            match (run(false), run(true)) {
                (Ok(recorded), Ok(by_tape)) => report.holds(&name, recorded == by_tape)?,
                (Err(e), _) | (_, Err(e)) if !device.is_cuda() => {
                    report.remark(&name, json!(e.to_string()))?
                }
                (Err(e), _) | (_, Err(e)) => return Err(e),
            }
        }
    }
    Ok(())
}

fn bits(weights: &Weights) -> Vec<u32> {
    weights.iter().flat_map(|(_, tensor)| tensor.data.iter().map(|v| v.to_bits())).collect()
}

fn set(folder: &Path, name: &str) -> Result<Dataset> {
    let options = ImageDatasetOptions::default().image_size(160, 160).batch_size(32).seed(1);
    Ok(image_dataset_from_directory(folder.join("photographs").join(name), options)?.cache())
}

fn model(device: &Device, folder: &Path) -> Result<Model> {
    let mut base = MobileNetV2::on(device, (160, 160, 3), &load(folder.join("weights.safetensors"))?)?;
    base.set_trainable(false);
    let augmentation = Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(1);
    Ok(Model::chain()
        .then(augmentation)
        .then(Rescaling::new(1.0 / 127.5, -1.0))
        .then(base)
        .then(GlobalAveragePooling2D)
        .then(Dropout::new(0.2))
        .then(Dense::new(1).seed(1).kernel_initializer(Initializer::GlorotUniform))
        .seed(1)
        .build()?)
}

/// Three epochs of each phase: the model, the losses, and the seconds of each epoch.
fn phases(device: &Device, folder: &Path, train: &Dataset) -> Result<(Model, Vec<f64>, Vec<f64>)> {
    let mut model = model(device, folder)?;
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy)?;
    let mut history = model.fit(train, FitOptions::epochs(3))?;
    model.base_model_mut().fine_tune_at(100)?;
    model.compile(RmsProp::new(1e-5), Loss::BinaryCrossentropy)?;
    history.extend(&model.fit(train, FitOptions::epochs(6).initial_epoch(3))?);
    Ok((model, history.loss.clone(), history.seconds.clone()))
}

/// The same model on the CPU, by way of a file.
fn on_cpu(model: &Model, folder: &Path) -> Result<Model> {
    let file = std::env::temp_dir().join(format!("gpu-test-{}.safetensors", std::process::id()));
    model.save_weights(&file)?;
    let mut cpu = self::model(&Device::cpu()?, folder)?;
    let loaded = cpu.load_weights(&file);
    std::fs::remove_file(&file)?;
    loaded?;
    Ok(cpu)
}
