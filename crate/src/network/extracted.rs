//! A base whose features another library computes.

#[cfg(feature = "onnx")]
use std::sync::Arc;

use dfdx::prelude::{HasShape, PutTape, SplitTape, Tape};

use super::base::Base;
use super::extractor::{missing, Extractor};
use super::on_device::on_device;
use super::Backbone;
#[cfg(feature = "onnx")]
use crate::architecture::Network;
use crate::architecture::UnitKind;
use crate::ops::backend::{Activations, Backend};
#[cfg(feature = "onnx")]
use crate::weights::{Weights, WeightsOrigin};
#[cfg(feature = "onnx")]
use crate::Device;
use crate::{Error, Result};

impl<D: Backend> Base<D> {
    /// Checks the lengths, and lets the other library compute.
    pub(super) fn extract(&self, images: &[f32], n: usize, y: &mut [f32]) -> Result<()> {
        let extractor = self.extractor.as_ref().ok_or_else(missing)?;
        let ((h, w, c), (.., width)) = (self.output_of(0), self.output_of(1));
        if images.len() != n * h * w * c || y.len() != n * width {
            return Err(Error::Shape(format!(
                "The network expected {n} images of {h}x{w}x{c} and room for {n} vectors of {width} features. Received: \
                 {} and {} numbers",
                images.len(),
                y.len()
            )));
        }
        extractor.extract(images, y)
    }

    /// [`extract`](Self::extract) of a tensor. Nothing goes on the tape, since nothing below trains.
    pub(super) fn extracted<T: Tape<f32, D>>(&self, x: Activations<D, T>) -> Result<Activations<D, T>> {
        let (x, tape) = x.split_tape();
        let ((n, ..), (.., width)) = (*x.shape(), self.output_of(1));
        let mut y = vec![0.0; n * width];
        self.extract(&D::read(&x)?, n, &mut y)?;
        Ok(D::tensor(&self.device, (n, 1, 1, width), &y)?.put_tape(tape))
    }
}

impl Backbone {
    /// A network that another library computes. `origin` is the file that describes it.
    #[cfg(feature = "onnx")]
    pub(super) fn of_extractor(
        network: &Network,
        device: &Device,
        (h, w): (usize, usize),
        origin: WeightsOrigin,
        extractor: Arc<dyn Extractor>,
    ) -> Result<Self> {
        let mut backbone = Self::new(network, device, (h, w, 3), &Weights::new())?;
        on_device!(&mut backbone.base => base, base.extractor = Some(extractor));
        backbone.set_weights_origin(Some(origin));
        backbone.set_trainable(false);
        Ok(backbone)
    }

    /// Whether another library computes the features (`OnnxFeatures`): nothing of the network can be fine-tuned then, and
    /// the features belong to no place of an image.
    pub fn is_features(&self) -> bool {
        self.architecture().units.iter().any(|unit| unit.kind == UnitKind::Features)
    }

    /// What computes the features, where another library does.
    pub(crate) fn extractor(&self) -> Option<&dyn Extractor> {
        on_device!(&self.base => base, base.extractor.as_deref())
    }
}
