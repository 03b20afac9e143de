//! Where the zeros around an image lie.

/// How a convolution pads an image with zeros. With either kind an axis of `size` pixels becomes
/// `ceil(size / stride)`; they differ only where a stride of 2 meets an even size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Padding {
    /// TensorFlow's "same": as few zeros as the output size needs; of an odd number the larger half lies below and
    /// right. Keras' MobileNetV2 pads the same way by hand.
    #[default]
    Same,
    /// `side / 2` zeros on each side, as networks of PyTorch have it.
    Symmetric,
}

impl Padding {
    /// Zeros before the first of `size` pixels, for a window of `side` pixels (3 or 5) and a stride of 1 or 2.
    pub fn before(self, size: usize, side: usize, stride: usize) -> usize {
        match (self, stride) {
            (Padding::Same, 2) => side / 2 - usize::from(size.is_multiple_of(2)),
            _ => side / 2,
        }
    }

    /// Zeros behind the last of `size` pixels that a window sees.
    pub fn after(self, size: usize, side: usize, stride: usize) -> usize {
        ((size.div_ceil(stride).max(1) - 1) * stride + side)
            .saturating_sub(size + self.before(size, side, stride))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_is_tensorflows_formula_and_symmetric_is_half_a_window() {
        for side in [3, 5] {
            for stride in [1, 2] {
                for size in 1..20usize {
                    let total = ((size.div_ceil(stride) - 1) * stride + side).saturating_sub(size);
                    let same =
                        (Padding::Same.before(size, side, stride), Padding::Same.after(size, side, stride));
                    assert_eq!(same, (total / 2, total - total / 2), "{side} {stride} {size}");
                    assert_eq!(Padding::Symmetric.before(size, side, stride), side / 2);
                    assert!(Padding::Symmetric.after(size, side, stride) <= side / 2);
                }
            }
        }
    }
}
