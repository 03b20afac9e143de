//! Numbers of one label, from its probabilities.

use crate::{Error, Result};

/// The average precision: the sum over thresholds of precision times the gain in recall, without interpolation, as
/// scikit-learn's `average_precision_score`. `None` where no image has the label (where scikit-learn says 0).
///
/// # Errors
/// [`Error::Invalid`] where there is not one score for each image, or one is not finite.
///
/// ```
/// use transfer::explain::average_precision_score;
/// let score = average_precision_score(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8])?;
/// assert!((score.unwrap() - 0.8333).abs() < 1e-4);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn average_precision_score(actual: &[bool], scores: &[f32]) -> Result<Option<f64>> {
    let curve = Cuts::of(actual, scores)?;
    let all = curve.positives;
    if all == 0 {
        return Ok(None);
    }
    let (mut sum, mut before) = (0.0, 0);
    for cut in &curve.cuts {
        let precision = cut.found as f64 / cut.taken as f64;
        sum += precision * (cut.found - before) as f64 / all as f64;
        before = cut.found;
    }
    Ok(Some(sum))
}

/// The threshold with the highest F1 where an image has the label if its probability is above it. Of thresholds that are
/// equally good, it is the nearest to 0.5, and it lies in the middle between two probabilities; 0.5 where no image has
/// the label.
///
/// # Errors
/// As [`average_precision_score`].
pub fn best_threshold(actual: &[bool], probabilities: &[f32]) -> Result<f32> {
    const USUAL: f32 = 0.5;
    let curve = Cuts::of(actual, probabilities)?;
    if curve.positives == 0 {
        return Ok(USUAL);
    }
    let mut best: Option<(f64, f32)> = None;
    for (i, cut) in curve.cuts.iter().enumerate() {
        let next = curve.cuts.get(i + 1).map_or(0.0, |next| next.score);
        // All of [next, score) give the same labels, of which it holds the usual one or has a middle.
        let threshold = match (next..cut.score).contains(&USUAL) {
            true => USUAL,
            false => next + 0.5 * (cut.score - next),
        };
        let f1 = 2.0 * cut.found as f64 / (cut.taken + curve.positives) as f64;
        let nearer = |other: f32| (threshold - USUAL).abs() < (other - USUAL).abs();
        if best.is_none_or(|(before, other)| f1 > before || (f1 == before && nearer(other))) {
            best = Some((f1, threshold));
        }
    }
    Ok(best.map_or(USUAL, |(_, threshold)| threshold.clamp(0.0, 1.0)))
}

/// How many images are taken down to a score, and how many of them have the label.
struct Cut {
    score: f32,
    taken: usize,
    found: usize,
}

/// One for each different score, the highest first.
struct Cuts {
    cuts: Vec<Cut>,
    positives: usize,
}

impl Cuts {
    fn of(actual: &[bool], scores: &[f32]) -> Result<Self> {
        if actual.len() != scores.len() || scores.iter().any(|score| !score.is_finite()) {
            return Err(Error::Invalid(format!(
                "A label expected one finite score for each image. Received: {} images and {} scores",
                actual.len(),
                scores.len()
            )));
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let (mut cuts, mut found): (Vec<Cut>, usize) = (Vec::new(), 0);
        for (taken, &i) in (1..).zip(&order) {
            found += usize::from(actual[i]);
            match cuts.last_mut().filter(|cut| cut.score == scores[i]) {
                Some(same) => (same.taken, same.found) = (taken, found),
                None => cuts.push(Cut { score: scores[i], taken, found }),
            }
        }
        Ok(Cuts { cuts, positives: found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_threshold_has_the_best_f1_and_is_near_a_half() {
        let actual = [false, true, false, true, true];
        let p = [0.1, 0.3, 0.2, 0.8, 0.9];
        // Everything from 0.3 up is right.
        assert_eq!(best_threshold(&actual, &p).unwrap(), 0.25);
        assert_eq!(best_threshold(&[true, false], &[0.9, 0.1]).unwrap(), 0.5);
        assert_eq!(best_threshold(&[false, false], &[0.9, 0.1]).unwrap(), 0.5);
        assert!(best_threshold(&[true], &[]).is_err());
        assert!(best_threshold(&[true], &[f32::NAN]).is_err());
    }

    #[test]
    fn no_other_threshold_is_better() {
        let mut rng = crate::random::Rng::new(&[7]);
        for _ in 0..50 {
            let p: Vec<f32> = (0..20).map(|_| (rng.uniform() * 10.0).round() / 10.0).collect();
            let actual: Vec<bool> = p.iter().map(|&p| rng.uniform() < p).collect();
            let f1 = |t: f32| {
                let both = p.iter().zip(&actual).filter(|(p, a)| **p > t && **a).count() as f64;
                let all = p.iter().filter(|&&p| p > t).count() + actual.iter().filter(|&&a| a).count();
                if all == 0 {
                    0.0
                } else {
                    2.0 * both / all as f64
                }
            };
            let best = f1(best_threshold(&actual, &p).unwrap());
            let others = (0..=100).map(|i| f1(i as f32 / 100.0 - 0.005));
            assert!(others.fold(0.0, f64::max) <= best + 1e-12);
        }
    }
}
