//! Images that are decoded already: each is flipped, turned and rescaled within the step, by the thread that goes on with
//! it, into memory that is in the processor's cache. Threads of their own would interrupt those that compute, and
//! write batches to main memory.

use std::cell::Cell;

use super::{pipeline, recipe::Recipe};
use crate::augment::Sequential;
use crate::data::{Dataset, ImageKey, ImageMap};
use crate::model::Model;
use crate::network::on_device::Any;

thread_local! {
    /// What a thread's augmentation needs besides the image.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// A data set's images as its cache has them, and how this epoch changes them.
pub(super) struct CachedImages {
    dataset: Dataset,
    layers: Sequential,
    epoch: u64,
}

impl CachedImages {
    /// `None` where images have to be made before the step: they are not all in the cache, somebody's own layer changes
    /// them, they are mixed, nothing is frozen, an ONNX file computes the features, or the GPU computes.
    pub fn new(model: &Model, recipe: &Recipe, dataset: &Dataset, epoch: usize) -> Option<Self> {
        let base = &model.net.base;
        let layers = pipeline::training(model);
        let frozen =
            matches!(base.base, Any::Cpu(_)) && base.first_trainable_unit() > 0 && !base.is_features();
        let fits = frozen && !recipe.mixes() && layers.is_plain() && dataset.is_all_cached();
        fits.then(|| CachedImages { dataset: dataset.clone(), layers, epoch: epoch as u64 })
    }

    /// Those of `indices` that could be decoded.
    pub fn readable(&self, indices: &[usize]) -> Vec<usize> {
        indices.iter().copied().filter(|&i| self.dataset.cached_image(i).is_some()).collect()
    }

    /// Writes image `index`, `(h, w, 3)`, as this epoch sees it.
    pub fn write(&self, index: usize, image: &mut [f32]) {
        let (h, w) = self.dataset.image_size();
        let Some(stored) = self.dataset.cached_image(index) else {
            debug_assert!(false, "image {index} is not among the readable ones");
            return image.fill(0.0);
        };
        let key = ImageKey { epoch: self.epoch, index: index as u64 };
        let mut scratch = SCRATCH.take();
        self.layers.apply_stored(&stored, image, (h, w, 3), key, &mut scratch);
        SCRATCH.set(scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::{RandomFlip, RandomRotation};
    use crate::data::{image_dataset_from_directory, ImageDatasetOptions};
    use crate::loss::Loss;
    use crate::model::{Dense, GlobalAveragePooling2D};
    use crate::network::{random_weights, MobileNetV2};
    use crate::optim::Adam;
    use crate::preprocess::Rescaling;
    use crate::train::FitOptions;
    use std::path::Path;
    use std::sync::Arc;

    /// Eleven pictures of two classes, and a file of the first class that cannot be decoded.
    fn draw(dir: &Path) {
        for (class, name) in ["across", "along"].into_iter().enumerate() {
            std::fs::create_dir_all(dir.join(name)).unwrap();
            for i in 0..6u32 {
                let picture = image::RgbImage::from_fn(32, 32, |x, y| {
                    image::Rgb([40 * i as u8, ([x, y][class] * 8) as u8, 200])
                });
                picture.save(dir.join(name).join(format!("{i}.png"))).unwrap();
            }
        }
        let damaged = dir.join("across/2.png");
        let bytes = std::fs::read(&damaged).unwrap();
        std::fs::write(damaged, &bytes[..bytes.len() / 2]).unwrap();
    }

    fn model(augmentation: Sequential, trainable: bool) -> Model {
        let mut base = MobileNetV2::with_weights((32, 32, 3), &random_weights()).unwrap();
        base.set_trainable(trainable);
        let chain = Model::chain().then(augmentation).then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
        let mut model = chain.then(GlobalAveragePooling2D).then(Dense::new(1)).seed(2).build().unwrap();
        model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy).unwrap();
        model
    }

    #[test]
    fn images_written_in_the_step_are_those_of_the_pipeline() {
        let dir = tempfile::tempdir().unwrap();
        draw(dir.path());
        let options = ImageDatasetOptions::default().image_size(32, 32).batch_size(4).seed(1);
        let plain = image_dataset_from_directory(dir.path(), options).unwrap();
        let data = plain.cache();
        let layers = || Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(3);
        let mut frozen = model(layers(), false);
        let of = |model: &mut Model, options: FitOptions, data: &Dataset| {
            let recipe = Recipe::new(&options, model, data).unwrap();
            CachedImages::new(model, &recipe, data, 3)
        };
        let usual = || FitOptions::epochs(5);
        assert!(of(&mut frozen, usual(), &data).is_none(), "nothing is decoded yet");
        assert_eq!(data.batches(0).unwrap().map(|batch| batch.unwrap().len()).sum::<usize>(), 11);
        let cached = of(&mut frozen, usual(), &data).unwrap();
        let batches = data.batches_with(3, Arc::new(pipeline::training(&frozen))).unwrap();
        for (batch, order) in batches.zip(data.order(3).chunks(4)) {
            let batch = batch.unwrap();
            assert_eq!(cached.readable(order), batch.indices);
            for (i, &index) in batch.indices.iter().enumerate() {
                let mut image = vec![f32::NAN; 32 * 32 * 3];
                cached.write(index, &mut image);
                assert_eq!(image, batch.image(i).unwrap().into_raw_vec_and_offset().0);
            }
        }
        assert!(of(&mut frozen, usual(), &plain).is_none(), "without a cache");
        assert!(of(&mut frozen, usual().mixup(0.2), &data).is_none(), "mixed");
        assert!(of(&mut model(layers(), true), usual(), &data).is_none(), "nothing is frozen");
        let own = Sequential::new().add(Arc::new(layers()) as Arc<dyn ImageMap>);
        assert!(of(&mut model(own, false), usual(), &data).is_none(), "somebody's own layer");
    }
}
