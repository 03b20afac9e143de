//! Sums over a fixed tree: the same bits, whoever forms which part of them.
//!
//! The leaves are the micro-batches of a batch, by their order. The tree depends on their number alone. A member forms the
//! sums below which all leaves are its own; of larger sums each member forms a part, of its own range of the numbers, and
//! then all get all. So each sum has the same operands in the same order, and the same bits, for any number of members.

use std::ops::Range;

use super::{share_of, Team};
use crate::{Error, Result};

/// A sum, or a leaf, that one member forms by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    owner: usize,
    leaves: Range<usize>,
}

/// Who adds what to what.
#[derive(Debug)]
pub(crate) struct SumTree {
    rank: usize,
    size: usize,
    nodes: Vec<Node>,
    /// Node by node, to which one another is added; the first one is the sum at last.
    additions: Vec<(usize, usize)>,
}

/// A leaf of this member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Its number among all leaves.
    pub number: usize,
    /// How many sums are complete with it: it is added to the sum before it, that one to the sum before, and so on.
    pub completes: usize,
    /// Whether it completes a node.
    pub ends_node: bool,
}

/// Where the leaves of a sum part: on the left is a power of two of them, so that trees of other sizes have sums in common.
fn middle(leaves: &Range<usize>) -> usize {
    leaves.start + (leaves.end - leaves.start).next_power_of_two() / 2
}

impl SumTree {
    /// The tree of so many leaves, for one member of a team, or for a process that works alone.
    pub fn new(team: Option<&dyn Team>, leaves: usize) -> Self {
        let (rank, size) = team.map_or((0, 1), |team| (team.rank(), team.size()));
        let owners: Vec<usize> =
            (0..size).flat_map(|rank| share_of(rank, size, leaves).map(move |_| rank)).collect();
        let mut tree = SumTree { rank, size, nodes: Vec::new(), additions: Vec::new() };
        if leaves > 0 {
            tree.part(&owners, 0..leaves);
        }
        tree
    }

    /// Notes the nodes of some leaves and their additions; gives the node in which their sum is at last.
    fn part(&mut self, owners: &[usize], leaves: Range<usize>) -> usize {
        let owner = owners[leaves.start];
        if owner == owners[leaves.end - 1] {
            self.nodes.push(Node { owner, leaves });
            return self.nodes.len() - 1;
        }
        let middle = middle(&leaves);
        let left = self.part(owners, leaves.start..middle);
        let right = self.part(owners, middle..leaves.end);
        self.additions.push((left, right));
        left
    }

    /// This member's leaves, in the order in which they are to be computed.
    pub fn own_leaves(&self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        for node in self.nodes.iter().filter(|node| node.owner == self.rank) {
            leaves_of(node.leaves.clone(), 0, &mut leaves);
            if let Some(last) = leaves.last_mut() {
                last.ends_node = true;
            }
        }
        leaves
    }

    /// How many nodes another member, or this one, has.
    fn count(&self, rank: usize) -> usize {
        self.nodes.iter().filter(|node| node.owner == rank).count()
    }

    /// How many nodes are this member's.
    pub fn own(&self) -> usize {
        self.count(self.rank)
    }

    /// The number of nodes.
    fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What all members know of their nodes, in the order of the nodes: `own` has `width` bytes of each of this member's.
    ///
    /// # Errors
    /// Where a member is gone.
    pub fn known_to_all(&self, team: &dyn Team, own: &[u8], width: usize) -> Result<Vec<u8>> {
        let mut all = vec![0; width * self.len()];
        let mut rest = &mut all[..];
        let (mut into, mut own_part) = (Vec::new(), None);
        // A member's leaves follow each other, and so do its nodes.
        for rank in 0..self.size {
            let (part, behind) = std::mem::take(&mut rest).split_at_mut(width * self.count(rank));
            rest = behind;
            match rank == self.rank {
                true => own_part = Some(part),
                false if part.is_empty() => {}
                false => into.push((rank, part)),
            }
        }
        let out: Vec<_> = self.others().filter(|_| !own.is_empty()).map(|rank| (rank, own)).collect();
        team.exchange(&out, &mut into)?;
        if let Some(part) = own_part {
            part.copy_from_slice(own);
        }
        Ok(all)
    }

    /// The sum of what each node has, where all are known.
    pub fn of_all<T>(&self, mut nodes: Vec<T>, mut add: impl FnMut(&mut T, &T)) -> Option<T> {
        for &(to, from) in &self.additions {
            let (left, right) = nodes.split_at_mut(from);
            add(&mut left[to], &right[0]);
        }
        nodes.into_iter().next()
    }

    /// Sums numbers of this member's nodes with those of all others, and divides them. `own` holds those of each node;
    /// the result is in the first. Of a member without a node, `own` is memory for the result.
    ///
    /// `memory` is what is received into.
    ///
    /// # Errors
    /// Where a member is gone.
    pub fn sum(
        &self,
        team: &dyn Team,
        own: &mut [&mut [f32]],
        memory: &mut Vec<f32>,
        divisor: f32,
    ) -> Result<()> {
        let len = own.first().map_or(0, |numbers| numbers.len());
        if own.len() != self.own().max(1) || own.iter().any(|numbers| numbers.len() != len) {
            return Err(Error::Team(format!(
                "Expected {} nodes of {len} numbers. Received: {}",
                self.own(),
                own.len()
            )));
        }
        let own_range = self.range(self.rank, len);
        let width = own_range.len();
        let others: Vec<usize> =
            self.nodes.iter().map(|n| n.owner).filter(|&owner| owner != self.rank).collect();
        if memory.len() < width * others.len() {
            memory.resize(width * others.len(), 0.0);
        }
        let received = &mut memory[..width * others.len()];
        {
            let mut out: Vec<(usize, &[u8])> = Vec::new();
            for rank in self.others() {
                let range = self.range(rank, len);
                for node in own.iter().take(self.own()).filter(|_| !range.is_empty()) {
                    out.push((rank, bytemuck::cast_slice(&node[range.clone()])));
                }
            }
            let parts = received.chunks_exact_mut(width.max(1)).map(bytemuck::cast_slice_mut);
            let mut into: Vec<(usize, &mut [u8])> = others.iter().copied().zip(parts).collect();
            team.exchange(&out, &mut into)?;
        }
        self.add_up(own, &own_range, received);
        let (before, rest) = own[0].split_at_mut(own_range.start);
        let (sum, after) = rest.split_at_mut(width);
        sum.iter_mut().for_each(|x| *x /= divisor);
        let sum: &[u8] = bytemuck::cast_slice(sum);
        let out: Vec<_> = self.others().filter(|_| !sum.is_empty()).map(|rank| (rank, sum)).collect();
        let mut into: Vec<(usize, &mut [u8])> = Vec::new();
        let (mut before, mut after) = (before, after);
        for rank in self.others() {
            let rest = if rank < self.rank { &mut before } else { &mut after };
            let (part, behind) = std::mem::take(rest).split_at_mut(self.range(rank, len).len());
            *rest = behind;
            if !part.is_empty() {
                into.push((rank, bytemuck::cast_slice_mut(part)));
            }
        }
        team.exchange(&out, &mut into)
    }

    /// Forms the sum of a range of the numbers; it is in the first of `own` afterwards.
    fn add_up(&self, own: &mut [&mut [f32]], range: &Range<usize>, received: &mut [f32]) {
        let mut theirs = received.chunks_exact_mut(range.len().max(1));
        let mut mine = own.iter_mut().map(|node| &mut node[range.clone()]);
        let mut values: Vec<&mut [f32]> = Vec::with_capacity(self.len());
        for node in &self.nodes {
            let next = if node.owner == self.rank { mine.next() } else { theirs.next() };
            values.push(next.unwrap_or_default());
        }
        let place = self.nodes.iter().position(|node| node.owner == self.rank).unwrap_or(values.len());
        if place == values.len() {
            // Not among the operands, but the place for the result.
            values.push(mine.next().unwrap_or_default());
        }
        for &(to, from) in &self.additions {
            let (left, right) = values.split_at_mut(from);
            add(left[to], right[0]);
        }
        if place > 0 {
            let (sum, rest) = values.split_at_mut(place);
            rest[0].copy_from_slice(sum[0]);
        }
    }

    fn others(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.size).filter(|&rank| rank != self.rank)
    }

    /// Which of `len` numbers a member sums.
    fn range(&self, rank: usize, len: usize) -> Range<usize> {
        share_of(rank, self.size, len)
    }
}

/// Adds numbers to others.
fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
}

fn leaves_of(leaves: Range<usize>, completes: usize, into: &mut Vec<Leaf>) {
    if leaves.len() == 1 {
        into.push(Leaf { number: leaves.start, completes, ends_node: false });
        return;
    }
    let middle = middle(&leaves);
    leaves_of(leaves.start..middle, 0, into);
    leaves_of(middle..leaves.end, completes + 1, into);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::in_threads;

    /// Numbers whose sum depends on the order.
    fn leaf(i: usize) -> Vec<f32> {
        (0..11).map(|k| ((i * 11 + k) as f32 * 0.7311).sin() * 10f32.powi((i + k) as i32 % 7 - 3)).collect()
    }

    /// The sum as the recursion says.
    fn expected(leaves: Range<usize>) -> Vec<f32> {
        if leaves.len() == 1 {
            return leaf(leaves.start);
        }
        let middle = middle(&leaves);
        let mut sum = expected(leaves.start..middle);
        add(&mut sum, &expected(middle..leaves.end));
        sum
    }

    /// The nodes of a member, formed leaf by leaf.
    fn nodes(tree: &SumTree) -> Vec<Vec<f32>> {
        let (mut done, mut pending) = (Vec::new(), Vec::<Vec<f32>>::new());
        for own in tree.own_leaves() {
            pending.push(leaf(own.number));
            for _ in 0..own.completes {
                let right = pending.pop().expect("a sum");
                add(pending.last_mut().expect("a sum before it"), &right);
            }
            if own.ends_node {
                assert_eq!(pending.len(), 1);
                done.append(&mut pending);
            }
        }
        assert!(pending.is_empty());
        done
    }

    #[test]
    fn a_sum_has_the_same_bits_for_any_number_of_members() {
        for count in [1, 2, 3, 4, 5, 7, 8, 11, 16] {
            let whole: Vec<f32> = expected(0..count).iter().map(|x| x / 3.0).collect();
            for size in 1..=9 {
                std::thread::scope(|scope| {
                    for member in in_threads(size) {
                        let whole = &whole;
                        scope.spawn(move || {
                            let tree = SumTree::new(Some(&*member), count);
                            let mut own = nodes(&tree);
                            assert_eq!(own.len(), tree.own());
                            if own.is_empty() {
                                own.push(vec![0.0; 11]);
                            }
                            let mut own: Vec<&mut [f32]> = own.iter_mut().map(|node| &mut node[..]).collect();
                            tree.sum(&*member, &mut own, &mut Vec::new(), 3.0).expect("all there");
                            assert_eq!(own[0], &whole[..], "{count} leaves, {size} members");
                        });
                    }
                });
            }
        }
    }

    #[test]
    fn each_member_computes_the_leaves_that_are_its_own() {
        for (count, size) in [(0, 2), (5, 3), (3, 5), (8, 3)] {
            for member in in_threads(size) {
                let tree = SumTree::new(Some(&*member), count);
                let own: Vec<usize> = tree.own_leaves().iter().map(|leaf| leaf.number).collect();
                assert_eq!(own, share_of(member.rank(), size, count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_is_known_to_all_has_the_order_of_the_leaves() {
        for (count, size) in [(7, 3), (2, 4), (1, 1), (0, 2)] {
            std::thread::scope(|scope| {
                for member in in_threads(size) {
                    scope.spawn(move || {
                        let tree = SumTree::new(Some(&*member), count);
                        let own: Vec<u8> = vec![member.rank() as u8; 2 * tree.own()];
                        let all = tree.known_to_all(&*member, &own, 2).expect("all there");
                        let owners: Vec<u8> = tree.nodes.iter().flat_map(|n| [n.owner as u8; 2]).collect();
                        assert_eq!(all, owners);
                        let ones = vec![1; tree.len()];
                        let sum = tree.of_all(ones, |a, b| *a += b);
                        assert_eq!(sum, (count > 0).then_some(tree.len()));
                    });
                }
            });
        }
    }

    #[test]
    fn a_member_that_fails_makes_the_sums_of_the_others_fail() {
        std::thread::scope(|scope| {
            for member in in_threads(3) {
                scope.spawn(move || {
                    if member.rank() == 1 {
                        return;
                    }
                    let tree = SumTree::new(Some(&*member), 6);
                    let mut own = nodes(&tree);
                    let mut own: Vec<&mut [f32]> = own.iter_mut().map(|node| &mut node[..]).collect();
                    assert!(tree.sum(&*member, &mut own, &mut Vec::new(), 1.0).is_err());
                });
            }
        });
    }
}
