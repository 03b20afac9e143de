//! Loss and accuracy of a data set.

use crate::data::Dataset;
use crate::loss::actual::Actual;
use crate::model::Model;
use crate::train::evaluation::Evaluation;
use crate::train::predict::check_outputs;
use crate::train::report;
use crate::{Result, Show};

impl Model {
    /// Loss and accuracy of `dataset`, without augmentation and dropout.
    ///
    /// # Errors
    /// Where the model is not compiled, the data set does not fit it or cannot be read, or an output is not finite.
    pub fn evaluate(&self, dataset: &Dataset) -> Result<Evaluation> {
        report::check()?;
        let name = |i: usize| dataset.file_path(i).unwrap_or_default().shown().to_string();
        let evaluation = self.measure_with(dataset, |logits, of: &[usize]| {
            check_outputs(logits, self.units(), |i| name(of[i]))
        })?;
        report::evaluated(dataset, &evaluation);
        Ok(evaluation)
    }

    /// The same for whoever looks at the loss: where an output is not finite, neither is the loss.
    pub(crate) fn measure(&self, dataset: &Dataset) -> Result<Evaluation> {
        self.measure_with(dataset, |_, _| Ok(()))
    }

    fn measure_with(
        &self,
        dataset: &Dataset,
        check: impl Fn(&[f32], &[usize]) -> Result<()>,
    ) -> Result<Evaluation> {
        let (loss, units, temperature) = (self.loss()?, self.units(), self.temperature() as f32);
        let (mut sum, mut images, mut correct) = (0.0, 0, 0);
        self.each_batch(dataset, &mut |logits, labels, indices| {
            let labels = Actual::of(dataset, labels);
            loss.check_labels(units, labels)?;
            check(logits, indices)?;
            let scaled: Vec<f32> = logits.iter().map(|logit| logit / temperature).collect();
            sum += match logits.iter().all(|logit| logit.is_finite()) {
                true => loss.sum(&scaled, labels, units),
                // Minus infinity for another class than the right one would go unnoticed.
                false => f64::NAN,
            };
            correct += loss.correct(logits, labels, units);
            images += labels.labels.len();
            Ok(())
        })?;
        let n = images.max(1) as f64;
        Ok(Evaluation { loss: sum / n, accuracy: correct as f64 / n, images, errors: images - correct })
    }
}
