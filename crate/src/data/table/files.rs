//! Where the photographs of a table lie: each is found, in whatever Unicode normalisation form its name is written, or
//! the error names the lines.

use super::read::LabelTable;
use crate::data::depth::{too_deep, MAX_DEPTH};
use crate::data::folder::{entries, Kind, Trail};
use crate::data::kinds::is_called_like_an_image;
use crate::data::names::{composed, counted};
use crate::input::{is_no_file, patiently};
use crate::progress::{check_stop, say};
use crate::{input, Error, Result, Show};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Files that a message lists.
const SHOWN: usize = 5;

/// The path of each row's photograph below `dir`, in the order of the rows. Says which images of the folder the table
/// does not name.
///
/// # Errors
/// [`Error::Data`] that names the lines where a file is missing, or the name stands for several.
pub(super) fn find(dir: &Path, table: &LabelTable) -> Result<Vec<PathBuf>> {
    let mut listed = list(dir)?;
    let mut found = Vec::with_capacity(table.rows.len());
    let mut missing: Vec<(u32, String)> = Vec::new();
    for (name, row) in &table.rows {
        check_stop("Looking for the photographs of the table")?;
        match listed.remove(name) {
            Some(paths) => match paths.as_slice() {
                [only] => found.push(only.clone()),
                several => {
                    return Err(Error::Data(format!(
                        "{}, line {}: {} stands for {} whose names look alike: {}. Rename all but one.",
                        table.path.shown(),
                        row.line,
                        name.shown(),
                        counted(several.len(), "file"),
                        names(
                            several
                                .iter()
                                .map(|path| format!("{:?}", path.strip_prefix(dir).unwrap_or(path)))
                        )
                    )))
                }
            },
            // Hidden, or behind a link to a folder that was read by another path.
            None => match hidden(&dir.join(name))? {
                Some(path) => found.push(path),
                None => missing.push((row.line, name.clone())),
            },
        }
    }
    if !missing.is_empty() {
        return Err(absent(dir, table, missing));
    }
    tell_unnamed(dir, listed);
    Ok(found)
}

/// A file that the listing has not got.
fn hidden(path: &Path) -> Result<Option<PathBuf>> {
    match patiently(|| input::open(path)) {
        Ok(_) => Ok(Some(path.to_owned())),
        Err(e) if is_no_file(&e) => Ok(None),
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(input::photograph(path, e)),
    }
}

/// All files below the folder, by their paths in normalisation form C. Two may have one such path.
fn list(dir: &Path) -> Result<HashMap<String, Vec<PathBuf>>> {
    let mut trail = Trail::above(dir);
    trail.enter(dir)?;
    let mut files: HashMap<String, Vec<PathBuf>> = HashMap::new();
    let mut waiting: Vec<(PathBuf, usize)> = vec![(dir.to_owned(), 0)];
    let mut links: Vec<(PathBuf, usize)> = Vec::new();
    loop {
        // Links last, so that a folder has its own path.
        let Some((folder, depth)) = waiting.pop() else {
            if links.is_empty() {
                return Ok(files);
            }
            links.sort();
            for (path, depth) in std::mem::take(&mut links) {
                if trail.enter(&path)?.is_none() {
                    waiting.push((path, depth));
                }
            }
            continue;
        };
        if depth > MAX_DEPTH {
            return Err(too_deep(&folder));
        }
        for entry in entries(&folder)? {
            match entry.kind {
                Kind::Folder => {
                    if trail.enter(&entry.path)?.is_none() {
                        waiting.push((entry.path, depth + 1));
                    }
                }
                Kind::LinkedFolder => links.push((entry.path, depth + 1)),
                Kind::File => {
                    let below = entry.path.strip_prefix(dir).unwrap_or(&entry.path);
                    let parts: Vec<String> = below
                        .components()
                        .map(|part| composed(&part.as_os_str().to_string_lossy()))
                        .collect();
                    files.entry(parts.join("/")).or_default().push(entry.path);
                }
                Kind::Odd(_) => {}
            }
        }
    }
}

fn absent(dir: &Path, table: &LabelTable, mut missing: Vec<(u32, String)>) -> Error {
    missing.sort();
    let shown =
        names(missing.iter().take(SHOWN).map(|(line, name)| format!("{} (line {line})", name.shown())));
    let more = match missing.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let hint = match missing.iter().any(|(_, name)| name.contains('\\')) {
        true => "Write `/` between the folders of a path.",
        false => "Paths are relative to this folder. Correct the lines or remove them.",
    };
    Error::Data(format!(
        "{}: {} of {} are not in {}: {shown}{more}. {hint}",
        table.path.shown(),
        missing.len(),
        counted(table.rows.len(), "photograph"),
        dir.shown()
    ))
}

/// Says how many images the table does not name.
fn tell_unnamed(dir: &Path, left: HashMap<String, Vec<PathBuf>>) {
    let mut unnamed: Vec<PathBuf> =
        left.into_values().flatten().filter(|path| is_called_like_an_image(path)).collect();
    if unnamed.is_empty() {
        return;
    }
    unnamed.sort();
    let shown =
        unnamed.iter().take(SHOWN).map(|path| path.strip_prefix(dir).unwrap_or(path).shown().to_string());
    let more = match unnamed.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    say(format!(
        "{} in {} that the table does not name, left out: {}{more}.",
        counted(unnamed.len(), "image"),
        dir.shown(),
        names(shown)
    ));
}

fn names(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join(", ")
}
