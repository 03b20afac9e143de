//! Data sets and models that are measured.

use std::path::{Path, PathBuf};

use transfer::prelude::*;

/// The classes of clothing.
pub const CLOTHING: [&str; 10] =
    ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"];
/// The known photographs that may be called unknown.
pub const RATE: f64 = 0.05;

/// A folder of class folders, at the size of `transfer train`; with `classes`, those alone.
pub fn open(folder: &Path, classes: Option<&[&str]>) -> Result<Dataset> {
    let mut options = ImageDatasetOptions::default().image_size(224, 224).seed(1);
    options.class_names = classes.map(|names| names.iter().map(ToString::to_string).collect());
    image_dataset_from_directory(folder, options)
}

/// A model of four fifths of the photographs, with the fifth that was set aside.
pub struct Trained {
    pub model: Model,
    pub train: Dataset,
    pub aside: Dataset,
}

/// Trains as `transfer train` does, up to the calibration.
pub fn train(all: &Dataset, epochs: Option<usize>) -> Result<Trained> {
    let all = all.cache();
    let (train, aside) = all.stratified_split(transfer::data::VALIDATION_PART, transfer::SPLIT_SEED)?;
    let mut model = Model::imagenet(&train)?;
    model.fine_tune(
        &train,
        epochs.map_or_else(FineTuneOptions::default, FineTuneOptions::epochs).folds(5).seed(1),
    )?;
    Ok(Trained { model, train, aside })
}

/// The files of a data set.
pub fn files(dataset: &Dataset) -> Vec<PathBuf> {
    dataset.indices().into_iter().map(|i| dataset.file_paths()[i].clone()).collect()
}

/// All images of a folder and its sub-folders.
pub fn images_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |e| Error::io("cannot list", folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        match path.is_dir() {
            true => found.extend(images_below(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}
