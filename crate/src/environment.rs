//! Environment variables of this project. A value that makes no sense is an error that names the variable, never a
//! silent default.
//!
//! [`variables`] is the one list of them; `docs/environment.md` is held against it by a test. A program calls
//! [`check`] when it starts, and prints what [`unknown`] gives. Whoever uses the library without doing so gets the
//! same error where a [`Device`](crate::Device) is chosen, before any work is done.

mod device_name;
mod variables;

pub use device_name::DeviceName;
pub use variables::{markdown, variables, Variable};

use crate::{Error, Result, Show};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The most threads that `TRANSFER_THREADS` may ask for.
pub const MAX_THREADS: usize = transfer_kernels::threads::MAX_THREADS;
const PREFIX: &str = "TRANSFER_";

/// Checks the values of all variables that are set.
///
/// # Errors
/// [`Error::Invalid`] for the first variable whose value makes no sense: what was expected and what was received.
pub fn check() -> Result<()> {
    variables().iter().try_for_each(Variable::check)
}

/// One line for each variable that is called like those of this project and is none of them, as a misspelt name
/// is: with the known name that comes nearest. It has no effect, and is no error.
pub fn unknown() -> Vec<String> {
    SAID.store(true, Ordering::Relaxed);
    let names = std::env::vars_os().map(|(name, _)| name);
    let mut lines: Vec<String> = names.filter_map(|name| about_unknown(&name)).collect();
    lines.sort();
    lines
}

/// Whether somebody has asked for [`unknown`] already, in order to print it.
static SAID: AtomicBool = AtomicBool::new(false);

/// Says [`unknown`] once in this process.
pub(crate) fn say_unknown() {
    if !SAID.load(Ordering::Relaxed) {
        unknown().iter().for_each(crate::progress::say);
    }
}

fn about_unknown(name: &OsStr) -> Option<String> {
    let text = name.to_string_lossy();
    if !text.starts_with(PREFIX) || variables::is_known(&text) {
        return None;
    }
    let near = variables().iter().map(|v| v.name).min_by_key(|known| strsim::osa_distance(known, &text))?;
    Some(format!(
        "The environment variable {} is unknown and has no effect. The nearest known name is {near}.",
        name.shown()
    ))
}

/// The seed of everything random in a run (the head's first weights, shuffling, augmentation, dropout), from
/// `TRANSFER_SEED`; 1 where that is not set.
///
/// # Errors
/// [`Error::Invalid`] where the variable holds no whole number of 64 bits.
pub fn seed() -> Result<u64> {
    let expected = "a whole number from 0 to 18446744073709551615";
    Ok(read("TRANSFER_SEED", expected, |text| text.parse().ok())?.unwrap_or(1))
}

/// How many processes `mpirun` or `srun` started together with this one, by the variables that Open MPI, MPICH and Slurm
/// set; `None` where none did.
pub fn processes() -> Option<usize> {
    let names = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
    names.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// [`seed`], or 1 where that is an error: for constructors, which have no way to report one. Whatever uses what they
/// make calls [`seed`] again.
pub(crate) fn seed_or_default() -> u64 {
    seed().unwrap_or(1)
}

/// How many threads `TRANSFER_THREADS` asks for; `None` where it is not set.
///
/// # Errors
/// [`Error::Invalid`] where it is no whole number from 1 to [`MAX_THREADS`].
pub fn threads() -> Result<Option<usize>> {
    Ok(transfer_kernels::threads::asked()?)
}

/// The device that `TRANSFER_DEVICE` asks for; [`DeviceName::Auto`] where it is not set.
///
/// # Errors
/// [`Error::Invalid`] where it is no name of a device.
pub fn device() -> Result<DeviceName> {
    Ok(read("TRANSFER_DEVICE", DeviceName::EXPECTED, DeviceName::parse)?.unwrap_or_default())
}

/// The folder that `TRANSFER_CACHE` names for everything that is downloaded; `None` where it is not set.
///
/// # Errors
/// [`Error::Invalid`] where it is a relative path, or where something else than a folder is in its place.
pub fn cache() -> Result<Option<PathBuf>> {
    let name = "TRANSFER_CACHE";
    let Some(folder) = path(name) else { return Ok(None) };
    if folder.is_relative() {
        return Err(refused(name, "an absolute path", folder.as_os_str()));
    }
    folder_or_nothing(name)?;
    Ok(Some(folder))
}

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
    let refused = || refused(name, expected, &value);
    let text = value.to_str().ok_or_else(refused)?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    parse(text).map(Some).ok_or_else(refused)
}

fn refused(name: &str, expected: &str, value: &OsStr) -> Error {
    let shown = value.shown();
    Error::Invalid(format!(
        "the environment variable {name} expected {expected}. Received: {shown}. Change it, or unset it."
    ))
}

/// The path in `name`; `None` where the variable is not set or empty.
pub(crate) fn path(name: &'static str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Refuses a path that names nothing.
fn existing(name: &'static str) -> Result<()> {
    let Some(path) = path(name) else { return Ok(()) };
    let Err(e) = path.metadata() else { return Ok(()) };
    Err(refused(name, &format!("a file or folder that exists ({e})"), path.as_os_str()))
}

/// Refuses a path that names no folder.
fn existing_folder(name: &'static str) -> Result<()> {
    let Some(path) = path(name) else { return Ok(()) };
    match path.metadata() {
        Ok(about) if about.is_dir() => Ok(()),
        Ok(_) => Err(refused(name, "a folder", path.as_os_str())),
        Err(e) => Err(refused(name, &format!("a folder that exists ({e})"), path.as_os_str())),
    }
}

/// Refuses a path where no folder is and none can be made: something else is in its place or above it.
fn folder_or_nothing(name: &'static str) -> Result<()> {
    let Some(path) = path(name) else { return Ok(()) };
    match first_that_exists(&path) {
        Some((_, true)) | None => Ok(()),
        Some((found, false)) => {
            let expected = format!("a folder, or a place where one can be made ({} is none)", found.shown());
            Err(refused(name, &expected, path.as_os_str()))
        }
    }
}

/// Refuses a path that no file can be written to: a folder, or something below what is no folder.
fn file_or_nothing(name: &'static str) -> Result<()> {
    let Some(path) = path(name) else { return Ok(()) };
    if path.is_dir() {
        return Err(refused(name, "the name of a file, and this is a folder", path.as_os_str()));
    }
    match path.parent().and_then(first_that_exists) {
        Some((found, false)) => {
            let expected = format!("a file in a folder ({} is none)", found.shown());
            Err(refused(name, &expected, path.as_os_str()))
        }
        _ => Ok(()),
    }
}

/// The path itself or the nearest one above it that exists, and whether that is a folder.
fn first_that_exists(path: &Path) -> Option<(&Path, bool)> {
    // The last of a relative path's ancestors is empty, and stands for the current folder.
    let ancestors = path.ancestors().filter(|part| !part.as_os_str().is_empty());
    ancestors.filter_map(|part| Some((part, part.metadata().ok()?.is_dir()))).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_told_with_the_nearest_one_and_a_known_name_is_not() {
        // In two parts, since a test looks for all names in these sources.
        let line = about_unknown(OsStr::new(concat!("TRANSFER", "_THREDS"))).unwrap();
        assert!(line.contains(concat!("TRANSFER", "_THREDS is unknown")), "{line}");
        assert!(line.contains("nearest known name is TRANSFER_THREADS."), "{line}");
        for name in ["TRANSFER_THREADS", concat!("TRANSFER", "_TEST_ANY"), "PATH"] {
            assert_eq!(about_unknown(OsStr::new(name)), None);
        }
        let line = about_unknown(OsStr::new(concat!("TRANSFER", "_SED\u{1b}[31m"))).unwrap();
        assert!(!line.contains('\u{1b}') && line.contains("TRANSFER_SEED"), "{line}");
    }

    #[test]
    fn the_nearest_thing_above_a_path_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(first_that_exists(&file.join("a/b")), Some((file.as_path(), false)));
        assert_eq!(first_that_exists(&folder.path().join("a/b")), Some((folder.path(), true)));
        assert_eq!(first_that_exists(Path::new("there-is-nothing-of-this-name")), None);
    }
}
