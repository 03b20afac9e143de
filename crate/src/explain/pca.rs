//! Principal components: the directions in which points differ most.
//!
//! For a few directions of many, so that features can be drawn; no whitening, no inverse.

use ndarray::{Array1, Array2, Axis};

use crate::explain::eigen::largest;
use crate::{Error, Result};

/// The directions in which points differ most, as scikit-learn's `PCA` finds them.
///
/// Each direction's sign is such that its largest number is positive, so that the same points give
/// the same picture.
///
/// ```
/// use ndarray::array;
/// use transfer::explain::Pca;
///
/// // Points near the line y = 2 x.
/// let points = array![[0.0, 0.1], [1.0, 1.9], [2.0, 4.1], [3.0, 5.9]];
/// let pca = Pca::fit(&points, 1)?;
/// assert!(pca.explained_variance_ratio[0] > 0.99);
/// let along_the_line = pca.transform(&points)?;
/// assert_eq!(along_the_line.dim(), (4, 1));
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// The points' mean, (features).
    pub mean: Array1<f64>,
    /// The directions, (components, features), each of length 1 and at right angles to the others;
    /// zeros where the points do not differ in any further direction.
    pub components: Array2<f64>,
    /// The variance of the points along each direction, falling.
    pub explained_variance: Vec<f64>,
    /// Its part of the variance in all directions; 0 where all points are the same.
    pub explained_variance_ratio: Vec<f64>,
    /// The lengths of the points' coordinates along each direction, all points taken as one vector.
    pub singular_values: Vec<f64>,
}

impl Pca {
    /// Finds `components` directions of the points `(n, features)`.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than two points or no features, [`Error::Invalid`] for more components than
    /// points or features, for none, or for numbers that are not finite.
    pub fn fit(points: &Array2<f32>, components: usize) -> Result<Pca> {
        let (n, d) = points.dim();
        if n < 2 || d == 0 {
            return Err(Error::Shape(format!(
                "Pca::fit expected at least two points (n, features). Received: {n} points of {d} features"
            )));
        }
        if components == 0 || components > n.min(d) {
            return Err(Error::Invalid(format!(
                "Pca::fit expected 1 to {} components for {n} points of {d} features. Received: {components}",
                n.min(d)
            )));
        }
        if let Some(((i, j), value)) = points.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::Invalid(format!(
                "Pca::fit expected finite numbers. Received: {value} for point {i}, feature {j}"
            )));
        }
        let mut centred = points.mapv(f64::from);
        let mean = centred.sum_axis(Axis(0)) / n as f64;
        centred -= &mean;
        // The smaller of the two products has all that is wanted.
        let (values, axes) = if n < d {
            let (values, vectors) = largest(&centred.dot(&centred.t()), components);
            (values, vectors.t().dot(&centred))
        } else {
            let (values, vectors) = largest(&centred.t().dot(&centred), components);
            (values, vectors.t().to_owned())
        };
        let total: f64 = centred.iter().map(|x| x * x).sum();
        let singular_values: Vec<f64> = values.iter().map(|value| value.max(0.0).sqrt()).collect();
        let explained_variance: Vec<f64> = singular_values.iter().map(|s| s * s / (n - 1) as f64).collect();
        let share = |s: &f64| if total > 0.0 { s * s / total } else { 0.0 };
        let explained_variance_ratio = singular_values.iter().map(share).collect();
        let mut axes = axes;
        for (mut axis, singular) in axes.rows_mut().into_iter().zip(&singular_values) {
            // What rounding leaves of a direction without variance points anywhere.
            let length = if singular * singular > 1e-14 * total { axis.dot(&axis).sqrt() } else { 0.0 };
            let largest = axis.iter().fold(0.0f64, |most, &x| if x.abs() > most.abs() { x } else { most });
            let factor = if length > 0.0 { largest.signum() / length } else { 0.0 };
            axis.mapv_inplace(|x| x * factor);
        }
        Ok(Pca { mean, components: axes, explained_variance, explained_variance_ratio, singular_values })
    }

    /// The coordinates of points `(n, features)` along the directions: `(n, components)`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of features.
    pub fn transform(&self, points: &Array2<f32>) -> Result<Array2<f64>> {
        if points.ncols() != self.mean.len() {
            return Err(Error::Shape(format!(
                "Pca::transform expected points of {} features, as it was fitted to. Received: {}",
                self.mean.len(),
                points.ncols()
            )));
        }
        Ok((points.mapv(f64::from) - &self.mean).dot(&self.components.t()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn points_that_do_not_differ_have_no_directions() {
        let same = Array2::from_elem((5, 3), 7.0);
        let pca = Pca::fit(&same, 2).unwrap();
        assert_eq!(pca.explained_variance_ratio, [0.0, 0.0]);
        assert!(pca.transform(&same).unwrap().iter().all(|&x| x == 0.0));
        let line = array![[0.0, 0.0, 1.0], [1.0, 2.0, 1.0], [2.0, 4.0, 1.0]];
        let pca = Pca::fit(&line, 2).unwrap();
        assert!((pca.explained_variance_ratio[0] - 1.0).abs() < 1e-12);
        assert!(pca.components.row(1).iter().all(|&x| x == 0.0));
    }

    #[test]
    fn what_has_no_directions_is_refused() {
        let says = |result: Result<Pca>, what: &str| {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(what), "{text}");
        };
        says(Pca::fit(&Array2::zeros((1, 3)), 1), "1 points of 3 features");
        says(Pca::fit(&Array2::zeros((3, 0)), 1), "3 points of 0 features");
        says(Pca::fit(&Array2::zeros((3, 2)), 3), "1 to 2 components");
        says(Pca::fit(&Array2::zeros((3, 2)), 0), "Received: 0");
        says(Pca::fit(&array![[0.0, 1.0], [f32::NAN, 2.0]], 1), "NaN for point 1, feature 0");
        let pca = Pca::fit(&array![[0.0, 1.0], [3.0, 2.0]], 1).unwrap();
        assert!(pca.transform(&Array2::zeros((2, 3))).unwrap_err().to_string().contains("2 features"));
    }
}
