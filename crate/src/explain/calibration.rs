//! Whether probabilities mean what they say.

use std::fmt;

use ndarray::Array2;

#[cfg(feature = "plot")]
use crate::plot::{reliability_figure, Figure};
use crate::train::Predictions;
use crate::{Error, Result};

/// Bins of the published numbers (Guo et al. 2017).
const BINS: usize = 15;

/// How often predictions of each confidence are right: of all predictions with 80 %, four of five should be.
///
/// The confidence of a prediction is the probability of its class, the most probable one. Bin `i` of `n` holds the
/// confidences above `i / n`, up to `(i + 1) / n`.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ReliabilityDiagram {
    /// Number of images in each bin.
    pub counts: Vec<usize>,
    /// The mean confidence in each bin; 0 in an empty one.
    pub confidence: Vec<f64>,
    /// The fraction of images in each bin that are right; 0 in an empty one.
    pub accuracy: Vec<f64>,
    /// The expected calibration error (ECE): the mean distance of accuracy and confidence of the bins, each counting
    /// with its number of images. 0 is perfect. With few images it is above 0 by chance alone.
    pub expected_calibration_error: f64,
}

/// The reliability diagram of probabilities `(n, classes)` and the actual class of each image, with 15 bins of equal
/// width, and the expected calibration error. Definitions are those of Guo et al. (2017), *On Calibration of Modern
/// Neural Networks*, <https://arxiv.org/abs/1706.04599>, section 2.
///
/// # Errors
/// [`Error::Shape`] where there is not one row for each label; [`Error::Invalid`] where there are no images, a label is
/// no class, or a probability is none.
///
/// ```
/// use ndarray::array;
/// use transfer::explain::reliability_diagram;
///
/// // Four predictions with 90 %, of which three are right; one with 60 % that is right.
/// let probabilities = array![[0.9f32, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.6, 0.4]];
/// let diagram = reliability_diagram(&probabilities, &[0, 0, 1, 0, 0])?;
/// assert!((diagram.expected_calibration_error - (4.0 * 0.15 + 1.0 * 0.4) / 5.0).abs() < 1e-6);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn reliability_diagram(probabilities: &Array2<f32>, actual: &[u32]) -> Result<ReliabilityDiagram> {
    let (n, classes) = probabilities.dim();
    if n != actual.len() {
        return Err(Error::Shape(format!(
            "reliability_diagram expected one row of probabilities for each label. Received: {n} rows, {} labels",
            actual.len()
        )));
    }
    if n == 0 {
        return Err(Error::Invalid("reliability_diagram expected at least one image. Received none".into()));
    }
    if let Some((i, label)) = actual.iter().enumerate().find(|(_, label)| **label as usize >= classes) {
        return Err(Error::Invalid(format!(
            "reliability_diagram expected labels below {classes}. Received: {label} for image {i}"
        )));
    }
    if let Some(((i, class), p)) = probabilities.indexed_iter().find(|(_, p)| !(0.0..=1.0).contains(*p)) {
        return Err(Error::Invalid(format!(
            "reliability_diagram expected probabilities from 0 to 1. Received: {p} for image {i}, class {class}"
        )));
    }
    let (mut counts, mut confidence, mut accuracy) = (vec![0; BINS], vec![0.0; BINS], vec![0.0; BINS]);
    for (row, &label) in probabilities.rows().into_iter().zip(actual) {
        let mut best = 0;
        row.iter().enumerate().for_each(|(class, &p)| best = if p > row[best] { class } else { best });
        let p = f64::from(row[best]);
        let bin = ((p * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        counts[bin] += 1;
        confidence[bin] += p;
        accuracy[bin] += f64::from(u8::from(best == label as usize));
    }
    let mut error = 0.0;
    for ((&count, confidence), accuracy) in counts.iter().zip(&mut confidence).zip(&mut accuracy) {
        error += (*confidence - *accuracy).abs() / n as f64;
        let of = f64::from(u32::try_from(count.max(1)).unwrap_or(u32::MAX));
        (*confidence, *accuracy) = (*confidence / of, *accuracy / of);
    }
    Ok(ReliabilityDiagram { counts, confidence, accuracy, expected_calibration_error: error })
}

/// The expected calibration error (ECE) of probabilities `(n, classes)`, with 15 bins of equal width: see
/// [`reliability_diagram`].
///
/// # Errors
/// As [`reliability_diagram`].
pub fn expected_calibration_error(probabilities: &Array2<f32>, actual: &[u32]) -> Result<f64> {
    Ok(reliability_diagram(probabilities, actual)?.expected_calibration_error)
}

impl Predictions {
    /// How often predictions of each confidence are right; see [`reliability_diagram`].
    ///
    /// # Errors
    /// Where the actual classes are not known, as for a plain batch, or there are no images.
    ///
    /// ```no_run
    /// # fn example(model: &transfer::model::Model, test: &transfer::data::Dataset) -> transfer::Result<()> {
    /// let diagram = model.predict(test)?.reliability_diagram()?;
    /// println!("{diagram}");
    /// diagram.figure()?.save("reliability.png")?;
    /// # Ok(()) }
    /// ```
    pub fn reliability_diagram(&self) -> Result<ReliabilityDiagram> {
        reliability_diagram(&self.probabilities(), &self.actual)
    }
}

impl ReliabilityDiagram {
    /// Number of images.
    pub fn images(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The diagram as a picture.
    ///
    /// # Errors
    /// As [`reliability_figure`].
    #[cfg(feature = "plot")]
    pub fn figure(&self) -> Result<Figure> {
        reliability_figure(&self.counts, &self.confidence, &self.accuracy)
    }
}

impl fmt::Display for ReliabilityDiagram {
    /// A line for each bin that has images.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "confidence  accuracy  images")?;
        for ((count, confidence), accuracy) in self.counts.iter().zip(&self.confidence).zip(&self.accuracy) {
            if *count > 0 {
                write!(f, "\n{confidence:>10.4}  {accuracy:>8.4}  {count:>6}")?;
            }
        }
        write!(f, "\nexpected calibration error {:.4}", self.expected_calibration_error)
    }
}

impl fmt::Debug for ReliabilityDiagram {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_confidence_on_the_border_is_in_the_lower_bin() {
        // 0.6 = 9/15 is the upper end of bin 8; in f32 it is a little more. 0.5 is inside of bin 7.
        let diagram = reliability_diagram(&array![[1.0, 0.0], [0.5, 0.5]], &[0, 1]).unwrap();
        assert_eq!((diagram.counts[14], diagram.counts[7]), (1, 1));
        assert_eq!(diagram.expected_calibration_error, 0.25);
        assert_eq!(diagram.images(), 2);
        assert_eq!(
            diagram.to_string(),
            "confidence  accuracy  images\n    0.5000    0.0000       1\n    1.0000    1.0000       1\n\
             expected calibration error 0.2500"
        );
    }

    #[test]
    fn what_are_no_probabilities_is_refused() {
        let says = |result: Result<ReliabilityDiagram>, what: &str| {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(what), "{text}");
        };
        says(reliability_diagram(&array![[1.0, 0.0]], &[]), "1 rows, 0 labels");
        says(reliability_diagram(&Array2::zeros((0, 2)), &[]), "at least one image");
        says(reliability_diagram(&array![[1.0, 0.0]], &[2]), "2 for image 0");
        says(reliability_diagram(&array![[f32::NAN, 0.0]], &[1]), "NaN for image 0");
        says(reliability_diagram(&array![[0.5, 1.5]], &[1]), "1.5 for image 0, class 1");
    }
}
