//! The whole model: augmentation, preprocessing, base and head, compiled with a loss and an optimizer.
//!
//! Training and prediction are methods of this type, but stand in [`crate::train`].

use std::collections::HashMap;
use std::sync::Arc;

use crate::augment::Sequential;
use crate::data::Fit;
use crate::loss::Loss;
use crate::model::feature_cache::{FeatureCache, FrozenPart, LIMIT_BYTES};
use crate::model::layers::{Dense, Dropout};
use crate::model::trained_on::TrainedOn;
use crate::model::trust::Trust;
use crate::network::on_device::{on_device, Any, Optimizers};
use crate::network::with_head::WithHead;
use crate::network::Backbone;
use crate::network::{Summary, SummaryRow};
use crate::optim::{KerasOptimizer, OptimizerConfig};
use crate::preprocess::Rescaling;
use crate::team::Team;
use crate::{Error, Result};

/// An image classifier: a network with a head of one dense layer.
pub struct Model {
    pub(crate) augmentation: Option<Sequential>,
    pub(crate) rescaling: Option<Rescaling>,
    pub(crate) net: WithHead,
    pub(crate) dropout: Dropout,
    pub(crate) seed: u64,
    pub(crate) compiled: Option<Compiled>,
    pub(crate) features: Arc<FeatureCache>,
    /// The most that `features` may hold.
    pub(crate) feature_cache_bytes: usize,
    /// Empty, or one for each label of the data set that it was fitted on.
    pub(crate) class_names: Vec<String>,
    pub(crate) test_time_flip: bool,
    /// Above which probability a photograph has a label, where it may have several; empty for 0.5 each.
    pub(crate) thresholds: Vec<f32>,
    /// How images are brought to the aspect ratio; `None` where it was never trained.
    pub(crate) image_fit: Option<Fit>,
    /// `None` where it was never fitted.
    pub(crate) trained_on: Option<TrainedOn>,
    /// `None` where no training with checkpoints was interrupted.
    pub(crate) left_off: Option<LeftOff>,
    pub(crate) trust: Trust,
    /// Who shares the work; `None` where this process does all of it.
    pub(crate) team: Option<Arc<dyn Team>>,
}

/// A training with checkpoints that was interrupted, by digests of the weights and of the optimizer's state. A model
/// that is still as the training left it goes on from its checkpoint, as one does that is as it was at the start.
pub(crate) struct LeftOff {
    pub start: String,
    pub end: String,
}

pub(crate) struct Compiled {
    pub optimizer: Any<Optimizers>,
    pub loss: Loss,
}

impl Compiled {
    /// The optimizer's settings.
    pub fn config(&self) -> OptimizerConfig {
        on_device!(&self.optimizer => optimizer, optimizer.config())
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f64 {
        on_device!(&self.optimizer => optimizer, optimizer.learning_rate())
    }

    /// See [`KerasOptimizer::set_learning_rate`].
    pub fn set_learning_rate(&mut self, rate: f64) {
        on_device!(&mut self.optimizer => optimizer, optimizer.set_learning_rate(rate));
    }

    /// See [`KerasOptimizer::set_factors`].
    pub fn set_factors(&mut self, factors: HashMap<String, f64>) {
        on_device!(&mut self.optimizer => optimizer, optimizer.set_factors(factors));
    }

    /// Gives back what a GPU keeps from step to step besides moments.
    pub fn forget_recordings(&mut self) {
        #[cfg(feature = "cuda")]
        if let Any::Cuda(optimizer) = &mut self.optimizer {
            optimizer.0.scratch.forget();
        }
    }

    /// See [`KerasOptimizer::reset_rates`].
    pub fn reset_rates(&mut self) {
        on_device!(&mut self.optimizer => optimizer, optimizer.reset_rates());
    }

    /// Steps taken.
    pub fn step(&self) -> u64 {
        on_device!(&self.optimizer => optimizer, optimizer.step())
    }

    /// See [`KerasOptimizer::moments`].
    pub fn moments(&self) -> Result<crate::weights::Weights> {
        on_device!(&self.optimizer => optimizer, optimizer.moments())
    }

    /// Whether no moment is NaN or infinite.
    pub fn is_finite(&self) -> Result<bool> {
        on_device!(&self.optimizer => optimizer, optimizer.is_finite())
    }
}

impl Model {
    pub(crate) fn new(
        augmentation: Option<Sequential>,
        rescaling: Option<Rescaling>,
        base: Backbone,
        dropout: Dropout,
        mut dense: Dense,
        seed: u64,
    ) -> Result<Self> {
        let (kernel, bias) = dense.build(base.output_shape().2)?;
        let net = WithHead::new(base, &kernel, &bias)?;
        Ok(Model {
            augmentation,
            rescaling,
            net,
            dropout,
            seed,
            compiled: None,
            features: Default::default(),
            feature_cache_bytes: LIMIT_BYTES,
            class_names: Vec::new(),
            test_time_flip: false,
            thresholds: Vec::new(),
            image_fit: None,
            trained_on: None,
            left_off: None,
            trust: Trust::default(),
            team: None,
        })
    }

    /// How many bytes the outputs of frozen layers may take that this model keeps: for all data sets together that
    /// are evaluated, such as the validation set after each epoch, and for the images that
    /// [`fine_tune`](Self::fine_tune) trains on. 1 GiB without a call. Where there is no room for a data set, those
    /// that were not used for the longest time make way; one that needs more than all of it is computed anew each
    /// time. With 0 nothing is kept, and memory does not grow with the number of images.
    ///
    /// `evaluate` and `predict` give the same results with any number of bytes. What is kept belongs to the images'
    /// bytes, labels and order: a photograph that was replaced is computed anew. To find that out its file is read
    /// each time, unless the data set holds decoded copies ([`Dataset::cache`](crate::data::Dataset::cache)), which
    /// are then the images. `fine_tune` without enough room mirrors images by chance instead of in turn.
    pub fn set_feature_cache_bytes(&mut self, bytes: usize) {
        self.feature_cache_bytes = bytes;
        self.features.set_limit(bytes);
    }

    /// Shares the work of `fit`, `fine_tune`, `evaluate` and `predict` with the other members of a team, each of which
    /// has such a model, made in the same way, and makes the same calls. All get the same results, with the bits of one
    /// process that has the same [`micro_batch`](crate::train::FitOptions::micro_batch).
    pub fn set_team(&mut self, team: Option<Arc<dyn Team>>) {
        self.team = team;
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
        let config = optimizer.into();
        let optimizer = match &self.net.base.base {
            Any::Cpu(_) => Any::Cpu(KerasOptimizer::new(config)?),
            #[cfg(feature = "cuda")]
            Any::Cuda(_) => Any::Cuda(crate::ops::cuda::OnCard(KerasOptimizer::new(config)?)),
        };
        self.compiled = Some(Compiled { optimizer, loss });
        Ok(())
    }

    /// What the features of the frozen part depend on, besides the images.
    pub(crate) fn frozen_key(&self) -> FrozenPart {
        FrozenPart { rescaling: self.rescaling, version: self.net.base.version() }
    }

    pub(crate) fn loss(&self) -> Result<Loss> {
        self.compiled.as_ref().map(|c| c.loss).ok_or_else(not_compiled)
    }

    /// Number of outputs.
    pub fn units(&self) -> usize {
        self.net.units()
    }

    /// How many photographs it was last trained on, and how many were left out; `None` where it never was, or an older
    /// version saved it.
    pub fn trained_on(&self) -> Option<TrainedOn> {
        self.trained_on
    }

    /// The base, to read.
    pub fn base_model(&self) -> &Backbone {
        &self.net.base
    }

    /// The base, to freeze and un-freeze its layers.
    pub fn base_model_mut(&mut self) -> &mut Backbone {
        &mut self.net.base
    }

    /// Number of variables that train now, the head's two included.
    pub fn trainable_variables(&self) -> usize {
        self.net.base.trainable_variables() + 2
    }

    /// All variables by name, with their shapes and values, in the order of the layers.
    ///
    /// # Errors
    /// [`Error::Device`] where they are on a GPU that has failed.
    pub fn weights(&self) -> Result<crate::weights::Weights> {
        self.net.weights()
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
        row(
            &self.net.base.keras_name(),
            "Functional",
            format!("(None, {oh}, {ow}, {features})"),
            all,
            trainable,
        );
        row("global_average_pooling2d", "GlobalAveragePooling2D", format!("(None, {features})"), 0, 0);
        if self.dropout.rate > 0.0 {
            row("dropout", "Dropout", format!("(None, {features})"), 0, 0);
        }
        let head = (features + 1) * self.units();
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
