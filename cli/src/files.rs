//! Which files are meant: names, folders and patterns become files, one at a time, so that a folder may be
//! of any size.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use transfer::Show;

/// Ends of names of the files that are taken from folders.
const IMAGES: [&str; 8] = ["jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff"];

/// Files in the order of the arguments; within folders by name. An item is an error where something can't
/// be listed or matches nothing.
pub struct Files {
    arguments: VecDeque<PathBuf>,
    pattern: Option<glob::Paths>,
    /// Files and folders to come, the next one last.
    waiting: Vec<PathBuf>,
}

impl Files {
    pub fn new(arguments: &[PathBuf]) -> Self {
        Files { arguments: arguments.iter().cloned().collect(), pattern: None, waiting: Vec::new() }
    }

    /// An argument: a file or folder, or a pattern where there is none of that name.
    fn open(&mut self, argument: PathBuf) -> Option<Result<PathBuf, String>> {
        let is_pattern = || argument.to_str().filter(|text| text.contains(['*', '?', '[']));
        if argument.is_dir() {
            self.waiting.push(argument);
            return None;
        }
        let Some(pattern) = is_pattern().filter(|_| argument.symlink_metadata().is_err()) else {
            return Some(Ok(argument));
        };
        match glob::glob(pattern) {
            Err(e) => Some(Err(format!("{pattern} is no pattern: {e}"))),
            Ok(mut paths) => {
                let Some(first) = paths.next() else {
                    return Some(Err(format!("{pattern} matches no file")));
                };
                self.pattern = Some(paths);
                self.matched(first)
            }
        }
    }

    /// What a pattern matches: a file, or a folder with all that is in it.
    fn matched(&mut self, found: glob::GlobResult) -> Option<Result<PathBuf, String>> {
        match found {
            Err(e) => Some(Err(format!("cannot list {}: {}", e.path().shown(), e.error()))),
            Ok(path) if path.is_dir() => {
                self.waiting.push(path);
                None
            }
            Ok(path) => Some(Ok(path)),
        }
    }

    /// Puts what is in a folder in front of what waits. Links to folders are not followed, so that there is
    /// an end.
    fn enter(&mut self, folder: &Path) -> Result<(), String> {
        let failed = |e: std::io::Error| format!("cannot list {}: {e}", folder.shown());
        let mut entries = Vec::new();
        for entry in folder.read_dir().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let path = entry.path();
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !hidden && (kind.is_dir() || (is_called_like_an_image(&path) && !path.is_dir())) {
                entries.push(path);
            }
        }
        entries.sort_by(|a, b| b.cmp(a));
        self.waiting.append(&mut entries);
        Ok(())
    }
}

impl Iterator for Files {
    type Item = Result<PathBuf, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(path) = self.waiting.pop() {
                if !path.is_dir() {
                    return Some(Ok(path));
                }
                if let Err(why) = self.enter(&path) {
                    return Some(Err(why));
                }
                continue;
            }
            if let Some(found) = self.pattern.as_mut().and_then(Iterator::next) {
                if let Some(item) = self.matched(found) {
                    return Some(item);
                }
                continue;
            }
            self.pattern = None;
            let argument = self.arguments.pop_front()?;
            if let Some(item) = self.open(argument) {
                return Some(item);
            }
        }
    }
}

fn is_called_like_an_image(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_lowercase();
    IMAGES.contains(&end.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_patterns_become_files_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["in/deep/er", "in/empty", "x"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        let names = [
            "in/b.jpg",
            "in/a.PNG",
            "in/notes.txt",
            "in/.hidden.jpg",
            "in/deep/er/c.webp",
            "x/1.jpg",
            "x/2.gif",
        ];
        names.iter().for_each(|name| std::fs::write(at(name), "").unwrap());
        std::fs::write(at("odd[1].jpg"), "").unwrap();
        let arguments = ["x/2.gif", "in", "x/*", "missing.jpg", "*.nothing", "odd[1].jpg", "in/d*"].map(at);
        let found: Vec<_> = Files::new(&arguments)
            .map(|item| item.map(|path| path.strip_prefix(dir.path()).unwrap().shown().to_string()))
            .collect();
        let ok = |name: &str| Ok(name.to_owned());
        assert_eq!(
            found[..6],
            ["x/2.gif", "in/a.PNG", "in/b.jpg", "in/deep/er/c.webp", "x/1.jpg", "x/2.gif"].map(ok)
        );
        assert_eq!(found[6], ok("missing.jpg"));
        assert!(found[7].as_ref().is_err_and(|e| e.contains("*.nothing matches no file")), "{:?}", found[7]);
        assert_eq!(found[8..], ["odd[1].jpg", "in/deep/er/c.webp"].map(ok));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_a_circle_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/back")).unwrap();
        std::fs::write(dir.path().join("a/1.jpg"), "").unwrap();
        assert_eq!(Files::new(&[dir.path().to_owned()]).count(), 1);
    }
}
