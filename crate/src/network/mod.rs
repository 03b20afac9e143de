//! A network on a device: variables, which of them train, the forward pass with and without a tape.
//!
//! What a network is stands in [`architecture`](crate::architecture). [`Backbone`] is what a notebook holds and is
//! not generic; [`base`] is the generic core.

mod backbone;
pub mod base;
mod extracted;
pub(crate) mod extractor;
pub mod frozen;
#[cfg(test)]
mod gradient_tests;
mod inspect;
mod mobilenet_v2;
mod of_base;
pub(crate) mod on_device;
#[cfg(feature = "onnx")]
mod onnx;
mod precision;
mod summary;
pub(crate) mod with_head;

#[cfg(test)]
pub(crate) use gradient_tests::random_weights;

pub use backbone::{Backbone, LayerRef};
pub use mobilenet_v2::MobileNetV2;
#[cfg(feature = "onnx")]
pub use onnx::{OnnxFeatures, OnnxOptions};
pub use summary::{Summary, SummaryRow};
