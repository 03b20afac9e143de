//! The expected calibration error before and after the temperature.

use std::path::Path;

use ndarray::concatenate;
use transfer::explain::expected_calibration_error;
use transfer::prelude::*;

use crate::data::{self, Trained};

pub fn measure(clothing: &Path, epochs: usize) -> Result<()> {
    println!("| photographs, {epochs} epochs of fine-tuning | measured on | accuracy | temperature | ECE before | after |");
    println!("|---|---:|---:|---:|---:|---:|");
    let cats = cats_and_dogs()?;
    one("cats and dogs", &cats.train_dir, &[cats.validation_dir.as_path()], epochs)?;
    let held_out = [clothing.join("validation"), clothing.join("test")];
    let folders: Vec<&Path> = held_out.iter().map(|folder| folder.as_path()).collect();
    one("clothing", &clothing.join("train"), &folders, epochs)
}

/// Trains on one folder, and measures on others.
fn one(name: &str, folder: &Path, held_out: &[&Path], epochs: usize) -> Result<()> {
    let Trained { mut model, aside, .. } = data::train(&data::open(folder, None)?, epochs)?;
    let calibration = match model.calibration() {
        Some(found) => *found,
        None => model.calibrate(&aside)?,
    };
    let (mut before, mut after, mut actual, mut right) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for folder in held_out {
        let data = data::open(folder, None)?;
        let calibrated = model.predict(&data)?;
        model.set_calibration(None)?;
        let plain = model.predict(&data)?;
        model.set_calibration(Some(calibration))?;
        right += plain.labels().iter().zip(&plain.actual).filter(|(a, b)| a == b).count();
        before.push(plain.probabilities());
        after.push(calibrated.probabilities());
        actual.extend(plain.actual);
    }
    let error = |parts: &[Array2<f32>]| {
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        let all = concatenate(ndarray::Axis(0), &views).map_err(|e| Error::Shape(e.to_string()))?;
        expected_calibration_error(&all, &actual)
    };
    println!(
        "| {name} | {} | {:.4} | {:.3} | {:.4} | {:.4} |",
        actual.len(),
        right as f64 / actual.len() as f64,
        calibration.temperature,
        error(&before)?,
        error(&after)?
    );
    Ok(())
}
