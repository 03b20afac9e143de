//! Distances between the features of all photographs.
//!
//! Features are scaled to length 1, so that a distance is `√(2 − 2·cos)` (as in Sun et al. 2022,
//! <https://arxiv.org/abs/2204.06507>).
//!
//! | file | what it holds |
//! |---|---|
//! | `exact.rs` | all pairs, for some thousand photographs: the time grows with the square of their number |
//! | `cells.rs`, `probing.rs` | for more: photographs are divided into cells, and each is compared with those of the cells nearest to it (an inverted file, as in Jégou et al. 2011, <https://doi.org/10.1109/TPAMI.2010.57>). The time grows with the power 1.5 of their number |
//! | `rows.rs`, `nearest.rs` | rows by number, scaled to length 1; the nearest so far |

mod cells;
mod exact;
mod nearest;
mod probing;
mod rows;

pub(super) use exact::{neighbours, Neighbours};
pub(super) use probing::{probe, Probing};
pub(super) use rows::{Rows, UnitFeatures};
