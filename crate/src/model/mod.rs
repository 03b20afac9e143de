//! What people hold: a [`Model`], the chain of layers that it is put together from, and its files.
//!
//! | file | what it holds |
//! |---|---|
//! | `model.rs` | base and head, compiled with a loss and an optimizer |
//! | `chain.rs`, `layers.rs` | how a model is put together; the layers above the base |
//! | `about.rs` | what has to be known of a model besides its weights, in order to predict |
//! | `saved.rs`, `weights_file.rs` | `Model::save` and `Model::load`: that and the weights as one file; weights alone |
//! | `digest.rs` | what tells a model from others |
//! | `features.rs` | the ONNX file that computes a saved model's features |
//! | `imagenet.rs` | `Classifier::imagenet`: published networks with the 1,000 classes of ImageNet |
//! | `onnx/` | `Model::export_onnx`: the model for ONNX Runtime and other programs; `int8/`: `Model::quantize`, in int8 |
//! | `image_fit.rs`, `multi_label.rs` | how photographs are brought to the model's aspect ratio; thresholds of labels |
//! | `trust/` | how far it can be trusted: intervals, cross-validation, temperature, what is unknown |
//! | `scaling.rs`, `trained_on.rs` | the scale of an ONNX file's features; what a model was trained on |
//! | `feature_cache.rs` | where outputs of the frozen part are kept |
//!
//! Training and prediction are methods of [`Model`], too; they stand in [`mod@crate::train`].

mod about;
mod chain;
mod digest;
pub(crate) mod feature_cache;
mod features;
mod image_fit;
mod imagenet;
mod layers;
#[allow(clippy::module_inception)]
mod model;
mod multi_label;
mod onnx;
mod saved;
mod scaling;
mod trained_on;
mod trust;
mod weights_file;

pub(crate) use about::About;
pub use chain::{Chain, Layer};
pub use imagenet::Classifier;
pub(crate) use layers::DropoutOfBatch;
pub use layers::{Dense, Dropout, GlobalAveragePooling2D, Initializer};
pub use model::Model;
pub(crate) use model::{not_compiled, Compiled, LeftOff};
pub use onnx::{calibration_split, Comparison, QuantizedModel};
pub(crate) use saved::parse as parse_model;
pub use trained_on::TrainedOn;
pub(crate) use trust::{behind, scaled, Looks, Nearest, Trust, MOST_COMPONENTS, MOST_HELD_OUT, MOST_KEPT};
pub use trust::{
    temperature_scaling, wilson_interval, Calibration, CrossValidation, Interval, Novelty, Unknown,
};

#[cfg(all(test, feature = "onnx"))]
pub(crate) use onnx::encode_base;
