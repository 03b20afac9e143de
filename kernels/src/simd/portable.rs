//! [`Simd`] as short arrays, which the compiler turns into whatever vectors the architecture has.

use super::Simd;

const LANES: usize = 4;

/// Whether the compiler may count on fused multiply-add. Where it may not, it would make a library call of it.
const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

/// Four numbers.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn map2(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut y = [0.0; LANES];
    for i in 0..LANES {
        y[i] = f(a[i], b[i]);
    }
    y
}

// SAFETY of all below: the trait's contract; no instruction is needed that a processor may lack.
impl Simd for Portable {
    const LANES: usize = LANES;
    const ROWS: usize = 4;
    const REGISTERS: usize = 16;
    const OUTPUTS: usize = 4;
    type V = [f32; LANES];

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        unsafe { p.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_partial(p: *const f32, n: usize) -> Self::V {
        let mut y = [0.0; LANES];
        for (i, y) in y.iter_mut().enumerate().take(n) {
            *y = unsafe { *p.add(i) };
        }
        y
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        unsafe { p.cast::<[f32; LANES]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_partial(p: *mut f32, n: usize, v: Self::V) {
        for (i, v) in v.iter().enumerate().take(n) {
            unsafe { *p.add(i) = *v };
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        if !FUSED {
            return map2(map2(a, b, |a, b| a * b), c, |ab, c| ab + c);
        }
        let mut y = c;
        for i in 0..LANES {
            y[i] = a[i].mul_add(b[i], c[i]);
        }
        y
    }
    #[inline(always)]
    unsafe fn relu6(v: Self::V) -> Self::V {
        v.map(|x| {
            let x = if x < 0.0 { 0.0 } else { x };
            if x > 6.0 {
                6.0
            } else {
                x
            }
        })
    }
    #[inline(always)]
    unsafe fn where_inside(v: Self::V, y: Self::V) -> Self::V {
        map2(v, y, |v, y| if y > 0.0 && y < 6.0 { v } else { 0.0 })
    }
}
