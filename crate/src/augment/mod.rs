//! Augmentation: random changes that turn one photograph into many, in training only.
//!
//! Nothing here decides whether it is training: whoever wants images as they are does not apply a
//! [`Sequential`]. What happens to an image depends on the seed, the epoch, the image, and the
//! layer's position alone, never on which thread or batch it is in.

mod brightness;
mod contrast;
mod flip;
pub(crate) mod mixup;
#[cfg(any(test, feature = "cuda"))]
mod placing;
mod resized_crop;
mod rotation;
#[cfg(test)]
mod testing;
mod translation;
mod turn_stored;
mod zoom;

pub use brightness::RandomBrightness;
pub use contrast::RandomContrast;
pub(crate) use flip::mirror;
pub use flip::{FlipMode, RandomFlip};
pub use mixup::{MixUp, Mixed};
#[cfg(feature = "cuda")]
pub(crate) use placing::Placing;
pub use resized_crop::RandomResizedCrop;
pub use rotation::RandomRotation;
pub use translation::RandomTranslation;
pub use zoom::RandomZoom;

use crate::data::{ImageKey, ImageMap, Stored};
use crate::preprocess::Rescaling;
use crate::random::Rng;
use crate::{Error, Result};
use flip::Flip;
use ndarray::{Array3, Array4, Axis};
use rotation::{flip_and_turn, Turn};
use std::sync::Arc;
use turn_stored::turn_stored;

/// The purpose that random numbers are drawn for.
const AUGMENT: u64 = u64::from_be_bytes(*b"augment ");

/// The least and the largest of the numbers that are chosen from.
pub type Bounds = (f32, f32);

/// What images have before they are rescaled.
const GREY_LEVELS: Bounds = (0.0, 255.0);

/// From `-factor` to `factor`; nothing but 0 where that is not a finite number.
fn around_zero(factor: f32) -> Bounds {
    let most = if factor.is_finite() { factor.abs() } else { 0.0 };
    (-most, most)
}

/// A number of a range, all equally likely; 0 where the range has no finite ends.
fn between(chance: &mut Rng, (low, high): Bounds) -> f32 {
    let value = low + (high - low) * chance.uniform();
    if value.is_finite() {
        value
    } else {
        0.0
    }
}

/// The nearest number in a range. Unlike `clamp` it never panics.
fn within(value: f32, (low, high): Bounds) -> f32 {
    value.min(high).max(low)
}

/// One step of a [`Sequential`].
#[derive(Clone)]
pub enum AugmentationLayer {
    /// Mirrors.
    RandomFlip(RandomFlip),
    /// Turns.
    RandomRotation(RandomRotation),
    /// Zooms.
    RandomZoom(RandomZoom),
    /// Shifts.
    RandomTranslation(RandomTranslation),
    /// Enlarges a part.
    RandomResizedCrop(RandomResizedCrop),
    /// Changes the contrast.
    RandomContrast(RandomContrast),
    /// Changes the brightness.
    RandomBrightness(RandomBrightness),
    /// Scales; not random, here so that one pass does all that an image needs.
    Rescaling(Rescaling),
    /// Anything else; it does its own choosing.
    Other(Arc<dyn ImageMap>),
}

macro_rules! layers {
    ($($layer:ident),*) => {$(
        impl From<$layer> for AugmentationLayer {
            fn from(layer: $layer) -> Self {
                AugmentationLayer::$layer(layer)
            }
        }
    )*};
}

layers!(
    RandomFlip,
    RandomRotation,
    RandomZoom,
    RandomTranslation,
    RandomResizedCrop,
    RandomContrast,
    RandomBrightness,
    Rescaling
);

impl From<Arc<dyn ImageMap>> for AugmentationLayer {
    fn from(layer: Arc<dyn ImageMap>) -> Self {
        AugmentationLayer::Other(layer)
    }
}

impl AugmentationLayer {
    /// Where the pixels of an image (h, w) come from, for a layer that only moves them.
    fn placement(&self, chance: &mut Rng, h: usize, w: usize) -> Option<Turn> {
        match self {
            AugmentationLayer::RandomRotation(layer) => Some(Turn::new(layer.choose(chance), h, w)),
            AugmentationLayer::RandomZoom(layer) => Some(layer.choose(chance, h, w)),
            AugmentationLayer::RandomTranslation(layer) => Some(layer.choose(chance, h, w)),
            AugmentationLayer::RandomResizedCrop(layer) => Some(layer.choose(chance, h, w)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for AugmentationLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AugmentationLayer::RandomFlip(layer) => write!(f, "RandomFlip({:?})", layer.mode),
            AugmentationLayer::RandomRotation(layer) => write!(f, "RandomRotation({})", layer.factor),
            AugmentationLayer::RandomZoom(layer) => layer.fmt(f),
            AugmentationLayer::RandomTranslation(layer) => layer.fmt(f),
            AugmentationLayer::RandomResizedCrop(layer) => layer.fmt(f),
            AugmentationLayer::RandomContrast(layer) => layer.fmt(f),
            AugmentationLayer::RandomBrightness(layer) => layer.fmt(f),
            AugmentationLayer::Rescaling(layer) => write!(f, "{layer}"),
            AugmentationLayer::Other(_) => write!(f, "Other"),
        }
    }
}

/// Layers that are applied one after the other.
///
/// ```
/// use transfer::augment::{RandomFlip, RandomRotation, Sequential};
/// let data_augmentation =
///     Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(1);
/// let image = ndarray::Array3::zeros((160, 160, 3));
/// assert_eq!(data_augmentation.augmented(&image, 9).unwrap().dim(), (9, 160, 160, 3));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Sequential {
    layers: Vec<AugmentationLayer>,
    seed: u64,
}

impl Sequential {
    /// No layers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer behind the others.
    #[allow(clippy::should_implement_trait)] // Keras' name; nothing is summed up here.
    pub fn add(mut self, layer: impl Into<AugmentationLayer>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// Sets the seed; without a call it is 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[AugmentationLayer] {
        &self.layers
    }

    /// Whether all layers are of this crate, and so neither wait for others nor panic on an image of the right size.
    pub(crate) fn is_plain(&self) -> bool {
        !self.layers.iter().any(|layer| matches!(layer, AugmentationLayer::Other(_)))
    }

    /// Applies the layers to one image (h, w, c) in place; `key` says which and when.
    ///
    /// # Panics
    /// Where `image` does not have h·w·c numbers.
    pub fn apply(
        &self,
        image: &mut [f32],
        size: (usize, usize, usize),
        key: ImageKey,
        scratch: &mut Vec<f32>,
    ) {
        self.run(None, image, size, key, scratch);
    }

    /// [`apply`](Self::apply), from the cache where `stored` is given.
    fn run(
        &self,
        mut stored: Option<&Stored<'_>>,
        image: &mut [f32],
        size: (usize, usize, usize),
        key: ImageKey,
        scratch: &mut Vec<f32>,
    ) {
        let (h, w, c) = size;
        assert_eq!(image.len(), h * w * c, "an image of {h}x{w}x{c} numbers was announced");
        if image.is_empty() {
            return;
        }
        let mut layers = self.layers.iter().enumerate().peekable();
        // A flip waits for what follows: what moves pixels copies the image anyway and can flip it on the
        // way, and two flips may cancel out.
        let mut waiting = Flip::default();
        while let Some((position, layer)) = layers.next() {
            let mut chance = Rng::new(&[self.seed, AUGMENT, key.epoch, key.index, position as u64]);
            if let AugmentationLayer::RandomFlip(layer) = layer {
                waiting = waiting.then(layer.choose(&mut chance));
                continue;
            }
            let placement = layer.placement(&mut chance, h, w);
            if let (Some(turn), Some(from), 3) = (&placement, stored, c) {
                let then = match layers.peek() {
                    Some((_, AugmentationLayer::Rescaling(rescaling))) => Some(*rescaling),
                    _ => None,
                };
                if turn_stored(from, image, (h, w), waiting, turn, then) {
                    stored = None;
                    waiting = Flip::default();
                    if then.is_some() {
                        layers.next();
                    }
                    continue;
                }
            }
            if let Some(stored) = stored.take() {
                stored.unpack(image);
            }
            if let Some(turn) = placement {
                flip_and_turn(image, size, std::mem::take(&mut waiting), &turn, scratch);
                continue;
            }
            match layer {
                AugmentationLayer::RandomContrast(layer) => layer.apply(image, c, layer.choose(&mut chance)),
                AugmentationLayer::RandomBrightness(layer) => layer.apply(image, layer.choose(&mut chance)),
                AugmentationLayer::Rescaling(layer) => layer.apply_slice(image),
                AugmentationLayer::Other(layer) => {
                    std::mem::take(&mut waiting).apply(image, size);
                    layer.apply(image, size, key, scratch);
                }
                // Done above.
                _ => {}
            }
        }
        if let Some(stored) = stored {
            stored.unpack(image);
        }
        waiting.apply(image, size);
    }

    /// `n` versions of one image (h, w, c): what the image that stands first in its data set would
    /// look like in `n` epochs.
    ///
    /// # Errors
    /// Where the image is empty.
    pub fn augmented(&self, image: &Array3<f32>, n: usize) -> Result<Array4<f32>> {
        let size = image.dim();
        if image.is_empty() {
            return Err(Error::Shape(format!(
                "augmented: expected an image (height, width, channels). Received: {size:?}"
            )));
        }
        let mut all = Array4::zeros((n, size.0, size.1, size.2));
        let mut scratch = Vec::new();
        for (epoch, mut version) in all.axis_iter_mut(Axis(0)).enumerate() {
            version.assign(image);
            if let Some(numbers) = version.as_slice_mut() {
                self.apply(numbers, size, ImageKey { epoch: epoch as u64, index: 0 }, &mut scratch);
            }
        }
        Ok(all)
    }
}

impl ImageMap for Sequential {
    fn apply(&self, image: &mut [f32], size: (usize, usize, usize), key: ImageKey, scratch: &mut Vec<f32>) {
        Sequential::apply(self, image, size, key, scratch);
    }

    fn apply_stored(
        &self,
        stored: &Stored<'_>,
        image: &mut [f32],
        size: (usize, usize, usize),
        key: ImageKey,
        scratch: &mut Vec<f32>,
    ) {
        self.run(Some(stored), image, size, key, scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::store_image;

    #[test]
    fn an_image_from_the_cache_gets_the_bits_of_one_unpacked_first() {
        let rescaling = Rescaling::new(1.0 / 127.5, -1.0);
        let everything = Sequential::new()
            .add(RandomFlip::new(FlipMode::HorizontalAndVertical))
            .add(RandomRotation::new(0.2))
            .add(rescaling);
        let others = [
            everything.clone(),
            Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.9)),
            Sequential::new()
                .add(RandomRotation::new(0.5))
                .add(RandomRotation::new(0.1))
                .add(RandomFlip::vertical()),
            Sequential::new().add(rescaling).add(RandomRotation::new(0.3)),
            Sequential::new().add(RandomFlip::vertical()),
            Sequential::new().add(RandomFlip::horizontal()).add(RandomZoom::new(0.4).width_factor(0.2)),
            Sequential::new()
                .add(RandomFlip::vertical())
                .add(RandomTranslation::new(0.3, 0.9))
                .add(rescaling),
            Sequential::new().add(RandomFlip::horizontal()).add(RandomResizedCrop::new()).add(rescaling),
            Sequential::new().add(RandomResizedCrop::new()).add(RandomContrast::new(0.5)),
            Sequential::new().add(RandomBrightness::new(0.5)).add(RandomZoom::new(0.4)),
            Sequential::new().add(Arc::new(everything) as Arc<dyn ImageMap>),
            Sequential::new(),
        ];
        for (h, w) in [(160, 160), (33, 70), (70, 33), (2, 2), (1, 5), (5, 1), (2, 90)] {
            let mut rng = Rng::new(&[h as u64, w as u64]);
            let image: Vec<f32> = (0..h * w * 3).map(|_| rng.uniform() * 255.0).collect();
            let kept = store_image(&image);
            let stored = Stored::new(&kept);
            let mut scratch = vec![f32::NAN; 1000];
            for (augmentation, last) in others.iter().flat_map(|a| [(a, None), (a, Some(rescaling))]) {
                // As a model's preprocessing follows its augmentation.
                let whole = last.map_or_else(|| augmentation.clone(), |last| augmentation.clone().add(last));
                for epoch in 0..20 {
                    let key = ImageKey { epoch, index: 3 };
                    let mut expected = vec![f32::NAN; image.len()];
                    stored.unpack(&mut expected);
                    augmentation.apply(&mut expected, (h, w, 3), key, &mut scratch);
                    if let Some(last) = last {
                        last.apply_slice(&mut expected);
                    }
                    let mut got = vec![f32::NAN; image.len()];
                    whole.run(Some(&stored), &mut got, (h, w, 3), key, &mut scratch);
                    assert_eq!(got, expected, "{h}x{w}, {augmentation:?}, epoch {epoch}");
                }
            }
        }
    }
}
