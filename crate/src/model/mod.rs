//! The model: the base and its 154 layers, the layers above it, and the chain of them all.
//!
//! What a notebook uses is re-exported here and not generic; the generic core is [`base`].

pub mod architecture;
pub mod base;
mod chain;
mod inspect;
mod layers;
mod mobilenet_v2;
#[allow(clippy::module_inception)]
mod model;
pub(crate) mod network;
pub(crate) mod on_device;
mod summary;
pub mod variable;

#[cfg(test)]
mod gradient_tests;
#[cfg(test)]
pub(crate) use gradient_tests::random_weights;

pub use chain::{Chain, Layer};
pub use layers::{Dense, Dropout, GlobalAveragePooling2D, Initializer};
pub use mobilenet_v2::{LayerRef, MobileNetV2};
pub(crate) use model::not_compiled;
pub use model::Model;
pub use summary::{thousands, Summary, SummaryRow};
