//! The numbers of each epoch as files that TensorBoard shows. What stands in such a file is the matter of
//! `events.rs`.

mod events;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::assets::files::create_parent;
use crate::input;
use crate::train::callbacks::{Action, Callback, History, Progress};
use crate::{Error, OutputFile, Result, Show};

/// Keras' `TensorBoard`: `epoch_loss`, `epoch_accuracy` and `epoch_learning_rate` by the number of the epoch
/// from 0, in the folders `train` and `validation`, which TensorBoard shows as two runs:
///
/// ```text
/// pip install tensorboard
/// tensorboard --logdir runs
/// ```
///
/// A `fit` has one file in each folder, named by its `initial_epoch`. So two phases of a training stand behind
/// each other in one folder, and a training that starts over replaces what was there from its first epoch on. A file
/// of such a name that is no event file is an error, and stays.
///
/// ```
/// use transfer::train::TensorBoard;
/// let show = TensorBoard::new("runs/first");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorBoard {
    log_dir: PathBuf,
}

const ENDING: &str = ".transfer.v2";
const BEGINNING: &str = "events.out.tfevents.";
/// Longer ones are none of ours.
const MAX_BYTES: u64 = 64 << 20;

/// A number of an epoch.
struct Scalar {
    tag: &'static str,
    epoch: usize,
    value: f64,
    /// Seconds since 1970.
    wall_time: f64,
}

impl TensorBoard {
    /// Event files in the folders `train` and `validation` below this one.
    pub fn new(log_dir: impl AsRef<Path>) -> Self {
        TensorBoard { log_dir: log_dir.as_ref().to_owned() }
    }

    /// The folder.
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// Brings the files to where the history is.
    fn write(&self, run: &Progress<'_>) -> Result<()> {
        let history = run.history;
        let train: [(&str, &[f64]); 3] = [
            ("epoch_accuracy", &history.accuracy),
            ("epoch_loss", &history.loss),
            ("epoch_learning_rate", &history.learning_rate),
        ];
        self.bring(&self.file("train", run), &train, history)?;
        if run.validated {
            let validation: [(&str, &[f64]); 2] =
                [("epoch_accuracy", &history.val_accuracy), ("epoch_loss", &history.val_loss)];
            self.bring(&self.file("validation", run), &validation, history)?;
        }
        Ok(())
    }

    fn bring(&self, path: &Path, columns: &[(&'static str, &[f64])], history: &History) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        // Epochs of before an interruption whose events are lost ended about then.
        let mut ends = vec![now; history.epochs()];
        for i in (1..ends.len()).rev() {
            ends[i - 1] = ends[i] - history.seconds.get(i).copied().unwrap_or(0.0);
        }
        let scalars = history.epoch.iter().zip(ends).enumerate().flat_map(|(i, (&epoch, wall_time))| {
            let of = move |&(tag, values): &(&'static str, &[f64])| {
                values.get(i).map(|&value| Scalar { tag, epoch, value, wall_time })
            };
            columns.iter().filter_map(of)
        });
        bring(path, scalars, now)
    }

    fn file(&self, folder: &str, run: &Progress<'_>) -> PathBuf {
        self.log_dir.join(folder).join(format!("{BEGINNING}{:010}{ENDING}", run.initial_epoch))
    }

    /// Removes our files of later epochs than this `fit` begins with.
    fn forget_later(&self, run: &Progress<'_>) {
        for folder in ["train", "validation"] {
            let current = self.file(folder, run);
            let entries = current.parent().and_then(|folder| crate::input::entries(folder).ok());
            for path in entries.into_iter().flatten().map(|entry| entry.path()) {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let number = name.strip_prefix(BEGINNING).and_then(|name| name.strip_suffix(ENDING));
                let epoch = number.and_then(|number| number.parse::<usize>().ok());
                let unwanted = epoch.is_some_and(|epoch| epoch > run.initial_epoch)
                    || (path == current && folder == "validation" && !run.validated);
                if unwanted && is_event_file(&path) {
                    // What cannot be removed shows too much, and breaks nothing.
                    let _ = std::fs::remove_file(path);
                }
            }
        }
    }
}

/// Whether a regular file, no link to one, is an event file.
fn is_event_file(path: &Path) -> bool {
    let regular = path.symlink_metadata().is_ok_and(|about| about.is_file());
    let read = || {
        let mut start = Vec::new();
        input::open(path)?.file.take(1 << 10).read_to_end(&mut start).map(|_| start)
    };
    regular && read().is_ok_and(|start| is_start(&start))
}

/// Whether bytes begin like an event file, or are what a killed process has written of the beginning of one.
fn is_start(bytes: &[u8]) -> bool {
    let expected = events::record(&events::file_version(0.0));
    match events::first_record(bytes) {
        Some((event, _)) => is_same(event, &events::file_version(0.0)),
        None => bytes.len() < expected.len() && bytes.iter().zip(&expected).take(12).all(|(a, b)| a == b),
    }
}

/// Whether two events are the same but for their times.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let time = events::WALL_TIME;
    a.len() == b.len() && a[..time.start] == b[..time.start] && a[time.end..] == b[time.end..]
}

/// Keeps of the file what is right, and writes the rest behind it: TensorBoard reads on where it was, and what
/// a killed process left half written is gone.
fn bring(path: &Path, scalars: impl Iterator<Item = Scalar>, now: f64) -> Result<()> {
    create_parent(path)?;
    let failed = |e| Error::io("cannot write", path, e);
    // A device or a FIFO is refused before it is opened, and a link is followed.
    let place = OutputFile::new(path).place()?;
    let mut file = open_to_change(&place).map_err(failed)?;
    let mut bytes = Vec::new();
    (&file).take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    if !is_start(&bytes) {
        return Err(Error::Invalid(format!(
            "TensorBoard expected an event file to go on with, or none. Received: {}, which is no event file. Name \
             another folder, or move the file away.",
            path.shown()
        )));
    }
    let (right, missing) = compare(&bytes, scalars, now);
    let mut write = || {
        file.set_len(right)?;
        file.seek(SeekFrom::Start(right))?;
        file.write_all(&missing)?;
        file.sync_all()
    };
    write().map_err(failed)
}

fn open_to_change(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    }
    options.open(path)
}

/// How many bytes of a file are right, and what has to follow them.
fn compare(bytes: &[u8], scalars: impl Iterator<Item = Scalar>, now: f64) -> (u64, Vec<u8>) {
    let (mut rest, mut right, mut missing) = (bytes, 0, Vec::new());
    let mut event = |event: Vec<u8>| match events::first_record(rest) {
        Some((there, behind)) if missing.is_empty() && is_same(there, &event) => {
            right += rest.len() - behind.len();
            rest = behind;
        }
        _ => missing.extend(events::record(&event)),
    };
    event(events::file_version(now));
    for s in scalars {
        event(events::scalar(s.wall_time, s.epoch as u64, s.tag, s.value as f32));
    }
    (right as u64, missing)
}

impl Callback for TensorBoard {
    fn on_train_begin(&self, run: &Progress<'_>) -> Result<()> {
        self.forget_later(run);
        self.write(run)
    }

    fn on_epoch_end(&self, run: &Progress<'_>) -> Result<Action> {
        self.write(run)?;
        Ok(Action::GoOn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalars(n: usize, wall_time: f64) -> impl Iterator<Item = Scalar> {
        (0..n).map(move |epoch| Scalar {
            tag: "epoch_loss",
            epoch,
            value: 1.0 / (epoch + 1) as f64,
            wall_time,
        })
    }

    #[test]
    fn a_file_goes_on_where_it_is_right_and_is_mended_where_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/events");
        bring(&path, scalars(3, 10.0), 1.0).unwrap();
        let three = std::fs::read(&path).unwrap();
        bring(&path, scalars(4, 20.0), 2.0).unwrap();
        let four = std::fs::read(&path).unwrap();
        assert_eq!(four[..three.len()], three, "what was there keeps its time");
        // Half a record, one too many, a damaged one, the beginning of one, and nothing.
        let mut damaged = four.clone();
        damaged[three.len() + 20] ^= 1;
        for wrong in
            [&four[..four.len() - 5], &[four.as_slice(), &three].concat(), &damaged, &four[..20], b""]
        {
            std::fs::write(&path, wrong).unwrap();
            bring(&path, scalars(4, 20.0), 2.0).unwrap();
            let mended = std::fs::read(&path).unwrap();
            assert_eq!(mended.len(), four.len());
            let (mut rest, mut records) = (mended.as_slice(), 0);
            while let Some((_, behind)) = events::first_record(rest) {
                (rest, records) = (behind, records + 1);
            }
            assert_eq!((rest.len(), records), (0, 5));
        }
        bring(&path, scalars(2, 30.0), 3.0).unwrap();
        assert!(std::fs::read(&path).unwrap().len() < three.len(), "later epochs are gone");
        let text = "somebody's text, longer than the first record of an event file";
        for other in [text, "text"] {
            std::fs::write(&path, other).unwrap();
            let error = bring(&path, scalars(2, 30.0), 3.0).unwrap_err().to_string();
            assert!(error.contains("no event file"), "{error}");
            assert!(!is_event_file(&path));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
        }
    }
}
