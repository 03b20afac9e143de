//! Precision, recall, F1 and average precision of each label, and their averages.

use super::scores::average_precision_score;
use crate::explain::Average;
use crate::{Error, Result, Show};
use ndarray::ArrayView2;
use std::fmt;

/// How well one label is found. What would divide by zero is 0, as with scikit-learn's `zero_division=0`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LabelScores {
    /// The label.
    pub name: String,
    /// The probability above which an image has it.
    pub threshold: f32,
    /// Of the images that were given the label, the fraction that has it.
    pub precision: f64,
    /// Of the images that have it, the fraction that was given it.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1_score: f64,
    /// The average precision, which depends on no threshold; `None` where no image has the label.
    pub average_precision: Option<f64>,
    /// Number of images that have it.
    pub support: usize,
}

/// How good predictions of several labels a photograph are. Printed, it is a table.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct MultiLabelReport {
    /// The labels, in the order of the classes.
    pub labels: Vec<LabelScores>,
    /// Of all labels of all images together.
    pub micro_avg: Average,
    /// The mean over the labels.
    pub macro_avg: Average,
    /// The mean over the labels that some image has (mAP); 0 where there is none.
    pub mean_average_precision: f64,
    /// The fraction of images with exactly the right labels: scikit-learn's `accuracy_score`.
    pub subset_accuracy: f64,
    /// The fraction of all labels of all images that is wrong.
    pub hamming_loss: f64,
    /// Number of images.
    pub images: usize,
}

/// The report for `probabilities` `(n, classes)` and `targets` of the same shape, which are 1 where an image has the
/// label, else 0. An image is given each label whose probability is above its threshold.
///
/// # Errors
/// [`Error::Invalid`] where there are no images, shapes contradict each other, or a probability is not finite.
///
/// ```
/// use ndarray::array;
/// use transfer::explain::multi_label_report;
/// let names = ["cat", "dog"].map(String::from);
/// let (probabilities, targets) = (array![[0.9, 0.2], [0.4, 0.7]], array![[1.0, 0.0], [1.0, 1.0]]);
/// let report = multi_label_report(probabilities.view(), targets.view(), &[0.5, 0.5], &names)?;
/// assert_eq!((report.labels[0].recall, report.subset_accuracy), (0.5, 0.5));
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn multi_label_report(
    probabilities: ArrayView2<'_, f32>,
    targets: ArrayView2<'_, f32>,
    thresholds: &[f32],
    class_names: &[String],
) -> Result<MultiLabelReport> {
    let (n, classes) = probabilities.dim();
    if targets.dim() != (n, classes)
        || thresholds.len() != classes
        || class_names.len() != classes
        || n * classes == 0
    {
        return Err(Error::Invalid(format!(
            "multi_label_report expected probabilities and targets (n, classes), at least one image, and a threshold and \
             a name for each class. Received: {:?}, {:?}, {} thresholds, {} names",
            probabilities.dim(),
            targets.dim(),
            thresholds.len(),
            class_names.len()
        )));
    }
    let mut labels = Vec::with_capacity(classes);
    let (mut both, mut given, mut has) = (0, 0, 0);
    for (class, (name, &threshold)) in class_names.iter().zip(thresholds).enumerate() {
        let scores = probabilities.column(class).to_vec();
        let actual: Vec<bool> = targets.column(class).iter().map(|&z| z > 0.5).collect();
        let taken: Vec<bool> = scores.iter().map(|&p| p > threshold).collect();
        let hits = taken.iter().zip(&actual).filter(|(taken, actual)| **taken && **actual).count();
        let count = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count();
        let (of_label, support) = (count(&taken), count(&actual));
        let Average { precision, recall, f1_score } = scores_of(hits, of_label, support);
        (both, given, has) = (both + hits, given + of_label, has + support);
        labels.push(LabelScores {
            name: name.clone(),
            threshold,
            precision,
            recall,
            f1_score,
            average_precision: average_precision_score(&actual, &scores)?,
            support,
        });
    }
    let mean = |of: fn(&LabelScores) -> f64| labels.iter().map(of).sum::<f64>() / classes as f64;
    let macro_avg = Average {
        precision: mean(|l| l.precision),
        recall: mean(|l| l.recall),
        f1_score: mean(|l| l.f1_score),
    };
    let known: Vec<f64> = labels.iter().filter_map(|label| label.average_precision).collect();
    let right = probabilities.rows().into_iter().zip(targets.rows()).filter(|(p, z)| {
        p.iter().zip(z).zip(thresholds).all(|((p, z), threshold)| (p > threshold) == (*z > 0.5))
    });
    Ok(MultiLabelReport {
        micro_avg: scores_of(both, given, has),
        macro_avg,
        mean_average_precision: known.iter().sum::<f64>() / known.len().max(1) as f64,
        subset_accuracy: right.count() as f64 / n as f64,
        hamming_loss: (given + has - 2 * both) as f64 / (n * classes) as f64,
        images: n,
        labels,
    })
}

/// Precision, recall and F1 where `hits` of `given` and of `has` are right.
fn scores_of(hits: usize, given: usize, has: usize) -> Average {
    let part = |n: usize, of: usize| if of == 0 { 0.0 } else { n as f64 / of as f64 };
    Average { precision: part(hits, given), recall: part(hits, has), f1_score: part(2 * hits, given + has) }
}

impl fmt::Display for MultiLabelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.labels.iter().map(|label| label.name.shown().to_string().chars().count());
        let width = names.max().unwrap_or(0).clamp("micro avg".len(), 40);
        writeln!(
            f,
            "{:<width$}  threshold  precision  recall  f1-score  average precision  support",
            "label"
        )?;
        for label in &self.labels {
            let average = label.average_precision.map_or("-".to_owned(), |ap| format!("{ap:.4}"));
            writeln!(
                f,
                "{:<width$}  {:>9.4}  {:>9.4}  {:>6.4}  {:>8.4}  {average:>17}  {:>7}",
                label.name.shown(),
                label.threshold,
                label.precision,
                label.recall,
                label.f1_score,
                label.support
            )?;
        }
        let (micro, mean) = (self.micro_avg, self.macro_avg);
        let map = format!("{:.4}", self.mean_average_precision);
        for (name, average, map) in [("micro avg", micro, String::new()), ("macro avg", mean, map)] {
            writeln!(
                f,
                "{name:<width$}  {:>9}  {:>9.4}  {:>6.4}  {:>8.4}  {map:>17}",
                "", average.precision, average.recall, average.f1_score
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for MultiLabelReport {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use serde_json::Value;

    #[test]
    fn the_report_is_scikit_learns() {
        let file: Value =
            serde_json::from_str(include_str!("../../../tests/api/multi_label/reference.json")).unwrap();
        let cases = file["reports"].as_array().unwrap();
        assert!(cases.len() > 5);
        for case in cases {
            let rows = |name: &str| -> Array2<f32> {
                let all = case[name].as_array().unwrap();
                let columns = all[0].as_array().unwrap().len();
                Array2::from_shape_fn((all.len(), columns), |(i, j)| all[i][j].as_f64().unwrap() as f32)
            };
            let (p, z) = (rows("probabilities"), rows("targets"));
            let thresholds: Vec<f32> = rows("thresholds").row(0).to_vec();
            let names: Vec<String> = (0..p.ncols()).map(|i| i.to_string()).collect();
            let report = multi_label_report(p.view(), z.view(), &thresholds, &names).unwrap();
            let close = |ours: f64, theirs: &Value| {
                assert!((ours - theirs.as_f64().unwrap()).abs() < 1e-9, "{ours} {theirs}");
            };
            for (i, label) in report.labels.iter().enumerate() {
                close(label.precision, &case["precision"][i]);
                close(label.recall, &case["recall"][i]);
                close(label.f1_score, &case["f1"][i]);
                match label.average_precision {
                    Some(ap) => close(ap, &case["average_precision"][i]),
                    None => assert_eq!(label.support, 0),
                }
            }
            for (name, ours) in [("micro", report.micro_avg), ("macro", report.macro_avg)] {
                close(ours.precision, &case[name][0]);
                close(ours.recall, &case[name][1]);
                close(ours.f1_score, &case[name][2]);
            }
            close(report.mean_average_precision, &case["map"]);
            close(report.subset_accuracy, &case["subset_accuracy"]);
            close(report.hamming_loss, &case["hamming_loss"]);
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let p = Array2::<f32>::zeros((2, 3));
        let names = ["a", "b", "c"].map(String::from);
        assert!(multi_label_report(p.view(), Array2::zeros((3, 2)).view(), &[0.5; 3], &names).is_err());
        assert!(multi_label_report(p.view(), p.view(), &[0.5; 2], &names).is_err());
        assert!(multi_label_report(
            Array2::zeros((0, 3)).view(),
            Array2::zeros((0, 3)).view(),
            &[0.5; 3],
            &names
        )
        .is_err());
    }
}
