//! `Model::fine_tune`: the recipe in one call.
//!
//! | file | what it holds |
//! |---|---|
//! | `options.rs` | what a user asks for |
//! | `plan.rs` | epochs, learning rate and held-out photographs by the size of the data set |
//! | `classifier.rs` | the model that it starts from |
//! | `recipe.rs` | the order of the steps |
//! | `collected.rs` | the features that the head is solved for |
//! | `softmax_regression.rs`, `multi_label_regression.rs` | the head, exactly |
//! | `penalty.rs` | the head's penalty, by held-out photographs |
//! | `held_out.rs` | which photographs are held out of which run |
//! | `runs.rs` | fine-tuning without the held-out photographs, and what it makes of them |
//! | `time.rs` | how many epochs fit into a time |
//! | `evidence.rs` | which of several candidates the held-out losses prefer clearly |

mod classifier;
pub(in crate::train) mod collected;
mod evidence;
mod held_out;
mod multi_label_regression;
mod options;
mod penalty;
mod plan;
pub(in crate::train) use plan::USUAL_L2;
mod recipe;
mod runs;
pub(in crate::train) mod softmax_regression;
mod time;

pub use options::FineTuneOptions;
