//! Both units against sums in f64 of the rounded factors.

use super::gemm::{Gemm, Round};
use super::*;
use crate::pointwise::cpu::Finish;
use crate::simd;
use crate::testing::bf16_units;
use crate::testing::Rng;
use crate::workspace::{Buffer, Shared};
use crate::Activation;

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
            let packed = PackedBf16::new(unit, &w, &bias, ci, co);
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

/// Some of MobileNetV2's shapes at 160x160, and odd ones: rows, inputs, outputs.
const SHAPES: [(usize, usize, usize); 9] = [
    (0, 3, 5),
    (1, 1, 1),
    (2, 5, 7),
    (33, 17, 40),
    (100, 96, 576),
    (300, 576, 96),
    (257, 40, 33),
    (600, 19, 18),
    (75, 960, 320),
];

fn rounded(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| wide(x)).collect()
}

#[test]
fn convolutions_and_their_gradients_are_those_of_the_plain_loops_on_rounded_numbers() {
    use crate::pointwise::reference;
    use crate::testing::{self, assert_close};
    const TOLERANCE: f64 = 1e-5;
    for unit in bf16_units() {
        for (rows, ci, co) in SHAPES {
            let what = format!("{unit:?} {rows} {ci} {co}");
            let (x, w, b) = (random(rows * ci, 1), random(ci * co, 2), random(co, 3));
            let (dy, more) = (random(rows * co, 4), random(rows * co, 5));
            let (x16, w16, dy16) = (rounded(&x), rounded(&w), rounded(&dy));

            let sums = reference::forward(&x16, &w16, &testing::wide(&b), (ci, co));
            let packed = PackedBf16::new(unit, &w, &b, ci, co);
            let mut y = vec![f32::NAN; rows * co];
            pointwise_bf16(&x, rows, &packed, Activation::Relu6, None, &mut y);
            let relu6: Vec<f64> = sums.iter().map(|y| y.clamp(0.0, 6.0)).collect();
            assert_close(&what, &y, &relu6, TOLERANCE);
            pointwise_bf16(&x, rows, &packed, Activation::Linear, Some(&more), &mut y);
            let added: Vec<f64> = sums.iter().zip(&more).map(|(y, &more)| y + f64::from(more)).collect();
            assert_close(&what, &y, &added, TOLERANCE);

            let transposed = PackedBf16::new_transposed(unit, &w, ci, co);
            let mask: Vec<f32> = random(rows * ci, 6).iter().map(|v| v * 5.0 + 3.0).collect();
            let also = random(rows * ci, 7);
            let mut dx = vec![f32::NAN; rows * ci];
            pointwise_backward_input_bf16(&dy, rows, &transposed, Some(&mask), Some(&also), &mut dx);
            let expected: Vec<f64> = reference::backward_input(&dy16, &w16, (ci, co))
                .iter()
                .zip(&also)
                .zip(&mask)
                .map(|((dx, &also), mask)| if (0.0..6.0).contains(mask) { dx + f64::from(also) } else { 0.0 })
                .collect();
            assert_close(&what, &dx, &expected, TOLERANCE);

            let (dw, _) = reference::backward_weights(&x16, &dy16, (ci, co));
            let (_, db) = reference::backward_weights(&[], &[], (ci, co));
            let db = testing::wide(&dy)
                .chunks(co)
                .fold(db, |sums, dy| sums.iter().zip(dy).map(|(a, b)| a + b).collect());
            let (mut w_sums, mut b_sums) = (vec![f32::NAN; ci * co], vec![f32::NAN; co]);
            pointwise_backward_weights_bf16(unit, &x, &dy, rows, ci, co, &mut w_sums, &mut b_sums);
            assert_close(&what, &w_sums, &dw, TOLERANCE);
            assert_close(&what, &b_sums, &db, TOLERANCE);
        }
    }
}

#[test]
fn other_weights_are_packed_in_place() {
    for unit in bf16_units() {
        let (ci, co) = (40, 33);
        let (older, w, bias) = (random(ci * co, 1), random(ci * co, 2), random(co, 3));
        let same = |a: &PackedBf16, b: &PackedBf16| {
            (0..a.panels()).all(|p| {
                let len = SIDE * padded(a.ci());
                // SAFETY: a panel has so many numbers.
                let [a, b] = [a, b].map(|w| unsafe { std::slice::from_raw_parts(w.panel(p), len) });
                a == b
            })
        };
        let mut packed = PackedBf16::new(unit, &older, &bias, ci, co);
        packed.repack(&w, &bias);
        assert!(same(&packed, &PackedBf16::new(unit, &w, &bias, ci, co)));
        let mut transposed = PackedBf16::new_transposed(unit, &older, ci, co);
        transposed.repack_transposed(&w);
        assert!(same(&transposed, &PackedBf16::new_transposed(unit, &w, ci, co)));
        let turned: Vec<f32> = (0..ci * co).map(|i| w[i % ci * co + i / ci]).collect();
        assert!(same(&transposed, &PackedBf16::new(unit, &turned, &vec![0.0; ci], co, ci)));
    }
}

#[test]
fn gradients_have_the_same_bits_with_any_number_of_threads() {
    for unit in bf16_units() {
        for (rows, ci, co) in SHAPES {
            let (x, w, dy) = (random(rows * ci, 1), random(ci * co, 2), random(rows * co, 3));
            let transposed = PackedBf16::new_transposed(unit, &w, ci, co);
            let packed = PackedBf16::new(unit, &w, &random(co, 4), ci, co);
            let results = [1, 2, 3, 7].map(|threads| {
                crate::threads::set_threads(threads);
                let (mut y, mut dx) = (vec![0.0; rows * co], vec![0.0; rows * ci]);
                let (mut dw, mut db) = (vec![0.0; ci * co], vec![0.0; co]);
                pointwise_bf16(&x, rows, &packed, Activation::Linear, None, &mut y);
                pointwise_backward_input_bf16(&dy, rows, &transposed, None, None, &mut dx);
                pointwise_backward_weights_bf16(unit, &x, &dy, rows, ci, co, &mut dw, &mut db);
                [y, dx, dw, db].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            });
            assert!(results.iter().all(|r| *r == results[0]), "{unit:?} {rows} {ci} {co}");
        }
    }
    crate::threads::set_threads(std::thread::available_parallelism().map_or(1, usize::from));
}
