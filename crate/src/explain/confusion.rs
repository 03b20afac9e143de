//! Which class is taken for which.

use crate::Show;
use std::fmt;

use ndarray::Array2;

use crate::model::{wilson_interval, Interval};
#[cfg(feature = "plot")]
use crate::plot::{confusion_matrix_figure, Figure};
use crate::{Error, Result};

/// How often each class was predicted as each.
///
/// Printed, it is a table; [`figure`](Self::figure) draws it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// Numbers of images, (classes, classes): a row for each actual class, a column for each
    /// predicted one.
    pub counts: Array2<usize>,
    /// The names of the classes; a label is a position in it.
    pub class_names: Vec<String>,
}

/// Counts for each actual class how often each class was predicted. Without images all counts are 0.
///
/// # Errors
/// [`Error::Shape`] where there is not one prediction for each label; [`Error::Invalid`] where
/// there is no class, or a label has no name.
///
/// ```
/// use transfer::explain::confusion_matrix;
///
/// let names = ["cats", "dogs"].map(String::from);
/// let matrix = confusion_matrix(&[0, 0, 0, 1, 1], &[0, 0, 1, 1, 1], &names)?;
/// assert_eq!(matrix.counts, ndarray::array![[2, 1], [0, 2]]);
/// assert_eq!(matrix.accuracy(), 0.8);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn confusion_matrix(
    actual: &[u32],
    predicted: &[u32],
    class_names: &[String],
) -> Result<ConfusionMatrix> {
    if actual.len() != predicted.len() {
        return Err(Error::Shape(format!(
            "confusion_matrix expected one predicted class for each actual one. Received: {} actual, {} predicted",
            actual.len(),
            predicted.len()
        )));
    }
    let n = class_names.len();
    if n == 0 {
        return Err(Error::Invalid(
            "confusion_matrix expected the names of the classes. Received none; pass dataset.class_names()"
                .into(),
        ));
    }
    for (what, labels) in [("actual", actual), ("predicted", predicted)] {
        if let Some((i, label)) = labels.iter().enumerate().find(|(_, label)| **label as usize >= n) {
            return Err(Error::Invalid(format!(
                "confusion_matrix expected labels from 0 to {} for {n} class names. Received: {what} label {label} \
                 for image {i}",
                n - 1
            )));
        }
    }
    let mut counts = Array2::zeros((n, n));
    for (&actual, &predicted) in actual.iter().zip(predicted) {
        counts[(actual as usize, predicted as usize)] += 1;
    }
    Ok(ConfusionMatrix { counts, class_names: class_names.to_vec() })
}

impl ConfusionMatrix {
    /// Number of images.
    pub fn total(&self) -> usize {
        self.counts.sum()
    }

    /// Number of images that were taken for another class.
    pub fn errors(&self) -> usize {
        self.total() - self.counts.diag().sum()
    }

    /// The fraction of images that are right; not a number where there are no images.
    pub fn accuracy(&self) -> f64 {
        self.counts.diag().sum() as f64 / self.total() as f64
    }

    /// The 95 % interval of the accuracy: see [`wilson_interval`].
    ///
    /// # Errors
    /// Where there are no images.
    pub fn accuracy_interval(&self) -> Result<Interval> {
        wilson_interval(self.counts.diag().sum(), self.total())
    }

    /// The fractions of each actual class's images, so that a row's sum is 1, or 0 for a class
    /// without images: scikit-learn's `normalize="true"`.
    pub fn normalized(&self) -> Array2<f64> {
        let mut shares = self.counts.mapv(|count| count as f64);
        for mut row in shares.rows_mut() {
            let sum = row.sum();
            if sum > 0.0 {
                row /= sum;
            }
        }
        shares
    }

    /// The matrix as a picture: counts, shaded by their part of the actual class.
    ///
    /// # Errors
    /// As [`confusion_matrix_figure`].
    #[cfg(feature = "plot")]
    pub fn figure(&self) -> Result<Figure> {
        confusion_matrix_figure(&self.counts, &self.class_names)
    }
}

impl fmt::Display for ConfusionMatrix {
    /// Actual classes from top to bottom, predicted ones from left to right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |text: &str| text.chars().count();
        let class_names: Vec<String> = self.class_names.iter().map(|name| name.shown().to_string()).collect();
        let names = class_names.iter().map(|name| length(name)).max().unwrap_or(0);
        let head = names.max(length("actual"));
        let cell = names.max(self.counts.iter().map(|count| count.to_string().len()).max().unwrap_or(0));
        writeln!(f, "{:>head$}   predicted", "actual")?;
        write!(f, "{:>head$}", "")?;
        for name in &class_names {
            write!(f, "  {name:>cell$}")?;
        }
        for (name, row) in class_names.iter().zip(self.counts.rows()) {
            write!(f, "\n{name:>head$}")?;
            for count in row {
                write!(f, "  {count:>cell$}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ConfusionMatrix {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> [String; 2] {
        ["cats", "dogs"].map(String::from)
    }

    #[test]
    fn printed_it_is_a_table_with_names() {
        let matrix = confusion_matrix(&[0, 0, 1, 1, 1], &[0, 1, 1, 1, 1], &names()).unwrap();
        assert_eq!(
            matrix.to_string(),
            "actual   predicted\n        cats  dogs\n  cats     1     1\n  dogs     0     3"
        );
        assert_eq!(format!("{matrix:?}"), matrix.to_string());
    }

    #[test]
    fn shares_are_of_the_actual_class_and_nothing_is_divided_by_zero() {
        let matrix = confusion_matrix(&[0, 0, 0, 0], &[0, 1, 1, 1], &names()).unwrap();
        assert_eq!(matrix.normalized(), ndarray::array![[0.25, 0.75], [0.0, 0.0]]);
        assert_eq!((matrix.errors(), matrix.total(), matrix.accuracy()), (3, 4, 0.25));
        let nothing = confusion_matrix(&[], &[], &names()).unwrap();
        assert!(nothing.accuracy().is_nan() && nothing.total() == 0);
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        let says = |result: Result<ConfusionMatrix>, what: &str| {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(what), "{text}");
        };
        says(confusion_matrix(&[0, 1], &[0], &names()), "2 actual, 1 predicted");
        says(confusion_matrix(&[0, 1], &[0, 2], &names()), "predicted label 2 for image 1");
        says(confusion_matrix(&[7], &[0], &names()), "actual label 7 for image 0");
        says(confusion_matrix(&[], &[], &[]), "names of the classes");
    }
}
