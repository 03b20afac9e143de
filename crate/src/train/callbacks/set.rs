//! The callbacks of one `fit`, together.

use std::sync::Arc;

use crate::train::callbacks::{Action, Callback, History, Progress};
use crate::{Error, Result};

/// In the order in which they were added.
#[derive(Debug, Clone, Default)]
pub(crate) struct Callbacks(Vec<Arc<dyn Callback>>);

impl Callbacks {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, callback: impl Callback + 'static) {
        self.0.push(Arc::new(callback));
    }

    /// What of them makes a run another run.
    pub fn facts(&self) -> Option<(&'static str, String)> {
        let deciding: Vec<String> = self.0.iter().filter_map(|callback| callback.decides()).collect();
        (!deciding.is_empty()).then(|| ("callbacks", deciding.join(", ")))
    }

    /// The learning rate of the next epoch.
    pub fn learning_rate(&self, rate: f64, history: &History) -> f64 {
        self.0.iter().fold(rate, |rate, callback| callback.learning_rate(rate, history))
    }

    pub fn train_begin(&self, run: &Progress<'_>) -> Result<()> {
        if self.0.iter().filter(|callback| callback.keeps_weights()).count() > 1 {
            return Err(Error::Invalid(
                "fit expected at most one callback that chooses the weights in the end. Received: more, such as two \
                 EarlyStopping with restore_best_weights."
                    .into(),
            ));
        }
        self.0.iter().try_for_each(|callback| callback.on_train_begin(run))
    }

    /// Whether to keep the weights, and whether to stop.
    pub fn epoch_end(&self, run: &Progress<'_>) -> Result<(bool, bool)> {
        let (mut keep, mut stop) = (false, false);
        for callback in &self.0 {
            match callback.on_epoch_end(run)? {
                Action::GoOn => {}
                Action::KeepWeights => keep = true,
                Action::Stop => stop = true,
            }
        }
        Ok((keep, stop))
    }

    pub fn train_end(&self, run: &Progress<'_>) -> Result<()> {
        self.0.iter().try_for_each(|callback| callback.on_train_end(run))
    }
}
