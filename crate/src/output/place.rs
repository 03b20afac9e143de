//! Where a path leads: the regular file, there or not, that would be written.

use std::fs::{FileType, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::input::{entries, patiently};
use crate::{Error, Result, Show};

/// As many links in a row are followed as Linux follows.
const MAX_LINKS: usize = 40;

/// A place that may hold a regular file.
#[derive(Debug)]
pub(super) struct Place {
    /// Its path without links.
    pub file: PathBuf,
    /// What is known of the regular file that is there.
    pub old: Option<Metadata>,
}

impl Place {
    /// Whether the file that is there is this one, by whatever name.
    pub fn is(&self, other: &Path) -> bool {
        let Some(old) = &self.old else { return false };
        #[cfg(unix)]
        {
            other.metadata().is_ok_and(|other| same(old, &other))
        }
        #[cfg(not(unix))]
        {
            let _ = old;
            other.canonicalize().is_ok_and(|other| other == self.file)
        }
    }

    /// Whether this place lies in `folder` or below it; with `linked` also where it does so in one of the folders
    /// that are linked in it.
    ///
    /// # Errors
    /// Where the folder is there and cannot be looked at.
    pub fn is_below(&self, folder: &Path, linked: bool) -> std::io::Result<bool> {
        let top = match patiently(|| folder.canonicalize()) {
            Ok(top) => top,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e),
        };
        if self.file.starts_with(&top) {
            return Ok(true);
        }
        if !linked || !top.is_dir() {
            return Ok(false);
        }
        for entry in patiently(|| entries(&top))? {
            if !entry.file_type()?.is_symlink() {
                continue;
            }
            match patiently(|| entry.path().canonicalize()) {
                Ok(to) if to.is_dir() && self.file.starts_with(&to) => return Ok(true),
                Ok(_) => {}
                Err(e) if leads_nowhere(&e) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(false)
    }
}

/// Whether following a link failed because nobody here can get to where it leads, so that nothing of ours lies there.
fn leads_nowhere(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ELOOP) {
        return true;
    }
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied)
}

/// Whether two descriptions are of one file.
#[cfg(unix)]
pub(super) fn same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Follows `given` to the regular file that it stands for, which need not be there; its folder must be.
pub(super) fn resolve(given: &Path) -> Result<Place> {
    let mut path = given.to_owned();
    for _ in 0..MAX_LINKS {
        let (folder, name) = split(&path, given)?;
        let folder = match folder.canonicalize() {
            Ok(folder) => folder,
            Err(e) => return Err(Error::io("cannot write into the folder", folder, e)),
        };
        // Names there stand for open files and for the system's state.
        if ["/proc", "/sys"].iter().any(|top| folder.starts_with(top)) {
            return Err(no_file(given, "a name in /proc or /sys, where no file can be made"));
        }
        let file = folder.join(name);
        let old = match file.symlink_metadata() {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Place { file, old: None }),
            Err(e) => return Err(Error::io("cannot look at", given, e)),
            Ok(old) => old,
        };
        if old.is_file() {
            return Ok(Place { file, old: Some(old) });
        }
        if !old.is_symlink() {
            return Err(no_file(given, kind(old.file_type())));
        }
        path = folder.join(file.read_link().map_err(|e| Error::io("cannot follow the link", given, e))?);
    }
    Err(no_file(given, "a link that leads back to itself, or too many links in a row"))
}

/// Folder and name of a path that can be that of a file.
fn split<'a>(path: &'a Path, given: &Path) -> Result<(&'a Path, &'a std::ffi::OsStr)> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() {
        return Err(no_file(given, "an empty name"));
    }
    let separator = |byte: &u8| std::path::is_separator(char::from(*byte));
    let last = bytes.rsplit(separator).next().unwrap_or_default();
    match path.file_name() {
        Some(name) if ![&b""[..], b".", b".."].contains(&last) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            Ok((folder.unwrap_or(Path::new(".")), name))
        }
        _ => Err(no_file(given, "the name of a folder")),
    }
}

/// Where the file will be once the folders above it are made, as far as they are there.
pub(super) fn above(given: &Path) -> Result<Place> {
    let (folder, _) = split(given, given)?;
    let there = folder.ancestors().map(|a| if a.as_os_str().is_empty() { Path::new(".") } else { a });
    let there = there.filter_map(|folder| folder.canonicalize().ok()).next();
    Ok(Place { file: there.unwrap_or_default().join("file"), old: None })
}

fn no_file(given: &Path, what: &str) -> Error {
    Error::Invalid(format!(
        "an output expected the name of a file to write. Received: '{}', which is {what}. Name another file.",
        given.shown()
    ))
}

fn kind(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let special = [
            (kind.is_fifo(), "a FIFO"),
            (kind.is_socket(), "a socket"),
            (kind.is_char_device(), "a device"),
            (kind.is_block_device(), "a block device"),
        ];
        if let Some((_, name)) = special.into_iter().find(|(is, _)| *is) {
            return name;
        }
    }
    if kind.is_dir() {
        "a folder"
    } else {
        "no regular file"
    }
}
