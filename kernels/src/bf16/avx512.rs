//! `vdpbf16ps`: sixteen sums of a pair of products each.

use super::{Product, SIDE};
use std::arch::x86_64::*;

/// Rows at a time: sixteen sums, two weights and a broadcast in registers.
const ROWS: usize = 8;

/// # Safety
/// As [`super::product`].
#[inline(always)]
pub(super) unsafe fn product(
    rows: usize,
    (a, lda): (*const u16, usize),
    (b, k_tiles): (*const u16, usize),
    bias: *const f32,
    out: &mut Product,
) {
    // SAFETY: reads and writes what the caller promised; a tile is sixteen rows of one vector.
    unsafe {
        for first in (0..rows).step_by(ROWS) {
            let start = [_mm512_loadu_ps(bias), _mm512_loadu_ps(bias.add(16))];
            let mut sums = [start; ROWS];
            for k in 0..16 * k_tiles {
                let tiles = b.add(k / 16 * 1024 + k % 16 * 32);
                let w: [__m512bh; 2] = [
                    std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(tiles.cast())),
                    std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(tiles.add(512).cast())),
                ];
                for (r, sums) in sums.iter_mut().enumerate() {
                    let pair = a.add((first + r) * lda + 2 * k).cast::<i32>().read_unaligned();
                    let x = std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(pair));
                    sums[0] = _mm512_dpbf16_ps(sums[0], x, w[0]);
                    sums[1] = _mm512_dpbf16_ps(sums[1], x, w[1]);
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                let to = out.0[first + r].as_mut_ptr();
                _mm512_storeu_ps(to, sums[0]);
                _mm512_storeu_ps(to.add(SIDE / 2), sums[1]);
            }
        }
    }
}

/// Rows as columns, of 32-bit numbers.
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
pub(super) unsafe fn transpose(from: &[[u32; 16]; 16], to: &mut [[u32; 16]; 16]) {
    // SAFETY: each row is one vector.
    unsafe {
        let mut rows = [_mm512_setzero_si512(); 16];
        for (row, from) in rows.iter_mut().zip(from) {
            *row = _mm512_loadu_si512(from.as_ptr().cast());
        }
        // Within each quarter of 128 bits: pairs of rows, then fours.
        let mut pairs = rows;
        for i in 0..8 {
            pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
            pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
        }
        let mut fours = rows;
        for i in 0..4 {
            let p = &pairs[4 * i..4 * i + 4];
            fours[4 * i] = _mm512_unpacklo_epi64(p[0], p[2]);
            fours[4 * i + 1] = _mm512_unpackhi_epi64(p[0], p[2]);
            fours[4 * i + 2] = _mm512_unpacklo_epi64(p[1], p[3]);
            fours[4 * i + 3] = _mm512_unpackhi_epi64(p[1], p[3]);
        }
        // Quarter q of `fours[4 * i + c]` has column 4 * q + c of rows 4 * i to 4 * i + 3.
        for c in 0..4 {
            let low = _mm512_shuffle_i32x4::<0b10_00_10_00>(fours[c], fours[4 + c]);
            let high = _mm512_shuffle_i32x4::<0b10_00_10_00>(fours[8 + c], fours[12 + c]);
            store(_mm512_shuffle_i32x4::<0b10_00_10_00>(low, high), &mut to[c]);
            store(_mm512_shuffle_i32x4::<0b11_01_11_01>(low, high), &mut to[8 + c]);
            let low = _mm512_shuffle_i32x4::<0b11_01_11_01>(fours[c], fours[4 + c]);
            let high = _mm512_shuffle_i32x4::<0b11_01_11_01>(fours[8 + c], fours[12 + c]);
            store(_mm512_shuffle_i32x4::<0b10_00_10_00>(low, high), &mut to[4 + c]);
            store(_mm512_shuffle_i32x4::<0b11_01_11_01>(low, high), &mut to[12 + c]);
        }
    }
}

#[inline(always)]
unsafe fn store(v: __m512i, to: &mut [u32; 16]) {
    // SAFETY: a row is one vector.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) };
}
