//! What photographs show: one label each, or a set of labels.

use crate::data::{Dataset, LabelSets};

/// The labels of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actual<'a> {
    /// One number for each image: its class, or its set of labels where there are sets.
    pub labels: &'a [u32],
    pub sets: Option<&'a LabelSets>,
}

impl<'a> Actual<'a> {
    /// Labels of images of `dataset`.
    pub fn of(dataset: &'a Dataset, labels: &'a [u32]) -> Self {
        Actual { labels, sets: dataset.label_sets() }
    }
}

impl<'a> From<&'a [u32]> for Actual<'a> {
    fn from(labels: &'a [u32]) -> Self {
        Actual { labels, sets: None }
    }
}

impl<'a> From<&'a Vec<u32>> for Actual<'a> {
    fn from(labels: &'a Vec<u32>) -> Self {
        labels.as_slice().into()
    }
}

impl<'a, const N: usize> From<&'a [u32; N]> for Actual<'a> {
    fn from(labels: &'a [u32; N]) -> Self {
        labels.as_slice().into()
    }
}
