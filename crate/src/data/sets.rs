//! The sets of somebody's folder as they lie there, without a split: to look at all photographs.

use super::dataset::image_dataset_from_directory;
use super::digest::FileDigest;
use super::layout::{expect_folder, layout, Layout};
use super::own_photographs::measured;
use super::whole::Whole;
use super::{Dataset, ImageDatasetOptions, OwnPhotographs};
use crate::{Error, Result, Show, SPLIT_SEED};
use std::path::{Path, PathBuf};

/// The photographs of one folder of class folders.
pub(crate) struct WholeSet {
    /// `train`, `validation` or `test`; `all` where the folder has no such parts.
    pub name: &'static str,
    /// The folder that the class folders lie in.
    pub folder: PathBuf,
    pub data: Dataset,
    /// Those of its photographs that a data set with a cache will ask for.
    pub cached: Vec<usize>,
}

impl WholeSet {
    pub fn new(name: &'static str, folder: PathBuf, data: Dataset) -> Self {
        WholeSet { name, folder, data, cached: Vec::new() }
    }

    /// Keeps a photograph that was decoded in the cache of its data sets, if there is room: whoever asks for it next does
    /// not have to decode it.
    pub fn keep_decoded(&self, index: usize, photograph: &Whole<'_>, file: FileDigest) {
        self.data.store.keep_decoded(index, photograph, file);
    }
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
    let mut sets = vec![WholeSet::new(name, train, data)];
    for (name, folder) in [("validation", validation), ("test", test)] {
        if let Some(folder) = folder {
            let data = measured(&folder, &names, &[], options.clone())?;
            sets.push(WholeSet::new(name, folder, data));
        }
    }
    Ok(sets)
}

impl OwnPhotographs {
    /// All its photographs. What [`own_photographs`](super::own_photographs) set aside is one set with the rest again.
    pub(crate) fn whole_sets(&self, validation_split: f32) -> Result<Vec<WholeSet>> {
        let with_cache = |data: &Dataset| if data.has_cache() { data.indices() } else { Vec::new() };
        let set = |name, data: &Dataset| WholeSet {
            cached: with_cache(data),
            ..WholeSet::new(name, self.dir.clone(), data.clone())
        };
        let test = self.test.iter().map(|test| set("test", test));
        Ok(match self.before_split(validation_split)? {
            Some(all) => {
                let name = if self.test.is_some() { "train" } else { "all" };
                // A split that keeps groups together moves few of them to the other side.
                let cached = [&self.train, &self.validation].into_iter().flat_map(with_cache).collect();
                let all = WholeSet { cached, ..set(name, &all) };
                [all].into_iter().chain(test).collect()
            }
            None => [set("train", &self.train), set("validation", &self.validation)]
                .into_iter()
                .chain(test)
                .collect(),
        })
    }

    /// Training and validation set as one, where [`own_photographs`](super::own_photographs) set this part aside; none
    /// where the sets were given, or split otherwise.
    pub(super) fn before_split(&self, validation_split: f32) -> Result<Option<Dataset>> {
        if !self.train.shares_files_with(&self.validation) {
            return Ok(None);
        }
        let all = self.train.whole();
        let (train, validation) = all.stratified_split(validation_split, SPLIT_SEED)?;
        let same = |a: &Dataset, b: &Dataset| a.indices() == b.indices();
        Ok((same(&train, &self.train) && same(&validation, &self.validation)).then_some(all))
    }
}
