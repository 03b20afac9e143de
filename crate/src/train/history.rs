//! What `fit` measured, epoch by epoch.

use serde::{Deserialize, Serialize};

#[cfg(feature = "plot")]
use crate::plot::LearningCurves;

/// Losses and accuracies of each epoch, by Keras' names. A second phase is appended with
/// [`extend`](Self::extend).
///
/// ```
/// use transfer::train::History;
/// let mut history = History::default();
/// assert_eq!(history.epochs(), 0);
/// history.extend(&History::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Number of each epoch, from 0.
    pub epoch: Vec<usize>,
    /// Training loss: the mean over the epoch, taken while the weights changed and with dropout.
    pub loss: Vec<f64>,
    /// Training accuracy, taken likewise.
    pub accuracy: Vec<f64>,
    /// Loss on the validation set after the epoch; empty without one.
    pub val_loss: Vec<f64>,
    /// Accuracy on the validation set after the epoch; empty without one.
    pub val_accuracy: Vec<f64>,
    /// Learning rate in the last step of each epoch: of the head, where layers have rates of their own.
    #[serde(default)]
    pub learning_rate: Vec<f64>,
    /// Seconds that each epoch took, validation included.
    pub seconds: Vec<f64>,
    /// Photographs of the training set that were trained on in a second, validation not included; 0 for an epoch of a
    /// version that did not note it.
    #[serde(default)]
    pub images_per_second: Vec<f64>,
    /// The epoch that a callback such as `EarlyStopping` made the last one of its phase, by its number from 0;
    /// `None` where the phase ended as it was asked to.
    #[serde(default)]
    pub stopped_epoch: Option<usize>,
    /// The epoch whose weights the model got at the end of its phase, where a callback chose one.
    #[serde(default)]
    pub restored_epoch: Option<usize>,
    /// What [`fine_tune`](crate::model::Model::fine_tune) kept of fine-tuning; `None` where it did not decide.
    #[serde(default)]
    pub kept: Option<Kept>,
    /// Number of epochs before the phase that was appended last; `None` while there is one phase.
    pub fine_tune_start: Option<usize>,
}

/// What [`fine_tune`](crate::model::Model::fine_tune) kept, and why.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Kept {
    /// How far the weights went from the head alone (0) to the fine-tuned ones (1).
    pub share: f64,
    /// Number of training photographs that were held out of fine-tuning to decide it.
    pub held_out: usize,
    /// Mean loss on them with the head alone.
    pub head_loss: f64,
    /// The least mean loss on them with any share of fine-tuning.
    pub fine_tuned_loss: f64,
    /// Loss of what was kept on the validation set, which decided nothing; `None` without one.
    pub val_loss: Option<f64>,
    /// Accuracy of what was kept on the validation set; `None` without one.
    pub val_accuracy: Option<f64>,
}

impl History {
    /// The mean of runs of equally many epochs, number by number; their seconds are summed.
    pub(crate) fn mean(runs: &[History]) -> History {
        let Some(first) = runs.first() else { return History::default() };
        let sums = |of: fn(&History) -> &Vec<f64>| -> Vec<f64> {
            let sum = |i: usize| runs.iter().map(|run| of(run).get(i).copied().unwrap_or(f64::NAN)).sum();
            (0..of(first).len()).map(sum).collect()
        };
        let means = |of| sums(of).into_iter().map(|sum| sum / runs.len() as f64).collect();
        History {
            loss: means(|run| &run.loss),
            accuracy: means(|run| &run.accuracy),
            val_loss: means(|run| &run.val_loss),
            val_accuracy: means(|run| &run.val_accuracy),
            seconds: sums(|run| &run.seconds),
            images_per_second: means(|run| &run.images_per_second),
            ..first.clone()
        }
    }

    /// Number of epochs.
    pub fn epochs(&self) -> usize {
        self.epoch.len()
    }

    /// Appends the epochs of a later `fit`.
    pub fn extend(&mut self, later: &History) {
        if self.epochs() > 0 && later.epochs() > 0 {
            self.fine_tune_start = Some(self.epochs());
        }
        self.epoch.extend(&later.epoch);
        self.loss.extend(&later.loss);
        self.accuracy.extend(&later.accuracy);
        self.val_loss.extend(&later.val_loss);
        self.val_accuracy.extend(&later.val_accuracy);
        self.learning_rate.extend(&later.learning_rate);
        self.seconds.extend(&later.seconds);
        self.images_per_second.extend(&later.images_per_second);
        self.kept = later.kept.or(self.kept);
        if later.epochs() > 0 {
            (self.stopped_epoch, self.restored_epoch) = (later.stopped_epoch, later.restored_epoch);
        }
    }

    /// The curves for [`learning_curves`](crate::plot::learning_curves), with the line where a second
    /// phase was appended.
    #[cfg(feature = "plot")]
    pub fn curves(&self) -> LearningCurves {
        LearningCurves {
            accuracy: self.accuracy.clone(),
            val_accuracy: self.val_accuracy.clone(),
            loss: self.loss.clone(),
            val_loss: self.val_loss.clone(),
            fine_tune_start: self.fine_tune_start,
        }
    }
}
