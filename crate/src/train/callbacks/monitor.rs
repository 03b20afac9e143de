//! The number that a callback watches, and when it counts as better.

use crate::train::callbacks::{History, Progress};
use crate::{Error, Result};

/// A column of the history, by Keras' name, and which way is better.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Monitor {
    pub name: String,
    /// Smaller changes than this are none.
    pub min_delta: f64,
}

/// The names that can be watched.
const NAMES: [&str; 4] = ["loss", "accuracy", "val_loss", "val_accuracy"];

impl Monitor {
    pub fn new(name: &str, min_delta: f64) -> Self {
        Monitor { name: name.to_owned(), min_delta }
    }

    /// Refuses a name that the run has no numbers for.
    pub fn check(&self, who: &str, run: &Progress<'_>) -> Result<()> {
        if !NAMES.contains(&self.name.as_str()) {
            return Err(Error::Invalid(format!(
                "{who} expected to monitor one of {}. Received: {:?}",
                NAMES.join(", "),
                self.name
            )));
        }
        if self.name.starts_with("val_") && !run.validated {
            return Err(Error::Invalid(format!(
                "{who} monitors {}, which needs validation data. Add it with `.validation_data(&dataset)`, or \
                 monitor {}.",
                self.name,
                &self.name[4..]
            )));
        }
        if !(self.min_delta.is_finite() && self.min_delta >= 0.0) {
            return Err(Error::Invalid(format!(
                "{who} expected a min_delta of at least 0. Received: {}",
                self.min_delta
            )));
        }
        Ok(())
    }

    /// The column of the history; empty for a name that was not checked.
    pub fn values<'a>(&self, history: &'a History) -> &'a [f64] {
        match self.name.as_str() {
            "loss" => &history.loss,
            "accuracy" => &history.accuracy,
            "val_loss" => &history.val_loss,
            "val_accuracy" => &history.val_accuracy,
            _ => &[],
        }
    }

    /// Keras' question: better than `best` by more than the least change. Anything is better than nothing.
    pub fn is_improvement(&self, value: f64, best: Option<f64>) -> bool {
        let Some(best) = best else { return true };
        match self.name.ends_with("accuracy") {
            true => value - self.min_delta > best,
            false => value + self.min_delta < best,
        }
    }
}
