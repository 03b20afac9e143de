//! One batch: images, their labels, and which images they are.
//!
//! Lives on the host; taking it to a device is the model's matter.

use super::spare::Spare;
use crate::{Error, Result};
use ndarray::{Array1, Array3, Array4, Axis};
use std::sync::Arc;

/// A batch of images in host memory.
///
/// When it is dropped its memory serves a later batch.
#[derive(Clone)]
pub struct Batch {
    /// (n, height, width, 3), 0..255 unless a map on the way made something else of it.
    pub images: Array4<f32>,
    /// The number of each image's class, (n).
    pub labels: Array1<u32>,
    /// Where each image stands in [`Dataset::file_paths`](super::Dataset::file_paths).
    pub indices: Vec<usize>,
    /// Which batch of its epoch this is, from 0.
    pub(crate) number: usize,
    /// Where the memory of the images goes when the batch is dropped.
    pub(super) home: Option<Arc<Spare>>,
}

impl Batch {
    /// A batch that did not come from a data set, for example of images made in memory.
    ///
    /// # Errors
    /// Where `images` and `labels` are not equally many.
    pub fn new(images: Array4<f32>, labels: Array1<u32>) -> Result<Self> {
        if images.shape()[0] != labels.len() {
            return Err(Error::Shape(format!(
                "Batch::new: expected one label for each image. Received: {} images, {} labels",
                images.shape()[0],
                labels.len()
            )));
        }
        let indices = (0..labels.len()).collect();
        Ok(Self { images, labels, indices, number: 0, home: None })
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// A copy of image `i`, (height, width, 3).
    ///
    /// # Errors
    /// Where the batch has no image `i`.
    pub fn image(&self, i: usize) -> Result<Array3<f32>> {
        if i >= self.images.shape()[0] {
            return Err(Error::Invalid(format!("image {i} was asked of a batch of {}", self.len())));
        }
        Ok(self.images.index_axis(Axis(0), i).to_owned())
    }

    /// The images alone, moved out.
    pub fn into_images(mut self) -> Array4<f32> {
        std::mem::take(&mut self.images)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.give_back(std::mem::take(&mut self.images).into_raw_vec_and_offset().0);
        }
    }
}

impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch of images {:?} with labels {}", self.images.dim(), self.labels)
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
