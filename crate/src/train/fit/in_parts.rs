//! A step whose gradients are summed over micro-batches, by one process or by a team.
//!
//! A batch is cut into micro-batches by the order of the data set alone. The gradients of each are those of the sum of its
//! losses; they are added in a fixed tree ([`SumTree`]) and divided by the number of images. So a step has the same
//! bits, whoever computes which micro-batch. Gradients of a process' last micro-batch go to the team while backward
//! computes those of lower layers.

use std::ops::Range;
use std::sync::mpsc::{channel, Receiver};
use std::sync::{Arc, Mutex};

use transfer_kernels::recycled::RecycledBuffer;

use super::recipe::Recipe;
use super::run::{RunState, Running};
use super::step::{differentiate_for, Input};
use super::sums::{lock, Buckets, Sums, Watch, Whole};
use super::told::{Told, ToldSums};
use crate::data::ShareOfBatch;
use crate::model::{not_compiled, Model};
use crate::network::on_device::on_device;
use crate::network::with_head::{Parts, WithHead};
use crate::progress::stop_requested;
use crate::team::{Leaf, SumTree, Team};
use crate::{threads, Error, Result};

/// Gradients that are worth a thread of its own that passes them on while others are computed.
const WORTH_A_THREAD: usize = 1 << 16;

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

impl PartOfBatch<'_> {
    /// Which of the images that are here belong to each of these micro-batches.
    fn of_leaves(&self, leaves: &[Leaf], micro_batch: usize) -> Vec<Range<usize>> {
        let mut done = 0;
        let of_leaf = |leaf: &Leaf| {
            let planned = leaf.number * micro_batch..((leaf.number + 1) * micro_batch).min(self.plan.len());
            let planned = &self.plan[planned];
            let n = self.indices[done..].iter().take_while(|index| planned.contains(index)).count();
            done += n;
            done - n..done
        };
        leaves.iter().map(of_leaf).collect()
    }
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
        let tree = SumTree::new(self.several(), batch.plan.len().div_ceil(micro_batch));
        let buckets =
            on_device!(&self.net.base.base => base, &self.net.head => head; Buckets::of(base, head));
        let (told, gradients) =
            self.gradients_of_team(recipe, batch, micro_batch, epoch, (&tree, &buckets))?;
        if told.images == 0 {
            return Ok(told.stop);
        }
        self.check_loss(told.loss / told.images as f64, epoch as u64, state.running.steps)?;
        let compiled = self.compiled.as_mut().ok_or_else(not_compiled)?;
        let WithHead { base, head } = &mut self.net;
        let gradient = |place| buckets.gradient(&gradients, place);
        threads::pool().install(|| {
            on_device!(&mut base.base => base, head => head, &mut compiled.optimizer => optimizer;
                optimizer.apply_values(&mut Parts { base, head }, gradient))
        })?;
        let Running { loss, correct, images, steps, batches, .. } = &mut state.running;
        *loss += told.loss;
        *correct += told.correct as usize;
        *images += told.images as usize;
        *steps += 1;
        *batches = number + 1;
        state.steps += 1;
        Ok(told.stop)
    }

    /// The gradients of the mean loss of a batch, in buckets, and what is known of the batch.
    fn gradients_of_team(
        &self,
        recipe: &Recipe,
        batch: &PartOfBatch<'_>,
        micro_batch: usize,
        epoch: usize,
        (tree, buckets): (&SumTree, &Buckets),
    ) -> Result<(Told, Vec<RecycledBuffer>)> {
        let leaves = tree.own_leaves();
        let images = batch.of_leaves(&leaves, micro_batch);
        let count = batch.plan.len().div_ceil(micro_batch);
        let Some(team) = self.several() else {
            let sums = Arc::new(Mutex::new(Sums::new(buckets.clone(), None)));
            let told = self.compute(recipe, batch, (&leaves, &images), (epoch, count), &sums)?;
            let told = told.into_iter().next().unwrap_or_default();
            let mut gradients = lock(&sums).finish();
            let n = told.images as f32;
            gradients.iter_mut().flat_map(|bucket| bucket.iter_mut()).for_each(|g| *g /= n);
            return Ok((told, gradients));
        };
        let (to_team, whole) = channel();
        let counts = counts(&leaves, &images);
        let pass_on = || added(team, tree, (buckets, &counts), whole);
        let (leaves, images) = (&leaves[..], &images[..]);
        // When it is over, the other end of `to_team` knows that no more is to come.
        let compute = move || {
            if leaves.is_empty() {
                // Memory for what the others have.
                for (bucket, &len) in buckets.lens().iter().enumerate() {
                    let _ = to_team.send((bucket, vec![RecycledBuffer::take(len)]));
                }
            }
            let sums = Arc::new(Mutex::new(Sums::new(buckets.clone(), Some(to_team))));
            self.compute(recipe, batch, (leaves, images), (epoch, count), &sums)
        };
        let (told, added) = match buckets.numbers() >= WORTH_A_THREAD {
            true => threads::beside(compute, pass_on),
            false => (compute(), pass_on()),
        };
        let (told, gradients) = (told?, added?);
        let own: Vec<u8> = told.iter().flat_map(|told| told.to_bytes()).collect();
        let all = tree.known_to_all(team, &own, Told::BYTES)?;
        let all = all.chunks_exact(Told::BYTES).map(Told::from_bytes).collect();
        Ok((tree.of_all(all, Told::add).unwrap_or_default(), gradients))
    }

    /// Computes micro-batches: their gradients go to `sums`, and what is known of them besides, node by node, comes back.
    fn compute(
        &self,
        recipe: &Recipe,
        batch: &PartOfBatch<'_>,
        (leaves, images): (&[Leaf], &[Range<usize>]),
        (epoch, count): (usize, usize),
        sums: &Arc<Mutex<Sums>>,
    ) -> Result<Vec<Told>> {
        let mut told = ToldSums::default();
        for (i, (leaf, here)) in leaves.iter().zip(images).enumerate() {
            lock(sums).begin(*leaf, here.len(), i + 1 == leaves.len());
            let of_leaf = match here.is_empty() {
                true => {
                    lock(sums).nothing();
                    Told::default()
                }
                false => {
                    // In an epoch no other micro-batch has this number.
                    let number = batch.number * count + leaf.number;
                    self.micro_batch(recipe, batch, here.clone(), (epoch, number), sums)?
                }
            };
            told.push(Told { stop: stop_requested(), ..of_leaf }, *leaf);
            lock(sums).end()?;
        }
        Ok(told.nodes())
    }

    /// What one micro-batch adds: the images at these places among those that are here.
    fn micro_batch(
        &self,
        recipe: &Recipe,
        batch: &PartOfBatch<'_>,
        here: Range<usize>,
        (epoch, number): (usize, usize),
        sums: &Arc<Mutex<Sums>>,
    ) -> Result<Told> {
        let values = batch.input.values().ok_or_else(|| {
            Error::Device("Micro-batches expected images in host memory. Received: images on the GPU.".into())
        })?;
        let per_image = values.len() / batch.indices.len().max(1);
        let values = &values[here.start * per_image..here.end * per_image];
        let (labels, indices) = (&batch.labels[here.clone()], &batch.indices[here]);
        let (loss, units) = (self.loss()?, self.units());
        let (values, targets) = recipe.mixed(values, labels, indices, (epoch, number), (loss, units));
        let micro_batch = self.batch(batch.input.with(&values), &targets, indices, epoch as u64);
        let WithHead { base, head } = &self.net;
        // Only what computes is in the pool: whoever waits for another member must not keep a thread of it.
        let (mean, logits) = threads::pool().install(|| {
            on_device!(&base.base => base, head => head; {
                let mut watch = Watch::new(base, head, sums.clone());
                differentiate_for(base, head, micro_batch, loss, Some(&mut watch)).map(|d| (d.loss, d.logits))
            })
        })?;
        let correct = loss.correct(&logits, recipe.actual(&targets.labels), units) as u64;
        let n = labels.len();
        Ok(Told { loss: mean * n as f64, images: n as u64, correct, stop: false })
    }
}

/// Images in each node of this process.
fn counts(leaves: &[Leaf], images: &[Range<usize>]) -> Vec<u64> {
    let mut counts = vec![0];
    for (leaf, images) in leaves.iter().zip(images) {
        *counts.last_mut().unwrap_or(&mut 0) += images.len() as u64;
        if leaf.ends_node {
            counts.push(0);
        }
    }
    counts.pop();
    counts
}

/// Adds the gradients of all members, bucket by bucket as they come, and divides them by the number of images.
fn added(
    team: &dyn Team,
    tree: &SumTree,
    (buckets, images): (&Buckets, &[u64]),
    whole: Receiver<Whole>,
) -> Result<Vec<RecycledBuffer>> {
    let numbers = buckets.numbers() as u64;
    let own: Vec<u8> =
        images.iter().flat_map(|n| [n.to_le_bytes(), numbers.to_le_bytes()].concat()).collect();
    let mut all_images = 0;
    for of_node in tree.known_to_all(team, &own, 16)?.as_chunks::<8>().0.chunks_exact(2) {
        let [images, theirs] = [of_node[0], of_node[1]].map(u64::from_le_bytes);
        if theirs != numbers {
            return Err(Error::Team(format!(
                "The members of the team expected {numbers} gradients. Received: {theirs}. All must train the same model."
            )));
        }
        all_images += images;
    }
    let mut sums: Vec<Option<RecycledBuffer>> = buckets.lens().iter().map(|_| None).collect();
    let mut memory = Vec::new();
    for (bucket, mut nodes) in whole {
        let mut own: Vec<&mut [f32]> = nodes.iter_mut().map(|node| &mut node[..]).collect();
        if all_images > 0 {
            tree.sum(team, &mut own, &mut memory, all_images as f32)?;
        }
        sums[bucket] = nodes.into_iter().next();
    }
    // Fewer are there only where this member has failed, which says why.
    Ok(sums.into_iter().flatten().collect())
}
