//! What a group of duplicates is.

/// How photographs of a group come from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DuplicateKind {
    /// The files have the same bytes.
    Copy,
    /// The same picture in another size, format or quality.
    Resaved,
    /// Mirror images.
    Mirrored,
    /// The same scene, cropped or taken from slightly elsewhere.
    Shifted,
}

impl DuplicateKind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            DuplicateKind::Copy => "copies",
            DuplicateKind::Resaved => "resized or compressed again",
            DuplicateKind::Mirrored => "mirrored",
            DuplicateKind::Shifted => "cropped or of one series",
        }
    }
}

/// Photographs that show the same, by their numbers in the scan, rising.
#[derive(Debug, Clone)]
pub(in crate::check) struct Group {
    pub members: Vec<usize>,
    /// What joins them, one less than members.
    pub links: Vec<Link>,
}

/// What joins two photographs.
#[derive(Debug, Clone, Copy)]
pub(in crate::check) struct Link {
    pub kind: DuplicateKind,
    pub likeness: f32,
}
