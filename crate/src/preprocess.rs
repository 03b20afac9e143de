//! From grey levels, 0..255, to the numbers that a network was trained on, -1..1.
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

/// Keras' layer `Rescaling`: `x * scale + offset`.
///
/// ```
/// use transfer::preprocess::Rescaling;
/// let mut values = [0.0, 255.0];
/// Rescaling::new(1.0 / 127.5, -1.0).apply_slice(&mut values);
/// assert_eq!(values, [-1.0, 1.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rescaling {
    /// What each number is multiplied by.
    pub scale: f32,
    /// What is added then.
    pub offset: f32,
}

impl Rescaling {
    /// A layer with these two numbers; `Rescaling::new(1.0 / 127.5, -1.0)` is
    /// [`mobilenet_v2::preprocess_input`].
    pub fn new(scale: f32, offset: f32) -> Self {
        Self { scale, offset }
    }

    /// Applies it to a batch (n, h, w, c).
    pub fn apply_batch(&self, mut images: Array4<f32>) -> Array4<f32> {
        images.mapv_inplace(|x| x * self.scale + self.offset);
        images
    }

    /// Applies it in place to numbers in any arrangement.
    pub fn apply_slice(&self, values: &mut [f32]) {
        for x in values {
            *x = *x * self.scale + self.offset;
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
}
