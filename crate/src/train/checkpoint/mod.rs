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
//! | `identity.rs` | what makes two runs the same |
//! | `keeper.rs` | between the training loop and the folder |
//!
//! Not here: weights alone, which [`Model::save_weights`](crate::model::Model::save_weights) keeps.

mod file;
mod folder;
mod identity;
mod keeper;

pub(crate) use file::Checkpoint;
pub(crate) use keeper::Keeper;

use std::path::{Path, PathBuf};

use crate::assets::data_root;
use crate::{Error, Result};

/// Where `fit` keeps its checkpoints, and when it writes them. The folder belongs to one call of
/// `fit`; each phase of a training has its own.
///
/// With a folder that already has checkpoints, `fit` goes on from the newest one that is whole. One
/// that is finished gives its history and weights back at once. A folder of another run (other images,
/// another model, optimizer, seed, or weights at the start) is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoints {
    folder: PathBuf,
    every_steps: Option<usize>,
    resume: bool,
    any_start: bool,
    each_run: bool,
    /// Why there is no folder, where the system names none.
    no_folder: Option<String>,
}

impl Checkpoints {
    /// Checkpoints in this folder, after each epoch. It is made when the first one is written.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref().to_owned();
        let no_folder = None;
        Checkpoints { folder, every_steps: None, resume: true, any_start: false, each_run: false, no_folder }
    }

    /// Checkpoints in `NAME` below the folder that `TRANSFER_CHECKPOINTS` names; where that is not set, in
    /// `checkpoints/NAME` of the folder for downloads ([`data_root`]).
    ///
    /// Each run has a folder of its own in there, named by what its numbers depend on: with another seed
    /// or learning rate a training starts anew and that of before can still be gone on with. The last
    /// five runs are kept.
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

    /// Gives each run a folder of its own in the folder, as with [`named`](Self::named).
    pub fn each_run(mut self, yes: bool) -> Self {
        self.each_run = yes;
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
