//! Which photographs are none of the classes.
//!
//! Scores, each compared with those of photographs that were held out of the training:
//!
//! * **evidence:** the logarithm of the sum of the logits' exponentials, the energy (Liu et al. 2020,
//!   <https://arxiv.org/abs/2010.03759>); with one output, its absolute value, which orders photographs as their
//!   confidence does;
//! * **distance:** from the features of the nearest photograph of the training (Sun et al. 2022,
//!   <https://arxiv.org/abs/2204.06507>), both scaled to length 1. What is kept of them are their principal components,
//!   and how much of each feature vector these leave out;
//! * **frozen distance:** the same by what the last frozen unit gives, averaged over height and width. Training has not
//!   bent it towards the classes, so it tells drawings and other kinds of pictures. Only where a part of the network is
//!   frozen and another one trains.
//!
//! For each score there is a part of the held-out photographs that are at least as odd. Those of evidence and distance are
//! multiplied (Fisher's combination), and the part of the held-out photographs with at most this product takes their
//! place. The lesser of it and ten times the part of the frozen distance decides. The threshold is the number that a stated
//! rate of the held-out photographs does not exceed.
//!
//! Files of earlier versions have other scores: the largest logit (Hendrycks et al. 2022,
//! <https://arxiv.org/abs/1911.11132>), the distance, and the smallest angle to a photograph of the training. Their parts
//! are multiplied (Fisher's combination).

use std::fmt;

use ndarray::{Array2, ArrayView1};

use super::nearest::{insert, matrix, Nearest, MOST_READ};
use super::Unknown;
use crate::weights::{Tensor, Weights};
use crate::{Error, Result};

/// Photographs of the training that are kept, about; more of a model with more classes.
pub(crate) const MOST_KEPT: usize = 1000;
/// Held-out photographs whose scores are kept, about.
pub(crate) const MOST_HELD_OUT: usize = 4000;
/// What the part of the frozen distance is multiplied by. It says nothing about things of the same kind as the classes, so
/// few false alarms are left to it; pictures of another kind are far rarer than that.
const FROZEN_WEIGHT: f32 = 10.0;
/// In front of the names of the tensors in a saved model.
const PREFIX: &str = "novelty/";
/// The same of what concerns the last frozen unit.
const FROZEN: &str = "novelty/frozen/";

/// What is known of some photographs: rows of each belong together.
pub(crate) struct Looks<'a> {
    /// `(n, units)`.
    pub logits: &'a Array2<f32>,
    /// Pooled `(n, features)`.
    pub features: &'a Array2<f32>,
    /// What the last frozen unit gives, averaged over height and width `(n, channels)`.
    pub frozen: Option<&'a Array2<f32>>,
}

/// How parts of the held-out photographs become one number.
#[derive(Clone, PartialEq)]
enum Rule {
    /// The lesser of two: that of evidence and distance together, and that of the frozen distance times this number.
    Least(f32),
    /// Their product: of files of earlier versions.
    Product,
}

/// What tells photographs that are none of the classes, of a model: see
/// [`Model::fit_novelty`](crate::model::Model::fit_novelty).
#[derive(Clone, PartialEq)]
pub struct Novelty {
    features: Nearest,
    /// The number of frozen units, and the photographs by what the last one gives.
    frozen: Option<(usize, Nearest)>,
    rule: Rule,
    /// Each score of the held-out photographs, rising.
    scores: Vec<Vec<f32>>,
    /// How odd evidence and distance of the held-out photographs are together, rising.
    together: Vec<f32>,
    /// What the rule makes of the held-out photographs, rising.
    combined: Vec<f64>,
    /// The scores of each held-out photograph `(n, scores)`, the larger the odder.
    held_out: Array2<f32>,
    rate: f64,
}

/// All that decides, for whoever computes it elsewhere: a photograph is unknown where the lesser of two numbers is not
/// above the threshold: the part of evidence and distance together, and the weighed one of the frozen distance.
pub(crate) struct Typicality<'a> {
    pub features: &'a Nearest,
    pub frozen: Option<&'a Nearest>,
    pub scores: Vec<Score<'a>>,
    /// Minus the logarithm of the product of the first two scores' parts.
    pub together: Score<'a>,
    pub threshold: f64,
}

/// One of its scores.
pub(crate) struct Score<'a> {
    /// Those of held-out photographs, rising.
    pub known: &'a [f32],
    /// The largest of them, and the scale of the exponential tail behind it.
    pub tail: Option<(f32, f64)>,
    pub weight: f32,
}

impl Novelty {
    /// From photographs of the training, by their features and by the last of so many frozen units, and photographs that
    /// were held out.
    ///
    /// # Errors
    /// Where the held-out photographs are too few for the rate.
    pub(crate) fn new(
        features: Nearest,
        frozen: Option<(usize, Nearest)>,
        held_out: &Looks<'_>,
        rate: f64,
    ) -> Result<Self> {
        let used = if frozen.is_some() { 3 } else { 2 };
        let rule = Rule::Least(FROZEN_WEIGHT);
        let (scores, together, combined) = Default::default();
        let held_out_yet = Array2::zeros((0, used));
        let mut novelty =
            Novelty { features, frozen, rule, scores, together, combined, held_out: held_out_yet, rate };
        let rows = novelty.scores_of(held_out)?;
        novelty.held_out = rows;
        novelty.ordered()
    }

    /// With the scores in order, and the rate checked.
    fn ordered(mut self) -> Result<Self> {
        let column = |i: usize| {
            let mut column = self.held_out.column(i).to_vec();
            column.sort_by(f32::total_cmp);
            column
        };
        self.scores = (0..self.held_out.ncols()).map(column).collect();
        // Each compared with the others: one fewer than a new photograph is compared with.
        let shares: Vec<Vec<f64>> = self.held_out.rows().into_iter().map(|row| self.shares(row, 0)).collect();
        let mut together: Vec<f32> = shares.iter().map(|shares| together(shares)).collect();
        together.sort_by(f32::total_cmp);
        self.together = together;
        let mut combined: Vec<f64> = shares.iter().map(|shares| self.combine(shares, 0)).collect();
        combined.sort_by(f64::total_cmp);
        self.combined = combined;
        let rate = self.rate;
        self.with_rate(rate)
    }

    /// The rate of known photographs that may be called unknown.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Number of held-out photographs that the threshold comes from.
    pub fn images(&self) -> usize {
        self.combined.len()
    }

    /// How many units are frozen where what the last one gives is looked at.
    pub(crate) fn frozen_units(&self) -> Option<usize> {
        self.frozen.as_ref().map(|(units, _)| *units)
    }

    /// The same with another rate.
    pub(crate) fn with_rate(&self, rate: f64) -> Result<Self> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(Error::Invalid(format!(
                "a rate of known photographs that may be called unknown expected a number between 0 and 1, such as \
                 0.05. Received: {rate}"
            )));
        }
        let n = self.images();
        if (rate * (n + 1) as f64) < 1.0 {
            return Err(Error::Data(format!(
                "a rate of {rate} of known photographs that may be called unknown expected at least {} photographs \
                 that were held out of the training. Received: {n}. Hold out more photographs, or allow a larger rate.",
                (1.0 / rate).ceil() - 1.0
            )));
        }
        Ok(Novelty { rate, ..self.clone() })
    }

    /// The largest number that is called unknown: as many of the held-out photographs have it as the rate allows, counting
    /// the new photograph as one more of them.
    fn threshold(&self) -> f64 {
        let allowed = (self.rate * (self.images() + 1) as f64) as usize;
        self.combined[allowed.clamp(1, self.images()) - 1]
    }

    /// For each score, the part of known photographs that are at least as odd. The photograph itself counts as one of
    /// them: it is one of those that were held out, or (`new` is 1) comes to them.
    fn shares(&self, scores: ArrayView1<f32>, new: usize) -> Vec<f64> {
        self.scores.iter().zip(scores).map(|(known, &score)| share(known, score, new)).collect()
    }

    /// What an exported model computes; nothing of a file of an earlier version, which has another rule.
    pub(crate) fn typicality(&self) -> Option<Typicality<'_>> {
        let Rule::Least(weight) = self.rule else { return None };
        let weights = [1.0, 1.0, weight];
        Some(Typicality {
            features: &self.features,
            frozen: self.frozen.as_ref().map(|(_, nearest)| nearest),
            scores: self.scores.iter().zip(weights).map(|(known, weight)| Score::of(known, weight)).collect(),
            together: Score::of(&self.together, 1.0),
            threshold: self.threshold(),
        })
    }

    /// The parts as one number: the smaller, the odder.
    fn combine(&self, shares: &[f64], new: usize) -> f64 {
        match self.rule {
            Rule::Product => shares.iter().product(),
            Rule::Least(weight) => {
                let own = share(&self.together, together(shares), new);
                shares.get(2).map_or(own, |frozen| own.min(frozen * f64::from(weight)))
            }
        }
    }

    /// How odd photographs are in each way `(n, scores)`: the larger, the odder.
    fn scores_of(&self, looks: &Looks<'_>) -> Result<Array2<f32>> {
        self.features.check(looks.features)?;
        let mut scores = Array2::zeros((looks.logits.nrows(), self.held_out.ncols()));
        for (i, (mut row, logits)) in scores.rows_mut().into_iter().zip(looks.logits.rows()).enumerate() {
            let (distance, angle) = self.features.distance_and_angle(looks.features.row(i));
            row[1] = distance;
            match &self.rule {
                Rule::Product => (row[0], row[2]) = (-largest_logit(logits), angle),
                Rule::Least(_) => row[0] = -evidence_of(logits),
            }
        }
        if let Some((_, nearest)) = &self.frozen {
            let frozen = looks.frozen.ok_or_else(|| {
                Error::Shape("a novelty expected what the last frozen unit gives. Received nothing".into())
            })?;
            nearest.check(frozen)?;
            for (mut row, frozen) in scores.rows_mut().into_iter().zip(frozen.rows()) {
                row[2] = nearest.distance_and_angle(frozen).0;
            }
        }
        Ok(scores)
    }

    /// Why each of some photographs is unknown; `None` where it is not.
    pub(crate) fn unknown(&self, looks: &Looks<'_>) -> Result<Vec<Option<Unknown>>> {
        let threshold = self.threshold();
        let one = |scores: ArrayView1<f32>| {
            let shares = self.shares(scores, 1);
            (self.combine(&shares, 1) <= threshold).then(|| self.reason(&shares))
        };
        Ok(self.scores_of(looks)?.rows().into_iter().map(one).collect())
    }

    /// What is the oddest, and how many known photographs are as odd.
    fn reason(&self, shares: &[f64]) -> Unknown {
        if let (Rule::Least(weight), Some(&frozen)) = (&self.rule, shares.get(2))
            && frozen * f64::from(*weight) < share(&self.together, together(shares), 1)
        {
            return Unknown::FarFromTraining { share: frozen as f32 };
        }
        let compared = if self.rule == Rule::Product { shares.len() } else { 2 };
        let far = shares[1..compared].iter().copied().fold(f64::INFINITY, f64::min);
        match shares[0] < far {
            true => Unknown::LittleEvidence { share: shares[0] as f32 },
            false => Unknown::FarFromTraining { share: far as f32 },
        }
    }

    /// As tensors of a saved model.
    pub(crate) fn write(&self, weights: &mut Weights) -> Result<()> {
        self.features.write(PREFIX, weights)?;
        if let Some((units, nearest)) = &self.frozen {
            nearest.write(FROZEN, weights)?;
            weights.insert(format!("{FROZEN}units"), Tensor::new(vec![1], vec![*units as f32])?);
        }
        match &self.rule {
            Rule::Product => insert(weights, format!("{PREFIX}held_out"), &self.held_out),
            // Another name, so that an earlier version does not take the scores for its own.
            Rule::Least(weight) => {
                weights.insert(format!("{PREFIX}weight"), Tensor::new(vec![1], vec![*weight])?);
                insert(weights, format!("{PREFIX}scores"), &self.held_out)
            }
        }
    }

    /// From the tensors of a saved model: the channels of its network behind so many units are `channels`, the last
    /// number that of its features.
    ///
    /// # Errors
    /// [`Error::Weights`] where one is missing, or shapes or numbers contradict each other.
    pub(crate) fn read(weights: &Weights, channels: &[usize], rate: f64) -> Result<Self> {
        let features = Nearest::read(PREFIX, weights, channels.last().copied().unwrap_or(0))?;
        let has = |name: &str| weights.get(name).is_ok();
        let wrong = |what: String| Error::Weights(format!("what tells unknown photographs expected {what}"));
        let mut frozen = None;
        if has(&format!("{FROZEN}units")) {
            let units =
                weights.get(&format!("{FROZEN}units"))?.data.first().map_or(0, |&units| units as usize);
            let width = channels.get(units).copied().filter(|_| units > 0 && units + 1 < channels.len());
            let width = width.ok_or_else(|| wrong(format!("a number of frozen units. Received: {units}")))?;
            frozen = Some((units, Nearest::read(FROZEN, weights, width)?));
        }
        let (rule, held_out) = match has(&format!("{PREFIX}scores")) {
            true => {
                let weight = weights.get(&format!("{PREFIX}weight"))?.data.first().copied();
                (Rule::Least(weight.unwrap_or(f32::NAN)), matrix(weights, &format!("{PREFIX}scores"))?)
            }
            false => (Rule::Product, matrix(weights, &format!("{PREFIX}held_out"))?),
        };
        let columns = match (&rule, &frozen) {
            (Rule::Product, None) | (Rule::Least(_), Some(_)) => 3,
            (Rule::Least(_), None) => 2,
            (Rule::Product, Some(_)) => 0,
        };
        let numbers = match rule {
            Rule::Least(weight) => weight > 0.0 && weight.is_finite(),
            Rule::Product => true,
        };
        let sizes = held_out.ncols() == columns && (1..=MOST_READ).contains(&held_out.nrows());
        if !sizes || !numbers || !held_out.iter().all(|x| x.is_finite()) {
            return Err(wrong(format!(
                "finite scores of held-out photographs. Received: {:?}",
                held_out.dim()
            )));
        }
        let (scores, together, combined) = Default::default();
        Novelty { features, frozen, rule, scores, together, combined, held_out, rate }
            .ordered()
            .map_err(|e| Error::Weights(e.to_string()))
    }
}

impl fmt::Display for Novelty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "photographs are called unknown where that is so of {:.1} % of known ones, by {} that were not trained on",
            100.0 * self.rate,
            self.images()
        )
    }
}

impl fmt::Debug for Novelty {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> Score<'a> {
    fn of(known: &'a [f32], weight: f32) -> Self {
        Score { known, tail: tail(known), weight }
    }
}

/// The part of some rising scores that are at least as odd, with the photograph itself: it is one of them, or (`new` is 1)
/// comes to them.
fn share(rising: &[f32], score: f32, new: usize) -> f64 {
    let less = rising.partition_point(|&other| other < score);
    (new + rising.len() - less) as f64 / (rising.len() + new) as f64 * beyond(rising, score)
}

/// How odd evidence and distance are together: minus the logarithm of the product of their parts.
fn together(shares: &[f64]) -> f32 {
    -shares.iter().take(2).map(|share| share.ln()).sum::<f64>() as f32
}

/// How much rarer a score is than the largest of some rising ones, 1 where it is not larger: their tail is taken for an
/// exponential one. Without it, no score could be rarer than one in the number of scores, however large it is.
fn beyond(rising: &[f32], score: f32) -> f64 {
    tail(rising).map_or(1.0, |(last, excess)| (-(f64::from(score) - f64::from(last)).max(0.0) / excess).exp())
}

/// The largest of some rising scores, and the mean excess of the upper fifth, if any.
fn tail(rising: &[f32]) -> Option<(f32, f64)> {
    let last = *rising.last()?;
    let upper = &rising[4 * rising.len() / 5..];
    let start = f64::from(upper[0]);
    let excess = upper.iter().map(|&x| f64::from(x) - start).sum::<f64>() / upper.len() as f64;
    (excess > 0.0).then_some((last, excess))
}

/// How much speaks for the classes: the logarithm of the sum of the logits' exponentials, or the absolute value of a
/// single one.
pub(crate) fn evidence_of(logits: ArrayView1<f32>) -> f32 {
    match logits.len() {
        1 => logits[0].abs(),
        _ => {
            let largest = largest_logit(logits);
            largest + logits.iter().map(|&x| (x - largest).exp()).sum::<f32>().ln()
        }
    }
}

/// The largest logit, or the absolute value of a single one.
fn largest_logit(logits: ArrayView1<f32>) -> f32 {
    match logits.len() {
        1 => logits[0].abs(),
        _ => logits.iter().copied().fold(f32::NEG_INFINITY, f32::max),
    }
}
