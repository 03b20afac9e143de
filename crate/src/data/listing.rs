//! Which files a data set is made of: one sub-folder a class, all files below it.
//!
//! Only names are looked at here; whether a file is an image is for [`probe`](super::probe).

use crate::Show;
use crate::{Error, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How deep folders may lie in one another below a class folder.
const MAX_DEPTH: usize = 32;

/// The classes of a folder and its files, sorted.
#[derive(Debug)]
pub(super) struct Listing {
    pub class_names: Vec<String>,
    /// Path and label.
    pub files: Vec<(PathBuf, u32)>,
}

/// Lists `dir`; with `missing`, a class that is wanted and has no folder has no files. Names that start with a dot are passed over, as in Keras; links to folders are
/// followed only where they are a class folder themselves, so there are no endless loops.
pub(super) fn list(dir: &Path, wanted: Option<&[String]>, missing: bool) -> Result<Listing> {
    let found = class_folders(dir)?;
    let class_names = match wanted {
        None => found.clone(),
        Some(wanted) => choose(dir, wanted, &found, missing)?,
    };
    if class_names.is_empty() {
        return Err(Error::Data(format!(
            "expected one sub-folder for each class in {}, found none. Put the images of each class into a folder named after it.",
            dir.shown()
        )));
    }
    let mut files = Vec::new();
    for (label, name) in class_names.iter().enumerate().filter(|(_, name)| found.contains(name)) {
        let mut of_class = Vec::new();
        walk(&dir.join(name), 0, &mut of_class)?;
        // By folder, then by name, each as a plain string: the order that Keras has.
        of_class.sort();
        files.extend(
            of_class.into_iter().map(|(folder, name)| (PathBuf::from(folder).join(name), label as u32)),
        );
    }
    Ok(Listing { class_names, files })
}

/// Names of the sub-folders, sorted.
pub(super) fn class_folders(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| Error::io("cannot list the image folder", dir, e))? {
        let entry = entry.map_err(|e| Error::io("cannot list the image folder", dir, e))?;
        if !entry.path().is_dir() {
            continue;
        }
        let name = entry.file_name().into_string().map_err(|name| {
            Error::Data(format!(
                "the class folder {} in {} has a name that is not valid UTF-8. Rename it.",
                name.shown(),
                dir.shown()
            ))
        })?;
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn choose(dir: &Path, wanted: &[String], found: &[String], missing: bool) -> Result<Vec<String>> {
    if let Some(missing) = wanted.iter().find(|name| !missing && !found.contains(name)) {
        return Err(Error::Data(format!(
            "class_names asks for {missing:?}, but the sub-folders of {} are {found:?}.",
            dir.shown()
        )));
    }
    let mut once = wanted.to_vec();
    once.sort();
    once.dedup();
    if once.len() != wanted.len() {
        return Err(Error::Data(format!("class_names must not repeat a name. Received: {wanted:?}")));
    }
    Ok(wanted.to_vec())
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<(OsString, OsString)>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::Data(format!(
            "folders are nested more than {MAX_DEPTH} deep at {}",
            folder.shown()
        )));
    }
    let failed = |e| Error::io("cannot list the class folder", folder, e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            walk(&entry.path(), depth + 1, files)?;
        } else if !kind.is_symlink() || !entry.path().is_dir() {
            files.push((folder.as_os_str().to_owned(), name));
        }
    }
    Ok(())
}
