//! How far a model can be trusted: what is kept of it in the model.
//!
//! | file | what it holds |
//! |---|---|
//! | `interval.rs` | the 95 % interval of an accuracy |
//! | `cross_validation.rs` | what k-fold cross-validation found |
//! | `temperature.rs` | the temperature that makes probabilities mean what they say |
//! | `novelty.rs` | which photographs are none of the classes |
//! | `of_model.rs` | a model's methods about them |

mod cross_validation;
mod interval;
mod novelty;
mod of_model;
mod temperature;

use std::sync::Arc;

pub use cross_validation::CrossValidation;
pub(crate) use interval::behind;
pub use interval::{wilson_interval, Interval};
pub(crate) use novelty::{evidence_of, scaled, MOST_COMPONENTS, MOST_HELD_OUT, MOST_KEPT};
pub use novelty::{Novelty, Unknown};
pub use temperature::{temperature_scaling, Calibration};

/// What was found out about a model after it was trained; nothing of a model that is trained anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    pub cross_validation: Option<CrossValidation>,
    pub calibration: Option<Calibration>,
    pub novelty: Option<Arc<Novelty>>,
}
