//! What a model says of image files that are not on this computer's disk: a server's uploads.

use std::path::Path;
use std::sync::Arc;

use ndarray::{Array2, Array3, Array4};

use crate::data::{load_img_bytes_into, MAX_DECODED_BYTES};
use crate::model::Model;
use crate::progress::check_stop;
use crate::train::Prediction;
use crate::{Error, Result};

/// Images `(n, h, w, 3)`, the name of each, and the names of the classes.
type Named<'a> = (Array4<f32>, Vec<&'a Path>, Arc<[String]>);

impl Model {
    /// Decodes the bytes of an image file and resizes it to the model's size, as for files and data sets:
    /// (height, width, 3), 0..255. `name` stands for the file in errors. An image whose decoding takes more than `most`
    /// bytes of memory is refused; [`MAX_DECODED_BYTES`] is the limit for files.
    ///
    /// # Errors
    /// [`Error::Data`] where the bytes are no image, cannot be decoded or take more than `most`.
    pub fn image_of_bytes(&self, name: impl AsRef<Path>, bytes: Vec<u8>, most: u64) -> Result<Array3<f32>> {
        let (h, w, c) = self.base_model().input_shape();
        let mut image = vec![0.0; h * w * c];
        load_img_bytes_into((name.as_ref(), bytes), (h, w), self.image_fit(), most, &mut image)?;
        Array3::from_shape_vec((h, w, c), image).map_err(|e| Error::Shape(e.to_string()))
    }

    /// Predicts the class of the image file with these bytes. The result is the one of
    /// [`predict_file`](Self::predict_file) for a file with these bytes, bit for bit.
    ///
    /// # Errors
    /// As [`image_of_bytes`](Self::image_of_bytes) and [`predict_images`](Self::predict_images).
    ///
    /// ```no_run
    /// use transfer::prelude::*;
    /// let model = Model::load("cats_and_dogs.safetensors")?;
    /// # fn received() -> Vec<u8> { Vec::new() }
    /// let bytes: Vec<u8> = received();
    /// println!("{}", model.predict_bytes("upload.jpg", bytes)?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn predict_bytes(&self, name: impl AsRef<Path>, bytes: Vec<u8>) -> Result<Prediction> {
        let name = name.as_ref();
        let image = self.image_of_bytes(name, bytes, MAX_DECODED_BYTES)?;
        let mut all = self.predict_images(&[name], vec![image])?;
        all.pop().unwrap_or_else(|| Err(Error::Shape("a prediction is missing".into())))
    }

    /// Predicts the class of each image, as [`image_of_bytes`](Self::image_of_bytes) makes them; one whose outputs are
    /// not finite has its error in its place. All are computed together, so memory grows with their number:
    /// [`images_at_once`](Self::images_at_once) is a good most. What one's prediction is does not depend on the others.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is not one name for each image, or an image has another size than the model's;
    /// [`Error::Interrupted`] where somebody asked for a stop.
    pub fn predict_images(
        &self,
        names: &[impl AsRef<Path>],
        images: Vec<Array3<f32>>,
    ) -> Result<Vec<Result<Prediction>>> {
        let Some((batch, names, classes)) = self.batch_of(names, &images)? else { return Ok(Vec::new()) };
        self.predictions_of(&batch, &names, &classes)
    }

    /// [`predict_images`](Self::predict_images), and what the dense layer sees of each image as it is, not mirrored
    /// `(n, features)`: for [`Neighbours::nearest`](crate::explain::Neighbours::nearest), which refuses those that are
    /// not finite. Predictions are the same, bit for bit.
    ///
    /// # Errors
    /// As [`predict_images`](Self::predict_images).
    pub fn predict_images_with_features(
        &self,
        names: &[impl AsRef<Path>],
        images: Vec<Array3<f32>>,
    ) -> Result<(Vec<Result<Prediction>>, Array2<f32>)> {
        match self.batch_of(names, &images)? {
            Some((batch, names, classes)) => self.predictions_and_features_of(&batch, &names, &classes),
            None => Ok((Vec::new(), Array2::zeros((0, self.base_model().output_shape().2)))),
        }
    }

    /// Images as a batch, with their names and those of the classes; `None` where there are none.
    fn batch_of<'a>(
        &self,
        names: &'a [impl AsRef<Path>],
        images: &[Array3<f32>],
    ) -> Result<Option<Named<'a>>> {
        check_stop("The prediction")?;
        let size = self.base_model().input_shape();
        if names.len() != images.len() || images.iter().any(|image| image.dim() != size) {
            return Err(Error::Shape(format!(
                "The model expected a name and an image of {size:?} each. Received: {} names, and images of {:?}",
                names.len(),
                images.iter().map(|image| image.dim()).collect::<Vec<_>>()
            )));
        }
        if images.is_empty() {
            return Ok(None);
        }
        let mut pixels = Vec::with_capacity(images.len() * size.0 * size.1 * size.2);
        images.iter().for_each(|image| match image.as_slice() {
            Some(slice) => pixels.extend_from_slice(slice),
            None => pixels.extend(image.iter()),
        });
        let batch = Array4::from_shape_vec((images.len(), size.0, size.1, size.2), pixels)
            .map_err(|e| Error::Shape(e.to_string()))?;
        Ok(Some((batch, names.iter().map(AsRef::as_ref).collect(), self.class_names().into())))
    }
}
