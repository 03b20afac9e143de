//! How far a model can be trusted: what is kept of it in the model.
//!
//! | file | what it holds |
//! |---|---|
//! | `interval.rs` | the 95 % interval of an accuracy |
//! | `cross_validation.rs` | what k-fold cross-validation found |
//! | `temperature.rs` | the temperature that makes probabilities mean what they say |
//! | `novelty.rs`, `nearest.rs` | which photographs are none of the classes; distances from those of the training |
//! | `unknown.rs` | why a photograph is none of them, in words |
//! | `of_model.rs` | a model's methods about them |

mod cross_validation;
mod interval;
mod nearest;
mod novelty;
#[cfg(test)]
mod novelty_tests;
mod of_model;
mod temperature;
mod unknown;

use std::sync::Arc;

pub use cross_validation::CrossValidation;
pub(crate) use interval::behind;
pub use interval::{wilson_interval, Interval};
pub(crate) use nearest::{scaled, Nearest, MOST_COMPONENTS};
pub use novelty::Novelty;
pub(crate) use novelty::{Looks, Score, Typicality, MOST_HELD_OUT, MOST_KEPT};
pub use temperature::{temperature_scaling, Calibration};
pub use unknown::Unknown;

/// What was found out about a model after it was trained; nothing of a model that is trained anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    pub cross_validation: Option<CrossValidation>,
    pub calibration: Option<Calibration>,
    pub novelty: Option<Arc<Novelty>>,
}
