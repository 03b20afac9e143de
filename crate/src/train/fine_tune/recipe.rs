//! A better recipe than the tutorial's, in one call.
//!
//! 1. **The head, exactly.** What the frozen base makes of each image and its mirror image is computed once,
//!    and the best dense layer on it is solved for: a convex problem, done in a second
//!    (`softmax_regression.rs`). Held-out images choose its penalty.
//! 2. **The upper layers, gently.** From `block_14` on the base trains with Adam on a one-cycle schedule. What
//!    lies below is computed for an image and its mirror image once, and kept.
//! 3. **What helps is kept.** Some images are held out of fine-tuning, and say how far to go from the head alone to the
//!    fine-tuned weights; the answer may be: not at all. Who asks for a refit has that decided by a trial; then all images
//!    train.
//! 4. **Both ways round.** Predictions are averaged over an image and its mirror image.
//!
//! `docs/fine_tune.md` has the experiments that chose the numbers. Not here: the parts themselves, each of
//! which `fit` can be asked for by itself.

use std::time::Instant;

use super::held_out::HeldOut;
use super::options::FineTuneOptions;
use super::penalty::{self, HeadValues};
use super::plan::{Plan, WithoutHeldOut, USUAL_L2};
use super::runs::{mixed, Runs, Tuned, SHARES};
use super::softmax_regression::{Problem, Solution, MAX_ITERATIONS, TOLERANCE};
use super::{multi_label_regression, time};
use crate::augment::{RandomFlip, Sequential};
use crate::data::Dataset;
use crate::loss::actual::Actual;
use crate::loss::Loss;
use crate::model::Model;
use crate::model::{temperature_scaling, TrainedOn, Trust};
use crate::optim::lbfgs::Minimum;
use crate::optim::Adam;
use crate::progress::say;
use crate::team;
use crate::train::fit::views::Views;
use crate::train::folds::{Folds, OutOfFold};
use crate::train::history::{History, Kept};
use crate::train::report;
use crate::{Error, Result, SPLIT_SEED};

/// How the head was found, in words that "of so many images" follows.
fn how_it_ended(minimum: &Minimum) -> String {
    let Minimum { iterations, gradient, converged, .. } = minimum;
    // Sums of f32 have errors of this size, and then no step makes the loss smaller.
    let rounding = *iterations < MAX_ITERATIONS && *gradient <= 100.0 * TOLERANCE;
    match (converged, rounding) {
        (true, _) => format!("Head, solved in {iterations} iterations on features"),
        (false, true) => format!(
            "Head, solved in {iterations} iterations to the precision of f32 (largest element of the gradient \
             {gradient:.1e}) on features"
        ),
        (false, false) => format!(
            "Head, NOT solved: the search ended after {iterations} iterations with a largest element of the gradient \
             of {gradient:.1e}, where {TOLERANCE:.0e} was wanted; the best layer so far is used. On features"
        ),
    }
}

impl Model {
    /// Trains on `dataset` by a recipe that is faster and more accurate than the tutorial's two phases: solves for the
    /// head, fine-tunes the upper layers for a few epochs, and keeps as much of that as helps photographs that were held
    /// out of it; see [`FineTuneOptions`]. Predictions are from then on averaged over each image and its mirror image. The
    /// head learns from images as they are; a model's own augmentation is applied in the epochs that follow, and is the
    /// model's afterwards, too.
    ///
    /// Fewer than 100 photographs train the head alone, unless [`FineTuneOptions::epochs`] asks for more. Of up to 399
    /// photographs a quarter is held out of each of two runs, and at most half of the way to the mean of their weights is
    /// kept. Of more a fifth or less is held out of one run; [`FineTuneOptions::refit`] tries first, and then trains on all.
    /// The head learns from all. [`History::kept`] tells what was decided, and why. Validation data decides nothing. Where
    /// photographs have several labels none are held out.
    ///
    /// The history begins with the head as epoch 0; that of two runs is their mean. A trial is in it only where the head
    /// alone is kept. Results depend on the seeds of model and data set alone, unless there is a
    /// [time limit](FineTuneOptions::time_limit).
    /// Whatever the model had learned in its head is replaced; its base is fine-tuned from where it is.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fine_tune(&mut self, dataset: &Dataset, options: FineTuneOptions) -> Result<History> {
        let start = Instant::now();
        options.check(dataset)?;
        let options = match self.net.base.is_features() {
            true => options.head_alone()?,
            false => options,
        };
        report::check()?;
        self.take_image_fit(dataset);
        self.check_dataset(dataset)?;
        let several = dataset.label_sets().is_some();
        let loss = match several {
            true => Loss::MultiLabelBinaryCrossentropy,
            false => Loss::for_units(self.units()),
        };
        loss.check_labels(self.units(), Actual::of(dataset, dataset.labels()))?;
        self.thresholds.clear();
        self.take_class_names(dataset);
        self.trust = Trust::default();
        self.test_time_flip = options.flip;
        self.seed = options.seed.unwrap_or(self.seed);
        self.net.base.set_trainable(false);
        let plan = Plan::of(dataset.len(), several, &options);
        if plan.epochs == 0 && options.epochs.is_none() {
            say(format!(
                "{} photographs are too few to tell whether fine-tuning helps: the head alone is trained",
                dataset.len()
            ));
        }
        if plan.epochs > 0 {
            let usual = self.net.base.last_three_blocks().into();
            self.net.base.fine_tune_at(options.fine_tune_at.clone().unwrap_or(usual))?;
        }
        self.compile(Adam::new(plan.learning_rate), loss)?;
        let own = self.augmentation.take();
        let asked = options.augmentation.clone().or_else(|| own.clone());
        let mirrors_alone = options.flip && asked.is_none();
        let mirror = mirrors_alone.then(|| Sequential::new().add(RandomFlip::horizontal()).seed(self.seed));
        self.augmentation = asked.or(mirror);
        let history = self.head_and_more(dataset, &options, (plan, loss), mirrors_alone, start);
        self.augmentation = own;
        history
    }

    fn head_and_more(
        &mut self,
        dataset: &Dataset,
        options: &FineTuneOptions,
        (mut plan, loss): (Plan, Loss),
        mirrors_alone: bool,
        start: Instant,
    ) -> Result<History> {
        let class_weights = match &options.fit.class_weights {
            Some(weights) => Some(weights.of_dataset(dataset, loss.classes(self.units()))?),
            None => None,
        };
        let class_weights = class_weights.as_deref();
        // Photographs with several labels have no classes to hold out a part of.
        let held_out = match dataset.label_sets() {
            Some(_) => None,
            None => self.hold_out(dataset, options, plan)?,
        };
        let keeps_views = plan.epochs > 0 && mirrors_alone;
        let mut head =
            self.train_head(dataset, options, (plan, loss), class_weights, (keeps_views, held_out.as_ref()))?;
        let share = options.share.or_else(|| dataset.label_sets().map(|_| 1.0));
        if share.is_some() || held_out.is_none() {
            plan.without_held_out = WithoutHeldOut::Nothing;
        }
        if let Some(limit) = options.time_limit {
            let asked = plan.epochs;
            plan.epochs = time::epochs(self, dataset, plan, head.views.as_ref(), limit, start.elapsed())?;
            if let Some(team) = self.several() {
                plan.epochs = team::first_number(team, plan.epochs)?;
            }
            say(format!("{} of {asked} epochs of fine-tuning fit into {limit:.0?}", plan.epochs));
        }
        if plan.epochs > 0 && (share.is_some() || held_out.is_some()) {
            let base = self.net.weights_that_train()?;
            let runs = Runs { dataset, options, plan, loss, class_weights, base: &base };
            let later = match (share, &held_out) {
                (None, Some(held_out)) => self.keep_what_helps(&runs, held_out, &mut head),
                (share, _) => self.keep_share(&runs, share.unwrap_or(1.0), &mut head),
            };
            if let Err(Error::Interrupted(_)) = later {
                // The same call then finds what it found, and goes on from checkpoints.
                self.net.set_what_trains(&base)?;
            }
            let later = later?;
            report::fitted(&later, dataset, options.fit.validation.as_ref());
            head.history.extend(&later);
        } else {
            self.net.base.set_trainable(false);
            if let Some(heads) = &head.out_of_fold {
                self.trust.calibration = Some(temperature_scaling(&heads.logits, &heads.labels)?);
            }
        }
        self.trained_on = Some(TrainedOn::of(dataset, options.fit.validation.as_ref()));
        Ok(head.history)
    }

    /// Which photographs are held out; nothing where a class is too small for that, or nobody asks them.
    fn hold_out(&self, dataset: &Dataset, options: &FineTuneOptions, plan: Plan) -> Result<Option<HeldOut>> {
        if plan.l2.is_some() && (options.share.is_some() || plan.epochs == 0) {
            return Ok(None);
        }
        match HeldOut::new(dataset, plan, options.groups.as_deref()) {
            Ok(held_out) => Ok(Some(held_out)),
            Err(Error::Data(why)) => {
                say(format!(
                    "No photographs can be held out to tell whether fine-tuning helps, so that {}: {why}",
                    match options.share {
                        Some(_) => "the head has its usual penalty",
                        None => "the head alone is trained",
                    }
                ));
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Fine-tunes on all photographs, and goes a share of the way to the weights that come of it.
    fn keep_share(&mut self, runs: &Runs<'_>, share: f32, head: &mut TrainedHead) -> Result<History> {
        let (end, start, history) =
            runs.run(self, runs.dataset, &head.of_all, (0, &runs.options.fit), head.views.as_mut())?;
        if share < 1.0 {
            self.net.set_what_trains(&mixed(&[(1.0 - share, &start), (share, &end)])?)?;
        }
        Ok(history)
    }

    /// Fine-tunes, asks the photographs that were held out, and sets the weights that they prefer, after a run on all
    /// photographs where that was a trial.
    fn keep_what_helps(
        &mut self,
        runs: &Runs<'_>,
        held_out: &HeldOut,
        head: &mut TrainedHead,
    ) -> Result<History> {
        let start = self.net.weights_that_train()?;
        let Tuned { mut weights, mut history, unseen } =
            runs.held_out(self, held_out, &head.of_runs, head.views.as_mut())?;
        let chosen = unseen.chosen(runs.plan.most);
        let share = SHARES[chosen];
        let is_trial = runs.plan.without_held_out == WithoutHeldOut::Trial;
        let (n, head_loss, tuned_loss) = (unseen.len(), unseen.loss(0), unseen.least_loss());
        say(match chosen {
            0 => format!(
                "Fine-tuning did not clearly help on {} photographs: the head alone is kept. Loss of {n} held-out \
                 photographs: {head_loss:.4} with the head alone, {tuned_loss:.4} at best with fine-tuning",
                runs.dataset.len()
            ),
            _ => {
                let what = match share == 1.0 {
                    true => "the fine-tuned weights".to_owned(),
                    false => format!("{share} of the way from the head alone to the fine-tuned weights"),
                };
                let (are, with) = match (is_trial, share == 1.0) {
                    (true, _) => ("will be", "this share of the trial"),
                    (false, true) => ("are", "what is kept"),
                    (false, false) => ("is", "what is kept"),
                };
                format!(
                    "Fine-tuning helped: {what} {are} kept. Loss of {n} held-out photographs: {head_loss:.4} with the head \
                     alone, {:.4} with {with}",
                    unseen.loss(chosen)
                )
            }
        });
        if chosen > 0 && is_trial {
            (weights, history) = runs.after_trial(self, held_out, &head.of_all, head.views.as_mut())?;
        }
        self.net.set_what_trains(&mixed(&[(1.0 - share, &start), (share, &weights)])?)?;
        self.trust.calibration = match &head.out_of_fold {
            Some(heads) if chosen == 0 => Some(temperature_scaling(&heads.logits, &heads.labels)?),
            _ => unseen.calibration(chosen),
        };
        let validation = match &runs.options.fit.validation {
            Some(validation) => Some(self.measure(validation)?),
            None => None,
        };
        if let Some(v) = &validation {
            say(format!("What is kept{}", v.of_epoch()));
        }
        history.kept = Some(Kept {
            share: f64::from(share),
            held_out: n,
            head_loss,
            fine_tuned_loss: tuned_loss,
            val_loss: validation.as_ref().map(|v| v.loss),
            val_accuracy: validation.as_ref().map(|v| v.accuracy),
        });
        Ok(history)
    }

    /// Solves for the head, and for those of the runs.
    fn train_head(
        &mut self,
        dataset: &Dataset,
        options: &FineTuneOptions,
        (plan, loss): (Plan, Loss),
        class_weights: Option<&[f64]>,
        (keeps_views, held_out): (bool, Option<&HeldOut>),
    ) -> Result<TrainedHead> {
        let start = Instant::now();
        let units = self.units();
        let mut collected = self.collect(dataset, options.flip, keeps_views)?;
        let views = collected.views.take();
        let (features, labels) = (&collected.features[..], &collected.labels[..]);
        let mut l2 = plan.l2.unwrap_or(USUAL_L2);
        let mut of_runs = Vec::new();
        let problem = Problem { features, labels, units, class_weights, l2, seen: None, start: None };
        if let Some(held_out) = held_out {
            let chosen = penalty::choose(&problem, &collected, held_out, loss, plan.l2)?;
            (l2, of_runs) = (chosen.l2, chosen.heads);
        }
        let (Solution { kernel, bias, minimum }, (mean, accuracy)) = match dataset.label_sets() {
            Some(sets) => multi_label_regression::solve(features, labels, sets, l2)?,
            None => {
                let start = of_runs.first().map(|(kernel, bias)| (&kernel[..], &bias[..]));
                let solution = Problem { l2, start, ..problem }.solve()?;
                let measured = problem.measure(&solution.kernel, &solution.bias, loss);
                (solution, measured)
            }
        };
        self.net.set_head(&kernel, &bias)?;
        let mut history =
            History { epoch: vec![0], loss: vec![mean], accuracy: vec![accuracy], ..History::default() };
        history.images_per_second = vec![dataset.len() as f64 / start.elapsed().as_secs_f64().max(1e-9)];
        let mut line = format!("loss: {mean:.4} - accuracy: {accuracy:.4}");
        if let Some(validation) = &options.fit.validation {
            let v = self.measure(validation)?;
            line += &v.of_epoch();
            (history.val_loss, history.val_accuracy) = (vec![v.loss], vec![v.accuracy]);
        }
        let seconds = start.elapsed().as_secs_f64();
        (history.seconds, history.learning_rate) = (vec![seconds], vec![0.0]);
        say(format!(
            "{} of {} images, penalty {l2} - {seconds:.1}s - {line}",
            how_it_ended(&minimum),
            labels.len()
        ));
        let mut out_of_fold = None;
        if options.folds > 0 {
            let folds = Folds {
                folds: options.folds,
                classes: loss.classes(units),
                groups: options.groups.as_deref(),
                class_weights,
                l2,
                seed: SPLIT_SEED,
                files: dataset.labels().len(),
            };
            match collected.out_of_fold(&folds, Some((&kernel, &bias))) {
                Ok(heads) => {
                    let found = heads.cross_validation();
                    say(found.to_string());
                    self.trust.cross_validation = Some(found);
                    out_of_fold = Some(heads);
                }
                // A class of one photograph is no reason not to train.
                Err(Error::Data(why)) => say(format!("No cross-validation: {why}")),
                Err(e) => return Err(e),
            }
        }
        report::fitted(&history, dataset, options.fit.validation.as_ref());
        Ok(TrainedHead { history, views, of_all: (kernel, bias), of_runs, out_of_fold })
    }
}

/// What was computed on the way to the head.
struct TrainedHead {
    history: History,
    views: Option<Views>,
    of_all: HeadValues,
    /// For each run, without the photographs that are held out of it.
    of_runs: Vec<HeadValues>,
    /// What heads of folds say of the others.
    out_of_fold: Option<OutOfFold>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_was_not_solved_for_is_no_solved_one_and_the_line_says_how_far_it_is() {
        let unsolved = Minimum { value: 0.5, iterations: 2000, gradient: 0.00321, converged: false };
        let line = how_it_ended(&unsolved);
        assert!(line.starts_with("Head, NOT solved") && !line.contains("Head, solved"), "{line}");
        for part in ["2000 iterations", "3.2e-3", "1e-5 was wanted"] {
            assert!(line.contains(part), "{part} is not in: {line}");
        }
        let rounded = how_it_ended(&Minimum { iterations: 37, gradient: 2e-5, ..unsolved });
        assert!(rounded.starts_with("Head, solved in 37 iterations to the precision of f32"), "{rounded}");
        let far_off = how_it_ended(&Minimum { iterations: 37, ..unsolved });
        assert!(far_off.starts_with("Head, NOT solved"), "{far_off}");
        let solved = how_it_ended(&Minimum { gradient: 9e-6, converged: true, ..unsolved });
        assert_eq!(solved, "Head, solved in 2000 iterations on features");
    }
}
