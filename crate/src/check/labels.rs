//! Photographs whose label is probably wrong: heads that did not see a photograph say how probable its label is.

use ndarray::Array2;
use transfer_kernels::{pointwise, Activation, PackedWeights};

use crate::check::duplicates::{is_most_of_a_class, Group};
use crate::check::features::Features;
use crate::progress::say;
use crate::random::Rng;
use crate::train::{fold_assignment, out_of_fold};
use crate::{threads, Error, Result, SPLIT_SEED};

/// Folds; fewer where a class has fewer photographs.
const FOLDS: usize = 5;
/// The penalty on the heads' weights. Stronger than that of training: fewer wrong labels are learned.
const L2: f64 = 0.3;
/// A label is suspected where another class is more probable than it by this.
const MARGIN: f32 = 0.2;
/// Numbers that stand for a photograph where features are too many for memory.
const PROJECTED: usize = 256;
/// Photographs projected at a time.
const BLOCK: usize = 4096;

/// What heads that did not see a photograph say of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opinion {
    /// The most probable class but for the label.
    pub other: u32,
    /// Its probability.
    pub other_probability: f32,
    /// The probability of the label.
    pub probability: f32,
}

impl Opinion {
    /// How much more probable the other class is.
    pub fn margin(&self) -> f32 {
        self.other_probability - self.probability
    }

    /// Whether the label is suspected to be wrong.
    pub fn suspects(&self) -> bool {
        self.margin() >= MARGIN
    }
}

/// An opinion about each photograph; nothing where there is a single class, or too few photographs for two folds.
/// Groups of duplicates are never on both sides of a fold. Uses the features up.
pub(super) fn opinions(
    features: &mut Features,
    labels: &[u32],
    classes: usize,
    groups: &[Group],
) -> Result<Vec<Opinion>> {
    let mut ids: Vec<u32> = (0..labels.len() as u32).collect();
    let mut of_class = vec![0; classes];
    labels.iter().for_each(|&label| of_class[label as usize] += 1);
    for group in groups {
        if is_most_of_a_class(group.members.iter().map(|&i| labels[i] as usize), &of_class) {
            continue;
        }
        group.members.iter().for_each(|&i| ids[i] = group.members[0] as u32);
    }
    let present = {
        let mut seen = vec![false; classes];
        labels.iter().for_each(|&label| seen[label as usize] = true);
        seen.into_iter().filter(|&seen| seen).count()
    };
    if present < 2 {
        return Ok(Vec::new());
    }
    let folds = match fold_assignment(labels, Some(&ids), FOLDS, SPLIT_SEED) {
        Ok(folds) => folds,
        Err(Error::Data(why)) => {
            say(format!("Labels were not checked: {why}"));
            return Ok(Vec::new());
        }
        Err(other) => return Err(other),
    };
    let n = labels.len();
    let values = match features.take() {
        Some(all) => all,
        None => projected(features)?,
    };
    let width = values.len() / n;
    let values = Array2::from_shape_vec((n, width), values).map_err(|e| Error::Shape(e.to_string()))?;
    let heads = out_of_fold(&values, labels, classes, &folds, L2)?;
    let rows = heads.log_probabilities.rows().into_iter().zip(labels);
    Ok(rows
        .map(|(row, &label)| {
            let others = row.iter().enumerate().filter(|&(class, _)| class != label as usize);
            let most = others
                .fold((0, f32::NEG_INFINITY), |best, (class, &p)| if p > best.1 { (class, p) } else { best });
            Opinion {
                other: most.0 as u32,
                other_probability: most.1.exp(),
                probability: row[label as usize].exp(),
            }
        })
        .collect())
}

/// The features in fewer numbers: random directions keep distances nearly as they are (Johnson & Lindenstrauss).
fn projected(features: &mut Features) -> Result<Vec<f32>> {
    let (n, c) = (features.len(), features.width());
    let mut rng = Rng::new(&[SPLIT_SEED, u64::from_be_bytes(*b"project ")]);
    let size = 1.0 / (PROJECTED as f32).sqrt();
    let directions: Vec<f32> =
        (0..c * PROJECTED).map(|_| if rng.next_u64() >> 63 == 0 { size } else { -size }).collect();
    let packed = PackedWeights::new(&directions, &[0.0; PROJECTED], c, PROJECTED);
    let mut out = vec![0.0; n * PROJECTED];
    let mut rows = Vec::new();
    for (i, out) in out.chunks_mut(BLOCK * PROJECTED).enumerate() {
        let height = out.len() / PROJECTED;
        features.read(i * BLOCK, height, &mut rows)?;
        threads::pool().install(|| pointwise(&rows, height, &packed, Activation::Linear, None, out));
    }
    Ok(out)
}
