//! Where the images of a frozen pass come from.

use crate::workspace::Buffer;
use std::borrow::Cow;
use std::ops::Range;

/// The images of a pass, each `(h, w, 3)` in `-1..=1`.
#[derive(Clone, Copy)]
pub enum Images<'a> {
    /// All of them, one behind the other.
    InMemory(&'a [f32]),
    /// Each is written by this function, which is given its number, when the pass comes to it and on the thread that
    /// goes on with it, so that it lies in the cache of that processor. What is in the slice before is anything.
    Written(&'a (dyn Fn(usize, &mut [f32]) + Sync)),
}

impl<'a> From<&'a [f32]> for Images<'a> {
    fn from(images: &'a [f32]) -> Self {
        Images::InMemory(images)
    }
}

impl std::fmt::Debug for Images<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Images::InMemory(images) => write!(f, "InMemory({} numbers)", images.len()),
            Images::Written(_) => write!(f, "Written"),
        }
    }
}

impl<'a> Images<'a> {
    /// All images, one behind the other: `n` of `each` numbers where they have to be written, else what there is, whose
    /// length the caller checks.
    pub fn in_memory(self, n: usize, each: usize) -> Cow<'a, [f32]> {
        match self {
            Images::InMemory(images) => Cow::Borrowed(images),
            Images::Written(write) => {
                let mut images = vec![0.0; n * each];
                write_each(write, 0..n, &mut images);
                Cow::Owned(images)
            }
        }
    }

    /// Images `range` of `each` numbers; in `buffer` where they have to be written.
    pub(super) fn get<'b>(self, range: Range<usize>, each: usize, buffer: &'b mut Buffer) -> &'b [f32]
    where
        'a: 'b,
    {
        match self {
            Images::InMemory(images) => &images[range.start * each..range.end * each],
            Images::Written(write) => {
                let images = buffer.at_least(range.len() * each);
                write_each(write, range, images);
                images
            }
        }
    }
}

/// Writes images `range` to `to`, which has room for them.
fn write_each(write: &dyn Fn(usize, &mut [f32]), range: Range<usize>, to: &mut [f32]) {
    let each = to.len() / range.len().max(1);
    for (i, image) in range.zip(to.chunks_exact_mut(each.max(1))) {
        write(i, image);
    }
}
