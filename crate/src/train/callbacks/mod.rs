//! Callbacks: what is done after each epoch besides training, under Keras' names.
//!
//! | callback | what it does |
//! |---|---|
//! | [`EarlyStopping`] | ends a training that no longer gets better, and gives the best weights back |
//! | [`ReduceLrOnPlateau`] | lowers the learning rate where a training no longer gets better |
//! | [`ModelCheckpoint`] | keeps the weights of epochs, or of the best one, as files |
//! | [`CsvLogger`] | the numbers of each epoch as a table |
//! | [`TensorBoard`] | the numbers of each epoch as event files for TensorBoard |
//!
//! A callback keeps nothing between epochs: what it decides, and what its files hold, follows from the
//! [`History`]. So a run that was interrupted and goes on from a [checkpoint](crate::train::Checkpoints) decides as
//! an unbroken one does, and its files end with the same lines.
//!
//! ```no_run
//! # fn example(model: &mut transfer::model::Model, train: &transfer::data::Dataset,
//! #            validation: &transfer::data::Dataset) -> transfer::Result<()> {
//! use transfer::prelude::*;
//! let options = FitOptions::epochs(50)
//!     .validation_data(validation)
//!     .callback(EarlyStopping::new().patience(3).restore_best_weights(true))
//!     .callback(CsvLogger::new("runs/first.csv"))
//!     .callback(TensorBoard::new("runs/first"));
//! let history = model.fit(train, options)?;
//! println!("stopped after {:?}", history.stopped_epoch);
//! # Ok(()) }
//! ```
//!
//! Not here: what a run needs to go on after an interruption, which [`Checkpoints`](crate::train::Checkpoints) keep.

mod csv_logger;
mod early_stopping;
mod model_checkpoint;
mod monitor;
mod reduce_lr;
mod set;
mod template;
mod tensorboard;

pub use csv_logger::CsvLogger;
pub use early_stopping::EarlyStopping;
pub use model_checkpoint::ModelCheckpoint;
pub use reduce_lr::ReduceLrOnPlateau;
pub(crate) use set::Callbacks;
pub use tensorboard::TensorBoard;

use crate::model::Model;
use crate::optim::Schedule;
use crate::train::History;
use crate::Result;

/// What a callback wants once an epoch is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    GoOn,
    /// That the model has the weights of this epoch when `fit` ends, unless a later epoch's are asked for.
    KeepWeights,
    /// That this was the last epoch.
    Stop,
}

/// Where a run stands between two epochs, for callbacks to read.
#[derive(Debug)]
pub struct Progress<'a> {
    /// The model as it is now.
    pub model: &'a Model,
    /// The epochs of this `fit` so far. Not empty before the first one only where an interrupted run goes on.
    pub history: &'a History,
    /// `initial_epoch` of this `fit`.
    pub initial_epoch: usize,
    /// The number of epochs that was asked for, those before `initial_epoch` included.
    pub epochs: usize,
    /// Whether there is validation data.
    pub validated: bool,
    /// How the learning rate changes from step to step.
    pub schedule: Schedule,
}

/// Something that is done before, after each epoch of, and after a training. A crate can have its own:
///
/// ```
/// use transfer::train::callbacks::{Action, Callback, Progress};
///
/// /// Ends a training that has reached an accuracy.
/// #[derive(Debug)]
/// struct GoodEnough(f64);
///
/// impl Callback for GoodEnough {
///     fn on_epoch_end(&self, run: &Progress<'_>) -> transfer::Result<Action> {
///         let reached = run.history.accuracy.last().is_some_and(|&accuracy| accuracy >= self.0);
///         Ok(if reached { Action::Stop } else { Action::GoOn })
///     }
///
///     fn decides(&self) -> Option<String> {
///         Some(format!("{self:?}"))
///     }
/// }
/// let options = transfer::train::FitOptions::epochs(50).callback(GoodEnough(0.99));
/// ```
pub trait Callback: std::fmt::Debug + Send + Sync {
    /// Before the first epoch: the place to refuse settings, and to bring files to where the history is.
    ///
    /// # Errors
    /// An error ends `fit` before anything is trained.
    fn on_train_begin(&self, _run: &Progress<'_>) -> Result<()> {
        Ok(())
    }

    /// After an epoch, the last one of the history. What is returned should follow from the history alone, or
    /// a run that was interrupted may go on otherwise than an unbroken one.
    ///
    /// # Errors
    /// An error ends `fit`; checkpoints of earlier epochs stay.
    fn on_epoch_end(&self, _run: &Progress<'_>) -> Result<Action> {
        Ok(Action::GoOn)
    }

    /// After the last epoch, when weights that were kept are back.
    ///
    /// # Errors
    /// An error is what `fit` returns then.
    fn on_train_end(&self, _run: &Progress<'_>) -> Result<()> {
        Ok(())
    }

    /// The learning rate of the epoch to come, where it would be `rate` without this callback.
    fn learning_rate(&self, rate: f64, _history: &History) -> f64 {
        rate
    }

    /// Whether it may ask for [`Action::KeepWeights`]. At most one callback of a run may.
    fn keeps_weights(&self) -> bool {
        false
    }

    /// Its settings in words where the numbers of a run depend on them: a checkpoint of a run with other ones
    /// is then refused. `None` where it only watches.
    fn decides(&self) -> Option<String> {
        None
    }
}
