//! Pairs of photographs that may show the same, and the distances of features to neighbours that are found on the way.

use std::collections::HashMap;

use super::levels::Coarse;
use crate::check::features::Features;
use crate::check::neighbours::{neighbours, probe, Neighbours, Probing, Rows, UnitFeatures};
use crate::check::scan::{Photograph, Scan};
use crate::progress::check_stop;
use crate::{threads, Result};

/// Candidates: the cosine of features is at least the first number and the correlation of coarse grey levels at least
/// the second, in one of two ways. The second way is for photographs that were made much smaller, which changes their
/// features and not their grey levels.
pub(super) const CANDIDATES: [(f32, f32); 2] = [(0.75, 0.6), (0.5, 0.9)];
/// Candidates of a photograph in each of the two ways, the most alike ones, where not all pairs are compared.
const MOST: usize = 16;
/// Pairs whose cosines are computed at a time.
const AT_A_TIME: usize = 1024;

/// The larger of the correlations of coarse grey levels, and of those of a mirror image.
fn correlation(a: &Coarse, b: &Coarse) -> f32 {
    a.iter().map(|side| dot(side, &b[0])).fold(-1.0, f32::max)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Candidates of up to `all_pairs_up_to` photographs are found among all pairs, those of more by cells. `copies` are left
/// out: pairs of a photograph and a later one of the same bytes.
pub(super) fn candidates(
    scan: &mut Scan,
    coarse: &[Coarse],
    copies: &[(usize, usize)],
    (neighbours_wanted, all_pairs_up_to): (usize, usize),
) -> Result<Neighbours> {
    if scan.len() > all_pairs_up_to {
        return by_cells(scan, coarse, neighbours_wanted);
    }
    // What is true of a file is true of its copies, and many copies make very many pairs.
    let mut is_copy = vec![false; scan.len()];
    copies.iter().for_each(|&(_, later)| is_copy[later] = true);
    let wanted = |a: usize, b: usize, cosine: f32| {
        let alike = |from: f32| correlation(&coarse[a], &coarse[b]) >= from;
        !is_copy[a]
            && !is_copy[b]
            && CANDIDATES.iter().any(|&(features, levels)| cosine >= features && alike(levels))
    };
    let from = CANDIDATES.iter().fold(1.0, |least: f32, &(features, _)| least.min(features));
    neighbours(&mut scan.features, neighbours_wanted, from, wanted)
}

/// Candidates by cells of features in the first way, and by cells of coarse grey levels in the second. Photographs of
/// the same pixels are looked for once, so that many of them do not fill a cell.
fn by_cells(scan: &mut Scan, coarse: &[Coarse], neighbours_wanted: usize) -> Result<Neighbours> {
    let Twins { first, before, times } = Twins::of(&scan.photographs);
    let alone: Vec<u32> = (0..scan.len() as u32).filter(|&i| first[i as usize] == i).collect();
    let features = &mut scan.features;
    let [(cosine, levels), _] = CANDIDATES;
    let asked = Probing {
        members: &alone,
        further: &[],
        times: &times,
        k: neighbours_wanted,
        from: cosine,
        most: MOST,
    };
    let found = probe(&mut UnitFeatures(features), &asked, |a, b| {
        correlation(&coarse[a as usize], &coarse[b as usize]) >= levels
    })?;
    let mut pairs = Vec::new();
    let mut distances = vec![Vec::new(); first.len()];
    for (alike, &a) in found.into_iter().zip(&alone) {
        pairs.extend(alike.rows.into_iter().map(|(_, b)| (a.min(b), a.max(b))));
        distances[a as usize] = alike.nearest.distances();
    }
    for (i, &first) in first.iter().enumerate().filter(|&(i, &first)| i != first as usize) {
        distances[i] = distances[first as usize].clone();
    }
    pairs.extend(by_levels(features, coarse, &alone)?);
    pairs.extend(before.into_iter().enumerate().filter_map(|(i, before)| Some((before?, i as u32))));
    pairs.sort_unstable();
    pairs.dedup();
    Ok(Neighbours { distances, pairs })
}

/// Candidates in the second way.
fn by_levels(features: &mut Features, coarse: &[Coarse], alone: &[u32]) -> Result<Vec<(u32, u32)>> {
    // Zeros have nothing that could be compared.
    let with_levels = alone.iter().filter(|&&i| coarse[i as usize][0].iter().any(|&v| v != 0.0));
    let members: Vec<u32> = with_levels.map(|i| 2 * i).collect();
    let further: Vec<u32> = members.iter().map(|row| row + 1).collect();
    let [_, (cosine, levels)] = CANDIDATES;
    let asked = Probing { members: &members, further: &further, times: &[], k: 0, from: levels, most: MOST };
    let found = probe(&mut CoarseRows(coarse), &asked, |a, b| a / 2 != b / 2)?;
    let looking = members.iter().chain(&further);
    let of_rows = found.into_iter().zip(looking).flat_map(|(alike, &a)| {
        alike.rows.into_iter().map(move |(_, b)| ((a / 2).min(b / 2), (a / 2).max(b / 2)))
    });
    let mut pairs: Vec<(u32, u32)> = of_rows.collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut kept = Vec::new();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let width = features.width();
    let mut features = UnitFeatures(features);
    for block in pairs.chunks(AT_A_TIME) {
        check_stop("The search for duplicates")?;
        let (a, b): (Vec<u32>, Vec<u32>) = block.iter().copied().unzip();
        features.gather(&a, &mut first)?;
        features.gather(&b, &mut second)?;
        let rows = first.chunks_exact(width).zip(second.chunks_exact(width)).collect();
        let cosines = threads::map(rows, |(a, b): (&[f32], &[f32])| dot(a, b));
        kept.extend(block.iter().zip(cosines).filter(|(_, c)| *c >= cosine).map(|(pair, _)| *pair));
    }
    Ok(kept)
}

/// Coarse grey levels as rows: those of photograph `i` at `2 i`, those of its mirror image at `2 i + 1`.
struct CoarseRows<'a>(&'a [Coarse]);

impl Rows for CoarseRows<'_> {
    fn width(&self) -> usize {
        64
    }

    fn gather(&mut self, which: &[u32], out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        which.iter().for_each(|&row| out.extend(self.0[row as usize / 2][row as usize % 2]));
        Ok(())
    }
}

/// Photographs with the same fingerprint and the same colours: copies, and files that differ in more than pixels.
struct Twins {
    /// For each photograph the first one like it, which may be itself.
    first: Vec<u32>,
    /// For each photograph the last one like it in front of it.
    before: Vec<Option<u32>>,
    /// For each photograph that is the first one, how many there are like it.
    times: Vec<u32>,
}

impl Twins {
    fn of(photographs: &[Photograph]) -> Self {
        let mut seen: HashMap<_, (u32, u32)> = HashMap::with_capacity(photographs.len());
        let mut twins = Twins { first: Vec::new(), before: Vec::new(), times: vec![0; photographs.len()] };
        for (i, photograph) in photographs.iter().enumerate() {
            let i = i as u32;
            let before = seen.get(&(&photograph.fingerprint, &photograph.colours)).copied();
            let first = before.map_or(i, |(first, _)| first);
            seen.insert((&photograph.fingerprint, &photograph.colours), (first, i));
            twins.first.push(first);
            twins.before.push(before.map(|(_, last)| last));
            twins.times[first as usize] += 1;
        }
        twins
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::check::duplicates::search::find;
    use crate::check::fingerprint::{CELLS, SIDE};
    use crate::random::Rng;

    const WIDTH: usize = 48;

    /// A scene: grey levels from waves, and features.
    struct Scene {
        waves: Vec<[f32; 4]>,
        features: Vec<f32>,
    }

    impl Scene {
        fn of(width: usize, rng: &mut Rng) -> Self {
            let mut wave = |_| [9.0, 9.0, 6.3, 30.0].map(|most| most * (2.0 * rng.uniform() - 1.0));
            let waves = (0..6).map(&mut wave).collect();
            Scene { waves, features: (0..width).map(|_| rng.uniform() - 0.4).collect() }
        }

        /// Seen with a gain of `gain`, mirrored where it is negative, and with features moved by up to `noise`.
        fn photograph(&self, (gain, noise): (f32, f32), rng: &mut Rng) -> (Photograph, Vec<f32>) {
            let mut fingerprint = Box::new([0; CELLS]);
            for (i, cell) in fingerprint.iter_mut().enumerate() {
                let place = |at: usize| 2.0 * at as f32 / (SIDE - 1) as f32 - 1.0;
                let (y, x) = (place(i / SIDE), gain.signum() * place(i % SIDE));
                let level = |[a, b, phase, height]: &[f32; 4]| height * (a * x + b * y + phase).sin();
                *cell = (128.0 + gain.abs() * self.waves.iter().map(level).sum::<f32>()) as u8;
            }
            let features = self.features.iter().map(|v| v + noise * (rng.uniform() - 0.5)).collect();
            let photograph = Photograph {
                path: PathBuf::new(),
                set: 0,
                label: 0,
                digest: std::array::from_fn(|_| rng.below(256) as u8),
                height: 300,
                width: 400,
                bytes: 1,
                fingerprint,
                colours: [[rng.below(9) as i16; 2]; 16],
                coloured: 1.0,
            };
            (photograph, features)
        }
    }

    /// So many scenes, of every tenth a duplicate of one of four kinds, and photographs that differ in their
    /// bytes alone.
    fn scan(scenes: usize, width: usize) -> Scan {
        let mut rng = Rng::new(&[21]);
        let mut features = Features::with_room(scenes + scenes / 8, width).unwrap();
        let mut photographs: Vec<Photograph> = Vec::new();
        let mut put = |(photograph, row): (Photograph, Vec<f32>)| {
            photographs.push(photograph);
            features.push(&row).unwrap();
        };
        for i in 0..scenes {
            let scene = Scene::of(width, &mut rng);
            put(scene.photograph((1.0, 0.0), &mut rng));
            if i % 10 == 0 {
                // Another contrast, mirrored, and made smaller, which changes features much.
                let kind = [(0.8, 0.4), (-1.0, 0.4), (0.95, 1.1), (-0.9, 1.0)][i / 10 % 4];
                put(scene.photograph(kind, &mut rng));
            }
        }
        let same = Scene::of(width, &mut rng).photograph((1.0, 0.0), &mut rng);
        for _ in 0..scenes / 50 {
            let digest = std::array::from_fn(|_| rng.below(256) as u8);
            put((Photograph { digest, ..same.0.clone() }, same.1.clone()));
        }
        Scan { photographs, features, unreadable: Vec::new() }
    }

    #[test]
    fn cells_find_what_all_pairs_have_and_the_same_each_time() {
        let members = |all_pairs_up_to: usize| {
            let (groups, near) = find(&mut scan(2000, WIDTH), 10, all_pairs_up_to).unwrap();
            (groups.into_iter().map(|group| group.members).collect::<Vec<_>>(), near.distances)
        };
        let (expected, exact) = members(usize::MAX);
        let (found, distances) = members(0);
        assert!((190..=210).contains(&expected.len()), "{}", expected.len());
        let right = found.iter().filter(|group| expected.contains(group)).count();
        assert!(found.iter().all(|group| expected.iter().any(|all| group.iter().all(|i| all.contains(i)))));
        assert!(100 * right >= 98 * expected.len(), "{right} of {}", expected.len());
        assert!(found.iter().any(|group| group.len() == 40), "those that differ in their bytes alone");
        // A neighbour that was missed makes a distance larger; in 48 dimensions, without any structure, many are.
        assert!(distances.iter().zip(&exact).all(|(a, b)| a.len() == 10 && a[9] > b[9] - 1e-3));
        assert_eq!((found, distances), members(0));
    }

    /// Prints seconds and the most memory that the process has taken so far.
    #[test]
    #[ignore = "takes minutes: time and memory of the search among 2,000, 20,000 and 200,000 ready-made photographs"]
    fn the_search_among_many_photographs_takes_less_than_2_gb() {
        for n in [2000, 20_000, 200_000] {
            // A tenth has duplicates, and a fiftieth are the same picture.
            let mut scan = scan(n * 25 / 28, 1280);
            let start = std::time::Instant::now();
            let (groups, _) = find(&mut scan, 10, 8192).unwrap();
            let seconds = start.elapsed().as_secs_f64();
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("VmHWM: 0");
            println!("{} photographs, {} groups: {seconds:.1} s, {peak}", scan.len(), groups.len());
            let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
            assert!(kilobytes < 2_000_000, "{peak}");
        }
    }
}
