//! The numbers of each epoch as a table.

use crate::Show;
use std::io::Write;

use crate::output::{encode_csv, Format};
use crate::train::callbacks::{Action, Callback, History, Progress};
use crate::{input, Error, OutputFile, Result};

/// Keras' `CSVLogger`: a file with a line for each epoch, whose number counts from 0. The file is whole after
/// each epoch. An earlier table with the same columns is replaced; any other file only with
/// [`OutputFile::overwrite`].
///
/// ```
/// use transfer::prelude::*;
/// let log = CsvLogger::new("training.csv");
/// let both_phases = CsvLogger::new("training.csv").append(true).separator(';');
/// let over_anything = CsvLogger::new(OutputFile::new("training.csv").overwrite(true));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvLogger {
    file: OutputFile,
    separator: char,
    append: bool,
}

impl CsvLogger {
    /// A table in this file, with commas. An earlier one that is there is replaced.
    pub fn new(file: impl Into<OutputFile>) -> Self {
        CsvLogger { file: file.into(), separator: ',', append: false }
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
        let mut rows = self.kept(&names, run.initial_epoch)?;
        for (i, epoch) in run.history.epoch.iter().enumerate() {
            // The shortest form that is read as the same number again.
            let values = columns.iter().map(|(_, values)| values.get(i).copied().unwrap_or(f64::NAN));
            rows.push(std::iter::once(epoch.to_string()).chain(values.map(|v| v.to_string())).collect());
        }
        let failed = |e| Error::io("cannot write", self.file.path(), e);
        let table = encode_csv(&names, rows, self.byte()?).map_err(failed)?;
        self.file.write(&self.format(), |out| out.write_all(&table))
    }

    /// The table with and without the columns of validation data.
    fn format(&self) -> Format {
        let none = History::default();
        let header = |validated| {
            let names = columns(&none, validated).into_iter().map(|(name, _)| name);
            std::iter::once("epoch").chain(names).collect::<Vec<_>>().join(&self.separator.to_string())
        };
        Format::Table(vec![header(false), header(true)])
    }

    /// The separator as it stands in the file.
    fn byte(&self) -> Result<u8> {
        let byte = u8::try_from(self.separator).ok().filter(u8::is_ascii);
        let byte = byte.filter(|b| !b.is_ascii_alphanumeric() && !b"_.-+\"'\n\r\0".contains(b));
        byte.ok_or_else(|| {
            Error::Invalid(format!(
                "CsvLogger expected a separator of ASCII that no number or name holds, such as ',' or ';'. Received: \
                 {:?}",
                self.separator
            ))
        })
    }

    /// The rows of earlier epochs that stay.
    fn kept(&self, names: &[&str], initial_epoch: usize) -> Result<Vec<Vec<String>>> {
        if !self.append {
            return Ok(Vec::new());
        }
        let failed = |e: std::io::Error| Error::io("cannot read", self.file.path(), e);
        let file = match input::open(self.file.path()) {
            Ok(input) => input.file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let mut table = csv::ReaderBuilder::new().delimiter(self.byte()?).flexible(true).from_reader(file);
        let first = table.headers().map_err(|e| failed(e.into()))?;
        if !first.is_empty() && first != names {
            let separator = self.separator.to_string();
            return Err(Error::Invalid(format!(
                "CsvLogger expected a table with the columns {} to append to, or no file. Received: {}, which \
                 begins with {:?}. Name another file, or leave `.append(true)` out.",
                names.join(&separator),
                self.file.path().shown(),
                first.iter().collect::<Vec<_>>().join(&separator)
            )));
        }
        let mut kept = Vec::new();
        for row in table.records() {
            let row = row.map_err(|e| failed(e.into()))?;
            if row.get(0).and_then(|n| n.parse::<usize>().ok()).is_some_and(|n| n < initial_epoch) {
                kept.push(row.iter().map(str::to_owned).collect());
            }
        }
        Ok(kept)
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

impl Callback for CsvLogger {
    fn on_train_begin(&self, run: &Progress<'_>) -> Result<()> {
        self.write(run)
    }

    fn on_epoch_end(&self, run: &Progress<'_>) -> Result<Action> {
        self.write(run)?;
        Ok(Action::GoOn)
    }
}
