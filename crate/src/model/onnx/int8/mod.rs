//! Models in int8: quantised by what photographs of the training make of each tensor, measured, and exported.
//!
//! Kernels are int8 with a scale for each output channel and no offset, tensors uint8 with one scale, biases int32. The
//! dense layer, its input, and what tells unknown photographs stay in f32.
//! <https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html>
//!
//! | file | what it holds |
//! |---|---|
//! | `quantize.rs` | `Model::quantize`: the scale of each tensor, and the integers of each convolution |
//! | `quantized.rs` | `QuantizedModel`: what it says of images, and its file |
//! | `comparison.rs` | `QuantizedModel::compare`: f32 and int8 on the same photographs |
//! | `passes.rs` | passes over photographs, and which ones |
//! | `ranges.rs` | which numbers the levels of a tensor stand for |
//! | `layers.rs`, `fixed.rs` | the network layer by layer, in f32 and in whole numbers |
//! | `nodes.rs` | the base as nodes of an ONNX graph |

mod comparison;
mod fixed;
mod layers;
mod nodes;
mod passes;
mod quantize;
mod quantized;
mod ranges;

pub use comparison::Comparison;
pub use passes::calibration_split;
pub use quantized::QuantizedModel;
