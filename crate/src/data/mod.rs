//! From a folder of images to batches in memory.
//!
//! ```text
//! listing ─► probe ─► Dataset ─► order of an epoch ─► decode ─► resize ─► (map) ─► Batch
//! ```
//! The first three happen once, when [`image_dataset_from_directory`] is called; the rest in each
//! epoch, on threads of its own, except that `cache()` keeps what comes out of resize.
//!
//! Not here: downloading and extracting (see [`assets`](crate::assets)), augmentation (see
//! [`augment`](crate::augment)), and the scaling that a model wants (see
//! [`preprocess`](crate::preprocess)).

mod batch;
mod batches;
mod dataset;
mod decode;
mod jpeg;
mod listing;
mod options;
mod resize;
mod store;
mod stored;

pub use batch::Batch;
pub use batches::Batches;
pub use dataset::{image_dataset_from_directory, Dataset, AUTOTUNE};
pub use options::{ImageDatasetOptions, OnBadImage, Subset};
pub use resize::resize;
pub use store::Skipped;
#[cfg(test)]
pub(crate) use stored::store as store_image;
pub use stored::Stored;

use crate::{Error, Result};
use ndarray::Array3;
use std::path::Path;

/// Which image, in which epoch: all that a random choice about it may depend on, besides a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageKey {
    /// The epoch, as given to [`Dataset::batches_with`].
    pub epoch: u64,
    /// The position of the image in [`Dataset::file_paths`].
    pub index: u64,
}

/// Something that is done to each image on its way into a batch.
pub trait ImageMap: Send + Sync {
    /// Changes `image`, which has `size` = (height, width, channels) numbers, in place. The result
    /// may depend on nothing but the image and `key`. `scratch` may be grown and written to; what
    /// is in it at the start is anything.
    fn apply(&self, image: &mut [f32], size: (usize, usize, usize), key: ImageKey, scratch: &mut Vec<f32>);

    /// Unpacks a cached image to `image` and does the same to it; for maps that are faster when they
    /// unpack it themselves. The result must have the same bits.
    fn apply_stored(
        &self,
        stored: &Stored<'_>,
        image: &mut [f32],
        size: (usize, usize, usize),
        key: ImageKey,
        scratch: &mut Vec<f32>,
    ) {
        stored.unpack(image);
        self.apply(image, size, key, scratch);
    }
}

/// Reads one image file, resized to `target_size` = (height, width): (height, width, 3), 0..255.
///
/// # Errors
/// Where the file is not a readable image.
pub fn load_img(path: impl AsRef<Path>, target_size: (usize, usize)) -> Result<Array3<f32>> {
    let path = path.as_ref();
    let (h, w) = target_size;
    ImageDatasetOptions::default().image_size(h, w).batch_size(1).check()?;
    let mut image = Array3::zeros((h, w, 3));
    let out = image.as_slice_mut().unwrap_or_default();
    let mut buffers = decode::Buffers::default();
    decode::decode(path, &mut buffers, |rgb| {
        resize::resize_into(rgb.pixels, (rgb.height, rgb.width), 3, out, target_size, &mut Vec::new());
    })
    .map_err(|reason| Error::Data(format!("{} {reason}", path.display())))?;
    Ok(image)
}
