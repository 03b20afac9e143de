//! What is found out about the files of a folder before the first is used.
//!
//! The head of each file is looked at. Of classes with few files all of it is, since there a single damaged one
//! decides whether either side of a split has any.

use rayon::prelude::*;
use std::path::PathBuf;

use super::bad_images::Skipped;
use super::decode::{decode, probe, Buffers, Unusable};
use super::kinds::is_called_like_an_image;
use super::left_out::Tally;
use super::options::{ImageDatasetOptions, OnBadImage};
use super::store::bad_image;
use crate::progress::{check_stop, say};
use crate::{input, Error, Result, Show};

/// The files of a class of at most so many are decoded at once.
const SMALL_CLASS: usize = 10;
/// More files than this are not decoded at once, however small their classes are.
const MOST_DECODED: usize = 2000;
/// How many names the line about files that are no images holds.
const NAMED: usize = 3;

/// The files of a folder.
pub(super) struct Opened {
    /// Those to use, with their labels.
    pub files: Vec<(PathBuf, u32)>,
    /// Those that were left out.
    pub skipped: Vec<Skipped>,
    pub tally: Tally,
}

/// Looks at `files`, which are paths with labels.
///
/// # Errors
/// Where a file cannot be read, a class has too many bad ones, or one is bad and the options ask for an error.
pub(super) fn examine(
    files: Vec<(PathBuf, u32)>,
    class_names: &[String],
    options: &ImageDatasetOptions,
) -> Result<Opened> {
    let mut sizes = vec![0usize; class_names.len()];
    files.iter().for_each(|(_, label)| sizes[*label as usize] += 1);
    let small = |label: u32| sizes[label as usize] <= SMALL_CLASS;
    let few = files.iter().filter(|(_, label)| small(*label)).count() <= MOST_DECODED;
    let look = |buffers: &mut Buffers, (path, label): &(PathBuf, u32)| {
        check_stop("Looking at the photographs")?;
        let found = probe(path).and_then(|()| match few && small(*label) {
            true => decode(path, buffers, |_| ()),
            false => Ok(()),
        });
        match found {
            Err(Unusable::Unread(e)) => Err(input::photograph(path, e)),
            other => Ok(other),
        }
    };
    let found: Result<Vec<Result<(), Unusable>>> =
        crate::threads::pool().install(|| files.par_iter().map_init(Buffers::default, look).collect());
    let mut opened = Opened {
        files: Vec::new(),
        skipped: Vec::new(),
        tally: Tally::new(class_names, options.max_left_out),
    };
    let mut passed_over = Vec::new();
    for ((path, label), found) in files.into_iter().zip(found?) {
        match found {
            Ok(()) => {
                opened.tally.count(label);
                opened.files.push((path, label));
            }
            // Notes, tables, what a file manager leaves behind.
            Err(Unusable::NoImage(_)) if !is_called_like_an_image(&path) => passed_over.push(path),
            Err(Unusable::NoFile(reason) | Unusable::Content(reason) | Unusable::NoImage(reason)) => {
                let file = Skipped { path, reason };
                opened.tally.count(label);
                opened.tally.leave_out(label, &file);
                opened.skipped.push(file);
            }
            Err(Unusable::Unread(e)) => return Err(input::photograph(&path, e)),
        }
    }
    tell(&passed_over);
    match (options.on_bad_image, opened.skipped.first()) {
        (OnBadImage::Fail, Some(first)) => Err(bad_image(first)),
        _ => Ok(opened),
    }
}

/// Says which files are no images, neither by their content nor by their names.
fn tell(passed_over: &[PathBuf]) {
    if passed_over.is_empty() {
        return;
    }
    let mut names: Vec<String> =
        passed_over.iter().take(NAMED).map(|path| path.shown().to_string()).collect();
    if passed_over.len() > NAMED {
        names.push(format!("and {} more", passed_over.len() - NAMED));
    }
    let files = if passed_over.len() == 1 { "1 file that is no image" } else { "files that are no images" };
    let count = if passed_over.len() == 1 { String::new() } else { format!("{} ", passed_over.len()) };
    say(format!("Passed over {count}{files}: {}", names.join(", ")));
}

/// The error where nothing is left of a folder.
pub(super) fn nothing(dir: &std::path::Path, skipped: &[Skipped]) -> Error {
    let first = skipped.first().map(|s| format!(" The first file: {s}.")).unwrap_or_default();
    Error::Data(format!(
        "expected jpeg, png, bmp, gif, webp or tiff images in the sub-folders of {}, found none.{first}",
        dir.shown()
    ))
}
