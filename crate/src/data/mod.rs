//! From a folder of images to batches in memory.
//!
//! ```text
//! listing ─► probe ─► Dataset ─► order of an epoch ─► decode ─► resize ─► (map) ─► Batch
//! ```
//! A table may name the files and their labels in place of class folders (`table/`).
//! The first three happen once, when [`image_dataset_from_directory`] is called; the rest in each
//! epoch, on threads of its own, except that `cache()` keeps what comes out of resize. Where all images are kept, a step
//! of training may map them itself (`train/fit/cached.rs`).
//!
//! # What an image file may be
//!
//! jpeg, png, bmp, gif; webp and tiff (which TensorFlow does not read). What it is called does not matter. It becomes
//! red, green and blue of 8 bits, as `tf.io.decode_image(channels=3, expand_animations=False)` makes it,
//! with one exception:
//!
//! | the file holds | what becomes of it |
//! |---|---|
//! | grey, of 1, 2, 4 or 8 bits | repeated in the three colours, stretched to 0..255 |
//! | an alpha channel, or a transparent colour | dropped, not blended: the colour below counts |
//! | 16 bits a sample | the upper 8 |
//! | a palette | the colours it stands for |
//! | CMYK (tiff, jpeg) or YCCK (jpeg) | red = (255 - cyan) (255 - black) / 255, and so on |
//! | several frames or pages | the first |
//! | interlaced rows, progressive scans | as if they were not |
//! | a colour profile, gamma | nothing: numbers are taken as they are |
//! | an orientation (EXIF, tiff) | **turned upright**, where TensorFlow shows it lying |
//!
//! The exception is for photographs from telephones, which mostly lie on their side: the network learned
//! from upright ones.
//!
//! Of tiff, these are read: grey of 1, 8 or 16 bits, colours and CMYK of 8 or 16 bits, each with or without alpha where
//! that is not grey; uncompressed, PackBits, LZW, deflate, or fax group 4. Not read are palettes, jpeg data inside,
//! floating-point samples, and cameras' raw files, which are tiff files with a thumbnail in front. HEIC, AVIF, JPEG XL,
//! raw files, PSD, PDF, SVG and films are known by their content and named, with a command that converts them.
//!
//! # What is left out, and what is an error
//!
//! What cannot be decoded, or goes beyond [`MAX_SIDE`], [`MAX_FILE_BYTES`] or [`MAX_DECODED_BYTES`], is left out and
//! listed by [`Dataset::bad_images`], or is an error with [`OnBadImage::Fail`]. Left out are at most 10 % of a class, or
//! what [`ImageDatasetOptions::max_left_out`] allows; one photograph of each class is always allowed, all of a class
//! never.
//!
//! A file that cannot be *read* is another matter: the disk failed, the network is gone, it was moved, too many files are
//! open. It may be a good photograph, so it is tried again for up to two seconds, and then the work ends with an error
//! that names it.
//!
//! Not here: downloading and extracting (see [`assets`](crate::assets)), augmentation (see
//! [`augment`](crate::augment)), and the scaling that a model wants (see
//! [`preprocess`](crate::preprocess)).

mod bad_images;
mod batch;
mod batches;
mod dataset;
mod dataset_cache;
mod dataset_identity;
mod dataset_labels;
mod dataset_text;
mod decode;
mod depth;
mod digest;
mod disjoint_sets;
mod fit;
mod folder;
mod grouped_split;
mod groups;
mod image_files;
mod jpeg;
mod kinds;
mod label_sets;
mod layout;
mod left_out;
mod limits;
mod listing;
mod look;
mod names;
mod opening;
mod options;
mod own_classes;
mod own_folder;
mod own_photographs;
mod paths;
mod pattern;
mod resize;
mod sets;
mod slots;
mod spare;
mod splits;
mod store;
mod stored;
mod table;
mod tiff;
mod watched;
mod whole;

use crate::Show;
pub use bad_images::{BadImages, Skipped};
pub use batch::Batch;
pub use batches::Batches;
pub(crate) use batches::ShareOfBatch;
pub use dataset::{image_dataset_from_directory, Dataset, AUTOTUNE};
pub(crate) use digest::{file_digest, FileDigest};
pub(crate) use disjoint_sets::DisjointSets;
pub use fit::{Fit, PAD_LEVEL};
pub use groups::Groups;
pub use image_files::ImageFiles;
pub use label_sets::LabelSets;
pub use limits::{MAX_DECODED_BYTES, MAX_FILE_BYTES, MAX_SIDE};
pub use look::PassedOver;
pub use options::{ImageDatasetOptions, OnBadImage, Subset};
pub(crate) use own_photographs::two_sets;
pub use own_photographs::{
    own_photographs, own_photographs_in_groups, own_photographs_with_validation, photographs_of_classes,
    OwnPhotographs, VALIDATION_PART,
};
pub use resize::resize;
pub(crate) use sets::{whole_sets, WholeSet};
#[cfg(test)]
pub(crate) use stored::store as store_image;
pub use stored::Stored;
pub use table::{image_dataset_from_table, photographs_from_table, photographs_of_table, LabelTable};
pub(crate) use table::{whole_sets_of_table, LineChange, Lines};
pub(crate) use whole::{look_at_whole, Whole};

use crate::{input, Error, Result};
use decode::Unusable;
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
/// [`Error::Io`] where the file cannot be read, [`Error::Data`] where it is no image or cannot be decoded.
pub fn load_img(path: impl AsRef<Path>, target_size: (usize, usize)) -> Result<Array3<f32>> {
    load_img_to_fit(path, target_size, Fit::Squash)
}

/// [`load_img`] with another way to treat the aspect ratio than [`Fit::Squash`].
///
/// # Errors
/// As [`load_img`].
pub fn load_img_to_fit(path: impl AsRef<Path>, target_size: (usize, usize), fit: Fit) -> Result<Array3<f32>> {
    let path = path.as_ref();
    let (h, w) = target_size;
    ImageDatasetOptions::default().image_size(h, w).batch_size(1).check()?;
    let mut image = Array3::zeros((h, w, 3));
    load_img_into(path, (h, w), fit, image.as_slice_mut().unwrap_or_default())?;
    Ok(image)
}

/// [`load_img_to_fit`] into `out`, which has `height * width * 3` numbers.
pub(crate) fn load_img_into(
    path: &Path,
    target_size: (usize, usize),
    fit: Fit,
    out: &mut [f32],
) -> Result<()> {
    let mut buffers = decode::Buffers::default();
    decode::decode(path, &mut buffers, |rgb| {
        fit::resize_to_fit(rgb.pixels, (rgb.height, rgb.width), out, target_size, fit, &mut Vec::new());
    })
    .map_err(|unusable| match unusable {
        Unusable::Unread(e) => input::photograph(path, e),
        Unusable::Content(reason) | Unusable::NoImage(reason) | Unusable::NoFile(reason) => {
            Error::Data(format!("{} {reason}", path.shown()))
        }
    })
}

/// The same for the bytes of a file, which `name` names in errors; an image whose decoding takes more than `most` bytes
/// is refused.
pub(crate) fn load_img_bytes_into(
    (name, bytes): (&Path, Vec<u8>),
    target_size: (usize, usize),
    fit: Fit,
    most: u64,
    out: &mut [f32],
) -> Result<()> {
    decode::decode_bytes(bytes, most, |rgb| {
        fit::resize_to_fit(rgb.pixels, (rgb.height, rgb.width), out, target_size, fit, &mut Vec::new());
    })
    .map_err(|unusable| match unusable {
        Unusable::Unread(e) => Error::io("cannot decode", name, e),
        Unusable::Content(reason) | Unusable::NoImage(reason) | Unusable::NoFile(reason) => {
            Error::Data(format!("{} {reason}", name.shown()))
        }
    })
}
