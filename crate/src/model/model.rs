//! The whole model: augmentation, preprocessing, base and head, compiled with a loss and an optimizer.
//!
//! Training and prediction are methods of this type, but stand in [`crate::train`].

use std::sync::Arc;

use dfdx::prelude::Cpu;

use super::chain::Chain;
use super::layers::{Dense, Dropout};
use super::mobilenet_v2::{keras_name, MobileNetV2};
use super::summary::{Summary, SummaryRow};
use super::variable::{Variable, Variables};
use crate::augment::Sequential;
use crate::optim::{KerasOptimizer, OptimizerConfig};
use crate::preprocess::Rescaling;
use crate::train::features::FeatureCache;
use crate::train::loss::Loss;
use crate::{Error, Result};

/// An image classifier: MobileNetV2 with a head of one dense layer.
pub struct Model {
    pub(crate) augmentation: Option<Sequential>,
    pub(crate) rescaling: Option<Rescaling>,
    pub(crate) net: Network,
    pub(crate) dropout: Dropout,
    pub(crate) seed: u64,
    pub(crate) compiled: Option<Compiled>,
    pub(crate) features: Arc<FeatureCache>,
    /// Empty, or one for each label of the data set that it was fitted on.
    pub(crate) class_names: Vec<String>,
}

/// What an optimizer changes: the base and the head's two variables.
pub(crate) struct Network {
    pub base: MobileNetV2,
    pub kernel: Variable<Cpu>,
    pub bias: Variable<Cpu>,
}

impl Variables<Cpu> for Network {
    fn trainable_variables_mut(&mut self) -> Vec<&mut Variable<Cpu>> {
        let mut all = self.base.base.trainable_variables_mut();
        all.push(&mut self.kernel);
        all.push(&mut self.bias);
        all
    }
}

pub(crate) struct Compiled {
    pub optimizer: KerasOptimizer<Cpu>,
    pub loss: Loss,
}

impl Model {
    /// Starts a chain of layers; see [`Chain`].
    pub fn chain() -> Chain {
        Chain::default()
    }

    pub(crate) fn new(
        augmentation: Option<Sequential>,
        rescaling: Option<Rescaling>,
        base: MobileNetV2,
        dropout: Dropout,
        mut dense: Dense,
        seed: u64,
    ) -> Result<Self> {
        let (kernel, bias) = dense.build(&base.base.device, base.output_shape().2)?;
        let net = Network { base, kernel, bias };
        let features = Default::default();
        let class_names = Vec::new();
        Ok(Model { augmentation, rescaling, net, dropout, seed, compiled: None, features, class_names })
    }

    /// Replaces the augmentation that images pass in training; `None` takes it away.
    pub fn set_augmentation(&mut self, layers: Option<Sequential>) {
        self.augmentation = layers;
    }

    /// Chooses optimizer and loss, and forgets the state of an earlier optimizer. As in Keras, call it
    /// again after changing what is trainable.
    ///
    /// # Errors
    /// Where the loss does not fit the number of outputs, or a setting is out of range.
    pub fn compile(&mut self, optimizer: impl Into<OptimizerConfig>, loss: Loss) -> Result<()> {
        loss.check(self.units())?;
        self.compiled = Some(Compiled { optimizer: KerasOptimizer::new(optimizer.into())?, loss });
        Ok(())
    }

    pub(crate) fn loss(&self) -> Result<Loss> {
        self.compiled.as_ref().map(|c| c.loss).ok_or_else(not_compiled)
    }

    /// Number of outputs.
    pub fn units(&self) -> usize {
        self.net.bias.len()
    }

    /// The base, to read.
    pub fn base_model(&self) -> &MobileNetV2 {
        &self.net.base
    }

    /// The base, to freeze and un-freeze its layers.
    pub fn base_model_mut(&mut self) -> &mut MobileNetV2 {
        &mut self.net.base
    }

    /// Number of variables that train now, the head's two included.
    pub fn trainable_variables(&self) -> usize {
        self.net.base.trainable_variables() + 2
    }

    /// All variables by name, with their shapes and values, in the order of the layers.
    pub fn weights(&self) -> crate::weights::Weights {
        let mut weights = crate::weights::Weights::new();
        let head = [&self.net.kernel, &self.net.bias];
        for v in self.net.base.base.variables().iter().chain(head) {
            // A variable's shape and length agree by construction.
            if let Ok(t) =
                crate::weights::Tensor::new(v.shape.clone(), crate::ops::view::slice(&v.tensor).to_vec())
            {
                weights.insert(v.name.clone(), t);
            }
        }
        weights
    }

    /// The layers of the chain with their shapes and parameters, as Keras' `summary()`.
    pub fn summary(&self) -> Summary {
        let (h, w, c) = self.net.base.input_shape();
        let (oh, ow, features) = self.net.base.output_shape();
        let image = format!("(None, {h}, {w}, {c})");
        let base = self.net.base.summary();
        let mut rows = Vec::new();
        let mut row = |name: &str, class: &str, output_shape: String, parameters, trainable| {
            let (name, class) = (name.to_owned(), class.to_owned());
            rows.push(SummaryRow { name, class, output_shape, parameters, trainable, inputs: Vec::new() });
        };
        row("input_2", "InputLayer", image.clone(), 0, 0);
        if self.augmentation.is_some() {
            row("sequential", "Sequential", image.clone(), 0, 0);
        }
        if self.rescaling.is_some() {
            row("rescaling", "Rescaling", image, 0, 0);
        }
        let (all, trainable) = (base.parameters(), base.trainable_parameters());
        row(&keras_name(h, w), "Functional", format!("(None, {oh}, {ow}, {features})"), all, trainable);
        row("global_average_pooling2d", "GlobalAveragePooling2D", format!("(None, {features})"), 0, 0);
        if self.dropout.rate > 0.0 {
            row("dropout", "Dropout", format!("(None, {features})"), 0, 0);
        }
        let head = self.net.kernel.len() + self.net.bias.len();
        row("dense", "Dense", format!("(None, {})", self.units()), head, head);
        Summary { name: "model".to_owned(), rows, trainable_variables: self.trainable_variables() }
    }
}

pub(crate) fn not_compiled() -> Error {
    Error::Invalid(
        "This model is not compiled yet. Call `model.compile(Adam::new(0.0001), Loss::BinaryCrossentropy)?` first."
            .to_owned(),
    )
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model of {:?} with {} output(s)", self.net.base, self.units())
    }
}
