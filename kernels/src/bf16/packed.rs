//! Weights in bfloat16, in the order in which the tiles are loaded.

use super::panels::{interleave, pairs_down};
use super::{dispatch, Bf16Unit, SIDE};
use crate::simd::{Kernel, Simd};
use crate::workspace::Buffer;
use crate::{check_len, count};

/// Numbers of a row of `c` bfloat16 when it is padded to whole cache lines.
pub(crate) fn padded(c: usize) -> usize {
    c.next_multiple_of(SIDE)
}

/// A `(ci, co)` matrix in bfloat16 and its bias in f32, packed once for many products.
///
/// The columns are cut into panels of 32; a panel is, for each 32 rows, two tiles of 16
/// columns: pairs of rows, interleaved. What is missing to whole tiles is zeros.
#[derive(Clone)]
pub struct PackedBf16 {
    unit: Bf16Unit,
    ci: usize,
    co: usize,
    /// bfloat16, two to a number.
    weights: Buffer,
    bias: Buffer,
}

impl std::fmt::Debug for PackedBf16 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedBf16({} -> {}, {:?})", self.ci, self.co, self.unit)
    }
}

impl PackedBf16 {
    /// Packs `w`, `(ci, co)` row by row, and `bias`, `(co)`, for products by a unit.
    ///
    /// # Panics
    /// When a slice's length contradicts the shape, or the processor does not have the unit.
    pub fn new(unit: Bf16Unit, w: &[f32], bias: &[f32], ci: usize, co: usize) -> Self {
        let mut packed = Self::empty(unit, ci, co);
        packed.repack(w, bias);
        packed
    }

    /// Packs the transposed of `w`, which itself is `(ci, co)` row by row, without a bias: the
    /// product then takes `(rows, co)` to `(rows, ci)`, and [`ci`](Self::ci) and [`co`](Self::co)
    /// of the result are swapped accordingly.
    ///
    /// # Panics
    /// When the slice's length contradicts the shape, or the processor does not have the unit.
    pub fn new_transposed(unit: Bf16Unit, w: &[f32], ci: usize, co: usize) -> Self {
        let mut packed = Self::empty(unit, co, ci);
        packed.repack_transposed(w);
        packed
    }

    /// Packs other weights of the same shape in place.
    ///
    /// # Panics
    /// When a slice's length contradicts the shape.
    pub fn repack(&mut self, w: &[f32], bias: &[f32]) {
        check_len("PackedBf16: w", w.len(), count(&[self.ci, self.co]));
        check_len("PackedBf16: bias", bias.len(), self.co);
        self.bias[..self.co].copy_from_slice(bias);
        let (unit, ci, co) = (self.unit, self.ci, self.co);
        let to = self.weights.as_bf16_mut();
        // SAFETY: `empty` saw that there is such a unit; the lengths were checked.
        unsafe { dispatch(unit, Pack { w, k: ci, columns: co, transposed: false, to }) };
    }

    /// Packs other transposed weights of the same shape in place: `w` is `(ci, co)` of the
    /// forward convolution, as given to [`new_transposed`](Self::new_transposed).
    ///
    /// # Panics
    /// When the slice's length contradicts the shape.
    pub fn repack_transposed(&mut self, w: &[f32]) {
        check_len("PackedBf16: w", w.len(), count(&[self.ci, self.co]));
        let (unit, k, columns) = (self.unit, self.ci, self.co);
        let to = self.weights.as_bf16_mut();
        // SAFETY: as in `repack`.
        unsafe { dispatch(unit, Pack { w, k, columns, transposed: true, to }) };
    }

    fn empty(unit: Bf16Unit, ci: usize, co: usize) -> Self {
        unit.check();
        let (k, columns) = (padded(ci), padded(co));
        PackedBf16 { unit, ci, co, weights: Buffer::zeros(k * columns / 2), bias: Buffer::zeros(columns) }
    }

    /// What multiplies with these weights.
    pub fn unit(&self) -> Bf16Unit {
        self.unit
    }

    /// Channels of the input.
    pub fn ci(&self) -> usize {
        self.ci
    }

    /// Channels of the output.
    pub fn co(&self) -> usize {
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

/// All panels of a matrix of `k` rows; `w` has them as rows, or as columns where it is the transposed one.
struct Pack<'a> {
    w: &'a [f32],
    k: usize,
    columns: usize,
    transposed: bool,
    to: &'a mut [u16],
}

impl Kernel for Pack<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Pack { w, k, columns, transposed, to } = self;
        let panels = to.chunks_exact_mut((SIDE * padded(k)).max(1));
        for (p, panel) in panels.enumerate() {
            let (first, to) = (p * SIDE, panel.as_mut_ptr());
            let n = SIDE.min(columns - first);
            // SAFETY: the columns (or rows) from `first` on exist, and a panel has room for all of its tiles.
            unsafe {
                match transposed {
                    false => interleave::<S>(w.as_ptr().add(first), columns, (k, n), to),
                    true => pairs_down::<S>(w.as_ptr().add(first * k), (n, k), to),
                }
            }
        }
    }
}
