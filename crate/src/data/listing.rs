//! Which files a data set is made of: one sub-folder a class, all files below it.
//!
//! Only names are looked at here; whether a file is an image is for [`look`](super::look::look).

use super::depth::{same_folder, too_deep, MAX_DEPTH};
use super::folder::{each_entry, entries, Kind, Trail};
use super::names::{composed, joined, with_code_points};
use super::paths::Files;
use crate::progress::say;
use crate::Show;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Names that a message lists.
const SHOWN: usize = 20;

/// The classes of a folder and its files, sorted.
#[derive(Debug)]
pub(super) struct Listing {
    pub class_names: Vec<String>,
    pub files: Files,
    /// What is neither a file nor a folder: links to nothing, pipes. Path, label, and the reason in words that follow the
    /// path.
    pub odd: Vec<(PathBuf, u32, String)>,
    /// Whether somebody named each file, so that none is passed over.
    pub named: bool,
}

/// Lists `dir`; with `missing`, a class that is wanted and has no folder has no files.
///
/// Hidden names are passed over, as in Keras. Links are followed. A folder that can be reached by several paths is
/// read once: by its own, or else by the first link to it.
pub(super) fn list(dir: &Path, wanted: Option<&[String]>, missing: bool) -> Result<Listing> {
    let found = class_folders(dir)?;
    let classes = match wanted {
        None => found.iter().map(|name| (name.clone(), Some(name.clone()))).collect(),
        Some(wanted) => choose(dir, wanted, &found, missing)?,
    };
    if classes.is_empty() {
        return Err(Error::Data(format!(
            "expected one sub-folder for each class in {}, found none. Put the images of each class into a folder named after it.",
            dir.shown()
        )));
    }
    let mut walk = Walk::new(dir)?;
    let folders = classes
        .iter()
        .enumerate()
        .filter_map(|(label, (_, folder))| folder.as_ref().map(|folder| (label as u32, dir.join(folder))));
    walk.classes(folders.collect())?;
    let Walk { files, odd, .. } = walk;
    let class_names = classes.into_iter().map(|(name, _)| name).collect();
    Ok(Listing { class_names, files: sorted(files), odd, named: false })
}

/// By class, by folder, then by name, each as a plain string: the order that Keras has.
fn sorted(files: Files) -> Files {
    let mut order: Vec<usize> = (0..files.len()).collect();
    let key = |i: usize| {
        let parts = files.paths.parts(i).map(|(folder, name)| (folder.as_os_str(), name));
        (files.labels[i], parts)
    };
    order.sort_unstable_by(|&a, &b| key(a).cmp(&key(b)));
    let mut all = Files::default();
    for i in order {
        if let Some((folder, name)) = files.paths.parts(i) {
            all.push(folder, name, files.labels[i]);
        }
    }
    all.shrink_to_fit();
    all
}

/// Names of the sub-folders, sorted.
///
/// # Errors
/// Where a name is not UTF-8, or two are the same name in two Unicode normalisation forms.
pub(super) fn class_folders(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in entries(dir)?.into_iter().filter(|entry| entry.is_folder()) {
        let name = entry.name.into_string().map_err(|name| {
            Error::Data(format!(
                "the class folder {} in {} has a name that is not valid UTF-8. Rename it.",
                name.shown(),
                dir.shown()
            ))
        })?;
        names.push(name);
    }
    names.sort();
    let mut seen: HashMap<String, &String> = HashMap::new();
    for name in &names {
        if let Some(other) = seen.insert(composed(name), name) {
            return Err(Error::Data(format!(
                "two folders in {} have the same name, written with different Unicode characters: {} and {}. Move the \
                 photographs of one into the other, and remove it.",
                dir.shown(),
                with_code_points(other),
                with_code_points(name)
            )));
        }
    }
    Ok(names)
}

/// The folder of each wanted class, whatever normalisation form its name is written in.
fn choose(
    dir: &Path,
    wanted: &[String],
    found: &[String],
    missing: bool,
) -> Result<Vec<(String, Option<String>)>> {
    let folders: HashMap<String, &String> = found.iter().map(|name| (composed(name), name)).collect();
    let mut classes = Vec::new();
    let mut once: Vec<String> = Vec::new();
    for name in wanted {
        let folder = folders.get(&composed(name)).map(|&folder| folder.clone());
        if folder.is_none() && !missing {
            return Err(Error::Data(format!(
                "class_names asks for {name:?}, but the sub-folders of {} are {}. Correct the name.",
                dir.shown(),
                joined(found.iter().map(String::as_str), SHOWN)
            )));
        }
        classes.push((name.clone(), folder));
        once.push(composed(name));
    }
    once.sort();
    once.dedup();
    if once.len() != wanted.len() {
        return Err(Error::Data(format!("class_names must not repeat a name. Received: {wanted:?}")));
    }
    Ok(classes)
}

/// A folder to read: label, path, and how deep below the class folder.
type Waiting = (u32, PathBuf, usize);

/// A walk through the folders of all classes.
struct Walk {
    trail: Trail,
    /// Links to folders, which are followed when all other folders were read.
    links: Vec<Waiting>,
    files: Files,
    odd: Vec<(PathBuf, u32, String)>,
}

impl Walk {
    fn new(dir: &Path) -> Result<Self> {
        let mut trail = Trail::above(dir);
        trail.enter(dir)?;
        Ok(Walk { trail, links: Vec::new(), files: Files::default(), odd: Vec::new() })
    }

    fn classes(&mut self, folders: Vec<(u32, PathBuf)>) -> Result<()> {
        let is_link = |path: &Path| path.symlink_metadata().map(|meta| meta.is_symlink());
        let mut linked = Vec::new();
        for (label, path) in folders {
            match is_link(&path).map_err(|e| Error::io("cannot look at the class folder", &path, e))? {
                true => linked.push((label, path)),
                false => self.class(label, path)?,
            }
        }
        linked.into_iter().try_for_each(|(label, path)| self.class(label, path))?;
        while !self.links.is_empty() {
            let mut links = std::mem::take(&mut self.links);
            links.sort();
            for (label, path, depth) in links {
                match self.trail.enter(&path)? {
                    Some(before) => say(same_folder(&path, &before)),
                    None => self.read((label, path, depth))?,
                }
            }
        }
        Ok(())
    }

    fn class(&mut self, label: u32, path: PathBuf) -> Result<()> {
        match self.trail.enter(&path)? {
            None => self.read((label, path, 0)),
            Some(before) => Err(Error::Data(format!(
                "the class folder {} leads to the same folder as {}: expected another one for each class. Remove one of \
                 the two.",
                path.shown(),
                before.shown()
            ))),
        }
    }

    /// Reads a folder that was entered, and all that lie below it without a link.
    fn read(&mut self, first: Waiting) -> Result<()> {
        let mut waiting = vec![first];
        while let Some((label, folder, depth)) = waiting.pop() {
            if depth > MAX_DEPTH {
                return Err(too_deep(&folder));
            }
            each_entry(&folder, |entry| {
                match entry.kind {
                    Kind::File => self.files.push(&folder, &entry.name, label),
                    Kind::LinkedFolder => self.links.push((label, entry.path, depth + 1)),
                    Kind::Odd(reason) => self.odd.push((entry.path, label, reason)),
                    Kind::Folder => match self.trail.enter(&entry.path)? {
                        Some(before) => say(same_folder(&entry.path, &before)),
                        None => waiting.push((label, entry.path, depth + 1)),
                    },
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(listing: &Listing, dir: &Path) -> Vec<String> {
        let below = |path: &Path| path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
        listing.files.iter().map(|(path, label)| format!("{label} {}", below(&path))).collect()
    }

    #[test]
    fn links_are_followed_and_each_folder_is_read_once_by_its_own_path_first() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = root.path().join("photos");
        for folder in ["a/inner", "b/deep"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        for file in ["a/1", "a/inner/2", "b/3", "b/deep/4"] {
            std::fs::write(dir.join(file), "").unwrap();
        }
        std::fs::create_dir(other.path().join("more")).unwrap();
        std::fs::write(other.path().join("more/5"), "").unwrap();
        symlink(other.path(), dir.join("a/link")).unwrap();
        // Links to the folder above, to a folder of another class, in a circle, to the same folder again.
        symlink("../..", dir.join("a/up")).unwrap();
        symlink("../b/deep", dir.join("a/deep of b")).unwrap();
        symlink("../inner", dir.join("a/inner/circle")).unwrap();
        symlink(other.path().join("more"), dir.join("b/more")).unwrap();
        symlink("../a/1", dir.join("b/linked file")).unwrap();
        symlink("nothing", dir.join("b/nothing.jpg")).unwrap();
        let listing = list(&dir, None, false).unwrap();
        let expected = ["0 a/1", "0 a/inner/2", "0 a/link/more/5", "1 b/3", "1 b/linked file", "1 b/deep/4"];
        assert_eq!(names(&listing, &dir), expected);
        assert_eq!(
            listing.odd,
            [(dir.join("b/nothing.jpg"), 1, "cannot be read: it is a link to nothing".into())]
        );
        symlink("a", dir.join("c")).unwrap();
        let text = list(&dir, None, false).unwrap_err().to_string();
        assert!(text.contains("/c leads to the same folder as") && text.contains("/a: expected"), "{text}");
    }
}
