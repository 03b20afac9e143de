//! The layers above the base, each usable on its own: what goes in and comes out is an array.

use dfdx::prelude::{Cpu, TensorFromVec};
use ndarray::{Array2, Array4};

use crate::ops::backend::{device_error, Backend, Matrix};
use crate::ops::head;
use crate::ops::variable::Variable;
use crate::random::Rng;
use crate::{Error, Result};

/// Keys of random streams, so that no two purposes share one.
pub(crate) const DENSE_STREAM: u64 = 0xDE45E;
pub(crate) const DROPOUT_STREAM: u64 = 0xD20;

/// The mean of each channel over height and width.
///
/// ```
/// use ndarray::Array4;
/// use transfer::model::GlobalAveragePooling2D;
/// let features = Array4::<f32>::ones((2, 5, 5, 8));
/// assert_eq!(GlobalAveragePooling2D.call(&features)?.shape(), [2, 8]);
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GlobalAveragePooling2D;

impl GlobalAveragePooling2D {
    /// `(n, h, w, c)` to `(n, c)`.
    ///
    /// # Errors
    /// Where memory is short.
    pub fn call(&self, x: &Array4<f32>) -> Result<Array2<f32>> {
        let x = x.as_standard_layout();
        let (n, h, w, c) = x.dim();
        let dev = Cpu::default();
        let values: Vec<f32> = x.iter().copied().collect();
        let x = dev.try_tensor_from_vec(values, (n, h, w, c)).map_err(device_error)?;
        matrix_to_array(&head::global_average_pooling(x)?)
    }
}

/// Sets a fraction of its inputs to zero while training, and scales the others up so that their sum
/// stays; does nothing at other times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Fraction dropped, in `0.0..1.0`. Raise it when training accuracy runs away from validation's.
    pub rate: f32,
}

impl Dropout {
    /// Dropout of this fraction.
    pub fn new(rate: f32) -> Self {
        Dropout { rate }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if (0.0..1.0).contains(&self.rate) {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "Dropout expected a rate of at least 0 and below 1, such as 0.2. Received: {}",
            self.rate
        )))
    }

    /// The factor of each of `c` features for each image of a batch: 0 or `1/(1−rate)`. Depends on
    /// nothing but the key.
    pub(crate) fn factors(&self, seed: u64, epoch: u64, images: &[usize], c: usize) -> Vec<f32> {
        let keep = 1.0 / (1.0 - self.rate);
        let mut factors = Vec::with_capacity(images.len() * c);
        for &image in images {
            let mut rng = stream_of(seed, epoch, image);
            factors.extend((0..c).map(|_| if rng.uniform() < self.rate { 0.0 } else { keep }));
        }
        factors
    }
}

/// Dropout of one batch: what its factors depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DropoutOfBatch<'a> {
    pub dropout: Dropout,
    pub seed: u64,
    pub epoch: u64,
    pub images: &'a [usize],
}

impl DropoutOfBatch<'_> {
    /// See [`Dropout::factors`].
    pub fn factors(&self, c: usize) -> Vec<f32> {
        self.dropout.factors(self.seed, self.epoch, self.images, c)
    }

    /// Where each image's random stream starts: number `j` of it decides about feature `j`.
    #[cfg(feature = "cuda")]
    pub fn keys(&self) -> impl Iterator<Item = u64> + '_ {
        self.images.iter().map(|&image| stream_of(self.seed, self.epoch, image).state())
    }
}

fn stream_of(seed: u64, epoch: u64, image: usize) -> Rng {
    Rng::new(&[seed, DROPOUT_STREAM, epoch, image as u64])
}

/// How a kernel starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initializer {
    /// Uniform within `±sqrt(6/(inputs + outputs))`, <https://proceedings.mlr.press/v9/glorot10a.html>.
    GlorotUniform,
    /// Zeros, so that all runs start alike.
    Zeros,
}

/// A fully connected layer: `xW + b`, no activation, so its outputs are logits.
///
/// Like Keras' it gets its weights when it first sees an input: Glorot uniform for the kernel, unless
/// told otherwise, and zeros for the bias.
///
/// ```
/// use ndarray::Array2;
/// use transfer::model::Dense;
/// let mut prediction_layer = Dense::new(1);
/// let logits = prediction_layer.call(&Array2::ones((32, 1280)))?;
/// assert_eq!(logits.shape(), [32, 1]);
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Dense {
    units: usize,
    seed: u64,
    initializer: Initializer,
    weights: Option<(Variable<Cpu>, Variable<Cpu>)>,
}

impl Dense {
    /// A layer of `units` outputs, seeded by [`crate::seed`].
    pub fn new(units: usize) -> Self {
        let seed = crate::environment::seed_or_default();
        Dense { units, seed, initializer: Initializer::GlorotUniform, weights: None }
    }

    /// Another seed for its first weights.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How its kernel starts.
    pub fn kernel_initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// Number of outputs.
    pub fn units(&self) -> usize {
        self.units
    }

    /// Makes the weights, unless they are there already, for inputs of `features` numbers.
    pub(crate) fn build(&mut self, features: usize) -> Result<(Variable<Cpu>, Variable<Cpu>)> {
        if self.units == 0 || features == 0 {
            return Err(Error::Invalid(format!(
                "A dense layer expected at least one input and one unit. Received: {features} inputs, {} units",
                self.units
            )));
        }
        if let Some((kernel, bias)) = &self.weights {
            if kernel.shape[0] != features {
                return Err(Error::Shape(format!(
                    "This dense layer was built for inputs of shape (n, {}). Received: (n, {features})",
                    kernel.shape[0]
                )));
            }
            return Ok((kernel.clone(), bias.clone()));
        }
        crate::seed()?;
        let dev = Cpu::default();
        let mut kernel = Variable::zeros(&dev, "dense/kernel".into(), &[features, self.units])?;
        let bias = Variable::zeros(&dev, "dense/bias".into(), &[self.units])?;
        let limit = match self.initializer {
            Initializer::GlorotUniform => (6.0 / (features + self.units) as f32).sqrt(),
            Initializer::Zeros => 0.0,
        };
        let mut rng = Rng::new(&[self.seed, DENSE_STREAM]);
        let values: Vec<f32> = (0..kernel.len()).map(|_| limit * (2.0 * rng.uniform() - 1.0)).collect();
        Cpu::write(&mut kernel.tensor, &values)?;
        self.weights = Some((kernel.clone(), bias.clone()));
        Ok((kernel, bias))
    }

    /// `(n, features)` to `(n, units)`.
    ///
    /// # Errors
    /// Where the layer was built for another number of features.
    pub fn call(&mut self, x: &Array2<f32>) -> Result<Array2<f32>> {
        let dev = Cpu::default();
        let (kernel, bias) = self.build(x.ncols())?;
        let values: Vec<f32> = x.iter().copied().collect();
        let x = dev.try_tensor_from_vec(values, x.dim()).map_err(device_error)?;
        matrix_to_array(&head::dense(x, &kernel.tensor, &bias.tensor, false)?)
    }
}

fn matrix_to_array(t: &Matrix<Cpu>) -> Result<Array2<f32>> {
    use dfdx::prelude::HasShape;
    let values = Cpu::read(t)?;
    Array2::from_shape_vec(*t.shape(), values).map_err(|e| Error::Shape(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_keeps_the_expected_sum_and_depends_on_its_key_only() {
        let dropout = Dropout::new(0.2);
        let a = dropout.factors(1, 0, &[3, 4], 10_000);
        let dropped = a.iter().filter(|&&f| f == 0.0).count() as f32 / a.len() as f32;
        assert!((dropped - 0.2).abs() < 0.02, "{dropped}");
        let mean = a.iter().sum::<f32>() / a.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert_eq!(a[10_000..], dropout.factors(1, 0, &[4], 10_000));
        assert_ne!(a, dropout.factors(1, 1, &[3, 4], 10_000));
    }

    #[test]
    fn a_dense_layer_refuses_inputs_of_another_width_than_its_first() {
        let mut dense = Dense::new(1).seed(3);
        dense.call(&Array2::ones((2, 8))).unwrap();
        let error = dense.call(&Array2::ones((2, 9))).unwrap_err().to_string();
        assert!(error.contains("(n, 8)") && error.contains("(n, 9)"), "{error}");
    }

    #[test]
    fn a_dense_layer_multiplies_and_adds() {
        let mut dense = Dense::new(2).seed(3);
        let x = Array2::from_shape_vec((1, 3), vec![1.0, -2.0, 0.5]).unwrap();
        let y = dense.call(&x).unwrap();
        let (kernel, _) = dense.weights.clone().unwrap();
        let k = Cpu::read(&kernel.tensor).unwrap();
        for j in 0..2 {
            let expected: f32 = (0..3).map(|i| x[[0, i]] * k[i * 2 + j]).sum();
            assert!((y[[0, j]] - expected).abs() < 1e-6);
        }
    }
}
