//! Which layout somebody's folder has, by the names of its sub-folders: class folders right in it, or below `train`,
//! `validation` and `test`. What is ambiguous is an error.

use super::folder::{entries, is_same};
use super::kinds::is_called_like_an_image;
use super::listing::class_folders;
use super::names::{composed, joined};
use crate::progress::say;
use crate::{Error, Result, Show};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Names that a message lists.
const SHOWN: usize = 10;
/// What to do where a folder's name means a set and is meant as a class.
pub(super) const NAME_CLASSES: &str =
    "If it is a class, name the classes: `class_names`, or `--classes a,b,c` in the program";

/// What a folder of class folders is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    const ALL: [Part; 3] = [Part::Train, Part::Validation, Part::Test];

    /// The names of folders that mean it, in lower case; the usual one first.
    fn words(self) -> &'static [&'static str] {
        match self {
            Part::Train => &["train", "training"],
            Part::Validation => &["validation", "valid", "val"],
            Part::Test => &["test", "testing"],
        }
    }

    /// The usual name.
    pub fn usual(self) -> &'static str {
        self.words()[0]
    }

    /// What a folder of this name is for.
    pub fn named(name: &str) -> Option<Part> {
        let name = name.trim().to_lowercase();
        Part::ALL.into_iter().find(|part| part.words().contains(&name.as_str()))
    }

    /// What a folder of this name is for if it is a slip of the keyboard.
    fn resembling(name: &str) -> Option<Part> {
        let name = name.trim().to_lowercase();
        let near = |word: &str| strsim::damerau_levenshtein(word, &name) <= word.len() / 4;
        Part::ALL.into_iter().find(|part| part.words().iter().any(|word| near(word)))
    }
}

/// Where the class folders lie.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub train: PathBuf,
    /// The classes, sorted, where not each folder in `train` is one.
    pub classes: Option<Vec<String>>,
    pub validation: Option<PathBuf>,
    pub test: Option<PathBuf>,
}

impl Layout {
    fn plain(dir: &Path, classes: Option<Vec<String>>) -> Self {
        Layout { train: dir.to_owned(), classes, validation: None, test: None }
    }
}

/// A sub-folder.
struct Folder {
    name: String,
    path: PathBuf,
    /// What its name says, unless it is named as a class.
    part: Option<Part>,
    /// Whether folders lie in it, and no files that are called like images.
    holds_folders: bool,
    has_folders: bool,
}

/// Tells a folder of class folders from one of `train` and `validation`, in which those lie. `classes` are those that
/// are named; `validation` is a folder to validate with, which is none of the classes.
pub(super) fn layout(dir: &Path, classes: Option<&[String]>, validation: Option<&Path>) -> Result<Layout> {
    expect_folder(dir)?;
    let mut names = class_folders(dir)?;
    let all = names.len();
    if let Some(validation) = validation {
        names = without(dir, names, validation)?;
    }
    let aside = names.len() < all;
    let here: HashSet<String> = names.iter().map(|name| composed(name)).collect();
    let named_here = classes.is_some_and(|all| all.iter().all(|class| here.contains(&composed(class))));
    let mut found = Vec::new();
    for name in names {
        let path = dir.join(&name);
        let part = Part::named(&name).filter(|_| !named_here);
        let inner = entries(&path)?;
        let has_folders = inner.iter().any(|entry| entry.is_folder());
        let images = inner.iter().any(|entry| !entry.is_folder() && is_called_like_an_image(&entry.path));
        found.push(Folder { name, path, part, has_folders, holds_folders: has_folders && !images });
    }
    let train = one(dir, &found, Part::Train)?;
    let (val, test) = (one(dir, &found, Part::Validation)?, one(dir, &found, Part::Test)?);
    match train {
        Some(train) => {
            let is_used =
                |f: &Folder| [Some(train), val, test].into_iter().flatten().any(|p| p.name == f.name);
            beside_train(dir, found.iter().filter(|f| !is_used(f)), val, test)?;
            let path = |f: Option<&Folder>| f.map(|f| f.path.clone());
            Ok(Layout { train: train.path.clone(), classes: None, validation: path(val), test: path(test) })
        }
        None if classes.is_some() => Ok(Layout::plain(dir, None)),
        None => without_train(dir, &found, aside),
    }
}

/// The folders but for the one that is `other`.
pub(super) fn without(dir: &Path, names: Vec<String>, other: &Path) -> Result<Vec<String>> {
    let mut kept = Vec::new();
    for name in names {
        if !is_same(other, &dir.join(&name))? {
            kept.push(name);
        }
    }
    Ok(kept)
}

/// Refuses what holds no folders at all.
pub(super) fn expect_folder(dir: &Path) -> Result<()> {
    let expected = "expected a folder that holds one folder for each class";
    let meta = match std::fs::metadata(dir) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::Data(format!(
                "{expected}. Received: `{}`, which does not exist. Correct the name.",
                dir.shown()
            )))
        }
        Err(e) => return Err(Error::io("cannot look at the folder", dir, e)),
    };
    if !meta.is_dir() {
        let what = if meta.is_file() { "a file" } else { "something that is no folder" };
        return Err(Error::Data(format!("{expected}. Received {what}: {}. Name the folder.", dir.shown())));
    }
    if cfg!(unix) && std::fs::canonicalize(dir).is_ok_and(|full| full.parent().is_none()) {
        return Err(Error::Data(format!(
            "{expected}. Received: {}, which holds the whole system. Name the folder of the photographs.",
            dir.shown()
        )));
    }
    Ok(())
}

/// The one folder for `part` that has class folders.
fn one<'a>(dir: &Path, found: &'a [Folder], part: Part) -> Result<Option<&'a Folder>> {
    let all: Vec<&Folder> = found.iter().filter(|f| f.part == Some(part) && f.has_folders).collect();
    match all[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(Error::Data(format!(
            "expected one folder for the {} set in {}. Received {}: {}. Rename or move all but one.",
            match part {
                Part::Train => "training",
                Part::Validation => "validation",
                Part::Test => "test",
            },
            dir.shown(),
            all.len(),
            joined(all.iter().map(|f| f.name.as_str()), SHOWN)
        ))),
    }
}

/// Names what lies beside `train` and is not used; refuses what is probably a slip of the keyboard.
fn beside_train<'a>(
    dir: &Path,
    others: impl Iterator<Item = &'a Folder> + Clone,
    validation: Option<&Folder>,
    test: Option<&Folder>,
) -> Result<()> {
    for other in others.clone().filter(|f| f.part.is_none() && f.holds_folders) {
        let wanted = match Part::resembling(&other.name) {
            Some(Part::Validation) if validation.is_none() => Part::Validation,
            Some(Part::Test) if test.is_none() => Part::Test,
            _ => continue,
        };
        return Err(slip(dir, other, wanted));
    }
    let told: Vec<String> = others
        .map(|f| match f.part {
            Some(_) if !f.has_folders => format!("{} (it has no class folders)", f.name),
            _ => f.name.clone(),
        })
        .collect();
    if !told.is_empty() {
        let names = joined(told.iter().map(String::as_str), SHOWN);
        say(format!("Left out beside the training set in {}: {names}.", dir.shown()));
    }
    Ok(())
}

fn slip(dir: &Path, folder: &Folder, part: Part) -> Error {
    Error::Data(format!(
        "the folder {} in {} looks like `{}` with a slip of the keyboard. Rename it, or move it elsewhere.",
        folder.name.shown(),
        dir.shown(),
        part.usual()
    ))
}

/// The layout where no folder is the training set: each is a class, or it is an error. `aside` says that a folder is
/// none of them.
fn without_train(dir: &Path, found: &[Folder], aside: bool) -> Result<Layout> {
    let (parts, others): (Vec<&Folder>, Vec<&Folder>) = found.iter().partition(|f| f.part.is_some());
    let like_train = |f: &&&Folder| f.holds_folders && Part::resembling(&f.name) == Some(Part::Train);
    if let Some(train) = others.iter().find(like_train)
        && others.iter().all(|f| f.holds_folders)
    {
        return Err(slip(dir, train, Part::Train));
    }
    let shown = dir.shown();
    if let Some(held_out) = parts.iter().find(|f| f.has_folders) {
        return Err(Error::Data(format!(
            "expected `train` with class folders beside {} in {shown}. Received: {}. Name the folder of the training set \
             `train`. {NAME_CLASSES}.",
            held_out.name.shown(),
            joined(found.iter().map(|f| f.name.as_str()), SHOWN)
        )));
    }
    let train = parts.iter().find(|f| f.part == Some(Part::Train));
    if let Some(part) = train.or(parts.first().filter(|_| others.len() < 2)) {
        return Err(Error::Data(format!(
            "expected class folders in {}, as in {}/cats/ and {}/dogs/. Received: a folder without any. `train`, \
             `validation` and `test` are never taken for classes: sort the photographs into a folder for each class. \
             {NAME_CLASSES}.",
            part.path.shown(),
            part.name.shown(),
            part.name.shown()
        )));
    }
    let classes = || others.iter().map(|f| f.name.clone()).collect();
    Ok(Layout::plain(dir, (aside || !parts.is_empty()).then(classes)))
}
