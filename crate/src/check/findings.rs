//! What a check finds, each kind as a type.

use std::path::PathBuf;

use super::duplicates::DuplicateKind;
use crate::data::FileDigest;

/// A photograph in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedFile {
    /// Its file.
    pub path: PathBuf,
    /// The set that it lies in: `train`, `validation` or `test`; `all` where the folder has no such parts.
    pub set: String,
    /// The class that its folder says.
    pub class: String,
    /// Height and width in pixels.
    pub size: (usize, usize),
    /// Length of the file in bytes.
    pub bytes: u64,
    pub(super) digest: FileDigest,
}

/// Photographs that show the same.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DuplicateGroup {
    /// The photographs, sorted by set and path.
    pub files: Vec<CheckedFile>,
    /// How they come from each other; where several apply, the one that changes a photograph most.
    pub kind: DuplicateKind,
    /// The least correlation of details of the pairs that join the group, 0 to 1.
    pub similarity: f32,
}

impl DuplicateGroup {
    /// How many of its photographs lie in another set than the training set while some lie in that: these make the
    /// accuracy there look better than it is.
    pub fn leaks(&self) -> usize {
        let trained = self.files.iter().filter(|file| file.set == "train").count();
        if trained == 0 {
            return 0;
        }
        self.files.len() - trained
    }

    /// Whether its photographs have different classes.
    pub fn has_several_classes(&self) -> bool {
        self.files.iter().any(|file| file.class != self.files[0].class)
    }
}

/// A photograph whose label is probably wrong.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SuspectedLabel {
    /// The photograph, with the class that its folder says.
    pub file: CheckedFile,
    /// The class that it looks like.
    pub looks_like: String,
    /// The probability of that class by a head that did not see the photograph, 0 to 1.
    pub probability: f32,
    /// The probability of the class that its folder says.
    pub given_probability: f32,
}

/// A photograph that is far from all others.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outlier {
    /// The photograph.
    pub file: CheckedFile,
    /// The distance of its features, scaled to length 1, to those of its tenth neighbour: 0 to 2.
    pub distance: f32,
}

/// Something that is unusual about a class.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClassFinding {
    /// The class has few photographs to train on.
    Small {
        /// The class.
        class: String,
        /// Its photographs.
        photographs: usize,
    },
    /// One class has many times as many photographs as another one.
    Unequal {
        /// The class with the most photographs, and how many.
        largest: (String, usize),
        /// That with the fewest.
        smallest: (String, usize),
    },
    /// Most photographs of a class are taken for those of another one.
    PartOf {
        /// The class.
        class: String,
        /// What its photographs are taken for.
        of: String,
        /// The part of them, 0 to 1.
        part: f32,
    },
}

/// What may be unusual about the pixels of a photograph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Oddity {
    /// Its shorter side is below 64 pixels.
    Tiny,
    /// It is nearly of a single grey level: the standard deviation over 32 x 32 cells is below 2 of 255 levels.
    SingleColour,
    /// It has no colours: in 99.5 % of its pixels red, green and blue differ by at most 12 levels.
    Grey,
    /// One side is more than three times as long as the other.
    Elongated,
}

impl Oddity {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Oddity::Tiny => "tiny",
            Oddity::SingleColour => "of a single colour",
            Oddity::Grey => "grey",
            Oddity::Elongated => "elongated",
        }
    }
}

/// A photograph with unusual pixels.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OddPhotograph {
    /// The photograph.
    pub file: CheckedFile,
    /// What is unusual.
    pub oddity: Oddity,
}

/// How large photographs are; the median has as many below as above.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Sizes {
    /// Least, median and greatest height in pixels.
    pub height: [usize; 3],
    /// Least, median and greatest width in pixels.
    pub width: [usize; 3],
    /// Least, median and greatest aspect ratio, width by height.
    pub aspect_ratio: [f32; 3],
}
