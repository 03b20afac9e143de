//! Both units against sums in f64 of the rounded factors.

use super::gemm::{Gemm, Round};
use super::*;
use crate::pointwise::cpu::Finish;
use crate::simd;
use crate::testing::bf16_units;
use crate::testing::Rng;
use crate::workspace::{Buffer, Shared};

/// The number that stands for `x` in bfloat16.
fn wide(x: f32) -> f64 {
    f64::from(widen(round(x)))
}

fn random(n: usize, key: u64) -> Vec<f32> {
    let mut rng = Rng::new(&[key]);
    (0..n).map(|_| rng.uniform() * 2.0 - 1.0).collect()
}

#[test]
fn rounding_is_to_the_nearest_and_ties_go_to_even() {
    let exact = |x: f32| (x.to_bits() >> 16) as u16;
    assert_eq!(round(1.0), 0x3f80);
    assert_eq!(round(f32::from_bits(0x3f80_8000)), 0x3f80, "a tie, down to even");
    assert_eq!(round(f32::from_bits(0x3f81_8000)), 0x3f82, "a tie, up to even");
    assert_eq!(round(f32::from_bits(0x3f80_8001)), 0x3f81);
    assert_eq!(round(f32::MAX), exact(f32::INFINITY));
    assert_eq!(round(f32::NEG_INFINITY), exact(f32::NEG_INFINITY));
    assert!(widen(round(f32::NAN)).is_nan());
}

struct Store<'a>(&'a [f32], &'a mut [u16]);

impl simd::Kernel for Store<'_> {
    #[inline(always)]
    unsafe fn run<S: simd::Simd>(self) {
        for at in (0..self.0.len()).step_by(S::LANES) {
            // SAFETY: both hold a multiple of any vector.
            unsafe { S::store_bf16(self.1.as_mut_ptr().add(at), S::load(self.0.as_ptr().add(at))) };
        }
    }
}

#[test]
fn vectors_are_rounded_as_single_numbers_are() {
    let mut x = random(4080, 1);
    x.extend([0.0, -0.0, 1e30, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN_POSITIVE]);
    x.extend([0x3f80_8000u32, 0x3f81_8000, 0x7f80_0001, 0xffc0_1234].map(f32::from_bits));
    x.extend([6.0; 4]);
    let expected: Vec<u16> = x.iter().map(|&x| round(x)).collect();
    for isa in Isa::available() {
        let mut y = vec![0; x.len()];
        // SAFETY: available; Store promises nothing.
        unsafe { simd::dispatch(isa, Store(&x, &mut y)) };
        assert_eq!(y, expected, "{}", isa.name());
    }
    for unit in bf16_units() {
        let mut y = vec![0; x.len()];
        // SAFETY: as above.
        unsafe { dispatch(unit, Store(&x, &mut y)) };
        assert_eq!(y, expected, "{unit:?}");
    }
}

#[test]
fn products_are_the_sums_of_rounded_factors() {
    let units = bf16_units();
    for (rows, ci, co) in [(1, 1, 1), (16, 32, 16), (17, 24, 33), (70, 144, 24), (33, 40, 5), (100, 96, 80)] {
        let (x, w, bias) = (random(rows * ci, 2), random(ci * co, 3), random(co, 4));
        let add = random(rows * co, 5);
        for &unit in &units {
            let mut rounded = Buffer::default();
            rounded.at_least((rows + SIDE) * padded(ci) / 2);
            let packed = PackedBf16::new(&w, &bias, ci, co);
            let mut y = vec![f32::NAN; rows * co];
            let finish =
                Finish { y: Shared::new(&mut y), columns: co, relu6: true, add: Some(&add), mask: None };
            // SAFETY: all lengths fit; behind the rounded rows there is room for more.
            unsafe {
                dispatch(unit, Round { x: &x, c: ci, to: rounded.as_bf16_mut() });
                let (x, ldx) = (rounded.as_bf16().as_ptr(), padded(ci));
                let panels = 0..packed.panels();
                dispatch(unit, Gemm { unit, x, ldx, w: &packed, rows: 0..rows, panels, finish });
            }
            for r in 0..rows {
                for c in 0..co {
                    let factors = (0..ci).map(|k| wide(x[r * ci + k]) * wide(w[k * co + c]));
                    let sum = f64::from(bias[c]) + factors.sum::<f64>() + f64::from(add[r * co + c]);
                    let (y, expected) = (f64::from(y[r * co + c]), sum.clamp(0.0, 6.0));
                    assert!((y - expected).abs() < 1e-5, "{unit:?} {rows}x{ci}x{co}: {y} for {expected}");
                }
            }
        }
    }
}

#[test]
fn a_processor_without_it_is_told_so() {
    match Bf16Unit::best() {
        Ok(unit) => assert_eq!(Some(unit), Bf16Unit::available().pop()),
        Err(e) => assert!(e.to_string().contains("Precision::F32"), "{e}"),
    }
}
