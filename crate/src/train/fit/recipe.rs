//! How the steps of one `fit` are taken: learning rate by step and layer, targets, mixing. Made from
//! [`FitOptions`] once, when all that may be wrong with them is found; the loop then only asks.

use std::borrow::Cow;

use crate::augment::mixup::{mixed, MixUp};
use crate::data::Dataset;
use crate::loss::actual::Actual;
use crate::loss::targets::{TargetRules, Targets};
use crate::loss::Loss;
use crate::model::{not_compiled, Model};
use crate::optim::Schedule;
use crate::train::callbacks::Callbacks;
use crate::train::fit::options::FitOptions;
use crate::train::history::History;
use crate::{Error, Result};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    schedule: Schedule,
    initial_epoch: usize,
    /// Batches of an epoch.
    batches: u64,
    epochs: u64,
    /// What a schedule's factors are on: the rate that the model was compiled with, unless a callback has
    /// lowered it.
    rate: f64,
    targets: TargetRules,
    mixup: Option<MixUp>,
    micro_batch: Option<usize>,
    facts: Vec<(&'static str, String)>,
}

impl Recipe {
    /// Checks the options, and sets the optimizer's factors.
    pub fn new(options: &FitOptions, model: &mut Model, dataset: &Dataset) -> Result<Self> {
        let classes = model.loss()?.classes(model.units());
        let (units, seed) = (model.net.base.first_trainable_unit(), model.seed);
        let team_size = model.team.as_ref().map_or(1, |team| team.size());
        let compiled = model.compiled.as_mut().ok_or_else(not_compiled)?;
        let (batches, epochs) = (dataset.cardinality() as u64, options.epochs - options.initial_epoch);
        let mut facts = Vec::new();
        options.schedule.check()?;
        if !options.schedule.is_constant() {
            facts.push(("schedule", format!("{:?} over {epochs} epochs", options.schedule)));
        }
        let smoothing = options.label_smoothing;
        if !(0.0..1.0).contains(&smoothing) {
            return Err(Error::Invalid(format!(
                "label_smoothing expected at least 0 and less than 1, such as 0.1. Received: {smoothing}"
            )));
        }
        if smoothing > 0.0 {
            facts.push(("label smoothing", smoothing.to_string()));
        }
        let class_weights = match &options.class_weights {
            None => None,
            Some(weights) => {
                let weights = weights.of_dataset(dataset, classes)?;
                facts.push(("class weights", format!("{weights:?}")));
                Some(weights.iter().map(|&w| w as f32).collect())
            }
        };
        let mixup = options.mixup.map(|alpha| MixUp::new(alpha).seed(seed));
        if let Some(mixup) = &mixup {
            mixup.check()?;
            if options.views.is_some() {
                return Err(Error::Invalid(
                    "fit expected either mixup, which mixes images anew in each step, or cache_augmented_views, \
                     which keeps what the frozen layers make of each image by itself. Received: both. Leave one \
                     of them out."
                        .into(),
                ));
            }
            facts.push(("mixup", mixup.alpha().to_string()));
        }
        let micro_batch = micro_batch(options, team_size, dataset.batch_size())?;
        if let Some(images) = micro_batch {
            facts.push(("micro-batch", images.to_string()));
        }
        let factors = match &options.layer_rates {
            None => Default::default(),
            Some(rates) => {
                rates.check()?;
                facts.push(("rates of layers", format!("{rates:?}")));
                rates.factors(&model.net.base.architecture().variables_by_unit(), units)
            }
        };
        facts.extend(options.callbacks.facts());
        compiled.set_factors(factors);
        Ok(Recipe {
            schedule: options.schedule,
            initial_epoch: options.initial_epoch,
            batches,
            epochs: epochs as u64,
            rate: f64::from(compiled.config().learning_rate()),
            targets: TargetRules { smoothing, class_weights, sets: dataset.label_sets().cloned() },
            mixup,
            micro_batch,
            facts,
        })
    }

    /// That of the coming epoch, whose learning rate callbacks may have lowered.
    pub fn of_epoch(&self, callbacks: &Callbacks, history: &History) -> Recipe {
        self.with_rate(callbacks.learning_rate(self.rate, history))
    }

    /// The same with another learning rate.
    pub fn with_rate(&self, rate: f64) -> Recipe {
        Recipe { rate, ..self.clone() }
    }

    /// The labels of a batch, with what they mean.
    pub fn actual<'a>(&'a self, labels: &'a [u32]) -> Actual<'a> {
        Actual { labels, sets: self.targets.sets.as_ref() }
    }

    /// What of it makes a run another run; empty for an ordinary one.
    pub fn facts(&self) -> &[(&'static str, String)] {
        &self.facts
    }

    /// The learning rate in batch `number` of epoch `epoch`.
    pub fn learning_rate(&self, epoch: usize, number: usize) -> f64 {
        // By batches and not by steps taken, which are fewer where a file cannot be read.
        let before = epoch.saturating_sub(self.initial_epoch) as u64 * self.batches;
        self.rate * self.schedule.factor(before + number as u64, self.epochs * self.batches)
    }

    /// Images of a micro-batch, where batches are cut into some.
    pub fn micro_batch(&self) -> Option<usize> {
        self.micro_batch
    }

    /// Whether images are mixed, which needs all of a batch in host memory.
    pub fn mixes(&self) -> bool {
        self.mixup.is_some()
    }

    /// The images and targets of a batch, or of a micro-batch; it has a number of its own in the epoch.
    pub fn mixed<'a>(
        &self,
        images: &'a [f32],
        labels: &[u32],
        indices: &[usize],
        (epoch, number): (usize, usize),
        (loss, units): (Loss, usize),
    ) -> (Cow<'a, [f32]>, Targets) {
        match &self.mixup {
            None => (Cow::Borrowed(images), self.targets.targets(labels, None, loss, units)),
            Some(mixup) => {
                let mix = mixup.mix(epoch as u64, number, indices);
                (Cow::Owned(mixed(images, &mix)), self.targets.targets(labels, Some(&mix), loss, units))
            }
        }
    }
}

/// Images of a micro-batch; `None` where batches stay whole.
fn micro_batch(options: &FitOptions, team_size: usize, batch: usize) -> Result<Option<usize>> {
    match options.micro_batch {
        Some(0) => Err(Error::Invalid(
            "micro_batch expected at least 1 image. Received: 0. Leave the option out for whole batches."
                .into(),
        )),
        Some(images) => Ok(Some(images)),
        None if team_size == 1 => Ok(None),
        None => Ok(Some(batch.div_ceil(4))),
    }
}
