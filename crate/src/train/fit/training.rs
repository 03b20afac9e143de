//! The training loop.

use std::sync::Arc;
use std::time::Instant;

use ndarray::Array4;

use crate::data::Dataset;
use crate::input::is_photograph;
use crate::loss::targets::Targets;
use crate::model::TrainedOn;
use crate::model::{not_compiled, Model};
use crate::network::on_device::on_device;
use crate::network::with_head::{Parts, WithHead};
use crate::progress::{observe, say, stop_requested};
use crate::train::callbacks::Progress;
use crate::train::checkpoint::Keeper;
use crate::train::fit::features::not_contiguous;
use crate::train::fit::on_card;
use crate::train::fit::options::FitOptions;
use crate::train::fit::pipeline;
use crate::train::fit::recipe::Recipe;
use crate::train::fit::run::{RunState, Running};
use crate::train::fit::step::{self, Batch, Input};
use crate::train::fit::views::{OneView, Views};
use crate::train::history::History;
use crate::train::report;
use crate::weights::Weights;
use crate::{threads, Error, Result};

/// The error of a training that somebody asked to end.
fn interrupted(keeper: &Option<Keeper>) -> Error {
    Error::Interrupted(match keeper {
        Some(keeper) => format!(
            "The training was interrupted. The same call goes on from the checkpoint {}.",
            keeper.last()
        ),
        None => {
            "The training was interrupted. It had no folder for checkpoints, so it starts over next time."
                .to_owned()
        }
    })
}

/// What a step tells of its batch.
struct Step {
    loss: f64,
    logits: Vec<f32>,
}

impl Model {
    /// Trains on `dataset` and says one line an epoch.
    ///
    /// Results depend on the seeds of model and data set, not on the number of threads, nor on whether the
    /// training was interrupted and resumed.
    ///
    /// # Errors
    /// Where the model is not compiled, an option makes no sense, the data set does not fit or cannot be read,
    /// the loss or a weight is no longer finite, or checkpoints cannot be written or are of another run.
    pub fn fit(&mut self, dataset: &Dataset, options: FitOptions) -> Result<History> {
        self.fit_on(dataset, options, None)
    }

    /// [`fit`](Self::fit), on `views` of the images if there are some.
    pub(in crate::train) fn fit_on(
        &mut self,
        dataset: &Dataset,
        options: FitOptions,
        views: Option<Views>,
    ) -> Result<History> {
        report::check()?;
        let loss = self.loss()?;
        self.check_dataset(dataset)?;
        if options.initial_epoch >= options.epochs {
            return Err(Error::Invalid(format!(
                "fit expected more epochs than initial_epoch, since epochs counts from the start of training. \
                 Received: epochs {}, initial_epoch {}",
                options.epochs, options.initial_epoch
            )));
        }
        loss.check_labels(self.units(), dataset.labels())?;
        dataset.check_left_out()?;
        self.take_class_names(dataset);
        let recipe = Recipe::new(&options, self, dataset)?;
        let history = self.fit_by(&recipe, dataset, &options, views);
        // Schedules are over, and what comes next has the compiled rate again.
        if let Some(compiled) = &mut self.compiled {
            compiled.reset_rates();
        }
        history
    }

    fn fit_by(
        &mut self,
        recipe: &Recipe,
        dataset: &Dataset,
        options: &FitOptions,
        views: Option<Views>,
    ) -> Result<History> {
        let mut state = RunState::new(options.initial_epoch);
        let validation = options.validation.as_ref();
        let mut views = match (views, options.views) {
            (None, Some(count)) => Some(Views::new(count, self.frozen_part().1, dataset)?),
            (views, _) => views,
        };
        let mut keeper = match &options.checkpoints {
            Some(c) => {
                let (first, mut facts) = (options.initial_epoch, recipe.facts().to_vec());
                if views.as_ref().is_some_and(Views::are_both_sides) {
                    facts.push(("sides", "an image and its mirror image in turn".into()));
                }
                Some(Keeper::open(c, self, dataset, validation, first, options.views, &facts)?)
            }
            None => None,
        };
        if let Some(keeper) = &mut keeper {
            let resumed = keeper.resume(self, options.epochs, dataset.cardinality())?;
            state = resumed.unwrap_or(state);
        }
        let mut kept = on_card::Kept::default();
        let callbacks = &options.callbacks;
        callbacks.train_begin(&self.progress(options, &state))?;
        while state.epoch < options.epochs && state.history.stopped_epoch.is_none() {
            self.epoch(recipe, dataset, options, &mut state, &mut keeper, (views.as_mut(), &mut kept))
                .map_err(|e| self.keep_before(e, &state, &mut keeper))
                .map_err(|e| match (e, &keeper) {
                    (Error::Training(what), Some(keeper)) => {
                        Error::Training(format!("{what} The last good checkpoint: {}.", keeper.last()))
                    }
                    (other, _) => other,
                })?;
        }
        if let Some(epoch) = state.history.stopped_epoch {
            say(format!("Epoch {}: the training was stopped by a callback.", epoch + 1));
        }
        if let Some(epoch) = state.history.restored_epoch {
            self.net.set_what_trains(&state.kept)?;
            say(format!("The weights are those of epoch {}.", epoch + 1));
        }
        callbacks.train_end(&self.progress(options, &state))?;
        self.trained_on = Some(TrainedOn::of(dataset, validation));
        if let Some(keeper) = &mut keeper {
            keeper.finish()?;
        }
        report::fitted(&state.history, dataset, validation);
        Ok(state.history)
    }

    /// A photograph that cannot be read, or somebody who asked to stop while it was tried again, ends the training
    /// between two steps: what was learned until then is kept.
    fn keep_before(&self, error: Error, state: &RunState, keeper: &mut Option<Keeper>) -> Error {
        let stopped = matches!(error, Error::Interrupted(_));
        let Some(kept) = keeper.as_mut().filter(|_| state.steps > 0 && (stopped || is_photograph(&error)))
        else {
            return error;
        };
        let saved = self.check_finite(state.epoch, state.running.steps).and_then(|()| kept.save(self, state));
        match saved {
            Err(e) => say(format!("No checkpoint could be written before the end: {e}")),
            Ok(()) if stopped => return interrupted(keeper),
            Ok(()) => say(format!("The same call goes on from the checkpoint {}.", kept.last())),
        }
        error
    }

    fn progress<'a>(&'a self, options: &FitOptions, state: &'a RunState) -> Progress<'a> {
        Progress {
            model: self,
            history: &state.history,
            initial_epoch: options.initial_epoch,
            epochs: options.epochs,
            validated: options.validation.is_some(),
            schedule: options.schedule,
        }
    }

    /// One epoch, or what is left of it, and its checkpoints.
    fn epoch(
        &mut self,
        recipe: &Recipe,
        dataset: &Dataset,
        options: &FitOptions,
        state: &mut RunState,
        keeper: &mut Option<Keeper>,
        (views, kept): (Option<&mut Views>, &mut on_card::Kept),
    ) -> Result<()> {
        let (start, before) = (Instant::now(), state.running.seconds);
        let recipe = &recipe.of_epoch(&options.callbacks, &state.history);
        let mut after_step = |model: &Model, state: &mut RunState| {
            observe(state.event(options.epochs, dataset.cardinality()));
            let stop = stop_requested();
            if let Some(keeper) = keeper.as_mut().filter(|k| stop || k.is_due(state.steps)) {
                state.running.seconds = before + start.elapsed().as_secs_f64();
                model.check_finite(state.epoch, state.running.steps)?;
                keeper.save(model, state)?;
            }
            match stop {
                true => Err(interrupted(keeper)),
                false => Ok(()),
            }
        };
        match views {
            None if self.epoch_on_card(recipe, dataset, kept, state, &mut after_step)? => {}
            None => {
                let (epoch, map) = (state.epoch as u64, Arc::new(pipeline::training(self)));
                for batch in dataset.batches_from(epoch, map, state.running.batches)? {
                    let batch = batch?;
                    let images = Input::Images(batch.images.as_slice().ok_or_else(not_contiguous)?);
                    self.step(recipe, images, &batch.labels.to_vec(), &batch.indices, batch.number, state)?;
                    after_step(self, state)?;
                }
            }
            Some(views) => self.epoch_of_views(recipe, dataset, views, state, &mut after_step)?,
        }
        dataset.check_left_out()?;
        let trained = before + start.elapsed().as_secs_f64();
        let (epoch, steps) = (state.epoch, state.running.steps);
        self.check_finite(epoch, steps)?;
        let validation = match &options.validation {
            Some(validation) => match self.measure(validation) {
                Err(Error::Interrupted(_)) => {
                    state.running.seconds = trained;
                    if let Some(keeper) = keeper.as_mut() {
                        keeper.save(self, state)?;
                    }
                    return Err(interrupted(keeper));
                }
                measured => measured.map(|v| Some((v.loss, v.accuracy)))?,
            },
            None => None,
        };
        if let Some((loss, _)) = validation.filter(|(loss, _)| !loss.is_finite()) {
            return Err(self.diverged(&format!("The validation loss became {loss}"), epoch, steps));
        }
        let seconds = before + start.elapsed().as_secs_f64();
        let rate = recipe.learning_rate(epoch, state.running.batches.saturating_sub(1));
        state.end_epoch(validation, rate, seconds);
        let (keep, stop) = options.callbacks.epoch_end(&self.progress(options, state))?;
        if keep {
            (state.kept, state.history.restored_epoch) = (self.net.weights_that_train()?, Some(epoch));
        }
        if stop {
            state.history.stopped_epoch = Some(epoch);
        }
        if let Some(keeper) = keeper {
            keeper.save(self, state)?;
        }
        let last = |column: &[f64]| column.last().copied().unwrap_or(f64::NAN);
        let h = &state.history;
        let mut line = format!("loss: {:.4} - accuracy: {:.4}", last(&h.loss), last(&h.accuracy));
        if let Some((loss, accuracy)) = validation {
            line += &format!(" - val_loss: {loss:.4} - val_accuracy: {accuracy:.4}");
        }
        let width = options.epochs.to_string().len();
        say(format!(
            "Epoch {:>width$}/{} - {steps}/{steps} - {seconds:.1}s {:.0}ms/step - {line}",
            epoch + 1,
            options.epochs,
            1e3 * trained / steps.max(1) as f64,
        ));
        Ok(())
    }

    /// Refuses to go on with weights or moments that are NaN or infinite. A step can make them so although
    /// its own loss was finite.
    fn check_finite(&self, epoch: usize, steps: usize) -> Result<()> {
        for (name, tensor) in &self.net.weights()? {
            if let Some(value) = tensor.data.iter().find(|v| !v.is_finite()) {
                return Err(self.diverged(&format!("A value of {name} became {value}"), epoch, steps));
            }
        }
        if !self.compiled.as_ref().map_or(Ok(true), |compiled| compiled.is_finite())? {
            return Err(self.diverged("A moment of the optimizer became NaN or infinite", epoch, steps));
        }
        Ok(())
    }

    /// The error for a training that has left the finite numbers by step `steps` (counted from 1).
    fn diverged(&self, what: &str, epoch: usize, steps: usize) -> Error {
        let rate = self.compiled.as_ref().map_or(f32::NAN, |c| c.learning_rate() as f32);
        Error::Training(format!(
            "{what} by epoch {}, step {steps}, with learning rate {rate}. Compile with a smaller learning rate, and \
             look at the images of that epoch.",
            epoch + 1
        ))
    }

    /// An epoch on views of the images that may have been computed before.
    fn epoch_of_views(
        &mut self,
        recipe: &Recipe,
        dataset: &Dataset,
        views: &mut Views,
        state: &mut RunState,
        after_step: &mut dyn FnMut(&Model, &mut RunState) -> Result<()>,
    ) -> Result<()> {
        let (epoch, first) = (state.epoch as u64, state.running.batches);
        let view = views.of(state.epoch);
        if views.are_complete(state.epoch) {
            let (order, size) = (dataset.order(epoch), dataset.batch_size().max(1));
            for (number, indices) in order.chunks(size).enumerate().skip(first) {
                let (indices, outputs) = views.outputs(state.epoch, indices);
                let labels: Vec<u32> = indices.iter().map(|&i| dataset.labels()[i]).collect();
                self.step(recipe, Input::Frozen(&outputs), &labels, &indices, number, state)?;
                after_step(self, state)?;
            }
            return Ok(());
        }
        let map = Arc::new(OneView { map: pipeline::training(self), view });
        for batch in dataset.batches_from(epoch, map, first)? {
            let batch = batch?;
            let images = batch.images.as_slice().ok_or_else(not_contiguous)?;
            let outputs = self.frozen_outputs(images, batch.len())?;
            views.keep(view, &batch.indices, &outputs);
            let (outputs, labels) = (Input::Frozen(&outputs), batch.labels.to_vec());
            self.step(recipe, outputs, &labels, &batch.indices, batch.number, state)?;
            after_step(self, state)?;
        }
        // A run that was resumed within this epoch has only seen the rest of it.
        if first == 0 {
            views.complete(view);
        }
        Ok(())
    }

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
        let correct = loss.correct(&step.logits, &targets.labels, units);
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
        let batch = self.batch(input, targets, indices, epoch)?;
        let loss = self.loss()?;
        let compiled = self.compiled.as_mut().ok_or_else(not_compiled)?;
        let rate = compiled.learning_rate() as f32;
        let WithHead { base, head } = &mut self.net;
        on_device!(&mut base.base => base, head => head, &mut compiled.optimizer => optimizer; {
            let mut step = step::differentiate(base, head, batch, loss)?;
            if !step.loss.is_finite() {
                return Err(Error::Training(format!(
                    "The loss became {} in epoch {}, step {}, with learning rate {rate}. The weights are as they \
                     were before that step; compile with a smaller learning rate, and look at the images of that \
                     batch.",
                    step.loss,
                    epoch + 1,
                    number + 1
                )));
            }
            optimizer.apply(&mut Parts { base, head }, &mut step.gradients)?;
            Ok(Step { loss: step.loss, logits: step.logits })
        })
    }

    /// A batch in training mode.
    fn batch<'a>(
        &self,
        input: Input<'a>,
        targets: &'a Targets,
        indices: &[usize],
        epoch: u64,
    ) -> Result<Batch<'a>> {
        let features = self.net.base.output_shape().2;
        let dropout =
            (self.dropout.rate > 0.0).then(|| self.dropout.factors(self.seed, epoch, indices, features));
        Ok(Batch { input, targets, dropout })
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
            .install(|| self.descend(Input::Images(&pixels), &targets, &indices, step, 0))?
            .loss)
    }

    /// The gradient of the loss of one batch by each variable that trains, by name; changes nothing.
    /// Dropout is not applied.
    ///
    /// # Errors
    /// As [`train_on_batch`](Self::train_on_batch).
    pub fn gradients(&mut self, images: &Array4<f32>, labels: &[u32]) -> Result<Weights> {
        let pixels = self.preprocessed(images, labels)?;
        let (targets, indices) = (self.targets(labels)?, (0..labels.len()).collect::<Vec<usize>>());
        let rate = std::mem::replace(&mut self.dropout.rate, 0.0);
        let batch = self.batch(Input::Images(&pixels), &targets, &indices, 0);
        self.dropout.rate = rate;
        let (batch, loss) = (batch?, self.loss()?);
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
    fn preprocessed(&self, images: &Array4<f32>, labels: &[u32]) -> Result<Vec<f32>> {
        let (n, h, w, c) = images.dim();
        let (eh, ew, ec) = self.net.base.input_shape();
        if (h, w, c) != (eh, ew, ec) || n == 0 || n != labels.len() {
            return Err(Error::Shape(format!(
                "A batch expected images of shape (n, {eh}, {ew}, {ec}) and n labels, n at least 1. \
                 Received: images of shape ({n}, {h}, {w}, {c}), {} labels",
                labels.len()
            )));
        }
        let mut pixels = images.as_slice().map_or_else(|| images.iter().copied().collect(), <[f32]>::to_vec);
        if let Some(rescaling) = &self.rescaling {
            rescaling.apply_slice(&mut pixels);
        }
        Ok(pixels)
    }
}
