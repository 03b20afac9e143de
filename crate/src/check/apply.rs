//! Carries out a table of changes in a new folder.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::fix::Action;
use super::table::{self, Row};
use crate::data::{whole_sets, ImageDatasetOptions, WholeSet};
use crate::output::tree::NewFolder;
use crate::progress::check_stop;
use crate::{Error, Result, Show};

/// Options of [`apply_fixes`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct ApplyOptions {
    pub(super) copy: bool,
}

impl ApplyOptions {
    /// Whether photographs are copied. Without a call they are hard links, which take no room: the new folder and the
    /// old one then share the photographs themselves.
    pub fn copy(mut self, yes: bool) -> Self {
        self.copy = yes;
        self
    }
}

/// What [`apply_fixes`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Applied {
    /// Photographs in the new folder.
    pub photographs: usize,
    /// How many were left out.
    pub dropped: usize,
    /// How many are in another set.
    pub moved: usize,
    /// How many have another class.
    pub relabelled: usize,
    /// How many are copies and not hard links.
    pub copies: usize,
}

/// Makes a new folder of the photographs of `dir` with the changes of a table, as
/// [`CheckReport::save_fixes`](super::CheckReport::save_fixes) writes it. `dir` itself stays as it is.
///
/// Photographs that the table does not name stay as they are, also those that cannot be decoded; files that are no
/// photographs are not taken along. The table is checked as a whole before anything is written, and the new folder
/// appears whole or not at all. Where a photograph comes to a folder that has one of the same name, it gets a number:
/// `1-2.jpg`.
///
/// # Errors
/// [`Error::Data`] where a row of the table makes no sense or names what is no photograph of `dir`: the error names the
/// line. [`Error::Invalid`] where `into` is there and is not an empty folder, or lies in `dir`. As
/// [`own_photographs`](crate::data::own_photographs) for `dir`.
///
/// ```no_run
/// use transfer::check::{apply_fixes, ApplyOptions};
/// let done = apply_fixes("my_photos", "changes.csv", "my_photos_2", ApplyOptions::default())?;
/// println!("{} photographs, {} relabelled", done.photographs, done.relabelled);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn apply_fixes(
    dir: impl AsRef<Path>,
    table: impl AsRef<Path>,
    into: impl AsRef<Path>,
    options: ApplyOptions,
) -> Result<Applied> {
    let (dir, table, into) = (dir.as_ref(), table.as_ref(), into.as_ref());
    let rows = table::read(table)?;
    refuse_inside(dir, into)?;
    let reading = ImageDatasetOptions::default().max_left_out(1.0);
    let sets = whole_sets(dir, None, reading)?;
    let plan = Plan::new(dir, &sets, rows, table)?;
    let mut folder = NewFolder::create(into)?;
    let mut done = Applied {
        dropped: plan.dropped,
        moved: plan.moved,
        relabelled: plan.relabelled,
        ..Applied::default()
    };
    for (from, to) in plan.files {
        check_stop("The new folder")?;
        let to = free_name(&folder, to);
        done.copies += usize::from(!folder.add(&from, &to, options.copy)?);
        done.photographs += 1;
    }
    folder.finish()?;
    Ok(done)
}

/// A new folder among the photographs would be taken for a class.
pub(super) fn refuse_inside(dir: &Path, into: &Path) -> Result<()> {
    let here = |path: &Path| match path.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => path.to_owned(),
    };
    let Ok(dir_itself) = here(dir).canonicalize() else { return Ok(()) };
    // The part of it that is there has no links; what is to be made below has none either.
    let above = into.ancestors().find_map(|above| here(above).canonicalize().ok());
    match above.is_some_and(|above| above.starts_with(&dir_itself)) {
        true => Err(Error::Invalid(format!(
            "expected a new folder outside of the photographs. Received: {}, which lies in {}. Name another one.",
            into.shown(),
            dir.shown()
        ))),
        false => Ok(()),
    }
}

/// Where each photograph goes.
struct Plan {
    /// Those that stay first, so that these keep their names.
    files: Vec<(PathBuf, PathBuf)>,
    dropped: usize,
    moved: usize,
    relabelled: usize,
}

impl Plan {
    fn new(dir: &Path, sets: &[WholeSet], rows: Vec<Row>, table: &Path) -> Result<Self> {
        let wrong = |line: u64, what: String| Error::Data(format!("{}: line {line}: {what}", table.shown()));
        let mut actions: HashMap<PathBuf, Row> =
            rows.into_iter().map(|row| (row.file.clone(), row)).collect();
        let mut plan = Plan { files: Vec::new(), dropped: 0, moved: 0, relabelled: 0 };
        let mut changed = Vec::new();
        for set in sets {
            let skipped: Vec<PathBuf> = set.data.skipped().into_iter().map(|file| file.path).collect();
            for path in set.data.file_paths().iter().chain(&skipped) {
                let inner = path.strip_prefix(dir).unwrap_or(path);
                let row = actions.remove(inner);
                let line = row.as_ref().map_or(0, |row| row.line);
                let target = match row.map_or(Action::Keep, |row| row.action) {
                    Action::Keep => {
                        plan.files.push((path.clone(), inner.to_owned()));
                        continue;
                    }
                    Action::Drop => {
                        plan.dropped += 1;
                        continue;
                    }
                    Action::Move(to) => {
                        let other = other_set(sets, &to).map_err(|what| wrong(line, what))?;
                        plan.moved += 1;
                        let below = path.strip_prefix(&set.folder).unwrap_or(inner);
                        other.folder.strip_prefix(dir).unwrap_or(&other.folder).join(below)
                    }
                    Action::Relabel(to) => {
                        let to = known_class(set, &to).map_err(|what| wrong(line, what))?;
                        plan.relabelled += 1;
                        let below = path.strip_prefix(&set.folder).unwrap_or(inner);
                        let without_class: PathBuf = below.components().skip(1).collect();
                        set.folder.strip_prefix(dir).unwrap_or(&set.folder).join(to).join(without_class)
                    }
                };
                changed.push((path.clone(), target));
            }
        }
        plan.files.extend(changed);
        match actions.into_values().min_by_key(|row| row.line) {
            None => Ok(plan),
            Some(Row { line, file, .. }) => Err(wrong(
                line,
                format!(
                    "expected a photograph of {}. Received {}, which is none. Correct its name, or remove the line.",
                    dir.shown(),
                    file.shown()
                ),
            )),
        }
    }
}

fn other_set<'a>(sets: &'a [WholeSet], name: &str) -> Result<&'a WholeSet, String> {
    sets.iter().find(|set| set.name == name).ok_or_else(|| {
        let names: Vec<&str> = sets.iter().map(|set| set.name).filter(|name| *name != "all").collect();
        match names[..] {
            [] => format!("expected no `move`, since the folder has no sets. Received: to {}", name.shown()),
            _ => format!(
                "expected one of the folder's sets ({}). Received: {}",
                names.join(", "),
                name.shown()
            ),
        }
    })
}

fn known_class(set: &WholeSet, name: &str) -> Result<String, String> {
    let names = set.data.class_names();
    match names.iter().any(|known| known == name) {
        true => Ok(name.to_owned()),
        false => Err(format!(
            "expected one of the classes ({}). Received: {}",
            names.iter().take(20).map(|name| name.shown().to_string()).collect::<Vec<_>>().join(", "),
            name.shown()
        )),
    }
}

/// The path, with a number where another photograph has it already.
fn free_name(folder: &NewFolder, path: PathBuf) -> PathBuf {
    if !folder.has(&path) {
        return path;
    }
    let (stem, ending) = (path.file_stem().unwrap_or_default(), path.extension());
    let numbered = |number: usize| {
        let mut name = OsString::from(stem);
        name.push(format!("-{number}"));
        if let Some(ending) = ending {
            name.push(".");
            name.push(ending);
        }
        path.with_file_name(name)
    };
    (2..).map(numbered).find(|path| !folder.has(path)).unwrap_or(path)
}
