//! Augmented views of training images, computed once and used again: for those who want speed over
//! fresh augmentation.
//!
//! With `k` views epoch `e` sees view `e % k` of each image: what epoch `e % k` of an ordinary training
//! would have seen. What the frozen part makes of a view is kept, so from epoch `k` on only the part
//! that trains is computed.

use std::collections::HashMap;

use crate::data::{Dataset, ImageKey, ImageMap, Stored};
use crate::model::feature_cache::Room;
use crate::random::Rng;
use crate::team::{self, bytes_of, numbers_of, Team};
use crate::{Error, Result};

/// What [`FitOptions::cache_augmented_views`](crate::train::FitOptions::cache_augmented_views) may have.
const LIMIT_BYTES: usize = 1 << 30;

/// Keys the random numbers of [`Views::of_both_sides`].
const SIDES: u64 = 0x51DE5;

/// Outputs of the frozen part for the views of a data set's images, while one `fit` lasts.
pub(crate) struct Views {
    count: usize,
    /// Numbers of one image.
    per_image: usize,
    kept: Vec<View>,
    /// What it depends on which view of an image comes first; `None` where it is the same for all.
    turns: Option<u64>,
    /// Their part of the model's budget, given back with them.
    _room: Option<Room>,
}

#[derive(Default)]
struct View {
    /// By the image's index.
    outputs: HashMap<usize, Box<[f32]>>,
    complete: bool,
}

impl Views {
    /// Room for `count` views of each image of `dataset`, whose outputs are `per_image` numbers.
    ///
    /// # Errors
    /// Where `count` is 0, or they would need more than 1 GiB.
    pub fn new(count: usize, per_image: usize, dataset: &Dataset) -> Result<Self> {
        if count == 0 {
            return Err(Error::Invalid(
                "cache_augmented_views expected at least 1 view. Received: 0. Leave the option out for fresh \
                 augmentation in each epoch."
                    .to_owned(),
            ));
        }
        let bytes = dataset.len().saturating_mul(per_image * 4).saturating_mul(count);
        if bytes > LIMIT_BYTES {
            return Err(Error::Invalid(format!(
                "cache_augmented_views({count}) of {} images needs {} MiB here, more than the {} MiB that it may \
                 have. Ask for fewer views, or leave the option out.",
                dataset.len(),
                bytes >> 20,
                LIMIT_BYTES >> 20
            )));
        }
        Ok(Self::empty(count, per_image))
    }

    /// Two views that the caller computes, an image and its mirror image, in `room` that it has found. They take
    /// turns from epoch to epoch; by `seed` half of the images begin with the one, half with the other.
    pub fn of_both_sides(seed: u64, per_image: usize, room: Room) -> Self {
        Views { turns: Some(seed), _room: Some(room), ..Self::empty(2, per_image) }
    }

    fn empty(count: usize, per_image: usize) -> Self {
        let kept = (0..count).map(|_| View::default()).collect();
        Views { count, per_image, kept, turns: None, _room: None }
    }

    /// Whether an image and its mirror image are what takes turns.
    pub fn are_both_sides(&self) -> bool {
        self.turns.is_some()
    }

    /// The view that epoch `epoch` sees, where it is the same for all images.
    pub fn of(&self, epoch: usize) -> usize {
        epoch % self.count
    }

    fn of_image(&self, epoch: usize, index: usize) -> usize {
        let turn = self.turns.map_or(0, |seed| Rng::new(&[seed, SIDES, index as u64]).below(self.count));
        (epoch + turn) % self.count
    }

    /// Keeps the outputs of a batch of images.
    pub fn keep(&mut self, view: usize, indices: &[usize], outputs: &[f32]) {
        for (&index, output) in indices.iter().zip(outputs.chunks_exact(self.per_image)) {
            self.kept[view].outputs.insert(index, output.into());
        }
    }

    /// Says that a whole epoch has been kept: by this process, or by a team, each of which gets what the others have.
    ///
    /// # Errors
    /// Where a member of the team is gone, or sent something else.
    pub fn complete(&mut self, view: usize, team: Option<&dyn Team>) -> Result<()> {
        if let Some(team) = team.filter(|team| team.size() > 1) {
            let mut own = Vec::new();
            for (index, output) in &self.kept[view].outputs {
                own.extend((*index as u64).to_le_bytes());
                own.extend(bytes_of(output));
            }
            let wrong = || Error::Team("A member of the team sent outputs of another network.".into());
            for theirs in team::gathered(team, &own)? {
                let each = theirs.chunks_exact(8 + 4 * self.per_image);
                if !each.remainder().is_empty() {
                    return Err(wrong());
                }
                for one in each {
                    let (index, output) = one.split_first_chunk::<8>().ok_or_else(wrong)?;
                    let output = numbers_of(output)?.into_boxed_slice();
                    self.kept[view].outputs.insert(u64::from_le_bytes(*index) as usize, output);
                }
            }
        }
        self.kept[view].complete = true;
        Ok(())
    }

    /// Whether all that epoch `epoch` sees has been kept.
    pub fn are_complete(&self, epoch: usize) -> bool {
        match self.turns {
            Some(_) => self.kept.iter().all(|view| view.complete),
            None => self.kept[self.of(epoch)].complete,
        }
    }

    /// Those of `indices` that are readable images, and the outputs that epoch `epoch` sees of them.
    pub fn outputs(&self, epoch: usize, indices: &[usize]) -> (Vec<usize>, Vec<f32>) {
        let (mut found, mut outputs) = (Vec::with_capacity(indices.len()), Vec::new());
        for index in indices {
            if let Some(output) = self.kept[self.of_image(epoch, *index)].outputs.get(index) {
                found.push(*index);
                outputs.extend_from_slice(output);
            }
        }
        (found, outputs)
    }
}

/// Augmentation and rescaling as in epoch `view`, whichever epoch it is.
pub(crate) struct OneView<M> {
    pub map: M,
    pub view: usize,
}

impl<M: ImageMap> ImageMap for OneView<M> {
    fn apply(&self, image: &mut [f32], size: (usize, usize, usize), key: ImageKey, scratch: &mut Vec<f32>) {
        self.map.apply(image, size, ImageKey { epoch: self.view as u64, ..key }, scratch);
    }

    fn apply_stored(
        &self,
        stored: &Stored<'_>,
        image: &mut [f32],
        size: (usize, usize, usize),
        key: ImageKey,
        scratch: &mut Vec<f32>,
    ) {
        self.map.apply_stored(stored, image, size, ImageKey { epoch: self.view as u64, ..key }, scratch);
    }
}
