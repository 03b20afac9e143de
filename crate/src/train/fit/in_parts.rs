//! A step whose gradients are summed over micro-batches, by one process or by a team.
//!
//! A batch is cut into micro-batches by the order of the data set alone. The gradients of each are those of the sum of its
//! losses; they are added in a fixed tree ([`team::summed`]) and divided by the number of images. So a step has the same
//! bits, whoever computes which micro-batch.

use super::recipe::Recipe;
use super::run::{RunState, Running};
use super::step::{self, Input};
use crate::data::ShareOfBatch;
use crate::model::{not_compiled, Model};
use crate::network::on_device::on_device;
use crate::network::with_head::{Parts, WithHead};
use crate::progress::stop_requested;
use crate::team::{self, Part};
use crate::{threads, Error, Result};

/// A batch of which a process may have a part.
pub(super) struct PartOfBatch<'a> {
    pub input: Input<'a>,
    /// Labels of the images that are here.
    pub labels: &'a [u32],
    /// Their numbers in the data set, in the order of `plan`; those that cannot be decoded are missing.
    pub indices: &'a [usize],
    /// The numbers of all images of the batch.
    pub plan: &'a [usize],
    /// Number of the batch in its epoch, from 0.
    pub number: usize,
}

impl Model {
    /// Which images of a batch this process works on, with micro-batches of that size.
    pub(super) fn share_of_batch(&self, micro_batch: usize) -> ShareOfBatch {
        let (rank, size) = self.team.as_ref().map_or((0, 1), |team| (team.rank(), team.size()));
        ShareOfBatch { micro_batch, rank, size }
    }

    /// One step of gradient descent over micro-batches. Returns whether somebody asked for an end.
    pub(super) fn step_in_parts(
        &mut self,
        recipe: &Recipe,
        batch: &PartOfBatch<'_>,
        micro_batch: usize,
        state: &mut RunState,
    ) -> Result<bool> {
        let (epoch, number) = (state.epoch, batch.number);
        let compiled = self.compiled.as_mut().ok_or_else(not_compiled)?;
        compiled.set_learning_rate(recipe.learning_rate(epoch, number));
        let team = self.team.clone();
        let count = batch.plan.len().div_ceil(micro_batch);
        let mut done = 0;
        let mut sum = team::summed(team.as_deref(), count, &mut |i| {
            let planned = &batch.plan[i * micro_batch..((i + 1) * micro_batch).min(batch.plan.len())];
            let n = batch.indices[done..].iter().take_while(|index| planned.contains(index)).count();
            done += n;
            self.part(recipe, batch, done - n..done, epoch)
        })?;
        if sum.images == 0 {
            return Ok(sum.stop);
        }
        let n = sum.images as f32;
        sum.gradients.iter_mut().for_each(|g| *g /= n);
        self.check_loss(sum.loss / sum.images as f64, epoch as u64, state.running.steps)?;
        let compiled = self.compiled.as_mut().ok_or_else(not_compiled)?;
        let WithHead { base, head } = &mut self.net;
        on_device!(&mut base.base => base, head => head, &mut compiled.optimizer => optimizer;
            optimizer.apply_values(&mut Parts { base, head }, &sum.gradients)?);
        let Running { loss, correct, images, steps, batches, .. } = &mut state.running;
        *loss += sum.loss;
        *correct += sum.correct as usize;
        *images += sum.images as usize;
        *steps += 1;
        *batches = number + 1;
        state.steps += 1;
        Ok(sum.stop)
    }

    /// What one micro-batch adds: the images at these places among those that are here.
    fn part(
        &mut self,
        recipe: &Recipe,
        batch: &PartOfBatch<'_>,
        here: std::ops::Range<usize>,
        epoch: usize,
    ) -> Result<Part> {
        let stop = stop_requested();
        if here.is_empty() {
            return Ok(Part { stop, ..Part::default() });
        }
        let values = batch.input.values().ok_or_else(|| {
            Error::Device("Micro-batches expected images in host memory. Received: images on the GPU.".into())
        })?;
        let per_image = values.len() / batch.indices.len().max(1);
        let values = &values[here.start * per_image..here.end * per_image];
        let (labels, indices) = (&batch.labels[here.clone()], &batch.indices[here]);
        let (loss, units) = (self.loss()?, self.units());
        let (values, targets) = recipe.mixed(values, labels, indices, (epoch, batch.number), (loss, units));
        let micro_batch = self.batch(batch.input.with(&values), &targets, indices, epoch as u64);
        let WithHead { base, head } = &mut self.net;
        // Only what computes is in the pool: whoever waits for another member must not keep a thread of it.
        let (mut part, logits) = threads::pool().install(|| {
            on_device!(&mut base.base => base, head => head;
                step::part_of(Parts { base, head }, micro_batch, loss))
        })?;
        part.correct = loss.correct(&logits, recipe.actual(&targets.labels), units) as u64;
        part.stop = stop;
        Ok(part)
    }
}
