//! Gradient of a pointwise convolution by its weights, `dw = xᵀ dy`, and by its bias.
//!
//! Threads share out the columns; every sum over the rows stays in one thread, in the order of the
//! rows. Blocks of rows are first copied into the order in which the register tile reads them.

use super::tile::{multiply_columns, with_const};
use crate::simd::{dispatch, Isa, Kernel, Simd};
use crate::warm::warm;
use crate::workspace::{parallel, part, threads, with_scratch, Scratch, Shared};
use std::ops::Range;

/// Rows that are packed at a time. Fixed, since the sums of a block are added to what came before:
/// another size rounds differently.
const BLOCK: usize = 256;

/// Lengths were checked: `x` is `(rows, ci)`, `dy` `(rows, co)`, `dw` `(ci, co)`, `db` `(co)`.
pub(super) fn run(
    isa: Isa,
    x: &[f32],
    dy: &[f32],
    rows: usize,
    (ci, co): (usize, usize),
    dw: &mut [f32],
    db: &mut [f32],
) {
    if rows == 0 {
        dw.fill(0.0);
        db.fill(0.0);
        return;
    }
    let (dw, db) = (Shared::new(dw), Shared::new(db));
    in_pieces((ci, co), (4, 2 * isa.lanes()), |Piece { inputs, outputs, with_bias, scratch }| {
        let kernel = Gradient { x, dy, rows, ci, co, inputs, outputs, dw, db, with_bias, scratch };
        // SAFETY: lengths were checked; the pieces write disjoint parts of dw, and of db those
        // with `with_bias`.
        unsafe { dispatch(isa, kernel) };
    });
}

/// A part of `dw` for one thread.
pub(crate) struct Piece<'a> {
    /// Rows of `dw`.
    pub(crate) inputs: Range<usize>,
    /// Columns of `dw`.
    pub(crate) outputs: Range<usize>,
    /// Whether it also has these columns of `db`.
    pub(crate) with_bias: bool,
    pub(crate) scratch: &'a mut Scratch,
}

/// Shares `dw` out among the threads, in parts with borders at multiples of `steps` rows or columns.
pub(crate) fn in_pieces(
    (ci, co): (usize, usize),
    steps: (usize, usize),
    run: impl Fn(Piece<'_>) + Send + Sync,
) {
    // Each piece packs all of x or all of dy, so there are no more pieces than threads; where the columns do not
    // divide well, rows of dw (columns of x) do.
    let threads = threads();
    let (row_pieces, column_pieces) = match ci >= co {
        true => (threads.min(ci.div_ceil(steps.0)), 1),
        false => (1, threads.min(co.div_ceil(steps.1))),
    };
    parallel(row_pieces * column_pieces, |i| {
        let inputs = part(ci, row_pieces, steps.0, i / column_pieces);
        let outputs = part(co, column_pieces, steps.1, i % column_pieces);
        let with_bias = i / column_pieces == 0;
        with_scratch(|scratch| run(Piece { inputs, outputs, with_bias, scratch }));
    });
}

/// The same, all of it in the calling thread.
pub(crate) fn run_here(
    isa: Isa,
    x: &[f32],
    dy: &[f32],
    rows: usize,
    (ci, co): (usize, usize),
    dw: &mut [f32],
    db: &mut [f32],
) {
    let (inputs, outputs) = (0..ci, 0..co);
    let (dw, db) = (Shared::new(dw), Shared::new(db));
    with_scratch(|scratch| {
        let kernel = Gradient { x, dy, rows, ci, co, inputs, outputs, dw, db, with_bias: true, scratch };
        // SAFETY: lengths were checked, and dw and db are this call's alone.
        unsafe { dispatch(isa, kernel) };
    });
}

struct Gradient<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    rows: usize,
    ci: usize,
    co: usize,
    /// Rows of `dw`.
    inputs: Range<usize>,
    /// Columns of `dw`.
    outputs: Range<usize>,
    dw: Shared,
    db: Shared,
    with_bias: bool,
    scratch: &'a mut Scratch,
}

impl Kernel for Gradient<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Gradient { x, dy, rows, ci, co, inputs, outputs, dw, db, with_bias, scratch } = self;
        let width = 2 * S::LANES;
        let tiles = inputs.len().div_ceil(S::ROWS);
        // Tile t's inputs, nearly equal numbers of them.
        let tile = |t: usize| {
            let r = part(inputs.len(), tiles, 1, t);
            inputs.start + r.start..inputs.start + r.end
        };
        let xs = scratch.a.at_least(tiles * S::ROWS * BLOCK).as_mut_ptr();
        let ds = scratch.b.at_least(width * BLOCK).as_mut_ptr();
        for first in (0..rows).step_by(BLOCK) {
            let n = BLOCK.min(rows - first);
            for row in first..first + n {
                warm(&x[row * ci + inputs.start..][..inputs.len()]);
                warm(&dy[row * co + outputs.start..][..outputs.len()]);
            }
            // SAFETY: rows first..first + n and the ranges of columns exist; a tile's block holds
            // ROWS * BLOCK numbers, the panel width * BLOCK.
            unsafe {
                for t in 0..tiles {
                    let columns = tile(t);
                    let from = x.as_ptr().add(first * ci + columns.start);
                    pack::<S>(from, ci, n, columns.len(), xs.add(t * S::ROWS * BLOCK), columns.len());
                }
                for column in outputs.clone().step_by(width) {
                    let columns = width.min(outputs.end - column);
                    let vectors = columns.div_ceil(S::LANES);
                    let padded = vectors * S::LANES;
                    let from = dy.as_ptr().add(first * co + column);
                    pack::<S>(from, co, n, columns, ds, padded);
                    if with_bias {
                        add_rows::<S>(ds, padded, n, columns, db.at(column), first == 0);
                    }
                    for t in 0..tiles {
                        let (i, xs) = (tile(t), xs.add(t * S::ROWS * BLOCK));
                        let to = dw.at(i.start * co + column);
                        let last = columns - (vectors - 1) * S::LANES;
                        with_const!(i.len(), S::ROWS, MR => {
                            if vectors == 2 {
                                block::<S, MR, 2>(n, xs, ds, to, co, last, first == 0);
                            } else {
                                block::<S, MR, 1>(n, xs, ds, to, co, last, first == 0);
                            }
                        });
                    }
                }
            }
        }
    }
}

/// Adds (or sets) `xsᵀ ds` to a tile of `dw`.
///
/// # Safety
/// `xs` holds `n` rows of `MR`, `ds` `n` rows of `NV` vectors; `MR` rows of `NV - 1` vectors and
/// `last` numbers lie at `to`, `ld` apart.
#[inline(always)]
unsafe fn block<S: Simd, const MR: usize, const NV: usize>(
    n: usize,
    xs: *const f32,
    ds: *const f32,
    to: *mut f32,
    ld: usize,
    last: usize,
    set: bool,
) {
    unsafe {
        let mut sums = [[S::splat(0.0); NV]; MR];
        multiply_columns::<S, MR, NV>(&mut sums, n, xs, ds);
        for (r, row) in sums.iter().enumerate() {
            for (v, &sum) in row.iter().enumerate() {
                let p = to.add(r * ld + v * S::LANES);
                let count = if v + 1 < NV { S::LANES } else { last };
                let sum = if set { sum } else { S::add(S::load_partial(p, count), sum) };
                S::store_partial(p, count, sum);
            }
        }
    }
}

/// Copies `n` rows of `columns` numbers, `ld` apart, to rows of `width`, the rest of which becomes
/// zero as far as a vector reaches.
///
/// # Safety
/// The numbers exist, and `n * width` can be written.
#[inline(always)]
unsafe fn pack<S: Simd>(from: *const f32, ld: usize, n: usize, columns: usize, to: *mut f32, width: usize) {
    unsafe {
        for r in 0..n {
            let mut c = 0;
            while c < width {
                let (read, write) = (S::LANES.min(columns - c), S::LANES.min(width - c));
                let v = S::load_partial(from.add(r * ld + c), read);
                S::store_partial(to.add(r * width + c), write, v);
                c += S::LANES;
            }
        }
    }
}

/// Adds the first `columns` numbers of `n` rows, `ld` apart, to (or sets) those at `sums`.
///
/// # Safety
/// The rows exist, and so do `columns` numbers at `sums`.
#[inline(always)]
pub(crate) unsafe fn add_rows<S: Simd>(
    rows: *const f32,
    ld: usize,
    n: usize,
    columns: usize,
    sums: *mut f32,
    set: bool,
) {
    unsafe {
        for c in (0..columns).step_by(S::LANES) {
            let count = S::LANES.min(columns - c);
            // Four sums at once, or each addition would wait for the one before.
            let mut sum = [S::splat(0.0); 4];
            let mut r = 0;
            while r + 4 <= n {
                for (i, sum) in sum.iter_mut().enumerate() {
                    *sum = S::add(*sum, S::load_partial(rows.add((r + i) * ld + c), count));
                }
                r += 4;
            }
            while r < n {
                sum[0] = S::add(sum[0], S::load_partial(rows.add(r * ld + c), count));
                r += 1;
            }
            let all = S::add(S::add(sum[0], sum[1]), S::add(sum[2], sum[3]));
            let p = sums.add(c);
            let all = if set { all } else { S::add(S::load_partial(p, count), all) };
            S::store_partial(p, count, all);
        }
    }
}
