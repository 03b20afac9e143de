//! The gradients of a step on their way: what backward gives is added to the sums of this process, and goes to the team
//! layer by layer.
//!
//! Gradients lie in buckets, in the order in which backward has them: the dense layer and the last units of the network
//! are in the first. A bucket of the process' last micro-batch is sent while backward computes the units below.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dfdx::prelude::{Gradients, HasShape};
use transfer_kernels::recycled::RecycledBuffer;

use crate::network::base::Base;
use crate::network::frozen::NetworkBackend;
use crate::network::with_head::Head;
use crate::ops::backend::{Backend, Flat};
use crate::team::Leaf;
use crate::{Error, Result};

/// Numbers that a bucket has at least, if there are so many: messages of 1 MiB. Smaller ones would wait more often,
/// larger ones would start later.
const BUCKET: usize = 1 << 18;

/// A whole bucket: its number, and its sums, one for each node of the tree that is this process'.
pub(super) type Whole = (usize, Vec<RecycledBuffer>);

/// Where the gradient of a variable lies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    bucket: usize,
    from: usize,
    len: usize,
}

/// Which variables share a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Buckets {
    /// By the variable's place among those that train.
    places: Vec<Place>,
    /// Numbers in each.
    lens: Vec<usize>,
    /// The bucket of each unit in which anything trains, of the dense layer at last.
    of_unit: Vec<Option<usize>>,
}

impl Buckets {
    /// `units` has the variables of each unit that train, and at last those of the dense layer: a variable's place among
    /// all that train, and its length.
    fn new(units: &[Vec<(usize, usize)>]) -> Self {
        let count = units.iter().map(Vec::len).sum();
        let mut places = vec![Place { bucket: 0, from: 0, len: 0 }; count];
        let (mut lens, mut of_unit) = (vec![0], VecDeque::new());
        for unit in units.iter().rev() {
            if lens[lens.len() - 1] >= BUCKET && !unit.is_empty() {
                lens.push(0);
            }
            let bucket = lens.len() - 1;
            of_unit.push_front((!unit.is_empty()).then_some(bucket));
            for &(place, len) in unit {
                places[place] = Place { bucket, from: lens[bucket], len };
                lens[bucket] += len;
            }
        }
        Buckets { places, lens, of_unit: of_unit.into() }
    }

    /// Those of the variables that train now.
    pub fn of<D: NetworkBackend>(base: &Base<D>, head: &Head<D>) -> Self {
        let units = variables(base, head).into_iter();
        let lens =
            |unit: Vec<(usize, Flat<D>)>| unit.iter().map(|(place, v)| (*place, v.shape().0)).collect();
        Self::new(&units.map(lens).collect::<Vec<_>>())
    }

    /// Numbers in each bucket.
    pub fn lens(&self) -> &[usize] {
        &self.lens
    }

    /// Numbers in all of them.
    pub fn numbers(&self) -> usize {
        self.lens.iter().sum()
    }

    /// The gradient of a variable, by its place among those that train.
    pub fn gradient<'a>(&self, buckets: &'a [RecycledBuffer], place: usize) -> &'a [f32] {
        match self.places.get(place) {
            Some(Place { bucket, from, len }) => &buckets[*bucket][*from..from + len],
            None => &[],
        }
    }
}

/// The variables of each unit that train, and at last those of the dense layer, each with its place among all that train.
fn variables<D: NetworkBackend>(base: &Base<D>, head: &Head<D>) -> Vec<Vec<(usize, Flat<D>)>> {
    let mut units = base.training_by_unit();
    let first = units.iter().map(Vec::len).sum();
    units.push(vec![(first, head.kernel.tensor.clone()), (first + 1, head.bias.tensor.clone())]);
    units
}

/// Sums of gradients of a process, while it computes one micro-batch after the other.
#[derive(Debug)]
pub(super) struct Sums {
    buckets: Buckets,
    /// Sums that wait for their other half, each in buckets; of the last micro-batch some buckets are gone.
    pending: Vec<Vec<Option<RecycledBuffer>>>,
    /// The nodes of the tree that are complete.
    nodes: Vec<Vec<Option<RecycledBuffer>>>,
    leaf: Leaf,
    images: f32,
    /// Whole buckets of the last micro-batch go there.
    to_team: Option<Sender<Whole>>,
    is_last: bool,
    /// Units of each bucket whose gradients are to come.
    to_come: Vec<usize>,
    /// Why a gradient could not be read.
    failed: Option<Error>,
}

impl Sums {
    pub fn new(buckets: Buckets, to_team: Option<Sender<Whole>>) -> Self {
        Sums {
            pending: Vec::new(),
            nodes: Vec::new(),
            leaf: Leaf { number: 0, completes: 0, ends_node: true },
            images: 0.0,
            to_team,
            is_last: false,
            to_come: vec![0; buckets.lens.len()],
            failed: None,
            buckets,
        }
    }

    /// The next micro-batch, of so many images; whether it is the process' last one.
    pub fn begin(&mut self, leaf: Leaf, images: usize, is_last: bool) {
        (self.leaf, self.images, self.is_last) = (leaf, images as f32, is_last);
        self.to_come.fill(0);
        self.buckets.of_unit.iter().flatten().for_each(|&bucket| self.to_come[bucket] += 1);
        if leaf.completes == 0 {
            let fresh = self.buckets.lens.iter().map(|&len| Some(RecycledBuffer::take(len))).collect();
            self.pending.push(fresh);
        }
    }

    /// Adds the gradient of a variable of this micro-batch: of the mean of its losses.
    fn add(&mut self, place: usize, gradient: &[f32]) {
        let Some(Place { bucket, from, len }) = self.buckets.places.get(place).cloned() else { return };
        let images = self.images;
        let Some(last) = self.pending.last_mut().and_then(|sum| sum[bucket].as_deref_mut()) else { return };
        let sums = last[from..from + len].iter_mut().zip(gradient);
        match self.leaf.completes {
            0 => sums.for_each(|(sum, g)| *sum = g * images),
            _ => sums.for_each(|(sum, g)| *sum += g * images),
        }
        self.add_up(bucket, from..from + len);
    }

    /// Adds the sums that are complete with this micro-batch to each other, in a range of a bucket.
    fn add_up(&mut self, bucket: usize, range: Range<usize>) {
        let last = self.pending.len();
        for right in (0..last).rev().take(self.leaf.completes.saturating_sub(1)) {
            let (before, after) = self.pending.split_at_mut(right);
            let left = before.last_mut().and_then(|sum| sum[bucket].as_deref_mut());
            if let (Some(left), Some(right)) = (left, after[0][bucket].as_deref()) {
                left[range.clone()].iter_mut().zip(&right[range.clone()]).for_each(|(a, b)| *a += b);
            }
        }
    }

    /// A unit of this micro-batch, or the dense layer, has all its gradients.
    fn unit_is_done(&mut self, unit: usize) {
        let Some(bucket) = self.buckets.of_unit[unit] else { return };
        self.to_come[bucket] -= 1;
        if self.is_last && self.to_come[bucket] == 0 {
            self.send(bucket);
        }
    }

    /// Hands a bucket over to the team, where there is one.
    fn send(&mut self, bucket: usize) {
        let Some(to_team) = &self.to_team else { return };
        let last = self.pending.len() - self.leaf.completes.max(1);
        let nodes = self.nodes.iter_mut().chain(self.pending.get_mut(last));
        let whole = nodes.filter_map(|node| node[bucket].take()).collect();
        // Whoever takes them is gone only where a member of the team is, and then says so.
        let _ = to_team.send((bucket, whole));
    }

    /// This micro-batch has no image: it adds nothing.
    pub fn nothing(&mut self) {
        for bucket in 0..self.buckets.lens.len() {
            let sum = self.pending.last_mut().and_then(|sum| sum[bucket].as_deref_mut());
            if let (0, Some(sum)) = (self.leaf.completes, sum) {
                // Not 0, which would make +0 of another micro-batch's -0.
                sum.fill(-0.0);
            }
            self.add_up(bucket, 0..self.buckets.lens[bucket]);
            if self.is_last {
                self.send(bucket);
            }
        }
    }

    /// Ends a micro-batch.
    ///
    /// # Errors
    /// Where one of its gradients could not be read.
    pub fn end(&mut self) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let done = self.leaf.completes.saturating_sub(1);
        self.pending.truncate(self.pending.len() - done);
        if self.leaf.ends_node {
            self.nodes.extend(self.pending.pop());
        }
        Ok(())
    }

    /// Ends the step: nothing more goes to the team. The buckets of a process that works alone.
    pub fn finish(&mut self) -> Vec<RecycledBuffer> {
        self.to_team = None;
        self.nodes.drain(..).next().into_iter().flatten().flatten().collect()
    }
}

/// Takes gradients while backward runs.
pub(super) struct Watch<D: Backend> {
    units: Vec<Vec<(usize, Flat<D>)>>,
    sums: Arc<Mutex<Sums>>,
}

impl<D: NetworkBackend> Watch<D> {
    pub fn new(base: &Base<D>, head: &Head<D>, sums: Arc<Mutex<Sums>>) -> Self {
        Watch { units: variables(base, head), sums }
    }

    /// What the tape does behind the backward of a unit; the dense layer is the last.
    pub fn behind(&mut self, unit: usize) -> impl FnOnce(&mut Gradients<f32, D>) + 'static + use<D> {
        let (variables, sums) = (std::mem::take(&mut self.units[unit]), self.sums.clone());
        move |gradients| {
            let mut sums = lock(&sums);
            for (place, variable) in &variables {
                let read = D::with_gradient(gradients, variable, &mut |gradient| sums.add(*place, gradient));
                if let Err(error) = read {
                    sums.failed.get_or_insert(error);
                }
            }
            sums.unit_is_done(unit);
        }
    }
}

/// Nobody who holds the sums waits for anything.
pub(super) fn lock(sums: &Mutex<Sums>) -> MutexGuard<'_, Sums> {
    sums.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::SumTree;

    #[test]
    fn buckets_follow_backward_and_hold_each_variable_once() {
        let big = BUCKET;
        let units = [vec![(0, 7), (1, big)], vec![], vec![(2, 5), (3, big)], vec![(4, 3)]];
        let buckets = Buckets::new(&units);
        assert_eq!(buckets.lens(), [3 + 5 + big, 7 + big]);
        assert_eq!(buckets.of_unit, [Some(1), None, Some(0), Some(0)]);
        assert_eq!(buckets.numbers(), 3 + 5 + big + 7 + big);
        let mut memory: Vec<_> = buckets.lens().iter().map(|&len| RecycledBuffer::take(len)).collect();
        memory[0].fill(1.0);
        memory[1].fill(2.0);
        let sums: Vec<f32> = (0..5).map(|place| buckets.gradient(&memory, place).iter().sum()).collect();
        assert_eq!(sums, [14.0, 2.0 * big as f32, 5.0, big as f32, 3.0]);
        assert!(buckets.gradient(&memory, 5).is_empty());
    }

    #[test]
    fn a_micro_batch_without_an_image_changes_no_bit() {
        let buckets = Buckets::new(&[vec![(0, 2)]]);
        let tree = SumTree::new(None, 4);
        let sum = |without: usize| {
            let mut sums = Sums::new(buckets.clone(), None);
            for leaf in tree.own_leaves() {
                sums.begin(leaf, 1, leaf.number == 3);
                match leaf.number == without {
                    true => sums.nothing(),
                    false => {
                        sums.add(0, &[-0.0, 0.1 + leaf.number as f32]);
                        sums.unit_is_done(0);
                    }
                }
                sums.end().expect("no error");
            }
            let buckets = sums.finish();
            [buckets[0][0].to_bits(), buckets[0][1].to_bits()]
        };
        let bits = |x: f32| [(-0.0f32).to_bits(), x.to_bits()];
        assert_eq!(sum(9), bits((0.1 + 1.1) + (2.1 + 3.1)));
        assert_eq!(sum(0), bits(1.1 + (2.1 + 3.1)));
        assert_eq!(sum(3), bits((0.1 + 1.1) + 2.1));
    }
}
