//! The register tile: a few rows of `x` times one panel of weights, all sums in registers.

use crate::simd::Simd;

/// Sums of `MR` rows and `NV` vectors of columns.
pub(crate) type Tile<S, const MR: usize, const NV: usize> = [[<S as Simd>::V; NV]; MR];

/// A tile whose every row starts as the `NV` vectors at `bias`.
///
/// # Safety
/// `bias` holds `NV` vectors.
#[inline(always)]
pub(crate) unsafe fn start<S: Simd, const MR: usize, const NV: usize>(bias: *const f32) -> Tile<S, MR, NV> {
    unsafe {
        let mut first = [S::splat(0.0); NV];
        for (v, first) in first.iter_mut().enumerate() {
            *first = S::load(bias.add(v * S::LANES));
        }
        [first; MR]
    }
}

/// Adds `x[0..MR][0..k] · b[0..k][0..NV vectors]` to the tile, in the order of `k`, whatever the
/// size of the tile: so a result does not depend on how the rows were cut.
///
/// # Safety
/// Row `r` of `x` is the `k` numbers from `x + r * ldx` on; `b` holds `k * NV` vectors.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd, const MR: usize, const NV: usize>(
    tile: &mut Tile<S, MR, NV>,
    k: usize,
    x: *const f32,
    ldx: usize,
    b: *const f32,
) {
    unsafe {
        let (mut x, mut b, mut k) = (x, b, k);
        if S::BY_LANE {
            while k >= 4 {
                four_steps::<S, MR, NV>(tile, x, ldx, b);
                (x, b, k) = (x.add(4), b.add(4 * NV * S::LANES), k - 4);
            }
        }
        // Not unrolled by hand: the compiler then loads for several steps at once and runs out of
        // registers.
        for _ in 0..k {
            step::<S, MR, NV>(tile, x, ldx, b);
            x = x.add(1);
            b = b.add(NV * S::LANES);
        }
    }
}

/// # Safety
/// `x + r * ldx` for each row and `NV` vectors at `b` are valid.
#[inline(always)]
unsafe fn step<S: Simd, const MR: usize, const NV: usize>(
    tile: &mut Tile<S, MR, NV>,
    x: *const f32,
    ldx: usize,
    b: *const f32,
) {
    unsafe {
        let mut w = [S::splat(0.0); NV];
        for (v, w) in w.iter_mut().enumerate() {
            *w = S::load(b.add(v * S::LANES));
        }
        for (r, row) in tile.iter_mut().enumerate() {
            let x = S::splat(*x.add(r * ldx));
            for v in 0..NV {
                row[v] = S::mul_add(x, w[v], row[v]);
            }
        }
    }
}

/// Four steps with the weights of all of them in registers, so that one load brings a row's four numbers.
///
/// # Safety
/// Four numbers from `x + r * ldx` on for each row, and `4 * NV` vectors at `b`, are valid; a vector has four numbers
/// at least.
#[inline(always)]
unsafe fn four_steps<S: Simd, const MR: usize, const NV: usize>(
    tile: &mut Tile<S, MR, NV>,
    x: *const f32,
    ldx: usize,
    b: *const f32,
) {
    unsafe {
        let mut w = [[S::splat(0.0); NV]; 4];
        for (i, w) in w.iter_mut().flatten().enumerate() {
            *w = S::load(b.add(i * S::LANES));
        }
        for (r, row) in tile.iter_mut().enumerate() {
            let x = S::load_partial(x.add(r * ldx), 4);
            for (v, sum) in row.iter_mut().enumerate() {
                *sum = S::mul_add_lane::<0>(w[0][v], x, *sum);
                *sum = S::mul_add_lane::<1>(w[1][v], x, *sum);
                *sum = S::mul_add_lane::<2>(w[2][v], x, *sum);
                *sum = S::mul_add_lane::<3>(w[3][v], x, *sum);
            }
        }
    }
}

/// Adds `xᵀ · b` to the tile: `x` has `k` rows of `MR` numbers, `b` `k` rows of `NV` vectors.
///
/// # Safety
/// They do.
#[inline(always)]
pub(crate) unsafe fn multiply_columns<S: Simd, const MR: usize, const NV: usize>(
    tile: &mut Tile<S, MR, NV>,
    k: usize,
    x: *const f32,
    b: *const f32,
) {
    unsafe {
        for i in 0..k {
            let (x, b) = (x.add(i * MR), b.add(i * NV * S::LANES));
            match S::BY_LANE {
                true => step_of_columns::<S, MR, NV>(tile, x, b),
                false => step::<S, MR, NV>(tile, x, 1, b),
            }
        }
    }
}

/// As [`step`] with numbers of `x` that lie one behind the other: one load brings those of four rows.
///
/// # Safety
/// `MR` numbers at `x` and `NV` vectors at `b` are valid; a vector has four numbers at least.
#[inline(always)]
unsafe fn step_of_columns<S: Simd, const MR: usize, const NV: usize>(
    tile: &mut Tile<S, MR, NV>,
    x: *const f32,
    b: *const f32,
) {
    unsafe {
        let mut w = [S::splat(0.0); NV];
        for (v, w) in w.iter_mut().enumerate() {
            *w = S::load(b.add(v * S::LANES));
        }
        for (i, rows) in tile.chunks_mut(4).enumerate() {
            let x = S::load_partial(x.add(4 * i), rows.len());
            for (r, row) in rows.iter_mut().enumerate() {
                for (v, sum) in row.iter_mut().enumerate() {
                    *sum = match r {
                        0 => S::mul_add_lane::<0>(w[v], x, *sum),
                        1 => S::mul_add_lane::<1>(w[v], x, *sum),
                        2 => S::mul_add_lane::<2>(w[v], x, *sum),
                        _ => S::mul_add_lane::<3>(w[v], x, *sum),
                    };
                }
            }
        }
    }
}

/// Evaluates `$body` with the constant `$N` equal to `$n`, which is at least 1 and at most `$most`,
/// a constant of its own up to 14.
macro_rules! with_const {
    ($n:expr, $most:expr, $N:ident => $body:expr) => {
        $crate::pointwise::tile::with_const!(@ $n, $most, $N, $body,
            14 13 12 11 10 9 8 7 6 5 4 3 2 1)
    };
    (@ $n:expr, $most:expr, $N:ident, $body:expr, $($literal:literal)*) => {
        match $n {
            // The guard is a constant: what lies beyond `$most` is not compiled.
            $($literal if $literal <= $most => {
                const $N: usize = $literal;
                $body
            })*
            _ => {}
        }
    };
}
pub(crate) use with_const;

/// How `rows` are best cut into tiles of at most `most` rows: nearly equal ones, since a small
/// tile computes slowly. Yields `(row, rows of the tile)`.
#[inline(always)]
pub(crate) fn tiles(rows: usize, most: usize) -> Tiles {
    let count = rows.div_ceil(most).max(1);
    let (size, larger) = (rows / count, rows % count);
    Tiles { row: 0, rows, size, larger }
}

/// See [`tiles`]. An iterator and no function that takes a closure: a closure is a function of its
/// own, without the instruction set of the one that it stands in.
pub(crate) struct Tiles {
    row: usize,
    rows: usize,
    size: usize,
    larger: usize,
}

impl Iterator for Tiles {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        if self.row == self.rows {
            return None;
        }
        let n = self.size + usize::from(self.larger > 0);
        self.larger = self.larger.saturating_sub(1);
        let row = self.row;
        self.row += n;
        Some((row, n))
    }
}
