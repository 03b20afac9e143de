//! Why a photograph is probably none of the classes.

use std::fmt;

/// Why a photograph is probably none of the classes.
///
/// Printed, it is a phrase such as `unlike the training photographs: further from them than all known ones`. Known ones
/// are photographs of the classes that were held out of the training.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Unknown {
    /// There is less evidence for any class than for nearly all known photographs.
    LittleEvidence {
        /// The part of known photographs with at most as much.
        share: f32,
    },
    /// Its features are further from those of the training photographs than those of nearly all known photographs, in
    /// distance or in direction.
    FarFromTraining {
        /// The part of known photographs that are as far.
        share: f32,
    },
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shares that are printed as 0.0 %.
        let none = |share: f32| share < 0.0005;
        match *self {
            Unknown::LittleEvidence { share } if none(share) => {
                f.write_str("no class stands out: less speaks for any than in all known photographs")
            }
            Unknown::LittleEvidence { share } => {
                let percent = 100.0 * share;
                write!(f, "no class stands out: only in {percent:.1} % of known photographs as little speaks for any")
            }
            Unknown::FarFromTraining { share } if none(share) => {
                f.write_str("unlike the training photographs: further from them than all known ones")
            }
            Unknown::FarFromTraining { share } => {
                let percent = 100.0 * share;
                write!(
                    f,
                    "unlike the training photographs: only {percent:.1} % of known ones are as far from them"
                )
            }
        }
    }
}
