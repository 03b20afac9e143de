//! A new folder of links and copies that appears whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::folders::{create_parent, sync_parent};
use super::partial::beside;
use crate::{input, Error, Result, Show};

/// A folder that is filled beside its place and then renamed. What was made goes where it is dropped before that.
pub(crate) struct NewFolder {
    place: PathBuf,
    partial: PathBuf,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    finished: bool,
}

impl NewFolder {
    /// Begins a folder that becomes `place`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where something other than an empty folder is there; [`Error::Io`] where no folder can be made.
    pub fn create(place: &Path) -> Result<Self> {
        check_empty(place)?;
        create_parent(place)?;
        let partial = beside(place);
        std::fs::create_dir(&partial).map_err(|e| Error::io("cannot make the folder", &partial, e))?;
        let folders = vec![partial.clone()];
        Ok(NewFolder { place: place.to_owned(), partial, files: Vec::new(), folders, finished: false })
    }

    /// Whether something of this name is in it already.
    pub fn has(&self, inner: &Path) -> bool {
        self.partial.join(inner).symlink_metadata().is_ok()
    }

    /// Puts a file at a path below the folder: a hard link, or a copy where that is asked for or the file system has no
    /// link for it. Returns whether it is a link.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn add(&mut self, from: &Path, inner: &Path, copy: bool) -> Result<bool> {
        let to = self.partial.join(inner);
        self.make_folders(to.parent().unwrap_or(&self.partial).to_owned())?;
        // A link to a link would lead elsewhere from another folder.
        let from = std::fs::canonicalize(from).map_err(|e| Error::io("cannot find", from, e))?;
        if !copy && std::fs::hard_link(&from, &to).is_ok() {
            self.files.push(to);
            return Ok(true);
        }
        let mut input = input::patiently(|| input::open(&from)).map_err(|e| input::photograph(&from, e))?;
        let failed = |e| Error::io("cannot write", &to, e);
        self.files.push(to.clone());
        let mut out = std::fs::OpenOptions::new().write(true).create_new(true).open(&to).map_err(failed)?;
        let copied = std::io::copy(&mut input.file, &mut out).map_err(failed)?;
        input::same_length(input.length, copied).map_err(|e| input::photograph(&from, e))?;
        out.sync_all().map_err(failed)?;
        Ok(false)
    }

    /// Writes a file of these bytes at a path below the folder.
    ///
    /// # Errors
    /// Where something is there, or it cannot be written.
    pub fn write(&mut self, inner: &Path, bytes: &[u8]) -> Result<()> {
        let to = self.partial.join(inner);
        self.make_folders(to.parent().unwrap_or(&self.partial).to_owned())?;
        let failed = |e| Error::io("cannot write", &to, e);
        let mut out = std::fs::OpenOptions::new().write(true).create_new(true).open(&to).map_err(failed)?;
        self.files.push(to.clone());
        out.write_all(bytes).and_then(|()| out.sync_all()).map_err(failed)
    }

    fn make_folders(&mut self, folder: PathBuf) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.make_folders(parent.to_owned())?;
        }
        std::fs::create_dir(&folder).map_err(|e| Error::io("cannot make the folder", &folder, e))?;
        self.folders.push(folder);
        Ok(())
    }

    /// Renames it to its place.
    ///
    /// # Errors
    /// Where something is there by now, or the system refuses.
    pub fn finish(mut self) -> Result<()> {
        check_empty(&self.place)?;
        let failed = |e| Error::io("cannot rename the new folder to", &self.place, e);
        // An empty folder that is there makes room; some systems do not rename over it.
        match std::fs::remove_dir(&self.place) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        std::fs::rename(&self.partial, &self.place).map_err(failed)?;
        self.finished = true;
        sync_parent(&self.place);
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.files.iter().for_each(|file| drop(std::fs::remove_file(file)));
        self.folders.iter().rev().for_each(|folder| drop(std::fs::remove_dir(folder)));
    }
}

fn check_empty(place: &Path) -> Result<()> {
    let about = match place.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("cannot look at", place, e)),
        Ok(about) => about,
    };
    let empty = about.is_dir()
        && input::entries(place).map_err(|e| Error::io("cannot list the folder", place, e))?.is_empty();
    match empty {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "expected a new folder, or an empty one. Received: {}, which is there already and is not empty. Name \
             another folder.",
            place.shown()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            input::entries(folder).unwrap().iter().map(|e| e.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_appears_whole_or_not_at_all_and_never_over_something() {
        let dir = tempfile::tempdir().unwrap();
        let (file, place) = (dir.path().join("a.jpg"), dir.path().join("new"));
        std::fs::write(&file, "photograph").unwrap();
        let mut folder = NewFolder::create(&place).unwrap();
        assert!(folder.add(&file, Path::new("cats/deep/1.jpg"), false).unwrap());
        assert!(!folder.add(&file, Path::new("cats/2.jpg"), true).unwrap());
        assert!(folder.has(Path::new("cats/2.jpg")) && !folder.has(Path::new("cats/3.jpg")));
        assert!(!place.exists());
        folder.finish().unwrap();
        assert_eq!(names(dir.path()), ["a.jpg", "new"]);
        assert_eq!(std::fs::read(place.join("cats/deep/1.jpg")).unwrap(), b"photograph");
        assert_eq!(names(&place.join("cats")), ["2.jpg", "deep"]);
        assert!(NewFolder::create(&place).is_err() && NewFolder::create(&file).is_err());

        let other = dir.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let mut folder = NewFolder::create(&other).unwrap();
        folder.add(&file, Path::new("x/1.jpg"), true).unwrap();
        assert!(folder.add(&dir.path().join("gone.jpg"), Path::new("x/2.jpg"), false).is_err());
        drop(folder);
        assert_eq!(names(dir.path()), ["a.jpg", "new", "other"]);
        assert!(names(&other).is_empty());
        NewFolder::create(&other).unwrap().finish().unwrap();
        assert!(other.is_dir());
    }
}
