//! What lies in one folder, and which folders were read already: no entry is dropped without a word, and links that
//! lead in a circle have an end.

use super::names::is_left_out;
use crate::input::{no_file, patiently};
use crate::progress::check_stop;
use crate::{Error, Result};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What an entry of a folder is, behind links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file, or a link to one.
    File,
    Folder,
    /// A link to a folder.
    LinkedFolder,
    /// Neither, for this reason; in words that follow its name.
    Odd(String),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub name: OsString,
    pub path: PathBuf,
    pub kind: Kind,
}

impl Entry {
    pub fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder | Kind::LinkedFolder)
    }
}

/// The entries of a folder, in the order that the system has them. What is hidden or made by the system is not among
/// them.
///
/// # Errors
/// Where the folder or what it says of an entry cannot be read; [`Error::Interrupted`].
pub(super) fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    each_entry(folder, |entry| {
        all.push(entry);
        Ok(())
    })?;
    Ok(all)
}

/// Calls `visit` with each of the [`entries`] of a folder, of which there may be a million.
///
/// # Errors
/// As [`entries`], and those of `visit`.
pub(super) fn each_entry(folder: &Path, mut visit: impl FnMut(Entry) -> Result<()>) -> Result<()> {
    let failed = |e| Error::io("cannot list the folder", folder, e);
    for entry in patiently(|| std::fs::read_dir(folder)).map_err(failed)? {
        check_stop("the listing of the photographs")?;
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if is_left_out(&name) {
            continue;
        }
        let path = entry.path();
        let cannot = |e| Error::io("cannot look at", &path, e);
        let found = entry.file_type().map_err(cannot)?;
        let kind = match (found.is_dir(), found.is_file(), found.is_symlink()) {
            (true, ..) => Kind::Folder,
            (_, true, _) => Kind::File,
            (_, _, true) => behind_link(&path)?,
            _ => Kind::Odd(no_file(&entry.metadata().map_err(cannot)?)),
        };
        visit(Entry { name, path, kind })?;
    }
    Ok(())
}

fn behind_link(path: &Path) -> Result<Kind> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let leads_nowhere = |e: &std::io::Error| match e.kind() {
        NotFound | NotADirectory => Some("cannot be read: it is a link to nothing"),
        _ if e.raw_os_error() == Some(CIRCLE) => Some("cannot be read: it is a link that leads to itself"),
        _ => None,
    };
    let found = patiently(|| match std::fs::metadata(path) {
        Err(e) => leads_nowhere(&e).map_or(Err(e), |reason| Ok(Err(reason))),
        Ok(about) => Ok(Ok(about)),
    });
    match found.map_err(|e| Error::io("cannot follow the link", path, e))? {
        Ok(about) if about.is_dir() => Ok(Kind::LinkedFolder),
        Ok(about) if about.is_file() => Ok(Kind::File),
        Ok(about) => Ok(Kind::Odd(no_file(&about))),
        Err(reason) => Ok(Kind::Odd(reason.to_owned())),
    }
}

/// What the system calls a link that leads to itself.
#[cfg(unix)]
const CIRCLE: i32 = libc::ELOOP;
/// `ERROR_CANT_RESOLVE_FILENAME`.
#[cfg(not(unix))]
const CIRCLE: i32 = 1921;

/// What is the same for two paths to the same folder.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

fn identity(folder: &Path) -> Result<Identity> {
    let failed = |e| Error::io("cannot look at the folder", folder, e);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(folder).map_err(failed)?;
        Ok((meta.dev(), meta.ino()))
    }
    #[cfg(not(unix))]
    std::fs::canonicalize(folder).map_err(failed)
}

/// Whether two paths lead to the same folder.
pub(super) fn is_same(a: &Path, b: &Path) -> Result<bool> {
    Ok(identity(a)? == identity(b)?)
}

/// The folders that were entered, each with the path by which it was.
#[derive(Debug, Default)]
pub(super) struct Trail(HashMap<Identity, PathBuf>);

impl Trail {
    /// The folders above `root`: a link to one of them would lead back to it.
    pub fn above(root: &Path) -> Self {
        let mut trail = Trail::default();
        // Where a folder above must not be looked at, links to it cannot be followed either.
        let full = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        for folder in full.ancestors().skip(1) {
            if let Ok(identity) = identity(folder) {
                trail.0.insert(identity, folder.to_owned());
            }
        }
        trail
    }

    /// Notes that `folder` is entered; or tells by which path it was entered before.
    pub fn enter(&mut self, folder: &Path) -> Result<Option<PathBuf>> {
        use std::collections::hash_map::Entry::{Occupied, Vacant};
        match self.0.entry(identity(folder)?) {
            Occupied(before) => Ok(Some(before.get().clone())),
            Vacant(new) => {
                new.insert(folder.to_owned());
                Ok(None)
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn each_kind_of_entry_is_told_and_none_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        std::fs::write(at(".hidden"), "").unwrap();
        for (target, link) in
            [("folder", "to folder"), ("file", "to file"), ("none", "to none"), ("self", "self")]
        {
            symlink(at(target), at(link)).unwrap();
        }
        symlink(at("file").join("below"), at("through a file")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let mut found = entries(dir.path()).unwrap();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let odd = |reason: &str| Kind::Odd(reason.to_owned());
        let found: Vec<(&str, Kind)> =
            found.iter().map(|e| (e.name.to_str().unwrap(), e.kind.clone())).collect();
        let expected = [
            ("file", Kind::File),
            ("folder", Kind::Folder),
            ("self", odd("cannot be read: it is a link that leads to itself")),
            ("socket", odd("is a socket, not a regular file")),
            ("through a file", odd("cannot be read: it is a link to nothing")),
            ("to file", Kind::File),
            ("to folder", Kind::LinkedFolder),
            ("to none", odd("cannot be read: it is a link to nothing")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_is_entered_once_by_whatever_path() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, link, back) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("a/back"));
        std::fs::create_dir(&inner).unwrap();
        symlink(&inner, &link).unwrap();
        symlink("..", &back).unwrap();
        let mut trail = Trail::above(&inner);
        assert_eq!(trail.enter(&inner).unwrap(), None);
        assert_eq!(trail.enter(&link).unwrap(), Some(inner));
        assert_eq!(trail.enter(&back).unwrap(), Some(dir.path().canonicalize().unwrap()));
        assert!(trail.enter(&dir.path().join("none")).is_err());
    }
}
