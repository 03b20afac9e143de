//! Tables as CSV.

use std::io::Write;

use super::{place, Format, OutputFile};
use crate::{csv_cell, input, Error, Result, Show};

/// A table as bytes: the columns' names, then a line for each row.
pub(crate) fn encode<R, C>(header: &[&str], rows: R, separator: u8) -> std::io::Result<Vec<u8>>
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item: AsRef<[u8]>>,
{
    let mut table = csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
    table.write_record(header)?;
    for row in rows {
        for cell in row {
            table.write_field(csv_cell(cell.as_ref()))?;
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
        C: IntoIterator<Item: AsRef<[u8]>>,
    {
        let table = encode(header, rows, b',').map_err(|e| {
            Error::Invalid(format!("{} expected rows of {} cells: {e}", self.path.shown(), header.len()))
        })?;
        self.write(&Format::Table(vec![header.join(",")]), |out| out.write_all(&table))
    }

    /// Finds out whether a table with these columns could be written now.
    ///
    /// # Errors
    /// As [`write_csv`](Self::write_csv).
    pub fn check_csv(&self, header: &[&str]) -> Result<()> {
        self.check(&Format::Table(vec![header.join(",")]))
    }

    /// Removes an earlier table with these columns; `true` where there was one. Anything else stays.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be looked at or removed.
    pub fn remove_csv(&self, header: &[&str]) -> Result<bool> {
        self.remove(&Format::Table(vec![header.join(",")]))
    }

    /// Removes an earlier file of this kind that this program wrote; `true` where there was one. Anything else stays.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be looked at or removed.
    pub(crate) fn remove(&self, format: &Format) -> Result<bool> {
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
        let mut file = input::open(&self.path).map_err(failed)?.file;
        let ours = format.is_written_here(&mut file).map_err(failed)?;
        if ours {
            std::fs::remove_file(&self.path).map_err(failed)?;
        }
        Ok(ours)
    }
}
