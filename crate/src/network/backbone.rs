//! A network without its top as a notebook holds it.
//!
//! ```no_run
//! use transfer::prelude::*;
//! let mut base_model = MobileNetV2::imagenet((160, 160, 3))?;
//! base_model.set_trainable(false);
//! println!("{}", base_model.summary());
//! # Ok::<(), transfer::Error>(())
//! ```

use dfdx::prelude::Cache;
use ndarray::Array4;

use super::frozen::NetworkBackend;
use crate::architecture::{Architecture, Network};
use crate::device::Place;
use crate::network::base::Base;
use crate::network::on_device::{on_device, Any, Bases};
use crate::network::{Summary, SummaryRow};
use crate::preprocess::Rescaling;
use crate::weights::{Weights, WeightsOrigin};
use crate::{Device, Error, Result};

/// A layer by number or by Keras' name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerRef {
    /// Its number, from 0.
    Index(usize),
    /// Its name, as in `block_11_expand_relu`.
    Name(String),
}

impl From<usize> for LayerRef {
    fn from(index: usize) -> Self {
        LayerRef::Index(index)
    }
}

impl From<i32> for LayerRef {
    fn from(index: i32) -> Self {
        // A negative number names no layer; neither does the largest.
        LayerRef::Index(usize::try_from(index).unwrap_or(usize::MAX))
    }
}

impl From<&str> for LayerRef {
    fn from(name: &str) -> Self {
        LayerRef::Name(name.to_owned())
    }
}

impl From<String> for LayerRef {
    fn from(name: String) -> Self {
        LayerRef::Name(name)
    }
}

/// A network without its top: images `(n, h, w, 3)`, scaled as [`rescaling`](Self::rescaling) says, to features.
/// [`MobileNetV2`](super::MobileNetV2) and [`Base`](crate::bases::Base) make one.
///
/// BatchNormalization always runs in inference mode, with the moving statistics of the weights.
pub struct Backbone {
    pub(crate) base: Any<Bases>,
    device: Device,
    weights_origin: Option<WeightsOrigin>,
}

impl Backbone {
    /// `network` for images of `input_shape` (height, width, 3), with `weights`. All layers are trainable at first, as
    /// in Keras.
    ///
    /// # Errors
    /// Where the shape is unusable, the weights are another network's, or the device has too little memory.
    pub fn new(
        network: &Network,
        device: &Device,
        input_shape: (usize, usize, usize),
        weights: &Weights,
    ) -> Result<Self> {
        let (h, w, c) = input_shape;
        if c != 3 {
            return Err(Error::Invalid(format!(
                "{} expected input_shape (height, width, 3), such as (160, 160, 3). Received: {input_shape:?}",
                network.family()
            )));
        }
        let base = match device.place() {
            Place::Cpu(cpu) => Any::Cpu(Base::new(cpu, network, (h, w), weights)?),
            #[cfg(feature = "cuda")]
            Place::Cuda(card) => {
                Any::Cuda(crate::ops::cuda::OnCard(Base::new(card.cuda(), network, (h, w), weights)?))
            }
        };
        Ok(Backbone { base, device: device.clone(), weights_origin: weights.origin().cloned() })
    }

    /// The table of the network.
    pub fn network(&self) -> &Network {
        &self.architecture().network
    }

    /// What images are rescaled by before this network: the layer that stands before it in a chain.
    pub fn rescaling(&self) -> Rescaling {
        let (scale, offset) = self.network().scaling();
        Rescaling::per_channel(scale, offset)
    }

    /// The first layer of the last three blocks, from which [`Model::fine_tune`](crate::model::Model::fine_tune) trains
    /// without another choice: `block_14_expand` of MobileNetV2.
    pub(crate) fn last_three_blocks(&self) -> usize {
        let units = &self.architecture().units;
        // Behind them stands one more convolution.
        units.get(units.len().saturating_sub(4)).map_or(0, |unit| unit.layers.start)
    }

    /// The name that Keras gives this model, such as `mobilenetv2_1.00_160`.
    pub(crate) fn keras_name(&self) -> String {
        let ((h, w, _), name) = (self.input_shape(), &self.network().keras_name);
        if h == w {
            format!("{name}_{h}")
        } else {
            format!("{name}_{h}x{w}")
        }
    }

    /// Which file the weights were read from, if they come from one; of a saved model, which one it was trained
    /// from.
    pub fn weights_origin(&self) -> Option<&WeightsOrigin> {
        self.weights_origin.as_ref()
    }

    /// Says where the file of the weights was found.
    pub(super) fn set_weights_found(&mut self, found: String) {
        if let Some(origin) = &mut self.weights_origin {
            origin.found = found;
        }
    }

    pub(crate) fn set_weights_origin(&mut self, origin: Option<WeightsOrigin>) {
        self.weights_origin = origin;
    }

    /// The device that it computes on.
    pub fn device(&self) -> Device {
        self.device.clone()
    }

    /// Gives memory back that was kept for batches of sizes which do not come again. A GPU does it when it needs to.
    pub(crate) fn forget_memory(&self) {
        match &self.base {
            Any::Cpu(base) => {
                base.device.empty_cache();
                crate::ops::lent::forget_memory();
            }
            #[cfg(feature = "cuda")]
            Any::Cuda(_) => (),
        }
    }

    /// The layers, which are the same on any device.
    pub(crate) fn architecture(&self) -> &Architecture {
        on_device!(&self.base => base, &base.architecture)
    }

    /// Keras' `trainable` of each layer.
    pub(crate) fn trainable_layers(&self) -> &[bool] {
        on_device!(&self.base => base, base.trainable())
    }

    /// See [`Base::version`].
    pub(crate) fn version(&self) -> u64 {
        on_device!(&self.base => base, base.version())
    }

    /// See [`Base::first_trainable_unit`].
    pub(crate) fn first_trainable_unit(&self) -> usize {
        on_device!(&self.base => base, base.first_trainable_unit())
    }

    /// See [`Base::output_of`].
    pub(crate) fn output_of(&self, to: usize) -> (usize, usize, usize) {
        on_device!(&self.base => base, base.output_of(to))
    }

    /// See [`Base::set_variable`].
    pub(crate) fn set_variable(&mut self, name: &str, values: &[f32]) -> Result<()> {
        on_device!(&mut self.base => base, base.set_variable(name, values))
    }

    /// See [`Base::frozen_forward`].
    pub(crate) fn frozen_forward(
        &self,
        images: &[f32],
        n: usize,
        to: usize,
        pool: bool,
        y: &mut [f32],
    ) -> Result<()> {
        on_device!(&self.base => base, NetworkBackend::frozen_forward(base, images, n, to, pool, y))
    }

    fn set_layers_trainable(&mut self, range: std::ops::Range<usize>, trainable: bool) {
        on_device!(&mut self.base => base, base.set_trainable(range, trainable));
    }

    /// Number of layers, the image's own included: 154 for MobileNetV2.
    pub fn len(&self) -> usize {
        self.architecture().layers.len()
    }

    /// Never: there are always layers.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Height, width and channels of the images.
    pub fn input_shape(&self) -> (usize, usize, usize) {
        self.architecture().layers[0].output
    }

    /// Height, width and channels of the features.
    pub fn output_shape(&self) -> (usize, usize, usize) {
        self.output_of(self.architecture().units.len())
    }

    /// Names of the layers, in order.
    pub fn layer_names(&self) -> Vec<String> {
        self.architecture().layers.iter().map(|l| l.name.clone()).collect()
    }

    /// Number of a layer.
    ///
    /// # Errors
    /// Where there is no such layer.
    pub fn layer_index(&self, layer: impl Into<LayerRef>) -> Result<usize> {
        let n = self.len();
        match layer.into() {
            LayerRef::Index(i) if i < n => Ok(i),
            LayerRef::Index(i) => {
                let shown = if i == usize::MAX { "a negative number".to_owned() } else { i.to_string() };
                Err(Error::Invalid(format!(
                    "{} expected a layer number from 0 to {}. Received: {shown}",
                    self.network().family(),
                    n - 1
                )))
            }
            LayerRef::Name(name) => self.architecture().layer_index(&name).ok_or_else(|| {
                let layers = &self.architecture().layers;
                Error::Invalid(format!(
                    "{} expected the name of one of its {n} layers, such as {} (layer_names() lists them). \
                     Received: {name}",
                    self.network().family(),
                    layers[n * 2 / 3].name
                ))
            }),
        }
    }

    /// Keras' `base_model.trainable = …`: all layers at once.
    pub fn set_trainable(&mut self, trainable: bool) {
        self.set_layers_trainable(0..self.len(), trainable);
    }

    /// Freezes all layers before `layer` and lets that one and all above train.
    ///
    /// # Errors
    /// Where there is no such layer; nothing is changed then.
    pub fn fine_tune_at(&mut self, layer: impl Into<LayerRef>) -> Result<()> {
        let at = self.layer_index(layer)?;
        self.set_layers_trainable(0..at, false);
        self.set_layers_trainable(at..self.len(), true);
        Ok(())
    }

    /// Sets `trainable` of one layer.
    ///
    /// # Errors
    /// Where there is no such layer.
    pub fn set_layer_trainable(&mut self, layer: impl Into<LayerRef>, trainable: bool) -> Result<()> {
        let at = self.layer_index(layer)?;
        self.set_layers_trainable(at..at + 1, trainable);
        Ok(())
    }

    /// Number of variables that train now.
    pub fn trainable_variables(&self) -> usize {
        on_device!(&self.base => base, base.trains()).iter().filter(|&&t| t).count()
    }

    /// Features of a batch of preprocessed images: `(n, h, w, 3)` in [-1, 1] to `(n, h', w', c)` as
    /// [`output_shape`](Self::output_shape) says.
    ///
    /// # Errors
    /// Where the images have another size.
    pub fn call(&self, images: &Array4<f32>) -> Result<Array4<f32>> {
        let (n, h, w, c) = images.dim();
        if (h, w, c) != self.input_shape() {
            let (eh, ew, ec) = self.input_shape();
            return Err(Error::Shape(format!(
                "{} expected images of shape (n, {eh}, {ew}, {ec}). Received: ({n}, {h}, {w}, {c})",
                self.network().family()
            )));
        }
        let (oh, ow, oc) = self.output_shape();
        let mut y = Array4::zeros((n, oh, ow, oc));
        let images = images.as_standard_layout();
        let units = self.architecture().units.len();
        if let (Some(x), Some(y)) = (images.as_slice(), y.as_slice_mut()) {
            self.frozen_forward(x, n, units, false, y)?;
        }
        Ok(y)
    }

    /// All layers with their output shapes and parameters, as Keras' `summary()`.
    pub fn summary(&self) -> Summary {
        let layers = self.architecture().layers.iter().zip(self.trainable_layers());
        let rows = layers.map(|(l, &on)| SummaryRow {
            name: l.name.clone(),
            class: l.class.to_owned(),
            output_shape: format!("(None, {}, {}, {})", l.output.0, l.output.1, l.output.2),
            parameters: l.parameters(),
            trainable: l
                .variables
                .iter()
                .filter(|v| on && v.trainable)
                .map(|v| v.shape.iter().product::<usize>())
                .sum(),
            inputs: l.inputs.clone(),
        });
        Summary {
            name: self.keras_name(),
            rows: rows.collect(),
            trainable_variables: self.trainable_variables(),
        }
    }
}

impl std::fmt::Debug for Backbone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} layers)", self.keras_name(), self.len())
    }
}
