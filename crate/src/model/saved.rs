//! A model as one file: safetensors, with what else is needed to predict in its metadata.
//!
//! ```text
//! metadata  model     JSON: format, classes, image size, preprocessing, outputs, what trains, …
//!           sha256    of the whole file, taken with zeros in place of this
//! tensors   Conv1/kernel, …, dense/kernel, dense/bias
//! ```
//! Augmentation, which is of no use in prediction, and the optimizer's state are not in it.

use crate::Show;
use std::path::Path;

use crate::architecture::mobilenet_v2;
use crate::loss::Loss;
use crate::model::about::{About, SavedLoss, SavedOrigin, SavedPrecision};
use crate::model::features;
use crate::model::{Dense, Dropout, Initializer, Model, Novelty};
use crate::network::Backbone;
use crate::optim::Adam;
use crate::progress::say;
use crate::weights::{parse_sealed, read_bytes, write_sealed, Weights, WeightsOrigin};
use crate::{Device, Error, OutputFile, Precision, Result};

/// The largest file that is read: the base has 9 MB, the head 5 KB a class.
const MAX_BYTES: u64 = 1 << 30;
const KEY: &str = "model";

/// Takes a file's bytes apart; fuzzing goes on where the digest is wrong (`verify: false`).
pub(crate) fn parse(bytes: Vec<u8>, verify: bool) -> Result<(About, Weights), String> {
    let (weights, about) = parse_sealed(bytes, KEY, verify)?;
    Ok((About::parse(&about)?, weights))
}

impl Model {
    /// Writes the model to one safetensors file, whole or not at all: weights, class names, image size,
    /// preprocessing, all that [`load`](Self::load) needs to predict the same in another process.
    /// Augmentation and the optimizer's state are left out, as they only matter in training.
    ///
    /// An earlier model of this program is replaced; any other file only with [`OutputFile::overwrite`].
    ///
    /// # Errors
    /// [`Error::Weights`] where a value is not finite, [`Error::Invalid`] where the path may not be written,
    /// [`Error::Io`] where it cannot be; an older file stays as it was then.
    ///
    /// ```no_run
    /// # fn example(model: &transfer::model::Model) -> transfer::Result<()> {
    /// use transfer::model::Model;
    /// model.save("cats_and_dogs.safetensors")?;
    /// let again = Model::load("cats_and_dogs.safetensors")?;
    /// println!("{}", again.predict_file("my_cat.jpg")?);
    /// # Ok(()) }
    /// ```
    pub fn save(&self, file: impl Into<OutputFile>) -> Result<()> {
        let file = file.into();
        let about = serde_json::to_string(&About::of(self))
            .map_err(|e| Error::Weights(format!("cannot save {}: {e}", file.path().shown())))?;
        let mut weights = self.weights()?;
        if let Some(novelty) = self.novelty() {
            novelty.write(&mut weights)?;
        }
        write_sealed(&file, &weights, [(KEY.to_owned(), about)].into())
    }

    /// Reads what [`save`](Self::save) wrote, to compute on the device that [`Device::auto`] chooses. It predicts what
    /// the saved model predicted, bit for bit on the same machine.
    ///
    /// It is compiled with the loss that it had and Adam at 0.0001, so it can be evaluated and trained on at
    /// once; what trains is what trained before. Training goes without augmentation until
    /// [`set_augmentation`](Self::set_augmentation) gives it some.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is damaged, is no saved
    /// model, or is one of a later version; as [`Device::auto`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_on(path, &Device::auto()?)
    }

    /// As [`load`](Self::load), to compute on a device of your choice. A model that was saved on one device is read on
    /// any other.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`Error::Device`] where the device has too little memory.
    ///
    /// ```no_run
    /// use transfer::prelude::*;
    /// let model = Model::load_on("cats_and_dogs.safetensors", &Device::named("cuda:1")?)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load_on(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::load_from(path.as_ref(), None, device)
    }

    /// As [`load_on`](Self::load_on), for a model whose features an ONNX file computes that does not lie beside the model
    /// under the name that it had in training. Any other file than that one is refused.
    ///
    /// # Errors
    /// As [`load_on`](Self::load_on); [`Error::Checksum`] where it is another file than in training;
    /// [`Error::Invalid`] where the model needs no such file.
    pub fn load_with_features(
        path: impl AsRef<Path>,
        features: impl AsRef<Path>,
        device: &Device,
    ) -> Result<Self> {
        Self::load_from(path.as_ref(), Some(features.as_ref()), device)
    }

    fn load_from(path: &Path, features: Option<&Path>, device: &Device) -> Result<Self> {
        let unusable = |what: String| {
            Error::Weights(format!(
                "cannot use {} as a saved model: {what}. Expected a file that `Model::save` wrote; what \
                 `save_weights` wrote has weights alone, for `load_weights`",
                path.shown()
            ))
        };
        let (about, weights) = parse(read_bytes(path, MAX_BYTES)?, true).map_err(unusable)?;
        let base = match (&about.features, features) {
            (Some(_), given) => Some(features::backbone(&about, path, given, device)?),
            (None, Some(given)) => {
                return Err(Error::Invalid(format!(
                    "{} computes its features itself. Received: {} as the ONNX file that does",
                    path.shown(),
                    given.shown()
                )))
            }
            (None, None) => None,
        };
        Self::from_parts(about, &weights, base, device).map_err(|e| match e {
            Error::Weights(what) | Error::Invalid(what) | Error::Shape(what) => unusable(what),
            other => other,
        })
    }

    /// The network of this crate, with its weights.
    fn own_base(about: &About, weights: &Weights, device: &Device) -> Result<Backbone> {
        let (h, w) = about.image_size;
        let network = about.network().unwrap_or_else(mobilenet_v2);
        let mut base = Backbone::new(&network, device, (h, w, 3), weights)?;
        base.set_weights_origin(about.weights.clone().map(|SavedOrigin { name, sha256 }| WeightsOrigin {
            name,
            sha256,
            found: String::new(),
        }));
        base.set_trainable(false);
        Ok(base)
    }

    fn from_parts(about: About, weights: &Weights, base: Option<Backbone>, device: &Device) -> Result<Self> {
        let fit = about.fit();
        let mut base = match base {
            Some(base) => base,
            None => Self::own_base(&about, weights, device)?,
        };
        for &(from, to) in &about.trainable {
            for layer in from..to.min(base.len() + 1) {
                base.set_layer_trainable(layer, true)?;
            }
        }
        let precision = match about.precision {
            SavedPrecision::F32 => Precision::F32,
            SavedPrecision::Tf32 => Precision::Tf32,
            SavedPrecision::Bf16 => Precision::Bf16,
        };
        if let Err(why) = base.set_precision(precision) {
            say(format!("The model was saved in {} and computes in f32 here: {why}", precision.name()));
        }
        // Before a head of the stated size is made.
        let (kernel, bias) = (weights.get("dense/kernel")?, weights.get("dense/bias")?);
        let features = base.output_shape().2;
        let channels: Vec<usize> =
            (0..=base.architecture().units.len()).map(|units| base.output_of(units).2).collect();
        if kernel.shape != [features, about.units] || bias.shape != [about.units] {
            return Err(Error::Weights(format!(
                "expected a head of shape {:?} with {} biases. Received: {:?} and {:?}",
                [features, about.units],
                about.units,
                kernel.shape,
                bias.shape
            )));
        }
        let mut chain = Model::chain().seed(about.seed);
        if let Some(r) = about.rescaling {
            chain = chain.then(r.rescaling());
        }
        let mut model = chain
            .then(base)
            .then(crate::model::GlobalAveragePooling2D)
            .then(Dropout::new(about.dropout as f32))
            .then(Dense::new(about.units).kernel_initializer(Initializer::Zeros))
            .build()?;
        model.set_weights(weights)?;
        model.image_fit = fit;
        model.thresholds = about.thresholds;
        model.class_names = about.class_names;
        model.test_time_flip = about.test_time_flip;
        model.trained_on = about.trained_on;
        model.trust.cross_validation = about.cross_validation;
        model.trust.calibration = about.calibration;
        if let Some(rate) = about.unknown_rate {
            model.trust.novelty = Some(Novelty::read(weights, &channels, rate)?.into());
        }
        if let Some(loss) = about.loss {
            let loss = match loss {
                SavedLoss::BinaryCrossentropy => Loss::BinaryCrossentropy,
                SavedLoss::SparseCategoricalCrossentropy => Loss::SparseCategoricalCrossentropy,
                SavedLoss::MultiLabelBinaryCrossentropy => Loss::MultiLabelBinaryCrossentropy,
            };
            model.compile(Adam::new(1e-4), loss)?;
        }
        Ok(model)
    }
}
