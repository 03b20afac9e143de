//! What `fit` is asked for.

use crate::data::Dataset;
use crate::optim::{LayerRates, Schedule};
use crate::train::callbacks::{Callback, Callbacks};
use crate::train::checkpoint::Checkpoints;
use crate::train::class_weights::ClassWeights;

/// How long and with what to train.
///
/// ```no_run
/// # fn example(model: &mut transfer::model::Model, train: &transfer::data::Dataset,
/// #            validation: &transfer::data::Dataset) -> transfer::Result<()> {
/// use transfer::train::FitOptions;
/// let history = model.fit(train, FitOptions::epochs(10).validation_data(validation))?;
/// let more = FitOptions::epochs(20).initial_epoch(history.epochs()).validation_data(validation);
/// let history_fine = model.fit(train, more)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FitOptions {
    pub(in crate::train) epochs: usize,
    pub(in crate::train) initial_epoch: usize,
    pub(in crate::train) validation: Option<Dataset>,
    pub(in crate::train) checkpoints: Option<Checkpoints>,
    pub(in crate::train) views: Option<usize>,
    pub(in crate::train) schedule: Schedule,
    pub(in crate::train) layer_rates: Option<LayerRates>,
    pub(in crate::train) label_smoothing: f32,
    pub(in crate::train) class_weights: Option<ClassWeights>,
    pub(in crate::train) mixup: Option<f64>,
    pub(in crate::train) callbacks: Callbacks,
    pub(in crate::train) micro_batch: Option<usize>,
}

impl FitOptions {
    /// Train until this many epochs are done, those before [`initial_epoch`](Self::initial_epoch)
    /// included.
    pub fn epochs(epochs: usize) -> Self {
        FitOptions {
            epochs,
            initial_epoch: 0,
            validation: None,
            checkpoints: None,
            views: None,
            schedule: Schedule::Constant,
            layer_rates: None,
            label_smoothing: 0.0,
            class_weights: None,
            mixup: None,
            callbacks: Callbacks::default(),
            micro_batch: None,
        }
    }

    /// Number of the first epoch; that of an earlier `fit`'s last plus one, to go on from there.
    pub fn initial_epoch(mut self, epoch: usize) -> Self {
        self.initial_epoch = epoch;
        self
    }

    /// Measures loss and accuracy of this data set after each epoch.
    pub fn validation_data(mut self, dataset: &Dataset) -> Self {
        self.validation = Some(dataset.clone());
        self
    }

    /// Keeps [`Checkpoints`] (or just names their folder), and goes on from the newest that is there: after
    /// an interruption the same call ends where an unbroken one would have, bit for bit.
    pub fn checkpoint(mut self, checkpoints: impl Into<Checkpoints>) -> Self {
        self.checkpoints = Some(checkpoints.into());
        self
    }

    /// Trades fresh augmentation for speed: each image has `k` augmented views, which take turns from epoch
    /// to epoch, and what the frozen layers make of a view is computed once. From epoch `k` on a phase in
    /// which the base is frozen takes seconds. Fewer views than epochs let the head see each of them
    /// several times, so it over-fits sooner. Takes 5 KB an image and view where all of the base is
    /// frozen, 38 KB with `fine_tune_at(100)`, at most 1 GiB in all.
    pub fn cache_augmented_views(mut self, k: usize) -> Self {
        self.views = Some(k);
        self
    }

    /// Changes the learning rate from step to step, over all steps of this call: a factor on the rate that
    /// the model was compiled with. [`History::learning_rate`](crate::train::History::learning_rate) has what came
    /// of it.
    ///
    /// ```
    /// use transfer::optim::{OneCycle, Schedule};
    /// use transfer::train::FitOptions;
    /// let usual = FitOptions::epochs(5).schedule(Schedule::one_cycle());
    /// let later = FitOptions::epochs(5).schedule(OneCycle { pct_start: 0.4, ..OneCycle::default() });
    /// ```
    pub fn schedule(mut self, schedule: impl Into<Schedule>) -> Self {
        self.schedule = schedule.into();
        self
    }

    /// Lets lower layers learn more slowly than upper ones; for when more than the head trains.
    pub fn layer_rates(mut self, rates: LayerRates) -> Self {
        self.layer_rates = Some(rates);
        self
    }

    /// Trains towards a little less than certainty, by Keras' `label_smoothing`: with 0.1 and one output
    /// towards 0.05 and 0.95, with ten outputs towards 0.91 and nine times 0.01. The validation's loss and
    /// that of `evaluate` stay those of the labels as they are, so that runs can be compared.
    pub fn label_smoothing(mut self, smoothing: f32) -> Self {
        self.label_smoothing = smoothing;
        self
    }

    /// Lets the images of some classes count more than those of others, in training alone.
    ///
    /// ```
    /// use transfer::train::{ClassWeights, FitOptions};
    /// let even = FitOptions::epochs(5).class_weights(ClassWeights::balanced());
    /// let given = FitOptions::epochs(5).class_weights(ClassWeights::by_class([1.0, 2.5]));
    /// ```
    pub fn class_weights(mut self, weights: ClassWeights) -> Self {
        self.class_weights = Some(weights);
        self
    }

    /// Adds a [callback](crate::train::callbacks): `EarlyStopping`, `ModelCheckpoint`, `ReduceLrOnPlateau`, `CsvLogger`,
    /// `TensorBoard`, or one of your own.
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.add(callback);
        self
    }

    /// Cuts each batch into micro-batches of so many images, whose gradients are added before the step (gradient
    /// accumulation): a step takes the memory of a micro-batch, and the same bits come out however many processes of a
    /// [`Team`](crate::team::Team) share the work. They are not the bits of a batch in one piece, whose sums have another
    /// order. A team without this option has a quarter of a batch. [`mixup`](Self::mixup) mixes images of one micro-batch.
    pub fn micro_batch(mut self, images: usize) -> Self {
        self.micro_batch = Some(images);
        self
    }

    /// Mixes each image of a batch, or of a [`micro_batch`](Self::micro_batch), with another one of it, and their labels likewise; see
    /// [`MixUp`](crate::augment::MixUp). The accuracy in training is then that on the class which most of an
    /// image shows. Not together with [`cache_augmented_views`](Self::cache_augmented_views), which keeps
    /// what the frozen layers make of single images.
    pub fn mixup(mut self, alpha: f64) -> Self {
        self.mixup = Some(alpha);
        self
    }
}
