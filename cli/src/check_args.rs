//! The arguments of `check`, and how `train` groups photographs. The comments are the texts of `--help`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Look for duplicates, wrong labels and outliers among photographs.
///
/// DIR is a folder as for `transfer train`: class folders, or `train` with class folders and `validation` or `test`
/// beside it. All photographs are looked at together, and nothing in DIR is changed. What is found:
///
/// - duplicates: copies, and photographs that were resized, compressed again, mirrored, slightly cropped, or taken a
///   moment later; with a warning where they stand in the training set and outside of it
/// - photographs whose class is probably wrong, with the class that they look like, by models that did not see them
/// - photographs that are far from all others
/// - files that cannot be decoded; tiny, grey, single-coloured and elongated photographs; sizes
/// - classes with few photographs, very unequal ones, and one class as a part of another
///
/// `--fix` writes a table of proposed changes (columns file, action, to, reason, score; actions keep, drop, move,
/// relabel). Look through it and edit it, then carry it out with `--apply`, which makes a new folder.
///
/// The exit code is 0, whatever was found.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  transfer check my_photos
  transfer check my_photos --fix changes.csv
  transfer check my_photos --apply changes.csv --into my_photos_2
  transfer check my_photos --labels labels.csv
  transfer check my_photos --format json | jq '.suspects[].file'")]
pub struct Check {
    /// Folder with the class folders
    pub dir: PathBuf,
    /// Table with the labels of the photographs in DIR, as in `train`, instead of class folders. Its column `split`, if
    /// there is one, says which set a photograph is of
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = CheckFormat::Text, conflicts_with = "apply")]
    pub format: CheckFormat,
    /// Write a table of proposed changes. An earlier table of this program is replaced
    #[arg(long, value_name = "OUT.csv", conflicts_with = "apply")]
    pub fix: Option<PathBuf>,
    /// Replace any file at the place of the table, but never a file in a folder of photographs
    #[arg(long, requires = "fix")]
    pub force: bool,
    /// Write a picture (PNG) of the photographs whose class is probably wrong
    #[arg(long, value_name = "OUT.png", conflicts_with = "apply")]
    pub picture: Option<PathBuf>,
    /// Carry out a table of changes in a new folder, without another check
    #[arg(long, value_name = "TABLE.csv", requires = "into")]
    pub apply: Option<PathBuf>,
    /// New folder for `--apply`, outside of DIR. Photographs there are hard links, which take no room. With `--labels` it
    /// gets a table `labels.csv`
    #[arg(long, value_name = "NEW_DIR", requires = "apply")]
    pub into: Option<PathBuf>,
    /// Copy the photographs to the new folder instead of linking them
    #[arg(long, requires = "apply")]
    pub copy: bool,
    /// Do not check labels
    #[arg(long, conflicts_with = "apply")]
    pub no_labels: bool,
    #[command(flatten)]
    pub features: crate::features::Features,
    /// Height and width of the images that the ONNX file gets, in pixels. By default what the file or the JSON beside it
    /// states, or 224
    #[arg(long, value_name = "PIXELS", value_parser = crate::values::image_size, requires = "features")]
    pub features_size: Option<(usize, usize)>,
    #[command(flatten)]
    pub computing: crate::device::Computing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// A summary with the first files of each kind
    Text,
    /// One JSON object with all files
    Json,
}

/// Which photographs a split of `train` keeps together.
#[derive(Debug, Args)]
pub struct Grouping {
    /// Photographs that the split keeps together, so that the accuracy is not measured on near-copies of the training
    /// set
    #[arg(long, value_enum, default_value_t = Group::Duplicates)]
    pub group: Group,
    /// Also keep photographs together whose names agree in the part in brackets, such as `(*)_*` for `anna_1.jpg` and
    /// `anna_2.jpg`. `*` stands for any characters; the ending (.jpg) does not count; `(*)/*` joins sub-folders
    #[arg(long, value_name = "PATTERN", conflicts_with = "validation")]
    pub group_by: Option<String>,
    /// Do not look for duplicates and wrong labels before training; the split then knows no duplicates
    #[arg(long)]
    pub no_check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Copies and near-copies
    Duplicates,
    /// Nothing
    None,
}

impl Grouping {
    /// What the split depends on, in words.
    pub fn said(&self) -> String {
        let duplicates = self.group == Group::Duplicates && !self.no_check;
        let first = if duplicates { "duplicates" } else { "none" };
        match &self.group_by {
            Some(pattern) => format!("{first} and {pattern}"),
            None => first.to_owned(),
        }
    }
}
