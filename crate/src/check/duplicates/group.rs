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

/// Whether photographs, given by their classes, are more than half of some class; `all` is the number of photographs of
/// each class. A group like that is one form drawn or scanned many times, and its class could not be divided.
pub(in crate::check) fn is_most_of_a_class(group: impl Iterator<Item = usize>, all: &[usize]) -> bool {
    let mut here = vec![0; all.len()];
    group.for_each(|class| here[class] += 1);
    here.iter().zip(all).any(|(here, all)| 2 * here > *all)
}
