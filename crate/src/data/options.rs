//! What [`image_dataset_from_directory`](super::image_dataset_from_directory) can be told.
//!
//! Not a description of the images themselves: sizes, types and labels are read from the folder.

use super::fit::Fit;
use super::limits::MAX_SIDE;
use crate::team::{Membership, Team};
use crate::{Error, Result};
use std::sync::Arc;

/// The largest batch that is accepted, in bytes; a larger one is surely a slip of the finger.
const MAX_BATCH_BYTES: usize = 4 << 30;

/// Options of [`image_dataset_from_directory`](super::image_dataset_from_directory), with Keras'
/// names and defaults.
///
/// ```
/// use transfer::data::ImageDatasetOptions;
/// let options = ImageDatasetOptions::default().batch_size(32).image_size(160, 160).seed(123);
/// assert!(options.shuffle);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct ImageDatasetOptions {
    /// The class folders to use, in the order of their labels; `None` takes every sub-folder,
    /// sorted by name.
    pub class_names: Option<Vec<String>>,
    /// Whether [`class_names`](Self::class_names) may name classes that have no folder, and so no images:
    /// for a folder to evaluate on that lacks some.
    pub missing_classes: bool,
    /// Images in a batch; the last batch may be smaller. Smaller batches need less memory, larger
    /// ones train with less noise.
    pub batch_size: usize,
    /// (height, width) that every image is resized to, whatever its own shape.
    pub image_size: (usize, usize),
    /// What happens where an image has another aspect ratio than [`image_size`](Self::image_size).
    pub fit: Fit,
    /// Whether the images are mixed. Without it they come sorted by path, all of one class first,
    /// which is no good for training.
    pub shuffle: bool,
    /// What the order and the split depend on; the same seed gives the same order.
    pub seed: u64,
    /// Whether a shuffled data set has another order in each epoch.
    pub reshuffle_each_iteration: bool,
    /// The part of the images, between 0 and 1, to set aside for validation where the folder has
    /// no validation folder of its own; needs [`subset`](Self::subset) too.
    pub validation_split: Option<f32>,
    /// Which side of the [`validation_split`](Self::validation_split) is wanted. Ask twice with
    /// the same seed, once for each.
    pub subset: Option<Subset>,
    /// What happens to a photograph that cannot be decoded.
    pub on_bad_image: OnBadImage,
    /// The part of the photographs of each class, from 0 to 1, that may be left out because they cannot be decoded;
    /// more is an error. Unless it is 0, one photograph of a class may always be left out, however small the class
    /// is; all photographs of a class never. Files that are no images by content and name do not count.
    pub max_left_out: f32,
    /// How many bytes [`Dataset::cache`](super::Dataset::cache) may hold; images beyond that are
    /// decoded anew in each epoch.
    pub cache_limit_bytes: usize,
    /// Who shares the work of looking at the files, and with it the [`cache_limit_bytes`](Self::cache_limit_bytes): the
    /// members of a team each look at a part, and all know of all.
    pub team: Option<Membership>,
}

/// One side of a validation split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subset {
    /// The larger part, to train on.
    Training,
    /// The part set aside.
    Validation,
}

/// What happens to a photograph whose content cannot be decoded. (One that cannot be read from its disk is always an
/// error.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadImage {
    /// It is left out, reported, and listed by [`Dataset::bad_images`](super::Dataset::bad_images). Its
    /// batch is one image shorter; nothing else changes. Too many of a class are an error, see
    /// [`max_left_out`](ImageDatasetOptions::max_left_out).
    Skip,
    /// It is an error.
    Fail,
}

impl Default for ImageDatasetOptions {
    fn default() -> Self {
        Self {
            class_names: None,
            missing_classes: false,
            batch_size: 32,
            image_size: (256, 256),
            fit: Fit::Squash,
            shuffle: true,
            seed: 0,
            reshuffle_each_iteration: true,
            validation_split: None,
            subset: None,
            on_bad_image: OnBadImage::Skip,
            max_left_out: 0.1,
            cache_limit_bytes: 1 << 30,
            team: None,
        }
    }
}

impl ImageDatasetOptions {
    /// Sets [`class_names`](Self::class_names).
    pub fn class_names(mut self, names: &[&str]) -> Self {
        self.class_names = Some(names.iter().map(|&n| n.to_owned()).collect());
        self
    }

    /// Sets [`batch_size`](Self::batch_size).
    pub fn batch_size(mut self, n: usize) -> Self {
        self.batch_size = n;
        self
    }

    /// Sets [`image_size`](Self::image_size).
    pub fn image_size(mut self, height: usize, width: usize) -> Self {
        self.image_size = (height, width);
        self
    }

    /// Sets [`fit`](Self::fit).
    pub fn fit(mut self, fit: Fit) -> Self {
        self.fit = fit;
        self
    }

    /// Sets [`shuffle`](Self::shuffle).
    pub fn shuffle(mut self, yes: bool) -> Self {
        self.shuffle = yes;
        self
    }

    /// Sets [`seed`](Self::seed).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets [`reshuffle_each_iteration`](Self::reshuffle_each_iteration).
    pub fn reshuffle_each_iteration(mut self, yes: bool) -> Self {
        self.reshuffle_each_iteration = yes;
        self
    }

    /// Sets [`validation_split`](Self::validation_split) and [`subset`](Self::subset).
    pub fn validation_split(mut self, part: f32, subset: Subset) -> Self {
        (self.validation_split, self.subset) = (Some(part), Some(subset));
        self
    }

    /// Sets [`on_bad_image`](Self::on_bad_image).
    pub fn on_bad_image(mut self, what: OnBadImage) -> Self {
        self.on_bad_image = what;
        self
    }

    /// Sets [`max_left_out`](Self::max_left_out).
    pub fn max_left_out(mut self, part: f32) -> Self {
        self.max_left_out = part;
        self
    }

    /// Sets [`cache_limit_bytes`](Self::cache_limit_bytes).
    pub fn cache_limit_bytes(mut self, bytes: usize) -> Self {
        self.cache_limit_bytes = bytes;
        self
    }

    /// Sets [`team`](Self::team).
    pub fn team(mut self, team: Option<Arc<dyn Team>>) -> Self {
        self.team = team.map(Membership::from);
        self
    }

    /// The team, where there are others in it.
    pub(super) fn several(&self) -> Option<&dyn Team> {
        self.team.as_ref().map(Membership::team).filter(|team| team.size() > 1)
    }

    /// What this process may keep of the images.
    pub(super) fn own_cache_limit(&self) -> usize {
        self.cache_limit_bytes / self.several().map_or(1, Team::size)
    }

    /// Numbers in one image, height x width x 3.
    pub(super) fn image_len(&self) -> usize {
        self.image_size.0 * self.image_size.1 * 3
    }

    /// Checks what can be checked without the folder.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Invalid(format!("image_dataset_from_directory: {what}")));
        if self.batch_size == 0 {
            return wrong("batch_size must be at least 1. Received: 0".into());
        }
        let (h, w) = self.image_size;
        let side = 1..=MAX_SIDE as usize;
        if !side.contains(&h) || !side.contains(&w) {
            return wrong(format!(
                "image_size must be two numbers between 1 and {MAX_SIDE}, (height, width). Received: ({h}, {w})"
            ));
        }
        let bytes = (self.image_len() * 4).checked_mul(self.batch_size);
        if bytes.is_none_or(|b| b > MAX_BATCH_BYTES) {
            return wrong(format!(
                "a batch of {} images of {h}x{w} takes more than {} GiB. Choose a smaller batch_size or image_size.",
                self.batch_size,
                MAX_BATCH_BYTES >> 30
            ));
        }
        if !(0.0..=1.0).contains(&self.max_left_out) {
            return wrong(format!("max_left_out must lie between 0 and 1. Received: {}", self.max_left_out));
        }
        match (self.validation_split, self.subset) {
            (None, None) => Ok(()),
            (Some(part), Some(_)) if part > 0.0 && part < 1.0 => Ok(()),
            (Some(part), Some(_)) => {
                wrong(format!("validation_split must lie between 0 and 1, both excluded. Received: {part}"))
            }
            _ => wrong("validation_split and subset must be given together, or neither.".into()),
        }
    }
}
