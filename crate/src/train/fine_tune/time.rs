//! How many epochs of fine-tuning fit into a time.

use std::time::{Duration, Instant};

use super::plan::Plan;
use crate::data::Dataset;
use crate::model::Model;
use crate::train::fit::views::Views;
use crate::Result;

/// A step takes about as long as so many forward passes of the layers that train: one forward, two backward, and the
/// optimizer.
const PASSES: f64 = 3.5;
/// Images of the batch that is timed.
const BATCH: usize = 32;
/// The part of the time that is planned with; the rest is for validation and for what the held-out photographs say.
const PLANNED: f64 = 0.8;

/// The number of epochs, at most that of the plan, that fit into `limit` when `spent` of it is over.
///
/// # Errors
/// Where the device fails.
pub(super) fn epochs(
    model: &Model,
    dataset: &Dataset,
    plan: Plan,
    views: Option<&Views>,
    limit: Duration,
    spent: Duration,
) -> Result<usize> {
    let n = dataset.len() as f64;
    let (_, per_image) = model.frozen_part();
    let batch = vec![0.5; BATCH * per_image];
    // The first pass makes room in memory.
    model.logits(&batch, BATCH)?;
    let start = Instant::now();
    model.logits(&batch, BATCH)?;
    let training = PASSES * start.elapsed().as_secs_f64() / BATCH as f64 * n;
    // What lies below is computed anew in each epoch where it is not kept. The head took at least one such pass.
    let below = if views.is_some() { 0.0 } else { spent.as_secs_f64() };
    let left = PLANNED * limit.saturating_sub(spent).as_secs_f64();
    Ok(fitting(left, plan.passes() * (training + below)).min(plan.epochs))
}

/// How many epochs of so many seconds there is time for.
fn fitting(left: f64, epoch: f64) -> usize {
    // Not a number and negative ones become 0.
    (left / epoch.max(1e-9)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_epochs_fit() {
        assert_eq!(fitting(10.0, 3.0), 3);
        assert_eq!(fitting(2.9, 3.0), 0);
        assert_eq!(fitting(0.0, 0.0), 0);
        assert_eq!(fitting(f64::NAN, 1.0), 0);
    }
}
