//! Paths of many files, which take little more memory than the names of these.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Paths of files, in any order; those of one folder should follow each other, since each run of them has its folder once.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths {
    runs: Vec<Run>,
    /// The names, one behind the other.
    names: String,
    /// Where each name ends, counted from where the names of its run begin.
    ends: Vec<u32>,
    /// Names that are not valid UTF-8, by number; in `names` they are empty.
    odd: BTreeMap<usize, OsString>,
}

/// Files of one folder that follow each other.
#[derive(Debug, Clone)]
struct Run {
    folder: PathBuf,
    first: usize,
    names_begin: usize,
}

impl Paths {
    /// Appends a file.
    pub fn push(&mut self, folder: &Path, name: &OsStr) {
        let text = name.to_str();
        let end = self.names.len() + text.map_or(0, str::len);
        let goes_on = |run: &&Run| run.folder == folder && u32::try_from(end - run.names_begin).is_ok();
        let names_begin = match self.runs.last().filter(goes_on) {
            Some(run) => run.names_begin,
            None => {
                let run = Run { folder: folder.to_owned(), first: self.len(), names_begin: self.names.len() };
                self.runs.push(run);
                self.names.len()
            }
        };
        match text {
            Some(text) => self.names.push_str(text),
            None => drop(self.odd.insert(self.len(), name.to_owned())),
        }
        // No name is longer than a `u32` can say; whoever has one gets its beginning.
        self.ends.push(u32::try_from(end - names_begin).unwrap_or(u32::MAX));
    }

    /// Appends a file by its path.
    pub fn push_path(&mut self, path: &Path) {
        let parts = path.parent().zip(path.file_name());
        // `a/b/` and `a/b/.` have the parts of `a/b`.
        match parts.filter(|(folder, name)| joined(folder, name).as_os_str() == path.as_os_str()) {
            Some((folder, name)) => self.push(folder, name),
            None => self.push(Path::new(""), path.as_os_str()),
        }
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The path of file number `index`.
    pub fn get(&self, index: usize) -> Option<PathBuf> {
        self.parts(index).map(|(folder, name)| joined(folder, name))
    }

    /// Folder and name of file number `index`.
    pub fn parts(&self, index: usize) -> Option<(&Path, &OsStr)> {
        let end = *self.ends.get(index)?;
        let run = self.runs.get(self.runs.partition_point(|run| run.first <= index).checked_sub(1)?)?;
        if let Some(name) = self.odd.get(&index) {
            return Some((&run.folder, name));
        }
        let start = if index == run.first { 0 } else { *self.ends.get(index - 1)? };
        let name = self.names.get(run.names_begin + start as usize..run.names_begin + end as usize)?;
        Some((&run.folder, OsStr::new(name)))
    }

    /// All paths.
    pub fn iter(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Gives back the memory that was set aside for more files.
    pub fn shrink_to_fit(&mut self) {
        self.names.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

impl FromIterator<PathBuf> for Paths {
    fn from_iter<I: IntoIterator<Item = PathBuf>>(paths: I) -> Self {
        let mut all = Paths::default();
        paths.into_iter().for_each(|path| all.push_path(&path));
        all.shrink_to_fit();
        all
    }
}

/// A path that takes no more memory than it has bytes: there may be millions.
fn joined(folder: &Path, name: &OsStr) -> PathBuf {
    let mut path = PathBuf::with_capacity(folder.as_os_str().len() + 1 + name.len());
    path.extend([folder.as_os_str(), name]);
    path
}

/// Files with a label each.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    pub paths: Paths,
    pub labels: Vec<u32>,
}

impl Files {
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Appends a file.
    pub fn push(&mut self, folder: &Path, name: &OsStr, label: u32) {
        self.paths.push(folder, name);
        self.labels.push(label);
    }

    /// Gives back the memory that was set aside for more files.
    pub fn shrink_to_fit(&mut self) {
        self.paths.shrink_to_fit();
        self.labels.shrink_to_fit();
    }

    /// Path and label of each.
    pub fn iter(&self) -> impl Iterator<Item = (PathBuf, u32)> + '_ {
        self.paths.iter().zip(self.labels.iter().copied())
    }

    /// Those for which `wanted` holds.
    pub fn filtered(self, wanted: impl Fn(usize) -> bool) -> Files {
        match (0..self.len()).all(&wanted) {
            true => self,
            false => self.iter().enumerate().filter(|(i, _)| wanted(*i)).map(|(_, file)| file).collect(),
        }
    }
}

impl FromIterator<(PathBuf, u32)> for Files {
    fn from_iter<I: IntoIterator<Item = (PathBuf, u32)>>(files: I) -> Self {
        let mut all = Files::default();
        for (path, label) in files {
            all.paths.push_path(&path);
            all.labels.push(label);
        }
        all.shrink_to_fit();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_as_they_were() {
        let text = [
            "a/1.png", "a/2.png", "a/é", "b/c/1", "a/3", "loose", "/x/y", "/", "", "a/b/", "a/b/.", "a//b",
            "..", "a/..",
        ];
        #[cfg(unix)]
        let bytes = {
            use std::os::unix::ffi::OsStrExt;
            [&b"a/\xff1"[..], b"a\xfe/2", b"a\xfe/3"].map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)))
        };
        #[cfg(not(unix))]
        let bytes = [];
        let given: Vec<PathBuf> = text.map(PathBuf::from).into_iter().chain(bytes).collect();
        let paths: Paths = given.iter().cloned().collect();
        assert_eq!(paths.len(), given.len());
        for (i, path) in given.iter().enumerate() {
            // Not as paths, of which `a/b` and `a/b/` are equal.
            assert_eq!(paths.get(i).unwrap().as_os_str(), path.as_os_str());
        }
        assert_eq!(paths.get(given.len()), None);
        assert_eq!(paths.iter().collect::<Vec<_>>(), given);
    }

    #[test]
    fn a_file_takes_its_name_and_four_bytes() {
        let folder = Path::new("a folder with a long name/and another one in it");
        let mut paths = Paths::default();
        (0..1000).for_each(|i| paths.push(folder, OsStr::new(&format!("{i:05}.png"))));
        paths.shrink_to_fit();
        assert_eq!((paths.runs.len(), paths.names.capacity(), paths.ends.capacity()), (1, 9000, 1000));
        assert_eq!(paths.get(999).unwrap(), folder.join("00999.png"));
    }

    #[test]
    fn files_are_chosen_with_their_labels() {
        let all: Files = (0..5).map(|i| (PathBuf::from(format!("a/{i}")), i)).collect();
        let odd: Vec<(PathBuf, u32)> = all.clone().filtered(|i| i % 2 == 1).iter().collect();
        assert_eq!(odd, [("a/1".into(), 1), ("a/3".into(), 3)]);
        assert_eq!(all.filtered(|_| true).len(), 5);
    }
}
