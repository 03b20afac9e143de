//! How far features are from those of the nearest photograph of the training.

use ndarray::{Array1, Array2, ArrayView1};

use crate::weights::{Tensor, Weights};
use crate::{Error, Result};

/// Components that the angle is measured by.
const ANGLE: usize = 24;
/// Principal components that are kept at most.
pub(crate) const MOST_COMPONENTS: usize = 64;
/// The most rows of a saved model that are read.
pub(super) const MOST_READ: usize = 200_000;

/// Photographs of the training by the principal components of their features, which are scaled to length 1.
#[derive(Clone, PartialEq)]
pub(crate) struct Nearest {
    /// Mean of the scaled features `(features)`.
    mean: Array1<f32>,
    /// Principal components `(components, features)`.
    components: Array2<f32>,
    /// Photographs of the training `(kept, components + 1)`: along the components, and the square of what these leave
    /// out.
    kept: Array2<f32>,
}

impl Nearest {
    /// From principal components `(components, features)` of scaled features, their mean, and the features of
    /// photographs of the training.
    pub fn new((mean, components): (Array1<f32>, Array2<f32>), training: &Array2<f32>) -> Result<Self> {
        let mut nearest = Nearest { kept: Array2::zeros((0, components.nrows() + 1)), mean, components };
        let rows: Vec<f32> = training.rows().into_iter().flat_map(|row| nearest.projected(row)).collect();
        let shape = (training.nrows(), nearest.components.nrows() + 1);
        nearest.kept = Array2::from_shape_vec(shape, rows).map_err(|e| Error::Shape(e.to_string()))?;
        Ok(nearest)
    }

    /// Refuses features `(n, features)` of another width.
    pub fn check(&self, features: &Array2<f32>) -> Result<()> {
        match features.ncols() == self.mean.len() {
            true => Ok(()),
            false => Err(Error::Shape(format!(
                "a novelty expected features of {} numbers. Received: {}",
                self.mean.len(),
                features.ncols()
            ))),
        }
    }

    /// Features along the components, and the square of what these leave out.
    fn projected(&self, features: ArrayView1<f32>) -> Vec<f32> {
        let centred = &scaled(features) - &self.mean;
        let mut along: Vec<f32> = self.components.dot(&centred).to_vec();
        let rest = centred.dot(&centred) - along.iter().map(|x| x * x).sum::<f32>();
        along.push(rest.max(0.0));
        along
    }

    /// The square of the distance from the nearest photograph of the training, and minus the cosine of the smallest
    /// angle to one by the first components.
    pub fn distance_and_angle(&self, features: ArrayView1<f32>) -> (f32, f32) {
        let here = self.projected(features);
        let (rest, along) = here.split_last().unwrap_or((&0.0, &[]));
        let few = along.len().min(ANGLE);
        let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
        let own = length(&along[..few]);
        let (mut nearest, mut largest) = (f32::INFINITY, -1.0f32);
        for row in self.kept.as_slice().unwrap_or_default().chunks_exact(here.len()) {
            let squares = row.iter().zip(along).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            nearest = nearest.min(squares + row[along.len()] + rest);
            let product = row[..few].iter().zip(along).map(|(a, b)| a * b).sum::<f32>();
            let lengths = own * length(&row[..few]);
            largest = largest.max(if lengths > 0.0 { product / lengths } else { -1.0 });
        }
        (nearest, -largest)
    }

    /// The mean, the components, and the photographs of the training.
    pub fn parts(&self) -> (&Array1<f32>, &Array2<f32>, &Array2<f32>) {
        (&self.mean, &self.components, &self.kept)
    }

    /// As tensors of a saved model, whose names begin with `prefix`.
    pub fn write(&self, prefix: &str, weights: &mut Weights) -> Result<()> {
        weights.insert(format!("{prefix}mean"), Tensor::new(vec![self.mean.len()], self.mean.to_vec())?);
        insert(weights, format!("{prefix}components"), &self.components)?;
        insert(weights, format!("{prefix}kept"), &self.kept)
    }

    /// From the tensors of a saved model, of so many features.
    ///
    /// # Errors
    /// [`Error::Weights`] where one is missing, or shapes or numbers contradict each other.
    pub fn read(prefix: &str, weights: &Weights, features: usize) -> Result<Self> {
        let mean = Array1::from(weights.get(&format!("{prefix}mean"))?.data.clone());
        let components = matrix(weights, &format!("{prefix}components"))?;
        let kept = matrix(weights, &format!("{prefix}kept"))?;
        let sizes = mean.len() == features
            && components.ncols() == features
            && (1..=MOST_COMPONENTS).contains(&components.nrows())
            && kept.ncols() == components.nrows() + 1
            && (1..=MOST_READ).contains(&kept.nrows());
        let finite = mean.iter().chain(&components).chain(&kept).all(|x| x.is_finite());
        match sizes && finite {
            true => Ok(Nearest { mean, components, kept }),
            false => Err(Error::Weights(format!(
                "expected finite tensors `{prefix}…` that tell unknown photographs by {features} features. Received: \
                 mean {}, components {:?}, kept {:?}",
                mean.len(),
                components.dim(),
                kept.dim()
            ))),
        }
    }
}

/// A matrix as a tensor.
pub(super) fn insert(weights: &mut Weights, name: String, matrix: &Array2<f32>) -> Result<()> {
    let shape = vec![matrix.nrows(), matrix.ncols()];
    weights.insert(name, Tensor::new(shape, matrix.iter().copied().collect())?);
    Ok(())
}

/// A tensor as a matrix.
///
/// # Errors
/// [`Error::Weights`] where it is missing or has another number of dimensions.
pub(super) fn matrix(weights: &Weights, name: &str) -> Result<Array2<f32>> {
    let tensor = weights.get(name)?;
    let [rows, columns] = tensor.shape[..] else {
        return Err(Error::Weights(format!(
            "`{name}` expected two dimensions. Received: {:?}",
            tensor.shape
        )));
    };
    Array2::from_shape_vec((rows, columns), tensor.data.clone())
        .map_err(|e| Error::Weights(format!("`{name}`: {e}")))
}

/// Features of length 1; zeros stay zeros.
pub(crate) fn scaled(features: ArrayView1<f32>) -> Array1<f32> {
    let length = features.dot(&features).sqrt();
    features.mapv(|x| if length > 0.0 { x / length } else { 0.0 })
}
