//! One step of gradient descent on one batch, and the methods of `Model` that take one batch.

use std::borrow::Cow;

use ndarray::Array4;

use super::recipe::Recipe;
use super::run::{RunState, Running};
use super::step::{self, Input, Step, StepBackend, TrainingBatch};
use crate::loss::targets::Targets;
use crate::model::{not_compiled, DropoutOfBatch, Model};
use crate::network::on_device::on_device;
use crate::network::with_head::{Parts, WithHead};
use crate::weights::Weights;
use crate::{threads, Error, Result};

impl Model {
    /// One step of gradient descent on batch `number` of the epoch.
    pub(in crate::train) fn step(
        &mut self,
        recipe: &Recipe,
        input: Input<'_>,
        labels: &[u32],
        indices: &[usize],
        number: usize,
        state: &mut RunState,
    ) -> Result<()> {
        let n = labels.len();
        if n == 0 {
            return Ok(());
        }
        let (loss, units, epoch) = (self.loss()?, self.units(), state.epoch);
        let compiled = self.compiled.as_mut().ok_or_else(not_compiled)?;
        compiled.set_learning_rate(recipe.learning_rate(epoch, number));
        let place = (epoch, number);
        let (values, targets) =
            recipe.mixed(input.values().unwrap_or(&[]), labels, indices, place, (loss, units));
        let input = input.with(&values);
        // In the pool, where one kernel follows the other without a thread waking up for each. Nobody
        // else can hold this model's locks meanwhile, since it is borrowed mutably.
        let (done, epoch) = (state.running.steps, epoch as u64);
        let step = threads::pool().install(|| self.descend(input, &targets, indices, epoch, done))?;
        let correct = loss.correct(&step.logits, recipe.actual(&targets.labels), units);
        let Running { loss, correct: all_correct, images, steps, batches, .. } = &mut state.running;
        *loss += step.loss * n as f64;
        *all_correct += correct;
        *images += n;
        *steps += 1;
        *batches = number + 1;
        state.steps += 1;
        Ok(())
    }

    /// One step; `number` counts those of the epoch from 0.
    fn descend(
        &mut self,
        input: Input<'_>,
        targets: &Targets,
        indices: &[usize],
        epoch: u64,
        number: usize,
    ) -> Result<Step> {
        let batch = self.batch(input, targets, indices, epoch);
        let loss = self.loss()?;
        let compiled = self.compiled.as_mut().ok_or_else(not_compiled)?;
        let rate = compiled.learning_rate() as f32;
        let check = |loss: f64| check_loss(loss, rate, epoch, number);
        let WithHead { base, head } = &mut self.net;
        on_device!(&mut base.base => base, head => head, &mut compiled.optimizer => optimizer;
            StepBackend::descend(Parts { base, head }, optimizer, batch, loss, &check))
    }

    /// Refuses a loss that is not finite, of step `number` of an epoch, from 0.
    pub(super) fn check_loss(&self, loss: f64, epoch: u64, number: usize) -> Result<()> {
        let rate = self.compiled.as_ref().ok_or_else(not_compiled)?.learning_rate() as f32;
        check_loss(loss, rate, epoch, number)
    }

    /// A batch in training mode.
    pub(super) fn batch<'a>(
        &self,
        input: Input<'a>,
        targets: &'a Targets,
        images: &'a [usize],
        epoch: u64,
    ) -> TrainingBatch<'a> {
        let (dropout, seed) = (self.dropout, self.seed);
        let dropout = (dropout.rate > 0.0).then_some(DropoutOfBatch { dropout, seed, epoch, images });
        TrainingBatch { input, targets, dropout }
    }

    /// One step of gradient descent on one batch, as Keras' method of this name: images `(n, h, w, 3)`
    /// go through preprocessing and dropout, but not through augmentation. Returns the loss before
    /// the step.
    ///
    /// # Errors
    /// Where the model is not compiled, images or labels do not fit, or the loss is not finite.
    pub fn train_on_batch(&mut self, images: &Array4<f32>, labels: &[u32]) -> Result<f64> {
        let pixels = self.preprocessed(images, labels)?;
        let step = self.compiled.as_ref().ok_or_else(not_compiled)?.step();
        let (targets, indices) = (self.targets(labels)?, (0..labels.len()).collect::<Vec<usize>>());
        Ok(threads::pool()
            .install(|| self.descend(Input::Images(pixels[..].into()), &targets, &indices, step, 0))?
            .loss)
    }

    /// [`train_on_batch`](Self::train_on_batch) with preprocessed images that are on the GPU: for measurements.
    ///
    /// # Errors
    /// As there; and on the CPU.
    #[cfg(feature = "cuda")]
    #[doc(hidden)]
    pub fn train_on_kept_batch(
        &mut self,
        images: &crate::ops::cuda::KeptBatch,
        labels: &[u32],
    ) -> Result<f64> {
        let step = self.compiled.as_ref().ok_or_else(not_compiled)?.step();
        let (targets, indices) = (self.targets(labels)?, (0..labels.len()).collect::<Vec<usize>>());
        Ok(threads::pool().install(|| self.descend(Input::Kept(images), &targets, &indices, step, 0))?.loss)
    }

    /// What the recorded steps of this model start on the GPU, forward and backward: for measurements and tests.
    ///
    /// # Errors
    /// Where nothing is recorded, and why.
    #[cfg(feature = "cuda")]
    #[doc(hidden)]
    pub fn recorded_steps(&self) -> Result<Vec<[crate::ops::cuda::recording::Counts; 2]>> {
        match self.compiled.as_ref().map(|compiled| &compiled.optimizer) {
            Some(crate::network::on_device::Any::Cuda(optimizer)) => optimizer.0.scratch.counts(),
            _ => Ok(vec![]),
        }
    }

    /// The gradient of the loss of one batch by each variable that trains, by name; changes nothing.
    /// Dropout is not applied.
    ///
    /// # Errors
    /// As [`train_on_batch`](Self::train_on_batch).
    pub fn gradients(&mut self, images: &Array4<f32>, labels: &[u32]) -> Result<Weights> {
        let pixels = self.preprocessed(images, labels)?;
        let (targets, indices) = (self.targets(labels)?, (0..labels.len()).collect::<Vec<usize>>());
        let batch = TrainingBatch {
            dropout: None,
            ..self.batch(Input::Images(pixels[..].into()), &targets, &indices, 0)
        };
        let loss = self.loss()?;
        let WithHead { base, head } = &mut self.net;
        on_device!(&mut base.base => base, head => head; step::named_gradients(base, head, batch, loss))
    }

    /// What labels alone ask for.
    fn targets(&self, labels: &[u32]) -> Result<Targets> {
        let (loss, units) = (self.loss()?, self.units());
        loss.check_labels(units, labels)?;
        Ok(Targets::of_labels(labels, loss, units))
    }

    /// The pixels of a batch as the base takes them.
    fn preprocessed<'a>(&self, images: &'a Array4<f32>, labels: &[u32]) -> Result<Cow<'a, [f32]>> {
        let (n, h, w, c) = images.dim();
        let (eh, ew, ec) = self.net.base.input_shape();
        if (h, w, c) != (eh, ew, ec) || n == 0 || n != labels.len() {
            return Err(Error::Shape(format!(
                "A batch expected images of shape (n, {eh}, {ew}, {ec}) and n labels, n at least 1. \
                 Received: images of shape ({n}, {h}, {w}, {c}), {} labels",
                labels.len()
            )));
        }
        let mut pixels = images.as_slice().map_or_else(|| images.iter().copied().collect(), Cow::from);
        if let Some(rescaling) = &self.rescaling {
            rescaling.apply_slice(pixels.to_mut());
        }
        Ok(pixels)
    }
}

fn check_loss(loss: f64, rate: f32, epoch: u64, number: usize) -> Result<()> {
    match loss.is_finite() {
        true => Ok(()),
        false => Err(Error::Training(format!(
            "The loss became {loss} in epoch {}, step {}, with learning rate {rate}. The weights are as they were \
             before that step; compile with a smaller learning rate, and look at the images of that batch.",
            epoch + 1,
            number + 1
        ))),
    }
}
