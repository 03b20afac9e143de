//! Epochs whose images are on the card already: flipped, turned and rescaled there, with the bits that the
//! processor would give. For the rest of `fit`, such an epoch is like any other.
//!
//! The first epoch decodes the images, on the processor. From the second on they are all in the data set's cache,
//! if it has one and they fit it, and then they are copied to the card once.

use crate::data::Dataset;
use crate::model::Model;
use crate::train::fit::recipe::Recipe;
use crate::train::fit::run::RunState;
use crate::Result;

/// What is done between two steps.
pub(in crate::train) type AfterStep<'a> = dyn FnMut(&Model, &mut RunState) -> Result<()> + 'a;

/// Images that are kept on the card while one `fit` lasts.
#[derive(Default)]
pub(in crate::train) struct Kept {
    #[cfg(feature = "cuda")]
    images: Option<crate::ops::cuda::Images>,
    /// That they do not fit is found once.
    #[cfg(feature = "cuda")]
    refused: bool,
}

#[cfg(not(feature = "cuda"))]
impl Model {
    /// Whether the epoch could be done on a card: without the feature there is none.
    pub(in crate::train) fn epoch_on_card(
        &mut self,
        _: &Recipe,
        _: &Dataset,
        _: &mut Kept,
        _: &mut RunState,
        _: &mut AfterStep<'_>,
    ) -> Result<bool> {
        Ok(false)
    }
}

#[cfg(feature = "cuda")]
mod card {
    use super::super::pipeline;
    use super::super::step::Input;
    use super::*;
    use crate::augment::Sequential;
    use crate::data::ImageKey;
    use crate::network::on_device::Any;
    use crate::ops::cuda::{Images, Placed};

    impl Model {
        /// Does what is left of the epoch with images on the card; `false`, with nothing done, where that
        /// can't be.
        pub(in super::super) fn epoch_on_card(
            &mut self,
            recipe: &Recipe,
            dataset: &Dataset,
            kept: &mut Kept,
            state: &mut RunState,
            after_step: &mut AfterStep<'_>,
        ) -> Result<bool> {
            let (epoch, size) = (state.epoch as u64, dataset.image_size());
            let layers = pipeline::training(self);
            let key = |index: usize| ImageKey { epoch, index: index as u64 };
            if recipe.mixes()
                || matches!(self.net.base.base, Any::Cpu(_))
                || layers.placing(key(0), size).is_none()
            {
                return Ok(false);
            }
            if kept.images.is_none() && !kept.refused {
                let Some(cached) = dataset.cached_images() else { return Ok(false) };
                kept.images = Images::new(&cached, size)?;
                kept.refused = kept.images.is_none();
            }
            let Some(images) = &kept.images else { return Ok(false) };
            let (order, first) = (dataset.order(epoch), state.running.batches);
            for (number, indices) in order.chunks(dataset.batch_size().max(1)).enumerate().skip(first) {
                self.step_on_card(recipe, dataset, (images, &layers), (number, indices), state)?;
                after_step(self, state)?;
            }
            Ok(true)
        }

        fn step_on_card(
            &mut self,
            recipe: &Recipe,
            dataset: &Dataset,
            (images, layers): (&Images, &Sequential),
            (number, indices): (usize, &[usize]),
            state: &mut RunState,
        ) -> Result<()> {
            let (epoch, size) = (state.epoch as u64, dataset.image_size());
            // The others could not be read.
            let indices: Vec<usize> = indices.iter().copied().filter(|&i| images.has(i)).collect();
            let labels: Vec<u32> = indices.iter().map(|&i| dataset.labels()[i]).collect();
            let key = |index: usize| ImageKey { epoch, index: index as u64 };
            let placings = indices.iter().filter_map(|&i| layers.placing(key(i), size)).collect();
            let placed = Placed { images, indices: &indices, placings };
            self.step(recipe, Input::Placed(&placed), &labels, &indices, number, state)
        }
    }
}
