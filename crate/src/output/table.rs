//! Tables as CSV.

use std::borrow::Cow;
use std::io::Write;

use super::{place, Format, OutputFile};
use crate::{Error, Result, Show};

/// The text of a cell as it stands in every table that this program writes. Spreadsheets take a text that starts
/// with `=`, `+`, `-`, `@`, a tab or a line break for a formula, and a file name may be made to be one. Such a text
/// gets an apostrophe in front, which spreadsheets take for the mark of plain text. Numbers stay as they are.
///
/// ```
/// use transfer::output::csv_cell;
///
/// assert_eq!(csv_cell("=HYPERLINK(\"…\")"), "'=HYPERLINK(\"…\")");
/// assert_eq!(csv_cell("-0.25"), "-0.25");
/// assert_eq!(csv_cell("cats/1.jpg"), "cats/1.jpg");
/// ```
pub fn csv_cell(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && text.parse::<f64>().is_err() {
        true => format!("'{text}").into(),
        false => text.into(),
    }
}

/// A table as bytes: the columns' names, then a line for each row.
pub(crate) fn encode<R, C>(header: &[&str], rows: R, separator: u8) -> std::io::Result<Vec<u8>>
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item: AsRef<str>>,
{
    let mut table = csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
    table.write_record(header)?;
    for row in rows {
        for cell in row {
            table.write_field(csv_cell(cell.as_ref()).as_bytes())?;
        }
        table.write_record(None::<&[u8]>)?;
    }
    table.into_inner().map_err(|e| e.into_error())
}

impl OutputFile {
    /// Writes a table as CSV, whole or not at all: the columns' names, then a line for each row. An earlier table
    /// with the same columns is replaced. Cells are [made harmless](csv_cell).
    ///
    /// # Errors
    /// [`Error::Invalid`] where something else is there, or a row has another number of cells than there are columns;
    /// [`Error::Io`] where the file cannot be written. What was there is then still there.
    pub fn write_csv<R, C>(&self, header: &[&str], rows: R) -> Result<()>
    where
        R: IntoIterator<Item = C>,
        C: IntoIterator<Item: AsRef<str>>,
    {
        let table = encode(header, rows, b',').map_err(|e| {
            Error::Invalid(format!("{} expected rows of {} cells: {e}", self.path.shown(), header.len()))
        })?;
        self.write(&Format::Table(vec![header.join(",")]), |out| out.write_all(&table))
    }

    /// Removes an earlier table with these columns; `true` where there was one. Anything else stays.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be looked at or removed.
    pub fn remove_csv(&self, header: &[&str]) -> Result<bool> {
        let failed = |e| Error::io("cannot remove", &self.path, e);
        // A link is not followed here, since what it leads to has a name of its own.
        match self.path.symlink_metadata() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(failed(e)),
            Ok(about) if !about.is_file() => return Ok(false),
            Ok(_) => {}
        }
        let place = place::resolve(&self.path)?;
        self.check_place(&place)?;
        let mut file = place::open_regular(&self.path).map_err(failed)?;
        let ours = Format::Table(vec![header.join(",")]).is_written_here(&mut file).map_err(failed)?;
        if ours {
            std::fs::remove_file(&self.path).map_err(failed)?;
        }
        Ok(ours)
    }
}
