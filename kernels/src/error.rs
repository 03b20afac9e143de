//! What the fallible functions of this crate return.

/// Result of a fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was expected, what was received, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Weights or slices do not have the sizes that a network asks for.
    Shape(String),
    /// The processor lacks what was asked for, or an environment variable holds a value that makes no sense.
    Unsupported(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Shape(text) | Error::Unsupported(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
