//! Images that are on the GPU already: flipped, turned and rescaled there, with the bits that the processor would give.
//!
//! The first epoch decodes the images, on the processor. From the second on they are all in the data set's cache,
//! if it has one and they fit it, and then they are copied to the GPU once.

/// Images that are kept on the GPU while one `fit` lasts.
#[derive(Default)]
pub(in crate::train) struct Kept {
    #[cfg(feature = "cuda")]
    images: Option<crate::ops::cuda::Images>,
    /// That they do not fit is found once.
    #[cfg(feature = "cuda")]
    refused: bool,
}

#[cfg(feature = "cuda")]
mod card {
    use super::super::{pipeline, recipe::Recipe};
    use super::*;
    use crate::augment::{Placing, Sequential};
    use crate::data::{Dataset, ImageKey};
    use crate::model::Model;
    use crate::network::on_device::Any;
    use crate::ops::cuda::Images;
    use crate::Result;

    /// A data set's images on the GPU, and how this epoch changes them.
    pub(in crate::train::fit) struct CardImages<'a> {
        pub images: &'a Images,
        layers: Sequential,
        epoch: u64,
        size: (usize, usize),
    }

    impl<'a> CardImages<'a> {
        /// `None` where this epoch needs the processor for its images.
        ///
        /// # Errors
        /// Where the GPU fails.
        pub fn new(
            model: &Model,
            recipe: &Recipe,
            dataset: &Dataset,
            kept: &'a mut Kept,
            epoch: usize,
        ) -> Result<Option<Self>> {
            let (epoch, size) = (epoch as u64, dataset.image_size());
            let layers = pipeline::training(model);
            let first = ImageKey { epoch, index: 0 };
            let on_cpu = matches!(model.net.base.base, Any::Cpu(_));
            if recipe.mixes() || on_cpu || layers.placing(first, size).is_none() {
                return Ok(None);
            }
            if kept.images.is_none() && !kept.refused {
                let Some(cached) = dataset.cached_images() else { return Ok(None) };
                kept.images = Images::new(&cached, size)?;
                kept.refused = kept.images.is_none();
            }
            Ok(kept.images.as_ref().map(|images| CardImages { images, layers, epoch, size }))
        }

        /// Those of `indices` that could be read, and where their pixels come from in this epoch.
        pub fn place(&self, indices: &[usize]) -> (Vec<usize>, Vec<Placing>) {
            let key = |index: usize| ImageKey { epoch: self.epoch, index: index as u64 };
            let readable = indices.iter().copied().filter(|&i| self.images.has(i));
            readable.filter_map(|i| Some((i, self.layers.placing(key(i), self.size)?))).unzip()
        }
    }
}

#[cfg(feature = "cuda")]
pub(in crate::train::fit) use card::CardImages;
