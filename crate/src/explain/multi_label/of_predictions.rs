//! The same numbers for the predictions of a model.

use super::{best_threshold, multi_label_report, MultiLabelReport};
use crate::train::Predictions;
use crate::Result;

impl Predictions {
    /// How good these predictions of several labels a photograph are, at a model's
    /// [`thresholds`](crate::model::Model::thresholds).
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where they are not of a data set whose photographs may have several
    /// labels, or there is not one threshold and one name for each class.
    pub fn multi_label_report(&self, thresholds: &[f32], class_names: &[String]) -> Result<MultiLabelReport> {
        multi_label_report(self.probabilities().view(), self.targets()?.view(), thresholds, class_names)
    }

    /// For each class the threshold with the highest F1 on these photographs, as [`best_threshold`]. Thresholds that
    /// were chosen on the photographs that a model was trained on suit these a little better than others.
    ///
    /// # Errors
    /// As [`multi_label_report`](Self::multi_label_report).
    ///
    /// ```no_run
    /// # fn example(model: &mut transfer::model::Model, train: &transfer::data::Dataset) -> transfer::Result<()> {
    /// let thresholds = model.predict(train)?.best_thresholds()?;
    /// model.set_thresholds(thresholds)?;
    /// # Ok(()) }
    /// ```
    pub fn best_thresholds(&self) -> Result<Vec<f32>> {
        let (probabilities, targets) = (self.probabilities(), self.targets()?);
        let classes = probabilities.columns().into_iter().zip(targets.columns());
        classes
            .map(|(p, z)| best_threshold(&z.iter().map(|&z| z > 0.5).collect::<Vec<_>>(), &p.to_vec()))
            .collect()
    }
}
