//! A data set of images in folders, and the parts it can be cut into.
//!
//! Holds no pixels (but for what `cache()` keeps): it says which images come in which order, and
//! [`batches`](Dataset::batches) fetches them.

use super::bad_images::{BadImages, Skipped};
use super::batches::{Batches, Plan, ShareOfBatch};
use super::fit::Fit;
use super::label_sets::LabelSets;
use super::left_out::Tally;
use super::listing::list;
use super::opening::{examine, nothing, Opened};
use super::options::{ImageDatasetOptions, Subset};
use super::paths::Files;
use super::store::{Scratch, Store};
use super::{Batch, ImageMap};
use crate::random::Rng;
use crate::Show;
use crate::{Error, Result};
use ndarray::Array4;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Purposes that random numbers are drawn for.
const ORDER: u64 = u64::from_be_bytes(*b"order   ");
pub(super) const SPLIT: u64 = u64::from_be_bytes(*b"split   ");

/// Leaves it to [`Dataset::prefetch`] how many batches to prepare ahead.
pub const AUTOTUNE: usize = usize::MAX;

/// What [`AUTOTUNE`] comes to: one batch ready and one being made.
const PREFETCH: usize = 2;

/// Makes a data set of the images below `dir`, where each sub-folder is a class:
///
/// ```text
/// dir/cats/1.jpg
/// dir/cats/2.png
/// dir/dogs/1.jpg
/// ```
///
/// Labels are the positions of the folders' names in sorted order. Every file's head is looked at now; of classes
/// with at most ten files, all of it. A photograph that is damaged is left out, said in one line, and listed by
/// [`Dataset::bad_images`]. Files that are no images by content and name are passed over, which is said, too. Hidden
/// files and what systems put beside photographs (`__MACOSX`, `Thumbs.db`) are not looked at. Links are followed; a
/// folder that several paths lead to is read once.
///
/// # Errors
/// Where the options make no sense, a folder or file cannot be read (which was tried several times), there is no class
/// folder, two of them have the same name but for Unicode normalisation, no photograph of a class can be decoded, or
/// more of a class are left out than [`max_left_out`](ImageDatasetOptions::max_left_out) allows (with
/// [`OnBadImage::Fail`](super::OnBadImage::Fail): where one is).
///
/// ```no_run
/// use transfer::data::{image_dataset_from_directory, ImageDatasetOptions};
/// # fn main() -> transfer::Result<()> {
/// let options = ImageDatasetOptions::default().batch_size(32).image_size(160, 160).seed(123);
/// let train_dataset = image_dataset_from_directory("cats_and_dogs_filtered/train", options)?;
/// for batch in train_dataset.batches(0)? {
///     let batch = batch?; // images (32, 160, 160, 3), labels (32)
/// }
/// # Ok(()) }
/// ```
pub fn image_dataset_from_directory(dir: impl AsRef<Path>, options: ImageDatasetOptions) -> Result<Dataset> {
    let dir = dir.as_ref();
    options.check()?;
    crate::threads::check()?;
    let listing = list(dir, options.class_names.as_deref(), options.missing_classes)?;
    let (class_names, Opened { mut files, skipped, tally }) = examine(listing, dir, &options)?;
    if files.is_empty() {
        return Err(nothing(dir, &skipped));
    }
    tally.check_all()?;
    let found = files.len();
    if let (Some(part), Some(subset)) = (options.validation_split, options.subset) {
        files = split(files, part, subset, options.seed);
        if files.is_empty() {
            return Err(Error::Data(format!(
                "a validation_split of {part} of {found} images leaves no image for {subset:?}."
            )));
        }
    }
    let store = Store::new(dir.to_owned(), options, class_names, found, files, (skipped, tally));
    Ok(Dataset::of_store(store))
}

/// A data set of files that were looked at; with `sets`, their labels are positions of these.
pub(super) fn dataset_of(
    dir: &Path,
    options: ImageDatasetOptions,
    class_names: Vec<String>,
    files: Files,
    left_out: (Vec<Skipped>, Tally),
    sets: Option<LabelSets>,
) -> Dataset {
    let mut store = Store::new(dir.to_owned(), options, class_names, files.len(), files, left_out);
    store.label_sets = sets;
    Dataset::of_store(store)
}

/// Which image belongs where depends on the seed and the number of images alone.
fn split(files: Files, part: f32, subset: Subset, seed: u64) -> Files {
    let mut places: Vec<usize> = (0..files.len()).collect();
    Rng::new(&[seed, SPLIT]).shuffle(&mut places);
    let aside = (files.len() as f64 * f64::from(part)) as usize;
    let wanted = |place: usize| (place < aside) == (subset == Subset::Validation);
    files.filtered(|i| wanted(places[i]))
}

/// Images in folders, in batches. Cheap to clone; what [`take`](Self::take) and
/// [`skip`](Self::skip) make of it shares its files and its cache.
///
/// Shuffled, it has another order in each epoch; epoch 0 has the order that `take` and `skip` cut,
/// so the first batch of a data set is the same as that of its `take(1)`.
#[derive(Clone)]
pub struct Dataset {
    pub(super) store: Arc<Store>,
    /// The fixed order, of all images.
    order: Arc<[usize]>,
    /// The part of it that this data set has.
    range: Range<usize>,
    cache: bool,
    prefetch: usize,
    /// Images in a batch.
    batch_size: usize,
}

/// All images of a folder, in the order of the first epoch.
pub(super) fn first_order(store: &Store) -> Vec<usize> {
    let mut order: Vec<usize> = (0..store.paths.len()).collect();
    if store.options.shuffle {
        Rng::new(&[store.options.seed, ORDER]).shuffle(&mut order);
    }
    order
}

impl Dataset {
    fn of_store(store: Store) -> Self {
        let order = first_order(&store);
        store.tell_skipped();
        let (range, batch_size) = (0..order.len(), store.options.batch_size);
        let store = Arc::new(store);
        Dataset { store, order: order.into(), range, cache: false, prefetch: PREFETCH, batch_size }
    }

    /// The names of the classes; a label is a position in it.
    pub fn class_names(&self) -> &[String] {
        &self.store.class_names
    }

    /// How many batches an epoch has.
    pub fn cardinality(&self) -> usize {
        self.len().div_ceil(self.batch_size())
    }

    /// How many images an epoch has, those included that cannot be decoded, as the first epoch will show.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Images in a batch; the last batch may have fewer.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// (height, width) of every image.
    pub fn image_size(&self) -> (usize, usize) {
        self.store.options.image_size
    }

    /// What happens to images of another aspect ratio.
    pub fn fit(&self) -> Fit {
        self.store.options.fit
    }

    /// The folder that the files lie in.
    pub(crate) fn folder(&self) -> &Path {
        &self.store.folder
    }

    /// The files of the whole folder (of this side of a `validation_split`), sorted, also after
    /// `take` and `skip`. [`Batch::indices`] are positions in it.
    ///
    /// The list takes memory from the first call on; [`file_path`](Self::file_path) does not need it.
    pub fn file_paths(&self) -> &[PathBuf] {
        self.store.all_paths()
    }

    /// The file at a position of [`file_paths`](Self::file_paths), if there is one.
    pub fn file_path(&self, index: usize) -> Option<PathBuf> {
        self.store.paths.get(index)
    }

    /// The label of each of [`file_paths`](Self::file_paths): the position of its class, or of its set of labels where
    /// there are [`label_sets`](Self::label_sets).
    pub fn labels(&self) -> &[u32] {
        &self.store.labels
    }

    /// Which of [`file_paths`](Self::file_paths) this data set has, in the order of epoch 0.
    pub fn indices(&self) -> Vec<usize> {
        self.order[self.range.clone()].to_vec()
    }

    /// Images by their positions in [`file_paths`](Self::file_paths), as a batch has them: (n, height,
    /// width, 3), 0..255.
    ///
    /// # Errors
    /// Where there is no image with such a position, or its file cannot be read.
    pub fn images(&self, indices: &[usize]) -> Result<Array4<f32>> {
        let (h, w) = self.image_size();
        let files = self.store.paths.len();
        let mut images = Array4::zeros((indices.len(), h, w, 3));
        let mut scratch = Scratch::default();
        for (&index, mut image) in indices.iter().zip(images.outer_iter_mut()) {
            if index >= files {
                return Err(Error::Invalid(format!(
                    "images: expected positions in file_paths(), 0..{files}. Received: {index}"
                )));
            }
            let out = image.as_slice_mut().unwrap_or_default();
            if !self.store.load(index, self.cache, out, &mut scratch)? {
                return Err(Error::Data(format!(
                    "{} cannot be decoded; bad_images() says why.",
                    self.store.path(index).shown()
                )));
            }
        }
        Ok(images)
    }

    /// The files left out so far because they could not be decoded. A damaged file may be found only
    /// when it is decoded, in the first pass; its batch is then shorter.
    pub fn skipped(&self) -> Vec<Skipped> {
        self.store.skipped()
    }

    /// The same as a report: a notebook that ends a cell with `dataset.bad_images()` shows how many
    /// files were left out, and each with its reason.
    pub fn bad_images(&self) -> BadImages {
        self.store.bad_images()
    }

    /// How many of its images have turned out to be damaged so far, of those that [`len`](Self::len) counts.
    pub(crate) fn damaged(&self) -> usize {
        self.order[self.range.clone()].iter().filter(|&&i| self.store.is_bad(i)).count()
    }

    /// How many photographs of the folder were left out so far.
    pub(crate) fn left_out(&self) -> usize {
        self.store.tally.left_out()
    }

    /// Whether both were cut from one: they share their files, and what was left out of those.
    pub(crate) fn shares_files_with(&self, other: &Dataset) -> bool {
        Arc::ptr_eq(&self.store, &other.store)
    }

    /// The first `n` batches. The selection is fixed, whatever the epoch, so that it never shares
    /// an image with [`skip`](Self::skip)`(n)`; shuffling goes on inside it.
    pub fn take(&self, n: usize) -> Dataset {
        let images = n.saturating_mul(self.batch_size()).min(self.len());
        Dataset { range: self.range.start..self.range.start + images, ..self.clone() }
    }

    /// All but the first `n` batches, likewise fixed.
    pub fn skip(&self, n: usize) -> Dataset {
        let images = n.saturating_mul(self.batch_size()).min(self.len());
        Dataset { range: self.range.start + images..self.range.end, ..self.clone() }
    }

    /// The images of `order` alone, in that order.
    pub(crate) fn with_order(&self, order: Vec<usize>) -> Dataset {
        Dataset { range: 0..order.len(), order: order.into(), ..self.clone() }
    }

    /// The same in batches of `n` images, at least 1.
    pub fn rebatch(&self, n: usize) -> Dataset {
        Dataset { batch_size: n.max(1), ..self.clone() }
    }

    /// Keeps images in memory once they are decoded and resized. They are kept as fixed-point
    /// numbers of 16 bits, two bytes a value (150 KiB for an image of 160x160) and at most 1/512 of
    /// a grey level away from the exact value, up to `cache_limit_bytes`.
    pub fn cache(&self) -> Dataset {
        Dataset { cache: true, ..self.clone() }
    }

    /// The same with a cache or without one.
    pub(super) fn with_cache(self, cache: bool) -> Dataset {
        Dataset { cache, ..self }
    }

    /// Whether it keeps images in memory.
    pub(super) fn has_cache(&self) -> bool {
        self.cache
    }

    /// How many bytes the cache holds now.
    pub fn cache_bytes(&self) -> usize {
        self.store.cached_bytes()
    }

    /// Prepares `n` batches ahead of their use; 0 prepares each when it is asked for. Without a
    /// call it is as with [`AUTOTUNE`]: 2. More only helps where the time a batch takes varies much.
    pub fn prefetch(&self, n: usize) -> Dataset {
        Dataset { prefetch: if n == AUTOTUNE { PREFETCH } else { n }, ..self.clone() }
    }

    /// The batches of one epoch, as they are: 0..255, nothing random but their order.
    ///
    /// # Errors
    /// Where threads cannot be started. Images are read later; what goes wrong then comes out of
    /// the iterator.
    pub fn batches(&self, epoch: u64) -> Result<Batches> {
        self.start(epoch, None, 0, None)
    }

    /// The same, with `map` applied to each image on the threads that load it: augmentation and
    /// rescaling are best done there, while the model computes.
    ///
    /// # Errors
    /// As [`batches`](Self::batches).
    pub fn batches_with(&self, epoch: u64, map: Arc<dyn ImageMap>) -> Result<Batches> {
        self.start(epoch, Some(map), 0, None)
    }

    /// The same from batch `first` on; the images before it are not even decoded.
    pub(crate) fn batches_from(&self, epoch: u64, map: Arc<dyn ImageMap>, first: usize) -> Result<Batches> {
        self.start(epoch, Some(map), first, None)
    }

    /// The same with a share of the images of each batch; batches without an image are among them.
    pub(crate) fn shares_from(
        &self,
        epoch: u64,
        map: Arc<dyn ImageMap>,
        first: usize,
        share: ShareOfBatch,
    ) -> Result<Batches> {
        self.start(epoch, Some(map), first, Some(share))
    }

    /// The images of one epoch in their order, as [`indices`](Self::indices) has those of epoch 0.
    pub(crate) fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order = self.indices();
        let options = &self.store.options;
        if options.shuffle && options.reshuffle_each_iteration && epoch > 0 {
            Rng::new(&[options.seed, ORDER, epoch]).shuffle(&mut order);
        }
        order
    }

    fn start(
        &self,
        epoch: u64,
        map: Option<Arc<dyn ImageMap>>,
        first: usize,
        share: Option<ShareOfBatch>,
    ) -> Result<Batches> {
        let order = self.order(epoch);
        let Dataset { cache, prefetch, batch_size, .. } = *self;
        let store = self.store.clone();
        Batches::start(Plan { store, order, batch_size, first, epoch, map, cache, prefetch, share })
    }

    /// The first batch of epoch 0.
    ///
    /// # Errors
    /// Where the data set is empty or its images cannot be read.
    pub fn first_batch(&self) -> Result<Batch> {
        let mut batches = self.take(1).prefetch(0).batches(0)?;
        batches.next().unwrap_or_else(|| {
            Err(Error::Data(
                "the first batch of an empty data set was asked for; skip() left no batch.".into(),
            ))
        })
    }
}
