//! Cells: rows are divided by the centre that is nearest to them. The centres are those of k-means (Lloyd 1982,
//! <https://doi.org/10.1109/TIT.1982.1056489>) on a part of the rows.

use transfer_kernels::{pointwise, Activation, PackedWeights};

use super::rows::Rows;
use crate::progress::check_stop;
use crate::random::Rng;
use crate::{threads, Result, SPLIT_SEED};

/// Cells for each square root of the number of rows.
const CELLS: f64 = 2.0;
/// Rows for each cell that its centre is computed from.
const SAMPLED: usize = 16;
/// Steps of k-means. More change little in what is found.
const STEPS: usize = 6;
/// Rows compared with the centres at a time.
const BLOCK: usize = 4096;
/// Rows that a thread looks through at a time.
const LOOKED_THROUGH: usize = 64;

/// Centres of cells (cells, width).
pub(super) struct Cells {
    centres: Vec<f32>,
    width: usize,
    packed: PackedWeights,
    /// Half of each centre's square: a row is nearest to the centre whose product with it, less this, is the largest.
    halves: Vec<f32>,
}

impl Cells {
    /// Cells for some of the rows, given by their positions, of which there must be one at least.
    pub fn of(rows: &mut impl Rows, members: &[u32]) -> Result<Self> {
        let cells = ((CELLS * (members.len() as f64).sqrt()) as usize).clamp(1, members.len());
        let mut sample = members.to_vec();
        Rng::new(&[SPLIT_SEED, u64::from_be_bytes(*b"cells   ")]).shuffle(&mut sample);
        sample.truncate(SAMPLED * cells);
        let width = rows.width();
        let mut values = Vec::new();
        rows.gather(&sample, &mut values)?;
        let mut found = Cells::at(values[..cells * width].to_vec(), width);
        for _ in 0..STEPS {
            check_stop("The search for duplicates")?;
            let nearest = found.nearest(&values, 1);
            found = Cells::at(found.means(&values, &nearest), width);
        }
        Ok(found)
    }

    fn at(centres: Vec<f32>, width: usize) -> Self {
        let square = |row: &[f32]| row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        let halves: Vec<f32> = centres.chunks_exact(width).map(|row| 0.5 * square(row) as f32).collect();
        let packed = PackedWeights::new_transposed(&centres, halves.len(), width);
        Cells { centres, width, packed, halves }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.halves.len()
    }

    /// The means of the rows of each cell; a cell without rows stays where it is.
    fn means(&self, values: &[f32], nearest: &[u32]) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.centres.len()];
        let mut numbers = vec![0u32; self.len()];
        for (row, &cell) in values.chunks_exact(self.width).zip(nearest) {
            let sum = &mut sums[cell as usize * self.width..][..self.width];
            sum.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
            numbers[cell as usize] += 1;
        }
        let mut means = self.centres.clone();
        let of_cells = means.chunks_exact_mut(self.width).zip(sums.chunks_exact(self.width)).zip(numbers);
        for ((mean, sum), n) in of_cells.filter(|(_, n)| *n > 0) {
            mean.iter_mut().zip(sum).for_each(|(mean, sum)| *mean = (sum / f64::from(n)) as f32);
        }
        means
    }

    /// For each row of `values` its `n` nearest cells, the nearest first; of equally near ones the first.
    pub fn nearest(&self, values: &[f32], n: usize) -> Vec<u32> {
        let cells = self.len();
        let mut all = Vec::with_capacity(values.len() / self.width * n);
        let mut products = Vec::new();
        for block in values.chunks(BLOCK * self.width) {
            let height = block.len() / self.width;
            products.resize(height * cells, 0.0);
            let products = &mut products[..height * cells];
            threads::pool()
                .install(|| pointwise(block, height, &self.packed, Activation::Linear, None, products));
            let parts: Vec<&[f32]> = products.chunks(LOOKED_THROUGH * cells).collect();
            let found = threads::map(parts, |part| -> Vec<u32> {
                part.chunks_exact(cells).flat_map(|row| self.first(row, n)).collect()
            });
            all.extend(found.into_iter().flatten());
        }
        all
    }

    fn first(&self, products: &[f32], n: usize) -> Vec<u32> {
        let mut first: Vec<(f32, u32)> = Vec::with_capacity(n + 1);
        for (cell, (product, half)) in products.iter().zip(&self.halves).enumerate() {
            let near = product - half;
            if first.len() == n && first.last().is_none_or(|&(last, _)| near <= last) {
                continue;
            }
            let at = first.partition_point(|&(other, _)| other >= near);
            first.insert(at, (near, cell as u32));
            first.truncate(n);
        }
        first.into_iter().map(|(_, cell)| cell).collect()
    }
}
