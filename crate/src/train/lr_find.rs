//! The learning-rate range test (Smith 2015, section 3.3, <https://arxiv.org/abs/1506.01186>): a short training
//! whose rate grows from step to step shows which rates make the loss fall, and from where on it explodes.

use std::sync::Arc;

use crate::data::Dataset;
use crate::loss::actual::Actual;
use crate::model::Model;
#[cfg(feature = "plot")]
use crate::plot::{lr_find_figure, Figure, RateMark};
use crate::progress::check_stop;
use crate::train::fit::features::not_contiguous;
use crate::train::fit::options::FitOptions;
use crate::train::fit::pipeline;
use crate::train::fit::recipe::Recipe;
use crate::train::fit::run::RunState;
use crate::train::fit::step::Input;
use crate::{Error, Result};

/// How fastai smooths losses, and when it stops.
const BETA: f64 = 0.98;
const DIVERGED: f64 = 4.0;
/// With fewer, not two are left when the first tenth and the last five are gone.
const LEAST_STEPS: usize = 7;

/// From where to where the learning rate grows, and in how many steps. The defaults are fastai's.
///
/// ```
/// use transfer::train::LrFindOptions;
/// let fine = LrFindOptions { end: 1.0, steps: 200, ..Default::default() };
/// assert_eq!(fine.start, 1e-7);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct LrFindOptions {
    /// The first rate; small enough that nothing is learned.
    pub start: f64,
    /// What the rates grow towards: the last step's is below it.
    pub end: f64,
    /// Steps at most, each on a batch. Fewer make a rougher curve.
    pub steps: usize,
    /// Whether to stop as soon as the smoothed loss is four times its least, both after the first tenth of the
    /// steps. A loss that is not finite ends the test in any case.
    pub stop_when_diverging: bool,
}

impl Default for LrFindOptions {
    fn default() -> Self {
        LrFindOptions { start: 1e-7, end: 10.0, steps: 100, stop_when_diverging: true }
    }
}

impl LrFindOptions {
    /// The rate of step `i`.
    fn rate(&self, i: usize) -> f64 {
        self.start * (self.end / self.start).powf(i as f64 / self.steps as f64)
    }

    fn check(&self) -> Result<()> {
        let sane =
            self.start.is_finite() && self.start > 0.0 && self.end.is_finite() && self.end > self.start;
        if sane && (10..=100_000).contains(&self.steps) {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "lr_find expected a start above 0, an end above it, and 10 to 100000 steps. Received: {self:?}"
        )))
    }
}

/// What a range test measured, and what it suggests.
#[derive(Debug, Clone, PartialEq)]
pub struct LrFind {
    /// The learning rate of each step that had a finite loss.
    pub learning_rates: Vec<f64>,
    /// The loss of each step's batch, before the step.
    pub losses: Vec<f64>,
    /// The same smoothed: a mean in which each step before counts 0.98 times as much as the next.
    pub smoothed: Vec<f64>,
    /// Whether it ended because the loss grew too large, or was not finite.
    pub diverged: bool,
}

/// Learning rates that a range test suggests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suggestion {
    /// In the middle of the longest fall of the smoothed loss: a good first choice (fastai's `valley`).
    pub valley: f64,
    /// Where the smoothed loss falls fastest, over the logarithm of the rate.
    pub steepest: f64,
    /// A tenth of the rate with the least smoothed loss, which is too large itself.
    pub minimum_tenth: f64,
}

impl Model {
    /// Trains a few batches with a learning rate that grows exponentially, and measures the loss; then the
    /// model and its optimizer are as they were, bit for bit. The images are those of epoch 0 and on, in
    /// their order, augmented, with dropout; the optimizer is that of [`compile`](Self::compile), without what it
    /// remembers of earlier steps.
    ///
    /// ```no_run
    /// # fn example(model: &mut transfer::model::Model, train: &transfer::data::Dataset) -> transfer::Result<()> {
    /// use transfer::prelude::*;
    /// let found = model.lr_find(train, LrFindOptions::default())?;
    /// model.compile(Adam::new(found.suggestion()?.valley as f32), Loss::BinaryCrossentropy)?;
    /// found.figure()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Where the model is not compiled, an option makes no sense, or the data set does not fit or cannot be
    /// read; [`Error::Interrupted`] where somebody asks for a stop. The model is as it was then, too.
    pub fn lr_find(&mut self, dataset: &Dataset, options: LrFindOptions) -> Result<LrFind> {
        options.check()?;
        let loss = self.loss()?;
        self.check_dataset(dataset)?;
        loss.check_labels(self.units(), Actual::of(dataset, dataset.labels()))?;
        let before = self.net.weights_that_train()?;
        let compiled = self.compiled.take();
        // An optimizer without a past, whose settings are the same.
        let found = match &compiled {
            Some(c) => self.compile(c.config(), loss).and_then(|()| self.range_test(dataset, &options)),
            None => Err(crate::model::not_compiled()),
        };
        self.compiled = compiled;
        self.net.set_what_trains(&before)?;
        found
    }

    fn range_test(&mut self, dataset: &Dataset, options: &LrFindOptions) -> Result<LrFind> {
        let recipe = Recipe::new(&FitOptions::epochs(1), self, dataset)?;
        let mut found =
            LrFind { learning_rates: Vec::new(), losses: Vec::new(), smoothed: Vec::new(), diverged: false };
        let mut smoothing = Smoothing::default();
        let mut state = RunState::new(0);
        while found.losses.len() < options.steps {
            let map = Arc::new(pipeline::training(self));
            for batch in dataset.batches_from(state.epoch as u64, map, 0)? {
                let i = found.losses.len();
                if i == options.steps {
                    break;
                }
                let batch = batch?;
                check_stop("The range test")?;
                let rate = options.rate(i);
                let sum = state.running.loss;
                let images = Input::Images(batch.images.as_slice().ok_or_else(not_contiguous)?.into());
                let (labels, recipe) = (batch.labels.to_vec(), recipe.with_rate(rate));
                let step = self.step(&recipe, images, &labels, &batch.indices, batch.number, &mut state);
                let loss = match step {
                    Ok(()) => (state.running.loss - sum) / labels.len().max(1) as f64,
                    // A loss that is not finite ends a test as one that is too large does.
                    Err(Error::Training(_)) => f64::INFINITY,
                    Err(other) => return Err(other),
                };
                // Of a trained model the first few losses are near 0 by chance, and would make any later one
                // look like an explosion.
                let early = i < options.steps / 10;
                let smoothed = smoothing.next(loss, early);
                found.diverged =
                    !loss.is_finite() || (options.stop_when_diverging && !early && smoothing.has_diverged());
                if loss.is_finite() {
                    found.learning_rates.push(rate);
                    found.losses.push(loss);
                    found.smoothed.push(smoothed);
                }
                if found.diverged {
                    return Ok(found);
                }
                check_stop("The range test")?;
            }
            state = RunState::new(state.epoch + 1);
        }
        Ok(found)
    }
}

/// A running mean without the pull towards its start.
#[derive(Default)]
struct Smoothing {
    sum: f64,
    count: i32,
    now: f64,
    least: Option<f64>,
}

impl Smoothing {
    /// The mean with this loss; `early` ones are not remembered as the least.
    fn next(&mut self, loss: f64, early: bool) -> f64 {
        self.sum = BETA * self.sum + (1.0 - BETA) * loss;
        self.count += 1;
        self.now = self.sum / (1.0 - BETA.powi(self.count));
        if !early {
            self.least = Some(self.least.map_or(self.now, |least| least.min(self.now)));
        }
        self.now
    }

    fn has_diverged(&self) -> bool {
        self.least.is_some_and(|least| self.now > DIVERGED * least)
    }
}

impl LrFind {
    /// What the curve suggests. As fastai does, the first tenth of the steps that it has, where the mean is still
    /// rough, and the last five, where the loss may explode, are left out.
    ///
    /// # Errors
    /// Where fewer than two steps are left, as when the loss explodes at once: then the first rate is too
    /// large. Where the loss falls nowhere in what is left.
    pub fn suggestion(&self) -> Result<Suggestion> {
        let n = self.smoothed.len().min(self.learning_rates.len());
        let (from, to) = (n / 10, n.saturating_sub(5));
        if n < LEAST_STEPS {
            return Err(Error::Invalid(format!(
                "lr_find expected at least {LEAST_STEPS} steps to suggest something from. Received: {n}. Begin with a smaller \
                 rate: `LrFindOptions {{ start: 1e-9, ..Default::default() }}`."
            )));
        }
        let (rates, losses) = (&self.learning_rates[from..to], &self.smoothed[from..to]);
        let slope = |i: &usize| (losses[i + 1] - losses[*i]) / (rates[i + 1].ln() - rates[*i].ln());
        let least = |a: &f64, b: &f64| a.total_cmp(b);
        if !losses.windows(2).any(|pair| pair[1] < pair[0]) {
            return Err(Error::Invalid(format!(
                "lr_find expected a loss that falls at some rate, to suggest one. Received: {n} steps, of which none \
                 from {:.1e} to {:.1e} brought the smoothed loss down. Is anything trainable, and do the labels fit \
                 the images? A model that has learned already has nothing left to fall.",
                rates[0],
                rates[rates.len() - 1]
            )));
        }
        let steepest = (0..losses.len() - 1).min_by(|a, b| least(&slope(a), &slope(b))).unwrap_or(0);
        let minimum = (0..losses.len()).min_by(|&a, &b| least(&losses[a], &losses[b])).unwrap_or(0);
        Ok(Suggestion {
            valley: rates[valley(losses)],
            steepest: rates[steepest],
            minimum_tenth: rates[minimum] / 10.0,
        })
    }

    /// The loss over the learning rate, with the suggestions where there are any.
    ///
    /// # Errors
    /// Where there are fewer than two steps to draw.
    #[cfg(feature = "plot")]
    pub fn figure(&self) -> Result<Figure> {
        let marks = match self.suggestion() {
            Err(_) => Vec::new(),
            Ok(s) => [("valley", s.valley), ("steepest", s.steepest), ("minimum/10", s.minimum_tenth)]
                .map(|(name, rate)| RateMark { name: name.to_owned(), rate })
                .to_vec(),
        };
        lr_find_figure(&self.learning_rates, &self.losses, &self.smoothed, &marks)
    }
}

/// The middle of the longest fall, as fastai has it: the fall is the longest series of losses, not necessarily
/// neighbours, each of which is less than the one before; it is taken to begin as many steps before its last one as it
/// has members.
fn valley(losses: &[f64]) -> usize {
    // Length of the longest series that ends at each loss.
    let mut lengths = vec![1usize; losses.len()];
    let (mut start, mut end) = (0, 0);
    for i in 1..losses.len() {
        for j in 0..i {
            if losses[i] < losses[j] {
                lengths[i] = lengths[i].max(lengths[j] + 1);
            }
        }
        if lengths[i] > lengths[end] {
            end = i;
            start = end - lengths[end].min(end);
        }
    }
    let section = (end - start) as f64 / 3.0;
    start + section as usize + (section / 2.0) as usize
}

impl std::fmt::Display for Suggestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Suggestion { valley, steepest, minimum_tenth } = self;
        write!(f, "valley {valley:.1e}, steepest {steepest:.1e}, minimum/10 {minimum_tenth:.1e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A curve that is flat, falls, and explodes.
    fn curve(steps: usize) -> LrFind {
        let options = LrFindOptions { steps, ..LrFindOptions::default() };
        let learning_rates: Vec<f64> = (0..steps).map(|i| options.rate(i)).collect();
        let of = |rate: &f64| {
            let x = rate.log10();
            0.7 - 0.5 / (1.0 + (-(x + 3.0) * 3.0).exp()) + (2.0 * (x + 1.0)).exp()
        };
        let smoothed: Vec<f64> = learning_rates.iter().map(of).collect();
        LrFind { losses: smoothed.clone(), learning_rates, smoothed, diverged: true }
    }

    #[test]
    fn suggestions_lie_where_the_curve_falls() {
        let s = curve(100).suggestion().unwrap();
        assert!((3e-4..3e-3).contains(&s.steepest), "{s}");
        assert!((1e-5..1e-2).contains(&s.valley), "{s}");
        assert!((1e-4..1e-1).contains(&s.minimum_tenth), "{s}");
    }

    #[test]
    fn the_valley_is_the_longest_fall_also_with_bumps_in_it() {
        // Thirty that fall with every third one too high, between two shorter falls.
        let bumpy = (0..30).map(|i| 5.0 - 0.1 * i as f64 + if i % 3 == 1 { 2.0 } else { 0.0 });
        let losses: Vec<f64> = [9.0, 8.5, 8.0].into_iter().chain(bumpy).chain([7.0, 6.9, 6.8]).collect();
        let at = valley(&losses);
        assert!((6..24).contains(&at), "{at}");
        for flat in [vec![1.0], vec![1.0, 1.0], vec![1.0, 2.0, 3.0]] {
            assert_eq!(valley(&flat), 0);
        }
        let falling: Vec<f64> = (0..31).map(|i| -f64::from(i)).collect();
        assert_eq!(valley(&falling), 15);
    }

    #[test]
    fn the_smoothed_loss_is_fastais_and_has_no_pull_towards_zero() {
        let mut smoothing = Smoothing::default();
        assert!((smoothing.next(2.0, false) - 2.0).abs() < 1e-12);
        assert!((smoothing.next(1.0, false) - (0.98 * 2.0 + 1.0) / 1.98).abs() < 1e-12);
        assert!(!smoothing.has_diverged());
        smoothing.next(1e6, false);
        assert!(smoothing.has_diverged());
    }

    #[test]
    fn a_loss_that_never_falls_suggests_nothing() {
        let mut rising = curve(100);
        rising.smoothed = (0..100).map(|i| 0.5 + 0.01 * f64::from(i)).collect();
        assert!(rising.suggestion().unwrap_err().to_string().contains("falls at some rate"));
        rising.smoothed.fill(0.5);
        assert!(rising.suggestion().is_err());
        rising.smoothed[50] = 0.4;
        assert!(rising.suggestion().is_ok());
    }

    #[test]
    fn too_few_steps_suggest_nothing_and_odd_options_are_refused() {
        let mut short = curve(100);
        short.smoothed = (0..100).map(|i| 1.0 - 0.01 * f64::from(i)).collect();
        short.smoothed.truncate(7);
        assert!(short.suggestion().is_ok());
        short.smoothed.truncate(6);
        let error = short.suggestion().unwrap_err().to_string();
        assert!(error.contains("smaller") && error.contains("at least 7 steps"), "{error}");
        for wrong in [
            LrFindOptions { start: 0.0, ..Default::default() },
            LrFindOptions { end: 1e-8, ..Default::default() },
            LrFindOptions { steps: 3, ..Default::default() },
            LrFindOptions { end: f64::INFINITY, ..Default::default() },
        ] {
            assert!(wrong.check().unwrap_err().to_string().contains("Received"));
        }
    }
}
