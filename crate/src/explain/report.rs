//! Precision, recall and F1 of each class, and their averages.

use crate::Show;
use std::fmt;

use crate::explain::{confusion_matrix, ConfusionMatrix};
use crate::{Error, Result};

/// How well one class is found. What would divide by zero is 0, as with scikit-learn's
/// `zero_division=0`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassScores {
    /// The name of the class.
    pub name: String,
    /// Of the images that were taken for this class, the fraction that is.
    pub precision: f64,
    /// Of this class's images, the fraction that was found.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1_score: f64,
    /// Number of images of this class.
    pub support: usize,
}

/// Averages over the classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Average {
    /// Mean precision.
    pub precision: f64,
    /// Mean recall.
    pub recall: f64,
    /// Mean F1.
    pub f1_score: f64,
}

/// Precision, recall and F1 of each class, with their averages. Printed, it is scikit-learn's
/// `classification_report`.
#[derive(Clone, PartialEq)]
pub struct ClassificationReport {
    /// The classes, in the order of their labels.
    pub classes: Vec<ClassScores>,
    /// The fraction of images that are right.
    pub accuracy: f64,
    /// The mean over classes, each counting the same.
    pub macro_avg: Average,
    /// The mean over classes, each counting with its number of images.
    pub weighted_avg: Average,
    /// Number of images.
    pub support: usize,
}

/// Precision, recall, F1 and support of each class.
///
/// # Errors
/// As [`confusion_matrix`](crate::explain::confusion_matrix), and [`Error::Invalid`] where there are no images.
///
/// ```
/// use transfer::explain::classification_report;
///
/// let names = ["cats", "dogs"].map(String::from);
/// let report = classification_report(&[0, 0, 0, 1, 1], &[0, 0, 1, 1, 1], &names)?;
/// let expected = "              precision    recall  f1-score   support
///
///         cats       1.00      0.67      0.80         3
///         dogs       0.67      1.00      0.80         2
///
///     accuracy                           0.80         5
///    macro avg       0.83      0.83      0.80         5
/// weighted avg       0.87      0.80      0.80         5
/// ";
/// assert_eq!(report.to_string(), expected);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn classification_report(
    actual: &[u32],
    predicted: &[u32],
    class_names: &[String],
) -> Result<ClassificationReport> {
    confusion_matrix(actual, predicted, class_names)?.report()
}

impl ConfusionMatrix {
    /// Precision, recall, F1 and support of each class.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are no images.
    pub fn report(&self) -> Result<ClassificationReport> {
        let total = self.total();
        if total == 0 {
            return Err(Error::Invalid(
                "a classification report expected at least one image. Received none".into(),
            ));
        }
        let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        let scores = |(label, name): (usize, &String)| {
            let right = self.counts[(label, label)];
            let (actual, predicted) = (self.counts.row(label).sum(), self.counts.column(label).sum());
            ClassScores {
                name: name.clone(),
                precision: share(right, predicted),
                recall: share(right, actual),
                f1_score: share(2 * right, actual + predicted),
                support: actual,
            }
        };
        let classes: Vec<ClassScores> = self.class_names.iter().enumerate().map(scores).collect();
        let macro_avg = average(&classes, |_| 1.0);
        let weighted_avg = average(&classes, |class| class.support as f64);
        Ok(ClassificationReport {
            classes,
            accuracy: self.accuracy(),
            macro_avg,
            weighted_avg,
            support: total,
        })
    }
}

fn average(classes: &[ClassScores], weight: impl Fn(&ClassScores) -> f64) -> Average {
    // Divided once, at the end, as numpy does: half a cent of a score is rounded the same way.
    let all: f64 = classes.iter().map(&weight).sum();
    let mean = |value: fn(&ClassScores) -> f64| {
        classes.iter().map(|class| weight(class) * value(class)).sum::<f64>() / all
    };
    Average { precision: mean(|c| c.precision), recall: mean(|c| c.recall), f1_score: mean(|c| c.f1_score) }
}

impl fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.classes.iter().map(|class| class.name.shown().to_string().chars().count());
        let width = names.max().unwrap_or(0).max("weighted avg".len());
        writeln!(
            f,
            "{:>width$}  {:>9} {:>9} {:>9} {:>9}\n",
            "", "precision", "recall", "f1-score", "support"
        )?;
        for class in &self.classes {
            let ClassScores { name, precision, recall, f1_score, support } = class;
            let name = name.shown();
            writeln!(f, "{name:>width$}  {precision:>9.2} {recall:>9.2} {f1_score:>9.2} {support:>9}")?;
        }
        let support = self.support;
        writeln!(f, "\n{:>width$}  {:>9} {:>9} {:>9.2} {support:>9}", "accuracy", "", "", self.accuracy)?;
        for (name, average) in [("macro avg", &self.macro_avg), ("weighted avg", &self.weighted_avg)] {
            let Average { precision, recall, f1_score } = average;
            writeln!(f, "{name:>width$}  {precision:>9.2} {recall:>9.2} {f1_score:>9.2} {support:>9}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClassificationReport {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
