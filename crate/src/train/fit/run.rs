//! How far a run has come: its history, and the sums of the epoch that is under way. No weights.

use serde::{Deserialize, Serialize};

use crate::progress::Event;
use crate::train::history::History;
use crate::weights::Weights;

/// Sums over an epoch that is under way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Sum of the images' losses.
    pub loss: f64,
    pub correct: usize,
    pub images: usize,
    pub steps: usize,
    /// Batches behind us, those that had no readable image included.
    pub batches: usize,
    /// Seconds spent.
    pub seconds: f64,
}

/// The best epoch so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    /// Name of the number: `val_accuracy`, or `accuracy` where there is no validation.
    pub metric: String,
    pub value: f64,
    /// Its epoch, from 0.
    pub epoch: usize,
}

/// Where a run stands between two steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunState {
    /// The epoch that is under way, or that comes next; from 0.
    pub epoch: usize,
    /// Steps since the run's first epoch.
    pub steps: u64,
    /// Sums of the epoch under way; zeros between epochs.
    pub running: Running,
    /// The epochs that are done.
    pub history: History,
    pub best: Option<Best>,
    /// What trains, as it was after the epoch that the history calls restored; empty where it names none.
    /// Checkpoints keep it as tensors.
    #[serde(skip)]
    pub kept: Weights,
}

impl RunState {
    pub fn new(initial_epoch: usize) -> Self {
        RunState { epoch: initial_epoch, ..Self::default() }
    }

    /// Where the epoch under way stands, for whoever watches.
    pub fn event(&self, epochs: usize, steps: usize) -> Event {
        let Running { loss, correct, images, batches, .. } = self.running;
        let n = images.max(1) as f64;
        let (loss, accuracy) = (loss / n, correct as f64 / n);
        Event::Step { epoch: self.epoch, epochs, step: batches, steps, images, loss, accuracy }
    }

    /// Notes that the epoch under way is done: its number is pushed, and the next one begins. It took so many seconds with
    /// validation, and `trained` without.
    pub fn end_epoch(
        &mut self,
        validation: Option<(f64, f64)>,
        learning_rate: f64,
        (seconds, trained): (f64, f64),
    ) {
        let running = std::mem::take(&mut self.running);
        let n = running.images.max(1) as f64;
        let history = &mut self.history;
        history.epoch.push(self.epoch);
        history.loss.push(running.loss / n);
        history.accuracy.push(running.correct as f64 / n);
        history.learning_rate.push(learning_rate);
        history.seconds.push(seconds);
        history.images_per_second.push(running.images as f64 / trained.max(1e-9));
        let (mut metric, mut value) = ("accuracy", running.correct as f64 / n);
        if let Some((loss, accuracy)) = validation {
            history.val_loss.push(loss);
            history.val_accuracy.push(accuracy);
            (metric, value) = ("val_accuracy", accuracy);
        }
        // The first of equals counts, as with Keras' ModelCheckpoint.
        if self.best.as_ref().is_none_or(|best| value > best.value) {
            self.best = Some(Best { metric: metric.to_owned(), value, epoch: self.epoch });
        }
        self.epoch += 1;
    }

    /// Refuses what no run can have written, so that nothing later need doubt it.
    pub fn check(&self, initial_epoch: usize) -> Result<(), String> {
        let (history, running) = (&self.history, &self.running);
        let done = self.epoch.checked_sub(initial_epoch).filter(|&n| n == history.epoch.len());
        let Some(done) = done else {
            return Err(format!("epoch {} does not follow {} epochs", self.epoch, history.epoch.len()));
        };
        let lengths = [&history.loss, &history.accuracy, &history.seconds].map(Vec::len);
        let validated = [history.val_loss.len(), history.val_accuracy.len()];
        // Those of before there was such a column have none.
        let later = [&history.learning_rate, &history.images_per_second];
        if lengths != [done; 3]
            || later.iter().any(|column| !column.is_empty() && column.len() != done)
            || (validated != [0; 2] && validated != [done; 2])
        {
            return Err("the columns of its history differ in length".into());
        }
        if history.epoch.iter().enumerate().any(|(i, &epoch)| epoch != initial_epoch + i) {
            return Err("the epochs of its history do not follow each other".into());
        }
        let last = history.epoch.last();
        let of_history = |epoch: Option<usize>| epoch.is_none_or(|e| history.epoch.contains(&e));
        if history.stopped_epoch.is_some_and(|e| last != Some(&e)) || !of_history(history.restored_epoch) {
            return Err("it was stopped, or goes back, at an epoch that it has not".into());
        }
        let finite = running.loss.is_finite() && running.seconds.is_finite();
        if !finite || running.correct > running.images || running.steps > running.batches {
            return Err("the sums of its epoch contradict each other".into());
        }
        Ok(())
    }
}
