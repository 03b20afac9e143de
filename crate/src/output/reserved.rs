//! A place that is kept for a file.

use super::partial::Partial;
use super::place::Place;

/// A partial file that waits for its content.
#[derive(Debug)]
pub(super) struct Reserved {
    pub partial: Partial,
    pub place: Place,
}
