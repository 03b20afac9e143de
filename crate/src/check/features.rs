//! Features of all photographs: in memory as long as they are few, else in a file without a name.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};

use crate::output::scratch_file;
use crate::{Error, Result};

/// What features may take in memory; those of 24,000 photographs.
const IN_MEMORY: usize = 24_000 * 1280 * size_of::<f32>();

/// Rows of numbers (n, width), written once from first to last and then read in blocks.
pub(super) struct Features {
    width: usize,
    rows: usize,
    kept: Kept,
}

enum Kept {
    Memory(Vec<f32>),
    /// Little-endian numbers. It has no name any more: it goes with this process, however that ends.
    File(BufWriter<File>),
}

impl Features {
    /// Room for `rows` rows of `width` numbers.
    ///
    /// # Errors
    /// Where they do not fit into memory and no file can be made.
    pub fn with_room(rows: usize, width: usize) -> Result<Self> {
        Self::with_limit(rows, width, IN_MEMORY)
    }

    fn with_limit(rows: usize, width: usize, limit: usize) -> Result<Self> {
        let kept = match rows * width * size_of::<f32>() <= limit {
            true => Kept::Memory(Vec::with_capacity(rows * width)),
            false => Kept::File(BufWriter::new(scratch_file()?)),
        };
        Ok(Features { width, rows: 0, kept })
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Appends rows.
    ///
    /// # Errors
    /// Where the file cannot be written, as on a full disk.
    pub fn push(&mut self, values: &[f32]) -> Result<()> {
        self.rows += values.len() / self.width.max(1);
        match &mut self.kept {
            Kept::Memory(all) => all.extend_from_slice(values),
            Kept::File(file) => values
                .iter()
                .try_for_each(|value| file.write_all(&value.to_le_bytes()))
                .map_err(|e| failed("cannot write", e))?,
        }
        Ok(())
    }

    /// Copies `n` rows from row `first` on into `out`, which becomes as long as that.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(&mut self, first: usize, n: usize, out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        self.append(first, n, out)
    }

    /// Copies rows by their numbers into `out`, which becomes as long as they are together. Rows that follow each other
    /// are read at once.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn gather(&mut self, which: &[u32], out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        let follows = |a: &u32, b: &u32| a.checked_add(1) == Some(*b);
        which.chunk_by(follows).try_for_each(|run| self.append(run[0] as usize, run.len(), out))
    }

    fn append(&mut self, first: usize, n: usize, out: &mut Vec<f32>) -> Result<()> {
        let (from, to) = (first * self.width, (first + n) * self.width);
        match &mut self.kept {
            Kept::Memory(all) => out.extend_from_slice(&all[from..to]),
            Kept::File(file) => {
                let mut bytes = vec![0; (to - from) * size_of::<f32>()];
                let read = file.flush().and_then(|()| {
                    let file = file.get_mut();
                    file.seek(SeekFrom::Start((from * size_of::<f32>()) as u64))?;
                    file.read_exact(&mut bytes)
                });
                read.map_err(|e| failed("cannot read", e))?;
                out.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            }
        }
        Ok(())
    }

    /// All rows, where they are in memory; this is then without any.
    pub fn take(&mut self) -> Option<Vec<f32>> {
        match &mut self.kept {
            Kept::Memory(all) => {
                self.rows = 0;
                Some(std::mem::take(all))
            }
            Kept::File(_) => None,
        }
    }
}

fn failed(action: &'static str, error: std::io::Error) -> Error {
    Error::io(action, "the file of features in the folder for temporary files", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_a_file_are_those_in_memory() {
        let values: Vec<f32> = (0..700).map(|i| (i as f32).sin()).collect();
        let [mut memory, mut file] =
            [usize::MAX, 100].map(|limit| Features::with_limit(100, 7, limit).unwrap());
        assert!(matches!(file.kept, Kept::File(_)));
        for features in [&mut memory, &mut file] {
            values.chunks(21).for_each(|rows| features.push(rows).unwrap());
            assert_eq!((features.len(), features.width()), (100, 7));
            let mut out = vec![1.0];
            for (first, n) in [(0, 100), (3, 5), (99, 1), (50, 0)] {
                features.read(first, n, &mut out).unwrap();
                assert_eq!(out, values[7 * first..7 * (first + n)]);
            }
            features.gather(&[3, 4, 5, 0, 99], &mut out).unwrap();
            let expected = [&values[21..42], &values[..7], &values[693..]].concat();
            assert_eq!(out, expected);
        }
        assert_eq!((memory.take(), file.take()), (Some(values), None));
    }
}
