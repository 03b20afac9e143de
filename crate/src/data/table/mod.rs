//! Labels from a table in place of class folders.
//!
//! | file | what it holds |
//! |---|---|
//! | `read.rs` | the table: what it may be as a whole |
//! | `reading.rs` | its lines, one after the other |
//! | `header.rs` | which column is which |
//! | `files.rs` | where its photographs lie |
//! | `open.rs` | data sets of them |
//! | `sets.rs` | all of them, to look at |
//! | `rewrite.rs` | the table with changed lines |

mod files;
mod header;
mod open;
mod read;
mod reading;
mod rewrite;
mod sets;
#[cfg(test)]
mod tests;

pub use open::{image_dataset_from_table, photographs_from_table, photographs_of_table};
pub use read::LabelTable;
pub(crate) use reading::Lines;
pub(crate) use rewrite::LineChange;
pub(crate) use sets::whole_sets_of_table;
