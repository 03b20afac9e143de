//! The files of a listing by what they are: images, bad images, and others.

use super::bad_images::Skipped;
use super::kind::{look, look_at_odd, Look, PassedOver};
use super::listing::Listing;
use crate::Result;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// The files of a listing by what they are.
#[derive(Default)]
pub(super) struct Sorted {
    /// Images, with their labels, in the order of the listing.
    pub files: Vec<(PathBuf, u32)>,
    pub skipped: Vec<Skipped>,
    pub passed_over: PassedOver,
}

/// Looks at the head of each file.
pub(super) fn sort(listing: &Listing, dir: &Path) -> Result<Sorted> {
    let looks: Vec<Result<Look>> =
        crate::threads::pool().install(|| listing.files.par_iter().map(|(path, _)| look(path)).collect());
    // The first error by name, not by time.
    let looks = looks.into_iter().collect::<Result<Vec<_>>>()?;
    let mut sorted = Sorted::default();
    let odd = listing.odd.iter().map(|(path, label, reason)| (path, *label, look_at_odd(path, reason)));
    let regular = listing.files.iter().zip(looks).map(|((path, label), look)| (path, *label, look));
    for (path, label, look) in regular.chain(odd) {
        match look {
            Look::Image => sorted.files.push((path.clone(), label)),
            Look::Bad(reason) => sorted.skipped.push(Skipped { path: path.clone(), reason }),
            Look::Other => sorted.passed_over.add(path.strip_prefix(dir).unwrap_or(path).to_owned()),
        }
    }
    Ok(sorted)
}
