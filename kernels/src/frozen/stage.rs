//! One block with its weights packed, and how it is cut into pieces that fit the caches.

use super::matrix::{Arithmetic, Matrix};
use super::spec::FoldedBlock;
use crate::depthwise::DepthwiseShape;
use crate::pointwise::PackedWeights;
use crate::workspace::Buffer;
use crate::Padding;

/// Where a block's expanded activations come from.
#[derive(Debug, Clone)]
pub(super) enum Producer {
    /// The first convolution, straight from the image: its output never exists as a whole.
    FirstConvolution(PackedWeights),
    /// The expansion.
    Expand(Matrix),
    /// The block has no expansion and takes its input as it is.
    Copy,
}

/// A block, ready to run.
///
/// A panel of expanded channels is written to a *ring*: padded rows, of which as many are kept as
/// the next rows of outputs need. The depthwise convolution reads them there and writes a *strip*
/// of rows of all channels, which the projection reads. With strips of a few rows both stay in the
/// cache, however large the image is.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) with: Arithmetic,
    pub(super) producer: Producer,
    /// Height, width and channels of what the depthwise convolution reads.
    pub(super) expanded: DepthwiseShape,
    /// Channels of the block's input.
    pub(super) ci: usize,
    pub(super) k: Vec<f32>,
    /// Padded to whole vectors.
    pub(super) bias: Buffer,
    pub(super) project: Matrix,
    pub(super) residual: bool,
    /// Rows of outputs in a strip.
    pub(super) strip: usize,
    /// Images that run through the block together, so that weights are read less often.
    pub(super) group: usize,
    /// Columns of a panel.
    pub(super) panel: usize,
    /// Rows of a ring.
    pub(super) ring: usize,
    /// Pixels of a padded row.
    pub(super) padded: usize,
    /// Where in the ring pixel `i` lies, counted from any row of a full turn: two turns long.
    pub(super) places: Vec<u32>,
    /// A padded row of zeros, for the rows above and below the image.
    pub(super) zeros: Buffer,
}

impl Stage {
    /// Packs a block whose depthwise convolution reads `h` by `w` pixels.
    pub(super) fn new(
        with: Arithmetic,
        block: &FoldedBlock,
        padding: Padding,
        first: Option<PackedWeights>,
        (h, w): (usize, usize),
    ) -> Self {
        let c = block.expanded;
        let expanded = DepthwiseShape { n: 1, h, w, c, stride: block.stride, side: block.side, padding };
        let producer = match (first, &block.expand) {
            (Some(first), _) => Producer::FirstConvolution(first),
            (None, Some(e)) => Producer::Expand(Matrix::new(with, e, block.ci, c)),
            (None, None) => Producer::Copy,
        };
        let (out_h, out_w) = (expanded.out_h(), expanded.out_w());
        // Strips of some 80 pixels keep the register tiles full; an image of up to 400 pixels is
        // small enough to be one strip.
        let strip = if out_h * out_w <= 400 { out_h } else { 80usize.div_ceil(out_w).min(out_h) };
        let group = match out_h * out_w {
            _ if strip < out_h => 1,
            101.. => 1,
            26.. => 4,
            _ => 8,
        };
        let panel = 2 * with.isa.lanes();
        let ring = if strip == out_h { h } else { (block.stride * (strip - 1) + block.side).min(h) };
        let padded = (out_w - 1) * block.stride + block.side;
        let places = (0..2 * ring * w)
            .map(|i| (((i / w) % ring * padded + expanded.pad_left() + i % w) * panel) as u32)
            .collect();
        let mut bias = Buffer::zeros(c.next_multiple_of(with.isa.lanes()));
        bias[..c].copy_from_slice(&block.depthwise.b);
        Stage {
            with,
            producer,
            expanded,
            ci: block.ci,
            k: block.depthwise.w.clone(),
            bias,
            project: Matrix::new(with, &block.project, c, block.co),
            residual: block.residual,
            strip,
            group,
            panel,
            ring,
            padded,
            places,
            zeros: Buffer::zeros(padded * panel),
        }
    }

    /// Whether one strip is a whole image.
    pub(super) fn is_whole(&self) -> bool {
        self.strip == self.expanded.out_h()
    }

    /// Numbers of an image that the block reads.
    pub(super) fn input_len(&self) -> usize {
        self.expanded.h * self.expanded.w * self.ci
    }

    /// Numbers of an image that the block writes.
    pub(super) fn output_len(&self) -> usize {
        self.pixels() * self.project.co()
    }

    /// Pixels of an image that the block writes.
    pub(super) fn pixels(&self) -> usize {
        self.expanded.out_h() * self.expanded.out_w()
    }

    /// Panels of expanded channels.
    pub(super) fn panels(&self) -> usize {
        self.expanded.c.div_ceil(self.panel)
    }

    /// Numbers (of an f32's size) of a pixel in a strip: the expanded channels, padded.
    pub(super) fn strip_pixel(&self) -> usize {
        self.with.factors(self.expanded.c)
    }

    /// Numbers of a pixel of what the producer reads.
    pub(super) fn input_pixel(&self) -> usize {
        match (&self.producer, self.with.bf16) {
            (Producer::Expand(_), Some(_)) => self.with.factors(self.ci),
            _ => self.ci,
        }
    }

    /// Numbers in one panel's ring.
    pub(super) fn ring_len(&self) -> usize {
        self.ring * self.padded * self.panel
    }

    /// The rows of expanded activations that rows `rows` of outputs read.
    pub(super) fn reads(&self, rows: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        let (s, side, top) = (self.expanded.stride, self.expanded.side, self.expanded.pad_top());
        (rows.start * s).saturating_sub(top)..((rows.end - 1) * s + side - top).min(self.expanded.h)
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stage({:?} to {:?})", self.expanded, self.project)
    }
}
