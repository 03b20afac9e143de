//! One process at a time prepares an asset; the others wait and then find it ready.

use crate::progress::{check_stop, say};
use crate::{Error, Result};
use std::fs::{File, TryLockError};
use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, Unsupported};
use std::path::Path;
use std::time::Duration;

/// How often somebody who waits looks again.
const PAUSE: Duration = Duration::from_millis(50);

/// A lock that is held as long as this value lives. It belongs to the process, so that a dead owner's
/// is no obstacle; the empty file `.{name}.lock` stays behind and means nothing.
pub(super) struct Lock(#[allow(dead_code)] Option<File>);

impl Lock {
    /// Waits for the lock `name` of the folder, which is made where it is missing. In a folder that
    /// cannot be written nothing is locked.
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
        match file.try_lock() {
            Ok(()) => return Ok(Lock(Some(file))),
            Err(TryLockError::WouldBlock) => say(format!("Waiting for another process to prepare {name} …")),
            Err(TryLockError::Error(_)) => {}
        }
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(Some(file))),
                Err(TryLockError::WouldBlock) => {
                    check_stop("Waiting for another process")?;
                    std::thread::sleep(PAUSE);
                }
                // Some network file systems know no locks. Files still appear whole there, but perhaps twice.
                Err(TryLockError::Error(e)) if e.kind() == Unsupported => return Ok(Lock(None)),
                Err(TryLockError::Error(e)) => return Err(Error::io("cannot lock", &path, e)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

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
