//! One process at a time prepares an asset; the others wait and then find it ready.

use crate::progress::{check_stop, say};
use crate::{Error, Result};
use std::fs::{File, TryLockError};
use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, Unsupported};
use std::path::Path;
use std::time::Duration;

/// How long a process waits before it tries again.
const PAUSE: Duration = Duration::from_millis(50);

/// A lock that is held as long as this value lives. It belongs to the process, so that a dead owner's
/// is no obstacle; the empty file `.{name}.lock` stays behind and means nothing.
pub(super) struct Lock(#[allow(dead_code)] Option<File>);

impl Lock {
    /// Waits for the lock `name` of the folder, which is made where it is missing. In a folder that
    /// cannot be written nothing is locked.
    ///
    /// # Errors
    /// Where the folder cannot be made or the lock cannot be had; [`Error::Interrupted`] where somebody asks for a
    /// stop meanwhile.
    pub fn take(folder: &Path, name: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("cannot create", folder, e))?;
        let path = folder.join(format!(".{name}.lock"));
        // Another user's lock file can be locked, if not written.
        let file = File::options().create(true).append(true).open(&path).or_else(|e| {
            let read = File::open(&path);
            read.map_err(|_| e)
        });
        let file = match file {
            Ok(file) => file,
            // Where nobody can write there is nothing to lock, and what is there may be all that is needed.
            Err(e) if matches!(e.kind(), PermissionDenied | ReadOnlyFilesystem) => return Ok(Lock(None)),
            Err(e) => return Err(Error::io("cannot write", &path, e)),
        };
        let mut told = false;
        loop {
            match crate::input::try_lock(&file) {
                Ok(()) => return Ok(Lock(Some(file))),
                // Some network file systems know no locks. Files still appear whole there, but perhaps twice.
                Err(TryLockError::Error(e)) if e.kind() == Unsupported => return Ok(Lock(None)),
                Err(TryLockError::Error(e)) => return Err(Error::io("cannot lock", &path, e)),
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut told, true) {
                        say(format!("Waiting for another process to prepare {name} …"));
                    }
                    check_stop("The wait for another process")?;
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    #[ignore = "one of the children of progress::tests::whatever_waits_or_searches_notices_a_stop"]
    fn child_after_a_stop_nobody_waits_for_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let _held = Lock::take(folder.path(), "asset").unwrap();
        crate::progress::request_stop();
        let stopped = Lock::take(folder.path(), "asset").map(drop);
        assert!(matches!(stopped, Err(Error::Interrupted(_))), "{stopped:?}");
    }

    #[test]
    fn only_one_holds_the_lock_and_an_old_lock_file_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".asset.lock"), "left by a dead process").unwrap();
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _lock = Lock::take(folder.path(), "asset").unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::sleep(std::time::Duration::from_millis(10));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
    }
}
