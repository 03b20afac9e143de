//! Which photographs are none of the classes.
//!
//! Three scores, each compared with those of photographs that were held out of the training:
//!
//! * **evidence:** the largest logit (Hendrycks et al. 2022, <https://arxiv.org/abs/1911.11132>); with one output, its
//!   absolute value, which orders photographs as their confidence does;
//! * **distance:** from the features of the nearest photograph of the training (Sun et al. 2022,
//!   <https://arxiv.org/abs/2204.06507>), both scaled to length 1. What is kept of them are their principal components,
//!   and how much of each feature vector these leave out;
//! * **angle:** the smallest one to a photograph of the training, by the first of these components alone, in which the
//!   classes differ most.
//!
//! For each score there is a part of the held-out photographs that are at least as odd. The three parts are multiplied
//! (Fisher's combination). The threshold is the product that a stated rate of the held-out photographs does not exceed.

use std::fmt;

use ndarray::{Array1, Array2, ArrayView1};

use crate::weights::{Tensor, Weights};
use crate::{Error, Result};

/// How many scores there are.
const SCORES: usize = 3;
/// Components that the angle is measured by.
const ANGLE: usize = 24;
/// Photographs of the training that are kept, about; more of a model with more classes.
pub(crate) const MOST_KEPT: usize = 1000;
/// Principal components that are kept at most.
pub(crate) const MOST_COMPONENTS: usize = 64;
/// Held-out photographs whose scores are kept, about.
pub(crate) const MOST_HELD_OUT: usize = 4000;
/// The most rows of a saved model that are read.
const MOST_READ: usize = 200_000;
/// In front of the names of the tensors in a saved model.
const PREFIX: &str = "novelty/";

/// Why a photograph is probably none of the classes.
///
/// Printed, it is a phrase such as `further from the training photographs than all known ones`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Unknown {
    /// There is less evidence for any class than for nearly all known photographs.
    LittleEvidence {
        /// The part of known photographs with at most as much.
        share: f32,
    },
    /// Its features are further from those of the training photographs than those of nearly all known photographs, in
    /// distance or in direction.
    FarFromTraining {
        /// The part of known photographs that are as far.
        share: f32,
    },
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shares that are printed as 0.0 %.
        let none = |share: f32| share < 0.0005;
        match *self {
            Unknown::LittleEvidence { share } if none(share) => {
                f.write_str("less speaks for any class than in all known photographs")
            }
            Unknown::LittleEvidence { share } => {
                write!(f, "as little speaks for any class as in {:.1} % of known photographs", 100.0 * share)
            }
            Unknown::FarFromTraining { share } if none(share) => {
                f.write_str("further from the training photographs than all known ones")
            }
            Unknown::FarFromTraining { share } => {
                write!(f, "as far from the training photographs as {:.1} % of known ones", 100.0 * share)
            }
        }
    }
}

/// What tells photographs that are none of the classes, of a model: see
/// [`Model::fit_novelty`](crate::model::Model::fit_novelty).
#[derive(Clone, PartialEq)]
pub struct Novelty {
    /// Mean of the scaled features `(features)`.
    mean: Array1<f32>,
    /// Principal components `(components, features)`.
    components: Array2<f32>,
    /// Photographs of the training `(kept, components + 1)`: along the components, and the square of what these leave
    /// out.
    kept: Array2<f32>,
    /// Each score of the held-out photographs, rising.
    scores: [Vec<f32>; SCORES],
    /// Products of the parts of the held-out photographs, rising.
    product: Vec<f64>,
    /// The scores of each held-out photograph `(n, 3)`, the larger the odder.
    held_out: Array2<f32>,
    rate: f64,
}

impl Novelty {
    /// From principal components `(components, features)` of scaled features, their mean, the scaled features of
    /// photographs of the training, and evidence and features of photographs that were held out.
    ///
    /// # Errors
    /// Where the held-out photographs are too few for the rate.
    pub(crate) fn new(
        (mean, components): (Array1<f32>, Array2<f32>),
        training: &Array2<f32>,
        (evidence, features): (&[f32], &Array2<f32>),
        rate: f64,
    ) -> Result<Self> {
        let mut novelty = Novelty {
            kept: Array2::zeros((0, components.nrows() + 1)),
            mean,
            components,
            scores: Default::default(),
            product: Vec::new(),
            held_out: Array2::zeros((0, SCORES)),
            rate,
        };
        let rows: Vec<f32> = training.rows().into_iter().flat_map(|row| novelty.projected(row)).collect();
        let shape = (training.nrows(), novelty.components.nrows() + 1);
        novelty.kept = Array2::from_shape_vec(shape, rows).map_err(|e| Error::Shape(e.to_string()))?;
        let mut held_out = Array2::zeros((evidence.len(), SCORES));
        for ((mut row, &evidence), features) in
            held_out.rows_mut().into_iter().zip(evidence).zip(features.rows())
        {
            row.assign(&Array1::from(novelty.scores_of(evidence, features).to_vec()));
        }
        novelty.held_out = held_out;
        novelty.ordered()
    }

    /// With the scores in order, and the rate checked.
    fn ordered(mut self) -> Result<Self> {
        let column = |i: usize| {
            let mut column = self.held_out.column(i).to_vec();
            column.sort_by(f32::total_cmp);
            column
        };
        self.scores = std::array::from_fn(column);
        let products = self.held_out.rows().into_iter().map(|row| {
            let scores: [f32; SCORES] = std::array::from_fn(|i| row[i]);
            // Each compared with the others: one fewer than a new photograph is compared with.
            self.shares(scores, 0).iter().product()
        });
        let mut products: Vec<f64> = products.collect();
        products.sort_by(f64::total_cmp);
        self.product = products;
        let rate = self.rate;
        self.with_rate(rate)
    }

    /// The rate of known photographs that may be called unknown.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Number of held-out photographs that the threshold comes from.
    pub fn images(&self) -> usize {
        self.product.len()
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

    /// The largest product of tail probabilities that is called unknown: as many of the held-out photographs have it
    /// as the rate allows, counting the new photograph as one more of them.
    fn threshold(&self) -> f64 {
        let allowed = (self.rate * (self.images() + 1) as f64) as usize;
        self.product[allowed.clamp(1, self.images()) - 1]
    }

    /// For each score, the part of known photographs that are at least as odd. The photograph itself counts as one of
    /// them: it is one of those that were held out, or (`new` is 1) comes to them.
    fn shares(&self, scores: [f32; SCORES], new: usize) -> [f64; SCORES] {
        std::array::from_fn(|i| {
            let known = &self.scores[i];
            let less = known.partition_point(|&other| other < scores[i]);
            let share = (new + known.len() - less) as f64 / (known.len() + new) as f64;
            share * beyond(known, scores[i])
        })
    }

    /// How odd a photograph is, in three ways: the larger, the odder.
    fn scores_of(&self, evidence: f32, features: ArrayView1<f32>) -> [f32; SCORES] {
        let (distance, angle) = self.distance_and_angle(features);
        [-evidence, distance, angle]
    }

    /// Why each of some photographs is unknown, from its logits `(n, units)` and pooled features `(n, features)`;
    /// `None` where it is not.
    pub(crate) fn unknown(
        &self,
        logits: &Array2<f32>,
        features: &Array2<f32>,
    ) -> Result<Vec<Option<Unknown>>> {
        if features.ncols() != self.mean.len() {
            return Err(Error::Shape(format!(
                "a novelty expected features of {} numbers. Received: {}",
                self.mean.len(),
                features.ncols()
            )));
        }
        let threshold = self.threshold();
        let one = |(logits, features): (ArrayView1<f32>, ArrayView1<f32>)| {
            let shares = self.shares(self.scores_of(evidence_of(logits), features), 1);
            let far = shares[1].min(shares[2]);
            (shares.iter().product::<f64>() <= threshold).then(|| match shares[0] < far {
                true => Unknown::LittleEvidence { share: shares[0] as f32 },
                false => Unknown::FarFromTraining { share: far as f32 },
            })
        };
        Ok(logits.rows().into_iter().zip(features.rows()).map(one).collect())
    }

    /// Features along the components, and the square of what these leave out.
    fn projected(&self, features: ArrayView1<f32>) -> Vec<f32> {
        let centred = &scaled(features) - &self.mean;
        let mut along: Vec<f32> = self.components.dot(&centred).to_vec();
        let rest = centred.dot(&centred) - along.iter().map(|x| x * x).sum::<f32>();
        along.push(rest.max(0.0));
        along
    }

    /// The square of the distance from the nearest photograph of the training, and minus the cosine of the smallest
    /// angle to one.
    pub(crate) fn distance_and_angle(&self, features: ArrayView1<f32>) -> (f32, f32) {
        let here = self.projected(features);
        let (rest, along) = here.split_last().unwrap_or((&0.0, &[]));
        let few = along.len().min(ANGLE);
        let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
        let own = length(&along[..few]);
        let (mut nearest, mut largest) = (f32::INFINITY, -1.0f32);
        for row in self.kept.as_slice().unwrap_or_default().chunks_exact(here.len()) {
            let squares = row.iter().zip(along).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            nearest = nearest.min(squares + row[along.len()] + rest);
            let product = row[..few].iter().zip(along).map(|(a, b)| a * b).sum::<f32>();
            let lengths = own * length(&row[..few]);
            largest = largest.max(if lengths > 0.0 { product / lengths } else { -1.0 });
        }
        (nearest, -largest)
    }

    /// As tensors of a saved model.
    pub(crate) fn write(&self, weights: &mut Weights) -> Result<()> {
        let mut insert = |name: &str, shape: Vec<usize>, data: Vec<f32>| {
            weights.insert(format!("{PREFIX}{name}"), Tensor::new(shape, data)?);
            Ok::<_, Error>(())
        };
        let rows =
            |matrix: &Array2<f32>| (vec![matrix.nrows(), matrix.ncols()], matrix.iter().copied().collect());
        insert("mean", vec![self.mean.len()], self.mean.to_vec())?;
        for (name, matrix) in
            [("components", &self.components), ("kept", &self.kept), ("held_out", &self.held_out)]
        {
            let (shape, data) = rows(matrix);
            insert(name, shape, data)?;
        }
        Ok(())
    }

    /// From the tensors of a saved model, whose network has so many features.
    ///
    /// # Errors
    /// [`Error::Weights`] where one is missing, or shapes or numbers contradict each other.
    pub(crate) fn read(weights: &Weights, features: usize, rate: f64) -> Result<Self> {
        let matrix = |name: &str| -> Result<Array2<f32>> {
            let tensor = weights.get(&format!("{PREFIX}{name}"))?;
            let [rows, columns] = tensor.shape[..] else {
                return Err(Error::Weights(format!(
                    "`{PREFIX}{name}` expected two dimensions. Received: {:?}",
                    tensor.shape
                )));
            };
            Array2::from_shape_vec((rows, columns), tensor.data.clone())
                .map_err(|e| Error::Weights(format!("`{PREFIX}{name}`: {e}")))
        };
        let mean = Array1::from(weights.get(&format!("{PREFIX}mean"))?.data.clone());
        let (components, kept, held_out) = (matrix("components")?, matrix("kept")?, matrix("held_out")?);
        let sizes = mean.len() == features
            && components.ncols() == features
            && (1..=MOST_COMPONENTS).contains(&components.nrows())
            && kept.ncols() == components.nrows() + 1
            && (1..=MOST_READ).contains(&kept.nrows())
            && held_out.ncols() == SCORES
            && (1..=MOST_READ).contains(&held_out.nrows());
        let finite = [&components, &kept, &held_out].iter().all(|m| m.iter().all(|x| x.is_finite()));
        if !sizes || !finite || !mean.iter().all(|x| x.is_finite()) {
            return Err(Error::Weights(format!(
                "expected finite tensors that tell unknown photographs by {features} features. Received: mean {}, \
                 components {:?}, kept {:?}, held_out {:?}",
                mean.len(),
                components.dim(),
                kept.dim(),
                held_out.dim()
            )));
        }
        let (scores, product) = (Default::default(), Vec::new());
        Novelty { mean, components, kept, scores, product, held_out, rate }
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

/// How much rarer a score is than the largest of some rising ones, 1 where it is not larger: their tail is taken for an
/// exponential one, whose scale is the mean excess of the upper fifth. Without it, no score could be rarer than one in
/// the number of scores, however large it is.
fn beyond(rising: &[f32], score: f32) -> f64 {
    let Some(&last) = rising.last() else { return 1.0 };
    let upper = &rising[4 * rising.len() / 5..];
    let start = f64::from(upper[0]);
    let excess = upper.iter().map(|&x| f64::from(x) - start).sum::<f64>() / upper.len() as f64;
    let above = f64::from(score) - f64::from(last);
    match above > 0.0 && excess > 0.0 {
        true => (-above / excess).exp(),
        false => 1.0,
    }
}

/// Features of length 1; zeros stay zeros.
pub(crate) fn scaled(features: ArrayView1<f32>) -> Array1<f32> {
    let length = features.dot(&features).sqrt();
    features.mapv(|x| if length > 0.0 { x / length } else { 0.0 })
}

/// How much speaks for the predicted class: the largest logit, or the absolute value of a single one.
pub(crate) fn evidence_of(logits: ArrayView1<f32>) -> f32 {
    match logits.len() {
        1 => logits[0].abs(),
        _ => logits.iter().copied().fold(f32::NEG_INFINITY, f32::max),
    }
}
