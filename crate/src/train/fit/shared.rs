//! Passes over a data set of which each member of a team computes a part, and all get everything.

use crate::data::Dataset;
use crate::model::Model;
use crate::team::{self, bytes_of, numbers_of, Team};
use crate::{Error, Result};

/// What is done with logits (or outputs of the frozen part), labels and indices of each batch. With mirror
/// images there are twice as many outputs as labels: first those of the images, then those of their mirror
/// images.
pub(crate) type Visit<'a> = dyn FnMut(&[f32], &[u32], &[usize]) -> Result<()> + 'a;

impl Model {
    /// The team, where there are others in it.
    pub(in crate::train) fn several(&self) -> Option<&dyn Team> {
        self.team.as_deref().filter(|team| team.size() > 1)
    }

    /// Whether this process writes files and speaks.
    pub(in crate::train) fn is_first(&self) -> bool {
        self.team.as_ref().is_none_or(|team| team.rank() == 0)
    }
}

/// The batches of epoch 0 that are this member's: as many as the others', one after the other.
pub(in crate::train) fn own_batches(team: &dyn Team, dataset: &Dataset) -> Dataset {
    let (order, size) = (dataset.order(0), dataset.batch_size().max(1));
    let batches = team::share(team, order.len().div_ceil(size));
    let last = (batches.end * size).min(order.len());
    dataset.with_order(order[(batches.start * size).min(last)..last].to_vec())
}

/// Calls `visit` with logits, labels and indices of each batch, in the order in which one process would.
pub(super) fn each_batch(
    model: &Model,
    team: &dyn Team,
    dataset: &Dataset,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let own = own_batches(team, dataset);
    let mut packed = Vec::new();
    if !own.is_empty() {
        model.each_batch_here(&own, &mut |logits, _, indices| {
            pack(&mut packed, indices, logits);
            Ok(())
        })?;
    }
    for theirs in team::gathered(team, &packed)? {
        let mut rest = &theirs[..];
        while !rest.is_empty() {
            let (indices, logits) = unpack(&mut rest, model.units())?;
            let labels: Option<Vec<u32>> =
                indices.iter().map(|&i| dataset.labels().get(i).copied()).collect();
            visit(&logits, &labels.ok_or_else(other)?, &indices)?;
        }
    }
    dataset.tell_team(team)
}

fn other() -> Error {
    Error::Team("A member of the team sent results of another data set or another model.".into())
}

/// Appends images and the numbers that belong to them.
pub(in crate::train) fn pack(to: &mut Vec<u8>, indices: &[usize], numbers: &[f32]) {
    to.extend((indices.len() as u64).to_le_bytes());
    indices.iter().for_each(|&index| to.extend((index as u64).to_le_bytes()));
    to.extend(bytes_of(numbers));
}

/// Takes what [`pack`] appended, with `width` numbers for each image, from the front.
pub(in crate::train) fn unpack(from: &mut &[u8], width: usize) -> Result<(Vec<usize>, Vec<f32>)> {
    let (n, rest) = from.split_first_chunk::<8>().ok_or_else(other)?;
    let n = usize::try_from(u64::from_le_bytes(*n)).map_err(|_| other())?;
    let bytes = n.checked_mul(8).ok_or_else(other)?;
    let (indices, rest) = rest.split_at_checked(bytes).ok_or_else(other)?;
    let bytes = n.checked_mul(4 * width).ok_or_else(other)?;
    let (numbers, rest) = rest.split_at_checked(bytes).ok_or_else(other)?;
    *from = rest;
    let indices = indices.as_chunks::<8>().0.iter().map(|i| u64::from_le_bytes(*i) as usize).collect();
    Ok((indices, numbers_of(numbers)?))
}
