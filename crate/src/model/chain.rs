//! How a model is put together: layer after layer, in the tutorial's order.

use crate::augment::Sequential;
use crate::model::layers::{Dense, Dropout, GlobalAveragePooling2D};
use crate::model::model::Model;
use crate::network::Backbone;
use crate::preprocess::Rescaling;
use crate::{Error, Result};

/// One link of a chain.
#[derive(Debug)]
pub enum Layer {
    /// Augmentation: active in training only.
    Augmentation(Sequential),
    /// Grey levels 0..255 to what the base was trained on.
    Rescaling(Rescaling),
    /// The base.
    Base(Box<Backbone>),
    /// Pooling.
    Pooling(GlobalAveragePooling2D),
    /// Dropout: active in training only.
    Dropout(Dropout),
    /// The classifier.
    Dense(Dense),
}

impl Layer {
    /// Its place in the order, and what it is called in messages.
    fn place(&self) -> (usize, &'static str) {
        match self {
            Layer::Augmentation(_) => (0, "augmentation (Sequential)"),
            Layer::Rescaling(_) => (1, "preprocessing (Rescaling)"),
            Layer::Base(_) => (2, "the base"),
            Layer::Pooling(_) => (3, "pooling (GlobalAveragePooling2D)"),
            Layer::Dropout(_) => (4, "Dropout"),
            Layer::Dense(_) => (5, "Dense"),
        }
    }
}

impl From<Sequential> for Layer {
    fn from(l: Sequential) -> Self {
        Layer::Augmentation(l)
    }
}
impl From<Rescaling> for Layer {
    fn from(l: Rescaling) -> Self {
        Layer::Rescaling(l)
    }
}
impl From<Backbone> for Layer {
    fn from(l: Backbone) -> Self {
        Layer::Base(Box::new(l))
    }
}
impl From<GlobalAveragePooling2D> for Layer {
    fn from(l: GlobalAveragePooling2D) -> Self {
        Layer::Pooling(l)
    }
}
impl From<Dropout> for Layer {
    fn from(l: Dropout) -> Self {
        Layer::Dropout(l)
    }
}
impl From<Dense> for Layer {
    fn from(l: Dense) -> Self {
        Layer::Dense(l)
    }
}

/// A model being put together, layer after layer, in the tutorial's order.
///
/// ```no_run
/// use transfer::prelude::*;
/// let base_model = MobileNetV2::imagenet((160, 160, 3))?;
/// let mut model: Model = Model::chain()
///     .then(Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)))
///     .then(Rescaling::new(1.0 / 127.5, -1.0))
///     .then(base_model)
///     .then(GlobalAveragePooling2D)
///     .then(Dropout::new(0.2))
///     .then(Dense::new(1))
///     .build()?;
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct Chain {
    layers: Vec<Layer>,
    seed: Option<u64>,
}

impl Model {
    /// Starts a chain of layers; see [`Chain`].
    pub fn chain() -> Chain {
        Chain::default()
    }
}

impl Chain {
    /// Adds a layer behind the others.
    pub fn then(mut self, layer: impl Into<Layer>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// Another seed for dropout than [`crate::seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The model.
    ///
    /// # Errors
    /// Where the base, pooling or the dense layer is missing, or layers stand in another order than
    /// augmentation, preprocessing, base, pooling, dropout, dense.
    pub fn build(self) -> Result<Model> {
        let mut last: Option<(usize, &str)> = None;
        for layer in &self.layers {
            let here = layer.place();
            if let Some(last) = last.filter(|l| l.0 >= here.0) {
                return Err(Error::Invalid(format!(
                    "A chain expected augmentation, preprocessing, base, pooling, dropout and dense in this \
                     order, each once. Received: {} behind {}",
                    here.1, last.1
                )));
            }
            last = Some(here);
        }
        let (mut augmentation, mut rescaling, mut base) = (None, None, None);
        let (mut pooling, mut dropout, mut dense) = (false, Dropout::new(0.0), None);
        for layer in self.layers {
            match layer {
                Layer::Augmentation(l) => augmentation = Some(l),
                Layer::Rescaling(l) => rescaling = Some(l),
                Layer::Base(l) => base = Some(*l),
                Layer::Pooling(_) => pooling = true,
                Layer::Dropout(l) => dropout = l,
                Layer::Dense(l) => dense = Some(l),
            }
        }
        let missing = |what: &str, how: &str| {
            Error::Invalid(format!("A chain expected {what}; none was given. Add it with `.then({how})`."))
        };
        let base = base.ok_or_else(|| missing("a base", "base_model"))?;
        if !pooling {
            return Err(missing("pooling behind the base", "GlobalAveragePooling2D"));
        }
        let dense = dense.ok_or_else(|| missing("a dense layer at the end", "Dense::new(1)"))?;
        dropout.check()?;
        let seed = match self.seed {
            Some(seed) => seed,
            None => crate::seed()?,
        };
        Model::new(augmentation, rescaling, base, dropout, dense, seed)
    }
}
