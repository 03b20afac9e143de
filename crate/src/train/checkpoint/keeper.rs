//! Between the training loop and the folder: when a checkpoint is due, what goes into it, and how a model
//! becomes what it was.

use crate::data::Dataset;
use crate::model::{not_compiled, LeftOff, Model};
use crate::network::on_device::on_device;
use crate::progress::say;
use crate::team::{self, Team};
use crate::train::checkpoint::file::Details;
use crate::train::checkpoint::folder::Folder;
use crate::train::checkpoint::identity::Identity;
use crate::train::checkpoint::marker::RunFacts;
use crate::train::checkpoint::{others, Checkpoint, Checkpoints};
use crate::train::fit::run::RunState;
use crate::weights;
use crate::Show;
use crate::{Error, Result};

/// Keeps the checkpoints of one run.
pub(crate) struct Keeper {
    options: Checkpoints,
    folder: Folder,
    about: RunFacts,
    initial_epoch: usize,
}

impl Keeper {
    /// Takes the folder for this run. The model is as `fit` found it.
    pub fn open(
        options: &Checkpoints,
        model: &Model,
        train: &Dataset,
        validation: Option<&Dataset>,
        initial_epoch: usize,
        views: Option<usize>,
        more: &[(&'static str, String)],
    ) -> Result<Self> {
        options.check()?;
        let (identity, images) = Identity::of(model, train, validation, initial_epoch, views, more)?;
        let mut options = options.clone();
        if options.each_run {
            options.folder = options.folder.join(identity.short());
        }
        let name = identity.short();
        let about = RunFacts { identity, images, notes: options.notes.clone() };
        let folder = Folder::open(&options.folder, &about, options.each_run)?;
        options.run.set(&options.folder, &name, options.follows);
        Ok(Keeper { options, folder, about, initial_epoch })
    }

    /// Brings `model` to where the newest checkpoint left it, and tells where that is; `None` where there
    /// is no checkpoint. Nothing changes where this fails.
    pub fn resume(&mut self, model: &mut Model, epochs: usize, batches: usize) -> Result<Option<RunState>> {
        if !self.options.resume {
            self.folder.clear(&self.about)?;
            return Ok(None);
        }
        let Some(checkpoint) = self.folder.newest()? else {
            self.folder.begin(&self.about)?;
            if self.options.each_run {
                others::say_what_differs(&self.options.folder, self.folder.marker());
            }
            return Ok(None);
        };
        self.options.run.set_last(self.folder.last());
        let state = &checkpoint.about.state;
        self.check_identity(&checkpoint.about)?;
        let (done, mid) = (state.epoch, state.running.batches);
        if done > epochs || (done == epochs && mid > 0) {
            return Err(Error::Invalid(format!(
                "fit was asked for {epochs} epochs, but its checkpoint in {} is in epoch {} already. Ask for more \
                 epochs, name another folder, or start over with `.resume(false)`.",
                self.options.folder.shown(),
                done + 1
            )));
        }
        if mid > batches {
            return Err(Error::Data(format!(
                "The checkpoint in {} expected an epoch of at least {mid} batches. Received: {batches}.",
                self.options.folder.shown()
            )));
        }
        let instructions = model.net.base.device().instructions();
        if checkpoint.about.instructions != instructions {
            say(format!(
                "The checkpoint was computed with {} kernels; going on with {instructions} ones, whose last bits differ.",
                checkpoint.about.instructions
            ));
        }
        let stopped = state.history.stopped_epoch;
        say(match (done == epochs, mid) {
            _ if stopped.is_some() => format!("The training was stopped after epoch {done}: {}", self.last()),
            (true, _) => format!("All {epochs} epochs are done already: {}", self.last()),
            (false, 0) => format!("Resuming after epoch {done} of {epochs}: {}", self.last()),
            (false, _) => {
                format!("Resuming in epoch {} of {epochs}, batch {}: {}", done + 1, mid + 1, self.last())
            }
        });
        restore(model, &checkpoint)?;
        // The start of the run is the one that it had, also where this one is allowed another.
        self.about.identity = checkpoint.about.identity;
        let mut state = checkpoint.about.state;
        // Written before histories had rates, when each was the compiled one.
        if let Some(compiled) = &model.compiled {
            let rate = f64::from(compiled.config().learning_rate());
            state.history.learning_rate.resize(state.history.epochs(), rate);
        }
        state.history.images_per_second.resize(state.history.epochs(), 0.0);
        Ok(Some(state))
    }

    /// What `model` has to remember where this run is interrupted, so that the same call goes on.
    pub fn left_off(&self, model: &Model) -> Result<LeftOff> {
        self.about.identity.left_off(model)
    }

    fn check_identity(&self, about: &Details) -> Result<()> {
        let differences = about.identity.differences(&self.about.identity, self.options.any_start);
        if differences.is_empty() {
            return Ok(());
        }
        let here = &self.about;
        let changes = here.identity.changes(&about.identity, &here.images, &self.folder.marker().images);
        let of_images = changes.iter().filter(|line| line.contains(" class "));
        let differences: Vec<String> = differences.iter().chain(of_images).cloned().collect();
        Err(Error::Training(format!(
            "The checkpoints in {} are of another run, so this one cannot go on from them. What differs:\n  {}\n\
             Name another folder, or start over with `.resume(false)`. To begin a new run with the weights of \
             that one, call `model.load_weights({:?})` first. Where only the weights at the start differ and \
             that is as it should be, ask for `.from_any_start(true)`.",
            self.options.folder.shown(),
            differences.join("\n  "),
            self.last()
        )))
    }

    /// Whether one is due after so many steps, within an epoch.
    pub fn is_due(&self, steps: u64) -> bool {
        self.options.every_steps.is_some_and(|n| steps.is_multiple_of(n as u64))
    }

    /// Writes a checkpoint.
    pub fn save(&mut self, model: &Model, state: &RunState) -> Result<()> {
        self.folder.save(state.steps, self.checkpoint(model, state)?)?;
        self.options.run.set_last(self.folder.last());
        Ok(())
    }

    /// Where a run stands.
    fn checkpoint(&self, model: &Model, state: &RunState) -> Result<Checkpoint> {
        let compiled = model.compiled.as_ref().ok_or_else(not_compiled)?;
        let about = Details::new(
            self.about.identity.clone(),
            self.initial_epoch,
            compiled.step(),
            state.clone(),
            model.net.base.device().instructions(),
        );
        Ok(Checkpoint { about, weights: model.net.weights()?, moments: compiled.moments()? })
    }

    /// Notes that the run has come to its end. Its checkpoints stay.
    pub fn finish(&mut self) -> Result<()> {
        self.folder.finish()
    }

    /// The path of the last good checkpoint, in words where there is none.
    pub fn last(&self) -> String {
        self.folder.last().map_or_else(|| "none yet".to_owned(), |path| path.shown().to_string())
    }
}

/// Brings the other members of a team to where the first one's checkpoint left it, if it has one.
pub(crate) fn share(
    team: &dyn Team,
    model: &mut Model,
    first: Option<&Keeper>,
    state: &mut RunState,
) -> Result<()> {
    let mut message = Vec::new();
    if let Some(keeper) = first.filter(|keeper| keeper.folder.last().is_some()) {
        let wrong = |what: String| Error::Weights(format!("cannot pass on a checkpoint: {what}"));
        let (header, tensors) = keeper.checkpoint(model, state)?.encode().map_err(wrong)?;
        message = header;
        weights::write_values(&tensors, &mut message).map_err(|e| wrong(e.to_string()))?;
    }
    let message = team::broadcast(team, message)?;
    if first.is_none() && !message.is_empty() {
        let checkpoint = Checkpoint::parse(message, true)
            .map_err(|what| Error::Team(format!("The first member's checkpoint cannot be used: {what}")))?;
        restore(model, &checkpoint)?;
        *state = checkpoint.about.state;
    }
    Ok(())
}

/// Gives `model` the weights and the optimizer's state of a checkpoint, all of it or nothing.
fn restore(model: &mut Model, checkpoint: &Checkpoint) -> Result<()> {
    let weights = &checkpoint.weights;
    model.check_weights(weights)?;
    for (name, kept) in &checkpoint.about.state.kept {
        if weights.get(name)?.shape != kept.shape {
            return Err(Error::Weights(format!(
                "The checkpoint expected kept/{name} to have the shape of {name}, {:?}. Received: {:?}",
                weights.get(name)?.shape,
                kept.shape
            )));
        }
    }
    for (name, moment) in &checkpoint.moments {
        let variable = name.split_once('/').and_then(|(_, variable)| weights.get(variable).ok());
        if variable.is_none_or(|v| v.data.len() != moment.data.len()) {
            return Err(Error::Weights(format!(
                "The checkpoint expected a variable with as many values as its moment `{name}` has. Received: {}, {}",
                moment.data.len(),
                variable.map_or_else(|| "no such variable".to_owned(), |v| v.data.len().to_string())
            )));
        }
    }
    let compiled = model.compiled.as_mut().ok_or_else(not_compiled)?;
    let (step, moments) = (checkpoint.about.optimizer_step, &checkpoint.moments);
    on_device!(&model.net.base.base => base, &mut compiled.optimizer => optimizer;
        optimizer.restore(&base.device, step, moments)?);
    model.set_weights(weights)
}
