//! A better recipe than the tutorial's, in one call.
//!
//! 1. **The head, exactly.** What the frozen base makes of each image and its mirror image is computed once,
//!    and the best dense layer on it is solved for: a convex problem, done in a second
//!    (`softmax_regression.rs`).
//! 2. **The upper layers, gently.** From `block_14` on the base trains with Adam on a one-cycle schedule. What
//!    lies below is computed for an image and its mirror image once, and kept.
//! 3. **Both ways round.** Predictions are averaged over an image and its mirror image.
//!
//! `docs/fine_tune.md` has the experiments that chose the numbers. Not here: the parts themselves, each of
//! which `fit` can be asked for by itself.

use std::time::Instant;

use crate::augment::{RandomFlip, Sequential};
use crate::data::Dataset;
use crate::loss::actual::Actual;
use crate::loss::Loss;
use crate::model::{temperature_scaling, TrainedOn, Trust};
use crate::model::{Dense, Dropout, GlobalAveragePooling2D, Model};
use crate::network::{LayerRef, MobileNetV2};
use crate::optim::lbfgs::Minimum;
use crate::optim::{Adam, LayerRates, Schedule};
use crate::preprocess::Rescaling;
use crate::progress::say;
use crate::train::callbacks::Callback;
use crate::train::checkpoint::Checkpoints;
use crate::train::class_weights::ClassWeights;
use crate::train::fine_tune::multi_label_regression;
use crate::train::fine_tune::softmax_regression::{Problem, Solution, MAX_ITERATIONS, TOLERANCE};
use crate::train::fit::options::FitOptions;
use crate::train::fit::views::Views;
use crate::train::folds::{Folds, OutOfFold, MOST_FOLDS};
use crate::train::history::History;
use crate::train::report;
use crate::{Error, Result, SPLIT_SEED};

/// What [`Model::fine_tune`] does. The defaults suit folders of some hundred to some ten thousand photographs.
///
/// ```
/// use transfer::train::FineTuneOptions;
/// let usual = FineTuneOptions::default();
/// let head_only = FineTuneOptions::epochs(0);
/// let drawings_of_digits = FineTuneOptions::epochs(10).fine_tune_at(100).flip(false);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FineTuneOptions {
    fit: FitOptions,
    fine_tune_at: LayerRef,
    learning_rate: f32,
    l2: f64,
    flip: bool,
    augmentation: Option<Sequential>,
    seed: Option<u64>,
    folds: usize,
}

impl Default for FineTuneOptions {
    /// Two epochs of fine-tuning.
    fn default() -> Self {
        FineTuneOptions::epochs(2)
    }
}

impl FineTuneOptions {
    /// So many epochs of fine-tuning, after the head; 0 trains the head alone. More help where photographs
    /// are many, or look like nothing in ImageNet.
    pub fn epochs(epochs: usize) -> Self {
        // The head is epoch 0.
        let fit =
            FitOptions::epochs(epochs.saturating_add(1)).initial_epoch(1).schedule(Schedule::one_cycle());
        FineTuneOptions {
            fit,
            fine_tune_at: "block_14_expand".into(),
            learning_rate: 1e-4,
            l2: 0.08,
            flip: true,
            augmentation: None,
            seed: None,
            folds: 0,
        }
    }

    /// Measures loss and accuracy of this data set after the head and after each epoch.
    pub fn validation_data(mut self, dataset: &Dataset) -> Self {
        self.fit = self.fit.validation_data(dataset);
        self
    }

    /// Cross-validates the head in so many folds, 2 to 100, on the features that are computed in any case; says what
    /// it found, and keeps it in the model ([`Model::cross_validation`]). 0, as without a call, does not. It takes a
    /// second or two for 2,000 photographs, and changes nothing in what is trained. It measures the head as it is
    /// before fine-tuning, which usually improves it. Where the head alone is trained, its temperature comes from the
    /// same folds ([`Model::calibration`]); a model that is fine-tuned has seen all photographs, so that it needs
    /// others: [`Model::calibrate`].
    pub fn folds(mut self, folds: usize) -> Self {
        self.folds = folds;
        self
    }

    /// What mirroring and dropout depend on, in place of the model's own seed. The order of the images depends
    /// on the data set's.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The first layer that trains in fine-tuning, by number or name; `block_14_expand` without a call. Lower
    /// ones help where photographs look like nothing in ImageNet, and take longer.
    pub fn fine_tune_at(mut self, layer: impl Into<LayerRef>) -> Self {
        self.fine_tune_at = layer.into();
        self
    }

    /// The highest learning rate of the one-cycle schedule; 0.0001 without a call.
    pub fn learning_rate(mut self, rate: f32) -> Self {
        self.learning_rate = rate;
        self
    }

    /// Lets lower layers learn more slowly than upper ones; all learn alike without a call.
    pub fn layer_rates(mut self, rates: LayerRates) -> Self {
        self.fit = self.fit.layer_rates(rates);
        self
    }

    /// The penalty on the head's weights, `l2/2 · ‖W‖²` beside the mean loss, while it is solved for; 0.08
    /// without a call. Fewer images need a larger one.
    pub fn l2(mut self, l2: f64) -> Self {
        self.l2 = l2;
        self
    }

    /// Whether a photograph's mirror image shows the same thing, as without a call. `false` for letters,
    /// digits, left and right shoes: no image is then mirrored, neither in training nor in prediction.
    pub fn flip(mut self, yes: bool) -> Self {
        self.flip = yes;
        self
    }

    /// Augmentation for the epochs of fine-tuning, in place of the model's own. Without a call that is what the
    /// model was made with (or given by [`Model::set_augmentation`]), and mirroring where it has none. With
    /// anything but mirroring what lies below the layers that train is computed anew in each epoch.
    pub fn augmentation(mut self, layers: Sequential) -> Self {
        self.augmentation = Some(layers);
        self
    }

    /// Lets images of some classes count more, in the head and in fine-tuning.
    pub fn class_weights(mut self, weights: ClassWeights) -> Self {
        self.fit = self.fit.class_weights(weights);
        self
    }

    /// Trains towards a little less than certainty; see [`FitOptions::label_smoothing`].
    pub fn label_smoothing(mut self, smoothing: f32) -> Self {
        self.fit = self.fit.label_smoothing(smoothing);
        self
    }

    /// Keeps checkpoints in fine-tuning, and goes on from the newest; see [`FitOptions::checkpoint`]. The head is
    /// solved for anew, which gives the same one.
    pub fn checkpoint(mut self, checkpoints: impl Into<Checkpoints>) -> Self {
        self.fit = self.fit.checkpoint(checkpoints);
        self
    }

    /// Adds a [callback](crate::train::callbacks) for the epochs of fine-tuning.
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.fit = self.fit.callback(callback);
        self
    }

    fn check(&self) -> Result<()> {
        if !(self.l2.is_finite() && self.l2 >= 0.0) {
            return Err(Error::Invalid(format!(
                "fine_tune expected an l2 of at least 0, such as 0.08. Received: {}",
                self.l2
            )));
        }
        if self.folds == 1 || self.folds > MOST_FOLDS {
            return Err(Error::Invalid(format!(
                "fine_tune expected 2 to {MOST_FOLDS} folds, such as 5, or 0 for none. Received: {}",
                self.folds
            )));
        }
        Ok(())
    }

    fn fine_tunes(&self) -> bool {
        self.fit.epochs > 1
    }
}

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
    /// A classifier for the classes of `dataset` and images of its size: Backbone with the ImageNet weights,
    /// frozen, and a head that has yet to learn. What the tutorial's chain makes, in one call, without
    /// augmentation. MobileNetV2 grew up with images of 224x224.
    ///
    /// # Errors
    /// Where the weights cannot be had, or there are fewer than two classes.
    ///
    /// ```no_run
    /// use transfer::prelude::*;
    /// let photographs = own_photographs("my_photos", ImageDatasetOptions::default().image_size(224, 224))?;
    /// let mut model = Model::imagenet(&photographs.train)?;
    /// let options = FineTuneOptions::default().validation_data(&photographs.validation);
    /// let history = model.fine_tune(&photographs.train, options)?;
    /// # Ok::<(), transfer::Error>(())
    /// ```
    pub fn imagenet(dataset: &Dataset) -> Result<Self> {
        let classes = dataset.class_names().len();
        if classes < 2 {
            return Err(Error::Data(format!(
                "A classifier expected a data set of at least two classes. Received: {classes}"
            )));
        }
        let (h, w) = dataset.image_size();
        let mut base = MobileNetV2::imagenet((h, w, 3))?;
        base.set_trainable(false);
        let mut model = Model::chain()
            .then(Rescaling::new(1.0 / 127.5, -1.0))
            .then(base)
            .then(GlobalAveragePooling2D)
            .then(Dropout::new(0.2))
            .then(Dense::new(if classes == 2 && dataset.label_sets().is_none() { 1 } else { classes }))
            .build()?;
        model.take_class_names(dataset);
        model.take_image_fit(dataset);
        let loss = match dataset.label_sets() {
            Some(_) => Loss::MultiLabelBinaryCrossentropy,
            None => Loss::for_classes(classes),
        };
        model.compile(Adam::new(1e-4), loss)?;
        Ok(model)
    }

    /// Trains on `dataset` by a recipe that is faster and more accurate than the tutorial's two phases: solves
    /// for the head, then fine-tunes the upper layers for a few epochs; see [`FineTuneOptions`]. Predictions are
    /// from then on averaged over each image and its mirror image. The head learns from images as they are; a
    /// model's own augmentation is applied in the epochs that follow, and is the model's afterwards, too.
    ///
    /// The history begins with the head as epoch 0. Results depend on the seeds of model and data set alone.
    /// Whatever the model had learned in its head is replaced; its base is fine-tuned from where it is.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fine_tune(&mut self, dataset: &Dataset, options: FineTuneOptions) -> Result<History> {
        options.check()?;
        report::check()?;
        self.take_image_fit(dataset);
        self.check_dataset(dataset)?;
        let loss = match dataset.label_sets() {
            Some(_) => Loss::MultiLabelBinaryCrossentropy,
            None => Loss::for_units(self.units()),
        };
        loss.check_labels(self.units(), Actual::of(dataset, dataset.labels()))?;
        self.thresholds.clear();
        self.take_class_names(dataset);
        self.trust = Trust::default();
        self.test_time_flip = options.flip;
        self.seed = options.seed.unwrap_or(self.seed);
        self.net.base.set_trainable(false);
        if options.fine_tunes() {
            self.net.base.fine_tune_at(options.fine_tune_at.clone())?;
        }
        self.compile(Adam::new(options.learning_rate), loss)?;
        let own = self.augmentation.take();
        let asked = options.augmentation.clone().or_else(|| own.clone());
        let mirrors_alone = options.flip && asked.is_none();
        let mirror = mirrors_alone.then(|| Sequential::new().add(RandomFlip::horizontal()).seed(self.seed));
        self.augmentation = asked.or(mirror);
        let history =
            self.train_head(dataset, &options, loss, mirrors_alone).and_then(|(mut history, views)| {
                if options.fine_tunes() {
                    history.extend(&self.fit_on(dataset, options.fit, views)?);
                }
                Ok(history)
            });
        self.augmentation = own;
        history
    }

    /// Keeps what heads say of images that they did not see, and with `final_head` the temperature of such heads.
    fn take_folds(&mut self, heads: &OutOfFold, final_head: bool) -> Result<()> {
        let found = heads.cross_validation();
        say(found.to_string());
        self.trust.cross_validation = Some(found);
        if final_head {
            self.trust.calibration = Some(temperature_scaling(&heads.logits, &heads.labels)?);
        }
        Ok(())
    }

    /// Solves for the head. Returns what it measured, and the views that were computed on the way.
    fn train_head(
        &mut self,
        dataset: &Dataset,
        options: &FineTuneOptions,
        loss: Loss,
        mirrors_alone: bool,
    ) -> Result<(History, Option<Views>)> {
        let start = Instant::now();
        let units = self.units();
        let class_weights = match &options.fit.class_weights {
            Some(weights) => Some(weights.of_dataset(dataset, loss.classes(units))?),
            None => None,
        };
        let mut collected = self.collect(dataset, options.flip, options.fine_tunes() && mirrors_alone)?;
        let views = collected.views.take();
        let (features, labels) = (&collected.features[..], &collected.labels[..]);
        let (class_weights, l2) = (class_weights.as_deref(), options.l2);
        let problem = Problem { features, labels, units, class_weights, l2, seen: None, start: None };
        let (Solution { kernel, bias, minimum }, (mean, accuracy)) = match dataset.label_sets() {
            Some(sets) => multi_label_regression::solve(features, labels, sets, l2)?,
            None => {
                let solution = problem.solve()?;
                let measured = problem.measure(&solution.kernel, &solution.bias, loss);
                (solution, measured)
            }
        };
        self.net.set_head(&kernel, &bias)?;
        let mut history =
            History { epoch: vec![0], loss: vec![mean], accuracy: vec![accuracy], ..History::default() };
        let mut line = format!("loss: {mean:.4} - accuracy: {accuracy:.4}");
        if let Some(validation) = &options.fit.validation {
            let v = self.measure(validation)?;
            line += &v.of_epoch();
            (history.val_loss, history.val_accuracy) = (vec![v.loss], vec![v.accuracy]);
        }
        let seconds = start.elapsed().as_secs_f64();
        (history.seconds, history.learning_rate) = (vec![seconds], vec![0.0]);
        say(format!("{} of {} images - {seconds:.1}s - {line}", how_it_ended(&minimum), labels.len()));
        self.trained_on = Some(TrainedOn::of(dataset, options.fit.validation.as_ref()));
        if options.folds > 0 {
            let folds = Folds {
                folds: options.folds,
                classes: loss.classes(units),
                groups: None,
                class_weights,
                l2,
                seed: SPLIT_SEED,
                files: dataset.file_paths().len(),
            };
            match collected.out_of_fold(&folds, Some((&kernel, &bias))) {
                Ok(heads) => self.take_folds(&heads, !options.fine_tunes())?,
                // A class of one photograph is no reason not to train.
                Err(Error::Data(why)) => say(format!("No cross-validation: {why}")),
                Err(e) => return Err(e),
            }
        }
        report::fitted(&history, dataset, options.fit.validation.as_ref());
        Ok((history, views))
    }
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
