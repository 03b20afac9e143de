//! Somebody's own folder of photographs: recognised as it lies there, split where it has to be, and told
//! what is wrong with it in words.
//!
//! [`image_dataset_from_directory`](super::image_dataset_from_directory) takes any folder as Keras does;
//! here it is looked at first.

use crate::Show;
use std::fmt;
use std::path::{Path, PathBuf};

use super::dataset::image_dataset_from_directory;
use super::own_folder::{check_classes, layout, Layout};
use super::{BadImages, Dataset, ImageDatasetOptions};
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
/// dir/train/cats/…               as they are; `training`, `valid`, `val` and `test` are known, too
/// dir/validation/cats/…
/// ```
///
/// There may be 2 to 1000 classes of any sizes. Each class with two images or more has at least one on
/// either side. The split depends on [`SPLIT_SEED`] and the files alone, not on `options.seed`.
///
/// # Errors
/// [`Error::Data`] that says what to do where there are no class folders or only one, a class has no
/// readable image, images lie loose, or validation has a class that is not trained; and as
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

fn open(dir: &Path, validation_dir: Option<&Path>, options: ImageDatasetOptions) -> Result<OwnPhotographs> {
    let part = options.validation_split.unwrap_or(VALIDATION_PART);
    let options = ImageDatasetOptions { validation_split: None, subset: None, ..options };
    if !(part > 0.0 && part < 1.0) {
        return Err(Error::Invalid(format!(
            "own_photographs expected a validation_split between 0 and 1, both excluded. Received: {part}"
        )));
    }
    let Layout { train: folder, validation, test } = layout(dir)?;
    let all = classes_of(&folder, options.clone())?;
    let names = all.class_names().to_vec();
    let held_out = |folder: PathBuf| photographs_of_classes(folder, &names, options.clone());
    let (train, validation, how) = match validation_dir.map(Path::to_owned).or(validation) {
        Some(folder) => {
            let name = folder.file_name().unwrap_or(folder.as_os_str()).shown();
            (all, held_out(folder.clone())?, format!("validated with {name}"))
        }
        None => {
            let (train, validation) = all.stratified_split(part, SPLIT_SEED)?;
            (train, validation, format!("{:.0} % of each class set aside", 100.0 * part))
        }
    };
    let test = test.map(held_out).transpose()?;
    Ok(OwnPhotographs { train, validation, test, dir: dir.to_owned(), how })
}

/// The classes below one folder, none of them empty.
fn classes_of(folder: &Path, options: ImageDatasetOptions) -> Result<Dataset> {
    check_classes(folder, options.class_names.as_deref())?;
    let all = image_dataset_from_directory(folder, options)?;
    let counts = all.class_counts();
    if let Some(empty) = counts.iter().position(|&n| n == 0) {
        let name = &all.class_names()[empty];
        let why = all.skipped().into_iter().find(|file| file.path.starts_with(folder.join(name)));
        return Err(Error::Data(format!(
            "the class folder {} has no readable image{}. Put photographs into it, or remove it.",
            folder.join(name).shown(),
            why.map(|file| format!(" ({file})")).unwrap_or_default()
        )));
    }
    Ok(all)
}

/// The images below `dir` of classes that are known already, with their labels: to evaluate a model on.
/// Classes without a folder have no images.
///
/// # Errors
/// [`Error::Data`] where a sub-folder is none of the classes, or there is no image at all.
pub fn photographs_of_classes(
    dir: impl AsRef<Path>,
    class_names: &[String],
    options: ImageDatasetOptions,
) -> Result<Dataset> {
    let dir = dir.as_ref();
    let found = super::listing::class_folders(dir)?;
    if let Some(unknown) = found.iter().find(|name| !class_names.contains(name)) {
        let mut known = class_names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        if class_names.len() > SHOWN {
            known += ", …";
        }
        return Err(Error::Data(format!(
            "expected in {} only folders of the classes that the model knows: {known}. Received: {unknown}.",
            dir.shown()
        )));
    }
    let options = ImageDatasetOptions { missing_classes: true, ..options };
    image_dataset_from_directory(
        dir,
        ImageDatasetOptions { class_names: Some(class_names.to_vec()), ..options },
    )
}

impl OwnPhotographs {
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
