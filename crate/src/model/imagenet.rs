//! A published network with its own top: the 1,000 classes of ImageNet.

use crate::bases::{imagenet_classes, Base};
use crate::loss::Loss;
use crate::model::{Dense, GlobalAveragePooling2D, Initializer, Model};
use crate::optim::Adam;
use crate::weights::LoadOptions;
use crate::{Device, Error, Result};

/// Makes [`Model`]s that need no training.
///
/// ```no_run
/// use transfer::prelude::*;
/// let model = Classifier::imagenet(Base::named("efficientnet_lite0")?)?;
/// println!("{}", model.predict_file("cat.jpg")?);
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Classifier;

impl Classifier {
    /// The network with the dense layer that it was published with, for ImageNet's 1,000 classes and images of the size
    /// that it was trained on. All layers are frozen. It computes on the device that [`Device::auto`] chooses.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the weights of the base come without that layer; else as [`Base::imagenet`].
    pub fn imagenet(base: &Base) -> Result<Model> {
        Self::imagenet_on(base, &Device::auto()?)
    }

    /// As [`imagenet`](Self::imagenet), on a device of your choice.
    ///
    /// # Errors
    /// As [`imagenet`](Self::imagenet), or where the device has too little memory.
    pub fn imagenet_on(base: &Base, device: &Device) -> Result<Model> {
        if !base.has_top {
            let with: Vec<_> = Base::all().iter().filter(|base| base.has_top).map(|base| base.name).collect();
            return Err(Error::Invalid(format!(
                "a classifier of ImageNet's classes expected a base whose weights have the layer for them: {}. \
                 Received: {}",
                with.join(", "),
                base.name
            )));
        }
        let size = (base.image_size, base.image_size, 3);
        let (mut backbone, weights) = base.with_weights(device, size, LoadOptions::default().top(true))?;
        backbone.set_trainable(false);
        let (kernel, bias) = (weights.get("predictions/kernel")?, weights.get("predictions/bias")?);
        let (features, names) = (backbone.output_shape().2, imagenet_classes());
        if kernel.shape != [features, names.len()] || bias.shape != [names.len()] {
            return Err(Error::Weights(format!(
                "the top of {} expected the shape {:?}. Received: {:?} and {:?}",
                base.title,
                [features, names.len()],
                kernel.shape,
                bias.shape
            )));
        }
        let mut model = Model::chain()
            .seed(0)
            .then(backbone.rescaling())
            .then(backbone)
            .then(GlobalAveragePooling2D)
            .then(Dense::new(names.len()).kernel_initializer(Initializer::Zeros))
            .build()?;
        model.net.set_head(&kernel.data, &bias.data)?;
        model.set_class_names(&names)?;
        model.compile(Adam::new(1e-4), Loss::SparseCategoricalCrossentropy)?;
        Ok(model)
    }
}
