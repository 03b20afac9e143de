//! The ROC curve of two classes and the area under it.

#[cfg(feature = "plot")]
use crate::plot::{roc_figure, Figure};
use crate::{Error, Result};

/// The part of each class that is taken for the second one, for every threshold that makes a
/// difference.
#[derive(Debug, Clone, PartialEq)]
pub struct RocCurve {
    /// Part of the first class's images with at least the threshold's score, rising from 0 to 1.
    pub false_positive_rate: Vec<f64>,
    /// Part of the second class's images with at least the threshold's score, rising from 0 to 1.
    pub true_positive_rate: Vec<f64>,
    /// The thresholds, falling; the first is infinite, and no image reaches it.
    pub thresholds: Vec<f32>,
    /// The area under the curve: 1 is perfect, 0.5 is chance.
    pub auc: f64,
}

impl RocCurve {
    /// The curve as a picture.
    ///
    /// # Errors
    /// As [`roc_figure`]: among others, where one of the two classes has no image.
    #[cfg(feature = "plot")]
    pub fn figure(&self) -> Result<Figure> {
        roc_figure(&self.false_positive_rate, &self.true_positive_rate, self.auc)
    }
}

/// The ROC curve for labels 0 and 1 and a score for each image: the probability of class 1, its
/// logit, or anything that grows with it.
///
/// Images of equal score make one step together. Points that lie on a straight line between their
/// neighbours are left out (scikit-learn's `drop_intermediate=True`). Where one of the classes has
/// no image, that class's rate and the area are not numbers (NaN).
///
/// # Errors
/// [`Error::Shape`] where there is not one score for each label; [`Error::Invalid`] where there are no
/// images, a label is neither 0 nor 1, or a score is not finite.
///
/// ```
/// use transfer::explain::roc_curve;
///
/// let curve = roc_curve(&[0, 0, 1, 1], &[0.1, 0.4, 0.35, 0.8])?;
/// assert_eq!(curve.false_positive_rate, [0.0, 0.0, 0.5, 0.5, 1.0]);
/// assert_eq!(curve.true_positive_rate, [0.0, 0.5, 0.5, 1.0, 1.0]);
/// assert_eq!(curve.thresholds, [f32::INFINITY, 0.8, 0.4, 0.35, 0.1]);
/// assert_eq!(curve.auc, 0.75);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn roc_curve(actual: &[u32], scores: &[f32]) -> Result<RocCurve> {
    check(actual, scores)?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Images of equal score make one step, so their order does not matter.
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut steps = Steps::default();
    let (mut falses, mut trues) = (0, 0);
    for (place, &image) in order.iter().enumerate() {
        match actual[image] {
            0 => falses += 1,
            _ => trues += 1,
        }
        // `!=` and not the order: -0 and 0 are the same score.
        if order.get(place + 1).is_none_or(|&next| scores[next] != scores[image]) {
            steps.add(Step { falses, trues, threshold: scores[image] });
        }
    }
    let kept = steps.all();
    let rate = |count: usize, of: usize| if of == 0 { f64::NAN } else { count as f64 / of as f64 };
    let false_positive_rate: Vec<f64> = kept.iter().map(|step| rate(step.falses, falses)).collect();
    let true_positive_rate: Vec<f64> = kept.iter().map(|step| rate(step.trues, trues)).collect();
    let thresholds = kept.iter().map(|step| step.threshold).collect();
    let auc = trapezoids(&false_positive_rate, &true_positive_rate);
    Ok(RocCurve { false_positive_rate, true_positive_rate, thresholds, auc })
}

/// How many images of each class have at least the threshold's score.
#[derive(Clone, Copy)]
struct Step {
    falses: usize,
    trues: usize,
    threshold: f32,
}

/// The steps of a curve, without those that lie on a straight line between their neighbours. They may be as many as the
/// images, so only those that stay are kept.
struct Steps {
    kept: Vec<Step>,
    /// Steps so far, with the point at infinity.
    count: usize,
    /// The last two; whether the last one stays depends on the next.
    last: [Step; 2],
}

impl Default for Steps {
    fn default() -> Self {
        let infinity = Step { falses: 0, trues: 0, threshold: f32::INFINITY };
        Steps { kept: vec![], count: 1, last: [infinity; 2] }
    }
}

impl Steps {
    fn add(&mut self, next: Step) {
        let [before, last] = self.last;
        let turns = |count: fn(&Step) -> usize| count(&next) + count(&before) != 2 * count(&last);
        // The point at infinity stays, and is no neighbour.
        if self.count <= 2 || turns(|step| step.falses) || turns(|step| step.trues) {
            self.kept.push(last);
        }
        self.last = [last, next];
        self.count += 1;
    }

    fn all(mut self) -> Vec<Step> {
        self.kept.push(self.last[1]);
        self.kept
    }
}

/// The area under the ROC curve: the chance that an image of class 1 has a higher score than one of
/// class 0. Not a number (NaN) where one of the classes has no image.
///
/// # Errors
/// As [`roc_curve`].
///
/// ```
/// use transfer::explain::roc_auc_score;
/// assert_eq!(roc_auc_score(&[0, 0, 1, 1], &[0.1, 0.4, 0.35, 0.8])?, 0.75);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn roc_auc_score(actual: &[u32], scores: &[f32]) -> Result<f64> {
    Ok(roc_curve(actual, scores)?.auc)
}

/// The area under a curve through points whose `x` rises or falls, by the trapezoidal rule.
///
/// # Errors
/// [`Error::Shape`] where there are not as many `x` as `y`, [`Error::Invalid`] for fewer than two points
/// or where `x` neither rises nor falls throughout.
///
/// ```
/// use transfer::explain::auc;
/// assert_eq!(auc(&[0.0, 0.5, 1.0], &[0.0, 1.0, 1.0])?, 0.75);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn auc(x: &[f64], y: &[f64]) -> Result<f64> {
    if x.len() != y.len() {
        return Err(Error::Shape(format!(
            "auc expected as many x as y. Received: {} x, {} y",
            x.len(),
            y.len()
        )));
    }
    if x.len() < 2 {
        return Err(Error::Invalid(format!("auc expected at least two points. Received: {}", x.len())));
    }
    let falls = x.windows(2).any(|two| two[1] < two[0]);
    if falls && x.windows(2).any(|two| two[1] > two[0]) {
        return Err(Error::Invalid(
            "auc expected x to rise or to fall from point to point. Received x that does both; sort the points by x"
                .into(),
        ));
    }
    let area = trapezoids(x, y);
    Ok(if falls { -area } else { area })
}

fn trapezoids(x: &[f64], y: &[f64]) -> f64 {
    x.windows(2).zip(y.windows(2)).map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0).sum()
}

fn check(actual: &[u32], scores: &[f32]) -> Result<()> {
    if actual.len() != scores.len() {
        return Err(Error::Shape(format!(
            "roc_curve expected one score for each label. Received: {} labels, {} scores",
            actual.len(),
            scores.len()
        )));
    }
    if actual.is_empty() {
        return Err(Error::Invalid("roc_curve expected at least one image. Received none".into()));
    }
    if let Some((i, label)) = actual.iter().enumerate().find(|(_, label)| **label > 1) {
        return Err(Error::Invalid(format!(
            "roc_curve expected labels 0 and 1. Received: {label} for image {i}; for more than two classes compare \
             one with the rest: label 1 for its images, 0 for all others, and its probability as the score"
        )));
    }
    if let Some((i, score)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
        return Err(Error::Invalid(format!(
            "roc_curve expected finite scores. Received: {score} for image {i}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_ranked_is_refused() {
        let says = |result: Result<RocCurve>, what: &str| {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(what), "{text}");
        };
        says(roc_curve(&[0, 1], &[0.5]), "2 labels, 1 scores");
        says(roc_curve(&[], &[]), "at least one image");
        says(roc_curve(&[0, 2], &[0.1, 0.2]), "2 for image 1");
        says(roc_curve(&[0, 1], &[0.1, f32::NAN]), "NaN for image 1");
        says(roc_curve(&[0, 1], &[f32::INFINITY, 0.0]), "inf for image 0");
        assert!(auc(&[0.0, 1.0, 0.5], &[0.0; 3]).unwrap_err().to_string().contains("sort"));
        assert!(auc(&[0.0], &[0.0]).is_err() && auc(&[0.0, 1.0], &[0.0]).is_err());
    }

    #[test]
    fn the_area_is_the_chance_that_the_pair_is_in_order() {
        let mut rng = crate::random::Rng::new(&[3]);
        let actual: Vec<u32> = (0..60).map(|_| rng.below(2) as u32).collect();
        let scores: Vec<f32> = (0..60).map(|_| rng.below(9) as f32).collect();
        let (mut ordered, mut pairs) = (0.0, 0.0);
        for (i, j) in (0..60).flat_map(|i| (0..60).map(move |j| (i, j))) {
            if (actual[i], actual[j]) == (1, 0) {
                pairs += 1.0;
                ordered += match scores[i] {
                    s if s > scores[j] => 1.0,
                    s if s == scores[j] => 0.5,
                    _ => 0.0,
                };
            }
        }
        assert!((roc_auc_score(&actual, &scores).unwrap() - ordered / pairs).abs() < 1e-12);
    }
}
