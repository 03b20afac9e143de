//! What tells a model from others, also after it was saved and loaded.

use crate::model::Model;
use crate::weights::digest;
use crate::{Error, Result};

impl Model {
    /// The SHA-256 of what the model computes features and classes with: its weights, the names of its classes, the size
    /// of its images and how they are brought to it; and that of the ONNX file that computes its features, if one does.
    /// A model that was saved and loaded has the same; one that was trained again, or on other photographs, has not.
    ///
    /// # Errors
    /// [`Error::Weights`] where a value is not finite.
    pub(crate) fn digest(&self) -> Result<String> {
        let base = self.base_model();
        let (h, w, _) = base.input_shape();
        let origin = base.weights_origin().filter(|_| base.is_features());
        let more = [
            ("class_names", format!("{:?}", self.class_names())),
            ("image", format!("{h}x{w} by {}", self.image_fit())),
            ("features", origin.map(|origin| origin.sha256.clone()).unwrap_or_default()),
        ];
        let more = more.map(|(key, value)| (key.to_owned(), value)).into();
        digest(&self.weights()?, more).map_err(Error::Weights)
    }
}
