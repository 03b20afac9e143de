//! The shapes and folded weights that a [`FrozenPlan`](super::FrozenPlan) is made from.

use crate::{count, Error, Padding, Result};

/// A convolution whose BatchNorm is folded into it.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedConv {
    /// `(3, 3, 3, co)` of the first convolution, `(side, side, c)` of a depthwise one, `(ci, co)` of a
    /// pointwise one.
    pub w: Vec<f32>,
    /// One number an output channel.
    pub b: Vec<f32>,
}

/// An inverted residual block: expand (ReLU6), depthwise (ReLU6), project.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedBlock {
    /// Channels of the input.
    pub ci: usize,
    /// Channels between expansion and projection; `ci` where there is no expansion.
    pub expanded: usize,
    /// Channels of the output.
    pub co: usize,
    /// Of the depthwise convolution: 1 or 2.
    pub stride: usize,
    /// Side of the depthwise convolution's kernel: 3 or 5.
    pub side: usize,
    /// Whether the input is added to the output.
    pub residual: bool,
    /// `(ci, expanded)`; the first block has none.
    pub expand: Option<FoldedConv>,
    /// `(side, side, expanded)`.
    pub depthwise: FoldedConv,
    /// `(expanded, co)`.
    pub project: FoldedConv,
}

/// One unit of a network, with its weights.
#[derive(Debug, Clone, PartialEq)]
pub enum FoldedUnit {
    /// 3x3 convolution of the image with stride 2, ReLU6; `w` is `(3, 3, 3, co)`. The first unit, and only that.
    FirstConvolution(FoldedConv),
    /// An inverted residual block.
    InvertedResidual(FoldedBlock),
    /// 1x1 convolution, ReLU6; `w` is `(ci, co)`.
    Pointwise(FoldedConv),
}

/// The units of the frozen part, from the image on.
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenSpec {
    /// Height and width of the images.
    pub input: (usize, usize),
    /// At least the first convolution.
    pub units: Vec<FoldedUnit>,
    /// How the first and the depthwise convolutions pad.
    pub padding: Padding,
    /// Whether each channel's mean over the pixels is wanted instead of the pixels.
    pub pool: bool,
}

impl FrozenSpec {
    /// `(h, w, c)` of an image's result.
    pub(crate) fn output_shape(&self) -> (usize, usize, usize) {
        let ((mut h, mut w), mut c) = (self.input, 3);
        for unit in &self.units {
            let (stride, channels) = match unit {
                FoldedUnit::FirstConvolution(conv) => (2, conv.b.len()),
                FoldedUnit::InvertedResidual(block) => (block.stride, block.co),
                FoldedUnit::Pointwise(conv) => (1, conv.b.len()),
            };
            (h, w, c) = (h.div_ceil(stride), w.div_ceil(stride), channels);
        }
        if self.pool {
            (1, 1, c)
        } else {
            (h, w, c)
        }
    }

    /// Whether all weights have the sizes that their neighbours ask for.
    pub(crate) fn check(&self) -> Result<()> {
        if self.input.0 == 0 || self.input.1 == 0 {
            return mismatch(format!("the input must have pixels. Received: {:?}", self.input));
        }
        let mut c = 3;
        for (i, unit) in self.units.iter().enumerate() {
            match unit {
                FoldedUnit::FirstConvolution(first) if i == 0 => {
                    check_conv("the first convolution", first, 27, first.b.len())?;
                }
                FoldedUnit::FirstConvolution(_) => {
                    return mismatch(format!(
                        "unit {i} must not be a first convolution, which takes an image"
                    ))
                }
                _ if i == 0 => break,
                FoldedUnit::InvertedResidual(block) => block.check(i, c)?,
                FoldedUnit::Pointwise(conv) => {
                    check_conv(&format!("the pointwise convolution of unit {i}"), conv, c, conv.b.len())?;
                }
            }
            c = unit.channels();
        }
        match self.units.first() {
            Some(FoldedUnit::FirstConvolution(_)) => Ok(()),
            other => {
                let received = if other.is_none() { "no unit" } else { "another unit" };
                mismatch(format!("the first unit must be a first convolution. Received: {received}"))
            }
        }
    }
}

impl FoldedUnit {
    /// Channels of the output.
    fn channels(&self) -> usize {
        match self {
            FoldedUnit::InvertedResidual(block) => block.co,
            FoldedUnit::FirstConvolution(conv) | FoldedUnit::Pointwise(conv) => conv.b.len(),
        }
    }
}

fn mismatch(what: String) -> Result<()> {
    Err(Error::Shape(format!("FrozenSpec: {what}.")))
}

fn check_conv(name: &str, conv: &FoldedConv, taps: usize, co: usize) -> Result<()> {
    if conv.b.len() == co && conv.w.len() == taps * co && co > 0 {
        return Ok(());
    }
    mismatch(format!(
        "{name} must have {taps} x {co} weights and {co} biases, at least one of each. Received: {} and {}",
        conv.w.len(),
        conv.b.len()
    ))
}

impl FoldedBlock {
    /// Whether unit `i`, which follows `c` channels, is a block that can be computed.
    fn check(&self, i: usize, c: usize) -> Result<()> {
        let b = self;
        let name = |part: &str| format!("block {i}'s {part}");
        if b.ci != c {
            return mismatch(format!("block {i} must take {c} channels. Received: {}", b.ci));
        }
        if !matches!(b.stride, 1 | 2) {
            return mismatch(format!("block {i}'s stride must be 1 or 2. Received: {}", b.stride));
        }
        if !matches!(b.side, 3 | 5) {
            return mismatch(format!(
                "block {i}'s depthwise kernel must have a side of 3 or 5. Received: {}",
                b.side
            ));
        }
        if b.residual && (b.stride != 1 || b.ci != b.co) {
            return mismatch(format!(
                "block {i} has a residual, so it must have stride 1 and as many channels out as in. \
                 Received: stride {}, {} to {} channels",
                b.stride, b.ci, b.co
            ));
        }
        match &b.expand {
            Some(expand) => check_conv(&name("expansion"), expand, b.ci, b.expanded)?,
            None if b.expanded != b.ci => {
                return mismatch(format!(
                    "block {i} has no expansion, so {} channels must stay {0}. Received: {}",
                    b.ci, b.expanded
                ))
            }
            None => {}
        }
        check_conv(&name("depthwise convolution"), &b.depthwise, count(&[b.side, b.side]), b.expanded)?;
        check_conv(&name("projection"), &b.project, b.expanded, b.co)
    }
}
