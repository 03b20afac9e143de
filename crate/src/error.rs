//! The one error type of the crate.
//!
//! Every message says what was expected, what was received, where, and what to do next, so the
//! text alone is enough to go on. `Debug` prints the same text as `Display`, because that is what
//! a notebook shows for a failed `?`.

use crate::show::{shown_lines, Show};
use std::path::{Path, PathBuf};

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something that went wrong, in words that say what to do about it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read, written, renamed, …
    #[error("{action} {}: {source}", path.shown())]
    Io {
        /// What was tried, as in `cannot read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A download failed: no network, a server error, a wrong length, …
    #[error("{}", shown_lines(.0))]
    Download(String),
    /// A file is not the one that was expected: its hash or size differs.
    #[error("{}", shown_lines(.0))]
    Checksum(String),
    /// An archive is damaged or holds names that must not be extracted.
    #[error("{}", shown_lines(.0))]
    Archive(String),
    /// A data set's folder, options or images are unusable.
    #[error("{}", shown_lines(.0))]
    Data(String),
    /// A weight file is damaged, lies about its contents, or does not fit the model.
    #[error("{}", shown_lines(.0))]
    Weights(String),
    /// A tensor or array has the wrong shape.
    #[error("{}", shown_lines(.0))]
    Shape(String),
    /// An argument is out of range, or calls come in the wrong order.
    #[error("{}", shown_lines(.0))]
    Invalid(String),
    /// Training cannot go on, for example because the loss is not finite.
    #[error("{}", shown_lines(.0))]
    Training(String),
    /// Somebody asked for it to end early, with [`request_stop`](crate::progress::request_stop).
    #[error("{}", shown_lines(.0))]
    Interrupted(String),
    /// The device (memory, driver) failed.
    #[error("{}", shown_lines(.0))]
    Device(String),
    /// A member of a team of processes is gone, or sent what was not expected.
    #[error("{}", shown_lines(.0))]
    Team(String),
    /// A figure could not be drawn.
    #[error("{}", shown_lines(.0))]
    Plot(String),
}

impl Error {
    /// An [`Error::Io`]; `action` reads like `cannot read`.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::Io { action, path: path.as_ref().to_owned(), source }
    }
}

impl From<transfer_kernels::Error> for Error {
    fn from(e: transfer_kernels::Error) -> Self {
        match e {
            transfer_kernels::Error::Shape(text) => Error::Shape(text),
            e => Error::Invalid(e.to_string()),
        }
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
