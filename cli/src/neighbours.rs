//! The photographs of a training that `train` keeps beside the model, and `serve` shows.

use std::path::{Path, PathBuf};

use transfer::explain::Neighbours;
use transfer::prelude::*;
use transfer::Show;

use crate::html_report::Report;
use crate::{screen, Failure};

/// What follows the name of the model.
const ENDING: &str = ".neighbours.safetensors";

/// The file of a model that is to be trained: `model.safetensors.neighbours.safetensors`.
fn beside(model: &OutputFile) -> OutputFile {
    model.companion(ENDING)
}

/// The file of a model that is there.
pub fn of_model(model: &Path) -> PathBuf {
    beside(&OutputFile::new(model)).path().to_owned()
}

/// Refuses to start where the file is wanted and could not be written.
pub fn check(report: &Report, model: &OutputFile) -> crate::Result<()> {
    if !report.keeps_thumbnails() {
        return Ok(());
    }
    Neighbours::check(&beside(model)).map_err(|e| {
        Failure::Error(format!(
            "thumbnails of the training cannot be written, which `--no-thumbnails` leaves out: {e}"
        ))
    })
}

/// Writes the file; where it is not wanted, removes that of an earlier training, whose model is gone.
pub fn write(report: &Report, output: &OutputFile, model: &Model, training: &Dataset) -> crate::Result<()> {
    let file = beside(output);
    if !report.keeps_thumbnails() {
        Neighbours::remove(&file)?;
        return Ok(());
    }
    let kept = model.neighbours(training)?;
    kept.save(&file)?;
    let (n, of, mb) = (kept.len(), kept.training(), kept.bytes() as f64 / 1e6);
    screen::note(&format!(
        "Thumbnails of {n} of {of} photographs of the training, for `transfer serve`: {} ({mb:.1} MB).",
        file.path().shown()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_are_the_same() {
        let model = Path::new("a/m.safetensors");
        assert_eq!(of_model(model), Path::new("a/m.safetensors.neighbours.safetensors"));
        assert_eq!(beside(&OutputFile::new(model)).path(), of_model(model));
    }
}
