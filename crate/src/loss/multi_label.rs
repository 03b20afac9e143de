//! The loss of photographs with several labels: the mean over the classes of the binary cross-entropy.

use super::actual::Actual;
use super::cross_entropy::binary_cross_entropy;
use crate::{Error, Result};

/// One for each class, by image.
fn rows<'a>(
    logits: &'a [f32],
    actual: Actual<'a>,
    units: usize,
) -> impl Iterator<Item = (&'a [f32], Vec<f32>)> {
    logits
        .chunks_exact(units)
        .zip(actual.labels)
        .map(move |(row, &label)| (row, actual.sets.map(|sets| sets.multi_hot(&[label])).unwrap_or_default()))
}

/// The summed loss of a batch, `units` logits for each image.
pub(super) fn sum(logits: &[f32], actual: Actual<'_>, units: usize) -> f64 {
    rows(logits, actual, units)
        .map(|(row, hot)| {
            let pairs = row.iter().zip(&hot);
            pairs.map(|(&x, &z)| binary_cross_entropy(f64::from(x), f64::from(z))).sum::<f64>() / units as f64
        })
        .sum()
}

/// How many images have exactly the labels whose logits are above 0.
pub(super) fn correct(logits: &[f32], actual: Actual<'_>, units: usize) -> usize {
    rows(logits, actual, units)
        .filter(|(row, hot)| {
            row.len() == hot.len() && row.iter().zip(hot).all(|(&x, &z)| (x > 0.0) == (z > 0.5))
        })
        .count()
}

/// Refuses labels that are no sets of `units` classes.
pub(super) fn check(actual: Actual<'_>, units: usize) -> Result<()> {
    match actual.sets {
        Some(sets) if sets.classes() == units => Ok(()),
        Some(sets) => Err(Error::Data(format!(
            "A model of {units} labels expected a data set of as many. Received one of {}.",
            sets.classes()
        ))),
        None => Err(Error::Data(
            "A model of several labels a photograph expected a data set whose photographs may have several. Received \
             one label for each. Make it of a table: `LabelTable::read(…)?.multi_label(true)?`."
                .into(),
        )),
    }
}

/// The error of a model that has one label a photograph.
pub(super) fn one_label_each() -> Error {
    Error::Data(
        "A model of one label a photograph expected a data set with one for each. Received one whose photographs may \
         have several. Train a model on it: `Model::imagenet(&dataset)?`, or compile with \
         Loss::MultiLabelBinaryCrossentropy and one output for each class."
            .into(),
    )
}
