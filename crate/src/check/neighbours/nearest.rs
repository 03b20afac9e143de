//! The nearest so far.

/// The largest cosines so far, falling.
#[derive(Debug, Clone, Default)]
pub(in crate::check) struct Nearest {
    k: usize,
    cosines: Vec<f32>,
}

impl Nearest {
    /// None yet, and `k` at most.
    pub fn of(k: usize) -> Self {
        Nearest { k, cosines: Vec::with_capacity(k + 1) }
    }

    /// One more cosine.
    pub fn add(&mut self, cosine: f32) {
        if self.cosines.len() == self.k && self.cosines.last().is_none_or(|&last| cosine <= last) {
            return;
        }
        let at = self.cosines.partition_point(|&other| other >= cosine);
        self.cosines.insert(at, cosine);
        self.cosines.truncate(self.k);
    }

    /// The same cosine several times.
    pub fn add_times(&mut self, cosine: f32, times: u32) {
        (0..self.k.min(times as usize)).for_each(|_| self.add(cosine));
    }

    /// As distances, rising.
    pub fn distances(self) -> Vec<f32> {
        self.cosines.into_iter().map(|cosine| (2.0 - 2.0 * cosine).max(0.0).sqrt()).collect()
    }
}
