//! What a test says that cannot test here. So that nobody takes it for one that has tested: it prints one line, adds
//! the line to the file that `TRANSFER_SKIPPED` names (`cargo xtask test` counts and shows them), and fails where the
//! variable that demands what is missing is set.

use std::fmt::Display;
use std::io::Write;

/// Ends the part of a test that `reason` makes impossible; the caller returns. `demanded_by` is a variable such as
/// `TRANSFER_REQUIRE_DATA`, set where the test has to run.
///
/// # Panics
/// Where that variable is set and not empty.
pub fn skipped(demanded_by: &str, reason: impl Display) {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or("a test").to_owned();
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_stem()?.to_str()).unwrap_or_default();
    // Cargo appends a number of its own to a test program's name.
    let program = program.rsplit_once('-').map_or(program, |(name, _)| name);
    let line = format!("SKIPPED: {program}: {test}: {reason}");
    let demanded = std::env::var_os(demanded_by).is_some_and(|value| !value.is_empty());
    assert!(!demanded, "{line}. {demanded_by} is set, so it must not be skipped");
    println!("{line}");
    if let Some(path) = std::env::var_os("TRANSFER_SKIPPED").filter(|path| !path.is_empty()) {
        let file = std::fs::File::options().create(true).append(true).open(&path);
        // One write: other tests append at the same time.
        let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        written.unwrap_or_else(|e| panic!("TRANSFER_SKIPPED names a file that cannot be written: {e}"));
    }
}

/// The value of the variable `name`, as a path; [`skipped`] where it is not set. `demanded_by` as there; `what` says
/// what the variable would lead to.
#[allow(dead_code)] // Not every program that includes this file has a test that needs a folder.
pub fn folder_or_skip(name: &str, demanded_by: &str, what: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os(name).filter(|value| !value.is_empty());
    if folder.is_none() {
        skipped(demanded_by, format!("{name} is not set: {what}"));
    }
    folder.map(Into::into)
}
