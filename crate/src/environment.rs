//! Environment variables of this project. A value that makes no sense is an error that names the variable, never a
//! silent default.

use crate::{Error, Result, Show};
use std::path::PathBuf;

/// The value of `name`, read by `parse`; `None` where the variable is not set or empty. Spaces around the value are
/// ignored.
///
/// # Errors
/// [`Error::Invalid`] where the value is not UTF-8 or `parse` refuses it; `expected` completes "expected …".
pub(crate) fn read<T>(
    name: &'static str,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>> {
    let Some(value) = std::env::var_os(name) else { return Ok(None) };
    let refused = || {
        let shown = value.shown();
        Error::Invalid(format!(
            "the environment variable {name} expected {expected}. Received: {shown}. Change it, or unset it."
        ))
    };
    let text = value.to_str().ok_or_else(refused)?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    parse(text).map(Some).ok_or_else(refused)
}

/// How many threads `TRANSFER_THREADS` asks for; `None` where it is not set or empty.
///
/// # Errors
/// [`Error::Invalid`] where it is no number from 1 to 1024.
pub(crate) fn threads() -> Result<Option<usize>> {
    const MOST: usize = crate::threads::MOST;
    let number = |value: &str| value.parse().ok().filter(|n| (1..=MOST).contains(n));
    read("TRANSFER_THREADS", "a number of threads from 1 to 1024", number)
}

/// The path in `name`; `None` where the variable is not set or empty.
pub(crate) fn path(name: &'static str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
