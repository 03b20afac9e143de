//! What the dense layer sees of each image, and a map of it.

use ndarray::Array2;

use crate::data::Dataset;
#[cfg(feature = "plot")]
use crate::explain::Pca;
use crate::model::Model;
#[cfg(feature = "plot")]
use crate::plot::{feature_map, FeatureMap, Figure};
use crate::{Error, Result};

/// Thumbnails that a map tries to find room for.
#[cfg(feature = "plot")]
const THUMBNAILS: usize = 200;

/// The pooled features of a data set's images: what the base makes of them, averaged over height and width.
#[derive(Debug, Clone, PartialEq)]
pub struct PooledFeatures {
    /// The features, (n, 1280).
    pub values: Array2<f32>,
    /// The label of each image.
    pub labels: Vec<u32>,
    /// Where each image stands in [`Dataset::file_paths`].
    pub indices: Vec<usize>,
}

impl Model {
    /// The pooled features of all images of a data set, in the order of its first epoch, without
    /// augmentation.
    ///
    /// # Errors
    /// Where the data set does not fit the model or cannot be read.
    pub fn pooled_features(&self, dataset: &Dataset) -> Result<PooledFeatures> {
        let (mut values, mut labels, mut indices) = (Vec::new(), Vec::new(), Vec::new());
        self.each_frozen_batch(dataset, false, &mut |frozen, of, at| {
            values.extend_from_slice(&self.pooled(frozen, of.len())?);
            labels.extend_from_slice(of);
            indices.extend_from_slice(at);
            Ok(())
        })?;
        let shape = (labels.len(), self.net.base.output_shape().2);
        let values = Array2::from_shape_vec(shape, values).map_err(|e| Error::Shape(e.to_string()))?;
        Ok(PooledFeatures { values, labels, indices })
    }
}

impl PooledFeatures {
    /// The images as points along the features' first two principal components, in their class's colour,
    /// with thumbnails where there is room. `dataset` is the one whose features these are.
    ///
    /// # Errors
    /// Where there are fewer than two images, these are not the data set's features, or a file can no
    /// longer be read.
    ///
    /// ```no_run
    /// # fn example(model: &transfer::model::Model, test: &transfer::data::Dataset) -> transfer::Result<()> {
    /// model.pooled_features(test)?.map(test)?.save("features.png")?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "plot")]
    pub fn map(&self, dataset: &Dataset) -> Result<Figure> {
        let known = |(&index, &label)| dataset.labels().get(index) == Some(&label);
        if !self.indices.iter().zip(&self.labels).all(known) {
            return Err(Error::Invalid(
                "A feature map expected the data set that the features are of. Received another one: its labels \
                 differ"
                    .into(),
            ));
        }
        let pca = Pca::fit(&self.values, 2)?;
        let n = self.labels.len();
        let thumbnails: Vec<usize> = (0..n).step_by(n.div_ceil(THUMBNAILS)).collect();
        let of: Vec<usize> = thumbnails.iter().map(|&i| self.indices[i]).collect();
        feature_map(&FeatureMap {
            points: pca.transform(&self.values)?,
            labels: self.labels.clone(),
            class_names: dataset.class_names().to_vec(),
            explained_variance_ratio: pca.explained_variance_ratio,
            thumbnails,
            images: dataset.images(&of)?,
        })
    }
}
