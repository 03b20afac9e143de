//! Which photographs are held out of which run.

use crate::data::Dataset;
use crate::train::fine_tune::plan::Plan;
use crate::train::folds::fold_assignment;
use crate::{Result, SPLIT_SEED};

/// The fold of each photograph; run `r` does not see those of fold `r`.
pub(super) struct HeldOut {
    /// By the number of the file; nothing for files that the data set does not have.
    folds: Vec<Option<u32>>,
    /// Number of runs.
    pub runs: usize,
}

impl HeldOut {
    /// Divides the photographs of a data set: stratified by class, groups together, always the same way.
    ///
    /// # Errors
    /// As [`fold_assignment`]; [`Error::Data`](crate::Error::Data) where a class is too small to hold one out.
    pub fn new(dataset: &Dataset, plan: Plan, groups: Option<&[u32]>) -> Result<Self> {
        let mut images = dataset.indices();
        images.sort_unstable();
        let labels: Vec<u32> = images.iter().map(|&i| dataset.labels()[i]).collect();
        let groups: Option<Vec<u32>> = groups.map(|groups| images.iter().map(|&i| groups[i]).collect());
        let assignment = fold_assignment(&labels, groups.as_deref(), plan.folds, SPLIT_SEED)?;
        let mut folds = vec![None; dataset.labels().len()];
        let mut most = 0;
        for (&image, fold) in images.iter().zip(assignment) {
            folds[image] = Some(fold);
            most = most.max(fold as usize + 1);
        }
        Ok(HeldOut { folds, runs: plan.runs.min(most) })
    }

    /// Whether a photograph, by the number of its file, is held out of a run.
    pub fn is_out(&self, run: usize, image: usize) -> bool {
        self.folds[image] == Some(run as u32)
    }

    /// The photographs that a run sees, in their order.
    pub fn seen(&self, run: usize, dataset: &Dataset) -> Dataset {
        self.side(run, dataset, false)
    }

    /// Those that it does not see.
    pub fn unseen(&self, run: usize, dataset: &Dataset) -> Dataset {
        self.side(run, dataset, true)
    }

    fn side(&self, run: usize, dataset: &Dataset, out: bool) -> Dataset {
        dataset.with_order(dataset.indices().into_iter().filter(|&i| self.is_out(run, i) == out).collect())
    }
}
