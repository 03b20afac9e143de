//! Photographs that are far from all others.

/// Neighbours: a photograph is far off where even the last of so many is far.
pub(super) const NEIGHBOURS: usize = 10;
/// Fewer photographs than this have no outliers.
const FEWEST: usize = 30;
/// How many interquartile ranges beyond the third quartile a distance is far: Tukey's outer fence.
const FENCE: f32 = 3.0;

/// The photographs whose distance to their tenth neighbour is beyond the outer fence of all such distances, the farthest
/// first, each with its distance. `distances` are those of each photograph to its nearest, rising.
pub(super) fn outliers(distances: &[Vec<f32>]) -> Vec<(usize, f32)> {
    let last: Vec<f32> = distances.iter().map(|near| near.last().copied().unwrap_or(0.0)).collect();
    if last.len() < FEWEST {
        return Vec::new();
    }
    let mut sorted = last.clone();
    sorted.sort_by(f32::total_cmp);
    let (first, third) = (quantile(&sorted, 0.25), quantile(&sorted, 0.75));
    let fence = third + FENCE * (third - first);
    let mut found: Vec<(usize, f32)> = last.into_iter().enumerate().filter(|&(_, d)| d > fence).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found
}

/// A quantile of sorted numbers, between two of them linearly, as numpy's default.
pub(super) fn quantile(sorted: &[f32], part: f32) -> f32 {
    let at = part * (sorted.len() - 1) as f32;
    let (below, above) = (sorted[at as usize], sorted[(at.ceil() as usize).min(sorted.len() - 1)]);
    below + (above - below) * (at - at.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_outer_fence_is_found_and_few_photographs_have_none() {
        // 0.50, 0.51, ... 0.80: quartiles 0.575 and 0.725, so the fence is 1.175.
        let mut distances: Vec<Vec<f32>> = (0..31).map(|i| vec![0.1, 0.5 + 0.01 * i as f32]).collect();
        assert!(outliers(&distances).is_empty());
        distances[7] = vec![0.1, 1.1];
        assert!(outliers(&distances).is_empty());
        distances[7] = vec![0.1, 1.3];
        distances[9] = vec![1.0, 1.4];
        assert_eq!(outliers(&distances), [(9, 1.4), (7, 1.3)]);
        assert!(outliers(&distances[..20]).is_empty());
    }

    #[test]
    fn quantiles_are_numpys() {
        // numpy.quantile([1, 2, 4, 8], [0.25, 0.5, 0.9])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        let found = [0.25, 0.5, 0.9].map(|part| quantile(&sorted, part));
        assert!(found.iter().zip([1.75, 3.0, 6.8]).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
    }
}
