//! Which photographs of the training are kept, with features and thumbnails.

use ndarray::ArrayView4;

use super::{Kept, Neighbours};
use crate::data::Dataset;
use crate::explain::html::thumbnail;
use crate::model::{Model, MOST_KEPT};
use crate::progress::check_stop;
use crate::random::Rng;
use crate::train::at_most;
use crate::{threads, Error, Result, Show};

/// Purpose that random numbers are drawn for.
const NEIGHBOURS: u64 = u64::from_be_bytes(*b"neighbou");
/// What all features that are kept may take, in bytes.
pub(super) const FEATURE_BYTES: usize = 16 << 20;

/// A photograph by its position in the data set's files, with its direction.
type Seen = (usize, Vec<i16>, Vec<u8>);

impl Model {
    /// Keeps photographs that the model was trained on, with what its dense layer sees of each, as it is and not
    /// mirrored, and a thumbnail. Of more than [`Neighbours::MOST`] a part is kept, always the same one, in which classes
    /// with few photographs keep more of theirs. What was computed for [`fit_novelty`](Self::fit_novelty) and is still
    /// in memory is not computed again.
    ///
    /// # Errors
    /// Where the data set does not fit the model or cannot be read; [`Error::Weights`] where a feature is not finite;
    /// [`Error::Data`] where no photograph can be decoded.
    pub fn neighbours(&self, training: &Dataset) -> Result<Neighbours> {
        self.check_dataset(training)?;
        let width = self.base_model().output_shape().2;
        let mut seen: Vec<Seen> = Vec::new();
        for part in chosen(training, most(width))? {
            self.see(&part, &mut seen)?;
        }
        if seen.is_empty() {
            return Err(Error::Data(
                "neighbours expected photographs of the training. Received none that can be decoded.".into(),
            ));
        }
        seen.sort_by_key(|(index, ..)| *index);
        let mut directions = Vec::with_capacity(seen.len() * width);
        let mut photographs = Vec::with_capacity(seen.len());
        for (index, direction, thumbnail) in seen {
            directions.extend(direction);
            let path = training.file_path(index).unwrap_or_default();
            let file = path.file_name().unwrap_or_default().shown().to_string();
            photographs.push(Kept { file, labels: training.classes_of(index).to_vec(), thumbnail });
        }
        Ok(Neighbours {
            model: self.digest()?,
            class_names: training.class_names().to_vec(),
            several_labels: training.label_sets().is_some(),
            training: training.len(),
            photographs,
            width,
            directions,
        })
    }

    /// Looks at all photographs of a data set.
    fn see(&self, part: &Dataset, seen: &mut Vec<Seen>) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        let mut keep = |pooled: &[f32], images: ArrayView4<'_, f32>, indices: &[usize]| -> Result<()> {
            check_stop("Keeping photographs of the training")?;
            let thumbnails = threads::map(images.outer_iter().collect(), thumbnail);
            let rows = pooled.chunks_exact(pooled.len() / indices.len().max(1));
            for ((&index, row), thumbnail) in indices.iter().zip(rows).zip(thumbnails) {
                seen.push((index, direction(row)?, thumbnail?));
            }
            Ok(())
        };
        // Photographs that no cache keeps are decoded once for both.
        if part.cache_bytes() == 0 {
            for batch in part.batches(0)? {
                let batch = batch?;
                let pooled = self.pooled_of(&batch.images)?;
                keep(&pooled, batch.images.view(), &batch.indices)?;
            }
            return part.check_left_out();
        }
        self.each_frozen_batch(part, false, &mut |frozen, _, indices| {
            let pooled = self.pooled(frozen, indices.len())?;
            keep(&pooled, part.images(indices)?.view(), indices)
        })
    }
}

/// How many photographs of so many features are kept.
fn most(width: usize) -> usize {
    (FEATURE_BYTES / (size_of::<i16>() * width.max(1))).clamp(1, Neighbours::MOST)
}

/// The photographs to keep, at most so many: those that `fit_novelty` looks at, and then of the classes that have the
/// fewest of them.
fn chosen(training: &Dataset, most: usize) -> Result<Vec<Dataset>> {
    if training.label_sets().is_some() || most <= MOST_KEPT {
        return Ok(vec![at_most(training, most)?]);
    }
    let first = at_most(training, MOST_KEPT)?;
    let taken: std::collections::HashSet<usize> = first.indices().into_iter().collect();
    let mut left: Vec<Vec<usize>> = vec![Vec::new(); training.class_names().len()];
    let mut rest: Vec<usize> = training.indices().into_iter().filter(|i| !taken.contains(i)).collect();
    rest.sort_unstable();
    rest.into_iter().for_each(|i| left[training.labels()[i] as usize].push(i));
    for (label, left) in left.iter_mut().enumerate() {
        Rng::new(&[NEIGHBOURS, label as u64]).shuffle(left);
    }
    let more = fill_up(first.class_counts(), left, most - first.len());
    Ok(vec![first, training.with_order(more)])
}

/// Takes at most so many of what is left of each class, always of the class that has the fewest.
fn fill_up(mut counts: Vec<usize>, mut left: Vec<Vec<usize>>, most: usize) -> Vec<usize> {
    let mut more = Vec::new();
    while more.len() < most {
        let open = (0..counts.len()).filter(|&class| !left[class].is_empty());
        let Some(class) = open.min_by_key(|&class| counts[class]) else { break };
        more.extend(left[class].pop());
        counts[class] += 1;
    }
    more
}

/// Features as whole numbers, the largest of which is 32,767; zeros stay zeros.
fn direction(features: &[f32]) -> Result<Vec<i16>> {
    if let Some(value) = features.iter().find(|value| !value.is_finite()) {
        return Err(Error::Weights(format!(
            "neighbours expected finite features of the model. Received: {value}"
        )));
    }
    let largest = features.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 {
        return Ok(vec![0; features.len()]);
    }
    let scale = f64::from(i16::MAX) / f64::from(largest);
    Ok(features.iter().map(|&value| (f64::from(value) * scale).round() as i16).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_with_the_fewest_is_filled_up_first() {
        let left = vec![(0..50).collect(), vec![100, 101], (200..210).collect()];
        let more = fill_up(vec![40, 1, 5], left.clone(), 12);
        let of = |class: usize| more.iter().filter(|&&i| left[class].contains(&i)).count();
        // The second class has no more than two; the third then comes from 5 to 15.
        assert_eq!((more.len(), of(0), of(1), of(2)), (12, 0, 2, 10));
        let all = fill_up(vec![40, 1, 5], left.clone(), 1000);
        assert_eq!(all.len(), 62);
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), 62, "none twice");
        assert!(fill_up(vec![0], vec![vec![]], 3).is_empty());
    }

    #[test]
    fn features_keep_their_direction() {
        assert_eq!(direction(&[0.5, -0.25, 0.0]).unwrap(), [32767, -16384, 0]);
        assert_eq!(direction(&[0.0; 3]).unwrap(), [0; 3]);
        assert_eq!(direction(&[f32::MAX, f32::MIN]).unwrap(), [32767, -32767]);
        assert_eq!(direction(&[f32::MIN_POSITIVE / 4.0]).unwrap(), [32767]);
        assert!(direction(&[1.0, f32::NAN]).is_err() && direction(&[f32::INFINITY]).is_err());
    }

    #[test]
    fn wide_features_are_kept_of_fewer_photographs() {
        assert_eq!((most(1280), most(4096), most(8192), most(usize::MAX / 8)), (2000, 2000, 1024, 1));
    }
}
