//! What `fine_tune` is asked for.

use std::time::Duration;

use crate::augment::Sequential;
use crate::data::Dataset;
use crate::network::LayerRef;
use crate::optim::{LayerRates, Schedule};
use crate::train::callbacks::Callback;
use crate::train::checkpoint::Checkpoints;
use crate::train::class_weights::ClassWeights;
use crate::train::fit::options::FitOptions;
use crate::train::folds::MOST_FOLDS;
use crate::{Error, Result};

/// What [`Model::fine_tune`](crate::model::Model::fine_tune) does. Without further calls it depends on the number of photographs, from some ten to some
/// ten thousand, and on what held-out photographs say; `docs/fine_tune.md` has the measurements.
///
/// ```
/// use std::time::Duration;
/// use transfer::train::FineTuneOptions;
/// let usual = FineTuneOptions::default();
/// let head_only = FineTuneOptions::epochs(0);
/// let in_a_minute = FineTuneOptions::default().time_limit(Duration::from_secs(60));
/// let drawings_of_digits = FineTuneOptions::epochs(10).fine_tune_at(100).flip(false);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FineTuneOptions {
    pub(super) fit: FitOptions,
    /// Nothing where the number of photographs decides.
    pub(super) epochs: Option<usize>,
    pub(super) fine_tune_at: Option<LayerRef>,
    pub(super) learning_rate: Option<f32>,
    pub(super) batch_size: Option<usize>,
    pub(super) l2: Option<f64>,
    pub(super) share: Option<f32>,
    pub(super) refit: bool,
    pub(super) time_limit: Option<Duration>,
    pub(super) flip: bool,
    pub(super) augmentation: Option<Sequential>,
    pub(super) seed: Option<u64>,
    pub(super) folds: usize,
    pub(super) groups: Option<Vec<u32>>,
}

impl Default for FineTuneOptions {
    /// As many epochs of fine-tuning as suit the number of photographs: 3 to 6, and none for fewer than 100.
    fn default() -> Self {
        FineTuneOptions {
            fit: FitOptions::epochs(1).initial_epoch(1).schedule(Schedule::one_cycle()),
            epochs: None,
            fine_tune_at: None,
            learning_rate: None,
            batch_size: None,
            l2: None,
            share: None,
            refit: false,
            time_limit: None,
            flip: true,
            augmentation: None,
            seed: None,
            folds: 0,
            groups: None,
        }
    }
}

impl FineTuneOptions {
    /// Photographs from which on [`refit`](Self::refit) counts.
    pub const LEAST_FOR_REFIT: usize = 400;

    /// So many epochs of fine-tuning, after the head; 0 trains the head alone. More help where photographs
    /// are many, or look like nothing in ImageNet.
    pub fn epochs(epochs: usize) -> Self {
        FineTuneOptions { epochs: Some(epochs), ..FineTuneOptions::default() }
    }

    /// How long the whole call may take, about. Where it would take longer there are fewer epochs of fine-tuning, and
    /// none where the features of the photographs alone take as long. The number of epochs then depends on the
    /// machine; the line that names it can be repeated anywhere with [`epochs`](Self::epochs).
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// How far the weights go from the head alone (0) to the fine-tuned ones (1). Without a call held-out photographs
    /// decide, and may decide for 0. With one no photograph is held out, and all of them train.
    pub fn share(mut self, share: f32) -> Self {
        self.share = Some(share);
        self
    }

    /// Whether all photographs train in the end. Without a call a part of 400 photographs or more is held out of
    /// fine-tuning, to decide what is kept of it, and so never fine-tunes anything. With `true` half of them (at most 2,000)
    /// is held out of a trial, and then all are trained on. It takes longer, and makes fewer errors; `docs/fine_tune.md` has
    /// both. It changes nothing for fewer than [`LEAST_FOR_REFIT`](Self::LEAST_FOR_REFIT) photographs, whose two runs see
    /// all, with [`share`](Self::share), and where photographs have several labels: then none are held out.
    pub fn refit(mut self, yes: bool) -> Self {
        self.refit = yes;
        self
    }

    /// Measures loss and accuracy of this data set after the head and after each epoch.
    pub fn validation_data(mut self, dataset: &Dataset) -> Self {
        self.fit = self.fit.validation_data(dataset);
        self
    }

    /// Cross-validates the head in so many folds, 2 to 100, on the features that are computed in any case; says what
    /// it found, and keeps it in the model ([`Model::cross_validation`](crate::model::Model::cross_validation)). 0, as without a call, does not. It takes a
    /// second or two for 2,000 photographs, and changes nothing in what is trained. It measures the head as it is
    /// before fine-tuning, which usually improves it. Where the head alone is kept, its temperature comes from the same
    /// folds ([`Model::calibration`](crate::model::Model::calibration)).
    pub fn folds(mut self, folds: usize) -> Self {
        self.folds = folds;
        self
    }

    /// Keeps photographs of the same group together wherever some are held out: near-duplicates, bursts, photographs of
    /// one person. One number for each of [`Dataset::file_paths`].
    pub fn groups(mut self, groups: Vec<u32>) -> Self {
        self.groups = Some(groups);
        self
    }

    /// What mirroring and dropout depend on, in place of the model's own seed. The order of the images depends
    /// on the data set's.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The first layer that trains in fine-tuning, by number or name; that of the last three blocks without a call, which
    /// is `block_14_expand` of MobileNetV2. Lower ones help where photographs look like nothing in ImageNet, and take
    /// longer.
    pub fn fine_tune_at(mut self, layer: impl Into<LayerRef>) -> Self {
        self.fine_tune_at = Some(layer.into());
        self
    }

    /// The highest learning rate of the one-cycle schedule. Without a call it is 0.0001 for fewer than 1,000 photographs
    /// and 0.0003 for more.
    pub fn learning_rate(mut self, rate: f32) -> Self {
        self.learning_rate = Some(rate);
        self
    }

    /// Photographs in a step of fine-tuning, at least 1. Without a call it is a batch of the data set, and 16 where
    /// [`refit`](Self::refit) counts. The data set's batches are what is loaded and evaluated at once in any case.
    pub fn batch_size(mut self, images: usize) -> Self {
        self.batch_size = Some(images);
        self
    }

    /// Lets lower layers learn more slowly than upper ones; all learn alike without a call.
    pub fn layer_rates(mut self, rates: LayerRates) -> Self {
        self.fit = self.fit.layer_rates(rates);
        self
    }

    /// The penalty on the head's weights, `l2/2 · ‖W‖²` beside the mean loss, while it is solved for. Without a
    /// call it is 0.08, or what held-out photographs clearly prefer to it.
    pub fn l2(mut self, l2: f64) -> Self {
        self.l2 = Some(l2);
        self
    }

    /// Whether a photograph's mirror image shows the same thing, as without a call. `false` for letters,
    /// digits, left and right shoes: no image is then mirrored, neither in training nor in prediction.
    pub fn flip(mut self, yes: bool) -> Self {
        self.flip = yes;
        self
    }

    /// Augmentation for the epochs of fine-tuning, in place of the model's own. Without a call that is what the
    /// model was made with (or given by [`Model::set_augmentation`](crate::model::Model::set_augmentation)), and mirroring where it has none. With
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

    /// Cuts each batch of fine-tuning into micro-batches of so many images; see
    /// [`FitOptions::micro_batch`](crate::train::FitOptions::micro_batch).
    pub fn micro_batch(mut self, images: usize) -> Self {
        self.fit = self.fit.micro_batch(images);
        self
    }

    /// Adds a [callback](crate::train::callbacks) for the epochs of fine-tuning; the trial of a
    /// [`refit`](Self::refit) has none.
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.fit = self.fit.callback(callback);
        self
    }

    /// For a base of which nothing can train: the head alone, and an error where more is asked for.
    pub(super) fn head_alone(&self) -> Result<Self> {
        let asked = [
            (self.epochs.is_some_and(|epochs| epochs > 0), "epochs"),
            (self.fine_tune_at.is_some(), "fine_tune_at"),
            (self.learning_rate.is_some(), "learning_rate"),
            (self.batch_size.is_some(), "batch_size"),
            (self.share.is_some(), "share"),
            (self.refit, "refit"),
            (self.augmentation.is_some(), "augmentation"),
            (!self.fit.callbacks.is_empty(), "callback"),
        ];
        match asked.into_iter().find(|(asked, _)| *asked) {
            Some((_, what)) => Err(Error::Invalid(format!(
                "fine_tune trains the head alone on the features of an ONNX file, whose network stays as it is. Received: \
                 {what}, which is about fine-tuning"
            ))),
            None => Ok(FineTuneOptions { epochs: Some(0), ..self.clone() }),
        }
    }

    /// Refuses what makes no sense, before anything is computed.
    pub(super) fn check(&self, dataset: &Dataset) -> Result<()> {
        if let Some(l2) = self.l2.filter(|l2| !(l2.is_finite() && *l2 >= 0.0)) {
            return Err(Error::Invalid(format!(
                "fine_tune expected an l2 of at least 0, such as 0.08. Received: {l2}"
            )));
        }
        if self.batch_size == Some(0) {
            return Err(Error::Invalid(
                "fine_tune expected a batch_size of at least 1, such as 16. Received: 0".into(),
            ));
        }
        if let Some(share) = self.share.filter(|share| !(0.0..=1.0).contains(share)) {
            return Err(Error::Invalid(format!("fine_tune expected a share from 0 to 1. Received: {share}")));
        }
        if self.folds == 1 || self.folds > MOST_FOLDS {
            return Err(Error::Invalid(format!(
                "fine_tune expected 2 to {MOST_FOLDS} folds, such as 5, or 0 for none. Received: {}",
                self.folds
            )));
        }
        let files = dataset.labels().len();
        match self.groups.as_ref().filter(|groups| groups.len() != files) {
            Some(groups) => Err(Error::Shape(format!(
                "fine_tune expected one group for each of {files} files. Received: {}",
                groups.len()
            ))),
            None => Ok(()),
        }
    }
}
