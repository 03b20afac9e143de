//! `Model::calibrate` and `Model::fit_novelty`: what is found out about a trained model from photographs that it was
//! not trained on.

use ndarray::{Array1, Array2, Axis};

use crate::data::Dataset;
use crate::model::{scaled, Looks, Nearest, MOST_COMPONENTS, MOST_HELD_OUT, MOST_KEPT};
use crate::model::{temperature_scaling, Calibration, Model, Novelty};
use crate::progress::check_stop;
use crate::random::Rng;
use crate::team::{self, bytes_of, numbers_of};
use crate::train::fit::shared;
use crate::{Error, Result, SPLIT_SEED};

/// Purpose that random numbers are drawn for.
const NOVELTY: u64 = u64::from_be_bytes(*b"novelty ");
/// Rounds of subspace iteration. More hardly change what the components leave out.
const ROUNDS: usize = 4;

impl Model {
    /// Fits the temperature on photographs that the model was not trained on, and keeps it: probabilities then mean
    /// what they say ([`temperature_scaling`]). Predicted classes stay the same. It applies to
    /// [`predict`](Self::predict), [`predict_file`](Self::predict_file), the loss of [`evaluate`](Self::evaluate) and
    /// exported models; training takes it away.
    ///
    /// A number that is to tell how well this worked, such as the expected calibration error, has to come from other
    /// photographs again.
    ///
    /// # Errors
    /// Where the data set does not fit the model or cannot be read, or an output is not finite.
    ///
    /// ```no_run
    /// # fn example(mut model: transfer::model::Model, validation: &transfer::data::Dataset) -> transfer::Result<()> {
    /// println!("{}", model.calibrate(validation)?);
    /// # Ok(()) }
    /// ```
    pub fn calibrate(&mut self, held_out: &Dataset) -> Result<Calibration> {
        held_out.expect_one_label("calibrate")?;
        let predictions = self.predict(held_out)?;
        let calibration = temperature_scaling(&predictions.logits, &predictions.actual)?;
        self.set_calibration(Some(calibration))?;
        Ok(calibration)
    }

    /// Finds out which photographs are none of the classes, and keeps that in the model: predictions of files then say
    /// so ([`Prediction::unknown`](crate::train::Prediction::unknown)).
    ///
    /// `training` are photographs that the model was trained on, of which about 1,000 are looked at, the same part of
    /// each class. `held_out` are photographs of the same classes that it was not trained on, of which about 4,000 are
    /// looked at. Of photographs like these, `rate` are wrongly called unknown; 0.05 is usual. The fewer are held out,
    /// the more the true rate differs from it.
    ///
    /// # Errors
    /// Where a data set does not fit the model or cannot be read; [`Error::Data`] where `rate` needs more held-out
    /// photographs: 19 for 0.05; [`Error::Invalid`] for a rate that is not between 0 and 1.
    ///
    /// ```no_run
    /// # fn example(mut model: transfer::model::Model, photographs: transfer::data::OwnPhotographs) -> transfer::Result<()> {
    /// model.fit_novelty(&photographs.train, &photographs.validation, 0.05)?;
    /// println!("{}", model.predict_file("a_bicycle.jpg")?); // a_bicycle.jpg: unknown (…)
    /// # Ok(()) }
    /// ```
    pub fn fit_novelty(&mut self, training: &Dataset, held_out: &Dataset, rate: f64) -> Result<()> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(Error::Invalid(format!(
                "fit_novelty expected a rate between 0 and 1, such as 0.05. Received: {rate}"
            )));
        }
        training.expect_one_label("fit_novelty")?;
        // `Model::neighbours` keeps the same ones, among others, so that what is computed for them here serves both.
        let known = self.looks(&at_most(training, MOST_KEPT)?, false)?;
        check_stop("The training")?;
        let unseen = self.looks(&at_most(held_out, MOST_HELD_OUT)?, self.test_time_flip)?;
        let frozen = match &known.frozen {
            Some(means) => Some((self.frozen_part().0, nearest(means)?)),
            None => None,
        };
        let logits = Array2::from_shape_vec((unseen.features.nrows(), self.units()), unseen.logits)
            .map_err(|e| Error::Shape(e.to_string()))?;
        let looks = Looks { logits: &logits, features: &unseen.features, frozen: unseen.frozen.as_ref() };
        let novelty = Novelty::new(nearest(&known.features)?, frozen, &looks, rate)?;
        self.trust.novelty = Some(novelty.into());
        Ok(())
    }

    /// What is known of a data set's images: as they are, and logits with the mirror images where `mirrored`, as
    /// [`test_time_flip`](Self::test_time_flip) is. Without, there are no logits.
    fn looks(&self, dataset: &Dataset, mirrored: bool) -> Result<LooksOfSet> {
        let (mut logits, mut features, mut frozen) = (Vec::new(), Vec::new(), Vec::new());
        let with_logits = mirrored == self.test_time_flip;
        let team = self.several();
        let own = team.map(|team| shared::own_batches(team, dataset));
        let own = own.as_ref().unwrap_or(dataset);
        let mut visit = |outputs: &[f32], labels: &[u32], _: &[usize]| {
            let n = labels.len();
            let pooled = match with_logits {
                true => {
                    let (of_batch, pooled) = self.logits_and_pooled(outputs, n)?;
                    logits.extend(of_batch);
                    pooled
                }
                false => self.pooled(outputs, n)?,
            };
            features.extend(pooled);
            frozen.extend(self.frozen_means(outputs, n).unwrap_or_default());
            Ok(())
        };
        // Of a team each member has batches that follow each other.
        if team.is_none() || !own.is_empty() {
            self.each_frozen_batch(own, mirrored, &mut visit)?;
        }
        if let Some(team) = team {
            for numbers in [&mut logits, &mut features, &mut frozen] {
                *numbers = numbers_of(&team::gathered(team, &bytes_of(numbers))?.concat())?;
            }
            dataset.tell_team(team)?;
        }
        if let Some(value) = logits.iter().find(|v| !v.is_finite()) {
            return Err(Error::Weights(format!(
                "fit_novelty expected finite outputs of the model. Received: {value}"
            )));
        }
        let base = &self.net.base;
        let width = base.output_of(self.frozen_part().0).2;
        let frozen = if frozen.is_empty() { None } else { Some(finite_rows(frozen, width)?) };
        Ok(LooksOfSet { logits, features: finite_rows(features, base.output_shape().2)?, frozen })
    }
}

/// What is known of the images of a data set.
struct LooksOfSet {
    logits: Vec<f32>,
    features: Array2<f32>,
    frozen: Option<Array2<f32>>,
}

/// A row of features for each image.
fn finite_rows(features: Vec<f32>, width: usize) -> Result<Array2<f32>> {
    if let Some(value) = features.iter().find(|v| !v.is_finite()) {
        return Err(Error::Weights(format!(
            "fit_novelty expected finite features of the model. Received: {value}"
        )));
    }
    let shape = (features.len() / width.max(1), width);
    Array2::from_shape_vec(shape, features).map_err(|e| Error::Shape(e.to_string()))
}

/// Features of photographs of the training, by their principal components.
fn nearest(features: &Array2<f32>) -> Result<Nearest> {
    let mut unit = features.clone();
    for mut row in unit.rows_mut() {
        let scaled = scaled(row.view());
        row.assign(&scaled);
    }
    Nearest::new(principal_components(&unit, MOST_COMPONENTS), &unit)
}

/// The data set, or a part of it that is stratified where it has more images.
pub(crate) fn at_most(dataset: &Dataset, images: usize) -> Result<Dataset> {
    match dataset.len() > images {
        true => Ok(dataset.stratified_split(images as f32 / dataset.len() as f32, SPLIT_SEED)?.1),
        false => Ok(dataset.clone()),
    }
}

/// The mean of points `(n, features)`, and at most `most` directions `(components, features)` at right angles in which
/// they differ most: principal components, nearly (subspace iteration from a fixed start, Halko et al. 2011,
/// <https://arxiv.org/abs/0909.4061>, algorithm 4.4).
fn principal_components(points: &Array2<f32>, most: usize) -> (Array1<f32>, Array2<f32>) {
    let (n, features) = points.dim();
    let mean = points.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(features));
    let centred = points - &mean;
    let wanted = most.min(features).min(n.max(1));
    let mut rng = Rng::new(&[NOVELTY]);
    let mut basis = Array2::from_shape_simple_fn((wanted, features), || rng.uniform() - 0.5);
    orthonormalize(&mut basis);
    for _ in 0..ROUNDS {
        basis = centred.dot(&basis.t()).t().dot(&centred);
        orthonormalize(&mut basis);
    }
    // Zeros change no distance, but where points do not differ one row of them is left.
    let used: Vec<usize> =
        (0..wanted).filter(|&i| i == 0 || basis.row(i).iter().any(|&x| x != 0.0)).collect();
    (mean, basis.select(Axis(0), &used))
}

/// Gram-Schmidt, twice for each row. A row that is a mixture of those before it becomes zeros.
fn orthonormalize(rows: &mut Array2<f32>) {
    for i in 0..rows.nrows() {
        let mut row = rows.row(i).mapv(f64::from);
        let before = row.dot(&row).sqrt();
        for _ in 0..2 {
            for j in 0..i {
                let other = rows.row(j).mapv(f64::from);
                let share = row.dot(&other);
                row.scaled_add(-share, &other);
            }
        }
        let after = row.dot(&row).sqrt();
        let factor = if after > 1e-5 * before && after > 0.0 { 1.0 / after } else { 0.0 };
        rows.row_mut(i).assign(&row.mapv(|x| (x * factor) as f32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn matrix(value: &Value) -> Array2<f32> {
        let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).unwrap();
        Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
    }

    fn unit_rows(points: &Array2<f32>) -> Array2<f32> {
        let mut points = points.clone();
        for mut row in points.rows_mut() {
            let unit = scaled(row.view());
            row.assign(&unit);
        }
        points
    }

    #[test]
    fn distances_are_those_of_scikit_learns_nearest_neighbours() {
        let file: Value = serde_json::from_str(include_str!("../../tests/api/trust/reference.json")).unwrap();
        let case = &file["nearest"];
        let (points, queries) = (unit_rows(&matrix(&case["points"])), matrix(&case["queries"]));
        // With all components nothing is left out.
        let principal = principal_components(&points, 64);
        assert_eq!(principal.1.dim(), (6, 6));
        let nearest = Nearest::new(principal, &points).unwrap();
        let squares: Vec<f64> = serde_json::from_value(case["squares"].clone()).unwrap();
        for (query, square) in queries.rows().into_iter().zip(squares) {
            let found = f64::from(nearest.distance_and_angle(query).0);
            assert!((found - square).abs() < 1e-5, "{found} {square}");
        }
    }

    #[test]
    fn components_are_at_right_angles_and_keep_what_varies_most() {
        let mut rng = Rng::new(&[8]);
        // Large differences in three of forty directions.
        let points = Array2::from_shape_fn((200, 40), |(_, j)| {
            let scale = if j < 3 { 10.0 } else { 0.1 };
            scale * (rng.uniform() - 0.5)
        });
        let (mean, components) = principal_components(&points, 3);
        let products = components.dot(&components.t());
        assert!((&products - &Array2::<f32>::eye(3)).iter().all(|x| x.abs() < 1e-5), "{products}");
        let centred = &points - &mean;
        let all: f32 = centred.iter().map(|x| x * x).sum();
        let kept: f32 = centred.dot(&components.t()).iter().map(|x| x * x).sum();
        assert!(kept / all > 0.99, "{kept} of {all}");
        let same = Array2::from_elem((5, 4), 2.0);
        assert_eq!(principal_components(&same, 3).1.nrows(), 1);
    }

    #[test]
    fn at_most_the_rate_of_the_held_out_photographs_is_unknown_and_strangers_are() {
        let mut rng = Rng::new(&[9]);
        let cloud = |rng: &mut Rng, n: usize| {
            Array2::from_shape_fn(
                (n, 20),
                |(_, j)| if j < 10 { 1.0 + rng.uniform() } else { 0.2 * rng.uniform() },
            )
        };
        let training = cloud(&mut rng, 100);
        let held_out = cloud(&mut rng, 199);
        let logits = Array2::from_shape_simple_fn((199, 1), || 2.0 + rng.uniform());
        // What is frozen tells strangers that all else does not.
        let frozen =
            |from: f32, n: usize| Array2::from_shape_fn((n, 4), |(_, j)| if j == 0 { 1.0 } else { from });
        let wobbly = |rng: &mut Rng, n: usize| frozen(0.5, n).mapv(|x| x + 0.2 * rng.uniform());
        let (of_training, of_held_out) = (wobbly(&mut rng, 100), wobbly(&mut rng, 199));
        let looks = Looks { logits: &logits, features: &held_out, frozen: Some(&of_held_out) };
        let of_frozen = Some((3, nearest(&of_training).unwrap()));
        let novelty = Novelty::new(nearest(&training).unwrap(), of_frozen, &looks, 0.05).unwrap();
        assert_eq!(novelty.frozen_units(), Some(3));
        let called = novelty.unknown(&looks).unwrap().iter().filter(|unknown| unknown.is_some()).count();
        // They are compared with themselves, too, which makes them look a little less odd than new ones.
        assert!((4..=10).contains(&called), "{called}");
        // As sure as usual, and unlike all of them; as usual, and not sure; unlike all by what is frozen alone.
        let typical = (0..199).find(|&i| novelty.unknown(&looks).unwrap()[i].is_none()).unwrap();
        let mut strangers = held_out.select(Axis(0), &[typical; 3]);
        strangers.row_mut(0).iter_mut().rev().take(10).for_each(|x| *x = 2.0);
        let mut far = of_held_out.select(Axis(0), &[typical; 3]);
        far.row_mut(2).assign(&frozen(5.0, 1).row(0));
        let of_three = Looks {
            logits: &ndarray::array![[2.9f32], [0.1], [2.9]],
            features: &strangers,
            frozen: Some(&far),
        };
        let unknown = novelty.unknown(&of_three).unwrap();
        assert!(matches!(unknown[0], Some(crate::model::Unknown::FarFromTraining { .. })), "{unknown:?}");
        assert!(matches!(unknown[1], Some(crate::model::Unknown::LittleEvidence { .. })), "{unknown:?}");
        assert!(matches!(unknown[2], Some(crate::model::Unknown::FarFromTraining { .. })), "{unknown:?}");
        assert!(novelty.unknown(&Looks { frozen: None, ..of_three }).is_err());
        assert!(novelty.with_rate(0.001).unwrap_err().to_string().contains("at least 999"));
        assert!(novelty.with_rate(1.0).is_err() && novelty.with_rate(f64::NAN).is_err());
    }
}
