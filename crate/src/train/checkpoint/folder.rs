//! The folder of a run: one process at a time, the last two checkpoints, and the way back to the one
//! before where the newest is damaged. What is in a checkpoint is the matter of `file.rs`.
//!
//! A folder is used where this program made it or where it was empty, which its [marker](crate::train::checkpoint::marker) says, and
//! while its lock is held. Only files that the marker lists are ever removed or replaced, one by one.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::assets::files::sync_parent;
use crate::output::partial::{is_at, sweep_abandoned};
use crate::progress::{check_stop, say};
use crate::train::checkpoint::file::Checkpoint;
use crate::train::checkpoint::marker::{Marker, RunFacts, MARKER};
use crate::{Error, Result, Show};

/// How many are kept.
const KEPT: usize = 2;
/// How long another process may still hold the folder: one that was just killed takes a moment to go.
const PATIENCE: Duration = Duration::from_secs(2);
const LOCK: &str = ".lock";

/// An open folder of a run.
pub(super) struct Folder {
    path: PathBuf,
    marker: Marker,
    /// Numbers of the checkpoints that are known to be good, rising.
    good: Vec<u64>,
    lock: Option<File>,
}

impl Folder {
    /// Makes the folder where it is missing, and takes it for this run alone. An empty one that is there is taken
    /// for made by this program where its name is one that only this program gives (`own_name`).
    pub fn open(path: &Path, about: &RunFacts, own_name: bool) -> Result<Self> {
        let (made, lock) = loop {
            let made = make(path)?;
            let before = match names(path) {
                // Whoever had the folder has removed it.
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
                before => before?,
            };
            if Marker::read(path)?.is_none() && !before.iter().all(|name| is_of_before_markers(name)) {
                return Err(Error::Training(format!(
                    "Checkpoints expected a folder that does not exist yet, is empty, or was made for checkpoints by \
                     this program. Received: {}, which holds {}. Name another folder.",
                    path.shown(),
                    examples(&before)
                )));
            }
            if let Some(lock) = lock(path, PATIENCE)? {
                break (made || own_name, lock);
            }
        };
        let new = Marker::new(about.clone(), made);
        let marker = match Marker::read(path)? {
            None => Marker { found: numbers(path)?.into_iter().collect(), ..new },
            // The folder of another run that has left no checkpoint is as good as new.
            Some(old) if old.files.is_empty() && old.found.is_empty() => {
                Marker { made: old.made || made, ..new }
            }
            Some(old) => old,
        };
        marker.write(path)?;
        let folder = Folder { path: path.to_owned(), marker, good: Vec::new(), lock };
        folder.marker.files.iter().for_each(|&number| sweep_abandoned(&folder.file(number)));
        Ok(folder)
    }

    /// The newest checkpoint that is whole. Says so where it is not the newest of all.
    pub fn newest(&mut self) -> Result<Option<Checkpoint>> {
        let mut damaged = Vec::new();
        let numbers = self.ours()?;
        for &number in numbers.iter().rev() {
            let path = self.file(number);
            match Checkpoint::read(&path) {
                Ok(checkpoint) => {
                    if !damaged.is_empty() {
                        say(format!("Going back to the checkpoint before: {}", path.shown()));
                    }
                    // The ones before it are good until they prove bad, which nobody need find out.
                    self.good = numbers.into_iter().filter(|&n| n <= number).collect();
                    return Ok(Some(checkpoint));
                }
                Err(Error::Weights(what)) => {
                    say(&what);
                    damaged.push(path);
                }
                Err(other) => return Err(other),
            }
        }
        if !damaged.is_empty() {
            say("No checkpoint is whole, so the training starts over.");
        }
        Ok(None)
    }

    /// Writes checkpoint `number`, then removes all but the last two good ones.
    pub fn save(&mut self, number: u64, checkpoint: Checkpoint) -> Result<()> {
        let path = self.file(number);
        let known = self.marker.files.contains(&number) || self.marker.found.contains(&number);
        if !known && path.symlink_metadata().is_ok() {
            return Err(Error::Training(format!(
                "{} is in the way of a checkpoint, and this program did not write it. Move it away, or name another \
                 folder.",
                path.shown()
            )));
        }
        // Listed first: a file that is not listed would never be removed.
        if self.marker.finished || !self.marker.files.contains(&number) {
            self.marker.finished = false;
            self.marker.files.insert(number);
            self.marker.write(&self.path)?;
        }
        checkpoint.write(&path)?;
        self.good.retain(|&n| n < number);
        self.good.push(number);
        let from = self.good.len().saturating_sub(KEPT);
        self.good.drain(..from);
        let keep = self.good.clone();
        self.remove(|number| !keep.contains(&number));
        Ok(())
    }

    /// Removes all checkpoints of this program, for a run that starts over.
    pub fn clear(&mut self, about: &RunFacts) -> Result<()> {
        self.good.clear();
        self.remove(|_| true);
        let files = std::mem::take(&mut self.marker.files);
        self.marker = Marker { files, ..Marker::new(about.clone(), self.marker.made) };
        self.marker.write(&self.path)
    }

    /// Notes which run the folder is of from now on, where no checkpoint of another one is whole.
    pub fn begin(&mut self, about: &RunFacts) -> Result<()> {
        let Marker { files, found, made, .. } = &mut self.marker;
        let (files, found) = (std::mem::take(files), std::mem::take(found));
        self.marker = Marker { files, found, ..Marker::new(about.clone(), *made) };
        self.marker.write(&self.path)
    }

    /// Notes that the run has come to its end.
    pub fn finish(&mut self) -> Result<()> {
        if self.marker.finished {
            return Ok(());
        }
        self.marker.finished = true;
        self.marker.write(&self.path)
    }

    /// The path of the last good checkpoint, where there is one.
    pub fn last(&self) -> Option<PathBuf> {
        self.good.last().map(|&number| self.file(number))
    }

    /// What is known of the run that the folder is of.
    pub fn marker(&self) -> &Marker {
        &self.marker
    }

    /// Removes the checkpoints of run `run` in `path`, and the folder where this program made it and nothing else
    /// is in it. A folder that another process has, or that is now another run's, stays as it is.
    pub fn discard(path: &Path, run: &str) -> Result<()> {
        if !path.symlink_metadata().is_ok_and(|about| about.is_dir()) {
            return Ok(());
        }
        let Ok(Some(lock)) = lock(path, Duration::ZERO) else { return Ok(()) };
        let Some(marker) = Marker::read(path)?.filter(|marker| marker.run == run) else { return Ok(()) };
        let mut folder = Folder { path: path.to_owned(), marker, good: Vec::new(), lock };
        folder.remove(|_| true);
        folder.tidy()
    }

    /// Removes marker, lock and folder where no checkpoint of this program is left and nothing else is there.
    fn tidy(&mut self) -> Result<()> {
        let (path, marker) = (&self.path, &self.marker);
        // Once removed, a folder of this name is that of somebody else.
        if self.lock.as_ref().is_some_and(|lock| !is_at(lock, &path.join(LOCK))) {
            return Ok(());
        }
        let others = names(path)?.iter().any(|name| ![MARKER, LOCK].contains(&name.as_str()));
        if others || !marker.files.is_empty() || !marker.found.is_empty() {
            return Ok(());
        }
        for name in [MARKER, LOCK] {
            let file = path.join(name);
            std::fs::remove_file(&file).map_err(|e| Error::io("cannot remove", &file, e))?;
        }
        if marker.made {
            // Somebody may just have put something there.
            let _ = std::fs::remove_dir(path);
        }
        Ok(())
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(name(number))
    }

    /// Numbers of the checkpoints of this program that are there, rising.
    fn ours(&self) -> Result<Vec<u64>> {
        let ours = |n: &u64| self.marker.files.contains(n) || self.marker.found.contains(n);
        Ok(numbers(&self.path)?.into_iter().filter(ours).collect())
    }

    /// Removes listed checkpoints, and those from the list that are gone.
    fn remove(&mut self, unwanted: impl Fn(u64) -> bool) {
        let before = self.marker.files.len();
        let path = &self.path;
        self.marker.files.retain(|&number| {
            if !unwanted(number) {
                return true;
            }
            let file = path.join(name(number));
            sweep_abandoned(&file);
            // A folder or a link of this name is nobody's checkpoint.
            let regular = file.symlink_metadata().map(|about| about.is_file());
            let gone = match regular {
                Ok(true) => std::fs::remove_file(&file).is_ok(),
                Ok(false) => true,
                Err(e) => e.kind() == ErrorKind::NotFound,
            };
            // What cannot be removed is in nobody's way, and goes next time.
            !gone
        });
        if self.marker.files.len() != before {
            // A list that is too long does no harm.
            let _ = self.marker.write(path);
        }
    }
}

/// A run that has not written a checkpoint leaves no folder.
impl Drop for Folder {
    fn drop(&mut self) {
        if self.lock.is_some() && self.marker.files.is_empty() {
            let _ = self.tidy();
        }
    }
}

/// Makes the folder and those above it; `true` where it was not there.
fn make(path: &Path) -> Result<bool> {
    let failed = |e| Error::io("cannot create the checkpoints' folder", path, e);
    let mut tries = 0;
    loop {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        match std::fs::create_dir(path) {
            Ok(()) => {
                sync_parent(path);
                return Ok(true);
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => return Ok(false),
            // Another training has just removed the folder above, as it was empty.
            Err(e) if e.kind() == ErrorKind::NotFound && tries < 10 => tries += 1,
            Err(e) => return Err(failed(e)),
        }
    }
}

/// The names in a folder, sorted, those of this program's unfinished files left out.
fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |e| Error::io("cannot list the checkpoints in", folder, e);
    let entries = crate::input::entries(folder).map_err(failed)?;
    let mut names: Vec<_> =
        entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Numbers of the files that are called like checkpoints, rising.
fn numbers(folder: &Path) -> Result<Vec<u64>> {
    Ok(names(folder)?.iter().filter_map(|name| number_of(name)).collect())
}

/// Whether a version without markers may have left a file of this name.
fn is_of_before_markers(name: &str) -> bool {
    let unfinished = |name: &str| {
        let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial"));
        name.and_then(|name| name.rsplit_once('.')).is_some_and(|(name, _)| number_of(name).is_some())
    };
    let marker =
        name.strip_prefix('.').is_some_and(|name| name.starts_with(MARKER) && name.ends_with(".partial"));
    [LOCK, MARKER].contains(&name) || number_of(name).is_some() || unfinished(name) || marker
}

/// A few of the names that are no checkpoints.
fn examples(names: &[String]) -> String {
    let others: Vec<String> = names
        .iter()
        .filter(|name| !is_of_before_markers(name))
        .map(|name| name.shown().to_string())
        .collect();
    match others.len() {
        0..=3 => others.join(", "),
        n => format!("{}, and {} more", others[..3].join(", "), n - 3),
    }
}

fn name(number: u64) -> String {
    format!("checkpoint-{number:010}.safetensors")
}

fn number_of(file: &str) -> Option<u64> {
    let number = file.strip_prefix("checkpoint-")?.strip_suffix(".safetensors")?.parse().ok()?;
    (name(number) == file).then_some(number)
}

/// Locks the folder; `None` where it has just been removed. The lock belongs to the process, so that a dead owner's
/// is no obstacle; the empty file means nothing. The inner `None` is that of a file system that knows no locks.
fn lock(folder: &Path, patience: Duration) -> Result<Option<Option<File>>> {
    let path = folder.join(LOCK);
    let file = match open_lock(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| Error::io("cannot write", &path, e))?,
    };
    let start = Instant::now();
    loop {
        match crate::input::try_lock(&file) {
            Ok(()) if is_at(&file, &path) => return Ok(Some(Some(file))),
            Ok(()) => return Ok(None),
            // Some network file systems know no locks; training there is no reason to refuse.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => return Ok(Some(None)),
            Err(TryLockError::Error(e)) => return Err(Error::io("cannot lock", &path, e)),
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                check_stop("The start of the training")?;
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Training(format!(
                    "Another training writes its checkpoints to {} now. Wait for it, end it, or name another \
                     folder.",
                    folder.shown()
                )))
            }
        }
    }
}

/// Opens the lock file, and makes it where it is missing; nothing but a regular file is opened.
fn open_lock(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    }
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("it is no regular file")),
    }
}

#[cfg(test)]
mod tests;
