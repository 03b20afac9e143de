//! All that lies below a folder, for a comparison of before and after.

use crate::Fallible;
use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use transfer::assets::sha256_file;
use transfer::Show;

/// Path below the folder, and what is there.
#[derive(Clone, Default)]
pub struct Snapshot(pub BTreeMap<PathBuf, Entry>);

/// What makes a file the one that it was. For a folder neither time nor content, which its entries have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `file`, `folder`, `link`, `FIFO`, `socket` or `device`.
    pub kind: &'static str,
    pub mode: u32,
    pub owner: u32,
    /// Seconds and nanoseconds of the last change of a file's content.
    modified: (i64, i64),
    /// SHA-256 of a file, where a link leads, the number of a device.
    pub content: String,
}

impl Snapshot {
    pub fn of(folder: &Path) -> Fallible<Self> {
        let mut all = BTreeMap::new();
        walk(folder, Path::new(""), &mut all)?;
        Ok(Snapshot(all))
    }

    /// The digest of a file, where there is one.
    pub fn digest(&self, path: &Path) -> Option<&str> {
        self.0.get(path).filter(|entry| entry.kind == "file").map(|entry| entry.content.as_str())
    }

    /// What differs in `after`, but for the paths that may.
    pub fn differences(&self, after: &Snapshot, may_differ: impl Fn(&Path) -> bool) -> Vec<String> {
        let mut all = Vec::new();
        for (path, was) in self.0.iter().filter(|(path, _)| !may_differ(path)) {
            match after.0.get(path) {
                None => all.push(format!("{} is gone", path.shown())),
                Some(is) if is != was => all.push(format!("{} {}", path.shown(), change(was, is))),
                Some(_) => {}
            }
        }
        let new = after.0.keys().filter(|path| !self.0.contains_key(*path) && !may_differ(path));
        all.extend(new.map(|path| format!("{} is new", path.shown())));
        all
    }
}

fn change(was: &Entry, is: &Entry) -> String {
    if was.kind != is.kind {
        return format!("was a {} and is a {}", was.kind, is.kind);
    }
    if was.content != is.content {
        return "has another content".into();
    }
    if was.mode != is.mode {
        return format!("had the mode {:o} and has {:o}", was.mode, is.mode);
    }
    if was.owner != is.owner {
        return format!("had the owner {} and has {}", was.owner, is.owner);
    }
    "was written again".into()
}

fn walk(root: &Path, below: &Path, all: &mut BTreeMap<PathBuf, Entry>) -> Fallible<()> {
    let folder = root.join(below);
    let failed = |e: std::io::Error| format!("cannot list {}: {e}", folder.shown());
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = below.join(entry.file_name());
        let about = entry.metadata().map_err(failed)?;
        let kind = about.file_type();
        let (kind, content) = match () {
            () if kind.is_dir() => ("folder", String::new()),
            () if kind.is_symlink() => {
                let target = std::fs::read_link(entry.path()).map_err(failed)?;
                ("link", target.shown().to_string())
            }
            () if kind.is_fifo() => ("FIFO", String::new()),
            () if kind.is_socket() => ("socket", String::new()),
            () if kind.is_file() => ("file", sha256_file(entry.path()).map_err(|e| e.to_string())?),
            () => ("device", about.rdev().to_string()),
        };
        let modified = if kind == "file" { (about.mtime(), about.mtime_nsec()) } else { (0, 0) };
        let mode = about.permissions().mode() & 0o7777;
        let is_folder = kind == "folder";
        all.insert(path.clone(), Entry { kind, mode, owner: about.uid(), modified, content });
        if is_folder {
            walk(root, &path, all)?;
        }
    }
    Ok(())
}
