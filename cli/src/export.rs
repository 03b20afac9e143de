//! `transfer export`: a model as an ONNX file, in f32 or in int8. It needs no GPU.

use std::io::Write;
use std::path::Path;

use transfer::data::{photographs_of_classes, photographs_of_table};
use transfer::model::{calibration_split, QuantizedModel};
use transfer::prelude::*;
use transfer::Show;

use crate::args::Export;
use crate::{multi_label, output, screen, stop, Failure};

/// Photographs that are decoded at a time.
const BATCH: usize = 8;

pub fn export(arguments: &Export) -> crate::Result<()> {
    let output = output::of_export(arguments)?;
    let model = Model::load_on(&arguments.model, &Device::cpu()?)?;
    stop::check("The export")?;
    match &arguments.calibrate {
        None => model.export_onnx(&output)?,
        Some(folder) => quantized(arguments, &model, folder)?.export_onnx(&output)?,
    }
    let looked_at = std::fs::metadata(&arguments.output);
    let bytes = looked_at.map_err(|e| unseen(&arguments.output, &e))?.len();
    let mut out = std::io::stdout().lock();
    writeln!(out, "wrote {} ({:.1} MB)", arguments.output.shown(), bytes as f64 / 1e6)?;
    Ok(())
}

/// What is said where the file is written and the system does not tell how long it is.
fn unseen(output: &Path, error: &std::io::Error) -> Failure {
    Failure::Error(format!("{} was written, but its size could not be read: {error}", output.shown()))
}

/// The model in int8, if it is accurate enough.
fn quantized(arguments: &Export, model: &Model, folder: &Path) -> crate::Result<QuantizedModel> {
    let photographs = photographs(arguments, model, folder)?;
    let (calibration, measured, of) = match &arguments.check {
        Some(check) => (photographs, self::photographs(arguments, model, check)?, check.as_path()),
        None => {
            let (calibration, others) = calibration_split(&photographs)?;
            (calibration, others, folder)
        }
    };
    screen::note("Calibrating.");
    let quantized = model.quantize(&calibration)?;
    screen::note("Measuring accuracy.");
    let comparison = quantized.compare(&measured)?;
    for set in [&calibration, &measured] {
        let bad = set.bad_images();
        if !bad.is_empty() {
            screen::say(&bad.to_string());
        }
    }
    let others = if arguments.check.is_some() { "" } else { " that calibration did not use" };
    let mut out = std::io::stdout().lock();
    writeln!(out, "on {} photographs of {}{others}:\n{comparison}", comparison.images, of.shown())?;
    out.flush()?;
    let loses = 100.0 * comparison.loses();
    // As a fraction of photographs it may lie a last digit beside the number that was asked for.
    match loses <= arguments.max_loss + 1e-9 {
        true => Ok(quantized),
        false => Err(Failure::Error(format!(
            "int8 expected to lose at most {} percentage points of accuracy (`--max-loss`). Received: {loses:.2} on {} \
             photographs. Nothing was written. Name photographs that are more like those of the training with \
             `--calibrate`, more of them with `--check`, allow a larger loss, or export without `--int8`.",
            arguments.max_loss, comparison.images
        ))),
    }
}

/// The photographs of a folder, with the model's classes.
fn photographs(arguments: &Export, model: &Model, folder: &Path) -> crate::Result<Dataset> {
    let (h, w, _) = model.base_model().input_shape();
    let options = ImageDatasetOptions::default()
        .image_size(h, w)
        .fit(model.image_fit())
        .batch_size(BATCH)
        .max_left_out(arguments.max_left_out)
        .shuffle(false);
    let names = model.class_names();
    match &arguments.labels {
        Some(path) => {
            let table = multi_label::table(model, path, None)?;
            Ok(photographs_of_table(folder, &table, &names, options)?)
        }
        None if model.is_multi_label() => Err(multi_label::needs_a_table()),
        None => Ok(photographs_of_classes(folder, &names, options)?),
    }
}
