//! Numbers in the order in which the units read them: pairs that follow each other along the sum lie side by side.

use super::SIDE;
use crate::simd::Simd;

/// Columns of a tile, and pairs of rows in one.
const TILE: usize = 16;

/// Numbers of one bfloat16 tile.
const TILE_LEN: usize = 2 * TILE * TILE;

/// A tile: for each pair of rows, the pairs of all columns.
#[repr(C, align(64))]
struct Pairs([[u32; TILE]; TILE]);

impl Pairs {
    /// Rounds up to 32 rows of up to 16 numbers, `ld` apart; what is missing is zeros.
    ///
    /// # Safety
    /// The numbers exist, and the processor has the instructions of `S`.
    #[inline(always)]
    unsafe fn of_rows<S: Simd>(from: *const f32, ld: usize, rows: usize, columns: usize) -> Self {
        let mut pairs = Pairs([[0; TILE]; TILE]);
        for (r, pair) in pairs.0.iter_mut().enumerate().take(rows.div_ceil(2)) {
            let second = if 2 * r + 1 < rows { columns } else { 0 };
            // No closure: it would not have the caller's instructions.
            // SAFETY: rows below `rows` exist.
            let (low, high) = unsafe {
                let from = from.wrapping_add(2 * r * ld);
                (rounded::<S>(from, columns), rounded::<S>(from.wrapping_add(ld), second))
            };
            for ((pair, low), high) in pair.iter_mut().zip(low).zip(high) {
                *pair = u32::from(low) | u32::from(high) << 16;
            }
        }
        pairs
    }

    /// Rounds up to 16 rows of up to 32 numbers, `ld` apart, and turns them: row `r` of the result has the pair `r` of
    /// each row. What is missing is zeros.
    ///
    /// # Safety
    /// As [`of_rows`](Self::of_rows).
    #[inline(always)]
    unsafe fn of_columns<S: Simd>(from: *const f32, ld: usize, rows: usize, columns: usize) -> Self {
        let mut lines = Pairs([[0; TILE]; TILE]);
        for (r, line) in lines.0.iter_mut().enumerate().take(rows) {
            // SAFETY: the row exists; a line has room for 32 bfloat16.
            unsafe {
                let from = from.add(r * ld);
                let halves = [
                    rounded::<S>(from, columns),
                    rounded::<S>(from.wrapping_add(TILE), columns.saturating_sub(TILE)),
                ];
                std::ptr::copy_nonoverlapping(
                    halves.as_ptr().cast::<u16>(),
                    line.as_mut_ptr().cast::<u16>(),
                    2 * TILE,
                );
            }
        }
        lines.turned()
    }

    /// Rows as columns.
    #[inline(always)]
    fn turned(&self) -> Self {
        let mut turned = Pairs([[0; TILE]; TILE]);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only a unit's kernels come here, and each unit has AVX-512.
        unsafe {
            super::avx512::transpose(&self.0, &mut turned.0);
        }
        #[cfg(not(target_arch = "x86_64"))]
        for (r, line) in self.0.iter().enumerate() {
            line.iter().enumerate().for_each(|(c, &pair)| turned.0[c][r] = pair);
        }
        turned
    }
}

/// The first `n` of 16 numbers, rounded; zeros behind.
///
/// # Safety
/// As many numbers exist.
#[inline(always)]
unsafe fn rounded<S: Simd>(from: *const f32, n: usize) -> [u16; TILE] {
    let mut to = [0; TILE];
    for at in (0..TILE.min(n)).step_by(S::LANES) {
        // SAFETY: the caller's promise; a vector has at most 16 numbers.
        unsafe {
            let v = S::load_partial(from.add(at), S::LANES.min(n - at));
            S::store_bf16(to.as_mut_ptr().add(at), v);
        }
    }
    to
}

/// Writes `rows` rows of at most [`SIDE`] columns, `ld` apart, as a panel of a right factor: for each 32 rows two tiles
/// of 16 columns.
///
/// # Safety
/// The numbers exist, there is room for `rows.div_ceil(32)` pairs of tiles, and the kernel is one of a
/// [`Bf16Unit`](super::Bf16Unit).
#[inline(always)]
pub(super) unsafe fn interleave<S: Simd>(
    from: *const f32,
    ld: usize,
    (rows, columns): (usize, usize),
    to: *mut u16,
) {
    for row in (0..rows).step_by(SIDE) {
        for half in 0..2 {
            let (n, first) = (SIDE.min(rows - row), half * TILE);
            // SAFETY: the caller's promise.
            unsafe {
                let from = from.wrapping_add(row * ld + first);
                let pairs = Pairs::of_rows::<S>(from, ld, n, TILE.min(columns.saturating_sub(first)));
                to.add((row / SIDE * 2 + half) * TILE_LEN).cast::<Pairs>().write_unaligned(pairs);
            }
        }
    }
}

/// Writes a panel of a right factor whose columns are given as rows: `n` of them, at most [`SIDE`], of `k` numbers.
///
/// # Safety
/// As [`interleave`], with `k` rows.
#[inline(always)]
pub(super) unsafe fn pairs_down<S: Simd>(from: *const f32, (n, k): (usize, usize), to: *mut u16) {
    for row in (0..k).step_by(SIDE) {
        for half in 0..2 {
            let first = half * TILE;
            // SAFETY: the caller's promise.
            unsafe {
                let from = from.wrapping_add(first * k + row);
                let n = TILE.min(n.saturating_sub(first));
                let pairs = Pairs::of_columns::<S>(from, k, n, SIDE.min(k - row));
                to.add((row / SIDE * 2 + half) * TILE_LEN).cast::<Pairs>().write_unaligned(pairs);
            }
        }
    }
}

/// Writes columns as rows of a left factor, `ld` bfloat16 apart: of each of `columns` columns `rows` numbers, with zeros
/// up to the next multiple of [`SIDE`].
///
/// # Safety
/// The numbers exist, `from_ld` apart from row to row; there is room for the columns, rounded up to a multiple of 16.
#[inline(always)]
pub(super) unsafe fn turn<S: Simd>(
    from: *const f32,
    from_ld: usize,
    (rows, columns): (usize, usize),
    (to, ld): (*mut u16, usize),
) {
    for row in (0..rows).step_by(SIDE) {
        for column in (0..columns).step_by(TILE) {
            let (n, width) = (SIDE.min(rows - row), TILE.min(columns - column));
            // SAFETY: the caller's promise.
            unsafe {
                let from = from.add(row * from_ld + column);
                let turned = Pairs::of_rows::<S>(from, from_ld, n, width).turned();
                for (c, line) in turned.0.iter().enumerate() {
                    to.add((column + c) * ld + row).cast::<[u32; TILE]>().write_unaligned(*line);
                }
            }
        }
    }
}
