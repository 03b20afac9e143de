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
