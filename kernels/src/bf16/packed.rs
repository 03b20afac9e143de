//! Weights in bfloat16, in the order in which the tiles are loaded.

use super::{round, SIDE};
use crate::workspace::Buffer;
use crate::{check_len, count};

/// Numbers of a row of `c` bfloat16 when it is padded to whole cache lines.
pub(crate) fn padded(c: usize) -> usize {
    c.next_multiple_of(SIDE)
}

/// A `(ci, co)` matrix in bfloat16 and its bias in f32.
///
/// The columns are cut into panels of [`SIDE`]; a panel is, for each 32 rows, two tiles of 16
/// columns: pairs of rows, interleaved. What is missing to whole tiles is zeros.
#[derive(Clone)]
pub(crate) struct PackedBf16 {
    ci: usize,
    co: usize,
    /// bfloat16, two to a number.
    weights: Buffer,
    bias: Buffer,
}

impl std::fmt::Debug for PackedBf16 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedBf16({} -> {})", self.ci, self.co)
    }
}

impl PackedBf16 {
    /// Packs `w`, `(ci, co)` row by row, and `bias`, `(co)`.
    pub(crate) fn new(w: &[f32], bias: &[f32], ci: usize, co: usize) -> Self {
        check_len("PackedBf16: w", w.len(), count(&[ci, co]));
        check_len("PackedBf16: bias", bias.len(), co);
        let (k, columns) = (padded(ci), padded(co));
        let mut packed =
            PackedBf16 { ci, co, weights: Buffer::zeros(k * columns / 2), bias: Buffer::zeros(columns) };
        packed.bias[..co].copy_from_slice(bias);
        let weights = packed.weights.as_bf16_mut();
        for (row, w) in w.chunks_exact(co.max(1)).enumerate() {
            for (column, &w) in w.iter().enumerate() {
                let panel = column / SIDE * SIDE * k;
                let tile = (row / 32 * 2 + column % SIDE / 16) * 512;
                weights[panel + tile + row % 32 / 2 * 32 + column % 16 * 2 + row % 2] = round(w);
            }
        }
        packed
    }

    pub(crate) fn ci(&self) -> usize {
        self.ci
    }

    pub(crate) fn co(&self) -> usize {
        self.co
    }

    pub(crate) fn panels(&self) -> usize {
        self.co.div_ceil(SIDE)
    }

    /// Pairs of tiles in a panel.
    pub(crate) fn k_tiles(&self) -> usize {
        padded(self.ci) / SIDE
    }

    /// Where panel `p` begins.
    pub(crate) fn panel(&self, p: usize) -> *const u16 {
        let len = SIDE * padded(self.ci);
        self.weights.as_bf16()[p * len..][..len].as_ptr()
    }

    /// The bias of panel `p`'s columns.
    pub(crate) fn panel_bias(&self, p: usize) -> *const f32 {
        self.bias[p * SIDE..][..SIDE].as_ptr()
    }
}
