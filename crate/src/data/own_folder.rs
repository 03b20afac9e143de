//! What is wrong with a folder of class folders, before its photographs are opened.

use super::folder::entries;
use super::layout::{without, Part, NAME_CLASSES};
use super::listing::class_folders;
use super::look::{look, Look};
use super::names::{composed, counted, joined, rough};
use crate::progress::say;
use crate::{Error, Result, Show};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Names that a message lists.
const SHOWN: usize = 20;
/// Files that a message lists.
const FILES_SHOWN: usize = 3;
const HOW: &str = "Put the photographs of each class into a folder named after it, as in cats/ and dogs/.";

/// Refuses a folder that has not got at least two class folders, with what is there instead. Says what will
/// be left out of others. `validation` is a folder to validate with; lying in `dir`, it is not left out.
pub(super) fn check_classes(dir: &Path, wanted: Option<&[String]>, validation: Option<&Path>) -> Result<()> {
    let mut found = class_folders(dir)?;
    if let Some(validation) = validation {
        found = without(dir, found, validation)?;
    }
    let loose = loose_images(dir)?;
    let shown = dir.shown();
    let lie = |n: usize| format!("{} {}", counted(n, "image"), if n == 1 { "lies" } else { "lie" });
    let names = wanted.unwrap_or(&found);
    match names {
        [] if !loose.is_empty() => Err(Error::Data(format!(
            "expected at least two class folders in {shown}. Received none: {} loose in it. {HOW}",
            lie(loose.len())
        ))),
        [] => {
            Err(Error::Data(format!("expected at least two class folders in {shown}. Received none. {HOW}")))
        }
        [only] => {
            let folder = dir.join(only);
            let inner = if found.contains(only) { class_folders(&folder)? } else { Vec::new() };
            let hint = match (&inner[..], loose.len()) {
                ([_, ..], _) if loose_images(&folder)?.is_empty() => is_it_deeper(&folder, &inner),
                (_, 0) => HOW.to_owned(),
                (_, n) => format!("{} loose beside it. {HOW}", lie(n)),
            };
            Err(Error::Data(format!(
                "expected at least two class folders in {shown}, since with one there is nothing to tell apart. \
                 Received one: {}. {hint}",
                only.shown()
            )))
        }
        _ => {
            tell_left_out(dir, &found, names);
            say_loose(dir, &loose);
            tell_alike(names);
            Ok(())
        }
    }
}

/// Says which folders are none of the classes.
fn tell_left_out(dir: &Path, found: &[String], classes: &[String]) {
    let known: HashSet<String> = classes.iter().map(|name| composed(name)).collect();
    let left: Vec<&str> =
        found.iter().filter(|name| !known.contains(&composed(name))).map(String::as_str).collect();
    if left.is_empty() {
        return;
    }
    let hint = match left.iter().any(|name| Part::named(name).is_some()) {
        true => format!(" {NAME_CLASSES}."),
        false => String::new(),
    };
    let names = joined(left, SHOWN);
    say(format!("Left out beside the class folders in {}: {names}.{hint}", dir.shown()));
}

/// Asks whether the classes are the folders in a folder.
pub(super) fn is_it_deeper(folder: &Path, inner: &[String]) -> String {
    format!(
        "It has folders itself ({}): did you mean {}?",
        joined(inner.iter().map(String::as_str), FILES_SHOWN),
        folder.shown()
    )
}

/// Says which images lie beside the class folders, and in none.
pub(super) fn say_loose(dir: &Path, loose: &[PathBuf]) {
    if loose.is_empty() {
        return;
    }
    let names = loose.iter().filter_map(|path| path.file_name()).map(|name| name.shown().to_string());
    let names: Vec<String> = names.collect();
    say(format!(
        "Left out {} loose in {}, in no class folder: {}.",
        counted(loose.len(), "image"),
        dir.shown(),
        joined(names.iter().map(String::as_str), FILES_SHOWN)
    ));
}

/// The files right in `dir` that are images or called like images, sorted.
pub(super) fn loose_images(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        entries(dir)?.into_iter().filter(|e| e.kind == super::folder::Kind::File).map(|e| e.path).collect();
    files.sort();
    let looks: Vec<Result<Look>> = crate::threads::map(files.iter().collect(), |path: &PathBuf| look(path));
    let mut loose = Vec::new();
    for (path, look) in files.into_iter().zip(looks) {
        if look? != Look::Other {
            loose.push(path);
        }
    }
    Ok(loose)
}

/// Says which names of classes differ by case or blanks alone.
fn tell_alike(names: &[String]) {
    let mut seen: HashMap<String, &String> = HashMap::new();
    for name in names {
        if let Some(other) = seen.insert(rough(name), name) {
            say(format!(
                "`{}` and `{}` are two classes; their names differ only by case or blanks.",
                other.shown(),
                name.shown()
            ));
        }
    }
}

/// Refuses a folder that holds other folders than those of `class_names`, to measure with. Those of `left_out` are left
/// out there as in training.
pub(super) fn check_known(dir: &Path, class_names: &[String], left_out: &[String]) -> Result<()> {
    let shown = dir.shown();
    let found = class_folders(dir)?;
    let known: HashSet<String> = class_names.iter().chain(left_out).map(|name| composed(name)).collect();
    let unknown: Vec<&String> = found.iter().filter(|name| !known.contains(&composed(name))).collect();
    let names = joined(class_names.iter().map(String::as_str), SHOWN);
    if let Some(part) = unknown.iter().find(|name| Part::named(name).is_some()) {
        return Err(Error::Data(format!(
            "expected folders of the classes that the model knows in {shown}: {names}. Received: {}. Its sets are \
             measured one at a time: name one of them, such as {}.",
            joined(unknown.iter().map(|name| name.as_str()), SHOWN),
            dir.join(part).shown()
        )));
    }
    if let Some(first) = unknown.first() {
        let alike = class_names.iter().find(|name| rough(name) == rough(first));
        let hint = match alike {
            Some(name) => format!(" Rename {} to {}.", first.shown(), name.shown()),
            None => " Move the others elsewhere.".to_owned(),
        };
        return Err(Error::Data(format!(
            "expected in {shown} only folders of the classes that the model knows: {names}. Received: {}.{hint}",
            joined(unknown.iter().map(|name| name.as_str()), SHOWN)
        )));
    }
    let loose = loose_images(dir)?;
    if found.is_empty() {
        let and = match loose.len() {
            0 => String::new(),
            n => format!(", and {} loose in it", counted(n, "image")),
        };
        return Err(Error::Data(format!(
            "expected in {shown} folders of the classes that the model knows: {names}. Received no folder{and}. {HOW}"
        )));
    }
    say_loose(dir, &loose);
    Ok(())
}
