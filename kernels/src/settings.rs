//! The two environment variables that the kernels read.

use crate::{Error, Result};

/// The value of `name`, read by `parse`; `None` where the variable is not set or empty. Spaces around it are ignored.
///
/// # Errors
/// [`Error::Unsupported`] where `parse` refuses the value; `expected` completes "expected …".
pub(crate) fn read<T>(
    name: &str,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>> {
    let Some(value) = std::env::var_os(name) else { return Ok(None) };
    let text = value.to_string_lossy();
    if text.trim().is_empty() {
        return Ok(None);
    }
    parse(text.trim()).map(Some).ok_or_else(|| {
        let shown: String = text.chars().flat_map(shown).collect();
        Error::Unsupported(format!(
            "the environment variable {name} expected {expected}. Received: {shown}. Change it, or unset it."
        ))
    })
}

/// A character as it is printed: escaped where a terminal would act on it.
fn shown(c: char) -> Vec<char> {
    match c.is_control() {
        true => c.escape_default().collect(),
        false => vec![c],
    }
}
