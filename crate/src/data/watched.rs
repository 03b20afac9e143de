//! Telling errors of reading from damage: decoders wrap what goes wrong while they read into words about a damaged
//! file.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use crate::input::{same_length, Input};

/// A file that remembers the first error of reading it, and takes an end before its length for one.
pub(super) struct Watched<'a> {
    input: Input,
    /// How far it was read.
    at: u64,
    failed: &'a RefCell<Option<io::Error>>,
}

impl<'a> Watched<'a> {
    pub fn new(input: Input, failed: &'a RefCell<Option<io::Error>>) -> Self {
        Watched { input, at: 0, failed }
    }

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
        let read = self.input.file.read(buffer);
        let n = self.noting(read)?;
        self.at += n as u64;
        if n == 0 && !buffer.is_empty() && self.at < self.input.length {
            self.noting(same_length(self.input.length, self.at))?;
        }
        Ok(n)
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let sought = match self.input.file.seek(to) {
            // To before the start, which a damaged file may ask for.
            Err(e) if e.kind() == ErrorKind::InvalidInput => return Err(e),
            other => self.noting(other),
        };
        self.at = *sought.as_ref().unwrap_or(&self.at);
        sought
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input;

    #[cfg(unix)]
    #[test]
    fn an_error_of_reading_is_not_taken_for_damage() {
        use image::{ImageFormat, ImageReader};
        use std::io::BufReader;
        let folder = tempfile::tempdir().unwrap();
        // A folder opened as a file: reading it fails.
        let file = std::fs::File::open(folder.path()).unwrap();
        let failed = RefCell::new(None);
        let mut file = BufReader::new(Watched::new(Input { file, length: 1 }, &failed));
        let found = ImageReader::with_format(&mut file, ImageFormat::Png).into_dimensions();
        assert!(found.is_err());
        assert!(failed.take().is_some_and(|e| e.raw_os_error().is_some()));
    }

    #[test]
    fn a_file_that_ends_before_its_length_is_not_taken_for_what_is_left_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo.png");
        std::fs::write(&path, [7; 100]).unwrap();
        let failed = RefCell::new(None);
        let mut file = Watched::new(input::open(&path).unwrap(), &failed);
        let mut head = [0; 60];
        file.read_exact(&mut head).unwrap();
        assert!(file.read_to_end(&mut Vec::new()).is_ok() && failed.take().is_none());
        // Seeking beyond the end is no sign of a change, nor is reading nothing.
        file.seek(SeekFrom::Start(200)).unwrap();
        assert_eq!((file.read(&mut head).unwrap(), failed.take().is_none()), (0, true));
        file.seek(SeekFrom::Start(10)).unwrap();
        assert_eq!((file.read(&mut []).unwrap(), failed.take().is_none()), (0, true));
        std::fs::File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        assert!(file.read(&mut head).is_err());
        assert!(failed.take().is_some_and(|e| e.to_string().contains("length changed")));
    }
}
