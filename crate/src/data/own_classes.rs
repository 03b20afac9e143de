//! What is wrong with the classes of a data set, or worth knowing, once its photographs are opened.

use super::dataset::Dataset;
use super::names::{counted, joined};
use super::own_folder::is_it_deeper;
use crate::progress::say;
use crate::thousands::thousands;
use crate::{Error, Result, Show};
use std::collections::BTreeSet;
use std::path::Path;

/// Names that a message lists.
const SHOWN: usize = 20;
/// Below so many photographs a class is said to have few.
const FEW: usize = 10;

/// What of a class lies in sub-folders of its folder.
#[derive(Debug, Default)]
struct Nested {
    /// Photographs right in the class folder.
    direct: usize,
    /// Photographs below.
    deeper: usize,
    /// The sub-folders that they lie in.
    folders: BTreeSet<String>,
}

/// Refuses classes without a photograph, and folders that are probably no classes. Says which classes have photographs
/// in sub-folders.
pub(super) fn check_opened(all: &Dataset, folder: &Path, classes_named: bool) -> Result<()> {
    let names = all.class_names();
    let nested = nested(all, folder);
    let with_some: Vec<usize> =
        (0..names.len()).filter(|&i| nested[i].direct + nested[i].deeper > 0).collect();
    if let [only] = with_some[..] {
        let Nested { direct, folders, .. } = &nested[only];
        if *direct == 0 && !classes_named {
            let inner: Vec<String> = folders.iter().cloned().collect();
            return Err(Error::Data(format!(
                "expected photographs in at least two class folders in {}. Received photographs in one: {}. {}",
                folder.shown(),
                names[only].shown(),
                is_it_deeper(&folder.join(&names[only]), &inner)
            )));
        }
    }
    if with_some.len() < names.len() {
        return Err(empty_classes(all, folder));
    }
    if !classes_named {
        refuse_sets(&nested, names, folder)?;
    }
    let told: Vec<String> = names
        .iter()
        .zip(&nested)
        .filter(|(_, nested)| nested.deeper > 0)
        .map(|(name, Nested { direct, deeper, folders })| {
            let below = joined(folders.iter().map(String::as_str), 3);
            format!("{deeper} of {} of {name} in {below}", direct + deeper)
        })
        .collect();
    if !told.is_empty() {
        say(format!(
            "Photographs in sub-folders of a class folder belong to the class: {}.",
            joined(told.iter().map(String::as_str), SHOWN)
        ));
    }
    Ok(())
}

fn nested(all: &Dataset, folder: &Path) -> Vec<Nested> {
    let mut nested: Vec<Nested> = all.class_names().iter().map(|_| Nested::default()).collect();
    for (path, &label) in all.store.paths.iter().zip(all.labels()) {
        let of_class = &mut nested[label as usize];
        // class folder / sub-folder / … / file
        let mut below = path.strip_prefix(folder).unwrap_or(&path).components().skip(1);
        match (below.next(), below.next()) {
            (Some(first), Some(_)) => {
                of_class.deeper += 1;
                if !of_class.folders.contains(&*first.as_os_str().to_string_lossy()) {
                    of_class.folders.insert(first.as_os_str().to_string_lossy().into_owned());
                }
            }
            _ => of_class.direct += 1,
        }
    }
    nested
}

fn empty_classes(all: &Dataset, folder: &Path) -> Error {
    let counts = all.class_counts();
    let empty: Vec<&str> = all
        .class_names()
        .iter()
        .zip(counts)
        .filter(|(_, n)| *n == 0)
        .map(|(name, _)| name.as_str())
        .collect();
    let first = folder.join(empty[0]);
    let why = all.skipped().into_iter().find(|file| file.path.starts_with(&first));
    let others = match empty.len() {
        1 => String::new(),
        _ => format!(" The same goes for {}.", joined(empty[1..].iter().copied(), SHOWN)),
    };
    Error::Data(format!(
        "the class folder {} has no readable image{}. Put photographs into it, or remove it.{others}",
        first.shown(),
        why.map(|file| format!(" ({file})")).unwrap_or_default()
    ))
}

/// Refuses folders that have no photographs of their own and all have the same sub-folders: these may be the classes,
/// and the folders parts of a data set.
fn refuse_sets(nested: &[Nested], names: &[String], folder: &Path) -> Result<()> {
    let common = nested.iter().map(|n| n.folders.clone()).reduce(|a, b| &a & &b).unwrap_or_default();
    if common.len() < 2 || nested.iter().any(|n| n.direct > 0) {
        return Ok(());
    }
    let shown = folder.shown();
    let (sets, classes) =
        (joined(names.iter().map(String::as_str), 3), joined(common.iter().map(String::as_str), 3));
    Err(Error::Data(format!(
        "expected photographs in the class folders in {shown}. Received: folders ({sets}) that hold no photographs \
         themselves, but all of them the same folders ({classes}). If {classes} are the classes, name one of the \
         folders, such as {}, or call them `train` and `validation`. If {sets} are the classes, name them: \
         `class_names`, or `--classes` in the program.",
        folder.join(&names[0]).shown()
    )))
}

/// Refuses a split of classes that have a single photograph.
pub(super) fn check_splittable(all: &Dataset) -> Result<()> {
    let single = named(all, |n| n == 1);
    let classes = all.class_names().len();
    match single.len() {
        0 => Ok(()),
        n if n == classes && n > 2 => Err(Error::Data(format!(
            "each of {} folders has one photograph: are these folders classes? A class needs at least two, one to train \
             on and one to validate with.",
            thousands(n)
        ))),
        n => Err(Error::Data(format!(
            "expected at least two photographs of each class, one to train on and one to validate with. Received one of \
             {}: {}. Add photographs or remove the folder, or give a folder to validate with.",
            if n == 1 { "this class".to_owned() } else { format!("these {n} classes") },
            joined(single, SHOWN)
        ))),
    }
}

/// Says which classes have few photographs to train on.
pub(super) fn tell_few(train: &Dataset) {
    let few = named(train, |n| (1..FEW).contains(&n));
    if !few.is_empty() {
        say(format!(
            "{} fewer than {FEW} photographs to train on: {}. More of them make a better model.",
            if few.len() == 1 { "1 class has".to_owned() } else { format!("{} classes have", few.len()) },
            joined(few, SHOWN)
        ));
    }
}

/// Says which classes a data set to measure with has no photograph of.
pub(super) fn tell_missing(measured: &Dataset, folder: &Path) {
    let missing = named(measured, |n| n == 0);
    if !missing.is_empty() {
        let n = counted(missing.len(), "class");
        say(format!("{} has no photograph of {n}: {}.", folder.shown(), joined(missing, SHOWN)));
    }
}

/// The classes with such a number of photographs.
fn named(dataset: &Dataset, holds: impl Fn(usize) -> bool) -> Vec<&str> {
    let counts = dataset.class_counts();
    dataset
        .class_names()
        .iter()
        .zip(counts)
        .filter(|&(_, n)| holds(n))
        .map(|(name, _)| name.as_str())
        .collect()
}
