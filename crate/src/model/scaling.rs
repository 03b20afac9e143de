//! How a saved model writes down what images are rescaled by.

use serde::{Deserialize, Serialize};

use crate::preprocess::Rescaling;

/// `x · scale + offset`: one number each, or one for each channel. Every f32 is an f64, and those come back from JSON
/// bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    pub scale: OneOrThree,
    pub offset: OneOrThree,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrThree {
    One(f64),
    Three([f64; 3]),
}

impl OneOrThree {
    fn each(self) -> [f32; 3] {
        match self {
            OneOrThree::One(value) => [value as f32; 3],
            OneOrThree::Three(values) => values.map(|value| value as f32),
        }
    }
}

impl Scaling {
    pub fn of(rescaling: Rescaling) -> Self {
        match rescaling.uniform() {
            Some((scale, offset)) => {
                Scaling { scale: OneOrThree::One(scale.into()), offset: OneOrThree::One(offset.into()) }
            }
            None => Scaling {
                scale: OneOrThree::Three(rescaling.scale.map(f64::from)),
                offset: OneOrThree::Three(rescaling.offset.map(f64::from)),
            },
        }
    }

    /// Whether all numbers are finite.
    pub fn is_finite(self) -> bool {
        [self.scale, self.offset].iter().all(|v| v.each().iter().all(|v| v.is_finite()))
    }

    /// The layer.
    pub fn rescaling(self) -> Rescaling {
        Rescaling::per_channel(self.scale.each(), self.offset.each())
    }
}
