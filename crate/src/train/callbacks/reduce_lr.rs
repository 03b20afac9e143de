//! Lowers the learning rate where a training no longer gets better.

use crate::optim::Schedule;
use crate::train::callbacks::monitor::Monitor;
use crate::train::callbacks::{Callback, History, Progress};
use crate::{Error, Result};

/// Keras' `ReduceLROnPlateau`: after `patience` epochs without improvement the learning rate is multiplied by
/// `factor`. It counts for the `fit` that it was given to; the compiled rate stays as it is.
///
/// ```
/// use transfer::train::ReduceLrOnPlateau;
/// let lower = ReduceLrOnPlateau::new().factor(0.2).patience(2).min_lr(1e-6);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ReduceLrOnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: usize,
    cooldown: usize,
    min_lr: f64,
}

impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        Self::new()
    }
}

impl ReduceLrOnPlateau {
    /// A tenth of the rate where `val_loss` has not improved by at least 0.0001 for 10 epochs.
    pub fn new() -> Self {
        let monitor = Monitor::new("val_loss", 1e-4);
        ReduceLrOnPlateau { monitor, factor: 0.1, patience: 10, cooldown: 0, min_lr: 0.0 }
    }

    /// What to watch: `loss`, `accuracy`, `val_loss` or `val_accuracy`.
    pub fn monitor(mut self, name: &str) -> Self {
        self.monitor.name = name.to_owned();
        self
    }

    /// What the rate is multiplied by, above 0 and below 1.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
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

    /// So many epochs after a reduction are not counted.
    pub fn cooldown(mut self, epochs: usize) -> Self {
        self.cooldown = epochs;
        self
    }

    /// The rate never gets lower than this.
    pub fn min_lr(mut self, rate: f64) -> Self {
        self.min_lr = rate;
        self
    }
}

impl Callback for ReduceLrOnPlateau {
    fn on_train_begin(&self, run: &Progress<'_>) -> Result<()> {
        self.monitor.check("ReduceLrOnPlateau", run)?;
        let sane = self.factor > 0.0 && self.factor < 1.0 && self.min_lr.is_finite() && self.min_lr >= 0.0;
        if !sane {
            return Err(Error::Invalid(format!(
                "ReduceLrOnPlateau expected a factor above 0 and below 1, and a min_lr of at least 0. Received: \
                 factor {}, min_lr {}",
                self.factor, self.min_lr
            )));
        }
        if run.schedule != Schedule::Constant {
            return Err(Error::Invalid(format!(
                "fit expected either a schedule, which sets the learning rate of each step beforehand, or \
                 ReduceLrOnPlateau. Received: both, with {:?}. Leave one of them out.",
                run.schedule
            )));
        }
        Ok(())
    }

    /// Goes through the epochs as Keras' does.
    fn learning_rate(&self, mut rate: f64, history: &History) -> f64 {
        let (mut best, mut wait, mut cooling) = (None, 0, 0);
        for &value in self.monitor.values(history) {
            if cooling > 0 {
                cooling -= 1;
                wait = 0;
            }
            if self.monitor.is_improvement(value, best) {
                (best, wait) = (Some(value), 0);
            } else if cooling == 0 {
                wait += 1;
                if wait >= self.patience && rate > self.min_lr {
                    rate = (rate * self.factor).max(self.min_lr);
                    (cooling, wait) = (self.cooldown, 0);
                }
            }
        }
        rate
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
    fn rates_fall_where_keras_lowers_them() {
        let file: Value =
            serde_json::from_str(include_str!("../../../tests/api/recipe/reference.json")).unwrap();
        let mut lowered = 0;
        for (number, case) in file["reduce_lr"].as_array().unwrap().iter().enumerate() {
            let of = |key: &str| case[key].as_f64().unwrap();
            let lower = ReduceLrOnPlateau::new()
                .monitor(case["monitor"].as_str().unwrap())
                .factor(of("factor"))
                .patience(of("patience") as usize)
                .min_delta(of("min_delta"))
                .cooldown(of("cooldown") as usize)
                .min_lr(of("min_lr"));
            let values: Vec<f64> =
                case["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            for (epoch, theirs) in case["rates"].as_array().unwrap().iter().enumerate() {
                let seen = values[..epoch].to_vec();
                let history = History {
                    loss: seen.clone(),
                    accuracy: seen.clone(),
                    val_loss: seen.clone(),
                    val_accuracy: seen,
                    ..History::default()
                };
                let (ours, theirs) = (lower.learning_rate(of("rate"), &history), theirs.as_f64().unwrap());
                // Keras keeps the rate in f32.
                assert!(
                    (ours - theirs).abs() <= 1e-6 * theirs,
                    "case {number}, epoch {epoch}: {ours}, {theirs}"
                );
                lowered += usize::from(ours < of("rate"));
            }
        }
        assert!(lowered > 50, "{lowered}");
    }
}
