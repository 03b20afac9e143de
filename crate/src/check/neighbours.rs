//! Distances between the features of all photographs, in one go.
//!
//! Features are scaled to length 1, so that a distance is `√(2 − 2·cos)` (as in Sun et al. 2022,
//! <https://arxiv.org/abs/2204.06507>). The products are computed block by block, each pair of photographs once, so that
//! memory does not grow with the number of pairs.

use transfer_kernels::{pointwise, Activation, PackedWeights};

use crate::check::features::Features;
use crate::progress::check_stop;
use crate::{threads, Result};

/// Photographs of a block: rows, and columns.
const ROWS: usize = 4096;
const COLUMNS: usize = 1024;
/// Rows that a thread looks through at a time.
const LOOKED_THROUGH: usize = 256;

/// What is found about all pairs.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// For each photograph the distances to those nearest to it, rising: at most as many as asked for.
    pub distances: Vec<Vec<f32>>,
    /// Pairs that were wanted, the smaller number first, sorted.
    pub pairs: Vec<(u32, u32)>,
}

/// The distances of each photograph to its `k` nearest others, and the pairs whose cosine is at least `from` and that
/// `wanted(a, b, cosine)` asks for.
pub(super) fn neighbours(
    features: &mut Features,
    k: usize,
    from: f32,
    wanted: impl Fn(usize, usize, f32) -> bool + Send + Sync,
) -> Result<Neighbours> {
    let (n, c) = (features.len(), features.width());
    let mut nearest: Vec<Nearest> = vec![Nearest::of(k); n];
    let mut pairs = Vec::new();
    let (mut rows, mut columns) = (Vec::new(), Vec::new());
    let mut cosines = vec![0.0; ROWS.min(n) * COLUMNS.min(n)];
    for first in (0..n).step_by(ROWS) {
        let height = ROWS.min(n - first);
        features.read(first, height, &mut rows)?;
        of_length_one(&mut rows, c);
        for left in (first..n).step_by(COLUMNS) {
            check_stop("The search for duplicates")?;
            let width = COLUMNS.min(n - left);
            features.read(left, width, &mut columns)?;
            of_length_one(&mut columns, c);
            let packed = PackedWeights::new_transposed(&columns, width, c);
            let cosines = &mut cosines[..height * width];
            threads::pool().install(|| pointwise(&rows, height, &packed, Activation::Linear, None, cosines));
            let cosines = &*cosines;
            // Each pair once: of photographs in front of a block's columns, and of the triangle where both meet.
            let parts: Vec<usize> = (0..height).step_by(LOOKED_THROUGH).collect();
            let near = &mut nearest[first..first + height];
            let with_near = parts.into_iter().zip(near.chunks_mut(LOOKED_THROUGH)).collect();
            let found = threads::map(with_near, |(top, near): (usize, &mut [Nearest])| {
                let mut pairs = Vec::new();
                for (i, near) in near.iter_mut().enumerate() {
                    let (a, row) = (first + top + i, &cosines[(top + i) * width..][..width]);
                    for (j, &cosine) in row.iter().enumerate().skip((a + 1).saturating_sub(left)) {
                        near.add(cosine);
                        if cosine >= from && wanted(a, left + j, cosine) {
                            pairs.push((a as u32, (left + j) as u32));
                        }
                    }
                }
                pairs
            });
            pairs.extend(found.into_iter().flatten());
            let parts: Vec<usize> = (0..width).step_by(LOOKED_THROUGH).collect();
            let near = &mut nearest[left..left + width];
            let with_near = parts.into_iter().zip(near.chunks_mut(LOOKED_THROUGH)).collect();
            threads::each(with_near, |(top, near): (usize, &mut [Nearest])| {
                for row in 0..height {
                    let cosines = &cosines[row * width + top..];
                    for (j, (near, &cosine)) in near.iter_mut().zip(cosines).enumerate() {
                        if first + row < left + top + j {
                            near.add(cosine);
                        }
                    }
                }
            });
        }
    }
    pairs.sort_unstable();
    Ok(Neighbours { distances: nearest.into_iter().map(Nearest::distances).collect(), pairs })
}

/// Scales each row to length 1; a row of zeros stays.
fn of_length_one(rows: &mut [f32], c: usize) {
    for row in rows.chunks_exact_mut(c.max(1)) {
        let length = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        if length > 0.0 {
            let scale = (1.0 / length) as f32;
            row.iter_mut().for_each(|v| *v *= scale);
        }
    }
}

/// The largest cosines so far, falling.
#[derive(Debug, Clone)]
struct Nearest {
    k: usize,
    cosines: Vec<f32>,
}

impl Nearest {
    fn of(k: usize) -> Self {
        Nearest { k, cosines: Vec::with_capacity(k + 1) }
    }

    fn add(&mut self, cosine: f32) {
        if self.cosines.len() == self.k && self.cosines.last().is_none_or(|&last| cosine <= last) {
            return;
        }
        let at = self.cosines.partition_point(|&other| other >= cosine);
        self.cosines.insert(at, cosine);
        self.cosines.truncate(self.k);
    }

    fn distances(self) -> Vec<f32> {
        self.cosines.into_iter().map(|cosine| (2.0 - 2.0 * cosine).max(0.0).sqrt()).collect()
    }
}
