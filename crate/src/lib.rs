//! Transfer learning and fine-tuning of MobileNetV2 on dfdx.

pub mod assets;
pub mod augment;
pub mod data;
pub mod error;
pub mod model;
pub mod ops;
pub mod optim;
pub mod plot;
pub mod preprocess;
pub mod progress;
pub mod random;
pub mod threads;
pub mod train;
pub mod weights;

pub use error::{Error, Result};
