//! What happens to each image on its way from the data set to the base, on the prefetch threads.

use crate::augment::Sequential;
use crate::data::{ImageKey, ImageMap, Stored};
use crate::model::Model;
use crate::preprocess::Rescaling;

/// Augmentation (in training) and preprocessing of one image.
pub(crate) struct Pipeline {
    augmentation: Option<Sequential>,
    rescaling: Option<Rescaling>,
}

impl Pipeline {
    /// For training: with augmentation.
    pub fn training(model: &Model) -> Self {
        Pipeline { augmentation: model.augmentation.clone(), rescaling: model.rescaling }
    }

    /// For evaluation and prediction: without.
    pub fn inference(model: &Model) -> Self {
        Pipeline { augmentation: None, rescaling: model.rescaling }
    }
}

impl ImageMap for Pipeline {
    fn apply(&self, image: &mut [f32], size: (usize, usize, usize), key: ImageKey, scratch: &mut Vec<f32>) {
        if let Some(augmentation) = &self.augmentation {
            augmentation.apply(image, size, key, scratch);
        }
        if let Some(rescaling) = &self.rescaling {
            rescaling.apply_slice(image);
        }
    }

    fn apply_stored(
        &self,
        stored: &Stored<'_>,
        image: &mut [f32],
        size: (usize, usize, usize),
        key: ImageKey,
        scratch: &mut Vec<f32>,
    ) {
        match &self.augmentation {
            Some(augmentation) => augmentation.run(Some(stored), self.rescaling, image, size, key, scratch),
            None => {
                stored.unpack(image);
                self.apply(image, size, key, scratch);
            }
        }
    }
}
