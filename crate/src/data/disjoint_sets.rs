//! Numbers that are joined, pair by pair, into sets (union-find with halved paths).

/// Sets of the numbers below some `n`. The smallest number of a set stands for it.
pub(crate) struct DisjointSets {
    parents: Vec<usize>,
}

impl DisjointSets {
    /// Each of `n` numbers alone.
    pub fn new(n: usize) -> Self {
        DisjointSets { parents: (0..n).collect() }
    }

    /// The smallest number of the set that `i` belongs to.
    pub fn root(&mut self, mut i: usize) -> usize {
        while self.parents[i] != i {
            self.parents[i] = self.parents[self.parents[i]];
            i = self.parents[i];
        }
        i
    }

    /// Makes one set of two; whether they were two.
    pub fn join(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
        a != b
    }

    /// What stands for each number.
    pub fn roots(mut self) -> Vec<usize> {
        (0..self.parents.len()).map(|i| self.root(i)).collect()
    }
}
