//! Networks of the registry with their weights.

use super::Backbone;
use crate::assets::{base_weights, WeightsFile};
use crate::bases::Base;
use crate::weights::{load_for, LoadOptions, Weights};
use crate::{Device, Result};

impl Base {
    /// The network with its ImageNet weights for images of `input_shape` (height, width, 3). The weights are searched and
    /// if need be downloaded by [`assets::base_weights`](crate::assets::base_weights). All layers are trainable at first,
    /// as in Keras. It computes on the device that [`Device::auto`] chooses.
    ///
    /// ```no_run
    /// use transfer::prelude::*;
    /// let base_model = Base::named("efficientnet_lite0")?.imagenet((224, 224, 3))?;
    /// # Ok::<(), transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where the weights cannot be had, or the shape is unusable; as [`Device::auto`].
    pub fn imagenet(&self, input_shape: (usize, usize, usize)) -> Result<Backbone> {
        self.imagenet_on(&Device::auto()?, input_shape)
    }

    /// As [`imagenet`](Self::imagenet), on a device of your choice; what is built on it computes there, too.
    ///
    /// # Errors
    /// As [`imagenet`](Self::imagenet), or where the device has too little memory.
    pub fn imagenet_on(&self, device: &Device, input_shape: (usize, usize, usize)) -> Result<Backbone> {
        self.with_weights(device, input_shape, LoadOptions::default()).map(|(backbone, _)| backbone)
    }

    /// The network, and the weights that it was made of.
    pub(crate) fn with_weights(
        &self,
        device: &Device,
        input_shape: (usize, usize, usize),
        options: LoadOptions,
    ) -> Result<(Backbone, Weights)> {
        let WeightsFile { path, why } = base_weights(self)?;
        let network = self.network();
        let weights = load_for(&network, &path, options)?;
        let mut backbone = Backbone::new(&network, device, input_shape, &weights)?;
        backbone.set_weights_found(why);
        Ok((backbone, weights))
    }
}
