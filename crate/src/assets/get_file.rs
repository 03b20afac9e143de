//! `get_file`: a file of the network, kept in a folder, as in Keras.

use super::download::Download;
use super::extract::extract_zip;
use super::files::{create_parent, sweep, sync_parent};
use super::hash::sha256_file;
use super::lock::Lock;
use super::roots::data_root;
use crate::Show;
use crate::{progress::say, Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Fetches a file into the folder for downloads ([`data_root`]) unless it is there already, and gives its path.
///
/// `sha256` is what the file must be; without it a file that is there is taken as it is. With
/// `extract` the file is a zip archive, and the path is that of the folder it was extracted to,
/// `{name without .zip}_extracted`. [`GetFile`] has everything that can be set.
///
/// ```no_run
/// use transfer::assets::get_file;
///
/// let photographs = get_file("https://example.org/photographs.zip", None, true)?;
/// assert!(photographs.ends_with("photographs_extracted"));
/// # Ok::<(), transfer::Error>(())
/// ```
///
/// # Errors
/// See [`GetFile::run`].
pub fn get_file(origin: &str, sha256: Option<&str>, extract: bool) -> Result<PathBuf> {
    GetFile { file_hash: sha256.map(String::from), extract, ..GetFile::new(origin) }.run()
}

/// What [`get_file`] does, with everything that can be set; the names are Keras'.
///
/// The file appears when all of it is there and its hash is right. A connection that breaks is
/// continued where it stopped, if the server can do that; between tries there are growing pauses.
/// Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`, …). Processes that want the
/// same file download it once.
#[derive(Debug, Clone)]
pub struct GetFile {
    /// The address, `https://` or `http://`.
    pub origin: String,
    /// The name of the file; the last part of the address where it is `None`.
    pub fname: Option<String>,
    /// The SHA-256 that the file must have, in hexadecimal. Set it wherever it is known.
    pub file_hash: Option<String>,
    /// How many bytes the file must have, where that is known: a longer or shorter one is refused before
    /// its bytes are fetched.
    pub file_size: Option<u64>,
    /// The file is a zip archive and is to be extracted.
    pub extract: bool,
    /// The folder to keep the file in; that for downloads ([`data_root`]) where it is `None`.
    pub cache_dir: Option<PathBuf>,
    /// How often to try again after a server's error, a broken connection or a timeout (4). A host
    /// that cannot be reached at all is given up sooner.
    pub retries: u32,
    /// The first pause between tries (500 ms); each further one is twice as long.
    pub pause: Duration,
    /// How long to wait for a host to accept a connection (10 s).
    pub connect_timeout: Duration,
    /// How long to wait for further bytes, at least 1 KiB of them (30 s).
    pub read_timeout: Duration,
    /// A longer file is refused (4 GiB).
    pub max_bytes: u64,
}

impl GetFile {
    /// A download with the default settings.
    pub fn new(origin: impl Into<String>) -> Self {
        GetFile {
            origin: origin.into(),
            fname: None,
            file_hash: None,
            file_size: None,
            extract: false,
            cache_dir: None,
            retries: 4,
            pause: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            max_bytes: 4 << 30,
        }
    }

    /// Fetches the file, unless it is there already, and gives its path or that of the extracted
    /// folder.
    ///
    /// # Errors
    /// [`Error::Download`] where the file cannot be fetched, [`Error::Checksum`] where it is not the
    /// expected one, [`Error::Archive`] where it cannot be extracted, [`Error::Io`] where the folder
    /// cannot be written, [`Error::Invalid`] for an unusable address, name or hash, [`Error::Interrupted`] where somebody
    /// asked for an end. No file of the given name is there then, except one that was there before. Another file of
    /// that name is not deleted, but renamed.
    pub fn run(&self) -> Result<PathBuf> {
        self.try_run().map_err(|error| self.with_advice(error))
    }

    /// The same with errors that say what happened and leave what to do to the caller.
    pub(super) fn try_run(&self) -> Result<PathBuf> {
        let name = self.name()?;
        let expected = self.expected_hash()?;
        let folder = self.folder()?;
        let (path, extracted) = (folder.join(&name), folder.join(extracted_name(&name)));
        let _lock = Lock::take(&folder, &name)?;
        let fetched = !self.is_cached(&path, expected.as_deref())?;
        if fetched {
            self.fetch(&path, &name, expected.as_deref(), &extracted)?;
        }
        if !self.extract {
            return Ok(path);
        }
        if !extracted.is_dir() {
            say(format!("Extracting {name}"));
            sweep(&extracted);
            extract_zip(&path, &extracted).inspect_err(|error| {
                // What just came and is no archive would only fail the same way each time.
                if fetched && matches!(error, Error::Archive(_)) {
                    let _ = std::fs::remove_file(&path);
                }
            })?;
        }
        Ok(extracted)
    }

    fn fetch(&self, path: &Path, name: &str, expected: Option<&str>, extracted: &Path) -> Result<()> {
        create_parent(path)?;
        let partial = path.with_file_name(format!(".{name}.partial"));
        let download = Download {
            url: &self.origin,
            name,
            partial: &partial,
            retries: self.retries,
            pause: self.pause,
            connect_timeout: self.connect_timeout,
            read_timeout: self.read_timeout,
            max_bytes: self.max_bytes,
            size: self.file_size,
        };
        download.sweep();
        let checked = || match expected {
            Some(expected) => check_hash(&partial, &self.origin, expected),
            None => Ok(()),
        };
        let fetched = download.run().and_then(|in_parts| match checked() {
            // Parts of two versions may have been joined: once more, in one piece.
            Err(Error::Checksum(_)) if in_parts => {
                download.discard();
                download.run().and_then(|_| checked())
            }
            other => other,
        });
        match fetched {
            Ok(()) => {}
            // The next start goes on from what is there.
            Err(error @ Error::Interrupted(_)) => return Err(error),
            Err(error) => {
                download.discard();
                return Err(error);
            }
        }
        // A folder extracted from an older file must not pass for this one's.
        set_aside(extracted)?;
        set_aside(path)?;
        std::fs::rename(&partial, path).map_err(|e| Error::io("cannot write", path, e))?;
        sync_parent(path);
        Ok(())
    }

    /// Whether the file is there and is the one that is wanted.
    fn is_cached(&self, path: &Path, expected: Option<&str>) -> Result<bool> {
        if !path.is_file() {
            return Ok(false);
        }
        let bytes = path.metadata().map_err(|e| Error::io("cannot read", path, e))?.len();
        let differs = if self.file_size.is_some_and(|size| size != bytes) {
            "size"
        } else if expected.is_some() && Some(sha256_file(path)?.as_str()) != expected {
            "SHA-256"
        } else {
            return Ok(true);
        };
        say(format!("{} is not the expected file (its {differs} differs): fetching it", path.shown()));
        Ok(false)
    }

    fn folder(&self) -> Result<PathBuf> {
        match &self.cache_dir {
            Some(folder) => Ok(folder.clone()),
            None => data_root(),
        }
    }

    fn with_advice(&self, error: Error) -> Error {
        let folder =
            self.folder().map_or_else(|_| "the cache folder".to_owned(), |folder| folder.shown().to_string());
        let advice = format!(
            "Nothing was kept. Check the network (a proxy is taken from HTTPS_PROXY) and try again, or put the \
             file by hand into {folder}"
        );
        match error {
            Error::Download(what) => Error::Download(format!("{what}. {advice}")),
            Error::Checksum(what) => Error::Checksum(format!("{what}. {advice}")),
            other => other,
        }
    }

    fn name(&self) -> Result<String> {
        let rest = self.origin.strip_prefix("https://").or_else(|| self.origin.strip_prefix("http://"));
        let rest = rest.ok_or_else(|| {
            Error::Invalid(format!(
                "an address must start with https:// or http://. Received: {:?}",
                self.origin
            ))
        })?;
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        let last = path.split_once('/').map_or("", |(_, path)| path).rsplit('/').next().unwrap_or_default();
        let name = self.fname.as_deref().unwrap_or(last);
        let odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | ':');
        if name.is_empty() || name.starts_with('.') || name.len() > 200 || name.contains(odd) {
            return Err(Error::Invalid(format!(
                "{name:?} cannot be the name of a file to keep (address {:?}): set `fname` to a plain name",
                self.origin
            )));
        }
        Ok(name.to_string())
    }

    fn expected_hash(&self) -> Result<Option<String>> {
        let hash = self.file_hash.as_ref().map(|hash| hash.trim().to_ascii_lowercase());
        match hash {
            Some(hash) if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
                let what = format!("a SHA-256 has 64 hexadecimal digits. Received: {hash:?}");
                Err(Error::Invalid(what))
            }
            hash => Ok(hash),
        }
    }
}

/// Renames what is at `path`, if there is anything, to a name that is free, and says so: it is not the expected file,
/// but it may be somebody's.
pub(super) fn set_aside(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let free = |n: usize| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".replaced-{n}"));
        Some(path.with_file_name(name)).filter(|other| other.symlink_metadata().is_err())
    };
    let other = (1..=1000).find_map(free).ok_or_else(|| {
        let full = std::io::Error::other("there are a thousand replaced ones beside it: delete some");
        Error::io("cannot rename", path, full)
    })?;
    std::fs::rename(path, &other).map_err(|e| Error::io("cannot rename", path, e))?;
    say(format!("{} is replaced. What was there is kept as {}", path.shown(), other.shown()));
    Ok(())
}

fn extracted_name(name: &str) -> String {
    format!("{}_extracted", name.strip_suffix(".zip").unwrap_or(name))
}

/// Compares a file's hash; `origin` says in the error where the file came from.
pub(super) fn check_hash(path: &Path, origin: &str, expected: &str) -> Result<()> {
    let received = sha256_file(path)?;
    match received == expected {
        true => Ok(()),
        false => Err(Error::Checksum(format!(
            "what came from {origin} is not the expected file: its SHA-256 should be {expected}. \
             Received: {received}"
        ))),
    }
}
