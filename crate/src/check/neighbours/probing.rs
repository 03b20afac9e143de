//! Comparing each row with those of the cells that are nearest to it.

use transfer_kernels::{pointwise, Activation, PackedWeights};

use super::cells::Cells;
use super::nearest::Nearest;
use super::rows::Rows;
use crate::progress::check_stop;
use crate::{threads, Result};

/// Cells that a row is compared with.
const PROBED: usize = 16;
/// Rows of a block: those that are compared, and those of a cell.
const ROWS: usize = 4096;
const COLUMNS: usize = 1024;
/// Rows that a thread looks through at a time.
const LOOKED_THROUGH: usize = 64;

/// What is looked for.
pub(in crate::check) struct Probing<'a> {
    /// The rows that can be found, by their positions; they look for each other.
    pub members: &'a [u32],
    /// Further rows that look for members.
    pub further: &'a [u32],
    /// How many times each row counts, by its position, among neighbours; without any, each once.
    pub times: &'a [u32],
    /// How many neighbours' cosines are kept for each row.
    pub k: usize,
    /// The least cosine of rows that are alike.
    pub from: f32,
    /// How many alike rows are kept for each row: the most alike ones.
    pub most: usize,
}

/// What was found for one row.
#[derive(Debug, Clone, Default)]
pub(in crate::check) struct Alike {
    /// The largest cosines.
    pub nearest: Nearest,
    /// The most alike rows that were wanted: their positions, the most alike first, with their cosines.
    pub rows: Vec<(f32, u32)>,
}

impl Alike {
    fn takes(&self, cosine: f32, most: usize) -> bool {
        self.rows.len() < most || self.rows.last().is_some_and(|&(last, _)| cosine > last)
    }

    fn add(&mut self, cosine: f32, row: u32, most: usize) {
        let at = self.rows.partition_point(|&(other, _)| other >= cosine);
        self.rows.insert(at, (cosine, row));
        self.rows.truncate(most);
    }
}

/// What is found for members, and then for further rows. `wanted(a, b)` says whether row `a` may have found `b`.
pub(in crate::check) fn probe(
    rows: &mut impl Rows,
    asked: &Probing<'_>,
    wanted: impl Fn(u32, u32) -> bool + Send + Sync,
) -> Result<Vec<Alike>> {
    let looking = [asked.members, asked.further].concat();
    let mut found = vec![Alike { nearest: Nearest::of(asked.k), rows: Vec::new() }; looking.len()];
    if asked.members.is_empty() {
        return Ok(found);
    }
    for (alike, &row) in found.iter_mut().zip(&looking) {
        // A row that counts several times is its own neighbour.
        alike.nearest.add_times(1.0, asked.times.get(row as usize).map_or(0, |times| times - 1));
    }
    let lists = Lists::of(rows, &looking, asked.members.len())?;
    let (mut values, mut of_cell) = (Vec::new(), Vec::new());
    let mut cosines = Vec::new();
    for cell in 0..lists.cells {
        check_stop("The search for duplicates")?;
        let all: Vec<u32> = lists.members.of_cell(cell).iter().map(|&at| looking[at as usize]).collect();
        let comparing = if all.is_empty() { &[][..] } else { lists.looking.of_cell(cell) };
        for block in comparing.chunks(ROWS) {
            let numbers: Vec<u32> = block.iter().map(|&at| looking[at as usize]).collect();
            rows.gather(&numbers, &mut values)?;
            let mut states: Vec<Alike> =
                block.iter().map(|&at| std::mem::take(&mut found[at as usize])).collect();
            for members in all.chunks(COLUMNS) {
                rows.gather(members, &mut of_cell)?;
                let packed = PackedWeights::new_transposed(&of_cell, members.len(), rows.width());
                cosines.resize(block.len() * members.len(), 0.0);
                let (height, cosines) = (block.len(), &mut cosines[..block.len() * members.len()]);
                threads::pool()
                    .install(|| pointwise(&values, height, &packed, Activation::Linear, None, cosines));
                look_through(asked, (&numbers, members), cosines, &mut states, &wanted);
            }
            block.iter().zip(states).for_each(|(&at, state)| found[at as usize] = state);
        }
    }
    Ok(found)
}

/// Adds to what was found for each of `numbers` what is near among `members`.
fn look_through(
    asked: &Probing<'_>,
    (numbers, members): (&[u32], &[u32]),
    cosines: &[f32],
    states: &mut [Alike],
    wanted: &(impl Fn(u32, u32) -> bool + Send + Sync),
) {
    let times = |row: u32| asked.times.get(row as usize).map_or(1, |&times| times);
    let of_parts = numbers.chunks(LOOKED_THROUGH).zip(cosines.chunks(LOOKED_THROUGH * members.len()));
    let parts = of_parts.zip(states.chunks_mut(LOOKED_THROUGH)).collect();
    threads::each(parts, |((numbers, cosines), states): ((&[u32], &[f32]), &mut [Alike])| {
        let of_rows = numbers.iter().zip(cosines.chunks_exact(members.len())).zip(states);
        for ((&row, cosines), state) in of_rows {
            for (&member, &cosine) in members.iter().zip(cosines) {
                if member == row {
                    continue;
                }
                state.nearest.add_times(cosine, times(member));
                if cosine >= asked.from && state.takes(cosine, asked.most) && wanted(row, member) {
                    state.add(cosine, member, asked.most);
                }
            }
        }
    });
}

/// Which rows lie in which cell, and which are compared with it; by their positions among those that look.
struct Lists {
    cells: usize,
    members: ByCell,
    looking: ByCell,
}

impl Lists {
    fn of(rows: &mut impl Rows, looking: &[u32], members: usize) -> Result<Self> {
        let cells = Cells::of(rows, &looking[..members])?;
        let n = PROBED.min(cells.len());
        let mut probed = Vec::with_capacity(looking.len() * n);
        let mut values = Vec::new();
        for block in looking.chunks(ROWS) {
            check_stop("The search for duplicates")?;
            rows.gather(block, &mut values)?;
            probed.extend(cells.nearest(&values, n));
        }
        let own: Vec<u32> = probed.iter().step_by(n).take(members).copied().collect();
        Ok(Lists {
            cells: cells.len(),
            members: ByCell::of(&own, 1, cells.len()),
            looking: ByCell::of(&probed, n, cells.len()),
        })
    }
}

/// Positions by cell, rising in each.
struct ByCell {
    /// Where the positions of each cell begin, and the end.
    starts: Vec<usize>,
    positions: Vec<u32>,
}

impl ByCell {
    /// `of` has `n` cells for each position.
    fn of(of: &[u32], n: usize, cells: usize) -> Self {
        let mut starts = vec![0; cells + 1];
        of.iter().for_each(|&cell| starts[cell as usize + 1] += 1);
        (0..cells).for_each(|cell| starts[cell + 1] += starts[cell]);
        let mut next = starts.clone();
        let mut positions = vec![0; of.len()];
        for (i, &cell) in of.iter().enumerate() {
            positions[next[cell as usize]] = (i / n) as u32;
            next[cell as usize] += 1;
        }
        ByCell { starts, positions }
    }

    fn of_cell(&self, cell: usize) -> &[u32] {
        &self.positions[self.starts[cell]..self.starts[cell + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::features::Features;
    use crate::check::neighbours::{neighbours, UnitFeatures};
    use crate::random::Rng;

    const WIDTH: usize = 24;

    /// Rows around so many centres.
    fn rows(n: usize, centres: usize) -> Features {
        let mut rng = Rng::new(&[n as u64]);
        let mut row = |size: f32| -> Vec<f32> { (0..WIDTH).map(|_| size * (rng.uniform() - 0.5)).collect() };
        let middles: Vec<Vec<f32>> = (0..centres).map(|_| row(1.0)).collect();
        let mut features = Features::with_room(n, WIDTH).unwrap();
        for i in 0..n {
            let around: Vec<f32> =
                middles[i % centres].iter().zip(row(0.45)).map(|(middle, by)| middle + by).collect();
            features.push(&around).unwrap();
        }
        features
    }

    fn probed(features: &mut Features, times: &[u32], from: f32) -> Vec<Alike> {
        let members: Vec<u32> = (0..features.len() as u32).collect();
        let asked = Probing { members: &members, further: &[], times, k: 5, from, most: 8 };
        probe(&mut UnitFeatures(features), &asked, |_, _| true).unwrap()
    }

    fn pairs(found: &[Alike]) -> Vec<(u32, u32)> {
        let of_row = |(a, alike): (usize, &Alike)| -> Vec<(u32, u32)> {
            alike.rows.iter().map(|&(_, b)| (b.min(a as u32), b.max(a as u32))).collect()
        };
        let mut pairs: Vec<_> = found.iter().enumerate().flat_map(of_row).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    #[test]
    fn few_rows_are_compared_with_all_others() {
        // Sixteen cells at most, so that all are probed.
        let mut features = rows(60, 9);
        let exact = neighbours(&mut features, 5, 0.8, |_, _, _| true).unwrap();
        let found = probed(&mut features, &[], 0.8);
        assert!(exact.pairs.len() > 10);
        assert_eq!(pairs(&found), exact.pairs);
        for (found, exact) in found.into_iter().zip(exact.distances) {
            let found = found.nearest.distances();
            assert!(found.len() == 5 && found.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-3));
        }
    }

    #[test]
    fn of_many_rows_nearly_all_alike_ones_are_found() {
        let mut features = rows(6000, 900);
        let exact = neighbours(&mut features, 5, 0.85, |_, _, _| true).unwrap();
        let found = pairs(&probed(&mut features, &[], 0.85));
        assert!(exact.pairs.len() > 300, "{}", exact.pairs.len());
        assert!(found.iter().all(|pair| exact.pairs.contains(pair)));
        assert!(100 * found.len() >= 97 * exact.pairs.len(), "{} of {}", found.len(), exact.pairs.len());
    }

    #[test]
    fn rows_that_count_several_times_are_several_neighbours() {
        let mut features = Features::with_room(3, WIDTH).unwrap();
        for angle in [0.0f32, 0.6, 1.2] {
            let mut row = [0.0; WIDTH];
            (row[0], row[1]) = (angle.cos(), angle.sin());
            features.push(&row).unwrap();
        }
        let found = probed(&mut features, &[1, 3, 1], 0.9);
        let far = |angle: f32| (2.0 - 2.0 * angle.cos()).sqrt();
        let expected = [vec![far(0.6), far(0.6), far(0.6), far(1.2)], vec![0.0, 0.0, far(0.6), far(0.6)]];
        for (found, expected) in found.into_iter().zip(expected) {
            let found = found.nearest.distances();
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?}");
        }
    }
}
