//! The lines of a table of labels, one after the other.

use super::header::Header;
use crate::data::layout::Part;
use crate::data::names::{composed, counted};
use crate::Show;
use csv::ByteRecord;
use std::collections::HashMap;
use std::path::{Component, Path};

/// The most photographs of a table.
pub(super) const MAX_ROWS: usize = 1_000_000;
/// The longest path, label or name of a group, in bytes.
const MAX_FIELD: usize = 4096;
/// The longest name of a class, in bytes, as in a saved model.
const MAX_NAME: usize = 1024;
/// The most labels of one photograph.
const MAX_LABELS: usize = 1000;
/// Between two labels of a photograph.
pub(super) const SEPARATOR: char = ';';

/// A photograph of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Position in the table's `cells`.
    pub cell: u32,
    pub split: Option<Part>,
    pub group: u32,
    pub line: u32,
}

/// What all lines say.
pub(super) struct Entries {
    /// The names of the classes, sorted.
    pub class_names: Vec<String>,
    /// Each different set of labels: positions of names.
    pub cells: Vec<Vec<u32>>,
    /// By file.
    pub rows: Vec<(String, Row)>,
    /// Whether a photograph has another number of labels than one.
    pub several: bool,
}

/// The numbers of lines of a table. The reader's own are those of before a record's first line where lines end as on Windows.
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The line in which `at` lies.
    line: u64,
}

impl<'a> Lines<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Lines { bytes, at: 0, line: 1 }
    }

    /// The line of a record that the reader found at `offset` or behind the line ends there.
    pub fn of(&mut self, offset: usize) -> u64 {
        while let Some(&byte) = self.bytes.get(self.at) {
            let ends = matches!(byte, b'\r' | b'\n');
            if self.at >= offset && !ends {
                break;
            }
            let half = byte == b'\r' && self.bytes.get(self.at + 1) == Some(&b'\n');
            self.line += u64::from(ends && !half);
            self.at += 1;
        }
        self.line
    }
}

/// A table that is being read.
#[derive(Default)]
pub(super) struct Reading {
    names: HashMap<String, u32>,
    cells: HashMap<Vec<u32>, u32>,
    groups: HashMap<String, u32>,
    pub rows: HashMap<String, Row>,
    /// Set where a photograph has another number of labels than one.
    several: bool,
    pub repeated: usize,
}

impl Reading {
    /// Takes a line. The error follows its number.
    pub fn row(&mut self, header: &Header, record: &ByteRecord, line: u64) -> Result<(), String> {
        if record.iter().any(|field| field.len() > MAX_FIELD) {
            return Err(format!(
                "expected fields of at most {MAX_FIELD} bytes. Received a longer one. Is a quotation mark missing?"
            ));
        }
        if record.len() != header.columns {
            return Err(format!(
                "expected {}, as in the first line. Received {}. A field with a comma goes into quotation marks.",
                counted(header.columns, "field"),
                record.len()
            ));
        }
        let text = |column: usize, what: &str| {
            let bytes = record.get(column).unwrap_or_default();
            let text = std::str::from_utf8(bytes).map_err(|_| {
                format!(
                    "expected a {what} in UTF-8. Received: {}. Save the table as UTF-8.",
                    String::from_utf8_lossy(bytes).shown()
                )
            })?;
            match text.contains('\0') {
                true => Err(format!("expected a {what} without NUL. Received: {}", text.shown())),
                false => Ok(text),
            }
        };
        let file = file(text(header.file, "path")?)?;
        let cell = self.cell(text(header.label, "label")?)?;
        let split = header.split.map(|column| text(column, "split").and_then(part)).transpose()?;
        let group = match header.group {
            Some(column) => self.group(text(column, "group")?, &file)?,
            None => 0,
        };
        let row = Row { cell, split, group, line: u32::try_from(line).unwrap_or(u32::MAX) };
        let full = self.rows.len() >= MAX_ROWS;
        match self.rows.entry(file) {
            std::collections::hash_map::Entry::Vacant(_) if full => Err(format!(
                "expected at most {} photographs. Received more. Divide the table.",
                crate::thousands::thousands(MAX_ROWS)
            )),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(row);
                Ok(())
            }
            std::collections::hash_map::Entry::Occupied(before) => {
                let there = *before.get();
                if (Row { line: there.line, ..row }) != there {
                    let what = match (there.cell != cell, there.split != split) {
                        (true, _) => "labels",
                        (_, true) => "splits",
                        _ => "groups",
                    };
                    return Err(format!(
                        "{} was in line {} with other {what}: expected one entry for each file. Remove one of the two.",
                        before.key().shown(),
                        there.line
                    ));
                }
                self.repeated += 1;
                Ok(())
            }
        }
    }

    /// The number of a photograph's set of labels.
    fn cell(&mut self, text: &str) -> Result<u32, String> {
        if text.trim().is_empty() {
            return Err(format!(
                "expected a label. Received an empty one. A photograph that has none of the labels has `{SEPARATOR}`."
            ));
        }
        let mut set = Vec::new();
        if text.trim() != SEPARATOR.to_string() {
            for name in text.split(SEPARATOR) {
                let name = composed(name.trim());
                if name.is_empty() || name.len() > MAX_NAME {
                    return Err(format!(
                        "expected labels of 1 to {MAX_NAME} bytes between `{SEPARATOR}`. Received: {}",
                        text.shown()
                    ));
                }
                let next = self.names.len() as u32;
                set.push(*self.names.entry(name).or_insert(next));
            }
        }
        set.sort_unstable();
        set.dedup();
        if set.len() > MAX_LABELS {
            return Err(format!("expected at most {MAX_LABELS} labels. Received: {}", set.len()));
        }
        self.several |= set.len() != 1;
        let next = self.cells.len() as u32;
        Ok(*self.cells.entry(set).or_insert(next))
    }

    /// The number of a group; a photograph without one is a group of its own.
    fn group(&mut self, text: &str, file: &str) -> Result<u32, String> {
        let next = self.groups.len() as u32;
        let name = match composed(text.trim()) {
            // No name has a NUL, so that a file is no group of this name.
            name if name.is_empty() => format!("\0{file}"),
            name => name,
        };
        Ok(*self.groups.entry(name).or_insert(next))
    }

    /// All of it, in an order that does not depend on that of the lines.
    pub fn finish(self) -> Entries {
        let mut names: Vec<(String, u32)> = self.names.into_iter().collect();
        names.sort();
        let mut place = vec![0; names.len()];
        names.iter().enumerate().for_each(|(sorted, (_, read))| place[*read as usize] = sorted as u32);
        let mut cells: Vec<(Vec<u32>, u32)> = self.cells.into_iter().collect();
        cells.iter_mut().for_each(|(set, _)| {
            set.iter_mut().for_each(|class| *class = place[*class as usize]);
            set.sort_unstable();
        });
        cells.sort();
        let mut moved = vec![0; cells.len()];
        cells.iter().enumerate().for_each(|(sorted, (_, read))| moved[*read as usize] = sorted as u32);
        let mut rows: Vec<(String, Row)> = self.rows.into_iter().collect();
        rows.iter_mut().for_each(|(_, row)| row.cell = moved[row.cell as usize]);
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Entries {
            class_names: names.into_iter().map(|(name, _)| name).collect(),
            cells: cells.into_iter().map(|(set, _)| set).collect(),
            rows,
            several: self.several,
        }
    }
}

/// A path below the folder, in one spelling.
pub(super) fn file(text: &str) -> Result<String, String> {
    let mut parts: Vec<String> = Vec::new();
    for part in Path::new(text.trim()).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => parts.push(composed(&name.to_string_lossy())),
            Component::ParentDir => {
                return Err(format!(
                    "expected a path below the folder, without `..`. Received: {}",
                    text.shown()
                ))
            }
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!(
                    "expected a path relative to the folder of the photographs. Received an absolute one: {}",
                    text.shown()
                ))
            }
        }
    }
    match parts.is_empty() {
        true => Err("expected the path of a photograph. Received an empty one.".to_owned()),
        false => Ok(parts.join("/")),
    }
}

fn part(text: &str) -> Result<Part, String> {
    Part::named(text)
        .ok_or_else(|| format!("expected the split train, validation or test. Received: {:?}", text.trim()))
}
