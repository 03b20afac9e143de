//! The expected calibration error before and after the temperature.

use std::path::PathBuf;

use ndarray::concatenate;
use transfer::explain::expected_calibration_error;
use transfer::prelude::*;

use crate::data::{self, Trained};

/// Calibrates a model, and measures it on the photographs of other folders than those that decided the temperature.
pub fn measure(name: &str, trained: &mut Trained, held_out: &[PathBuf]) -> Result<()> {
    let Trained { model, aside, .. } = trained;
    let calibration = match model.calibration() {
        Some(found) => *found,
        None => model.calibrate(aside)?,
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
        "calibration, {name}: {} photographs, accuracy {:.4}, temperature {:.3}, ECE before {:.4}, after {:.4}",
        actual.len(),
        right as f64 / actual.len() as f64,
        calibration.temperature,
        error(&before)?,
        error(&after)?
    );
    Ok(())
}
