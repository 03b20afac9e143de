//! Whether a weight file is the published one: its size, and its SHA-256 as far as it is known. Where nobody has stated
//! the whole SHA-256, a file that holds the network is trusted at its first use, and its SHA-256 is recorded beside it.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::files::write_whole;
use super::get_file::GetFile;
use super::hash::sha256_file;
use crate::progress::say;
use crate::{Error, Result, Show};

/// Digits of a whole SHA-256.
const WHOLE: usize = 64;

/// Reads a file, which fails where it does not hold the network.
type Read<'a> = dyn Fn(&Path) -> Result<()> + 'a;

/// What is known of a published weight file.
pub(super) struct Published<'a> {
    /// What a message calls it, such as "Keras' own file".
    pub title: String,
    pub bytes: Option<u64>,
    /// Its SHA-256 in small letters, or how that begins.
    pub sha256: Option<String>,
    pub read: Box<Read<'a>>,
}

impl Published<'_> {
    /// Where the SHA-256 of `path` is recorded.
    pub fn record(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".sha256");
        name.into()
    }

    /// The whole SHA-256 that `path` must have, if it is known or was recorded.
    fn recorded(&self, path: &Path) -> Result<Option<String>> {
        if let Some(hash) = self.sha256.as_ref().filter(|hash| hash.len() == WHOLE) {
            return Ok(Some(hash.clone()));
        }
        let record = Self::record(path);
        match std::fs::read_to_string(&record) {
            Ok(hash) => Ok(Some(hash.trim().to_owned())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("cannot read", &record, e)),
        }
    }

    /// Compares size and SHA-256; a file of which the whole SHA-256 is not known is read, and its SHA-256 is recorded.
    ///
    /// # Errors
    /// [`Error::Checksum`] where it is another file, [`Error::Weights`] where it does not hold the network, [`Error::Io`]
    /// where it or the record cannot be read.
    pub fn check(&self, path: &Path) -> Result<()> {
        let bytes = path.metadata().map_err(|e| Error::io("cannot read", path, e))?.len();
        if let Some(size) = self.bytes.filter(|&size| size != bytes) {
            return Err(Error::Checksum(format!(
                "{} is not {}: it should have {size} bytes. Received: {bytes}",
                path.shown(),
                self.title
            )));
        }
        let hash = sha256_file(path)?;
        let recorded = self.recorded(path)?;
        let stated = [&recorded, &self.sha256].into_iter().flatten();
        if let Some(expected) = stated.into_iter().find(|expected| !hash.starts_with(expected.as_str())) {
            let be = if expected.len() == WHOLE { "be" } else { "start with" };
            return Err(Error::Checksum(format!(
                "{} is not {}: its SHA-256 should {be} {expected}. Received: {hash}",
                path.shown(),
                self.title
            )));
        }
        match recorded {
            Some(_) => Ok(()),
            None => self.trust(path, &hash),
        }
    }

    fn trust(&self, path: &Path, hash: &str) -> Result<()> {
        (self.read)(path)?;
        say(format!(
            "Weights: {} is trusted at its first use: this program does not know the whole SHA-256 that {} should have. \
             It holds every tensor of the network. Its SHA-256 is {hash}, and is compared from now on",
            path.shown(),
            self.title
        ));
        if let Err(error) = write_whole(&Self::record(path), |out| writeln!(out, "{hash}")) {
            say(format!(
                "Weights: its SHA-256 could not be recorded, so the next start trusts it again: {error}"
            ));
        }
        Ok(())
    }

    /// Downloads it to `path`, where it is not there yet, and compares it. `download` has the address; its `file_hash`,
    /// if it has one, is compared first.
    ///
    /// # Errors
    /// As [`check`](Self::check) and [`GetFile::run`].
    pub fn fetch(&self, path: &Path, download: &GetFile) -> Result<PathBuf> {
        let was_there = path.symlink_metadata().is_ok();
        let recorded = self.recorded(path)?;
        let fetched = GetFile {
            fname: path.file_name().map(|name| name.to_string_lossy().into_owned()),
            cache_dir: path.parent().map(Path::to_owned),
            file_size: self.bytes,
            file_hash: download.file_hash.clone().or(recorded),
            ..download.clone()
        }
        .try_run()?;
        self.check(&fetched).inspect_err(|error| {
            if !was_there && matches!(error, Error::Weights(_) | Error::Checksum(_)) {
                // It has just come from there, and would fail the same way each time.
                let _ = std::fs::remove_file(&fetched);
            }
        })?;
        Ok(fetched)
    }
}
