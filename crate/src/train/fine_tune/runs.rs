//! Fine-tuning without the held-out photographs, and what it makes of them.
//!
//! The weights of a fine-tuned network and those that it started from lie in one basin, so that each point between them
//! is a network, too, and often a better one than either end: Wortsman et al., Robust fine-tuning of zero-shot models
//! (2022). Held-out photographs say which point. The mean of several runs' weights works for the same reason: Wortsman
//! et al., Model soups (2022).

use std::sync::Arc;

use ndarray::ArrayView2;

use super::evidence::{clearly_best, losses, mean};
use super::held_out::HeldOut;
use super::options::FineTuneOptions;
use super::penalty::HeadValues;
use super::plan::{Plan, WithoutHeldOut};
use crate::data::Dataset;
use crate::loss::Loss;
use crate::model::{temperature_scaling, Calibration, Model};
use crate::optim::Adam;
use crate::progress::{check_stop, say};
use crate::train::callbacks::Callbacks;
use crate::train::fit::features::not_contiguous;
use crate::train::fit::options::FitOptions;
use crate::train::fit::pipeline;
use crate::train::fit::views::Views;
use crate::train::history::History;
use crate::weights::{Tensor, Weights};
use crate::{Error, Result};

/// How far from the head alone to the fine-tuned weights.
pub(super) const SHARES: [f32; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// Held-out images below which their temperature means nothing.
const LEAST_FOR_TEMPERATURE: usize = 30;
/// Photographs that are looked at at once.
const BATCH: usize = 64;

/// What each share says of photographs that its run did not see.
pub(super) struct Unseen {
    units: usize,
    /// By share: `(n, units)`.
    logits: Vec<Vec<f32>>,
    labels: Vec<u32>,
    /// By share: its best temperature, where there are enough photographs for one.
    calibrations: Vec<Option<Calibration>>,
    /// By share: of each photograph, at that temperature.
    losses: Vec<Vec<f64>>,
}

impl Unseen {
    fn new(units: usize) -> Self {
        let logits = vec![Vec::new(); SHARES.len()];
        Unseen { units, logits, labels: Vec::new(), calibrations: Vec::new(), losses: Vec::new() }
    }

    /// Number of photographs.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Finds temperatures and losses, once all photographs were looked at. Fine-tuned weights are often too sure, which a
    /// temperature mends: it must not count against them.
    fn judge(&mut self, loss: Loss, class_weights: Option<&[f64]>) -> Result<()> {
        for logits in &self.logits {
            let calibration = match self.labels.len() {
                0..LEAST_FOR_TEMPERATURE => None,
                n => {
                    let logits = ArrayView2::from_shape((n, self.units), logits);
                    let logits = logits.map_err(|e| Error::Shape(e.to_string()))?.to_owned();
                    Some(temperature_scaling(&logits, &self.labels)?)
                }
            };
            let temperature = calibration.map_or(1.0, |calibration| calibration.temperature as f32);
            let scaled: Vec<f32> = logits.iter().map(|logit| logit / temperature).collect();
            self.losses.push(losses(loss, &scaled, &self.labels, class_weights, self.units));
            self.calibrations.push(calibration);
        }
        Ok(())
    }

    /// The place of the share to keep, at most `most`.
    pub fn chosen(&self, most: f32) -> usize {
        let within = SHARES.iter().filter(|&&share| share <= most).count();
        clearly_best(&self.losses[..within])
    }

    /// The temperature of a share.
    pub fn calibration(&self, share: usize) -> Option<Calibration> {
        self.calibrations[share]
    }

    /// The mean loss of a share.
    pub fn loss(&self, share: usize) -> f64 {
        mean(&self.losses[share])
    }

    /// The least mean loss of a share above 0.
    pub fn least_loss(&self) -> f64 {
        (1..SHARES.len()).map(|share| self.loss(share)).fold(f64::INFINITY, f64::min)
    }
}

/// The sum of weights, each with a factor.
pub(super) fn mixed(parts: &[(f32, &Weights)]) -> Result<Weights> {
    let mut sum = Weights::new();
    let Some((_, first)) = parts.first() else { return Ok(sum) };
    for (name, tensor) in *first {
        let mut values = vec![0.0; tensor.data.len()];
        for (factor, weights) in parts {
            values.iter_mut().zip(&weights.get(name)?.data).for_each(|(sum, v)| *sum += factor * v);
        }
        sum.insert(name, Tensor::new(tensor.shape.clone(), values)?);
    }
    Ok(sum)
}

/// What fine-tuning came to.
pub(super) struct Tuned {
    /// The mean of the runs' weights: what trains.
    pub weights: Weights,
    /// The mean of the runs' histories.
    pub history: History,
    pub unseen: Unseen,
}

/// What all runs have in common.
pub(super) struct Runs<'a> {
    pub dataset: &'a Dataset,
    pub options: &'a FineTuneOptions,
    pub plan: Plan,
    pub loss: Loss,
    /// Weights of the classes in what held-out photographs say.
    pub class_weights: Option<&'a [f64]>,
    /// What trains of the base, before it is fine-tuned.
    pub base: &'a Weights,
}

impl Runs<'_> {
    /// Fine-tunes once for each run, without the photographs that are held out of it, from the head that did not see
    /// them either. A trial is seen by no callback.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub fn held_out(
        &self,
        model: &mut Model,
        held_out: &HeldOut,
        heads: &[HeadValues],
        mut views: Option<&mut Views>,
    ) -> Result<Tuned> {
        let (mut ends, mut histories) = (Vec::new(), Vec::new());
        let mut unseen = Unseen::new(model.units());
        let Plan { epochs, learning_rate, .. } = self.plan;
        let mut fit = self.options.fit.clone();
        let what = match self.plan.without_held_out {
            WithoutHeldOut::Trial => {
                fit.callbacks = Callbacks::default();
                "Trial of fine-tuning"
            }
            _ => "Fine-tuning",
        };
        for (run, head) in heads.iter().enumerate() {
            check_stop("The training")?;
            let (seen, out) = (held_out.seen(run, self.dataset), held_out.unseen(run, self.dataset));
            let number =
                if heads.len() > 1 { format!(" {} of {}", run + 1, heads.len()) } else { String::new() };
            say(format!(
                "{what}{number}: {epochs} epochs on {} images, learning rate {learning_rate}; {} are held out",
                seen.len(),
                out.len()
            ));
            let (end, start, history) = self.run(model, &seen, head, (run, &fit), views.as_deref_mut())?;
            model.net.base.forget_memory();
            self.look_at(model, &out, (&start, &end), views.as_deref(), &mut unseen)?;
            model.net.base.forget_memory();
            ends.push(end);
            histories.push(history);
        }
        let parts: Vec<(f32, &Weights)> = ends.iter().map(|end| (1.0 / ends.len() as f32, end)).collect();
        unseen.judge(self.loss, self.class_weights)?;
        Ok(Tuned { weights: mixed(&parts)?, history: History::mean(&histories), unseen })
    }

    /// Fine-tunes on all photographs, after a trial. Returns what trains as it is at the end, and the history.
    pub fn after_trial(
        &self,
        model: &mut Model,
        held_out: &HeldOut,
        head: &HeadValues,
        views: Option<&mut Views>,
    ) -> Result<(Weights, History)> {
        check_stop("The training")?;
        let Plan { epochs, learning_rate, .. } = self.plan;
        say(format!(
            "Fine-tuning: {epochs} epochs on all {} images, learning rate {learning_rate}",
            self.dataset.len()
        ));
        let (end, _, history) =
            self.run(model, self.dataset, head, (held_out.runs, &self.options.fit), views)?;
        Ok((end, history))
    }

    /// Fine-tunes on `dataset`. Returns what trains as it is at the end and as it was before, and the history.
    pub fn run(
        &self,
        model: &mut Model,
        dataset: &Dataset,
        (kernel, bias): &HeadValues,
        (run, fit): (usize, &FitOptions),
        views: Option<&mut Views>,
    ) -> Result<(Weights, Weights, History)> {
        model.net.set_what_trains(self.base)?;
        model.net.set_head(kernel, bias)?;
        let start = model.net.weights_that_train()?;
        model.compile(Adam::new(self.plan.learning_rate), self.loss)?;
        // The head is epoch 0.
        let mut fit = FitOptions { epochs: self.plan.epochs.saturating_add(1), ..fit.clone() };
        fit.checkpoints = fit.checkpoints.map(|checkpoints| checkpoints.of_run(run));
        let batch_size = self.plan.batch_size.unwrap_or(dataset.batch_size());
        let history = model.fit_on(&dataset.rebatch(batch_size), fit, views)?;
        Ok((model.net.weights_that_train()?, start, history))
    }

    /// What the weights between two ends make of photographs.
    fn look_at(
        &self,
        model: &mut Model,
        out: &Dataset,
        (from, to): (&Weights, &Weights),
        views: Option<&Views>,
        unseen: &mut Unseen,
    ) -> Result<()> {
        let mut batch = |model: &mut Model, outputs: &[f32], labels: &[u32]| -> Result<()> {
            check_stop("The training")?;
            for (share, &part) in SHARES.iter().enumerate() {
                model.net.set_what_trains(&mixed(&[(1.0 - part, from), (part, to)])?)?;
                let logits = model.logits_of_images(outputs, labels.len())?;
                unseen.logits[share].extend(logits);
            }
            unseen.labels.extend_from_slice(labels);
            Ok(())
        };
        let labels_of = |images: &[usize]| -> Vec<u32> { images.iter().map(|&i| out.labels()[i]).collect() };
        match views.filter(|views| views.are_both_sides()) {
            Some(views) => {
                for images in out.indices().chunks(BATCH) {
                    let (found, mut outputs) = views.outputs(0, images);
                    outputs.extend(views.outputs(1, &found).1);
                    batch(model, &outputs, &labels_of(&found))?;
                }
            }
            None => {
                for images in out.batches_with(0, Arc::new(pipeline::inference(model)))? {
                    let images = images?;
                    let pixels = images.images.as_slice().ok_or_else(not_contiguous)?;
                    let outputs = model.outputs(pixels, images.len(), model.test_time_flip)?;
                    batch(model, &outputs, &labels_of(&images.indices))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(values: &[f32]) -> Weights {
        let mut weights = Weights::new();
        weights.insert("a", Tensor::new([values.len()], values.to_vec()).unwrap());
        weights
    }

    #[test]
    fn weights_are_mixed_by_their_factors() {
        let (a, b) = (weights(&[1.0, 2.0]), weights(&[3.0, -2.0]));
        let between = mixed(&[(0.75, &a), (0.25, &b)]).unwrap();
        assert_eq!(between.get("a").unwrap().data, [1.5, 1.0]);
        assert_eq!(mixed(&[(0.0, &a), (1.0, &b)]).unwrap().get("a").unwrap().data, [3.0, -2.0]);
        assert!(mixed(&[(1.0, &a), (1.0, &Weights::new())]).is_err());
    }

    #[test]
    fn the_share_is_one_that_is_clearly_better_than_none() {
        let mut unseen = Unseen::new(1);
        unseen.labels = vec![0, 1, 0, 1];
        let losses = [[0.4, 0.5, 0.4, 0.5], [0.3, 0.4, 0.3, 0.41], [0.1, 0.2, 0.1, 0.21]];
        unseen.losses = losses.iter().map(|l| l.to_vec()).chain(vec![vec![0.9; 4]; 2]).collect();
        assert_eq!((SHARES[unseen.chosen(1.0)], unseen.len()), (0.5, 4));
        assert!((unseen.least_loss() - 0.1525).abs() < 1e-12 && (unseen.loss(0) - 0.45).abs() < 1e-12);
        assert_eq!(SHARES[unseen.chosen(0.25)], 0.25);
        unseen.losses[2] = vec![0.9, 0.0, 0.9, 0.0];
        unseen.losses[1] = vec![0.8, 0.1, 0.8, 0.1];
        assert_eq!(SHARES[unseen.chosen(1.0)], 0.0);
    }
}
