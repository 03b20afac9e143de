//! The arguments of `transfer sort`.

use std::path::PathBuf;

use clap::Args;

use crate::values::{share, unknown, Unknown};

/// Sort photographs into folders by their predicted class.
///
/// Each image file below IN comes into the folder of its class in OUT: OUT/cats, OUT/dogs, and so on. A photograph that
/// is probably none of the classes comes into OUT/unknown, and one whose class has a probability below `--unsure` into
/// OUT/unsure. Files that cannot be decoded and files that are no images stay where they are. Nothing is replaced: where
/// two files have the same name, the second one gets a number, `1-2.jpg`.
///
/// Every act is written to a list before it is done: OUT/sorted.csv, with the columns action, from, to, class and
/// confidence. `--undo` with this list takes everything back. If the command is interrupted, the same command goes on;
/// no photograph is lost or sorted twice.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  transfer sort model.safetensors holiday sorted             copies
  transfer sort model.safetensors holiday sorted --move
  transfer sort model.safetensors holiday sorted --link --unsure 0.8
  transfer sort --undo sorted/sorted.csv")]
pub struct Sort {
    /// Model file that `transfer train` wrote
    #[arg(required_unless_present = "undo")]
    pub model: Option<PathBuf>,
    /// Folder with the photographs, also in its sub-folders
    #[arg(required_unless_present = "undo", value_name = "IN")]
    pub from: Option<PathBuf>,
    /// Folder for the class folders, outside of IN. It need not be there
    #[arg(required_unless_present = "undo", value_name = "OUT")]
    pub into: Option<PathBuf>,
    /// Copy the files (the default)
    #[arg(long, conflicts_with_all = ["link", "moving"])]
    pub copy: bool,
    /// Give the files a second name in OUT (hard links), which takes no room. IN and OUT share the photographs then
    #[arg(long, conflicts_with = "moving")]
    pub link: bool,
    /// Move the files
    #[arg(long = "move")]
    pub moving: bool,
    /// Take back what a list of an earlier `transfer sort` says
    #[arg(long, value_name = "LIST", conflicts_with_all = ["model", "from", "into", "copy", "link", "moving"])]
    pub undo: Option<PathBuf>,
    /// Probability of the predicted class below which a photograph comes into OUT/unsure; 0 calls none unsure
    #[arg(long, value_name = "P", default_value_t = 0.6, value_parser = share)]
    pub unsure: f32,
    /// Whether a photograph that is probably none of the classes comes into OUT/unknown: `on`, `off`, or the fraction of
    /// known photographs that may wrongly be called so, as in `predict`
    #[arg(long, value_name = "WHEN", default_value = "on", value_parser = unknown)]
    pub unknown: Unknown,
    #[command(flatten)]
    pub features: crate::features::FeaturesFile,
    #[command(flatten)]
    pub computing: crate::device::Computing,
}
