//! Photographs in their own size, decoded once and looked at, many at a time.

use super::decode::{decode, Buffers, Unusable};
use super::digest::{bytes_digest, FileDigest};
use super::resize::resize_into;
use crate::progress::check_stop;
use crate::{input, threads, Error, Result, Show};
use std::path::PathBuf;

/// A decoded photograph, upright.
pub(crate) struct Whole<'a> {
    file: &'a [u8],
    /// Bytes (height, width, 3), red, green and blue.
    pub pixels: &'a [u8],
    pub height: usize,
    pub width: usize,
}

impl Whole<'_> {
    /// The digest of the file's bytes.
    pub fn digest(&self) -> FileDigest {
        bytes_digest(self.file)
    }

    /// How many bytes the file has.
    pub fn file_bytes(&self) -> u64 {
        self.file.len() as u64
    }

    /// Writes it as a batch has it, resized to (height, width), 0..255.
    pub fn resize(&self, size: (usize, usize), out: &mut [f32]) {
        resize_into(self.pixels, (self.height, self.width), 3, out, size, &mut Vec::new());
    }
}

/// What `take` makes of each photograph, in the order of `paths`; the reason instead, in words that follow the path,
/// where one cannot be decoded.
///
/// # Errors
/// Where a file cannot be read; [`Error::Interrupted`].
pub(crate) fn look_at_whole<'a, I: Send, T: Send>(
    photographs: Vec<(&'a PathBuf, I)>,
    take: impl Fn(Whole<'_>, I) -> T + Send + Sync,
) -> Result<Vec<Result<T, String>>> {
    let look = |buffers: &mut Buffers, (path, with): (&'a PathBuf, I)| {
        check_stop("Looking at the photographs")?;
        let done = decode(path, buffers, |rgb| {
            let (pixels, height, width) = (rgb.pixels, rgb.height, rgb.width);
            take(Whole { file: rgb.file, pixels, height, width }, with)
        });
        match done {
            Ok(taken) => Ok(Ok(taken)),
            Err(Unusable::Content(reason) | Unusable::NoImage(reason)) => Ok(Err(reason)),
            Err(Unusable::Unread(e)) => Err(input::photograph(path, e)),
            Err(Unusable::NoFile(reason)) => Err(Error::Data(format!(
                "{} {reason}. It was one when the folder was listed: leave photographs as they are while they are used.",
                path.shown()
            ))),
        }
    };
    threads::map_init(photographs, Buffers::default, look).into_iter().collect()
}
