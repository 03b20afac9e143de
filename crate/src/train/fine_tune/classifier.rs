//! What `fine_tune` starts from: a base of the registry, and a head that has yet to learn.

use crate::bases::Base;
use crate::data::Dataset;
use crate::loss::Loss;
use crate::model::{Dense, Dropout, GlobalAveragePooling2D, Model};
use crate::network::Backbone;
use crate::optim::Adam;
use crate::{Device, Error, Result};

impl Model {
    /// A classifier for the classes of `dataset` and images of its size: a base with the ImageNet weights,
    /// frozen, and a head that has yet to learn. What the tutorial's chain makes, in one call, without
    /// augmentation. MobileNetV2 grew up with images of 224x224. It computes on the device that [`Device::auto`]
    /// chooses.
    ///
    /// # Errors
    /// Where the weights cannot be had, or there are fewer than two classes; as [`Device::auto`].
    ///
    /// ```no_run
    /// use transfer::prelude::*;
    /// let photographs = own_photographs("my_photos", ImageDatasetOptions::default().image_size(224, 224))?;
    /// let mut model = Model::imagenet(&photographs.train)?;
    /// let options = FineTuneOptions::default().validation_data(&photographs.validation);
    /// let history = model.fine_tune(&photographs.train, options)?;
    /// # Ok::<(), transfer::Error>(())
    /// ```
    pub fn imagenet(dataset: &Dataset) -> Result<Self> {
        Self::imagenet_on(dataset, &Device::auto()?)
    }

    /// As [`imagenet`](Self::imagenet), on a device of your choice.
    ///
    /// # Errors
    /// As [`imagenet`](Self::imagenet), or where the device has too little memory.
    pub fn imagenet_on(dataset: &Dataset, device: &Device) -> Result<Self> {
        Self::of_base(Base::named(Base::DEFAULT)?, dataset, device)
    }

    /// As [`imagenet`](Self::imagenet), with another network of the registry and on a device of your choice. Images are
    /// best as large as [`Base::image_size`] says.
    ///
    /// # Errors
    /// As [`imagenet_on`](Self::imagenet_on).
    ///
    /// ```no_run
    /// use transfer::prelude::*;
    /// let base = Base::named("efficientnet_lite0")?;
    /// let options = ImageDatasetOptions::default().image_size(base.image_size, base.image_size);
    /// let photographs = own_photographs("my_photos", options)?;
    /// let mut model = Model::of_base(base, &photographs.train, &Device::auto()?)?;
    /// model.fine_tune(&photographs.train, FineTuneOptions::default())?;
    /// # Ok::<(), transfer::Error>(())
    /// ```
    pub fn of_base(base: &Base, dataset: &Dataset, device: &Device) -> Result<Self> {
        check_classes(dataset)?;
        let (h, w) = dataset.image_size();
        Self::on_backbone(base.imagenet_on(device, (h, w, 3))?, dataset)
    }

    /// As [`of_base`](Self::of_base), on the features that an ONNX file computes. Nothing of that network can be
    /// fine-tuned: [`fine_tune`](Self::fine_tune) solves for the head alone.
    ///
    /// # Errors
    /// Where the images of the data set have another size than [`OnnxFeatures::image_size`](crate::network::OnnxFeatures::image_size),
    /// or there are fewer than two classes.
    ///
    /// ```no_run
    /// use transfer::network::{OnnxFeatures, OnnxOptions};
    /// use transfer::prelude::*;
    /// let features = OnnxFeatures::open("dinov2_small.onnx", OnnxOptions::default())?;
    /// let (height, width) = features.image_size();
    /// let photographs = own_photographs("my_photos", ImageDatasetOptions::default().image_size(height, width))?;
    /// let mut model = Model::of_features(&features, &photographs.train, &Device::auto()?)?;
    /// model.fine_tune(&photographs.train, FineTuneOptions::default())?;
    /// # Ok::<(), transfer::Error>(())
    /// ```
    #[cfg(feature = "onnx")]
    pub fn of_features(
        features: &crate::network::OnnxFeatures,
        dataset: &Dataset,
        device: &Device,
    ) -> Result<Self> {
        check_classes(dataset)?;
        let model = Self::on_backbone(features.backbone(device)?, dataset)?;
        model.check_dataset(dataset)?;
        Ok(model)
    }

    /// A classifier with a head that has yet to learn.
    fn on_backbone(mut base: Backbone, dataset: &Dataset) -> Result<Self> {
        let classes = dataset.class_names().len();
        base.set_trainable(false);
        let mut model = Model::chain()
            .then(base.rescaling())
            .then(base)
            .then(GlobalAveragePooling2D)
            .then(Dropout::new(0.2))
            .then(Dense::new(if classes == 2 && dataset.label_sets().is_none() { 1 } else { classes }))
            .build()?;
        model.take_class_names(dataset);
        model.take_image_fit(dataset);
        let loss = match dataset.label_sets() {
            Some(_) => Loss::MultiLabelBinaryCrossentropy,
            None => Loss::for_classes(classes),
        };
        model.compile(Adam::new(1e-4), loss)?;
        Ok(model)
    }
}

fn check_classes(dataset: &Dataset) -> Result<()> {
    match dataset.class_names().len() {
        classes @ 0..2 => Err(Error::Data(format!(
            "A classifier expected a data set of at least two classes. Received: {classes}"
        ))),
        _ => Ok(()),
    }
}
