//! Distances between all pairs. The products are computed block by block, each pair of photographs once.

use transfer_kernels::{pointwise, Activation, PackedWeights};

use super::nearest::Nearest;
use super::rows::of_length_one;
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
pub(in crate::check) struct Neighbours {
    /// For each photograph the distances to those nearest to it, rising: at most as many as asked for.
    pub distances: Vec<Vec<f32>>,
    /// Pairs that were wanted, the smaller number first, sorted.
    pub pairs: Vec<(u32, u32)>,
}

/// The distances of each photograph to its `k` nearest others, and the pairs whose cosine is at least `from` and that
/// `wanted(a, b, cosine)` asks for.
pub(in crate::check) fn neighbours(
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f32> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
    }

    fn all(rows: &[f32], width: usize, k: usize, from: f32) -> Neighbours {
        let mut features = Features::with_room(rows.len() / width, width).unwrap();
        features.push(rows).unwrap();
        neighbours(&mut features, k, from, |_, _, _| true).unwrap()
    }

    #[test]
    fn distances_and_pairs_are_those_of_scikit_learn() {
        let file: Value =
            serde_json::from_str(include_str!("../../../tests/api/check/reference.json")).unwrap();
        let cases = file["neighbours"].as_array().unwrap();
        assert_eq!(cases.len(), 3);
        for case in cases {
            let [width, k, kept] = ["width", "k", "kept"].map(|key| case[key].as_u64().unwrap() as usize);
            let found = all(&numbers(&case["rows"]), width, k, 0.6);
            let expected = numbers(&case["distances"]);
            assert!(found.distances.iter().all(|near| near.len() == kept));
            for (a, b) in found.distances.concat().iter().zip(&expected) {
                // A cosine near 1 loses digits.
                assert!((a - b).abs() < 2e-4, "{a} {b}");
            }
            let pairs: Vec<(u32, u32)> = case["pairs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| (pair[0].as_u64().unwrap() as u32, pair[1].as_u64().unwrap() as u32))
                .collect();
            assert_eq!(found.pairs, pairs);
        }
    }

    #[test]
    fn blocks_make_no_difference() {
        // More photographs than a block of columns has.
        let n = COLUMNS + 300;
        let mut rng = crate::random::Rng::new(&[5]);
        let rows: Vec<f32> = (0..n * 4).map(|_| rng.uniform() - 0.3).collect();
        let found = all(&rows, 4, 3, 0.999);
        let unit: Vec<Vec<f32>> = rows
            .chunks_exact(4)
            .map(|row| {
                let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
                row.iter().map(|v| v / length).collect()
            })
            .collect();
        let cosine = |i: usize, j: usize| unit[i].iter().zip(&unit[j]).map(|(a, b)| a * b).sum::<f32>();
        for i in [0, 1, COLUMNS - 1, COLUMNS, n - 1] {
            let mut others: Vec<f32> =
                (0..n).filter(|&j| j != i).map(|j| (2.0 - 2.0 * cosine(i, j)).max(0.0).sqrt()).collect();
            others.sort_by(f32::total_cmp);
            assert!(found.distances[i].iter().zip(&others).all(|(a, b)| (a - b).abs() < 1e-3), "{i}");
        }
        let close = |from: f32| {
            (0..n)
                .flat_map(|i| (i + 1..n).map(move |j| (i, j)))
                .filter(|&(i, j)| cosine(i, j) >= from)
                .count()
        };
        // But for pairs at the limit, where rounding decides.
        assert!((close(0.99901)..=close(0.99899)).contains(&found.pairs.len()));
        assert!(found.pairs.windows(2).all(|two| two[0] < two[1]), "each pair once");
    }
}
