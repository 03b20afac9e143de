//! Random mirroring, as Keras' layer `RandomFlip`.
//!
//! Only decides and mirrors; that a flip in front of a rotation costs nothing extra is the doing
//! of [`Sequential`](super::Sequential).

/// Which ways a [`RandomFlip`] may mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlipMode {
    /// Left and right.
    Horizontal,
    /// Top and bottom.
    Vertical,
    /// Each of both, decided separately.
    HorizontalAndVertical,
}

/// Mirrors every second image, by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomFlip {
    /// Which ways.
    pub mode: FlipMode,
}

impl RandomFlip {
    /// A layer that mirrors in this way.
    pub fn new(mode: FlipMode) -> Self {
        Self { mode }
    }

    /// Left and right, the one for photographs in which up is up.
    pub fn horizontal() -> Self {
        Self::new(FlipMode::Horizontal)
    }

    /// Top and bottom, for pictures without an up, such as those from a microscope.
    pub fn vertical() -> Self {
        Self::new(FlipMode::Vertical)
    }

    /// What happens to one image: `chance` gives numbers in 0..1.
    pub(super) fn choose(&self, chance: &mut crate::random::Rng) -> Flip {
        let (sideways, upside) = (chance.uniform() < 0.5, chance.uniform() < 0.5);
        Flip {
            horizontal: sideways && self.mode != FlipMode::Vertical,
            vertical: upside && self.mode != FlipMode::Horizontal,
        }
    }
}

/// A decided mirroring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flip {
    pub horizontal: bool,
    pub vertical: bool,
}

impl Flip {
    /// Both, one after the other.
    pub fn then(self, next: Flip) -> Flip {
        Flip { horizontal: self.horizontal != next.horizontal, vertical: self.vertical != next.vertical }
    }

    /// Mirrors an image (h, w, c) in place.
    pub fn apply(self, image: &mut [f32], (h, w, c): (usize, usize, usize)) {
        let row = w * c;
        if self.horizontal {
            for line in image.chunks_exact_mut(row) {
                for x in 0..w / 2 {
                    let (left, right) = line.split_at_mut((w - 1 - x) * c);
                    left[x * c..][..c].swap_with_slice(&mut right[..c]);
                }
            }
        }
        if self.vertical {
            for y in 0..h / 2 {
                let (top, bottom) = image.split_at_mut((h - 1 - y) * row);
                top[y * row..][..row].swap_with_slice(&mut bottom[..row]);
            }
        }
    }
}

/// Exchanges left and right in each of some images (h, w, c) that follow each other.
pub(crate) fn mirror(images: &mut [f32], size: (usize, usize, usize)) {
    // Rows are mirrored each by itself, however many images they belong to.
    Flip { horizontal: true, vertical: false }.apply(images, size);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_lands_on_the_other_side_with_its_channels_in_order() {
        for (h, w, c) in [(1, 1, 3), (3, 4, 3), (4, 5, 1), (2, 7, 4)] {
            let image: Vec<f32> = (0..h * w * c).map(|i| i as f32).collect();
            for (horizontal, vertical) in [(true, false), (false, true), (true, true), (false, false)] {
                let mut flipped = image.clone();
                Flip { horizontal, vertical }.apply(&mut flipped, (h, w, c));
                for (i, &value) in flipped.iter().enumerate() {
                    let (y, x, k) = (i / (w * c), i / c % w, i % c);
                    let y = if vertical { h - 1 - y } else { y };
                    let x = if horizontal { w - 1 - x } else { x };
                    assert_eq!(value, image[(y * w + x) * c + k]);
                }
            }
        }
    }
}
