//! Gradient of a pointwise convolution by its weights in bfloat16, `dw = xᵀ dy`, and by its bias.
//!
//! As in f32, threads share out rows or columns of `dw`, and every sum over the rows of `x` stays in one thread, in the
//! order of the rows. Blocks of rows are first rounded and copied into the order in which the unit reads them.

use super::panels::{interleave, turn};
use super::{dispatch, product, Bf16Unit, Product, SIDE};
use crate::pointwise::backward_weights::{add_rows, in_pieces, Piece};
use crate::simd::{Kernel, Simd};
use crate::warm::warm;
use crate::workspace::Shared;

/// Rows that are packed at a time. Fixed, since the sums of a block are added to what came before: another size rounds
/// differently.
const BLOCK: usize = 256;

/// From one row of the left factor to the next: no power of two, so that rows lie in different sets of the cache.
const LD: usize = BLOCK + SIDE;

/// Lengths were checked: `x` is `(rows, ci)`, `dy` `(rows, co)`, `dw` `(ci, co)`, `db` `(co)`. The unit is there.
pub(super) fn run(
    unit: Bf16Unit,
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
    in_pieces((ci, co), (SIDE, SIDE), |piece| {
        let kernel = Gradient { unit, x, dy, rows, ci, co, dw, db, piece };
        // SAFETY: the unit is there and lengths were checked; the pieces write disjoint parts of dw, and of db those with
        // `with_bias`.
        unsafe { dispatch(unit, kernel) };
    });
}

struct Gradient<'a> {
    unit: Bf16Unit,
    x: &'a [f32],
    dy: &'a [f32],
    rows: usize,
    ci: usize,
    co: usize,
    dw: Shared,
    db: Shared,
    piece: Piece<'a>,
}

impl Kernel for Gradient<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Gradient { unit, x, dy, rows, ci, co, dw, db, piece } = self;
        let Piece { inputs, outputs, with_bias, scratch } = piece;
        let height = inputs.len().next_multiple_of(SIDE);
        let xs = scratch.a.at_least(height * LD / 2).as_mut_ptr().cast::<u16>();
        let ds = scratch.b.at_least(SIDE * BLOCK / 2).as_mut_ptr().cast::<u16>();
        let no_bias = [0.0; SIDE];
        let mut out = Product::new();
        for first in (0..rows).step_by(BLOCK) {
            let n = BLOCK.min(rows - first);
            for row in first..first + n {
                warm(&x[row * ci + inputs.start..][..inputs.len()]);
                warm(&dy[row * co + outputs.start..][..outputs.len()]);
            }
            // SAFETY: rows first..first + n and the ranges of columns exist; the left factor has room for `height` rows
            // of LD, the right one for a panel of BLOCK rows.
            unsafe {
                turn::<S>(x.as_ptr().add(first * ci + inputs.start), ci, (n, inputs.len()), (xs, LD));
                for column in outputs.clone().step_by(SIDE) {
                    let columns = SIDE.min(outputs.end - column);
                    let from = dy.as_ptr().add(first * co + column);
                    interleave::<S>(from, co, (n, columns), ds);
                    if with_bias {
                        add_rows::<S>(from, co, n, columns, db.at(column), first == 0);
                    }
                    for i in (0..inputs.len()).step_by(SIDE) {
                        let height = SIDE.min(inputs.len() - i);
                        let b = (ds.cast_const(), n.div_ceil(SIDE));
                        product(unit, height, (xs.add(i * LD), LD), b, no_bias.as_ptr(), &mut out);
                        for r in 0..height {
                            let to = dw.at((inputs.start + i + r) * co + column);
                            put::<S>(out.row(r), to, columns, first == 0);
                        }
                    }
                }
            }
        }
    }
}

/// Adds `n` sums to (or sets) what is there.
///
/// # Safety
/// As many numbers can be read and written.
#[inline(always)]
unsafe fn put<S: Simd>(sums: *const f32, to: *mut f32, n: usize, set: bool) {
    for at in (0..n).step_by(S::LANES) {
        let count = S::LANES.min(n - at);
        // SAFETY: the caller's promise.
        unsafe {
            let (sum, to) = (S::load_partial(sums.add(at), count), to.add(at));
            S::store_partial(to, count, if set { sum } else { S::add(S::load_partial(to, count), sum) });
        }
    }
}
