//! MobileNetV2 with weights.

use super::Backbone;
use crate::architecture::mobilenet_v2;
use crate::weights::Weights;
use crate::{Device, Result};

/// Makes a [`Backbone`] of MobileNetV2 1.0 without its top (Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>):
/// images `(n, h, w, 3)` in [-1, 1] to features `(n, h/32, w/32, 1280)`.
///
/// ```no_run
/// use transfer::prelude::*;
/// let base_model = MobileNetV2::imagenet((160, 160, 3))?;
/// assert_eq!(base_model.output_shape(), (5, 5, 1280));
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MobileNetV2;

impl MobileNetV2 {
    /// With the ImageNet weights, searched and if need be downloaded by
    /// [`assets::mobilenet_v2_weights`](crate::assets::mobilenet_v2_weights). All layers are trainable at first, as in
    /// Keras. It computes on the device that [`Device::auto`] chooses.
    ///
    /// # Errors
    /// Where the weights cannot be had, or `input_shape` (height, width, 3) is unusable; as [`Device::auto`].
    pub fn imagenet(input_shape: (usize, usize, usize)) -> Result<Backbone> {
        Self::imagenet_on(&Device::auto()?, input_shape)
    }

    /// As [`imagenet`](Self::imagenet), on a device of your choice; what is built on it computes there, too.
    ///
    /// # Errors
    /// As [`imagenet`](Self::imagenet), or where the device has too little memory.
    pub fn imagenet_on(device: &Device, input_shape: (usize, usize, usize)) -> Result<Backbone> {
        let file = crate::assets::mobilenet_v2_weights()?;
        let mut base = Self::on(device, input_shape, &crate::weights::load(&file.path)?)?;
        base.set_weights_found(file.why);
        Ok(base)
    }

    /// With weights of your own, on the device that [`Device::auto`] chooses.
    ///
    /// # Errors
    /// Where the shape is unusable or the weights are not MobileNetV2's.
    pub fn with_weights(input_shape: (usize, usize, usize), weights: &Weights) -> Result<Backbone> {
        Self::on(&Device::auto()?, input_shape, weights)
    }

    /// As [`with_weights`](Self::with_weights), on a device of your choice; what is built on it computes there, too.
    ///
    /// # Errors
    /// As [`with_weights`](Self::with_weights), or where the device has too little memory.
    pub fn on(device: &Device, input_shape: (usize, usize, usize), weights: &Weights) -> Result<Backbone> {
        Backbone::new(&mobilenet_v2(), device, input_shape, weights)
    }
}
