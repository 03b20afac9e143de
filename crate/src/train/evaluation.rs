//! What an evaluation finds.

/// Loss and accuracy of a data set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean loss of an image.
    pub loss: f64,
    /// Fraction of the images that are right.
    pub accuracy: f64,
    /// Number of images.
    pub images: usize,
    /// Number of images that are wrong.
    pub errors: usize,
}
