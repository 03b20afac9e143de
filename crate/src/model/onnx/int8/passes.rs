//! Passes over photographs, a few at a time.

use ndarray::{ArrayView4, Axis};

use crate::data::Dataset;
use crate::preprocess::Rescaling;
use crate::progress::{check_stop, observe, Event};
use crate::{Result, SPLIT_SEED};

/// Photographs that ranges come from; more change them little.
pub(super) const CALIBRATION: usize = 256;
/// Photographs that accuracy is measured on, of those that calibration leaves.
const MEASURED: usize = 2000;
/// Images that are computed at a time: all tensors of a unit are in memory.
pub(super) const AT_ONCE: usize = 8;

/// Cuts photographs in two: up to 256 to [quantise](crate::model::Model::quantize) with, the same part of each class and
/// at most half, and up to 2,000 of the others to [compare](crate::model::QuantizedModel::compare) on. Which ones depends
/// on the photographs alone.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) where no class has two photographs.
pub fn calibration_split(photographs: &Dataset) -> Result<(Dataset, Dataset)> {
    let part = (CALIBRATION as f32 / photographs.len().max(1) as f32).min(0.5);
    let (rest, calibration) = photographs.stratified_split(part, SPLIT_SEED)?;
    Ok((calibration, at_most(&rest, MEASURED)?))
}

/// The data set, or a part of it that is stratified where it has more images.
pub(super) fn at_most(dataset: &Dataset, images: usize) -> Result<Dataset> {
    match dataset.len() > images {
        true => Ok(dataset.stratified_split(images as f32 / dataset.len() as f32, SPLIT_SEED)?.1),
        false => Ok(dataset.clone()),
    }
}

/// Calls `visit` with a few images of `dataset` at a time, and the labels of these.
pub(super) fn each_part(
    dataset: &Dataset,
    (first, passes): (usize, usize),
    visit: &mut dyn FnMut(ArrayView4<'_, f32>, &[u32]) -> Result<()>,
) -> Result<()> {
    let mut done = first * dataset.len();
    for batch in dataset.batches(0)? {
        let batch = batch?;
        let labels = batch.labels.to_vec();
        for (images, labels) in batch.images.axis_chunks_iter(Axis(0), AT_ONCE).zip(labels.chunks(AT_ONCE)) {
            check_stop("The export")?;
            visit(images, labels)?;
            done += labels.len();
            observe(Event::Computed { done, total: passes * dataset.len() });
        }
    }
    Ok(())
}

/// Pixels as the base takes them.
pub(super) fn preprocessed(images: ArrayView4<'_, f32>, rescaling: Option<Rescaling>) -> Vec<f32> {
    let mut pixels: Vec<f32> = images.iter().copied().collect();
    if let Some(rescaling) = rescaling {
        rescaling.apply_slice(&mut pixels);
    }
    pixels
}
