//! Checkpoints: a training that is interrupted goes on where it was.
//!
//! After each epoch, and within epochs if asked, all that a run needs to go on is written to a folder:
//! weights, optimizer, epoch and step, the sums of an epoch half done, the history. A run that is killed
//! and started again with the same options ends where an unbroken one ends, bit for bit, since everything
//! random is keyed by (seed, epoch, image) and nothing is drawn from a stream.
//!
//! ```no_run
//! # fn example(model: &mut transfer::model::Model, train: &transfer::data::Dataset) -> transfer::Result<()> {
//! use transfer::train::{Checkpoints, FitOptions};
//! // Started again after a power failure, this very line goes on where it was.
//! let history = model.fit(train, FitOptions::epochs(10).checkpoint("checkpoints/head"))?;
//! let more = FitOptions::epochs(20).initial_epoch(10);
//! let often = Checkpoints::new("checkpoints/fine").every_steps(50);
//! let history_fine = model.fit(train, more.checkpoint(often))?;
//! # Ok(())
//! # }
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | what a user asks for |
//! | `file.rs` | one checkpoint as bytes, and back |
//! | `folder.rs` | the folder of a run: a lock, the last two files, falling back |
//! | `marker.rs` | what says that a folder is this program's, and which files in it are |
//! | `identity.rs` | what makes two runs the same |
//! | `others.rs` | other runs beside this one, and how they differ |
//! | `keeper.rs` | between the training loop and the folder |
//!
//! Not here: weights alone, which [`Model::save_weights`](crate::model::Model::save_weights) keeps.

mod file;
mod folder;
mod identity;
pub(crate) mod keeper;
mod marker;
mod others;

pub(crate) use file::Checkpoint;
pub(crate) use keeper::Keeper;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::assets::data_root;
use crate::{Error, Result};

/// Where `fit` keeps its checkpoints, and when it writes them. The folder belongs to one call of
/// `fit`; each phase of a training has its own.
///
/// With a folder that already has checkpoints, `fit` goes on from the newest one that is whole. One
/// that is finished gives its history and weights back at once. A folder of another run (other images,
/// another model, optimizer, seed, or weights at the start) is an error.
///
/// Nothing of anybody else's is touched. A folder is used that does not exist yet, that is empty, or that has the
/// marker `.transfer-checkpoints`, which lists the files that this program wrote there; only those are ever
/// removed. In a folder that a version without markers has written, checkpoints are read and stay.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    every_steps: Option<usize>,
    resume: bool,
    any_start: bool,
    each_run: bool,
    notes: BTreeMap<String, String>,
    /// Why there is no folder, where the system names none.
    no_folder: Option<String>,
    /// The run before belongs to the same training.
    follows: bool,
    run: Run,
}

/// The settings are the same.
impl PartialEq for Checkpoints {
    fn eq(&self, other: &Self) -> bool {
        let settings = |c: &Self| (c.every_steps, c.resume, c.any_start, c.each_run);
        (&self.folder, &self.notes) == (&other.folder, &other.notes) && settings(self) == settings(other)
    }
}

impl Eq for Checkpoints {}

/// The run that a `fit` with these options last kept checkpoints of; shared by all copies of the options.
#[derive(Debug, Clone, Default)]
struct Run(Arc<Mutex<Option<Kept>>>);

/// A folder of a run, and the run's short name.
type Place = (PathBuf, String);

#[derive(Debug, Clone)]
struct Kept {
    folder: PathBuf,
    /// The run's short name.
    name: String,
    /// The last good checkpoint.
    last: Option<PathBuf>,
    /// Runs before this one that belong to the same training.
    earlier: Vec<Place>,
}

impl Run {
    /// Notes a run; `follows` tells that the one before belongs to the same training.
    fn set(&self, folder: &Path, name: &str, follows: bool) {
        let mut place = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let (mut earlier, mut last) = (Vec::new(), None);
        if let Some(before) = place.take().filter(|_| follows) {
            (earlier, last) = (before.earlier, before.last);
            earlier.push((before.folder, before.name));
        }
        *place = Some(Kept { folder: folder.to_owned(), name: name.to_owned(), last, earlier });
    }

    fn set_last(&self, last: Option<PathBuf>) {
        if let Some(kept) = &mut *self.0.lock().unwrap_or_else(|e| e.into_inner()) {
            kept.last = last;
        }
    }

    fn get(&self) -> Option<Kept> {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

impl Checkpoints {
    /// Checkpoints in this folder, after each epoch. It is made when training begins.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref().to_owned();
        Checkpoints {
            folder,
            every_steps: None,
            resume: true,
            any_start: false,
            each_run: false,
            notes: BTreeMap::new(),
            run: Run::default(),
            follows: false,
            no_folder: None,
        }
    }

    /// Checkpoints in `NAME` below the folder that `TRANSFER_CHECKPOINTS` names; where that is not set, in
    /// `checkpoints/NAME` of the folder for downloads ([`data_root`]).
    ///
    /// Each run has a folder of its own in there, named by what its numbers depend on: with another seed
    /// or learning rate a training starts anew and that of before can still be gone on with.
    pub fn named(name: impl AsRef<Path>) -> Self {
        let given = match crate::environment::path("TRANSFER_CHECKPOINTS") {
            Some(given) => Ok(given),
            None => data_root().map(|root| root.join("checkpoints")),
        };
        // `fit` reports it.
        let no_folder = given.as_ref().err().map(|error| error.to_string());
        let folder = given.unwrap_or_else(|_| "checkpoints".into()).join(name);
        Checkpoints { each_run: true, no_folder, ..Self::new(folder) }
    }

    /// One more after every `n` steps, counted over all epochs. Worth it where an epoch takes minutes.
    pub fn every_steps(mut self, n: usize) -> Self {
        self.every_steps = Some(n);
        self
    }

    /// Whether to go on from what is in the folder, as without a call. `false` removes the checkpoints
    /// that are there and starts over.
    pub fn resume(mut self, yes: bool) -> Self {
        self.resume = yes;
        self
    }

    /// Goes on from the checkpoint whatever weights the model has when `fit` is called. Without it they
    /// must be those that the run once started from, so that a checkpoint which an earlier phase has
    /// overtaken is not taken for up to date.
    pub fn from_any_start(mut self, yes: bool) -> Self {
        self.any_start = yes;
        self
    }

    /// Gives each run a folder of its own in the folder, as with [`named`](Self::named). The outer folder may hold
    /// anything; other runs in it stay. A run that starts anew beside one that was not finished says how they differ.
    pub fn each_run(mut self, yes: bool) -> Self {
        self.each_run = yes;
        self
    }

    /// Notes a setting in the caller's own words, such as `--seed` and `7`. A run that starts anew beside one that
    /// was not finished then says in these words how they differ.
    pub fn note(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.notes.insert(name.into(), value.to_string());
        self
    }

    /// The last good checkpoint of the run that these options, or a copy of them, were last used for; `None` where
    /// it has not written one yet, or there was no run.
    pub fn last(&self) -> Option<PathBuf> {
        self.run.get().and_then(|run| run.last)
    }

    /// Removes the checkpoints of that run, and of those before it in the same [`fine_tune`](crate::model::Model::fine_tune), once they are needed no more: the files that this program wrote, and the
    /// run's folder where this program made it and nothing else is in it. Does nothing where another process goes on
    /// from them.
    ///
    /// # Errors
    /// [`Error::Io`] where something cannot be removed.
    pub fn discard(&self) -> Result<()> {
        match self.run.get() {
            Some(run) => {
                // The last run's folder may hold those of the others, or be in one.
                let places = [(run.folder, run.name)].into_iter().chain(run.earlier.into_iter().rev());
                places.into_iter().try_for_each(|(folder, name)| folder::Folder::discard(&folder, &name))
            }
            None => Ok(()),
        }
    }

    /// Those of one of several runs of the same training, by its number from 0.
    pub(crate) fn of_run(mut self, run: usize) -> Self {
        if run > 0 && !self.each_run {
            self.folder.push(format!("run {}", run + 1));
        }
        self.follows = run > 0;
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn check(&self) -> Result<()> {
        if let Some(why) = &self.no_folder {
            return Err(Error::Invalid(why.clone()));
        }
        match self.every_steps {
            Some(0) => Err(Error::Invalid(
                "Checkpoints expected every_steps of at least 1. Received: 0. Leave it out for one an epoch."
                    .into(),
            )),
            _ => Ok(()),
        }
    }
}

impl From<&str> for Checkpoints {
    fn from(folder: &str) -> Self {
        Checkpoints::new(folder)
    }
}

impl From<&Path> for Checkpoints {
    fn from(folder: &Path) -> Self {
        Checkpoints::new(folder)
    }
}

impl From<PathBuf> for Checkpoints {
    fn from(folder: PathBuf) -> Self {
        Checkpoints::new(folder)
    }
}
