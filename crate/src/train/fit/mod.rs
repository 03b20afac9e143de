//! `Model::fit`: the loop over epochs and batches, where batches come from, and one step.
//!
//! | file | what it holds |
//! |---|---|
//! | `training.rs` | the loop |
//! | `options.rs`, `recipe.rs` | what is asked for; how steps are taken: rates, targets, mixing |
//! | `pipeline.rs`, `features.rs`, `views.rs` | augment and rescale an image; outputs of the frozen part; views kept of each image |
//! | `sources.rs`, `cached.rs`, `on_card.rs` | where batches come from; images that are decoded already; images that are on the GPU |
//! | `in_parts.rs`, `sums.rs`, `told.rs` | a step over micro-batches, by one process or a team; sums of their gradients, and of what else is known |
//! | `shared.rs` | passes over a data set that a team shares |
//! | `one_batch.rs`, `step.rs`, `step_on_card.rs` | a step of a model; on any device; on a GPU, recorded and run again |
//! | `run.rs` | where a run stands between two steps |
//! | `at_once.rs` | how many images are computed at a time |

mod at_once;
mod cached;
pub(crate) mod features;
mod in_parts;
mod on_card;
mod one_batch;
pub(crate) mod options;
pub(crate) mod pipeline;
pub(crate) mod recipe;
pub(crate) mod run;
pub(in crate::train) mod shared;
mod sources;
pub(crate) mod step;
#[cfg(feature = "cuda")]
mod step_on_card;
mod sums;
mod told;
mod training;
pub(crate) mod views;
