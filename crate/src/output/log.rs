//! A table that is written line by line, each on disk before what it announces is done.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::folders::sync_parent;
use crate::{input, Error, Result, Show};

/// A CSV file of this program that grows. Unlike other outputs it is at its place from the start, since it tells what was
/// done also where the work is interrupted. Cells are as they are given: [`csv_cell`](crate::csv_cell) would change
/// paths.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// A new file at `path`, with the names of its columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] where something is there; [`Error::Io`] where it cannot be made.
    pub fn create(path: &Path, columns: &[&str]) -> Result<Self> {
        let file = File::options().write(true).create_new(true).open(path);
        let file = file.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => Error::Invalid(format!(
                "a list expected a new name. Received: {}, which is there",
                path.shown()
            )),
            _ => Error::io("cannot write", path, e),
        })?;
        let mut log = Log { path: path.to_owned(), file };
        log.append([columns.iter().map(|name| name.as_bytes())])?;
        sync_parent(path);
        Ok(log)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds rows, and returns when they are on disk.
    ///
    /// # Errors
    /// [`Error::Io`] where they cannot be written.
    pub fn append<R, C>(&mut self, rows: R) -> Result<()>
    where
        R: IntoIterator<Item = C>,
        C: IntoIterator<Item: AsRef<[u8]>>,
    {
        let failed = |e| Error::io("cannot write", &self.path, e);
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.write_record(row).map_err(|e| failed(e.into()))?;
        }
        let bytes = writer.into_inner().map_err(|e| failed(e.into_error()))?;
        self.file.write_all(&bytes).and_then(|()| self.file.sync_data()).map_err(failed)
    }

    /// Reads the rows of such a file, without its first line. The last row is left out where it was not written whole:
    /// what it announces was not done.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::Data`] where it is no table with these columns, or is longer than
    /// 1 GiB.
    pub fn read(path: &Path, columns: &[&str]) -> Result<Vec<Vec<Vec<u8>>>> {
        const MOST: u64 = 1 << 30;
        let unusable = |what: String| Error::Data(format!("{} {what}", path.shown()));
        let bytes = input::read_or("cannot read the list", path, MOST, || unusable("is too long".into()))?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&bytes[..]);
        let mut rows: Vec<Vec<Vec<u8>>> = Vec::new();
        for record in reader.byte_records() {
            let record = record.map_err(|e| unusable(format!("is damaged: {e}")))?;
            rows.push(record.iter().map(<[u8]>::to_vec).collect());
        }
        if !bytes.ends_with(b"\n") || rows.last().is_some_and(|row| row.len() != columns.len()) {
            rows.pop();
        }
        let head = columns.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
        if rows.first() != Some(&head) {
            return Err(unusable(format!("expected a list with the columns {}", columns.join(","))));
        }
        if let Some(line) = rows.iter().position(|row| row.len() != columns.len()) {
            return Err(unusable(format!("expected {} cells in row {line}", columns.len())));
        }
        rows.remove(0);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_wherever_the_last_one_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.csv");
        let columns = ["a", "b"];
        let mut log = Log::create(&path, &columns).unwrap();
        assert!(Log::create(&path, &columns).is_err());
        let rows = [[&b"plain"[..], b"=1+1"], [b"a \"b\",\nc", b"\xff\xfe"]];
        log.append(rows).unwrap();
        let expected: Vec<Vec<Vec<u8>>> =
            rows.iter().map(|row| row.iter().map(|c| c.to_vec()).collect()).collect();
        assert_eq!(Log::read(&path, &columns).unwrap(), expected);
        let whole = std::fs::read(&path).unwrap();
        let first = b"a,b\nplain,=1+1\n".len();
        for end in first..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(Log::read(&path, &columns).unwrap(), expected[..1], "cut at {end}");
        }
        for wrong in ["", "x,y\n1,2\n", "a,b\n1\n2,3\n"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(Log::read(&path, &columns).is_err(), "{wrong:?}");
        }
    }
}
