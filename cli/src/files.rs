//! Which files are meant: names, folders and patterns become files, one at a time, so that a folder may be
//! of any size.

use std::collections::VecDeque;
use std::path::PathBuf;

use transfer::data::{ImageFiles, PassedOver};
use transfer::Show;

/// Files in the order of the arguments; within folders by name. An item is an error where something can't
/// be listed or matches nothing.
pub struct Files {
    arguments: VecDeque<PathBuf>,
    pattern: Option<glob::Paths>,
    folder: Option<ImageFiles>,
    passed_over: PassedOver,
}

impl Files {
    pub fn new(arguments: &[PathBuf]) -> Self {
        Files {
            arguments: arguments.iter().cloned().collect(),
            pattern: None,
            folder: None,
            passed_over: PassedOver::default(),
        }
    }

    /// The files in folders that are no images, so far.
    pub fn passed_over(&self) -> &PassedOver {
        &self.passed_over
    }

    /// An argument: a file or folder, or a pattern where there is none of that name.
    fn open(&mut self, argument: PathBuf) -> Option<Result<PathBuf, String>> {
        let is_pattern = || argument.to_str().filter(|text| text.contains(['*', '?', '[']));
        if argument.is_dir() {
            self.folder = Some(ImageFiles::below(argument));
            return None;
        }
        let Some(pattern) = is_pattern().filter(|_| argument.symlink_metadata().is_err()) else {
            return Some(Ok(argument));
        };
        // As in a shell, a pattern matches no hidden names.
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
        match glob::glob_with(pattern, options) {
            Err(e) => Some(Err(format!("{} is not a valid pattern: {e}", pattern.shown()))),
            Ok(mut paths) => {
                let Some(first) = paths.next() else {
                    return Some(Err(format!("{} matches no file", pattern.shown())));
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
                self.folder = Some(ImageFiles::below(path));
                None
            }
            Ok(path) => Some(Ok(path)),
        }
    }
}

impl Iterator for Files {
    type Item = Result<PathBuf, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(folder) = &mut self.folder {
                if let Some(found) = folder.next() {
                    return Some(found.map_err(|e| e.to_string()));
                }
                self.passed_over.extend(folder.passed_over().clone());
                self.folder = None;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_patterns_become_files_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["in/deep/er", "in/empty", "in/__MACOSX", "x"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        let names = [
            "in/b.jpg",
            "in/a.PNG",
            "in/notes.txt",
            "in/.hidden.jpg",
            "in/__MACOSX/d.jpg",
            "in/Thumbs.db",
            "in/deep/er/c.webp",
            "x/1.jpg",
            "x/2.gif",
        ];
        names.iter().for_each(|name| std::fs::write(at(name), "").unwrap());
        std::fs::write(at("odd[1].jpg"), "").unwrap();
        let arguments =
            ["x/2.gif", "in", "x/*", "missing.jpg", "*.nothing", "odd[1].jpg", "in/[d.]*"].map(at);
        // An image by its content, whatever its name.
        image::RgbImage::new(2, 2).save_with_format(at("in/drawing"), image::ImageFormat::Png).unwrap();
        let mut files = Files::new(&arguments);
        let found: Vec<_> = files
            .by_ref()
            .map(|item| item.map(|path| path.strip_prefix(dir.path()).unwrap().shown().to_string()))
            .collect();
        let ok = |name: &str| Ok(name.to_owned());
        assert_eq!(
            found[..7],
            ["x/2.gif", "in/a.PNG", "in/b.jpg", "in/deep/er/c.webp", "in/drawing", "x/1.jpg", "x/2.gif"]
                .map(ok)
        );
        assert_eq!(found[7], ok("missing.jpg"));
        assert!(found[8].as_ref().is_err_and(|e| e.contains("*.nothing matches no file")), "{:?}", found[8]);
        assert_eq!(found[9..], ["odd[1].jpg", "in/deep/er/c.webp", "in/drawing"].map(ok));
        assert_eq!(
            (files.passed_over().files, files.passed_over().first[0].clone()),
            (1, at("in/notes.txt"))
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_once_and_a_link_to_nothing_is_named() {
        use std::os::unix::fs::symlink;
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/1.jpg"), "").unwrap();
        std::fs::write(other.path().join("2.jpg"), "").unwrap();
        symlink(dir.path(), dir.path().join("a/back")).unwrap();
        symlink(other.path(), dir.path().join("b")).unwrap();
        symlink(other.path().join("2.jpg"), dir.path().join("c.jpg")).unwrap();
        symlink("none", dir.path().join("d.jpg")).unwrap();
        let found: Vec<_> = Files::new(&[dir.path().to_owned()]).collect();
        let at = |name: &str| Ok(dir.path().join(name));
        assert_eq!(found[..3], ["a/1.jpg", "b/2.jpg", "c.jpg"].map(at));
        assert!(found[3].as_ref().is_err_and(|e| e.contains("d.jpg") && e.contains("link to nothing")));
        assert_eq!(found.len(), 4);
    }
}
