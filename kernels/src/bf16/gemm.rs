//! Whole matrix products, and the rounding of what goes into them.

use super::{padded, product, Bf16Unit, PackedBf16, Product, SIDE};
use crate::pointwise::cpu::Finish;
use crate::pointwise::tile::Tile;
use crate::simd::{Kernel, Simd};
use std::ops::Range;

/// Some rows and panels of `x W + b`, and what [`Finish`] says.
///
/// Row `r` of `x` is the `padded(ci)` bfloat16 from `x + r * ldx` on. Up to [`SIDE`] - 1 rows behind
/// the last one are read too (to no effect): they must be memory.
pub(crate) struct Gemm<'a> {
    pub(crate) unit: Bf16Unit,
    pub(crate) x: *const u16,
    pub(crate) ldx: usize,
    pub(crate) w: &'a PackedBf16,
    pub(crate) rows: Range<usize>,
    pub(crate) panels: Range<usize>,
    pub(crate) finish: Finish<'a>,
}

impl Kernel for Gemm<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Gemm { unit, x, ldx, w, rows, panels, finish } = self;
        let mut out = Product::new();
        for p in panels {
            let column = p * SIDE;
            let b = (w.panel(p), w.k_tiles());
            for first in rows.clone().step_by(SIDE) {
                let n = SIDE.min(rows.end - first);
                // SAFETY: the fields' promises.
                unsafe {
                    product(unit, n, (x.add(first * ldx), ldx), b, w.panel_bias(p), &mut out);
                    for r in 0..n {
                        if w.co() - column > S::LANES {
                            let tile: Tile<S, 1, 2> =
                                [[S::load(out.row(r)), S::load(out.row(r).add(S::LANES))]];
                            finish.put::<S, 1, 2>(tile, first + r, column);
                        } else {
                            finish.put::<S, 1, 1>([[S::load(out.row(r))]], first + r, column);
                        }
                    }
                }
            }
        }
    }
}

/// Rounds `rows` of `c` numbers to bfloat16 rows of `padded(c)`, with zeros behind.
pub(crate) struct Round<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) c: usize,
    pub(crate) to: &'a mut [u16],
}

impl Kernel for Round<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Round { x, c, to } = self;
        let width = padded(c);
        for (x, to) in x.chunks_exact(c).zip(to.chunks_exact_mut(width)) {
            for at in (0..width).step_by(S::LANES) {
                // SAFETY: `width` is a multiple of the vector, and only what exists is loaded.
                unsafe {
                    let n = S::LANES.min(c.saturating_sub(at));
                    let v = if n == 0 { S::splat(0.0) } else { S::load_partial(x.as_ptr().add(at), n) };
                    S::store_bf16(to.as_mut_ptr().add(at), v);
                }
            }
        }
    }
}
