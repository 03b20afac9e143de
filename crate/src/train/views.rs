//! Augmented views of training images, computed once and used again: for those who want speed over
//! fresh augmentation.
//!
//! With `k` views epoch `e` sees view `e % k` of each image: what epoch `e % k` of an ordinary training
//! would have seen. What the frozen part makes of a view is kept, so from epoch `k` on only the part
//! that trains is computed.

use std::collections::HashMap;

use super::features::LIMIT_BYTES;
use crate::data::{Dataset, ImageKey, ImageMap, Stored};
use crate::{Error, Result};

/// Outputs of the frozen part for the views of a data set's images, while one `fit` lasts.
pub(crate) struct Views {
    count: usize,
    /// Numbers of one image.
    per_image: usize,
    kept: Vec<View>,
}

#[derive(Default)]
struct View {
    /// By the image's index.
    outputs: HashMap<usize, Box<[f32]>>,
    complete: bool,
}

impl Views {
    /// Room for `count` views of each image of `dataset`, whose outputs are `per_image` numbers.
    ///
    /// # Errors
    /// Where `count` is 0, or they would need more than 1 GiB.
    pub fn new(count: usize, per_image: usize, dataset: &Dataset) -> Result<Self> {
        if count == 0 {
            return Err(Error::Invalid(
                "cache_augmented_views expected at least 1 view. Received: 0. Leave the option out for fresh \
                 augmentation in each epoch."
                    .to_owned(),
            ));
        }
        let bytes = dataset.len().saturating_mul(per_image * 4).saturating_mul(count);
        if bytes > LIMIT_BYTES {
            return Err(Error::Invalid(format!(
                "cache_augmented_views({count}) of {} images needs {} MiB here, more than the {} MiB that it may \
                 have. Ask for fewer views, or leave the option out.",
                dataset.len(),
                bytes >> 20,
                LIMIT_BYTES >> 20
            )));
        }
        Ok(Views { count, per_image, kept: (0..count).map(|_| View::default()).collect() })
    }

    /// The view that epoch `epoch` sees.
    pub fn of(&self, epoch: usize) -> usize {
        epoch % self.count
    }

    /// Keeps the outputs of a batch of images.
    pub fn keep(&mut self, view: usize, indices: &[usize], outputs: &[f32]) {
        for (&index, output) in indices.iter().zip(outputs.chunks_exact(self.per_image)) {
            self.kept[view].outputs.insert(index, output.into());
        }
    }

    /// Says that a whole epoch has been kept.
    pub fn complete(&mut self, view: usize) {
        self.kept[view].complete = true;
    }

    pub fn is_complete(&self, view: usize) -> bool {
        self.kept[view].complete
    }

    /// Those of `indices` that are readable images, and their outputs.
    pub fn outputs(&self, view: usize, indices: &[usize]) -> (Vec<usize>, Vec<f32>) {
        let (mut found, mut outputs) = (Vec::with_capacity(indices.len()), Vec::new());
        for index in indices {
            if let Some(output) = self.kept[view].outputs.get(index) {
                found.push(*index);
                outputs.extend_from_slice(output);
            }
        }
        (found, outputs)
    }
}

/// Augmentation and rescaling as in epoch `view`, whichever epoch it is.
pub(crate) struct OneView<M> {
    pub map: M,
    pub view: usize,
}

impl<M: ImageMap> ImageMap for OneView<M> {
    fn apply(&self, image: &mut [f32], size: (usize, usize, usize), key: ImageKey, scratch: &mut Vec<f32>) {
        self.map.apply(image, size, ImageKey { epoch: self.view as u64, ..key }, scratch);
    }

    fn apply_stored(
        &self,
        stored: &Stored<'_>,
        image: &mut [f32],
        size: (usize, usize, usize),
        key: ImageKey,
        scratch: &mut Vec<f32>,
    ) {
        self.map.apply_stored(stored, image, size, ImageKey { epoch: self.view as u64, ..key }, scratch);
    }
}
