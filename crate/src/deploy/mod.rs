//! A trained model put to use: kept in one file, asked about single files, handed to other programs.
//!
//! | file | what it holds |
//! |---|---|
//! | `about.rs` | what has to be known of a model besides its weights, in order to predict |
//! | `saved.rs` | `Model::save` and `Model::load`: that and the weights as one file |
//! | `prediction.rs` | `Model::predict_files`: files in, names of classes out |
//! | `onnx/` | `Model::export_onnx`: the same model for ONNX Runtime and its like |
//!
//! Not here: weights alone ([`Model::save_weights`](crate::model::Model::save_weights)) and unfinished
//! trainings ([`checkpoint`](crate::train::checkpoint)).

mod about;
mod onnx;
mod prediction;
mod saved;

pub(crate) use about::About;
pub use about::TrainedOn;
pub use prediction::Prediction;
pub(crate) use saved::parse as parse_model;
