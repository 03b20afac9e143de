//! Opening and reading files that somebody names: photographs, models, weights, archives, tables.
//!
//! A name may stand for a pipe, a socket or a device; opening one of those like a file can wait for ever or set
//! something off. So the kind is looked at first, and opening never waits. And reading may fail for a moment: a
//! network disk that hiccups, a process that has too many files open. [`patiently`] tries again.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use crate::progress::stop_requested;
use crate::{Error, Result, Show};

/// What [`photograph`] calls what it could not do.
const PHOTOGRAPH: &str = "cannot read the photograph";

/// A regular file that was opened to be read.
#[derive(Debug)]
pub(crate) struct Input {
    pub file: File,
    /// Its length when it was opened, in bytes.
    pub length: u64,
}

/// Opens a regular file. Never waits for whoever is at the other end of a pipe.
///
/// # Errors
/// What the system says, or an error for which [`is_no_file`] holds.
pub(crate) fn open(path: &Path) -> io::Result<Input> {
    // Opening a device may do something to it, so that one is not even opened.
    check_kind(&std::fs::metadata(path)?)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // In case it has become a pipe or a terminal since; a regular file does not mind. The standard library
        // adds O_CLOEXEC.
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    let about = file.metadata()?;
    check_kind(&about)?;
    Ok(Input { file, length: about.len() })
}

impl Input {
    /// Reads all of it into `buffer`, whose content is replaced. No more memory is taken than the file is long.
    ///
    /// # Errors
    /// What the system says, and where the file grew or shrank meanwhile.
    pub fn read_into(self, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let length = usize::try_from(self.length).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
        // One byte more, so that reading to the end need not grow it.
        buffer.try_reserve_exact(length.saturating_add(1)).map_err(|_| ErrorKind::OutOfMemory)?;
        self.file.take(self.length.saturating_add(1)).read_to_end(buffer)?;
        same_length(self.length, buffer.len() as u64)
    }
}

/// An error where a file had another length when it was read than when it was opened.
pub(crate) fn same_length(expected: u64, read: u64) -> io::Result<()> {
    match read == expected {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "its length changed while it was read: expected {expected} bytes, received {}",
            if read > expected { "more".to_owned() } else { read.to_string() }
        ))),
    }
}

/// Reads a whole file of at most `limit` bytes; `None` where it is longer.
///
/// # Errors
/// As [`open`] and [`Input::read_into`].
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let input = open(path)?;
    if input.length > limit {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    input.read_into(&mut bytes)?;
    Ok(Some(bytes))
}

/// What is no regular file, in words that follow its path: `is a named pipe …`.
#[derive(Debug)]
struct NoFile(&'static str);

impl std::fmt::Display for NoFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, not a regular file", self.0)
    }
}

impl std::error::Error for NoFile {}

/// Whether an error of [`open`] says that there is something else than a regular file.
pub(crate) fn is_no_file(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NoFile>())
}

fn check_kind(about: &Metadata) -> io::Result<()> {
    if about.is_file() {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidInput, NoFile(kind(about))))
}

/// Why something that is no regular file is not read, in words that follow its path.
pub(crate) fn no_file(about: &Metadata) -> String {
    NoFile(kind(about)).to_string()
}

#[cfg(unix)]
fn kind(about: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = about.file_type();
    if kind.is_dir() {
        "is a folder"
    } else if kind.is_fifo() {
        "is a pipe (write what comes out of it into a file, and name that)"
    } else if kind.is_socket() {
        "is a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "is a device"
    } else {
        "is something unknown"
    }
}

#[cfg(not(unix))]
fn kind(about: &Metadata) -> &'static str {
    match about.is_dir() {
        true => "is a folder",
        false => "is something unknown",
    }
}

/// The pauses before further attempts, in milliseconds.
fn pauses(error: &io::Error) -> &'static [u64] {
    match error.kind() {
        // It does not change by waiting.
        ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::Unsupported => &[],
        // Rights change seldom.
        ErrorKind::PermissionDenied => &[100],
        // A file that a program replaces is gone for a moment.
        ErrorKind::NotFound => &[50, 200],
        _ => &[50, 200, 600, 1200],
    }
}

/// The entries of a folder. A call that a signal interrupted is made again: the standard library does so for files, not
/// for folders.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<std::fs::DirEntry>> {
    loop {
        match std::fs::read_dir(folder).and_then(Iterator::collect) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// [`File::try_lock`](std::fs::File::try_lock), made again where a signal interrupted it.
pub(crate) fn try_lock(file: &std::fs::File) -> std::result::Result<(), std::fs::TryLockError> {
    loop {
        match file.try_lock() {
            Err(std::fs::TryLockError::Error(e)) if e.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Does `work` again after short pauses where it fails, at most two seconds in all. Where somebody asked to stop,
/// it does not try again.
pub(crate) fn patiently<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut attempt = 0;
    loop {
        let error = match work() {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        match pauses(&error).get(attempt) {
            Some(&pause) if wait(Duration::from_millis(pause)) => attempt += 1,
            _ => return Err(error),
        }
    }
}

/// Waits; false as soon as somebody asks to stop.
fn wait(mut left: Duration) -> bool {
    const STEP: Duration = Duration::from_millis(20);
    while !stop_requested() {
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(STEP));
        left = left.saturating_sub(STEP);
    }
    false
}

/// The error for a photograph that could not be read, with what to do about it. [`Error::Interrupted`] where
/// somebody asked to stop meanwhile.
pub(crate) fn photograph(path: &Path, error: io::Error) -> Error {
    if stop_requested() {
        return Error::Interrupted(format!("Reading {} was interrupted.", path.shown()));
    }
    let advice = match error.kind() {
        ErrorKind::NotFound if path.is_symlink() => {
            "It is a link to what does not exist: remove the link, or bring back what it points to"
        }
        ErrorKind::NotFound => {
            "Leave photographs in their place while they are used, or start again without it"
        }
        ErrorKind::PermissionDenied => "Give yourself the right to read it, or move it away",
        _ if is_too_many_files(&error) => {
            "Allow more open files (`ulimit -n 4096`), or use fewer threads (TRANSFER_THREADS)"
        }
        _ => "Look after the disk or the network that it is on, then start again",
    };
    Error::io(PHOTOGRAPH, path, io::Error::new(error.kind(), format!("{error}. {advice}")))
}

/// Whether an error is that of a photograph that could not be read.
pub(crate) fn is_photograph(error: &Error) -> bool {
    matches!(error, Error::Io { action: PHOTOGRAPH, .. })
}

#[cfg(unix)]
fn is_too_many_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(not(unix))]
fn is_too_many_files(_: &io::Error) -> bool {
    false
}

/// Reads a whole file of at most `limit` bytes, trying again where that fails; `action` reads like `cannot read
/// the weights`.
///
/// # Errors
/// [`Error::Io`] where it cannot be read or is no regular file; what `too_large` makes where it is longer.
pub(crate) fn read_or(
    action: &'static str,
    path: &Path,
    limit: u64,
    too_large: impl FnOnce() -> Error,
) -> Result<Vec<u8>> {
    let read = patiently(|| read(path, limit)).map_err(|e| Error::io(action, path, e))?;
    read.ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_for_a_moment_is_tried_again_and_what_cannot_change_is_not() {
        let tries = |kind: ErrorKind, good: usize| {
            let mut n = 0;
            let done = patiently(|| {
                n += 1;
                if n > good {
                    Ok(())
                } else {
                    Err(io::Error::from(kind))
                }
            });
            (done.is_ok(), n)
        };
        assert_eq!(tries(ErrorKind::StaleNetworkFileHandle, 2), (true, 3));
        assert_eq!(tries(ErrorKind::NotFound, 9), (false, 3));
        assert_eq!(tries(ErrorKind::PermissionDenied, 9), (false, 2));
        assert_eq!(tries(ErrorKind::InvalidInput, 1), (false, 1));
    }

    #[test]
    fn a_file_that_is_shorter_or_longer_than_it_was_is_an_error() {
        assert!(same_length(5, 5).is_ok());
        assert!(same_length(5, 4).unwrap_err().to_string().contains("expected 5 bytes, received 4"));
        assert!(same_length(5, 6).unwrap_err().to_string().contains("received more"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 5000]).unwrap();
        let input = open(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
        let mut bytes = Vec::new();
        let error = input.read_into(&mut bytes).unwrap_err();
        assert!(error.to_string().contains("received 100"), "{error}");
        assert_eq!(read(&path, 100).unwrap().unwrap(), [7; 100]);
        assert!(read(&path, 99).unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn pipes_sockets_devices_and_folders_are_told_apart_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let name = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
        // SAFETY: a plain system call with a string that ends in a zero.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let socket = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        let kinds = [
            (pipe.as_path(), "is a pipe"),
            (&link, "is a pipe"),
            (&socket, "is a socket"),
            (folder.path(), "is a folder"),
            (Path::new("/dev/null"), "is a device"),
        ];
        for (path, kind) in kinds {
            let error = open(path).unwrap_err();
            assert!(is_no_file(&error) && error.to_string().contains(kind), "{error}");
        }
        assert!(!is_no_file(&open(&folder.path().join("nothing")).unwrap_err()));
    }
}
