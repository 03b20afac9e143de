//! Where models and checkpoints go: places are found fit for it before any work.

use std::path::{Path, PathBuf};

use transfer::prelude::*;
use transfer::Show;

use crate::args::{Export, Train};
use crate::Failure;

/// Where the model goes without `--output`.
const MODEL: &str = "model.safetensors";

/// The file of the model that is to be trained, with its partial file open.
pub fn of_training(asked: &Train) -> crate::Result<OutputFile> {
    let path = asked.output.clone().unwrap_or_else(|| MODEL.into());
    let mut output = OutputFile::new(&path).overwrite(asked.force);
    if let Some(table) = &asked.labels {
        output = output.not_over(table);
    }
    for folder in [Some(&asked.dir), asked.validation.as_ref()].into_iter().flatten() {
        // The default may lie beside the class folders: there it is in nobody's way.
        if asked.output.is_some() || !is_here(folder) {
            output = output.not_in(folder);
        }
    }
    reserved(&path, output, OutputFile::reserve_model)
}

/// The file of the ONNX model, with its partial file open.
pub fn of_export(asked: &Export) -> crate::Result<OutputFile> {
    let mut output = OutputFile::new(&asked.output).overwrite(asked.force).not_over(&asked.model);
    if let Some(table) = &asked.labels {
        output = output.not_over(table);
    }
    for folder in [&asked.calibrate, &asked.check].into_iter().flatten() {
        if !is_here(folder) {
            output = output.not_in(folder);
        }
    }
    reserved(&asked.output, output, OutputFile::reserve_onnx)
}

fn reserved(
    path: &Path,
    output: OutputFile,
    reserve: fn(OutputFile) -> Result<OutputFile>,
) -> crate::Result<OutputFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The library makes folders; here one that is not there is a slip of the pen.
    if !folder.is_dir() {
        return Err(Failure::Error(format!(
            "--output expected a file in a folder that exists. Received: {}",
            path.shown()
        )));
    }
    reserve(output).map_err(|e| match e {
        Error::Interrupted(_) => e.into(),
        other => Failure::Error(format!("--output: {other}")),
    })
}

fn is_here(folder: &Path) -> bool {
    let here = Path::new(".").canonicalize();
    here.is_ok_and(|here| folder.canonicalize().is_ok_and(|folder| folder == here))
}

/// The folder below which a training has its checkpoints.
pub fn checkpoints(asked: &Train, output: &OutputFile) -> crate::Result<PathBuf> {
    let Some(given) = &asked.checkpoints else { return Ok(beside(output.path(), ".")) };
    for photographs in [Some(&asked.dir), asked.validation.as_ref()].into_iter().flatten() {
        if is_class_of(given, photographs) {
            return Err(Failure::Error(format!(
                "--checkpoints expected a folder outside of the photographs, where it would be taken for a class. \
                 Received: {} in {}",
                given.shown(),
                photographs.shown()
            )));
        }
    }
    match given.is_dir() || given.symlink_metadata().is_err() {
        true => Ok(given.clone()),
        false => Err(Failure::Error(format!(
            "--checkpoints expected a folder, or a name for a new one. Received: {}",
            given.shown()
        ))),
    }
}

/// The checkpoints that earlier versions left beside a model, where there are some.
pub fn earlier_checkpoints(output: &OutputFile) -> Option<PathBuf> {
    Some(beside(output.path(), "")).filter(|folder| folder.is_dir())
}

/// `model.safetensors.checkpoints` beside the model, with something in front of its name.
fn beside(output: &Path, before: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(before);
    name.push(output.file_name().unwrap_or_default());
    name.push(".checkpoints");
    output.with_file_name(name)
}

/// Whether a folder, there or not, lies among photographs under a name that is not passed over.
fn is_class_of(folder: &Path, photographs: &Path) -> bool {
    let Ok(photographs) = photographs.canonicalize() else { return false };
    // The part of it that is there has no links; what is to be made below has none either.
    let there = folder.ancestors().find_map(|above| {
        let above_or_here = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        Some((above, above_or_here.canonicalize().ok()?))
    });
    let Some((above, canonical)) = there else { return false };
    let whole = canonical.join(folder.strip_prefix(above).unwrap_or(folder));
    match whole.strip_prefix(&photographs) {
        Ok(inner) => !inner.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b".")),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_among_photographs_is_a_class_unless_it_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let photos = dir.path().join("photos");
        std::fs::create_dir_all(photos.join("cats")).unwrap();
        for (folder, class) in [
            ("photos", true),
            ("photos/runs", true),
            ("photos/cats/deep/er", true),
            ("photos/.runs", false),
            ("photos/.runs/a", false),
            ("runs", false),
            ("photos2", false),
            ("photos/../runs", false),
            ("photos/cats/../runs", true),
        ] {
            assert_eq!(is_class_of(&dir.path().join(folder), &photos), class, "{folder}");
        }
    }

    #[test]
    fn checkpoints_beside_a_model_are_hidden() {
        assert_eq!(beside(Path::new("a/m.safetensors"), "."), Path::new("a/.m.safetensors.checkpoints"));
    }
}
