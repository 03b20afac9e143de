//! Where each file goes: the folder of its class, and a name that is free there.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use transfer::output::{same_content, Transfer};
use transfer::train::Prediction;
use transfer::Show;

use crate::Failure;

/// The place of a file.
#[derive(Debug, PartialEq)]
pub enum Place {
    /// An earlier run has brought it there.
    Sorted,
    New {
        folder: Option<PathBuf>,
        to: PathBuf,
    },
}

/// See the module.
pub struct Places {
    into: PathBuf,
    /// A folder for each class, by label, and then for unknown and for unsure photographs.
    folders: Vec<String>,
    unsure_below: f32,
    how: Transfer,
    /// Places of this run's files.
    taken: HashSet<PathBuf>,
    made: HashSet<PathBuf>,
    counts: BTreeMap<String, usize>,
}

impl Places {
    /// Places below `into`.
    pub fn new(into: &Path, classes: &[String], unsure_below: f32, how: Transfer) -> crate::Result<Self> {
        for class in classes {
            let plain = !class.is_empty() && !class.starts_with('.') && !class.ends_with(['.', ' ']);
            if !plain || class.contains(['/', '\\', ':', '\0']) {
                return Err(Failure::Error(format!(
                    "sort expected classes whose names can be those of folders. Received: {}",
                    class.shown()
                )));
            }
        }
        let mut folders = classes.to_vec();
        for special in ["unknown", "unsure"] {
            let mut name = special.to_owned();
            while folders.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
                name.insert(0, '_');
            }
            folders.push(name);
        }
        let into = into.to_owned();
        let (taken, made, counts) = Default::default();
        Ok(Places { into, folders, unsure_below, how, taken, made, counts })
    }

    /// The same in a folder that is there now.
    pub fn at(self, into: &Path) -> Self {
        Places { into: into.to_owned(), ..self }
    }

    /// How many files come into each folder.
    pub fn counts(&self) -> impl Iterator<Item = (&String, &usize)> {
        self.counts.iter()
    }

    /// The place of a file.
    pub fn of(&mut self, prediction: &Prediction) -> crate::Result<Place> {
        let classes = self.folders.len() - 2;
        let folder = match prediction {
            one if one.unknown.is_some() => classes,
            one if one.confidence < self.unsure_below => classes + 1,
            one => one.label as usize,
        };
        let name = self.folders[folder].clone();
        let folder = self.into.join(&name);
        let file = prediction.path.file_name().unwrap_or_default();
        for number in 1.. {
            let to = folder.join(numbered(file, number));
            if self.taken.contains(&to) {
                continue;
            }
            if to.symlink_metadata().is_ok() {
                // A moved file is not in IN any more, so one of the same content there is another one.
                if self.how == Transfer::Move || !same_content(&prediction.path, &to)? {
                    continue;
                }
                self.taken.insert(to);
                return Ok(Place::Sorted);
            }
            self.taken.insert(to.clone());
            *self.counts.entry(name).or_default() += 1;
            let is_new = !folder.exists() && self.made.insert(folder.clone());
            return Ok(Place::New { folder: is_new.then_some(folder), to });
        }
        Ok(Place::Sorted)
    }
}

/// `1.jpg`, `1-2.jpg`, `1-3.jpg`.
fn numbered(file: &std::ffi::OsStr, number: usize) -> OsString {
    if number == 1 {
        return file.to_owned();
    }
    let path = Path::new(file);
    let mut name = OsString::from(path.file_stem().unwrap_or_default());
    name.push(format!("-{number}"));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(path: &Path, confidence: f32) -> Prediction {
        Prediction {
            path: path.into(),
            class_name: "cats".into(),
            label: 0,
            confidence,
            probabilities: vec![confidence, 1.0 - confidence],
            class_names: vec!["cats".to_owned(), "unknown".into()].into(),
            unknown: None,
        }
    }

    #[test]
    fn names_get_numbers_and_what_was_copied_before_is_not_copied_again() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["in/a", "in/b", "out/cats"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        std::fs::write(at("in/a/1.jpg"), "first").unwrap();
        std::fs::write(at("in/b/1.jpg"), "second").unwrap();
        std::fs::write(at("out/cats/1.jpg"), "first").unwrap();
        let classes = ["cats", "unknown"].map(String::from);
        let places = |how| Places::new(&at("out"), &classes, 0.6, how).ok().unwrap();
        let of = |places: &mut Places, name: &str, p| places.of(&prediction(&at(name), p)).ok().unwrap();
        let mut copies = places(Transfer::Copy);
        assert_eq!(of(&mut copies, "in/a/1.jpg", 0.9), Place::Sorted);
        let second = Place::New { folder: None, to: at("out/cats/1-2.jpg") };
        assert_eq!(of(&mut copies, "in/b/1.jpg", 0.9), second);
        let unsure = Place::New { folder: Some(at("out/unsure")), to: at("out/unsure/1.jpg") };
        assert_eq!(of(&mut copies, "in/b/1.jpg", 0.59), unsure);
        assert_eq!(of(&mut places(Transfer::Move), "in/a/1.jpg", 0.9), second);
        let mut odd = prediction(&at("in/a/1.jpg"), 0.9);
        odd.unknown = Some(transfer::model::Unknown::FarFromTraining { share: 0.0 });
        let Ok(Place::New { to, .. }) = copies.of(&odd) else { panic!("no place") };
        assert_eq!(to, at("out/_unknown/1.jpg"), "a class is called unknown");
        for wrong in ["a/b", "..", "", ".x", "a\\b"] {
            assert!(Places::new(&at("out"), &[wrong.to_owned()], 0.6, Transfer::Copy).is_err(), "{wrong}");
        }
    }
}
