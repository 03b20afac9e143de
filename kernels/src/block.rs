//! The shape of an inverted residual block.

use crate::{DepthwiseShape, Padding};

/// Shape of one inverted residual block (Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>): expansion,
/// depthwise convolution, projection. `(n, h, w, ci)` to `(n, h/stride, w/stride, co)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockShape {
    /// Height of the input, in pixels.
    pub h: usize,
    /// Width of the input, in pixels.
    pub w: usize,
    /// Channels of the input.
    pub ci: usize,
    /// Channels between expansion and projection; equal to `ci` where nothing is expanded.
    pub expanded: usize,
    /// Channels of the output.
    pub co: usize,
    /// Stride of the depthwise convolution, 1 or 2.
    pub stride: usize,
    /// Side of the depthwise convolution's kernel, 3 or 5.
    pub side: usize,
    /// How the depthwise convolution pads.
    pub padding: Padding,
    /// Whether the input is added to the output.
    pub residual: bool,
}

impl BlockShape {
    /// Height of the output.
    pub fn out_h(&self) -> usize {
        self.h.div_ceil(self.stride)
    }

    /// Width of the output.
    pub fn out_w(&self) -> usize {
        self.w.div_ceil(self.stride)
    }

    /// The depthwise convolution of `n` images.
    pub fn depthwise(&self, n: usize) -> DepthwiseShape {
        let BlockShape { h, w, expanded: c, stride, side, padding, .. } = *self;
        DepthwiseShape { n, h, w, c, stride, side, padding }
    }
}
