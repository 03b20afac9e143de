//! The frozen part of MobileNetV2, run without a tape.
//!
//! [`FrozenPlan`] takes folded weights, packs them once, and maps images to the features that the
//! trainable part starts from. Nothing is kept for a gradient: the 6x expanded activations exist
//! only a few rows and channels at a time, in the cache, and after the first run nothing is
//! allocated.
//!
//! ```
//! use transfer::ops::{FoldedConv, FrozenPlan, FrozenSpec};
//! // One channel that sums its window and is then averaged over the pixels.
//! let conv1 = FoldedConv { w: vec![1.0; 27], b: vec![0.0] };
//! let spec = FrozenSpec { input: (2, 2), conv1, blocks: vec![], conv_last: None, pool: true };
//! let plan = FrozenPlan::new(spec)?;
//! assert_eq!(plan.output_shape(), (1, 1, 1));
//! let mut y = [0.0];
//! plan.run(&[0.25; 12], 1, &mut y)?;
//! assert_eq!(y, [3.0]);
//! # Ok::<(), transfer::Error>(())
//! ```

mod block;
mod matrix;
mod rows;
mod run;
mod single;
mod spec;
mod stage;
#[cfg(test)]
mod tests;

pub use spec::{FoldedBlock, FoldedConv, FrozenSpec};

use crate::ops::simd::isa;
use crate::ops::{count, Bf16Unit, PackedWeights};
use crate::{Error, Precision, Result};
use matrix::{Arithmetic, Matrix};
use stage::Stage;
use std::ops::Range;

/// Packed weights and planned steps of the frozen part.
#[derive(Debug, Clone)]
pub struct FrozenPlan {
    with: Arithmetic,
    /// Height and width of the images.
    spec_input: (usize, usize),
    /// The first convolution, where no block can take it in.
    conv1_alone: Option<PackedWeights>,
    stages: Vec<Stage>,
    segments: Vec<Range<usize>>,
    conv_last: Option<Matrix>,
    pool: bool,
    /// Pixels of an image before pooling.
    pixels: usize,
    channels: usize,
    shape: (usize, usize, usize),
}

impl FrozenPlan {
    /// Checks the shapes and packs the weights.
    ///
    /// # Errors
    /// [`Error::Shape`] where the weights do not fit each other, [`Error::Invalid`] where
    /// `TRANSFER_ISA` asks for instructions that the processor lacks.
    pub fn new(spec: FrozenSpec) -> Result<Self> {
        Self::with_precision(spec, Precision::F32)
    }

    /// As [`new`](Self::new), with the pointwise convolutions in the given precision. What lies between
    /// them (the first and the depthwise convolutions, the residuals) is f32 in either.
    ///
    /// # Errors
    /// Also [`Error::Invalid`] where the processor cannot compute in that precision.
    pub fn with_precision(spec: FrozenSpec, precision: Precision) -> Result<Self> {
        let bf16 = match precision {
            Precision::F32 => None,
            Precision::Bf16 => Some(Bf16Unit::best()?),
        };
        Self::new_on(Arithmetic { isa: isa()?, bf16 }, spec)
    }

    fn new_on(with: Arithmetic, spec: FrozenSpec) -> Result<Self> {
        spec.check()?;
        let isa = with.isa;
        let shape = spec.output_shape();
        let c = spec.conv1.b.len();
        let mut conv1 = Some(PackedWeights::new_on(isa, &spec.conv1.w, &spec.conv1.b, 27, c));
        let (mut h, mut w) = (spec.input.0.div_ceil(2), spec.input.1.div_ceil(2));
        let mut stages = vec![];
        for (i, block) in spec.blocks.iter().enumerate() {
            // A residual would need the first convolution's output once more.
            let fits = i == 0 && block.expand.is_none() && !block.residual;
            let first = if fits { conv1.take() } else { None };
            let stage = Stage::new(with, block, first, h, w);
            (h, w) = (stage.expanded.out_h(), stage.expanded.out_w());
            stages.push(stage);
        }
        let ci = spec.blocks.last().map_or(c, |block| block.co);
        let conv_last = spec.conv_last.as_ref().map(|last| Matrix::new(with, last, ci, shape.2));
        Ok(FrozenPlan {
            with,
            spec_input: spec.input,
            conv1_alone: conv1,
            segments: run::segments(&stages),
            stages,
            conv_last,
            pool: spec.pool,
            pixels: h * w,
            channels: shape.2,
            shape,
        })
    }

    /// `(h, w, c)` of what one image becomes; `(1, 1, c)` after pooling.
    pub fn output_shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// Computes `n` images, `(n, h, w, 3)` in `-1..=1`, to `y`, `(n, h, w, c)` as
    /// [`output_shape`](Self::output_shape) says. An image's result does not depend on the others,
    /// nor on the number of threads.
    ///
    /// # Errors
    /// [`Error::Shape`] where a slice has another length.
    pub fn run(&self, images: &[f32], n: usize, y: &mut [f32]) -> Result<()> {
        let input = (self.spec_input.0, self.spec_input.1, 3);
        for (what, len, unit) in [("images", images.len(), input), ("y", y.len(), self.shape)] {
            let expected = count(&[n, unit.0, unit.1, unit.2]);
            if len != expected {
                return Err(Error::Shape(format!(
                    "FrozenPlan::run: {what} must hold {n} times {unit:?} numbers, {expected} in all. \
                     Received: {len}."
                )));
            }
        }
        run::run(self, images, n, y);
        Ok(())
    }
}
