//! The training loop.

use std::time::Instant;

use crate::data::Dataset;
use crate::input::is_photograph;
use crate::loss::actual::Actual;
use crate::model::Model;
use crate::model::TrainedOn;
use crate::model::Trust;
use crate::progress::{observe, say, stop_requested};
use crate::team;
use crate::train::callbacks::Progress;
use crate::train::checkpoint::{keeper, Keeper};
use crate::train::evaluation::Evaluation;
use crate::train::fit::in_parts::PartOfBatch;
use crate::train::fit::on_card;
use crate::train::fit::options::FitOptions;
use crate::train::fit::recipe::Recipe;
use crate::train::fit::run::RunState;
use crate::train::fit::sources::{Source, SourceBatch};
use crate::train::fit::views::Views;
use crate::train::history::History;
use crate::train::report;
use crate::{Error, Result};

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
        // What was found out about the model is not true of the one that it becomes.
        self.trust = Trust::default();
        let validation = options.validation.clone();
        let history = self.fit_on(dataset, options, None)?;
        report::fitted(&history, dataset, validation.as_ref());
        Ok(history)
    }

    /// [`fit`](Self::fit), on `views` of the images if there are some. Whoever calls it reports.
    pub(in crate::train) fn fit_on(
        &mut self,
        dataset: &Dataset,
        options: FitOptions,
        views: Option<&mut Views>,
    ) -> Result<History> {
        report::check()?;
        let loss = self.loss()?;
        self.take_image_fit(dataset);
        self.check_dataset(dataset)?;
        if options.initial_epoch >= options.epochs {
            return Err(Error::Invalid(format!(
                "fit expected more epochs than initial_epoch, since epochs counts from the start of training. \
                 Received: epochs {}, initial_epoch {}",
                options.epochs, options.initial_epoch
            )));
        }
        loss.check_labels(self.units(), Actual::of(dataset, dataset.labels()))?;
        dataset.check_left_out()?;
        self.take_class_names(dataset);
        let recipe = Recipe::new(&options, self, dataset)?;
        let history = self.fit_by(&recipe, dataset, &options, views);
        // Schedules are over, and what comes next has the compiled rate again.
        if let Some(compiled) = &mut self.compiled {
            compiled.reset_rates();
            // They hold the memory of whole steps.
            compiled.forget_recordings();
        }
        history
    }

    fn fit_by(
        &mut self,
        recipe: &Recipe,
        dataset: &Dataset,
        options: &FitOptions,
        views: Option<&mut Views>,
    ) -> Result<History> {
        let mut state = RunState::new(options.initial_epoch);
        let validation = options.validation.as_ref();
        let mut own = match (&views, options.views) {
            (None, Some(count)) => Some(Views::new(count, self.frozen_part().1, dataset)?),
            _ => None,
        };
        let mut views = views.or(own.as_mut());
        let mut keeper = match &options.checkpoints {
            Some(c) if self.is_first() => {
                let (first, mut facts) = (options.initial_epoch, recipe.facts().to_vec());
                if views.as_ref().is_some_and(|views| views.are_both_sides()) {
                    facts.push(("sides", "an image and its mirror image in turn".into()));
                }
                Some(Keeper::open(c, self, dataset, validation, first, options.views, &facts)?)
            }
            _ => None,
        };
        if let Some(keeper) = &mut keeper {
            let resumed = keeper.resume(self, options.epochs, dataset.cardinality())?;
            state = resumed.unwrap_or(state);
        }
        if let (Some(team), Some(_)) = (self.team.clone().filter(|t| t.size() > 1), &options.checkpoints) {
            keeper::share(&*team, self, keeper.as_ref(), &mut state)?;
        }
        let mut kept = on_card::Kept::default();
        let callbacks = &options.callbacks;
        if self.is_first() {
            callbacks.train_begin(&self.progress(options, &state))?;
        }
        while state.epoch < options.epochs && state.history.stopped_epoch.is_none() {
            self.epoch(recipe, dataset, options, &mut state, &mut keeper, (views.as_deref_mut(), &mut kept))
                .map_err(|e| self.keep_before(e, &state, &mut keeper))
                .map_err(|e| self.note_end(e, &keeper))
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
        if self.is_first() {
            callbacks.train_end(&self.progress(options, &state))?;
        }
        self.trained_on = Some(TrainedOn::of(dataset, validation));
        if let Some(keeper) = &mut keeper {
            keeper.finish()?;
        }
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

    /// Notes where an interrupted training leaves the model, so that the same call on it goes on from the checkpoint.
    fn note_end(&mut self, error: Error, keeper: &Option<Keeper>) -> Error {
        if let (Error::Interrupted(_), Some(keeper)) = (&error, keeper) {
            match keeper.left_off(self) {
                Ok(left_off) => self.left_off = Some(left_off),
                Err(why) => return why,
            }
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
        let mut after_step = |model: &Model, state: &mut RunState, stop: bool| {
            observe(state.event(options.epochs, dataset.cardinality()));
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
        let mut source = Source::new(self, recipe, dataset, views, kept, state)?;
        let mut size = 0;
        while let Some(batch) = source.next(self)? {
            // Buffers are kept by size, and an epoch ends with a smaller batch: who wants little memory has one set.
            if std::mem::replace(&mut size, batch.labels.len()) != batch.labels.len()
                && self.feature_cache_bytes == 0
            {
                self.net.base.forget_memory();
            }
            let stop = self.step_of(recipe, &batch, state)?;
            after_step(self, state, stop)?;
        }
        source.finish(self.team.as_deref())?;
        if let Some(team) = self.several() {
            dataset.tell_team(team)?;
        }
        dataset.check_left_out()?;
        let trained = before + start.elapsed().as_secs_f64();
        let (epoch, steps) = (state.epoch, state.running.steps);
        self.check_finite(epoch, steps)?;
        let validation = match self.validate(options, epoch, steps) {
            Err(Error::Interrupted(_)) => {
                state.running.seconds = trained;
                if let Some(keeper) = keeper.as_mut() {
                    keeper.save(self, state)?;
                }
                return Err(interrupted(keeper));
            }
            validated => validated?,
        };
        let seconds = before + start.elapsed().as_secs_f64();
        let rate = recipe.learning_rate(epoch, state.running.batches.saturating_sub(1));
        state.end_epoch(validation.map(|v| (v.loss, v.accuracy)), rate, (seconds, trained));
        let (keep, stop) = self.epoch_end(options, state)?;
        if keep {
            (state.kept, state.history.restored_epoch) = (self.net.weights_that_train()?, Some(epoch));
        }
        if stop {
            state.history.stopped_epoch = Some(epoch);
        }
        if let Some(keeper) = keeper {
            keeper.save(self, state)?;
        }
        let (numbers, step) = (line_of(&state.history, validation), 1e3 * trained / steps.max(1) as f64);
        let (number, of, width) = (epoch + 1, options.epochs, options.epochs.to_string().len());
        say(format!(
            "Epoch {number:>width$}/{of} - {steps}/{steps} - {seconds:.1}s {step:.0}ms/step - {numbers}"
        ));
        Ok(())
    }

    /// One step, whole or in parts; whether somebody asked for the training to stop.
    fn step_of(&mut self, recipe: &Recipe, batch: &SourceBatch, state: &mut RunState) -> Result<bool> {
        batch.with_input(|input| match recipe.micro_batch() {
            Some(images) => {
                let SourceBatch { labels, indices, plan, number, .. } = batch;
                let part = PartOfBatch { input, labels, indices, plan, number: *number };
                self.step_in_parts(recipe, &part, images, state)
            }
            None => {
                self.step(recipe, input, &batch.labels, &batch.indices, batch.number, state)?;
                Ok(stop_requested())
            }
        })
    }

    /// What callbacks say at the end of an epoch: whether to keep its weights, and whether to stop. They write files, so
    /// that those of one process are asked.
    fn epoch_end(&self, options: &FitOptions, state: &RunState) -> Result<(bool, bool)> {
        let ask = || options.callbacks.epoch_end(&self.progress(options, state));
        let Some(team) = self.several() else { return ask() };
        let said = match self.is_first() {
            true => ask().map(|(keep, stop)| vec![u8::from(keep), u8::from(stop)])?,
            false => Vec::new(),
        };
        match team::broadcast(team, said)?[..] {
            [keep, stop] => Ok((keep != 0, stop != 0)),
            _ => Err(Error::Team("The first member of the team did not say how an epoch ended.".into())),
        }
    }

    /// Loss and accuracy of the validation set, if there is one.
    fn validate(&self, options: &FitOptions, epoch: usize, steps: usize) -> Result<Option<Evaluation>> {
        let Some(validation) = &options.validation else { return Ok(None) };
        let measured = self.measure(validation)?;
        match measured.loss.is_finite() {
            true => Ok(Some(measured)),
            false => {
                Err(self.diverged(&format!("The validation loss became {}", measured.loss), epoch, steps))
            }
        }
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
}

/// The numbers of the last epoch in a line.
fn line_of(h: &History, validation: Option<Evaluation>) -> String {
    let last = |column: &[f64]| column.last().copied().unwrap_or(f64::NAN);
    let mut line = format!("loss: {:.4} - accuracy: {:.4}", last(&h.loss), last(&h.accuracy));
    if let Some(validation) = validation {
        line += &validation.of_epoch();
    }
    line
}
