//! Models of several labels a photograph: above which probability a photograph has a label.

use crate::loss::Loss;
use crate::model::Model;
use crate::{Error, Result};

/// Refuses thresholds that are none.
pub(super) fn check_thresholds(thresholds: &[f32], units: usize) -> Result<(), String> {
    let fits = |t: &f32| (0.0..=1.0).contains(t);
    match thresholds.len() == units && thresholds.iter().all(fits) {
        true => Ok(()),
        false => Err(format!("expected {units} thresholds from 0 to 1. Received: {thresholds:?}")),
    }
}

/// The threshold of each class where a photograph may have several: 0.5 each where nobody said.
pub(super) fn thresholds_or_half(thresholds: &[f32], units: usize) -> Vec<f32> {
    match thresholds.is_empty() {
        true => vec![0.5; units],
        false => thresholds.to_vec(),
    }
}

impl Model {
    /// Whether a photograph may have several labels: the model was compiled with
    /// [`Loss::MultiLabelBinaryCrossentropy`].
    pub fn is_multi_label(&self) -> bool {
        self.compiled.as_ref().is_some_and(|compiled| compiled.loss == Loss::MultiLabelBinaryCrossentropy)
    }

    /// The probability of each class above which a photograph has the label; 0.5 each where nobody said. Empty where a
    /// photograph has one label.
    pub fn thresholds(&self) -> Vec<f32> {
        match self.is_multi_label() {
            false => Vec::new(),
            true => thresholds_or_half(&self.thresholds, self.units()),
        }
    }

    /// Sets [`thresholds`](Self::thresholds), for instance those with the best F1
    /// ([`best_threshold`](crate::explain::best_threshold)) on photographs that are not the test set.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a photograph has one label, there is not one threshold for each class, or one does not lie
    /// between 0 and 1.
    pub fn set_thresholds(&mut self, thresholds: Vec<f32>) -> Result<()> {
        if !self.is_multi_label() {
            return Err(Error::Invalid(
                "set_thresholds expected a model of several labels a photograph. Received a model of one label each."
                    .into(),
            ));
        }
        check_thresholds(&thresholds, self.units())
            .map_err(|what| Error::Invalid(format!("set_thresholds {what}")))?;
        self.thresholds = thresholds;
        Ok(())
    }
}
