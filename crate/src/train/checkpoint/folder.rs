//! The folder of a run: one process at a time, the last two checkpoints, and the way back to the one
//! before where the newest is damaged. What is in a checkpoint is the matter of `file.rs`.

use crate::Show;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::file::Checkpoint;
use crate::assets::files::sync_parent;
use crate::progress::say;
use crate::{Error, Result};

/// How many are kept.
const KEPT: usize = 2;
/// How long another process may still hold the folder: one that was just killed takes a moment to go.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many runs of one name are kept.
const RUNS: usize = 5;

pub(super) struct Folder {
    path: PathBuf,
    /// Numbers of the checkpoints that are known to be good, rising.
    good: Vec<u64>,
    _lock: Option<File>,
}

impl Folder {
    /// Makes the folder where it is missing, and takes it for this run alone.
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)
            .map_err(|e| Error::io("cannot create the checkpoints' folder", path, e))?;
        sync_parent(path);
        let folder = Folder { path: path.to_owned(), good: Vec::new(), _lock: lock(path)? };
        folder.remove(|name| name.starts_with(".checkpoint-") && name.ends_with(".partial"));
        Ok(folder)
    }

    /// The newest checkpoint that is whole. Says so where it is not the newest of all.
    pub fn newest(&mut self) -> Result<Option<Checkpoint>> {
        let mut damaged = Vec::new();
        for number in self.numbers()?.into_iter().rev() {
            let path = self.file(number);
            match Checkpoint::read(&path) {
                Ok(checkpoint) => {
                    if !damaged.is_empty() {
                        say(format!("Going back to the checkpoint before: {}", path.shown()));
                    }
                    // The ones before it are good until they prove bad, which nobody need find out.
                    self.good = self.numbers()?.into_iter().filter(|&n| n <= number).collect();
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
        checkpoint.write(&self.file(number))?;
        self.good.retain(|&n| n < number);
        self.good.push(number);
        let from = self.good.len().saturating_sub(KEPT);
        self.good.drain(..from);
        let keep: Vec<String> = self.good.iter().map(|&n| name(n)).collect();
        self.remove(|name| number_of(name).is_some() && !keep.iter().any(|kept| kept == name));
        Ok(())
    }

    /// Removes all checkpoints.
    pub fn clear(&mut self) {
        self.good.clear();
        self.remove(|name| number_of(name).is_some());
    }

    /// The path of the last good checkpoint, where there is one.
    pub fn last(&self) -> Option<PathBuf> {
        self.good.last().map(|&number| self.file(number))
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(name(number))
    }

    fn numbers(&self) -> Result<Vec<u64>> {
        let failed = |e| Error::io("cannot list the checkpoints in", &self.path, e);
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            numbers.extend(entry.map_err(failed)?.file_name().to_str().and_then(number_of));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn remove(&self, unwanted: impl Fn(&str) -> bool) {
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(&unwanted) {
                // What cannot be removed is in nobody's way, and goes next time.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Removes the folders beside `current` of all but the last [`RUNS`] runs, `current` included. What
/// another process holds stays, and so does everything that is no run.
pub(super) fn forget_old_runs(current: &Path) {
    let Some(entries) = current.parent().and_then(|parent| parent.read_dir().ok()) else { return };
    let is_run = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        path != current && name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let mut runs: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_run(path))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    runs.sort();
    for (_, path) in runs.iter().rev().skip(RUNS - 1) {
        let held = File::open(path.join(".lock")).is_ok_and(|lock| lock.try_lock().is_err());
        if !held {
            // What cannot be removed is in nobody's way.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

fn name(number: u64) -> String {
    format!("checkpoint-{number:010}.safetensors")
}

fn number_of(file: &str) -> Option<u64> {
    let number = file.strip_prefix("checkpoint-")?.strip_suffix(".safetensors")?.parse().ok()?;
    (name(number) == file).then_some(number)
}

/// The lock belongs to the process, so that a dead owner's is no obstacle; the empty file means nothing.
fn lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(".lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(|e| Error::io("cannot write", &path, e))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            // Some network file systems know no locks; training there is no reason to refuse.
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(Error::io("cannot lock", &path, e)),
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_runs_are_kept_and_what_is_no_run_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let run = |i: usize| dir.path().join(format!("{i:016x}"));
        for i in 0..9 {
            Folder::open(&run(i)).unwrap();
            std::fs::write(run(i).join(name(1)), "").unwrap();
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1000 + i as u64);
            File::open(run(i)).unwrap().set_modified(time).unwrap();
        }
        std::fs::create_dir(dir.path().join("notes")).unwrap();
        let held = Folder::open(&run(1)).unwrap();
        forget_old_runs(&run(0));
        let left: Vec<usize> = (0..9).filter(|&i| run(i).exists()).collect();
        // The current one, one that is in use, and the four newest of the others.
        assert_eq!(left, [0, 1, 5, 6, 7, 8]);
        assert!(dir.path().join("notes").exists());
        drop(held);
        forget_old_runs(&run(0));
        assert!(!run(1).exists());
    }

    #[test]
    fn names_and_numbers_belong_together() {
        assert_eq!(name(126), "checkpoint-0000000126.safetensors");
        assert_eq!(number_of(&name(126)), Some(126));
        assert_eq!(number_of(&name(u64::MAX)), Some(u64::MAX));
        for other in ["checkpoint-1.safetensors", "checkpoint-+000000001.safetensors", ".lock", ""] {
            assert_eq!(number_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".checkpoint-0000000001.safetensors.7-1.partial", "notes.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let mut folder = Folder::open(dir.path()).unwrap();
        assert!(folder.newest().unwrap().is_none());
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".lock", "notes.txt"]);
    }
}
