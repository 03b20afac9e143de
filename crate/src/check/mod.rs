//! Checks of a folder of photographs before anything is trained on it: duplicates, wrong labels, outliers, unusual
//! classes, files that cannot be read.
//!
//! ```no_run
//! use transfer::prelude::*;
//! let report = check_photographs("my_photos", CheckOptions::default())?;
//! println!("{report}");
//! # Ok::<(), transfer::Error>(())
//! ```
//!
//! Each photograph is decoded once. A frozen MobileNetV2 computes features of it at 160x160 pixels, and all checks
//! work on these, on a fingerprint of 32 x 32 grey levels, and on the digest of the file. The same files give the same
//! report, with any number of threads.
//!
//! | file | what it holds |
//! |---|---|
//! | `options.rs`, `run.rs` | what is asked for; the whole check |
//! | `scan.rs`, `fingerprint.rs`, `features.rs` | the pass over all photographs, and what it keeps of each |
//! | `neighbours/` | distances between features: of all pairs, or by cells |
//! | `duplicates/` | photographs that show the same |
//! | `labels.rs` | photographs whose label is probably wrong |
//! | `outliers.rs`, `classes.rs`, `odd.rs` | far photographs; unusual classes; sizes and unusual pixels |
//! | `findings.rs`, `report.rs`, `text.rs`, `figure.rs` | the report: its types, as text, as figures |
//! | `fix.rs`, `table.rs`, `apply.rs`, `apply_table.rs` | the table of changes: what is proposed, how it is read, carrying it out |

mod apply;
mod apply_table;
mod classes;
mod duplicates;
mod features;
#[cfg(feature = "plot")]
mod figure;
mod findings;
mod fingerprint;
mod fix;
mod labels;
mod neighbours;
mod odd;
mod options;
mod outliers;
mod report;
mod run;
mod scan;
mod table;
mod text;

pub use apply::{apply_fixes, Applied, ApplyOptions};
pub use apply_table::apply_fixes_of_table;
pub use duplicates::DuplicateKind;
pub use findings::{
    CheckedFile, ClassFinding, DuplicateGroup, OddPhotograph, Oddity, Outlier, Sizes, SuspectedLabel,
};
pub use fix::{Action, Fix};
pub use options::CheckOptions;
pub use report::CheckReport;
pub use run::{check_photographs, check_photographs_of_table};
