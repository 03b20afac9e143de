//! What a model says of itself: cross-validation, calibration, novelty.

use std::sync::Arc;

use super::cross_validation::CrossValidation;
use super::novelty::Novelty;
use super::temperature::Calibration;
use crate::model::Model;
use crate::{Error, Result};

impl Model {
    /// What k-fold cross-validation said of the head when the model was trained; `None` where it was not asked for.
    pub fn cross_validation(&self) -> Option<&CrossValidation> {
        self.trust.cross_validation.as_ref()
    }

    /// The temperature that logits are divided by before they become probabilities, and where it comes from; `None`
    /// where the model was not calibrated.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.trust.calibration.as_ref()
    }

    /// The temperature that logits are divided by before they become probabilities; 1 where the model was not
    /// calibrated.
    pub fn temperature(&self) -> f64 {
        self.trust.calibration.map_or(1.0, |calibration| calibration.temperature)
    }

    /// Sets the calibration, such as one of [`temperature_scaling`](crate::model::temperature_scaling); `None` takes it away. Predicted classes stay the
    /// same. Training takes it away, too.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a temperature that is not from 0.001 to 1000.
    pub fn set_calibration(&mut self, calibration: Option<Calibration>) -> Result<()> {
        if let Some(calibration) = &calibration {
            calibration.check().map_err(|what| Error::Invalid(format!("set_calibration {what}")))?;
        }
        self.trust.calibration = calibration;
        Ok(())
    }

    /// What tells photographs that are none of the classes; `None` where nothing was fitted
    /// ([`fit_novelty`](Self::fit_novelty)).
    pub fn novelty(&self) -> Option<&Novelty> {
        self.trust.novelty.as_deref()
    }

    /// The same with another rate of known photographs that may be called unknown, or `None`: then no photograph is
    /// called unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the model has nothing that tells them, or the rate is not between 0 and 1.
    pub fn set_unknown_rate(&mut self, rate: Option<f64>) -> Result<()> {
        let Some(rate) = rate else {
            self.trust.novelty = None;
            return Ok(());
        };
        let Some(novelty) = self.novelty() else {
            return Err(Error::Invalid(
                "set_unknown_rate expected a model that tells unknown photographs. Received one that does not: it was \
                 saved by an earlier version, or nothing was fitted. Train it again, or call fit_novelty."
                    .into(),
            ));
        };
        self.trust.novelty = Some(Arc::new(novelty.with_rate(rate)?));
        Ok(())
    }
}
