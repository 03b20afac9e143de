//! What is known of a step besides its gradients, summed in the same order.

use crate::team::Leaf;

/// What is known of a micro-batch, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Told {
    /// Sum of the losses.
    pub loss: f64,
    /// Images.
    pub images: u64,
    /// Images whose class is predicted.
    pub correct: u64,
    /// Whether somebody asked for an end.
    pub stop: bool,
}

impl Told {
    pub const BYTES: usize = 25;

    pub fn add(&mut self, other: &Told) {
        self.loss += other.loss;
        self.images += other.images;
        self.correct += other.correct;
        self.stop |= other.stop;
    }

    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [u8::from(self.stop); Self::BYTES];
        let numbers = [self.loss.to_bits(), self.images, self.correct];
        bytes.chunks_exact_mut(8).zip(numbers).for_each(|(to, x)| to.copy_from_slice(&x.to_le_bytes()));
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|x| u64::from_le_bytes(*x));
        let mut next = || numbers.next().unwrap_or_default();
        let (loss, images, correct) = (f64::from_bits(next()), next(), next());
        Told { loss, images, correct, stop: bytes.last().is_some_and(|&stop| stop != 0) }
    }
}

/// Sums over the leaves of a tree.
#[derive(Debug, Default)]
pub(super) struct ToldSums {
    pending: Vec<Told>,
    nodes: Vec<Told>,
}

impl ToldSums {
    /// The next leaf.
    pub fn push(&mut self, told: Told, leaf: Leaf) {
        let mut sum = told;
        for _ in 0..leaf.completes {
            let mut left = self.pending.pop().unwrap_or_default();
            left.add(&sum);
            sum = left;
        }
        match leaf.ends_node {
            true => self.nodes.push(sum),
            false => self.pending.push(sum),
        }
    }

    /// The sums of this process' nodes.
    pub fn nodes(self) -> Vec<Told> {
        self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::SumTree;

    #[test]
    fn what_is_told_comes_back_from_its_bytes_and_adds_up() {
        let told = Told { loss: -0.1, images: 3, correct: 2, stop: true };
        assert_eq!(Told::from_bytes(&told.to_bytes()), told);
        let mut sums = ToldSums::default();
        for leaf in SumTree::new(None, 5).own_leaves() {
            let loss = 0.1 * (leaf.number + 1) as f64;
            sums.push(Told { loss, images: 1, stop: leaf.number == 2, ..Told::default() }, leaf);
        }
        let loss = (0.1 + 0.2) + (0.1 * 3.0 + 0.4) + 0.5;
        assert_eq!(sums.nodes(), [Told { loss, images: 5, correct: 0, stop: true }]);
    }
}
