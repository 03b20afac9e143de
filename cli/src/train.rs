//! `transfer train`: a folder of photographs becomes a model.

use std::io::Write;
use std::path::{Path, PathBuf};
use transfer::Show;

use transfer::data::own_photographs_with_validation;
use transfer::prelude::*;

use crate::args::Train;
use crate::{recipe, screen, stop, Failure};

pub fn train(arguments: &Train) -> crate::Result<()> {
    check_output(&arguments.output)?;
    let (h, w) = arguments.image_size;
    let options = ImageDatasetOptions {
        validation_split: Some(arguments.validation_split),
        ..ImageDatasetOptions::default()
            .image_size(h, w)
            .batch_size(arguments.batch_size as usize)
            .seed(arguments.seed)
    };
    let mut photographs = match &arguments.validation {
        Some(validation) => own_photographs_with_validation(&arguments.dir, validation, options)?,
        None => own_photographs(&arguments.dir, options)?,
    };
    if !arguments.no_cache {
        photographs.train = photographs.train.cache();
    }
    screen::note(&photographs.to_string());
    screen::note(&format!("Computing on {}.", Device::auto()?));
    let checkpoints = arguments.checkpoints.clone().unwrap_or_else(|| beside(&arguments.output));
    let model = recipe::train(&photographs.train, &photographs.validation, arguments, &checkpoints)
        .map_err(how_to_go_on)?;
    let measured = model.evaluate(&photographs.validation).map_err(how_to_go_on)?;
    model.save(&arguments.output)?;
    if arguments.checkpoints.is_none() {
        // What cannot be removed is in nobody's way.
        let _ = std::fs::remove_dir_all(&checkpoints);
    }
    let mut out = std::io::stdout().lock();
    let Evaluation { loss, accuracy, images, errors } = measured;
    writeln!(out, "validation: accuracy {accuracy:.4}, loss {loss:.4}, {errors} of {images} wrong")?;
    if let Some(test) = &photographs.test {
        let Evaluation { loss, accuracy, images, errors } = model.evaluate(test)?;
        writeln!(out, "test: accuracy {accuracy:.4}, loss {loss:.4}, {errors} of {images} wrong")?;
    }
    writeln!(out, "saved: {}", arguments.output.shown())?;
    Ok(())
}

/// An interruption with the command that goes on.
fn how_to_go_on(error: Error) -> Failure {
    match error {
        Error::Interrupted(_) => Failure::Interrupted(format!(
            "Interrupted. This command goes on from the last checkpoint:\n  {}",
            stop::this_command()
        )),
        other => other.into(),
    }
}

/// A folder beside the model, for as long as it is not done.
fn beside(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".checkpoints");
    output.with_file_name(name)
}

/// Refuses a place that cannot hold a model, before hours are spent on one.
fn check_output(output: &Path) -> crate::Result<()> {
    let folder = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if output.is_dir() || output.file_name().is_none() {
        return Err(Failure::Error(format!(
            "--output expected the name of a file. Received a folder: {}",
            output.shown()
        )));
    }
    if !folder.is_dir() {
        return Err(Failure::Error(format!(
            "--output expected a folder that exists. Received: {}",
            folder.shown()
        )));
    }
    Ok(())
}
