//! What the frozen layers make of a data set, computed once.
//!
//! Images of the validation and test sets are not augmented, so what the frozen part of the network
//! makes of them is the same in each epoch. It is kept (`feature_cache.rs`), in full precision, until a frozen
//! layer or an image changes; the results are those of computing it anew, bit for bit.

use std::sync::Arc;

use crate::augment::mirror;
use crate::data::Dataset;
use crate::model::feature_cache::{Features, Key};
use crate::model::Model;
use crate::network::on_device::on_device;
use crate::progress::{check_stop, observe, Event};
use crate::train::fit::{pipeline, shared, step};
use crate::{Error, Result};

pub(crate) use crate::train::fit::shared::Visit;

impl Model {
    /// How far the frozen part reaches (in units), and how many numbers it gives for one image.
    pub(crate) fn frozen_part(&self) -> (usize, usize) {
        let base = &self.net.base;
        let to = base.first_trainable_unit();
        let (h, w, c) = base.output_of(to);
        (to, if to == base.architecture().units.len() { c } else { h * w * c })
    }

    /// The logits of a batch of outputs of the frozen part, without a tape: `n · units` numbers.
    pub(crate) fn logits(&self, features: &[f32], n: usize) -> Result<Vec<f32>> {
        on_device!(&self.net.base.base => base, &self.net.head => head; step::logits(base, head, features, n))
    }

    /// What the dense layer gets of a batch of outputs of the frozen part, without a tape.
    pub(crate) fn pooled(&self, features: &[f32], n: usize) -> Result<Vec<f32>> {
        on_device!(&self.net.base.base => base, step::pooled(base, features, n))
    }

    /// Outputs of the frozen part for preprocessed images.
    pub(crate) fn frozen_outputs(&self, images: &[f32], n: usize) -> Result<Vec<f32>> {
        let base = &self.net.base;
        let (to, per_image) = self.frozen_part();
        let mut y = vec![0.0; n * per_image];
        base.frozen_forward(images, n, to, to == base.architecture().units.len(), &mut y)?;
        Ok(y)
    }

    /// Calls `visit` with logits, labels and indices of each batch of `dataset`, in the order of epoch
    /// 0, without augmentation.
    pub(crate) fn each_batch(&self, dataset: &Dataset, visit: &mut Visit<'_>) -> Result<()> {
        if let Some(team) = self.several() {
            return shared::each_batch(self, team, dataset, visit);
        }
        self.each_batch_here(dataset, visit)
    }

    /// The same, by this process alone.
    pub(super) fn each_batch_here(&self, dataset: &Dataset, visit: &mut Visit<'_>) -> Result<()> {
        self.each_frozen_batch(dataset, self.test_time_flip, &mut |features, labels, indices| {
            visit(&self.logits_of_images(features, labels.len())?, labels, indices)
        })
    }

    /// The logits of `n` images from [`outputs`](Self::outputs) of theirs: with test-time flips the mean of
    /// those of an image and its mirror image.
    pub(crate) fn logits_of_images(&self, outputs: &[f32], n: usize) -> Result<Vec<f32>> {
        match self.test_time_flip {
            true => Ok(self.averaged(self.logits(outputs, 2 * n)?, n)),
            false => self.logits(outputs, n),
        }
    }

    /// [`logits_of_images`](Self::logits_of_images), and behind them the pooled features of the images as they are,
    /// not mirrored.
    pub(crate) fn logits_and_pooled(&self, outputs: &[f32], n: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let views = if self.test_time_flip { 2 } else { 1 };
        let (logits, mut pooled) = on_device!(&self.net.base.base => base, &self.net.head => head;
            step::logits_and_pooled(base, head, outputs, views * n))?;
        pooled.truncate(pooled.len() / views);
        Ok((if views == 2 { self.averaged(logits, n) } else { logits }, pooled))
    }

    /// What the last frozen unit gives for each of `n` images, averaged over height and width, from
    /// [`outputs`](Self::outputs) of theirs `(n, channels)`; nothing where no unit is frozen, or all are.
    pub(crate) fn frozen_means(&self, outputs: &[f32], n: usize) -> Option<Vec<f32>> {
        let (to, per_image) = self.frozen_part();
        let base = &self.net.base;
        if to == 0 || to == base.architecture().units.len() {
            return None;
        }
        let (h, w, channels) = base.output_of(to);
        let mut means = vec![0.0; n * channels];
        for (image, means) in outputs.chunks_exact(per_image).zip(means.chunks_exact_mut(channels)) {
            for place in image.chunks_exact(channels) {
                means.iter_mut().zip(place).for_each(|(mean, x)| *mean += x);
            }
            means.iter_mut().for_each(|mean| *mean /= (h * w) as f32);
        }
        Some(means)
    }

    /// The mean of the logits of `n` images and those of their mirror images, which stand behind them.
    fn averaged(&self, mut logits: Vec<f32>, n: usize) -> Vec<f32> {
        let mirrored = logits.split_off(n * self.units());
        logits.iter_mut().zip(mirrored).for_each(|(a, b)| *a = 0.5 * (*a + b));
        logits
    }

    /// Outputs of the frozen part for preprocessed images, and behind them, if asked for, those of their
    /// mirror images.
    pub(crate) fn outputs(&self, images: &[f32], n: usize, mirrored: bool) -> Result<Vec<f32>> {
        let mut outputs = self.frozen_outputs(images, n)?;
        if mirrored {
            let mut images = images.to_vec();
            mirror(&mut images, self.net.base.input_shape());
            outputs.extend(self.frozen_outputs(&images, n)?);
        }
        Ok(outputs)
    }

    /// [`each_batch`](Self::each_batch) with the outputs of the frozen part in place of logits.
    /// `mirrored` asks for those of the images' mirror images, too.
    pub(crate) fn each_frozen_batch(
        &self,
        dataset: &Dataset,
        mirrored: bool,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.check_dataset(dataset)?;
        let (_, per_image) = self.frozen_part();
        let per_image = per_image * if mirrored { 2 } else { 1 };
        self.features.forget_other_versions(self.net.base.version());
        let (bytes, limit) = (Features::bytes(dataset, per_image), self.feature_cache_bytes);
        if !self.features.has_room(bytes, limit) {
            return self.compute_frozen(dataset, mirrored, None, visit);
        }
        let before = dataset.digests()?;
        if let Some(f) = self.features.get(&Key::new(self.frozen_key(), dataset, &before, mirrored)) {
            let mut at = 0;
            for &n in &f.batches {
                let features = &f.values[at * per_image..(at + n) * per_image];
                visit(features, &f.labels[at..at + n], &f.indices[at..at + n])?;
                at += n;
            }
            return Ok(());
        }
        let Some(room) = self.features.take(bytes, limit) else {
            return self.compute_frozen(dataset, mirrored, None, visit);
        };
        let mut kept = Features::default();
        kept.values.reserve_exact(dataset.len() * per_image);
        self.compute_frozen(dataset, mirrored, Some(&mut kept), visit)?;
        // A file that changed meanwhile may have been read before or after that: nobody knows what was computed.
        let after = dataset.digests()?;
        let unchanged = before.iter().zip(&after).all(|(before, after)| after.is_none() || before == after);
        if unchanged && kept.indices.len() == after.iter().flatten().count() {
            room.fill(Key::new(self.frozen_key(), dataset, &after, mirrored), kept);
        }
        Ok(())
    }

    /// Computes the outputs of the frozen part for [`each_frozen_batch`](Self::each_frozen_batch), and appends
    /// them to `kept`.
    fn compute_frozen(
        &self,
        dataset: &Dataset,
        mirrored: bool,
        mut kept: Option<&mut Features>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let (mut done, total) = (0, dataset.len());
        for batch in dataset.batches_with(0, Arc::new(pipeline::inference(self)))? {
            let batch = batch?;
            let n = batch.len();
            let images = batch.images.as_slice().ok_or_else(not_contiguous)?;
            let features = self.outputs(images, n, mirrored)?;
            let labels: Vec<u32> = batch.labels.to_vec();
            visit(&features, &labels, &batch.indices)?;
            done += n;
            observe(Event::Computed { done, total });
            check_stop("The evaluation")?;
            if let Some(kept) = &mut kept {
                kept.values.extend_from_slice(&features);
                kept.labels.extend_from_slice(&labels);
                kept.indices.extend_from_slice(&batch.indices);
                kept.batches.push(n);
            }
        }
        dataset.check_left_out()?;
        Ok(())
    }

    /// Whether predictions are averaged over each image and its mirror image: the logits' mean, in `predict`,
    /// `evaluate` and the validation of `fit`. It takes twice the time, and mends a few errors where left and
    /// right do not matter.
    pub fn set_test_time_flip(&mut self, yes: bool) {
        self.test_time_flip = yes;
    }

    /// Whether predictions are averaged over each image and its mirror image.
    pub fn test_time_flip(&self) -> bool {
        self.test_time_flip
    }

    /// Refuses a data set of another image size than the model's, or with another fit.
    pub(crate) fn check_dataset(&self, dataset: &Dataset) -> Result<()> {
        let (h, w, _) = self.net.base.input_shape();
        if dataset.image_size() != (h, w) {
            let (dh, dw) = dataset.image_size();
            return Err(Error::Shape(format!(
                "The model expected images of {h}x{w}. Received: a data set of {dh}x{dw}. \
                 Make it with `.image_size({h}, {w})`."
            )));
        }
        self.check_image_fit(dataset)?;
        if dataset.is_empty() {
            return Err(Error::Data("The data set has no images, so there is nothing to compute.".into()));
        }
        Ok(())
    }
}

pub(crate) fn not_contiguous() -> Error {
    Error::Shape("Images expected row-major memory; call `.as_standard_layout().to_owned()` first.".into())
}
