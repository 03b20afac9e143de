//! A table of labels with some of its lines changed; columns, other lines and their order stay.

use super::files::find;
use super::header::Header;
use super::read::{LabelTable, MAX_BYTES};
use super::reading::{file, SEPARATOR};
use crate::data::layout::Part;
use crate::data::names::{composed, joined};
use crate::{input, Error, Result, Show};
use csv::{ByteRecord, ReaderBuilder, Terminator, WriterBuilder};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Labels that a message lists.
const SHOWN: usize = 20;

/// What becomes of the lines of a photograph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineChange {
    /// They go.
    Drop,
    /// They get this in the column `label`.
    Label(String),
    /// They get this in the column `split`.
    Split(&'static str),
}

impl LabelTable {
    /// Each photograph: its path as the table has it, in normalisation form C, and the file below `dir`.
    ///
    /// # Errors
    /// Where one is missing, with its line.
    pub(crate) fn found_in(&self, dir: &Path) -> Result<Vec<(&str, PathBuf)>> {
        Ok(self.files().zip(find(dir, self)?).collect())
    }

    /// The change that gives a photograph other labels, `a` or `a;b`.
    ///
    /// # Errors
    /// What is wrong, in words, where one is none of the table's.
    pub(crate) fn relabelled(&self, to: &str) -> Result<LineChange, String> {
        let labels: Vec<String> = match to.trim() == SEPARATOR.to_string() {
            true => Vec::new(),
            false => to.split(SEPARATOR).map(|name| composed(name.trim())).collect(),
        };
        let known = labels.iter().all(|label| self.class_names().contains(label));
        if !known || (!self.is_multi_label() && labels.len() != 1) {
            let several = if self.is_multi_label() { ", or several with `;` between them" } else { "" };
            return Err(format!(
                "expected one of the labels {}{several}. Received: {}",
                joined(self.class_names().iter().map(String::as_str), SHOWN),
                to.shown()
            ));
        }
        let said = if labels.is_empty() { SEPARATOR.to_string() } else { labels.join(";") };
        Ok(LineChange::Label(said))
    }

    /// The change that puts a photograph into another split.
    ///
    /// # Errors
    /// What is wrong, in words, where there is no such split, or no column for it.
    pub(crate) fn moved(&self, to: &str) -> Result<LineChange, String> {
        if !self.has_split() {
            return Err(format!(
                "expected no `move`, since the table of labels has no column `split`. Received: to {}",
                to.shown()
            ));
        }
        let part = Part::named(to).ok_or_else(|| {
            format!("expected the split train, validation or test. Received: {}", to.shown())
        })?;
        Ok(LineChange::Split(part.usual()))
    }

    /// The bytes of the table with changes, by the photographs' paths.
    ///
    /// # Errors
    /// Where the file cannot be read, or is another one by now.
    pub(crate) fn rewritten(&self, changes: &HashMap<String, LineChange>) -> Result<Vec<u8>> {
        let changed = || {
            Error::Data(format!(
                "{}: expected the table that was read before. Received another one. Leave it as it is meanwhile.",
                self.path.shown()
            ))
        };
        let bytes = input::patiently(|| input::read(&self.path, MAX_BYTES))
            .map_err(|e| Error::io("cannot read the table of labels", &self.path, e))?
            .ok_or_else(changed)?;
        let again = Self::parse(&self.path, &bytes)?;
        if again.rows != self.rows || again.class_names != self.class_names {
            return Err(changed());
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let unreadable = |e: csv::Error| Error::Data(format!("{}: {e}", self.path.shown()));
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(Terminator::CRLF)
            .from_reader(bytes);
        let mut out = WriterBuilder::new().flexible(true).from_writer(Vec::new());
        let (mut record, mut header): (ByteRecord, Option<Header>) = Default::default();
        while reader.read_byte_record(&mut record).map_err(unreadable)? {
            let Some(columns) = &header else {
                header = Some(Header::of(&record).map_err(|_| changed())?);
                out.write_byte_record(&record).map_err(unreadable)?;
                continue;
            };
            let name = record.get(columns.file).map(String::from_utf8_lossy).unwrap_or_default();
            let change = changes.get(&file(&name).map_err(|_| changed())?);
            let cell = |column: usize, was: &[u8]| match change {
                Some(LineChange::Label(to)) if column == columns.label => to.clone().into_bytes(),
                Some(LineChange::Split(to)) if Some(column) == columns.split => to.as_bytes().to_vec(),
                _ => was.to_vec(),
            };
            if change != Some(&LineChange::Drop) {
                let cells = record.iter().enumerate().map(|(column, was)| cell(column, was));
                out.write_record(cells).map_err(unreadable)?;
            }
        }
        out.into_inner().map_err(|e| Error::Data(format!("{}: {e}", self.path.shown())))
    }
}
