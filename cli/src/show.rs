//! `transfer summary`, which computes nothing and so needs no GPU.

use std::io::Write;
use transfer::Show;

use transfer::model::TrainedOn;
use transfer::Device;

use crate::args::Summary;
use crate::stop;

pub fn summary(arguments: &Summary) -> crate::Result<()> {
    let model = arguments.features.load(&arguments.model, &Device::cpu()?)?;
    stop::check("The summary")?;
    let (h, w, _) = model.base_model().input_shape();
    let names = model.class_names();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} classes:", names.len())?;
    for name in &names {
        writeln!(out, "  {}", name.shown())?;
    }
    writeln!(out, "images: resized to {h}x{w} (height x width), fit: {}", model.image_fit())?;
    if model.is_multi_label() {
        let thresholds: Vec<String> = model.thresholds().iter().map(|t| format!("{t:.3}")).collect();
        writeln!(out, "several labels a photograph, above these probabilities: {}", thresholds.join(", "))?;
    }
    match model.base_model().weights_origin() {
        Some(origin) => writeln!(out, "trained from: {}, SHA-256 {}", origin.name.shown(), origin.sha256)?,
        None => writeln!(out, "trained from: the file does not say which weights")?,
    }
    if let Some(TrainedOn { training, validation, left_out }) = model.trained_on() {
        writeln!(out, "trained on {training} photographs, validated with {validation}; {left_out} left out")?;
    }
    if let Some(folds) = model.cross_validation() {
        writeln!(out, "{folds}")?;
    }
    if let Some(calibration) = model.calibration() {
        writeln!(out, "calibration: {calibration}")?;
    }
    if let Some(novelty) = model.novelty() {
        writeln!(out, "unknown: {novelty}")?;
    }
    writeln!(out, "precision of frozen layers: {}\n", model.base_model().precision().name())?;
    writeln!(out, "{}", model.summary())?;
    Ok(())
}
