//! k-fold cross-validation of the head on features that are computed once.
//!
//! | file | what it holds |
//! |---|---|
//! | `assignment.rs` | which image is in which fold: stratified, and groups stay whole |
//! | `out_of_fold.rs` | a head for each fold, and what it says of the images that it did not see |
//! | `cross_validation.rs` | `Model::cross_validate`: how good these heads are |

mod assignment;
mod cross_validation;
mod out_of_fold;

pub use assignment::fold_assignment;
pub(in crate::train) use assignment::MOST_FOLDS;
pub use cross_validation::CrossValidateOptions;
pub(in crate::train) use cross_validation::Folds;
use out_of_fold::FoldProblem;
pub use out_of_fold::{out_of_fold, OutOfFold};
