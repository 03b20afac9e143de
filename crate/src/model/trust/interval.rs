//! How far an accuracy that was measured on some images may be from that of all images.

use std::fmt;

use crate::{Error, Result};

/// The 97.5 % quantile of the normal distribution, for intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Of so many images on, an accuracy is printed without its interval, which is then narrower than 0.06.
pub(crate) const PRINTED_BELOW: usize = 1000;

/// A 95 % confidence interval of a fraction, such as an accuracy.
///
/// Printed, it is both ends: `0.9135-0.9776`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Interval {
    /// The lower end, from 0.
    pub low: f64,
    /// The upper end, up to 1.
    pub high: f64,
}

impl Interval {
    /// Whether a fraction lies in the interval, the ends included.
    pub fn contains(&self, fraction: f64) -> bool {
        (self.low..=self.high).contains(&fraction)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}-{:.4}", self.low, self.high)
    }
}

/// The Wilson score interval (95 %) of a fraction: `hits` of `images` were right.
///
/// In the long run 95 % of such intervals hold the accuracy on all photographs of the kind that the images were drawn
/// from at random. It says nothing of other photographs, and is too narrow where images are near-duplicates of each
/// other. The formula is that of E. B. Wilson (1927, <https://doi.org/10.1080/01621459.1927.10502953>), as
/// `scipy.stats.binomtest(hits, images).proportion_ci(method="wilson")` computes it. Unlike the usual
/// `p ± 1.96 · sqrt(p (1 − p) / n)` it also fits few images and accuracies near 1.
///
/// # Errors
/// [`Error::Invalid`] where there are no images, or more hits than images.
///
/// ```
/// use transfer::model::wilson_interval;
/// // Newcombe (1998), table I: 81 of 263.
/// let interval = wilson_interval(81, 263)?;
/// assert_eq!(interval.to_string(), "0.2553-0.3662");
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn wilson_interval(hits: usize, images: usize) -> Result<Interval> {
    if images == 0 || hits > images {
        return Err(Error::Invalid(format!(
            "wilson_interval expected at least one image, and no more hits than images. Received: {hits} hits of \
             {images} images"
        )));
    }
    Ok(wilson(hits, images))
}

/// [`wilson_interval`] of numbers that fit; everything between 0 and 1 where there are no images.
pub(crate) fn wilson(hits: usize, images: usize) -> Interval {
    if images == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, p) = (images as f64, hits as f64 / images as f64);
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // Rounding must not leave 0 or 1 outside where nothing or all is right.
    let low = if hits == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if hits == images { 1.0 } else { (centre + half).min(1.0) };
    Interval { low, high }
}

/// ` (95 % interval 0.9135-0.9776)` behind an accuracy of fewer than 1,000 images, nothing behind one of more.
pub(crate) fn behind(hits: usize, images: usize) -> String {
    match (1..PRINTED_BELOW).contains(&images) {
        true => format!(" (95 % interval {})", wilson(hits, images)),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    #[test]
    fn published_intervals_come_out() {
        // Newcombe (1998), Statistics in Medicine 17, table I, method 3.
        for (hits, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found = wilson_interval(hits, n).unwrap();
            assert!(
                (found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5,
                "{hits} of {n}: {found}"
            );
        }
        assert_eq!(wilson_interval(9, 9).unwrap().high, 1.0);
        assert!(wilson_interval(0, 0).is_err() && wilson_interval(3, 2).is_err());
    }

    /// A validation set of 100 images, 200 times, from 20,000 of which 90 % are right.
    #[test]
    fn intervals_of_samples_hold_the_accuracy_on_the_rest() {
        let mut images: Vec<bool> = (0..20_000).map(|i| i % 10 != 0).collect();
        let mut held = 0;
        for split in 0..200 {
            Rng::new(&[split, 77]).shuffle(&mut images);
            let hits = |part: &[bool]| part.iter().filter(|&&hit| hit).count();
            let (sample, rest) = images.split_at(100);
            let accuracy = hits(rest) as f64 / rest.len() as f64;
            held += usize::from(wilson_interval(hits(sample), sample.len()).unwrap().contains(accuracy));
        }
        assert!((184..=196).contains(&held), "{held} of 200");
    }

    #[test]
    fn accuracies_of_many_images_are_printed_without() {
        assert_eq!(behind(81, 263), " (95 % interval 0.2553-0.3662)");
        assert_eq!((behind(990, 1000), behind(0, 0)), (String::new(), String::new()));
    }
}
