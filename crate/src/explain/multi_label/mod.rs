//! How good predictions of several labels a photograph are: scikit-learn's definitions.

mod of_predictions;
mod report;
mod scores;

pub use report::{multi_label_report, LabelScores, MultiLabelReport};
pub use scores::{average_precision_score, best_threshold};
