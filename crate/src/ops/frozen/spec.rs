//! The shapes and folded weights that a [`FrozenPlan`](super::FrozenPlan) is made from.

use crate::{Error, Result};

/// A convolution whose BatchNorm is folded into it.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedConv {
    /// `(3, 3, 3, co)` of the first convolution, `(3, 3, c)` of a depthwise one, `(ci, co)` of a
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
    /// Whether the input is added to the output.
    pub residual: bool,
    /// `(ci, expanded)`; the first block has none.
    pub expand: Option<FoldedConv>,
    /// `(3, 3, expanded)`.
    pub depthwise: FoldedConv,
    /// `(expanded, co)`.
    pub project: FoldedConv,
}

/// The layers of the frozen part, from the image on.
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenSpec {
    /// Height and width of the images.
    pub input: (usize, usize),
    /// The first convolution (stride 2, ReLU6).
    pub conv1: FoldedConv,
    /// The blocks after it, as many as are frozen.
    pub blocks: Vec<FoldedBlock>,
    /// `Conv_1` (ReLU6), where it is frozen too.
    pub conv_last: Option<FoldedConv>,
    /// Whether each channel's mean over the pixels is wanted instead of the pixels.
    pub pool: bool,
}

impl FrozenSpec {
    /// `(h, w, c)` of an image's result.
    pub(crate) fn output_shape(&self) -> (usize, usize, usize) {
        let (mut h, mut w) = (self.input.0.div_ceil(2), self.input.1.div_ceil(2));
        for block in &self.blocks {
            (h, w) = (h.div_ceil(block.stride), w.div_ceil(block.stride));
        }
        let c = match &self.conv_last {
            Some(last) => last.b.len(),
            None => self.blocks.last().map_or(self.conv1.b.len(), |block| block.co),
        };
        if self.pool {
            (1, 1, c)
        } else {
            (h, w, c)
        }
    }

    /// Whether all weights have the sizes that their neighbours ask for.
    pub(crate) fn check(&self) -> Result<()> {
        let mismatch = |what: String| Err(Error::Shape(format!("FrozenSpec: {what}.")));
        if self.input.0 == 0 || self.input.1 == 0 {
            return mismatch(format!("the input must have pixels. Received: {:?}", self.input));
        }
        let conv = |name: String, conv: &FoldedConv, taps: usize, co: usize| {
            if conv.b.len() != co || conv.w.len() != taps * co || co == 0 {
                return mismatch(format!(
                    "{name} must have {taps} x {co} weights and {co} biases, at least one of each. Received: \
                     {} and {}",
                    conv.w.len(),
                    conv.b.len()
                ));
            }
            Ok(())
        };
        let mut c = self.conv1.b.len();
        conv("the first convolution".into(), &self.conv1, 27, c)?;
        for (i, b) in self.blocks.iter().enumerate() {
            let name = |part: &str| format!("block {i}'s {part}");
            if b.ci != c {
                return mismatch(format!("block {i} must take {c} channels. Received: {}", b.ci));
            }
            if !matches!(b.stride, 1 | 2) {
                return mismatch(format!("block {i}'s stride must be 1 or 2. Received: {}", b.stride));
            }
            if b.residual && (b.stride != 1 || b.ci != b.co) {
                return mismatch(format!(
                    "block {i} has a residual, so it must have stride 1 and as many channels out as in. \
                     Received: stride {}, {} to {} channels",
                    b.stride, b.ci, b.co
                ));
            }
            match &b.expand {
                Some(expand) => conv(name("expansion"), expand, b.ci, b.expanded)?,
                None if b.expanded != b.ci => {
                    return mismatch(format!(
                        "block {i} has no expansion, so {} channels must stay {0}. Received: {}",
                        b.ci, b.expanded
                    ))
                }
                None => {}
            }
            conv(name("depthwise convolution"), &b.depthwise, 9, b.expanded)?;
            conv(name("projection"), &b.project, b.expanded, b.co)?;
            c = b.co;
        }
        match &self.conv_last {
            Some(last) => conv("the last convolution".into(), last, c, last.b.len()),
            None => Ok(()),
        }
    }
}
