//! A file that a user names as output.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::place;
use super::reserved::Reserved;
use super::Format;
use crate::Result;

/// A file that is to be written: its path, and what may be replaced there. See the [module](super) for the rules.
///
/// Functions that write a file take `impl Into<OutputFile>`, so that a path alone will do:
///
/// ```no_run
/// # fn example(model: &transfer::model::Model) -> transfer::Result<()> {
/// use transfer::prelude::*;
/// model.save("model.safetensors")?;
/// // Whatever file is there.
/// model.save(OutputFile::new("model.safetensors").overwrite(true))?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct OutputFile {
    pub(super) path: PathBuf,
    pub(super) overwrite: bool,
    /// Files that are read.
    pub(super) inputs: Vec<PathBuf>,
    /// Folders in which nothing is written, nor in folders that are linked in them.
    pub(super) folders: Vec<PathBuf>,
    /// Folders in which nothing is written.
    pub(super) taken: Vec<PathBuf>,
    pub(super) reserved: Option<Arc<Mutex<Option<Reserved>>>>,
}

/// The path and the rules are the same; whether the file is reserved does not count.
impl PartialEq for OutputFile {
    fn eq(&self, other: &Self) -> bool {
        let rules = |o: &Self| (o.overwrite, o.inputs.clone(), o.folders.clone(), o.taken.clone());
        self.path == other.path && rules(self) == rules(other)
    }
}

impl Eq for OutputFile {}

impl OutputFile {
    /// A file at this path, which replaces nothing but an empty file or an earlier one of the same kind that this
    /// program wrote.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        OutputFile {
            path,
            overwrite: false,
            inputs: Vec::new(),
            folders: Vec::new(),
            taken: Vec::new(),
            reserved: None,
        }
    }

    /// Whether any regular file that is there may be replaced, also one that is not of this program, or that is
    /// write-protected.
    pub fn overwrite(mut self, yes: bool) -> Self {
        self.overwrite = yes;
        self
    }

    /// Never replaces this file, whatever else is allowed: it is being read. Other names of the same file count,
    /// such as links.
    pub fn not_over(mut self, input: impl AsRef<Path>) -> Self {
        self.inputs.push(input.as_ref().to_owned());
        self
    }

    /// Never writes into this folder or one below it, whatever else is allowed: photographs lie there.
    pub fn not_in(mut self, folder: impl AsRef<Path>) -> Self {
        self.folders.push(folder.as_ref().to_owned());
        self
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file beside this one, by the same rules: `model.safetensors` and `.left_out.csv` give
    /// `model.safetensors.left_out.csv`.
    pub fn companion(&self, ending: &str) -> Self {
        let mut path = self.path.clone().into_os_string();
        path.push(ending);
        self.with_path(path)
    }

    /// The path of the regular file that would be written, there or not, without links.
    pub(crate) fn place(&self) -> Result<PathBuf> {
        let place = place::resolve(&self.path)?;
        self.check_place(&place)?;
        Ok(place.file)
    }

    /// Another path with the same rules.
    pub(crate) fn with_path(&self, path: impl Into<PathBuf>) -> Self {
        OutputFile { path: path.into(), reserved: None, ..self.clone() }
    }

    /// Refuses to replace one of these files or to write into a folder that one of them lies in, as
    /// [`not_over`](Self::not_over) and [`not_in`](Self::not_in) do, for any number of files.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where that is so now.
    pub fn not_among<'a>(mut self, files: impl IntoIterator<Item = &'a PathBuf>) -> Result<Self> {
        let mut folders = std::collections::BTreeSet::new();
        let target = place::resolve(&self.path)?;
        for file in files {
            folders.extend(file.parent().map(|folder| match folder.as_os_str().is_empty() {
                true => Path::new("."),
                false => folder,
            }));
            if target.is(file) {
                return Err(self.is_read(file));
            }
        }
        self.taken.extend(folders.into_iter().map(Path::to_owned));
        self.check_place(&target)?;
        Ok(self)
    }

    /// Opens the partial file of a model now, with the room that it will need, so that what prevents writing is
    /// known before anything is trained. [`Model::save`](crate::model::Model::save) then writes into it. One
    /// process at a time reserves a path. The partial file is removed with the last copy of this value.
    ///
    /// # Errors
    /// Where the file could not be written now: the place is not allowed, the folder cannot be written, the disk
    /// is full, another process has reserved the path.
    pub fn reserve_model(self) -> Result<Self> {
        self.reserve(Format::Model)
    }

    /// The same for [`Model::export_onnx`](crate::model::Model::export_onnx).
    ///
    /// # Errors
    /// As [`reserve_model`](Self::reserve_model).
    pub fn reserve_onnx(self) -> Result<Self> {
        self.reserve(Format::Onnx)
    }
}

/// Text or a path.
impl<T: AsRef<OsStr> + ?Sized> From<&T> for OutputFile {
    fn from(path: &T) -> Self {
        OutputFile::new(path.as_ref())
    }
}

impl From<String> for OutputFile {
    fn from(path: String) -> Self {
        OutputFile::new(path)
    }
}

impl From<OsString> for OutputFile {
    fn from(path: OsString) -> Self {
        OutputFile::new(path)
    }
}

impl From<PathBuf> for OutputFile {
    fn from(path: PathBuf) -> Self {
        OutputFile::new(path)
    }
}

impl From<&OutputFile> for OutputFile {
    fn from(file: &OutputFile) -> Self {
        file.clone()
    }
}
