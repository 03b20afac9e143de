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
    /// The epoch that a callback such as `EarlyStopping` made the last one of its phase, by its number from 0;
    /// `None` where the phase ended as it was asked to.
    #[serde(default)]
    pub stopped_epoch: Option<usize>,
    /// The epoch whose weights the model got at the end of its phase, where a callback chose one.
    #[serde(default)]
    pub restored_epoch: Option<usize>,
    /// Number of epochs before the phase that was appended last; `None` while there is one phase.
    pub fine_tune_start: Option<usize>,
}

impl History {
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
