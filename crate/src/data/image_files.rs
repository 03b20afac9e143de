//! The image files below a folder, one at a time, so that the folder may be of any size.

use super::depth::{same_folder, too_deep, MAX_DEPTH};
use super::folder::{entries, Kind, Trail};
use super::look::{look, look_at_odd, Look, PassedOver};
use crate::progress::say;
use crate::{Error, Result, Show};
use std::path::{Path, PathBuf};

/// The image files below a folder, by name; made by [`ImageFiles::below`].
///
/// What is an image is decided by content, as in a data set. Files that are images or are called like images come out,
/// also those that cannot be decoded, so that whoever uses them says so. All others are
/// [`passed_over`](Self::passed_over). What is hidden, or made by a system (`__MACOSX`, `Thumbs.db`), is left out.
/// Links are followed; a folder that is reached twice is read once, and that is said.
///
/// ```no_run
/// use transfer::{data::ImageFiles, Show};
/// let mut files = ImageFiles::below("holiday");
/// for file in files.by_ref() {
///     println!("{}", file?.shown());
/// }
/// println!("{}", files.passed_over());
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug)]
pub struct ImageFiles {
    /// What is to come, the next one last; with the depth of a folder.
    waiting: Vec<(PathBuf, Kind, usize)>,
    trail: Trail,
    passed_over: PassedOver,
}

impl ImageFiles {
    /// The image files below `folder`, in all its sub-folders. An item is an error where something cannot be read;
    /// what comes behind it still comes, unless the work was [interrupted](crate::progress::request_stop).
    pub fn below(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref().to_owned();
        ImageFiles {
            trail: Trail::above(&folder),
            waiting: vec![(folder, Kind::Folder, 0)],
            passed_over: PassedOver::default(),
        }
    }

    /// The files passed over so far.
    pub fn passed_over(&self) -> &PassedOver {
        &self.passed_over
    }

    /// Puts what is in a folder in front of what waits.
    fn enter(&mut self, folder: &Path, depth: usize) -> Result<()> {
        if let Some(before) = self.trail.enter(folder)? {
            say(same_folder(folder, &before));
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(too_deep(folder));
        }
        let mut found = entries(folder)?;
        found.sort_by(|a, b| b.path.cmp(&a.path));
        self.waiting.extend(found.into_iter().map(|entry| (entry.path, entry.kind, depth + 1)));
        Ok(())
    }
}

impl Iterator for ImageFiles {
    type Item = Result<PathBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((path, kind, depth)) = self.waiting.pop() {
            let found = match kind {
                Kind::Folder | Kind::LinkedFolder => match self.enter(&path, depth) {
                    Ok(()) => continue,
                    Err(e) => Err(e),
                },
                Kind::File => look(&path),
                Kind::Odd(reason) => match look_at_odd(&path, reason) {
                    Look::Bad(reason) => Err(Error::Data(format!("{} {reason}", path.shown()))),
                    other => Ok(other),
                },
            };
            match found {
                Ok(Look::Image | Look::Bad(_)) => return Some(Ok(path)),
                Ok(Look::Other) => self.passed_over.add(path),
                Err(error) => {
                    if matches!(error, Error::Interrupted(_)) {
                        self.waiting.clear();
                    }
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
