//! How good predictions are, in numbers, and what features look like in two dimensions.
//!
//! Everything is computed from plain slices of labels and probabilities, with scikit-learn's
//! definitions, names and treatment of ties and undefined cases; the tests compare with
//! scikit-learn itself. Not here: losses (see [`train`](mod@crate::train)) and drawing (see
//! [`plot`](crate::plot)).
//!
//! ```
//! use transfer::metrics::{classification_report, confusion_matrix, roc_auc_score};
//!
//! let names = ["cats", "dogs"].map(String::from);
//! let (actual, predicted) = ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1]);
//! let matrix = confusion_matrix(&actual, &predicted, &names)?;
//! assert_eq!((matrix.counts[(0, 1)], matrix.errors()), (1, 1));
//! let report = classification_report(&actual, &predicted, &names)?;
//! assert_eq!(report.classes[0].recall, 2.0 / 3.0);
//! assert_eq!(roc_auc_score(&actual, &[0.1, 0.2, 0.7, 0.6, 0.9])?, 5.0 / 6.0);
//! # Ok::<(), transfer::Error>(())
//! ```

mod confusion;
mod eigen;
mod pca;
mod report;
mod roc;

pub use confusion::{confusion_matrix, ConfusionMatrix};
pub use pca::Pca;
pub use report::{classification_report, Average, ClassScores, ClassificationReport};
pub use roc::{auc, roc_auc_score, roc_curve, RocCurve};
