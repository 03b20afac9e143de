//! The sets of somebody's folder as they lie there, without a split: to look at all photographs.

use super::dataset::image_dataset_from_directory;
use super::layout::{expect_folder, layout, Layout};
use super::own_photographs::measured;
use super::{Dataset, ImageDatasetOptions};
use crate::{Error, Result, Show};
use std::path::{Path, PathBuf};

/// The photographs of one folder of class folders.
pub(crate) struct WholeSet {
    /// `train`, `validation` or `test`; `all` where the folder has no such parts.
    pub name: &'static str,
    /// The folder that the class folders lie in.
    pub folder: PathBuf,
    pub data: Dataset,
}

/// All photographs of a folder in the layouts of [`own_photographs`](super::own_photographs), those of the training set
/// first. All sets have the labels of the first one. `validation_dir` takes the place of a validation folder in `dir`.
///
/// # Errors
/// As [`own_photographs`](super::own_photographs); one class is enough here, and so is one photograph of a class.
pub(crate) fn whole_sets(
    dir: &Path,
    validation_dir: Option<&Path>,
    options: ImageDatasetOptions,
) -> Result<Vec<WholeSet>> {
    if let Some(validation) = validation_dir {
        expect_folder(validation)?;
    }
    let Layout { train, classes, validation, test } =
        layout(dir, options.class_names.as_deref(), validation_dir)?;
    let options = ImageDatasetOptions { validation_split: None, subset: None, shuffle: false, ..options };
    let class_names = options.class_names.clone().or(classes);
    let data = image_dataset_from_directory(&train, ImageDatasetOptions { class_names, ..options.clone() })?;
    if data.is_empty() {
        return Err(Error::Data(format!("expected photographs in {}. Received none.", train.shown())));
    }
    let names = data.class_names().to_vec();
    let validation = validation_dir.map(Path::to_owned).or(validation);
    let name = if validation.is_some() || test.is_some() { "train" } else { "all" };
    let mut sets = vec![WholeSet { name, folder: train, data }];
    for (name, folder) in [("validation", validation), ("test", test)] {
        if let Some(folder) = folder {
            let data = measured(&folder, &names, &[], options.clone())?;
            sets.push(WholeSet { name, folder, data });
        }
    }
    Ok(sets)
}
