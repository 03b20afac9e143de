//! Transfer learning and fine-tuning of MobileNetV2 on dfdx.
//!
//! Photographs go in at one end, a trained classifier and its pictures come out at the other:
//!
//! ```text
//! assets ─► data ─► augment ─► network ─► model ─► train ─► plot
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`assets`] | finds, downloads, verifies and extracts photographs and weights |
//! | [`data`] | a folder of class folders becomes batches |
//! | [`augment`], [`preprocess`] | random flips, rotations, zooms, crops and so on; grey levels to [-1, 1] |
//! | [`architecture`] | networks as tables of units: MobileNetV2 with Keras' 154 layers |
//! | [`bases`] | the registry of networks with published weights |
//! | [`weights`] | HDF5, safetensors and PyTorch files |
//! | [`ops`] | convolutions and the rest as dfdx ops; the kernels are the package `transfer-kernels` |
//! | [`loss`], [`optim`] | losses; Adam and RMSprop with Keras' semantics |
//! | [`network`] | a network on a device: variables, freezing, forward |
//! | [`model`] | a network with layers above it; saved, loaded, exported to ONNX |
//! | [`mod@train`] | fit, fine_tune, evaluate, predict, the history of a run |
//! | [`explain`] | top losses, Grad-CAM, confusion matrix, precision and recall, ROC curve |
//! | [`team`] | several processes that train one model |
//! | [`check`] | photographs before training: duplicates, wrong labels, outliers |
//! | [`plot`] | figures |
//! | [`output`] | files that a user names as output: what may be replaced |
//!
//! | feature | what it adds | by default |
//! |---|---|---|
//! | `download` | fetching weights and photographs, with `ureq` | yes |
//! | `hdf5` | weights as Keras and TF-Hub publish them, with `hdf5-reader` | yes |
//! | `plot` | figures and the module [`plot`], with `plotters` | yes |
//! | `cuda` | computing on an NVIDIA GPU; needs the CUDA toolkit | no |
//! | `onnx` | features of any network in an ONNX file, with `rten` | no |
//!
//! The whole of it in a few lines:
//!
//! ```no_run
//! use transfer::prelude::*;
//!
//! let photographs = cats_and_dogs()?;
//! let options = ImageDatasetOptions::default().image_size(160, 160);
//! let train = image_dataset_from_directory(&photographs.train_dir, options)?;
//!
//! let mut base_model = MobileNetV2::imagenet((160, 160, 3))?;
//! base_model.set_trainable(false);
//! let mut model = Model::chain()
//!     .then(Rescaling::new(1.0 / 127.5, -1.0))
//!     .then(base_model)
//!     .then(GlobalAveragePooling2D)
//!     .then(Dropout::new(0.2))
//!     .then(Dense::new(1))
//!     .build()?;
//! model.compile(Adam::new(1e-4), Loss::BinaryCrossentropy)?;
//! let history = model.fit(&train, FitOptions::epochs(10))?;
//! # Ok::<(), transfer::Error>(())
//! ```

pub mod architecture;
pub mod assets;
pub mod augment;
pub mod bases;
mod cell;
pub mod check;
pub mod data;
mod device;
pub mod environment;
pub mod error;
pub mod explain;
#[doc(hidden)]
pub mod fuzzing;
mod hex;
mod input;
pub mod loss;
pub mod model;
pub mod network;
pub mod ops;
pub mod optim;
pub mod output;
#[cfg(feature = "plot")]
pub mod plot;
pub mod prelude;
pub mod preprocess;
pub mod progress;
mod protobuf;
pub mod random;
mod show;
pub mod team;
mod thousands;
pub mod threads;
pub mod train;
pub mod weights;

pub use cell::csv_cell;
pub use device::Device;
/// The library underneath, in the version that this crate's types come from.
pub use dfdx;
pub use environment::{seed, DeviceName};
pub use error::{Error, Result};
pub use output::OutputFile;
pub use show::{shown_lines, Show, Shown};
pub use transfer_kernels::Precision;

/// Seed of the split between validation and test set. Fixed, so that all runs are measured on the
/// same photographs, whatever [`seed`] says.
pub const SPLIT_SEED: u64 = 123;

/// `cargo test --doc` compiles the code in the README and in `docs/`, too.
#[cfg(doctest)]
mod pages {
    macro_rules! page {
        ($name:ident, $file:literal) => {
            #[doc = include_str!(concat!("../../", $file))]
            struct $name;
        };
    }
    page!(Readme, "README.md");
    page!(Bases, "docs/bases.md");
    page!(Check, "docs/check.md");
    page!(Checkpoints, "docs/checkpoints.md");
    page!(Fit, "docs/fit.md");
    page!(Labels, "docs/labels.md");
    page!(Onnx, "docs/onnx.md");
    page!(OwnPhotographs, "docs/own-photographs.md");
    page!(Performance, "docs/performance.md");
    page!(Report, "docs/report.md");
    page!(Trust, "docs/trust.md");
}
