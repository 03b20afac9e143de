//! Ends a training that no longer gets better.

use crate::train::callbacks::monitor::Monitor;
use crate::train::callbacks::{Action, Callback, History, Progress};
use crate::Result;

/// Keras' `EarlyStopping`: ends the training after `patience` epochs without improvement.
///
/// ```
/// use transfer::train::EarlyStopping;
/// let stop = EarlyStopping::new().monitor("val_accuracy").patience(5).restore_best_weights(true);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    baseline: Option<f64>,
    restore_best_weights: bool,
    start_from_epoch: usize,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self::new()
    }
}

/// What the history so far comes to.
#[derive(Debug, PartialEq)]
struct Verdict {
    /// Number of the best epoch, from 0.
    best: Option<usize>,
    stop: bool,
}

impl EarlyStopping {
    /// Watches `val_loss`, and stops after the first epoch that is not better than the best before.
    pub fn new() -> Self {
        EarlyStopping {
            monitor: Monitor::new("val_loss", 0.0),
            patience: 0,
            baseline: None,
            restore_best_weights: false,
            start_from_epoch: 0,
        }
    }

    /// What to watch: `loss`, `accuracy`, `val_loss` or `val_accuracy`.
    pub fn monitor(mut self, name: &str) -> Self {
        self.monitor.name = name.to_owned();
        self
    }

    /// So many epochs in a row may be no better than the best one before.
    pub fn patience(mut self, epochs: usize) -> Self {
        self.patience = epochs;
        self
    }

    /// Improvements of less than this are none.
    pub fn min_delta(mut self, delta: f64) -> Self {
        self.monitor.min_delta = delta;
        self
    }

    /// An epoch counts as an improvement only if it is better than this, too.
    pub fn baseline(mut self, value: f64) -> Self {
        self.baseline = Some(value);
        self
    }

    /// Whether the model has the weights of the best epoch in the end, also where the training was not
    /// stopped, instead of the last one's. The optimizer's state stays that of the last.
    pub fn restore_best_weights(mut self, yes: bool) -> Self {
        self.restore_best_weights = yes;
        self
    }

    /// Epochs before this one, by its number from 0, are not looked at.
    pub fn start_from_epoch(mut self, epoch: usize) -> Self {
        self.start_from_epoch = epoch;
        self
    }

    /// Goes through the epochs as Keras' does.
    fn verdict(&self, history: &History) -> Verdict {
        let (mut best, mut best_value, mut wait) = (None, None, 0);
        for (&epoch, &value) in history.epoch.iter().zip(self.monitor.values(history)) {
            if epoch < self.start_from_epoch {
                continue;
            }
            wait += 1;
            if self.monitor.is_improvement(value, best_value) {
                (best, best_value) = (Some(epoch), Some(value));
                if self.baseline.is_none() || self.monitor.is_improvement(value, self.baseline) {
                    wait = 0;
                }
            } else if wait >= self.patience && epoch > 0 {
                return Verdict { best, stop: true };
            }
        }
        Verdict { best, stop: false }
    }
}

impl Callback for EarlyStopping {
    fn on_train_begin(&self, run: &Progress<'_>) -> Result<()> {
        self.monitor.check("EarlyStopping", run)
    }

    fn on_epoch_end(&self, run: &Progress<'_>) -> Result<Action> {
        let verdict = self.verdict(run.history);
        let now = verdict.best.is_some() && verdict.best == run.history.epoch.last().copied();
        Ok(match (verdict.stop, now && self.restore_best_weights) {
            (true, _) => Action::Stop,
            (false, true) => Action::KeepWeights,
            (false, false) => Action::GoOn,
        })
    }

    fn keeps_weights(&self) -> bool {
        self.restore_best_weights
    }

    fn decides(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn epochs_end_and_the_best_one_is_where_keras_has_them() {
        let file: Value =
            serde_json::from_str(include_str!("../../../tests/api/recipe/reference.json")).unwrap();
        let cases = file["early_stopping"].as_array().unwrap();
        let (mut stopped, mut ended) = (0, 0);
        for (number, case) in cases.iter().enumerate() {
            let whole = |key: &str| case[key].as_u64().map(|v| v as usize);
            let mut stop = EarlyStopping::new()
                .monitor(case["monitor"].as_str().unwrap())
                .patience(whole("patience").unwrap())
                .min_delta(case["min_delta"].as_f64().unwrap())
                .start_from_epoch(whole("start_from_epoch").unwrap());
            if let Some(baseline) = case["baseline"].as_f64() {
                stop = stop.baseline(baseline);
            }
            let mut history = History::default();
            let values = case["values"].as_array().unwrap();
            let mut verdict = Verdict { best: None, stop: false };
            for (epoch, value) in values.iter().enumerate() {
                history.epoch.push(epoch);
                let value = value.as_f64().unwrap();
                for column in [
                    &mut history.loss,
                    &mut history.accuracy,
                    &mut history.val_loss,
                    &mut history.val_accuracy,
                ] {
                    column.push(value);
                }
                verdict = stop.verdict(&history);
                if verdict.stop {
                    break;
                }
            }
            assert_eq!(history.epochs(), whole("epochs").unwrap(), "case {number}");
            let at = verdict.stop.then(|| history.epochs() - 1);
            assert_eq!(at, whole("stopped_epoch"), "case {number}");
            // Without a best one Keras has the weights of the end.
            let best = verdict.best.unwrap_or(history.epochs() - 1);
            assert_eq!(best, whole("best_epoch").unwrap(), "case {number}");
            *(if verdict.stop { &mut stopped } else { &mut ended }) += 1;
        }
        assert!(stopped > 10 && ended > 10, "{stopped} stopped, {ended} did not");
    }
}
