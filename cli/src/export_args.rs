//! The arguments of `transfer export`.

use std::path::PathBuf;

use clap::Args;

use crate::values::{left_out, points};

/// Write a model as an ONNX file, for ONNX Runtime and other programs.
///
/// The exported model includes preprocessing. Its input `images` takes grey levels from 0 to 255 as float32 (batch,
/// height, width, 3); its outputs are `logits` and `probabilities`. Its properties hold the names of the classes.
///
/// With `--int8` the network computes with integers of 8 bits: the file is about a third as large, and faster on
/// processors with instructions for it. The ranges of the integers come from up to 256 photographs of the training, which
/// `--calibrate` names. Before the file is written, the accuracy of both is measured and printed: on the photographs of
/// `--check`, or else on up to 2,000 others of `--calibrate`. If int8 loses more than `--max-loss` allows, no file is
/// written, and the exit code is 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  transfer export model.safetensors --output model.onnx
  transfer export model.safetensors --output small.onnx --int8 --calibrate my_photos
  transfer export model.safetensors --int8 --calibrate my_photos/train --check my_photos/test --max-loss 1")]
pub struct Export {
    /// Model file that `transfer train` wrote
    pub model: PathBuf,
    /// File for the ONNX model. An earlier ONNX file of this program is replaced
    #[arg(short, long, value_name = "FILE", default_value = "model.onnx")]
    pub output: PathBuf,
    /// Replace any file at that place, but never the model that is read
    #[arg(long)]
    pub force: bool,
    /// Quantise: weights int8 with a scale for each channel, activations uint8 (QDQ format)
    #[arg(long, requires = "calibrate")]
    pub int8: bool,
    /// Folder of class folders with photographs of the training
    #[arg(long, value_name = "DIR", requires = "int8")]
    pub calibrate: Option<PathBuf>,
    /// Table with the labels of the photographs in the folder of `--calibrate`, as in `train`
    #[arg(long, value_name = "FILE", requires = "int8", conflicts_with = "check")]
    pub labels: Option<PathBuf>,
    /// Folder of class folders with photographs that the model was not trained on, to measure the accuracy
    #[arg(long, value_name = "DIR", requires = "int8")]
    pub check: Option<PathBuf>,
    /// Accuracy that int8 may lose, in percentage points
    #[arg(long, value_name = "POINTS", requires = "int8", default_value_t = 0.5, value_parser = points)]
    pub max_loss: f64,
    /// Fraction of each class, from 0 to 1, that may be left out because it cannot be decoded; more is an error.
    /// Above 0, one photograph of each class may always be left out, but never all of a class
    #[arg(long, value_name = "FRACTION", requires = "int8", default_value_t = 0.1, value_parser = left_out)]
    pub max_left_out: f32,
}
