//! Files and folders that appear whole or not at all: written beside, synced, renamed.

use crate::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A path beside `path` that no other thread or process uses.
///
/// It starts with a dot and ends in `.partial`, so that no search for data or weights takes it for
/// anything.
pub(crate) fn beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{unique}.partial", std::process::id()))
}

/// Removes what killed processes left of their [`beside`] for this path. Only for who holds the lock
/// that everyone takes before writing it.
pub(crate) fn sweep(path: &Path) {
    partials(path).into_iter().for_each(|left| drop(RemoveOnDrop(left)));
}

/// What lies [`beside`] a path.
fn partials(path: &Path) -> Vec<PathBuf> {
    let start = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let unique = |middle: &str| !middle.is_empty() && middle.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let parent = path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    let entries = parent.and_then(|parent| parent.read_dir().ok()).into_iter().flatten().flatten();
    let is_partial = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let middle = name.to_str().and_then(|name| name.strip_prefix(&start)?.strip_suffix(".partial"));
        middle.is_some_and(unique)
    };
    entries.filter(is_partial).map(|entry| entry.path()).collect()
}

/// Makes the folder that `path` lies in.
pub(crate) fn create_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            std::fs::create_dir_all(parent).map_err(|e| Error::io("cannot create", parent, e))
        }
        _ => Ok(()),
    }
}

/// Makes what was renamed in the folder of `path` survive a power failure, where the system can.
pub(crate) fn sync_parent(path: &Path) {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(parent) {
        let _ = folder.sync_all();
    }
}

/// Brings all that was written below a folder to disk, before it is renamed into place: after a power
/// failure a name must not stand for empty files.
pub(crate) fn sync_tree(folder: &Path) -> Result<()> {
    let fail = |e: std::io::Error| Error::io("cannot write", folder, e);
    #[cfg(target_os = "linux")]
    {
        // One call for the whole file system; thousands of small files one by one take much longer.
        let opened = File::open(folder).map_err(fail)?;
        rustix::fs::syncfs(opened).map_err(|e| fail(e.into()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in next.read_dir().map_err(fail)? {
                let path = entry.map_err(fail)?.path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let file = File::options().append(true).open(&path);
                        file.and_then(|file| file.sync_all()).map_err(fail)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Writes a file through `write`; `path` changes only when all of it is on disk. On any error the
/// old file, if there was one, stays as it was.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    create_parent(path)?;
    sweep_abandoned(path);
    let (partial, file) = create_held(path).map_err(|e| Error::io("cannot write", path, e))?;
    let mut out = BufWriter::new(file);
    let written = (|| {
        write(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        std::fs::rename(&partial.0, path)
    })();
    written.map_err(|e| Error::io("cannot write", path, e))?;
    std::mem::forget(partial);
    sync_parent(path);
    Ok(())
}

/// A new file [`beside`] a path, locked as long as it is open: so that others see that it is in use.
fn create_held(path: &Path) -> std::io::Result<(RemoveOnDrop, File)> {
    loop {
        let partial = RemoveOnDrop(beside(path));
        let file = File::create(&partial.0)?;
        // Where the file system knows no locks, nobody sweeps either. And whoever sweeps may come between
        // the two calls above; the next file is not his any more.
        if file.lock().is_err() || partial.0.exists() {
            return Ok((partial, file));
        }
    }
}

/// Removes what [`write_whole`] left beside this path in processes that were killed: nobody holds it.
fn sweep_abandoned(path: &Path) {
    for left in partials(path) {
        if File::open(&left).is_ok_and(|file| file.try_lock().is_ok() && left.is_file()) {
            let _ = std::fs::remove_file(left);
        }
    }
}

/// A temporary file or folder that goes away with this value, whichever way the function is left.
pub(crate) struct RemoveOnDrop(pub PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        if !self.0.is_dir() || self.0.is_symlink() {
            let _ = std::fs::remove_file(&self.0);
            return;
        }
        // A client of a registry outlives the process that was killed, and may put one more file there.
        for _ in 0..10 {
            match std::fs::remove_dir_all(&self.0) {
                Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_one_path_are_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photos");
        std::fs::create_dir_all(beside(&path).join("train")).unwrap();
        std::fs::write(beside(&path), "").unwrap();
        let others = [".other.1-2.partial", ".photos.zip.partial", "photos.1-2.partial"];
        others.iter().for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
        sweep(&path);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), others.len());
    }

    #[test]
    fn what_a_killed_writer_left_is_swept_by_the_next_one_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        std::fs::write(beside(&path), "left behind").unwrap();
        let (mine, _held) = create_held(&path).unwrap();
        write_whole(&path, |out| out.write_all(b"new")).unwrap();
        assert!(mine.0.exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/file.txt");
        write_whole(&path, |out| out.write_all(b"old")).unwrap();
        let failed = write_whole(&path, |out| {
            out.write_all(b"new, but")?;
            Err(std::io::Error::other("the disk is full"))
        });
        assert!(failed.unwrap_err().to_string().contains("the disk is full"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        write_whole(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }
}
