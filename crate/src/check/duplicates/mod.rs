//! Photographs that show the same: copies, and what was resized, compressed again, mirrored, slightly cropped or taken a
//! moment later.
//!
//! Copies have the same bytes. For the rest, pairs with similar features and similar coarse grey levels are candidates,
//! and each candidate is aligned and compared (`align.rs`).
//!
//! | file | what it holds |
//! |---|---|
//! | `candidates.rs` | pairs that may show the same: among all pairs of some thousand photographs, by cells of more |
//! | `search.rs` | which candidates show the same |
//! | `align.rs`, `levels.rs` | aligning two fingerprints; fingerprints as images of numbers |
//! | `group.rs`, `union.rs` | what a group is; pairs become groups |

mod align;
mod candidates;
mod group;
mod levels;
mod search;
mod union;

pub use group::DuplicateKind;
pub(super) use group::{is_most_of_a_class, Group};
pub(super) use levels::FLATTEST;
pub(super) use search::find;
