//! The numbers of each epoch as a table.

use crate::Show;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{check_writable, Action, Callback, History, Progress};
use crate::assets::files::write_whole;
use crate::{input, Error, Result};

/// Keras' `CSVLogger`: a file with a line for each epoch, whose number counts from 0. The file is whole after
/// each epoch.
///
/// ```
/// use transfer::train::CSVLogger;
/// let log = CSVLogger::new("training.csv");
/// let both_phases = CSVLogger::new("training.csv").append(true).separator(';');
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSVLogger {
    path: PathBuf,
    separator: char,
    append: bool,
}

impl CSVLogger {
    /// A table in this file, with commas. One that is there already is replaced.
    pub fn new(path: impl AsRef<Path>) -> Self {
        CSVLogger { path: path.as_ref().to_owned(), separator: ',', append: false }
    }

    /// What stands between two numbers.
    pub fn separator(mut self, separator: char) -> Self {
        self.separator = separator;
        self
    }

    /// Whether lines that are there already are kept: those of epochs before this `fit`'s first, as an
    /// earlier phase wrote them.
    pub fn append(mut self, yes: bool) -> Self {
        self.append = yes;
        self
    }

    /// Writes the whole table.
    fn write(&self, run: &Progress<'_>) -> Result<()> {
        let columns = columns(run.history, run.validated);
        let names: Vec<&str> =
            std::iter::once("epoch").chain(columns.iter().map(|(name, _)| *name)).collect();
        let header = names.join(&self.separator.to_string());
        let mut text = header.clone() + "\n";
        for line in self.kept(&header, run.initial_epoch)? {
            text += &(line + "\n");
        }
        for (i, epoch) in run.history.epoch.iter().enumerate() {
            text += &epoch.to_string();
            for (_, values) in &columns {
                // The shortest form that is read as the same number again.
                text += &format!("{}{}", self.separator, values.get(i).copied().unwrap_or(f64::NAN));
            }
            text.push('\n');
        }
        write_whole(&self.path, |out| out.write_all(text.as_bytes()))
    }

    /// The lines of earlier epochs that stay.
    fn kept(&self, header: &str, initial_epoch: usize) -> Result<Vec<String>> {
        if !self.append {
            return Ok(Vec::new());
        }
        let text = match input::open(&self.path).and_then(|input| std::io::read_to_string(input.file)) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("cannot read", &self.path, e)),
        };
        let mut lines = text.lines();
        let first = lines.next().unwrap_or(header);
        if first != header {
            return Err(Error::Invalid(format!(
                "CSVLogger expected a table with the columns {header} to append to, or no file. Received: {}, which \
                 begins with {first:?}. Name another file, or leave `.append(true)` out.",
                self.path.shown()
            )));
        }
        let epoch = |line: &&str| line.split(self.separator).next().and_then(|n| n.parse::<usize>().ok());
        Ok(lines.filter(|line| epoch(line).is_some_and(|n| n < initial_epoch)).map(str::to_owned).collect())
    }
}

/// Columns in the order of their names, as Keras has them.
fn columns(history: &History, validated: bool) -> Vec<(&'static str, &[f64])> {
    let mut columns: Vec<(&str, &[f64])> = vec![
        ("accuracy", &history.accuracy),
        ("learning_rate", &history.learning_rate),
        ("loss", &history.loss),
    ];
    if validated {
        columns.extend([("val_accuracy", history.val_accuracy.as_slice()), ("val_loss", &history.val_loss)]);
    }
    columns
}

impl Callback for CSVLogger {
    fn on_train_begin(&self, run: &Progress<'_>) -> Result<()> {
        if self.separator.is_ascii_alphanumeric() || ".-+\"\n\r".contains(self.separator) {
            return Err(Error::Invalid(format!(
                "CSVLogger expected a separator that no number holds, such as ',' or ';'. Received: {:?}",
                self.separator
            )));
        }
        check_writable(&self.path)?;
        self.write(run)
    }

    fn on_epoch_end(&self, run: &Progress<'_>) -> Result<Action> {
        self.write(run)?;
        Ok(Action::GoOn)
    }
}
