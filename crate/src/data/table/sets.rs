//! The photographs of a table as sets, without a split of our own: to look at all of them.

use super::open::{check_groups, open, Opening};
use super::read::LabelTable;
use crate::data::layout::Part;
use crate::data::sets::WholeSet;
use crate::data::ImageDatasetOptions;
use crate::Result;
use std::path::Path;

/// All photographs of a table: with a column `split` a set for each part that has photographs, else one called `all`.
///
/// # Errors
/// As [`image_dataset_from_table`](super::image_dataset_from_table); [`Error::Data`](crate::Error::Data) where a group is
/// in several splits.
pub(crate) fn whole_sets_of_table(
    dir: &Path,
    table: &LabelTable,
    options: ImageDatasetOptions,
) -> Result<Vec<WholeSet>> {
    if table.has_split && table.has_group {
        check_groups(table)?;
    }
    let options = ImageDatasetOptions { validation_split: None, subset: None, shuffle: false, ..options };
    let Opening { all, parts, .. } = open(dir, table, options)?;
    if !table.has_split {
        return Ok(vec![WholeSet::new("all", dir.to_owned(), all)]);
    }
    let set = |part: Part| {
        let order: Vec<usize> = all.indices().into_iter().filter(|&i| parts[i] == Some(part)).collect();
        let data = || all.with_order(order.clone());
        (!order.is_empty()).then(|| WholeSet::new(part.usual(), dir.to_owned(), data()))
    };
    Ok([Part::Train, Part::Validation, Part::Test].into_iter().filter_map(set).collect())
}
