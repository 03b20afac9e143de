//! How many images are computed at a time where nobody asked for a number: bytes decide, because a model's images
//! may have 32x32 pixels or 4096x4096.

use crate::architecture::{Unit, UnitKind};
use crate::model::Model;

/// What the images of one pass and their activations may take, in bytes.
const BUDGET: usize = 256 << 20;
/// More are not faster.
const MOST: usize = 32;

impl Model {
    /// How many images [`predict_files`](Self::predict_files) computes at a time: 32, or as many as stay below 256 MiB
    /// with their activations; at least one, however large its images are. Results do not depend on it.
    pub fn images_at_once(&self) -> usize {
        (BUDGET / self.bytes_an_image()).clamp(1, MOST)
    }

    /// What one image takes on its way through the network: as it was decoded, as it is preprocessed, its mirror image
    /// where that counts; then what the frozen part makes of it, twice; and the largest unit behind that, whose
    /// activations are all in memory.
    fn bytes_an_image(&self) -> usize {
        let base = &self.net.base;
        let (h, w, c) = base.input_shape();
        let (border, frozen) = self.frozen_part();
        let sides = if self.test_time_flip { 2 } else { 1 };
        let units = &base.architecture().units[border..];
        let numbers = |(h, w, c): (usize, usize, usize)| h * w * c;
        let unit = |unit: &Unit| match unit.kind {
            UnitKind::FirstConvolution | UnitKind::Pointwise | UnitKind::Features => {
                numbers(unit.input) + numbers(unit.output)
            }
            UnitKind::InvertedResidual(b) => {
                let out = b.out_h() * b.out_w();
                b.h * b.w * (b.ci + b.expanded) + out * (b.expanded + b.co)
            }
        };
        let behind = units.iter().map(unit).max().unwrap_or(0);
        let numbers = (1 + sides) * h * w * c + sides * (2 * frozen + behind);
        numbers.saturating_mul(size_of::<f32>()).max(1)
    }
}
