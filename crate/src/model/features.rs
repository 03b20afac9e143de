//! The ONNX file that computes the features of a saved model.

use std::path::{Path, PathBuf};

use crate::model::about::About;
use crate::network::Backbone;
use crate::{Device, Error, Result, Show};

/// The network of that file: of `given`, or of the one beside the model at `path` that has the name of the training. Its
/// hash must be the one that the model knows.
pub(super) fn backbone(
    about: &About,
    path: &Path,
    given: Option<&Path>,
    device: &Device,
) -> Result<Backbone> {
    let name = about.weights.as_ref().map_or("", |of| &of.name);
    let file = given.map_or_else(|| path.with_file_name(name), Path::to_owned);
    if given.is_none() && std::fs::symlink_metadata(&file).is_err() {
        return Err(Error::Weights(format!(
            "{} expected the ONNX file that computes its features beside it, as {}. Put it there, or name it: `--features \
             FILE` of the program, `Model::load_with_features`",
            path.shown(),
            file.shown()
        )));
    }
    open(about, file, device)
}

#[cfg(feature = "onnx")]
fn open(about: &About, file: PathBuf, device: &Device) -> Result<Backbone> {
    use crate::network::{OnnxFeatures, OnnxOptions};
    let mut options = OnnxOptions::default().image_size(about.image_size.0, about.image_size.1);
    if let Some(of) = &about.weights {
        options = options.sha256(&of.sha256);
    }
    let mut width = 0;
    if let Some(of) = &about.features {
        (options, width) = (options.output(&of.output), of.width);
    }
    let features = OnnxFeatures::open(&file, options)?;
    if features.width() != width {
        return Err(Error::Weights(format!(
            "{} expected {width} features, as the model was saved with. Received: {}",
            file.shown(),
            features.width()
        )));
    }
    features.backbone(device)
}

#[cfg(not(feature = "onnx"))]
fn open(_: &About, file: PathBuf, _: &Device) -> Result<Backbone> {
    Err(Error::Invalid(format!(
        "A model on the features of {} expected a program that computes ONNX files. Received: one without the feature \
         `onnx`. Build it with `cargo install --path cli --features onnx`",
        file.shown()
    )))
}
