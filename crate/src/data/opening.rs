//! What is found out about the files of a folder before the first is used.
//!
//! The head of each file is looked at. Of classes with few files all of it is, since there a single damaged one
//! decides whether either side of a split has any.

use std::ops::Range;
use std::path::Path;

use super::bad_images::Skipped;
use super::decode::{decode, probe, Buffers};
use super::left_out::Tally;
use super::listing::Listing;
use super::look::{look_at_odd, Look, PassedOver};
use super::names::counted;
use super::options::{ImageDatasetOptions, OnBadImage};
use super::paths::Files;
use super::store::bad_image;
use crate::progress::{check_stop, say};
use crate::team::{self, Team};
use crate::{threads, Error, Result, Show};

/// The files of a class of at most so many are decoded at once.
const SMALL_CLASS: usize = 10;
/// More files than this are not decoded at once, however small their classes are.
const MOST_DECODED: usize = 2000;

/// The files of a folder.
pub(super) struct Opened {
    /// Those to use.
    pub files: Files,
    /// Those that were left out.
    pub skipped: Vec<Skipped>,
    pub tally: Tally,
}

/// Looks at the files of a listing of `dir`; tells the names of its classes, too.
///
/// # Errors
/// Where a file cannot be read, a class has too many bad ones, or one is bad and the options ask for an error.
pub(super) fn examine(
    listing: Listing,
    dir: &Path,
    options: &ImageDatasetOptions,
) -> Result<(Vec<String>, Opened)> {
    let Listing { class_names, files, odd, named } = listing;
    let mut sizes = vec![0usize; class_names.len()];
    files.labels.iter().for_each(|&label| sizes[label as usize] += 1);
    let small = |label: u32| sizes[label as usize] <= SMALL_CLASS;
    let few = files.labels.iter().filter(|&&label| small(label)).count() <= MOST_DECODED;
    let look = |buffers: &mut Buffers, (path, label): (&Path, u32)| {
        check_stop("Looking at the photographs")?;
        let found = probe(path).and_then(|()| match few && small(label) {
            true => decode(path, buffers, |_| ()),
            false => Ok(()),
        });
        Look::of(path, found)
    };
    let found = looks(&files, options.several(), look)?;
    let mut skipped = Vec::new();
    let mut tally = Tally::new(&class_names, options.max_left_out);
    let mut passed_over = PassedOver::default();
    let images: Vec<bool> = found.iter().map(|look| *look == Look::Image).collect();
    files.labels.iter().zip(&images).filter(|(_, image)| **image).for_each(|(&label, _)| tally.count(label));
    let regular = found.into_iter().enumerate().filter(|(i, _)| !images[*i]);
    let regular =
        regular.filter_map(|(i, look)| files.paths.get(i).map(|path| (path, files.labels[i], look)));
    let odd = odd.into_iter().map(|(path, label, reason)| {
        let look = look_at_odd(&path, reason);
        (path, label, look)
    });
    for (path, label, look) in regular.chain(odd) {
        let reason = match look {
            // Notes, tables, what a file manager leaves behind.
            Look::Other if !named => {
                passed_over.add(path.strip_prefix(dir).unwrap_or(&path).to_owned());
                continue;
            }
            Look::Bad(reason) => reason,
            Look::Other | Look::Image => "is no image".to_owned(),
        };
        let file = Skipped { path, reason };
        tally.count(label);
        tally.leave_out(label, &file);
        skipped.push(file);
    }
    let opened = Opened { files: files.filtered(|i| images[i]), skipped, tally };
    if !passed_over.is_empty() {
        say(passed_over.to_string());
    }
    match (options.on_bad_image, opened.skipped.first()) {
        (OnBadImage::Fail, Some(first)) => Err(bad_image(first)),
        _ => Ok((class_names, opened)),
    }
}

/// What each file is. Of a team each member looks at a part, and all learn of all.
///
/// # Errors
/// Where a file cannot be read; with a team it names all of them, and is the same for all members.
fn looks(
    files: &Files,
    team: Option<&dyn Team>,
    look: impl Fn(&mut Buffers, (&Path, u32)) -> Result<Look> + Send + Sync,
) -> Result<Vec<Look>> {
    let look = |buffers: &mut Buffers, i: usize| {
        let path = files.paths.get(i).unwrap_or_default();
        look(buffers, (&path, files.labels[i]))
    };
    let of = |numbers: Range<usize>| threads::map_init(numbers.collect(), Buffers::default, look);
    let Some(team) = team else { return of(0..files.len()).into_iter().collect() };
    let mut own: Vec<Result<Look, String>> = Vec::new();
    for found in of(team::share(team, files.len())) {
        own.push(match found {
            Err(interrupted @ Error::Interrupted(_)) => return Err(interrupted),
            other => other.map_err(|error| error.to_string()),
        });
    }
    let other =
        |what: String| Error::Team(format!("The members of the team must see the same photographs: {what}"));
    let own = serde_json::to_vec(&(files.len(), own)).map_err(|e| other(e.to_string()))?;
    let (mut all, mut unread) = (Vec::with_capacity(files.len()), Vec::new());
    for theirs in team::gathered(team, &own)? {
        let (count, looks): (usize, Vec<Result<Look, String>>) =
            serde_json::from_slice(&theirs).map_err(|e| other(e.to_string()))?;
        if count != files.len() {
            return Err(other(format!("one found {} files, another {count}", files.len())));
        }
        for look in looks {
            match look {
                Ok(look) => all.push(look),
                Err(reason) => unread.push(reason),
            }
        }
    }
    match unread.is_empty() {
        true => Ok(all),
        false => Err(Error::Data(format!(
            "{} cannot be read:\n  {}",
            counted(unread.len(), "file"),
            unread.join("\n  ")
        ))),
    }
}

/// The error where nothing is left of a folder.
pub(super) fn nothing(dir: &Path, skipped: &[Skipped]) -> Error {
    let first = skipped.first().map(|s| format!(" The first file: {s}.")).unwrap_or_default();
    Error::Data(format!(
        "expected jpeg, png, bmp, gif, webp or tiff images in the sub-folders of {}, found none.{first}",
        dir.shown()
    ))
}
