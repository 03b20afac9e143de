//! From grey levels, 0..255, to the numbers that a network was trained on, as in -1..1.
//!
//! Not augmentation: nothing here is random, and it is the same in training and afterwards.

use crate::data::{ImageKey, ImageMap};
use ndarray::Array4;

/// What Keras has in `keras.applications.mobilenet_v2`.
pub mod mobilenet_v2 {
    use ndarray::Array4;

    /// `x / 127.5 - 1` for a whole batch (n, h, w, c): 0..255 becomes -1..1.
    ///
    /// ```
    /// let images = ndarray::array![[[[0.0, 127.5, 255.0]]]];
    /// let scaled = transfer::preprocess::mobilenet_v2::preprocess_input(images);
    /// assert_eq!(scaled.as_slice().unwrap(), [-1.0, 0.0, 1.0]);
    /// ```
    pub fn preprocess_input(mut images: Array4<f32>) -> Array4<f32> {
        images.mapv_inplace(|x| x / 127.5 - 1.0);
        images
    }

    /// The same in place, for numbers in any arrangement.
    pub fn preprocess_slice(values: &mut [f32]) {
        for x in values {
            *x = *x / 127.5 - 1.0;
        }
    }
}

/// Keras' layer `Rescaling`: `x * scale + offset`, for each of the three channels.
///
/// ```
/// use transfer::preprocess::Rescaling;
/// let mut values = [0.0, 255.0];
/// Rescaling::new(1.0 / 127.5, -1.0).apply_slice(&mut values);
/// assert_eq!(values, [-1.0, 1.0]);
/// ```
#[derive(Clone, Copy, PartialEq)]
pub struct Rescaling {
    /// What each number is multiplied by: red, green, blue.
    pub scale: [f32; 3],
    /// What is added then.
    pub offset: [f32; 3],
}

impl Rescaling {
    /// A layer with these two numbers for all channels; `Rescaling::new(1.0 / 127.5, -1.0)` is
    /// [`mobilenet_v2::preprocess_input`].
    pub fn new(scale: f32, offset: f32) -> Self {
        Self { scale: [scale; 3], offset: [offset; 3] }
    }

    /// A layer with numbers for each channel: red, green, blue.
    pub fn per_channel(scale: [f32; 3], offset: [f32; 3]) -> Self {
        Self { scale, offset }
    }

    /// Scale and offset, where they are the same for all channels.
    pub fn uniform(&self) -> Option<(f32, f32)> {
        let same = |v: [f32; 3]| v.iter().all(|x| x.to_bits() == v[0].to_bits());
        (same(self.scale) && same(self.offset)).then_some((self.scale[0], self.offset[0]))
    }

    /// Applies it to a batch (n, h, w, 3).
    pub fn apply_batch(&self, images: Array4<f32>) -> Array4<f32> {
        let mut images =
            if images.is_standard_layout() { images } else { images.as_standard_layout().into_owned() };
        if let Some(values) = images.as_slice_mut() {
            self.apply_slice(values);
        }
        images
    }

    /// Applies it in place to pixels (…, 3); to numbers in any arrangement, where it is the same for all channels.
    pub fn apply_slice(&self, values: &mut [f32]) {
        if let Some((scale, offset)) = self.uniform() {
            for x in values {
                *x = *x * scale + offset;
            }
            return;
        }
        for pixel in values.chunks_mut(3) {
            for ((x, scale), offset) in pixel.iter_mut().zip(self.scale).zip(self.offset) {
                *x = *x * scale + offset;
            }
        }
    }
}

/// One number each where they are the same for all channels.
impl std::fmt::Debug for Rescaling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("Rescaling");
        match self.uniform() {
            Some((scale, offset)) => text.field("scale", &scale).field("offset", &offset),
            None => text.field("scale", &self.scale).field("offset", &self.offset),
        };
        text.finish()
    }
}

/// As in a list of layers: `Rescaling(0.007843138, -1)`.
impl std::fmt::Display for Rescaling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.uniform() {
            Some((scale, offset)) => write!(f, "Rescaling({scale}, {offset})"),
            None => write!(f, "Rescaling({:?}, {:?})", self.scale, self.offset),
        }
    }
}

impl ImageMap for Rescaling {
    fn apply(&self, image: &mut [f32], _: (usize, usize, usize), _: ImageKey, _: &mut Vec<f32>) {
        self.apply_slice(image);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_scaling_agree_for_every_grey_level() {
        let mut steps: Vec<f32> = (0..=255 * 16).map(|i| i as f32 / 16.0).collect();
        let batch = Array4::from_shape_vec((1, 1, steps.len(), 1), steps.clone()).unwrap();
        let divided = mobilenet_v2::preprocess_input(batch.clone());
        let scaled = Rescaling::new(1.0 / 127.5, -1.0).apply_batch(batch);
        for (a, b) in divided.iter().zip(&scaled) {
            assert!((a - b).abs() <= 1.2e-7, "{a} and {b}");
        }
        mobilenet_v2::preprocess_slice(&mut steps);
        assert_eq!(divided.as_slice().unwrap(), steps);
        assert_eq!((steps[0], steps[steps.len() - 1]), (-1.0, 1.0));
    }

    #[test]
    fn each_channel_has_its_own_numbers() {
        let rescaling = Rescaling::per_channel([1.0, 2.0, 4.0], [0.5, 0.0, -1.0]);
        let mut values = [1.0, 1.0, 1.0, 2.0, 2.0, 2.0];
        rescaling.apply_slice(&mut values);
        assert_eq!(values, [1.5, 2.0, 3.0, 2.5, 4.0, 7.0]);
        assert_eq!(rescaling.uniform(), None);
        assert_eq!(format!("{:?}", Rescaling::new(0.5, -1.0)), "Rescaling { scale: 0.5, offset: -1.0 }");
        assert_eq!(format!("{rescaling}"), "Rescaling([1.0, 2.0, 4.0], [0.5, 0.0, -1.0])");
    }
}
