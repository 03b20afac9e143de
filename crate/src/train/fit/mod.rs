//! `Model::fit`: the loop over epochs and batches, where batches come from, and one step.
//!
//! | file | what it holds |
//! |---|---|
//! | `training.rs` | the loop |
//! | `options.rs`, `recipe.rs` | what is asked for; how steps are taken: rates, targets, mixing |
//! | `pipeline.rs`, `features.rs`, `views.rs` | augment and rescale an image; outputs of the frozen part; views kept of each image |
//! | `step.rs`, `on_card.rs` | a step on any device; epochs whose images are on the GPU |
//! | `run.rs` | where a run stands between two steps |
//! | `at_once.rs` | how many images are computed at a time |

mod at_once;
pub(crate) mod features;
mod on_card;
pub(crate) mod options;
pub(crate) mod pipeline;
pub(crate) mod recipe;
pub(crate) mod run;
pub(crate) mod step;
mod training;
pub(crate) mod views;
