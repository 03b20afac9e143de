//! The images behind a data set and all data sets cut from it: their files, their labels, which of
//! them proved damaged, and the decoded copies that `cache()` keeps.
//!
//! Not an order of images: which come when is the [`Dataset`](super::Dataset)'s.

use super::bad_images::{BadImages, Skipped};
use super::decode::{decode, Buffers, Unusable};
use super::digest::{bytes_digest, file_digest, FileDigest};
use super::fit::resize_to_fit;
use super::label_sets::LabelSets;
use super::left_out::Tally;
use super::options::{ImageDatasetOptions, OnBadImage};
use super::paths::{Files, Paths};
use super::slots::Slots;
use super::spare::Spare;
use super::stored::{pass_through, store, stored_bytes, Stored};
use super::whole::Whole;
use crate::progress::say;
use crate::{input, Error, Result, Show};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// How many file names a line about skipped files holds.
const NAMES_TOLD: usize = 3;

/// What one worker thread uses again for each image.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    buffers: Buffers,
    row: Vec<f32>,
    /// For the image map.
    pub map: Vec<f32>,
}

#[derive(Debug)]
pub(super) struct Store {
    /// The folder that the class folders lie in.
    pub folder: PathBuf,
    pub options: ImageDatasetOptions,
    pub class_names: Vec<String>,
    /// How many images the folder has, before a split.
    pub found: usize,
    pub paths: Paths,
    /// The same, for whoever asks for a list.
    listed: OnceLock<Vec<PathBuf>>,
    /// Of each image: its class, or its set of labels where there are sets.
    pub labels: Vec<u32>,
    pub label_sets: Option<LabelSets>,
    skipped: Mutex<SkippedList>,
    /// How many of each class were left out, of all that were found.
    pub tally: Tally,
    /// Once a file proved damaged it stays so, and every epoch has the same images.
    bad: Slots<Skipped>,
    cached: Slots<Kept>,
    cached_bytes: AtomicUsize,
    pub spare: Arc<Spare>,
}

/// A decoded image, and what file it is from.
#[derive(Debug)]
struct Kept {
    image: Box<[u16]>,
    file: FileDigest,
}

#[derive(Debug, Default)]
struct SkippedList {
    all: Vec<Skipped>,
    told: usize,
}

impl Store {
    pub fn new(
        folder: PathBuf,
        options: ImageDatasetOptions,
        class_names: Vec<String>,
        found: usize,
        files: Files,
        (skipped, tally): (Vec<Skipped>, Tally),
    ) -> Self {
        let Files { paths, labels } = files;
        Self {
            folder,
            options,
            class_names,
            found,
            bad: Slots::new(paths.len()),
            cached: Slots::new(paths.len()),
            cached_bytes: AtomicUsize::new(0),
            paths,
            listed: OnceLock::new(),
            labels,
            label_sets: None,
            skipped: Mutex::new(SkippedList { all: skipped, told: 0 }),
            tally,
            spare: Spare::shared(),
        }
    }

    /// The paths as a list.
    pub fn all_paths(&self) -> &[PathBuf] {
        self.listed.get_or_init(|| self.paths.iter().collect())
    }

    /// The path of an image; empty where there is none.
    pub fn path(&self, index: usize) -> PathBuf {
        self.paths.get(index).unwrap_or_default()
    }

    /// Puts one image, resized, 0..255, into `out`; false where it cannot be decoded and is left out.
    ///
    /// # Errors
    /// Where the file cannot be read, or more is left out than may be.
    ///
    /// With `cache`, the image passes through the cache's fixed-point numbers also the first time
    /// and also where the cache is full, so that all epochs see the same.
    pub fn load(&self, index: usize, cache: bool, out: &mut [f32], scratch: &mut Scratch) -> Result<bool> {
        if self.is_bad(index) {
            return self.tally.check(self.labels[index]).map(|()| false);
        }
        if let Some(kept) = self.cached.get(index).filter(|_| cache) {
            Stored::new(&kept.image).unpack(out);
            return Ok(true);
        }
        let ImageDatasetOptions { image_size: size, fit, .. } = self.options;
        let Scratch { buffers, row, .. } = scratch;
        let path = self.path(index);
        let done = decode(&path, buffers, |rgb| {
            resize_to_fit(rgb.pixels, (rgb.height, rgb.width), out, size, fit, row);
            cache.then(|| bytes_digest(rgb.file))
        });
        match done {
            Ok(file) => {
                if let Some(file) = file {
                    self.keep(index, out, file);
                }
                Ok(true)
            }
            Err(Unusable::Unread(e)) => Err(input::photograph(&path, e)),
            Err(Unusable::NoFile(reason)) => Err(Error::Data(format!(
                "{} {reason}. It was one when the folder was listed: leave photographs as they are while they are used.",
                path.shown()
            ))),
            Err(Unusable::Content(reason) | Unusable::NoImage(reason)) => self.leave_out(index, reason),
        }
    }

    /// Keeps an image that was decoded for another purpose, as [`load`](Self::load) with `cache` would, if there is room.
    pub fn keep_decoded(&self, index: usize, image: &Whole<'_>, file: FileDigest) {
        let ImageDatasetOptions { image_size: size, fit, cache_limit_bytes, .. } = self.options;
        let len = size.0 * size.1 * 3;
        let full = self.cached_bytes().saturating_add(stored_bytes(len)) > cache_limit_bytes;
        if full || self.is_bad(index) || self.cached.get(index).is_some() {
            return;
        }
        let mut resized = self.spare.take(len);
        resize_to_fit(image.pixels, (image.height, image.width), &mut resized, size, fit, &mut Vec::new());
        self.keep(index, &mut resized, file);
        self.spare.give_back(resized);
    }

    /// The images that turned out to be damaged, and why.
    pub fn undecodable(&self) -> Vec<(usize, &str)> {
        self.bad.full().map(|(index, file)| (index, file.reason.as_str())).collect()
    }

    /// Leaves a file out from now on, where that is allowed.
    pub fn leave_out(&self, index: usize, reason: String) -> Result<bool> {
        if index >= self.paths.len() {
            return Err(Error::Data(format!(
                "There are {} photographs here. Received: something about number {index}. All members of a team must \
                 use the same photographs.",
                self.paths.len()
            )));
        }
        let file = Skipped { path: self.path(index), reason };
        if self.options.on_bad_image == OnBadImage::Fail {
            return Err(bad_image(&file));
        }
        if self.bad.set(index, file.clone()) {
            self.tally.leave_out(self.labels[index], &file);
            lock(&self.skipped).all.push(file);
        }
        self.tally.check(self.labels[index]).map(|()| false)
    }

    /// The image as the cache has it.
    pub fn stored(&self, index: usize) -> Option<Stored<'_>> {
        self.cached.get(index).map(|kept| Stored::new(&kept.image))
    }

    /// The digest of the file that [`load`](Self::load) takes an image from: of the one behind the decoded copy
    /// where that is used, else of what the file is now. `None` where the image is left out.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn digest(&self, index: usize, cache: bool) -> Result<Option<FileDigest>> {
        if self.is_bad(index) {
            return Ok(None);
        }
        if let Some(kept) = self.cached.get(index).filter(|_| cache) {
            return Ok(Some(kept.file));
        }
        let path = self.path(index);
        input::patiently(|| file_digest(&path)).map(Some).map_err(|e| input::photograph(&path, e))
    }

    /// Whether its file turned out to be damaged.
    pub fn is_bad(&self, index: usize) -> bool {
        self.reason(index).is_some()
    }

    /// Why it is left out.
    pub fn reason(&self, index: usize) -> Option<&str> {
        self.bad.get(index).map(|file| file.reason.as_str())
    }

    fn keep(&self, index: usize, image: &mut [f32], file: FileDigest) {
        let bytes = stored_bytes(image.len());
        let limit = self.options.own_cache_limit();
        let room = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= limit);
        if self.cached_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            return pass_through(image);
        }
        let kept = Kept { image: store(image), file };
        pass_through(image);
        if !self.cached.set(index, kept) {
            // Another pass over the same images was faster.
            self.cached_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    pub fn cached_bytes(&self) -> usize {
        self.cached_bytes.load(Ordering::Relaxed)
    }

    /// All files left out so far, sorted.
    pub fn skipped(&self) -> Vec<Skipped> {
        let mut all = lock(&self.skipped).all.clone();
        all.sort();
        all
    }

    /// The same as a report.
    pub fn bad_images(&self) -> BadImages {
        let late = self.bad.full().count();
        let files = self.skipped();
        // Those that showed when the folder was opened are not among the images found there.
        let found = self.found + files.len().saturating_sub(late);
        BadImages { files, found, folder: self.folder.clone() }
    }

    /// Says in one line which files were left out since this was last called.
    pub fn tell_skipped(&self) {
        let mut news = {
            let mut list = lock(&self.skipped);
            let news = list.all[list.told..].to_vec();
            list.told = list.all.len();
            news
        };
        if news.is_empty() {
            return;
        }
        news.sort();
        let mut names: Vec<String> = news.iter().take(NAMES_TOLD).map(Skipped::to_string).collect();
        if news.len() > NAMES_TOLD {
            names.push(format!("and {} more; bad_images() lists them all", news.len() - NAMES_TOLD));
        }
        let files = if news.len() == 1 { "file" } else { "files" };
        say(format!("Left out {} damaged {files}: {}", news.len(), names.join("; ")));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.spare.clear();
    }
}

/// The error that [`OnBadImage::Fail`] asks for.
pub(super) fn bad_image(file: &Skipped) -> Error {
    Error::Data(format!(
        "{file}. Remove or replace the file, or choose OnBadImage::Skip to leave such files out."
    ))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
