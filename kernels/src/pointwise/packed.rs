//! Weights in the order in which the register tile reads them.

use crate::simd::{active, Isa};
use crate::workspace::Buffer;
use crate::{check_len, count};

/// A `(ci, co)` matrix and its bias, packed once for many products.
///
/// The columns are cut into panels two vectors wide, and each panel is stored row after row, so
/// that the kernel reads it from end to end; a last panel that needs but one vector has one.
/// Missing columns are zeros. Packed for the instruction set in use.
#[derive(Clone)]
pub struct PackedWeights {
    pub(crate) isa: Isa,
    ci: usize,
    co: usize,
    weights: Buffer,
    bias: Buffer,
}

impl std::fmt::Debug for PackedWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedWeights({} -> {}, {})", self.ci, self.co, self.isa.name())
    }
}

impl PackedWeights {
    /// Packs `w`, `(ci, co)` row by row, and `bias`, `(co)`.
    ///
    /// # Panics
    /// When a slice's length contradicts the shape.
    pub fn new(w: &[f32], bias: &[f32], ci: usize, co: usize) -> Self {
        Self::new_on(active(), w, bias, ci, co)
    }

    pub(crate) fn new_on(isa: Isa, w: &[f32], bias: &[f32], ci: usize, co: usize) -> Self {
        let mut packed = Self::empty(isa, ci, co);
        packed.repack(w, bias);
        packed
    }

    /// Packs the transposed of `w`, which itself is `(ci, co)` row by row, without a bias: the
    /// product then takes `(rows, co)` to `(rows, ci)`, and [`ci`](Self::ci) and [`co`](Self::co)
    /// of the result are swapped accordingly.
    ///
    /// # Panics
    /// When the slice's length contradicts the shape.
    pub fn new_transposed(w: &[f32], ci: usize, co: usize) -> Self {
        Self::new_transposed_on(active(), w, ci, co)
    }

    pub(crate) fn new_transposed_on(isa: Isa, w: &[f32], ci: usize, co: usize) -> Self {
        let mut packed = Self::empty(isa, co, ci);
        packed.repack_transposed(w);
        packed
    }

    /// Packs other weights of the same shape in place.
    ///
    /// # Panics
    /// When a slice's length contradicts the shape.
    pub fn repack(&mut self, w: &[f32], bias: &[f32]) {
        let co = self.co;
        check_len("PackedWeights: w", w.len(), count(&[self.ci, co]));
        check_len("PackedWeights: bias", bias.len(), co);
        self.bias[..co].copy_from_slice(bias);
        for p in 0..self.panels() {
            let (width, from) = (self.panel_width(p), p * self.full_width());
            let columns = width.min(co - from);
            let at = from * self.ci;
            let rows = self.weights[at..].chunks_exact_mut(width).zip(w.chunks_exact(co));
            for (to, row) in rows {
                to[..columns].copy_from_slice(&row[from..from + columns]);
            }
        }
    }

    /// Packs other transposed weights of the same shape in place: `w` is `(ci, co)` of the
    /// forward convolution, as given to [`new_transposed`](Self::new_transposed).
    ///
    /// # Panics
    /// When the slice's length contradicts the shape.
    pub fn repack_transposed(&mut self, w: &[f32]) {
        let (rows, columns) = (self.ci, self.co);
        check_len("PackedWeights: w", w.len(), count(&[rows, columns]));
        for p in 0..self.panels() {
            let (width, from) = (self.panel_width(p), p * self.full_width());
            let panel = &mut self.weights[from * rows..];
            for (j, row) in w.chunks_exact(rows).enumerate().skip(from).take(width) {
                for (k, &w) in row.iter().enumerate() {
                    panel[k * width + j - from] = w;
                }
            }
        }
    }

    fn empty(isa: Isa, ci: usize, co: usize) -> Self {
        let columns = co.next_multiple_of(isa.lanes());
        PackedWeights { isa, ci, co, weights: Buffer::zeros(ci * columns), bias: Buffer::zeros(columns) }
    }

    /// Channels of the input.
    pub fn ci(&self) -> usize {
        self.ci
    }

    /// Channels of the output.
    pub fn co(&self) -> usize {
        self.co
    }

    /// Columns of a panel, except perhaps the last.
    pub(crate) fn full_width(&self) -> usize {
        2 * self.isa.lanes()
    }

    pub(crate) fn panels(&self) -> usize {
        self.co.div_ceil(self.full_width())
    }

    /// Columns of panel `p`, padding included: one or two vectors.
    pub(crate) fn panel_width(&self, p: usize) -> usize {
        (self.co - p * self.full_width()).next_multiple_of(self.isa.lanes()).min(self.full_width())
    }

    /// Panel `p`: `ci` rows of [`panel_width`](Self::panel_width) weights.
    pub(crate) fn panel(&self, p: usize) -> &[f32] {
        &self.weights[p * self.full_width() * self.ci..][..self.ci * self.panel_width(p)]
    }

    /// The bias of panel `p`'s columns.
    pub(crate) fn panel_bias(&self, p: usize) -> &[f32] {
        &self.bias[p * self.full_width()..][..self.panel_width(p)]
    }
}
