//! The frozen part of a network, run without a tape.
//!
//! [`FrozenPlan`] takes folded weights, packs them once, and maps images to the features that the
//! trainable part starts from. Nothing is kept for a gradient: the 6x expanded activations exist
//! only a few rows and channels at a time, in the cache, and after the first run nothing is
//! allocated.
//!
//! ```
//! use transfer_kernels::{FoldedConv, FoldedUnit, FrozenPlan, FrozenSpec, Padding};
//! // One channel that sums its window and is then averaged over the pixels.
//! let first = FoldedUnit::FirstConvolution(FoldedConv { w: vec![1.0; 27], b: vec![0.0] });
//! let spec = FrozenSpec { input: (2, 2), units: vec![first], padding: Padding::Same, pool: true };
//! let plan = FrozenPlan::new(spec)?;
//! assert_eq!(plan.output_shape(), (1, 1, 1));
//! let mut y = [0.0];
//! plan.run(&[0.25; 12], 1, &mut y)?;
//! assert_eq!(y, [3.0]);
//! # Ok::<(), transfer_kernels::Error>(())
//! ```

mod block;
mod images;
mod matrix;
mod rows;
mod run;
mod single;
mod spec;
mod stage;
mod steps;
#[cfg(test)]
mod tests;

pub use images::Images;
pub use spec::{FoldedBlock, FoldedConv, FoldedUnit, FrozenSpec};

use crate::simd::isa;
use crate::{count, Bf16Unit, PackedWeights};
use crate::{Error, Padding, Precision, Result};
use matrix::{Arithmetic, Matrix};
use stage::Stage;

/// Packed weights and planned steps of the frozen part.
#[derive(Debug, Clone)]
pub struct FrozenPlan {
    with: Arithmetic,
    /// Height and width of the images.
    spec_input: (usize, usize),
    padding: Padding,
    steps: Vec<Step>,
    pool: bool,
    /// Pixels of an image before pooling.
    pixels: usize,
    channels: usize,
    shape: (usize, usize, usize),
}

/// What is computed for some images before the next step begins.
#[derive(Debug, Clone)]
enum Step {
    /// The first convolution, where no block takes it in.
    First(PackedWeights),
    /// Consecutive blocks that take the same number of images at a time.
    Blocks(Vec<Stage>),
    /// A pointwise convolution of so many pixels an image.
    Pointwise(Matrix, usize),
}

impl Step {
    /// Numbers of an image that it writes.
    fn output_len(&self, (h, w): (usize, usize)) -> usize {
        match self {
            Step::First(weights) => h.div_ceil(2) * w.div_ceil(2) * weights.co(),
            Step::Blocks(stages) => stages.last().map_or(0, Stage::output_len),
            Step::Pointwise(matrix, pixels) => pixels * matrix.co(),
        }
    }
}

fn no_tf32() -> Error {
    Error::Unsupported(
        "Precision::Tf32 expected an NVIDIA GPU. Received: the CPU, which has Precision::F32 and, with AVX512-BF16, \
         Precision::Bf16."
            .into(),
    )
}

impl FrozenPlan {
    /// Checks the shapes and packs the weights.
    ///
    /// # Errors
    /// [`Error::Shape`] where the weights do not fit each other, [`Error::Unsupported`] where
    /// `TRANSFER_ISA` asks for instructions that the processor lacks.
    pub fn new(spec: FrozenSpec) -> Result<Self> {
        Self::with_precision(spec, Precision::F32)
    }

    /// As [`new`](Self::new), with the pointwise convolutions in the given precision. What lies between
    /// them (the first and the depthwise convolutions, the residuals) is f32 in either.
    ///
    /// # Errors
    /// Also [`Error::Unsupported`] where the processor cannot compute in that precision.
    pub fn with_precision(spec: FrozenSpec, precision: Precision) -> Result<Self> {
        let bf16 = match precision {
            Precision::F32 => None,
            Precision::Tf32 => return Err(no_tf32()),
            Precision::Bf16 => Some(Bf16Unit::best()?),
        };
        Self::new_on(Arithmetic { isa: isa()?, bf16 }, spec)
    }

    fn new_on(with: Arithmetic, spec: FrozenSpec) -> Result<Self> {
        spec.check()?;
        let shape = spec.output_shape();
        let (mut h, mut w) = spec.input;
        let mut c = 3;
        let mut first = None;
        let mut steps: Vec<Step> = vec![];
        for (i, unit) in spec.units.iter().enumerate() {
            match unit {
                FoldedUnit::FirstConvolution(conv) => {
                    c = conv.b.len();
                    (h, w) = (h.div_ceil(2), w.div_ceil(2));
                    let packed = PackedWeights::new_on(with.isa, &conv.w, &conv.b, 27, c);
                    match spec.units.get(i + 1) {
                        // A block without expansion takes the first convolution in; a residual would need its
                        // output once more.
                        Some(FoldedUnit::InvertedResidual(b)) if b.expand.is_none() && !b.residual => {
                            first = Some(packed);
                        }
                        _ => steps.push(Step::First(packed)),
                    }
                }
                FoldedUnit::InvertedResidual(block) => {
                    let stage = Stage::new(with, block, spec.padding, first.take(), (h, w));
                    (h, w, c) = (stage.expanded.out_h(), stage.expanded.out_w(), block.co);
                    match steps.last_mut() {
                        Some(Step::Blocks(stages)) if stages[0].group == stage.group => stages.push(stage),
                        _ => steps.push(Step::Blocks(vec![stage])),
                    }
                }
                FoldedUnit::Pointwise(conv) => {
                    let co = conv.b.len();
                    steps.push(Step::Pointwise(Matrix::new(with, conv, c, co), h * w));
                    c = co;
                }
            }
        }
        let (spec_input, padding, pool, pixels) = (spec.input, spec.padding, spec.pool, h * w);
        Ok(FrozenPlan { with, spec_input, padding, steps, pool, pixels, channels: c, shape })
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
        self.run_on(images.into(), n, y)
    }

    /// As [`run`](Self::run), with images that may be written as the pass comes to them.
    ///
    /// ```
    /// use transfer_kernels::{FoldedConv, FoldedUnit, FrozenPlan, FrozenSpec, Images, Padding};
    /// let first = FoldedUnit::FirstConvolution(FoldedConv { w: vec![1.0; 27], b: vec![0.0] });
    /// let spec = FrozenSpec { input: (2, 2), units: vec![first], padding: Padding::Same, pool: true };
    /// let mut y = [0.0; 2];
    /// let write = |i: usize, image: &mut [f32]| image.fill(if i == 0 { 0.25 } else { 0.5 });
    /// FrozenPlan::new(spec)?.run_on(Images::Written(&write), 2, &mut y)?;
    /// assert_eq!(y, [3.0, 6.0]);
    /// # Ok::<(), transfer_kernels::Error>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn run_on(&self, images: Images<'_>, n: usize, y: &mut [f32]) -> Result<()> {
        let input = (self.spec_input.0, self.spec_input.1, 3);
        let in_memory = match images {
            Images::InMemory(images) => Some(("images", images.len(), input)),
            Images::Written(_) => None,
        };
        for (what, len, unit) in in_memory.into_iter().chain([("y", y.len(), self.shape)]) {
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
