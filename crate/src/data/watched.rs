//! Telling errors of reading from damage: decoders wrap what goes wrong while they read into words about a damaged
//! file.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// A file that remembers the first error of reading it.
pub(super) struct Watched<'a> {
    pub file: File,
    pub failed: &'a RefCell<Option<io::Error>>,
}

impl Watched<'_> {
    fn noting<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let copy = match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => error.kind().into(),
            };
            if error.kind() != ErrorKind::Interrupted {
                self.failed.borrow_mut().get_or_insert(error);
            }
            copy
        })
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        self.noting(read)
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let sought = self.file.seek(to);
        match sought {
            // To before the start, which a damaged file may ask for.
            Err(e) if e.kind() == ErrorKind::InvalidInput => Err(e),
            other => self.noting(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, ImageReader};
    use std::io::BufReader;

    #[cfg(unix)]
    #[test]
    fn an_error_of_reading_is_not_taken_for_damage() {
        let folder = tempfile::tempdir().unwrap();
        // A folder opened as a file: reading it fails.
        let file = File::open(folder.path()).unwrap();
        let failed = RefCell::new(None);
        let mut file = BufReader::new(Watched { file, failed: &failed });
        let found = ImageReader::with_format(&mut file, ImageFormat::Png).into_dimensions();
        assert!(found.is_err());
        assert!(failed.take().is_some_and(|e| e.raw_os_error().is_some()));
    }
}
