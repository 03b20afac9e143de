//! The fast matrix product behind the pointwise convolutions.
//!
//! Threads share out blocks of rows. A block is small enough to stay in the second-level cache
//! while one panel of weights after the other passes over it.

use super::packed::PackedWeights;
use super::tile::{multiply, start, tiles, with_const, Tile};
use crate::simd::{dispatch, Kernel, Simd};
use crate::workspace::{parallel, part, threads, Shared};
use crate::Activation;
use std::ops::Range;

/// Floats of `x` that a block of rows may have: half of a usual second-level cache of 1 MB.
const BLOCK: usize = 128 * 1024;

/// `y = mask(act(x W + b (+ add)))`; lengths were checked.
pub(crate) fn gemm(
    x: &[f32],
    rows: usize,
    w: &PackedWeights,
    act: Activation,
    add: Option<&[f32]>,
    mask: Option<&[f32]>,
    y: &mut [f32],
) {
    let finish = Finish { y: Shared::new(y), columns: w.co(), relu6: act == Activation::Relu6, add, mask };
    gemm_parallel(x, w.ci(), rows, w, finish);
}

/// The whole product of `rows` rows that lie `ldx` apart, on all threads; lengths were checked.
pub(crate) fn gemm_parallel(x: &[f32], ldx: usize, rows: usize, w: &PackedWeights, finish: Finish<'_>) {
    let threads = threads();
    // With few rows (one image at 5x5, say) the columns are shared out as well.
    let row_pieces = pieces_of_rows(rows, w.ci());
    let panel_pieces = if row_pieces < threads { threads.div_ceil(row_pieces).min(w.panels()) } else { 1 };
    parallel(row_pieces * panel_pieces, |i| {
        let rows = part(rows, row_pieces, 1, i / panel_pieces);
        let panels = part(w.panels(), panel_pieces, 1, i % panel_pieces);
        // SAFETY: the lengths were checked; no two pieces have both a row and a panel in common.
        unsafe { dispatch(w.isa, Gemm { x, ldx, w, rows, panels, finish }) };
    });
}

/// Into how many pieces the rows of a product with `ci` inputs are cut.
pub(crate) fn pieces_of_rows(rows: usize, ci: usize) -> usize {
    let by_cache = (rows * ci).div_ceil(BLOCK);
    let by_threads = if threads() > 1 { 4 * threads() } else { 1 };
    by_cache.max(by_threads).min(rows.div_ceil(56)).max(1)
}

/// Some rows and panels of a product. `x` has the rows, each of at least `w.ci()` numbers and `ldx`
/// after the one before; `finish` has them too.
pub(crate) struct Gemm<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) ldx: usize,
    pub(crate) w: &'a PackedWeights,
    pub(crate) rows: Range<usize>,
    pub(crate) panels: Range<usize>,
    pub(crate) finish: Finish<'a>,
}

impl Kernel for Gemm<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Gemm { x, ldx, w, rows, panels, finish } = self;
        let (ci, first) = (w.ci(), rows.start);
        for p in panels {
            let (b, bias) = (w.panel(p).as_ptr(), w.panel_bias(p).as_ptr());
            let column = p * 2 * S::LANES;
            let two = w.panel_width(p) > S::LANES;
            for (row, n) in tiles(rows.len(), S::ROWS) {
                let row = first + row;
                // SAFETY: the tile's rows are rows of x and y, the panel holds ci rows.
                unsafe {
                    let x = x.as_ptr().add(row * ldx);
                    with_const!(n, S::ROWS, MR => {
                        if two {
                            let mut tile = start::<S, MR, 2>(bias);
                            multiply::<S, MR, 2>(&mut tile, ci, x, ldx, b);
                            finish.put::<S, MR, 2>(tile, row, column);
                        } else {
                            let mut tile = start::<S, MR, 1>(bias);
                            multiply::<S, MR, 1>(&mut tile, ci, x, ldx, b);
                            finish.put::<S, MR, 1>(tile, row, column);
                        }
                    });
                }
            }
        }
    }
}

/// What happens to the sums before they are stored. All slices are `(rows, columns)`.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    pub(crate) y: Shared,
    pub(crate) columns: usize,
    pub(crate) relu6: bool,
    pub(crate) add: Option<&'a [f32]>,
    pub(crate) mask: Option<&'a [f32]>,
}

impl Finish<'_> {
    /// The same for the rows from `row` on.
    pub(crate) fn rows_from(self, row: usize) -> Self {
        let skipped = row * self.columns;
        let rest = |slice: Option<_>| slice.map(|all: &[f32]| &all[skipped..]);
        Finish { y: self.y.skip(skipped), add: rest(self.add), mask: rest(self.mask), ..self }
    }

    /// Stores a tile whose corner lies at `(row, column)`.
    ///
    /// # Safety
    /// Its rows exist, and columns from `column` on; nobody else writes there.
    #[inline(always)]
    pub(crate) unsafe fn put<S: Simd, const MR: usize, const NV: usize>(
        &self,
        mut tile: Tile<S, MR, NV>,
        row: usize,
        column: usize,
    ) {
        let at = row * self.columns + column;
        let last = self.columns.min(column + NV * S::LANES) - column - (NV - 1) * S::LANES;
        // SAFETY: offsets stay inside the rows' columns.
        unsafe {
            if let Some(add) = self.add {
                let add = add.as_ptr().add(at);
                for (r, row) in tile.iter_mut().enumerate() {
                    for (v, sum) in row.iter_mut().enumerate() {
                        let n = if v + 1 < NV { S::LANES } else { last };
                        *sum = S::add(*sum, S::load_partial(add.add(r * self.columns + v * S::LANES), n));
                    }
                }
            }
            if let Some(mask) = self.mask {
                let mask = mask.as_ptr().add(at);
                for (r, row) in tile.iter_mut().enumerate() {
                    for (v, sum) in row.iter_mut().enumerate() {
                        let n = if v + 1 < NV { S::LANES } else { last };
                        let y = S::load_partial(mask.add(r * self.columns + v * S::LANES), n);
                        *sum = S::where_inside(*sum, y);
                    }
                }
            }
            if self.relu6 {
                relu6::<S, MR, NV>(&mut tile);
            }
            store::<S, MR, NV>(&tile, |r| self.y.at(at + r * self.columns), last);
        }
    }
}

/// Stores a tile row by row where `at` says; of each row's last vector only the first `last`
/// numbers.
///
/// # Safety
/// `NV - 1` vectors and `last` numbers can be written at each row's place.
#[inline(always)]
pub(crate) unsafe fn store<S: Simd, const MR: usize, const NV: usize>(
    tile: &Tile<S, MR, NV>,
    at: impl Fn(usize) -> *mut f32,
    last: usize,
) {
    unsafe {
        for (r, row) in tile.iter().enumerate() {
            let y = at(r);
            for (v, &sum) in row.iter().enumerate() {
                if v + 1 < NV || last == S::LANES {
                    S::store(y.add(v * S::LANES), sum);
                } else {
                    S::store_partial(y.add(v * S::LANES), last, sum);
                }
            }
        }
    }
}

/// ReLU6 of all sums.
///
/// # Safety
/// As [`Simd`] asks.
#[inline(always)]
pub(crate) unsafe fn relu6<S: Simd, const MR: usize, const NV: usize>(tile: &mut Tile<S, MR, NV>) {
    for row in tile {
        for sum in row {
            // SAFETY: the caller's promise.
            *sum = unsafe { S::relu6(*sum) };
        }
    }
}
