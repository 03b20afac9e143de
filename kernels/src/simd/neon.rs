//! [`Simd`] for NEON, which every 64-bit ARM processor has.

use super::{Kernel, Simd};
use std::arch::aarch64::*;

/// # Safety
/// As [`super::dispatch`], and the processor has the features named here.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run_neon<K: Kernel>(kernel: K) {
    unsafe { kernel.run::<Neon>() }
}

#[derive(Clone, Copy)]
pub(crate) struct Neon;

// SAFETY of all below: the trait's contract.
impl Simd for Neon {
    const LANES: usize = 4;
    // 18 sums, eight weights (two vectors of four steps) and up to six vectors of x: 32 registers. With ten rows the
    // compiler spills a sum in each round.
    const ROWS: usize = 9;
    const REGISTERS: usize = 32;
    // Ten sums and nine weights leave 13 registers for what is loaded.
    const OUTPUTS: usize = 10;
    const BY_LANE: bool = true;
    type V = float32x4_t;

    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn load_partial(p: *const f32, n: usize) -> float32x4_t {
        debug_assert!(n <= 4);
        unsafe {
            let zero = vdupq_n_f32(0.0);
            match n {
                4 => vld1q_f32(p),
                3 => vld1q_lane_f32::<2>(p.add(2), vcombine_f32(vld1_f32(p), vdup_n_f32(0.0))),
                2 => vcombine_f32(vld1_f32(p), vdup_n_f32(0.0)),
                1 => vld1q_lane_f32::<0>(p, zero),
                _ => zero,
            }
        }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: float32x4_t) {
        unsafe { vst1q_f32(p, v) }
    }
    #[inline(always)]
    unsafe fn store_partial(p: *mut f32, n: usize, v: float32x4_t) {
        debug_assert!(n <= 4);
        unsafe {
            match n {
                4 => vst1q_f32(p, v),
                3 => {
                    vst1_f32(p, vget_low_f32(v));
                    vst1q_lane_f32::<2>(p.add(2), v);
                }
                2 => vst1_f32(p, vget_low_f32(v)),
                1 => vst1q_lane_f32::<0>(p, v),
                _ => {}
            }
        }
    }
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add_lane<const LANE: i32>(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_laneq_f32::<LANE>(c, a, b) }
    }
    #[inline(always)]
    unsafe fn relu6(v: float32x4_t) -> float32x4_t {
        // Both pass on what is not a number.
        unsafe { vminq_f32(vmaxq_f32(v, vdupq_n_f32(0.0)), vdupq_n_f32(6.0)) }
    }
    #[inline(always)]
    unsafe fn where_inside(v: float32x4_t, y: float32x4_t) -> float32x4_t {
        unsafe {
            let inside = vandq_u32(vcgtzq_f32(y), vcltq_f32(y, vdupq_n_f32(6.0)));
            vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), inside))
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(p: *mut u16, v: float32x4_t) {
        unsafe {
            let bits = vreinterpretq_u32_f32(v);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let up = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
            let quiet = vorrq_u32(bits, vdupq_n_u32(0x40_0000));
            // A number equals itself.
            let rounded = vbslq_u32(vceqq_f32(v, v), up, quiet);
            vst1_u16(p, vshrn_n_u32::<16>(rounded));
        }
    }
}
