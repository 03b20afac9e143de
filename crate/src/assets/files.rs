//! Files and folders that appear whole or not at all: written beside, synced, renamed.

use crate::output::partial::{partials, sweep_abandoned, Out, Partial};
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

pub(crate) use crate::output::folders::{create_parent, sync_parent};
pub(crate) use crate::output::partial::beside;

/// Removes what killed processes left of their [`beside`] for this path. Only for who holds the lock
/// that everyone takes before writing it.
pub(crate) fn sweep(path: &Path) {
    partials(path).into_iter().for_each(|left| drop(RemoveOnDrop(left)));
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
            for entry in crate::input::entries(&next).map_err(fail)? {
                let path = entry.path();
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
/// old file, if there was one, stays as it was. For files of this program's own; what a user names goes through
/// [`OutputFile`](crate::OutputFile).
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut Out<'_>) -> std::io::Result<()>,
) -> Result<()> {
    create_parent(path)?;
    sweep_abandoned(path);
    let written = (|| {
        let partial = Partial::create(path)?;
        let mut out = BufWriter::new(partial.file());
        write(&mut out)?;
        out.flush()?;
        drop(out);
        partial.file().sync_all()?;
        partial.rename(path)
    })();
    written.map_err(|e| Error::io("cannot write", path, e))?;
    sync_parent(path);
    Ok(())
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
        let mine = Partial::create(&path).unwrap();
        write_whole(&path, |out| out.write_all(b"new")).unwrap();
        assert!(mine.path().exists());
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
