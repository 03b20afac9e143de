//! The fast pointwise kernels against the plain loops, and those against finite differences.

use super::cpu::gemm;
use super::{backward_weights_on, reference, PackedWeights};
use crate::simd::Isa;
use crate::testing::{random, wide};
use crate::Activation;

/// Relative to the largest expected number.
const TOLERANCE: f64 = 1e-5;

#[track_caller]
fn assert_close(what: &str, y: &[f32], expected: &[f64]) {
    crate::testing::assert_close(what, y, expected, TOLERANCE);
}

/// (rows, ci, co): MobileNetV2's at 160x160, some rows fewer, and odd ones.
const SHAPES: &[(usize, usize, usize)] = &[
    (200, 32, 16),
    (160, 16, 96),
    (80, 96, 24),
    (80, 24, 144),
    (80, 144, 24),
    (40, 144, 32),
    (40, 32, 192),
    (41, 192, 32),
    (100, 192, 64),
    (100, 64, 384),
    (100, 384, 64),
    (100, 384, 96),
    (100, 96, 576),
    (300, 576, 96),
    (25, 576, 160),
    (25, 160, 960),
    (50, 960, 160),
    (25, 960, 320),
    (25, 320, 1280),
    (0, 3, 5),
    (1, 1, 1),
    (2, 5, 7),
    (3, 17, 33),
    (13, 31, 40),
    (29, 2, 47),
    (600, 19, 18),
];

#[test]
fn the_product_is_that_of_the_plain_loops_on_every_shape_and_instruction_set() {
    for &(rows, ci, co) in SHAPES {
        let (x, w, b) = (random(1, rows * ci), random(2, ci * co), random(3, co));
        let more = random(4, rows * co);
        let other: Vec<f32> = random(5, rows * co).iter().map(|v| v * 5.0 + 3.0).collect();
        let sums = reference::forward(&wide(&x), &wide(&w), &wide(&b), (ci, co));
        for isa in Isa::available() {
            let what = format!("{} {rows} {ci} {co}", isa.name());
            let packed = PackedWeights::new_on(isa, &w, &b, ci, co);
            let mut y = vec![f32::NAN; rows * co];
            gemm(&x, rows, &packed, Activation::Linear, None, None, &mut y);
            assert_close(&what, &y, &sums);
            gemm(&x, rows, &packed, Activation::Relu6, None, None, &mut y);
            assert_close(&what, &y, &sums.iter().map(|s| s.clamp(0.0, 6.0)).collect::<Vec<_>>());
            gemm(&x, rows, &packed, Activation::Linear, Some(&more), None, &mut y);
            let added: Vec<f64> = sums.iter().zip(&more).map(|(s, &m)| s + f64::from(m)).collect();
            assert_close(&what, &y, &added);
            gemm(&x, rows, &packed, Activation::Linear, Some(&more), Some(&other), &mut y);
            let passed = |(s, &o): (&f64, &f32)| if o > 0.0 && o < 6.0 { *s } else { 0.0 };
            assert_close(&what, &y, &added.iter().zip(&other).map(passed).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_gradients_are_those_of_the_plain_loops_on_every_shape_and_instruction_set() {
    for &(rows, ci, co) in SHAPES {
        let (x, w, dy) = (random(1, rows * ci), random(2, ci * co), random(3, rows * co));
        let dx = reference::backward_input(&wide(&dy), &wide(&w), (ci, co));
        let (dw, db) = reference::backward_weights(&wide(&x), &wide(&dy), (ci, co));
        for isa in Isa::available() {
            let what = format!("{} {rows} {ci} {co}", isa.name());
            let packed = PackedWeights::new_transposed_on(isa, &w, ci, co);
            assert_eq!((packed.ci(), packed.co()), (co, ci));
            let mut y = vec![f32::NAN; rows * ci];
            gemm(&dy, rows, &packed, Activation::Linear, None, None, &mut y);
            assert_close(&what, &y, &dx);
            let (mut gw, mut gb) = (vec![f32::NAN; ci * co], vec![f32::NAN; co]);
            backward_weights_on(isa, &x, &dy, rows, (ci, co), &mut gw, &mut gb);
            assert_close(&what, &gw, &dw);
            assert_close(&what, &gb, &db);
        }
    }
}

#[test]
fn the_plain_gradients_agree_with_finite_differences() {
    let (rows, ci, co) = (4, 3, 5);
    let [mut x, mut w, mut b, g] =
        [(1, rows * ci), (2, ci * co), (3, co), (4, rows * co)].map(|(key, len)| wide(&random(key, len)));
    let dx = reference::backward_input(&g, &w, (ci, co));
    let (dw, db) = reference::backward_weights(&x, &g, (ci, co));
    let loss = |x: &[f64], w: &[f64], b: &[f64]| {
        let y = reference::forward(x, w, b, (ci, co));
        y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
    };
    let e = 1e-5;
    for (which, gradient) in [dx, dw, db].iter().enumerate() {
        for (i, expected) in gradient.iter().enumerate() {
            let mut at = |d: f64| {
                [&mut x, &mut w, &mut b][which][i] += d;
                loss(&x, &w, &b)
            };
            let difference = (at(e) - at(-2.0 * e)) / (2.0 * e);
            at(e);
            assert!((difference - expected).abs() < 1e-8, "{which} {i}: {difference} {expected}");
        }
    }
}

#[test]
fn results_do_not_depend_on_how_many_rows_come_together() {
    let (ci, co) = (37, 50);
    let (x, w, b) = (random(1, 113 * ci), random(2, ci * co), random(3, co));
    for isa in Isa::available() {
        let packed = PackedWeights::new_on(isa, &w, &b, ci, co);
        let mut all = vec![0.0; 113 * co];
        gemm(&x, 113, &packed, Activation::Relu6, None, None, &mut all);
        for rows in [1, 5, 20] {
            let mut y = vec![0.0; rows * co];
            gemm(&x[..rows * ci], rows, &packed, Activation::Relu6, None, None, &mut y);
            assert_eq!(y, all[..rows * co]);
        }
    }
}

#[test]
#[cfg(target_arch = "aarch64")]
fn neon_has_the_bits_of_the_portable_form() {
    for &(rows, ci, co) in SHAPES {
        let (x, w, b, dy) = (random(1, rows * ci), random(2, ci * co), random(3, co), random(4, rows * co));
        let of = |isa| {
            let (mut y, mut dx) = (vec![f32::NAN; rows * co], vec![f32::NAN; rows * ci]);
            gemm(
                &x,
                rows,
                &PackedWeights::new_on(isa, &w, &b, ci, co),
                Activation::Relu6,
                None,
                None,
                &mut y,
            );
            let turned = PackedWeights::new_transposed_on(isa, &w, ci, co);
            gemm(&dy, rows, &turned, Activation::Linear, Some(&x), None, &mut dx);
            let (mut dw, mut db) = (vec![f32::NAN; ci * co], vec![f32::NAN; co]);
            backward_weights_on(isa, &x, &dy, rows, (ci, co), &mut dw, &mut db);
            [y, dx, dw, db]
        };
        assert_eq!(of(Isa::Neon), of(Isa::Portable), "{rows} {ci} {co}");
    }
}

#[test]
fn gradients_are_the_same_bits_with_any_number_of_threads() {
    for (rows, ci, co) in [(700, 40, 70), (700, 70, 40), (300, 3, 5)] {
        let (x, dy) = (random(1, rows * ci), random(2, rows * co));
        for isa in Isa::available() {
            let results: Vec<_> = [1, 2, 5]
                .into_iter()
                .map(|threads| {
                    crate::threads::set_threads(threads);
                    let (mut dw, mut db) = (vec![f32::NAN; ci * co], vec![f32::NAN; co]);
                    backward_weights_on(isa, &x, &dy, rows, (ci, co), &mut dw, &mut db);
                    (dw, db)
                })
                .collect();
            assert_eq!(results[0], results[1]);
            assert_eq!(results[0], results[2]);
        }
    }
    crate::threads::set_threads(std::thread::available_parallelism().map_or(1, usize::from));
}
