//! How good predictions are, what went wrong, and what a model looks at.
//!
//! The largest losses ([`TopLosses`]), where in a photograph a model looks ([`GradCam`]) and what its dense layer sees
//! ([`PooledFeatures`]) come from methods of [`Model`](crate::model::Model). The other numbers are computed from plain slices of labels and probabilities, with scikit-learn's
//! definitions, names and treatment of ties and undefined cases; the tests compare with
//! scikit-learn itself. Not here: losses (see [`train`](mod@crate::train)) and drawing (see
//! [`plot`](crate::plot)).
//!
//! ```
//! use transfer::explain::{classification_report, confusion_matrix, roc_auc_score};
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

mod calibration;
mod confusion;
mod eigen;
mod grad_cam;
mod html;
mod multi_label;
mod neighbours;
mod pca;
mod pooled;
mod report;
mod roc;
mod roc_curves;
mod top_losses;

pub use calibration::{expected_calibration_error, reliability_diagram, ReliabilityDiagram};
pub use confusion::{confusion_matrix, ConfusionMatrix};
pub use grad_cam::GradCam;
pub use html::{HtmlReport, HtmlReportOptions};
pub use multi_label::{
    average_precision_score, best_threshold, multi_label_report, LabelScores, MultiLabelReport,
};
pub(crate) use neighbours::{encode_neighbours, parse_neighbours};
pub use neighbours::{Neighbour, Neighbours};
pub use pca::Pca;
pub use pooled::PooledFeatures;
pub use report::{classification_report, Average, ClassScores, ClassificationReport};
pub use roc::{auc, roc_auc_score, roc_curve, RocCurve};
pub use roc_curves::RocCurves;
pub use top_losses::TopLosses;
