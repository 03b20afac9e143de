//! What a download is: an address, the file that grows, patience. `http.rs` runs it.

use super::files::sweep;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to fetch into which file, and how patiently.
// Without the feature `download` most of it is only asked for.
#[cfg_attr(not(feature = "download"), allow(dead_code))]
pub(super) struct Download<'a> {
    pub url: &'a str,
    /// What the lines of progress call it.
    pub name: &'a str,
    /// The file that grows.
    pub partial: &'a Path,
    pub retries: u32,
    pub pause: Duration,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
    pub max_bytes: u64,
    /// The size that the file must have, where it is known beforehand.
    pub size: Option<u64>,
}

impl Download<'_> {
    /// Fetches nothing: the error says what to do.
    #[cfg(not(feature = "download"))]
    pub fn run(&self) -> crate::Result<bool> {
        Err(crate::Error::Download(format!(
            "cannot download {}: this program was built without the feature `download` of the crate `transfer`",
            self.url
        )))
    }

    /// Removes what a killed process left of writing the note. Only for who holds the file's lock.
    pub fn sweep(&self) {
        sweep(&self.note());
    }

    /// Removes the partial file and its note.
    pub fn discard(&self) {
        let _ = std::fs::remove_file(self.partial);
        let _ = std::fs::remove_file(self.note());
    }

    /// The note beside the partial file about its version.
    pub(super) fn note(&self) -> PathBuf {
        self.partial.with_extension("partial-note")
    }
}
