//! What a folder of somebody's photographs looks like, by names alone: which layout it has, and what is
//! wrong with it.

use crate::Show;
use std::path::{Path, PathBuf};

use super::listing::class_folders;
use crate::progress::say;
use crate::{Error, Result};

/// The most classes that are expected to make sense.
const MAX_CLASSES: usize = 1000;
/// Ends of names of files that are most likely images.
const IMAGES: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "gif", "webp"];

const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["validation", "valid", "val"];
const TEST: [&str; 2] = ["test", "testing"];

/// Where the class folders lie.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub train: PathBuf,
    pub validation: Option<PathBuf>,
    pub test: Option<PathBuf>,
}

/// Tells a folder of class folders from one of `train` and `validation`, in which those lie.
pub(super) fn layout(dir: &Path) -> Result<Layout> {
    if dir.is_file() {
        return Err(Error::Data(format!(
            "expected a folder that holds one folder for each class. Received a file: {}",
            dir.shown()
        )));
    }
    let found = class_folders(dir)?;
    let part = |names: &[&str]| {
        let named = found.iter().filter(|name| names.contains(&name.to_lowercase().as_str()));
        // A class may be called `train`; but then its images do not lie one folder deeper.
        let mut folders = named.map(|name| dir.join(name));
        folders.find(|folder| class_folders(folder).is_ok_and(|inner| !inner.is_empty()))
    };
    let (train, validation, test) = (part(&TRAIN), part(&VALIDATION), part(&TEST));
    let known = [&train, &validation, &test].into_iter().flatten().count();
    match train {
        Some(train) if known == found.len() => Ok(Layout { train, validation, test }),
        Some(_) if known > 1 => {
            let is_part = |name: &&String| !TRAIN.iter().chain(&VALIDATION).chain(&TEST).any(|p| p == name);
            let other = found.iter().find(is_part).map_or("", |name| name.as_str());
            Err(Error::Data(format!(
                "expected in {} either class folders or `train` and `validation`, `test`. Received both: {other} \
                 lies beside `train`. Move it.",
                dir.shown()
            )))
        }
        _ => Ok(Layout { train: dir.to_owned(), validation: None, test: None }),
    }
}

/// Refuses a folder that has not got at least two class folders, with what is there instead. Says what will
/// be left out of others.
pub(super) fn check_classes(dir: &Path, wanted: Option<&[String]>) -> Result<()> {
    const HOW: &str =
        "Put the photographs of each class into a folder named after it, as in cats/ and dogs/.";
    let found = class_folders(dir)?;
    let loose = images_in(dir);
    let shown = dir.shown();
    let images = |n: usize| if n == 1 { "1 image lies".to_owned() } else { format!("{n} images lie") };
    let classes = wanted.map_or(found.len(), <[String]>::len);
    match classes {
        0 if loose > 0 => Err(Error::Data(format!(
            "expected at least two class folders in {shown}. Received none: {} loose in it. {HOW}",
            images(loose)
        ))),
        0 => Err(Error::Data(format!("expected at least two class folders in {shown}. Received none. {HOW}"))),
        1 => {
            let only = wanted.map_or(&found[0], |wanted| &wanted[0]);
            let inner = class_folders(&dir.join(only)).unwrap_or_default();
            let hint = match (inner.len() > 1, loose) {
                (true, _) => format!(
                    "It has folders itself ({}, …): name {} if these are the classes.",
                    inner[0],
                    dir.join(only).shown()
                ),
                (false, 0) => HOW.to_owned(),
                (false, n) => format!("{} loose beside it. {HOW}", images(n)),
            };
            Err(Error::Data(format!(
                "expected at least two class folders in {shown}, since with one there is nothing to tell apart. \
                 Received one: {only}. {hint}"
            )))
        }
        n if n > MAX_CLASSES => Err(Error::Data(format!(
            "expected at most {MAX_CLASSES} class folders in {shown}. Received: {n}. Is each photograph in a folder \
             of its own?"
        ))),
        _ => {
            if loose > 0 {
                say(format!("{} loose in {shown}, in no class folder, and left out.", images(loose)));
            }
            Ok(())
        }
    }
}

/// How many files right in `dir` are called like images.
fn images_in(dir: &Path) -> usize {
    let named_so = |path: PathBuf| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_lowercase();
        IMAGES.contains(&end.as_str()) && path.is_file()
    };
    dir.read_dir().into_iter().flatten().flatten().filter(|entry| named_so(entry.path())).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| std::fs::create_dir_all(dir.path().join(name)).unwrap());
        dir
    }

    #[test]
    fn train_validation_and_test_are_known_by_their_names_and_their_inner_folders() {
        for (names, validation, test) in [
            (&["train/a", "train/b", "validation/a", "test/a"][..], Some("validation"), Some("test")),
            (&["Training/a", "val/a"], Some("val"), None),
            (&["train/a", "train/b", "TEST/a"], None, Some("TEST")),
            (&["train/a", "valid/b"], Some("valid"), None),
        ] {
            let dir = folders(names);
            let found = layout(dir.path()).unwrap();
            assert!(found.train != dir.path());
            assert_eq!(found.validation, validation.map(|name| dir.path().join(name)));
            assert_eq!(found.test, test.map(|name| dir.path().join(name)));
        }
        let classes = folders(&["train", "plane", "test"]);
        assert_eq!(layout(classes.path()).unwrap().train, classes.path(), "classes of vehicles");
        let both = folders(&["train/a", "val/a", "cats"]);
        let text = layout(both.path()).unwrap_err().to_string();
        assert!(text.contains("cats lies beside `train`"), "{text}");
    }

    #[test]
    fn what_is_no_folder_of_classes_is_told_with_what_to_do() {
        let says = |names: &[&str], files: &[&str], what: &str| {
            let dir = folders(names);
            files.iter().for_each(|file| std::fs::write(dir.path().join(file), "").unwrap());
            let text = check_classes(dir.path(), None).unwrap_err().to_string();
            assert!(text.contains(what) && text.contains(dir.path().to_str().unwrap()), "{text}");
        };
        says(&[], &[], "Received none. Put");
        says(&[], &["a.jpg", "b.PNG", "notes.txt"], "2 images lie loose");
        says(&["cats"], &[], "Received one: cats. Put");
        says(&["cats"], &["a.jpg"], "1 image lies loose beside it");
        says(&["photos/cats", "photos/dogs"], &[], "photos if these are the classes");
        let many: Vec<String> = (0..1001).map(|i| i.to_string()).collect();
        says(&many.iter().map(String::as_str).collect::<Vec<_>>(), &[], "Received: 1001");
        check_classes(folders(&["cats", "dogs"]).path(), None).unwrap();
    }
}
