//! Loss and accuracy of a data set.

use super::report;
use crate::data::Dataset;
use crate::model::Model;
use crate::Result;

/// Loss and accuracy of a data set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean loss of an image.
    pub loss: f64,
    /// Fraction of the images that are right.
    pub accuracy: f64,
    /// Number of images.
    pub images: usize,
    /// Number of images that are wrong.
    pub errors: usize,
}

impl Model {
    /// Loss and accuracy of `dataset`, without augmentation and dropout.
    ///
    /// # Errors
    /// Where the model is not compiled, or the data set does not fit it or cannot be read.
    pub fn evaluate(&self, dataset: &Dataset) -> Result<Evaluation> {
        report::check()?;
        let evaluation = self.measure(dataset)?;
        report::evaluated(dataset, &evaluation);
        Ok(evaluation)
    }

    pub(crate) fn measure(&self, dataset: &Dataset) -> Result<Evaluation> {
        let (loss, units) = (self.loss()?, self.units());
        let (mut sum, mut images, mut correct) = (0.0, 0, 0);
        self.each_batch(dataset, &mut |logits, labels, _| {
            loss.check_labels(units, labels)?;
            sum += loss.sum(logits, labels, units);
            correct += loss.correct(logits, labels, units);
            images += labels.len();
            Ok(())
        })?;
        let n = images.max(1) as f64;
        Ok(Evaluation { loss: sum / n, accuracy: correct as f64 / n, images, errors: images - correct })
    }
}
