//! Somebody's own folder of photographs: recognised as it lies there, split where it has to be, and told
//! what is wrong with it in words.
//!
//! [`image_dataset_from_directory`](super::image_dataset_from_directory) takes any folder as Keras does;
//! here it is looked at first.

use crate::Show;
use std::fmt;
use std::path::{Path, PathBuf};

use super::dataset::image_dataset_from_directory;
use super::folder::is_same;
use super::groups::{shared_with, Groups};
use super::layout::{expect_folder, layout, Layout};
use super::listing::class_folders;
use super::names::joined;
use super::own_classes::{check_opened, check_splittable, tell_few, tell_missing};
use super::own_folder::{check_classes, check_known, loose_images, say_loose};
use super::{BadImages, Dataset, ImageDatasetOptions};
use crate::progress::say;
use crate::{Error, Result, SPLIT_SEED};

/// The part set aside for validation where a folder has no validation folder.
pub const VALIDATION_PART: f32 = 0.2;
/// Classes that are shown by name.
const SHOWN: usize = 20;

/// Somebody's photographs as data sets; made by [`own_photographs`]. Printed, it says how many there are of
/// each class.
#[derive(Clone)]
pub struct OwnPhotographs {
    /// To train on.
    pub train: Dataset,
    /// To measure with while training. It shares no image with `train`.
    pub validation: Dataset,
    /// To measure with at the end; there where the folder has a `test` folder.
    pub test: Option<Dataset>,
    /// The folder.
    pub dir: PathBuf,
    /// How it was read, as a part of a sentence.
    pub how: String,
}

/// Makes data sets to train and to validate with of a folder of class folders, whatever its layout:
///
/// ```text
/// dir/cats/…                     split by class, 80 : 20 or as `options.validation_split` says
/// dir/dogs/…
///
/// dir/train/cats/…               as they are
/// dir/validation/cats/…
/// dir/test/cats/…
/// ```
///
/// In the second layout the sets may also be called `training`, `valid`, `val` and `testing`, in any case; other
/// folders beside them are left out, and named in a line. None of these names is taken for a class, unless
/// [`class_names`](ImageDatasetOptions::class_names) says so. Photographs in sub-folders of a class folder belong to the
/// class, and are counted in a line; so are photographs that lie beside the class folders and belong to none. What can
/// be read in two ways is an error that says how to decide it.
///
/// There may be two classes or more, of any sizes; for the split each needs two photographs, and has at least one on
/// either side. The split depends on [`SPLIT_SEED`] and the files alone, not on `options.seed`.
///
/// # Errors
/// [`Error::Data`] that says what to do where there are no class folders or only one, the layout is ambiguous, a class
/// has no readable image or only one and must be split, or validation has a class that is not trained; and as
/// [`image_dataset_from_directory`](super::image_dataset_from_directory).
///
/// ```no_run
/// use transfer::prelude::*;
/// let photographs = own_photographs("my_photos", ImageDatasetOptions::default().image_size(160, 160))?;
/// println!("{photographs}");
/// let (train, validation): (Dataset, Dataset) = (photographs.train.clone(), photographs.validation.clone());
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn own_photographs(dir: impl AsRef<Path>, options: ImageDatasetOptions) -> Result<OwnPhotographs> {
    open(dir.as_ref(), None, options)
}

/// [`own_photographs`] with validation images from another folder: nothing of `dir` is set aside.
///
/// # Errors
/// As [`own_photographs`].
pub fn own_photographs_with_validation(
    dir: impl AsRef<Path>,
    validation_dir: impl AsRef<Path>,
    options: ImageDatasetOptions,
) -> Result<OwnPhotographs> {
    open(dir.as_ref(), Some(validation_dir.as_ref()), options)
}

/// [`own_photographs`], where the part that is set aside keeps groups together: see
/// [`OwnPhotographs::keep_together`].
///
/// # Errors
/// As [`own_photographs`].
///
/// ```no_run
/// use transfer::prelude::*;
/// let report = check_photographs("my_photos", CheckOptions::default())?;
/// let options = ImageDatasetOptions::default().image_size(160, 160);
/// let photographs = own_photographs_in_groups("my_photos", options, report.groups())?;
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn own_photographs_in_groups(
    dir: impl AsRef<Path>,
    options: ImageDatasetOptions,
    groups: Groups,
) -> Result<OwnPhotographs> {
    let part = options.validation_split.unwrap_or(VALIDATION_PART);
    own_photographs(dir, options)?.keep_together(&groups, part)
}

fn open(dir: &Path, validation_dir: Option<&Path>, options: ImageDatasetOptions) -> Result<OwnPhotographs> {
    let part = options.validation_split.unwrap_or(VALIDATION_PART);
    let options = ImageDatasetOptions { validation_split: None, subset: None, ..options };
    if !(part > 0.0 && part < 1.0) {
        return Err(Error::Invalid(format!(
            "own_photographs expected a validation_split between 0 and 1, both excluded. Received: {part}"
        )));
    }
    if let Some(validation) = validation_dir {
        expect_folder(validation)?;
    }
    let layout = layout(dir, options.class_names.as_deref(), validation_dir)?;
    let Layout { train: folder, classes, validation, test } = layout;
    if folder != dir {
        say_loose(dir, &loose_images(dir)?);
    }
    if let (Some(unused), Some(_)) = (&validation, validation_dir) {
        say(format!("Left out {}, since another folder to validate with is named.", unused.shown()));
    }
    let classes_named = options.class_names.is_some();
    let class_names = options.class_names.clone().or(classes);
    let of_training = ImageDatasetOptions { class_names, ..options.clone() };
    check_classes(&folder, of_training.class_names.as_deref(), validation_dir)?;
    let all = image_dataset_from_directory(&folder, of_training)?;
    check_opened(&all, &folder, classes_named)?;
    let names = all.class_names().to_vec();
    let left_out: Vec<String> = match classes_named {
        true => class_folders(&folder)?.into_iter().filter(|name| !names.contains(name)).collect(),
        false => Vec::new(),
    };
    let held_out = |other: PathBuf| {
        if is_same(&other, &folder)? {
            return Err(Error::Data(format!(
                "expected other photographs to measure with than to train on. Received the same folder twice: {}. Leave \
                 the second one away to set a part of each class aside.",
                other.shown()
            )));
        }
        measured(&other, &names, &left_out, options.clone())
    };
    let (train, validation, how) = match validation_dir.map(Path::to_owned).or(validation) {
        Some(folder) => {
            let name = folder.file_name().unwrap_or(folder.as_os_str()).shown();
            (all, held_out(folder.clone())?, format!("validated with {name}"))
        }
        None => {
            check_splittable(&all)?;
            let (train, validation) = all.stratified_split(part, SPLIT_SEED)?;
            (train, validation, format!("{:.0} % of each class set aside", 100.0 * part))
        }
    };
    tell_few(&train);
    let test = test.map(held_out).transpose()?;
    Ok(OwnPhotographs { train, validation, test, dir: dir.to_owned(), how })
}

/// Says how many photographs to measure with belong to a group of the training set.
fn tell_leaks(train: &Dataset, validation: &Dataset, test: Option<&Dataset>, groups: &Groups) {
    let files = |set: &Dataset| -> Vec<PathBuf> {
        set.indices().into_iter().filter_map(|i| set.file_path(i)).collect()
    };
    let trained = files(train);
    for (name, set) in [("validation", Some(validation)), ("test", test)] {
        let leaks = set.map_or(0, |set| shared_with(groups, &files(set), &trained));
        if leaks > 0 {
            say(format!(
                "WARNING: {leaks} photographs of the {name} set belong to a group (duplicates, or by the pattern) that \
                 is trained on. The accuracy on them is too good. `transfer check` names them.",
            ));
        }
    }
}

/// The two sets of a folder, which have the same class folders.
pub(crate) struct TwoSets {
    pub train: PathBuf,
    pub validation: PathBuf,
    pub class_names: Vec<String>,
}

/// The folders of the training and the validation set in `dir`, for whoever opens them one by one.
pub(crate) fn two_sets(dir: &Path) -> Result<TwoSets> {
    let Layout { train, validation, .. } = layout(dir, None, None)?;
    let Some(validation) = validation else {
        return Err(Error::Data(format!(
            "expected `train` and `validation` in {}, with the same class folders in both. Received no validation set. \
             Put a part of the photographs of each class there.",
            dir.shown()
        )));
    };
    let (class_names, measured) = (class_folders(&train)?, class_folders(&validation)?);
    if class_names != measured {
        let names = |all: &[String]| joined(all.iter().map(String::as_str), SHOWN);
        return Err(Error::Data(format!(
            "expected the same class folders in {} and {}. Received: {}, and {}. Make them the same.",
            train.shown(),
            validation.shown(),
            names(&class_names),
            names(&measured)
        )));
    }
    Ok(TwoSets { train, validation, class_names })
}

/// The images below `dir` of classes that are known already, with their labels: to evaluate a model on.
/// Names are compared in Unicode's normalisation form C. Classes without a folder have no images; they are named in a
/// line.
///
/// # Errors
/// [`Error::Data`] where a sub-folder is none of the classes, or there is no image at all.
pub fn photographs_of_classes(
    dir: impl AsRef<Path>,
    class_names: &[String],
    options: ImageDatasetOptions,
) -> Result<Dataset> {
    measured(dir.as_ref(), class_names, &[], options)
}

/// The same, where some classes were left out of the training.
pub(super) fn measured(
    dir: &Path,
    class_names: &[String],
    left_out: &[String],
    options: ImageDatasetOptions,
) -> Result<Dataset> {
    expect_folder(dir)?;
    check_known(dir, class_names, left_out)?;
    let class_names = Some(class_names.to_vec());
    let options = ImageDatasetOptions { class_names, missing_classes: true, ..options };
    let dataset = image_dataset_from_directory(dir, options)?;
    tell_missing(&dataset, dir);
    Ok(dataset)
}

impl OwnPhotographs {
    /// The same photographs, where the part that was set aside keeps groups together: see
    /// [`Dataset::stratified_group_split`]. `validation_split` is the part that they were opened with. Sets that a folder
    /// has itself stay as they are; groups that these break are said in a line.
    ///
    /// # Errors
    /// As [`Dataset::stratified_group_split`].
    pub fn keep_together(self, groups: &Groups, validation_split: f32) -> Result<Self> {
        let mut kept = self;
        if let Some(all) = kept.before_split(validation_split)? {
            let (train, validation) = all.stratified_group_split(validation_split, SPLIT_SEED, groups)?;
            let cached = [&kept.train, &kept.validation].map(Dataset::has_cache);
            (kept.train, kept.validation) = (train.with_cache(cached[0]), validation.with_cache(cached[1]));
        }
        if !groups.is_none() {
            tell_leaks(&kept.train, &kept.validation, kept.test.as_ref(), groups);
        }
        Ok(kept)
    }

    /// A data set to validate with while training, and one that nothing looks at before the end. The second is the
    /// folder's own test set, where it has one; else `part` of the validation set, divided by class so that groups
    /// stay together ([`Dataset::stratified_group_split`]).
    ///
    /// # Errors
    /// As [`Dataset::stratified_group_split`].
    ///
    /// ```no_run
    /// use transfer::prelude::*;
    /// let photographs = own_photographs("my_photos", ImageDatasetOptions::default())?;
    /// let (validation, test) = photographs.validation_and_test(0.5, &Groups::none())?;
    /// # Ok::<(), transfer::Error>(())
    /// ```
    pub fn validation_and_test(&self, part: f32, groups: &Groups) -> Result<(Dataset, Dataset)> {
        match &self.test {
            Some(test) => Ok((self.validation.clone(), test.clone())),
            None => self.validation.stratified_group_split(part, SPLIT_SEED, groups),
        }
    }

    /// What was left out of all its data sets so far. After training and measuring with them, all is known.
    pub fn bad_images(&self) -> BadImages {
        let mut seen = vec![&self.train];
        let mut all = self.train.bad_images();
        for dataset in [Some(&self.validation), self.test.as_ref()].into_iter().flatten() {
            if !seen.iter().any(|other| other.shares_files_with(dataset)) {
                all = all.and(dataset.bad_images());
                seen.push(dataset);
            }
        }
        BadImages { folder: self.dir.clone(), ..all }
    }
}

impl fmt::Display for OwnPhotographs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (train, validation) = (self.train.class_counts(), self.validation.class_counts());
        let names = self.train.class_names();
        write!(
            f,
            "{}: {} photographs to train on, {} to validate with",
            self.dir.file_name().unwrap_or(self.dir.as_os_str()).shown(),
            self.train.len(),
            self.validation.len()
        )?;
        if let Some(test) = &self.test {
            write!(f, ", {} to test with", test.len())?;
        }
        write!(f, ", of {} classes, {}.", names.len(), self.how)?;
        let width =
            names.iter().take(SHOWN).map(|name| name.shown().to_string().chars().count()).max().unwrap_or(0);
        for ((name, train), validation) in names.iter().zip(train).zip(validation).take(SHOWN) {
            write!(f, "\n  {:<width$} {train:>6} + {validation}", name.shown())?;
        }
        match names.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl fmt::Debug for OwnPhotographs {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
