//! The fast depthwise kernels against the plain loops, and those against finite differences.

use super::{backward_input_on, backward_weights_on, forward_on, reference, DepthwiseShape};
use crate::simd::Isa;
use crate::testing::{random, wide};
use crate::{Activation, Padding};

/// Relative to the largest expected number.
const TOLERANCE: f64 = 3e-6;

#[track_caller]
fn assert_close(what: &str, y: &[f32], expected: &[f64]) {
    crate::testing::assert_close(what, y, expected, TOLERANCE);
}

/// MobileNetV2's shapes at 160x160 and EfficientNet-Lite's at 224x224 (fewer rows where there are many), and every
/// small odd one with both sides of the kernel, both strides and both kinds of padding.
fn shapes() -> Vec<DepthwiseShape> {
    let shape = |n, h, w, c, stride| DepthwiseShape { n, h, w, c, stride, side: 3, padding: Padding::Same };
    let five = |h, w, c, stride| DepthwiseShape { side: 5, ..shape(1, h, w, c, stride) };
    let mut shapes = vec![
        shape(1, 8, 80, 32, 1),
        shape(1, 8, 80, 96, 2),
        shape(1, 6, 40, 144, 1),
        shape(1, 6, 40, 144, 2),
        shape(1, 20, 20, 192, 1),
        shape(2, 20, 20, 192, 2),
        shape(2, 10, 10, 384, 1),
        shape(2, 10, 10, 576, 1),
        shape(3, 10, 10, 576, 2),
        shape(3, 5, 5, 960, 1),
        five(8, 56, 144, 2),
        five(6, 28, 240, 1),
        five(14, 14, 480, 1),
        five(14, 14, 672, 2),
        five(7, 7, 1152, 1),
        DepthwiseShape { n: 9, ..five(4, 5, 3, 2) },
        DepthwiseShape { n: 0, ..five(5, 5, 9, 1) },
        shape(0, 5, 5, 9, 1),
        shape(9, 4, 5, 3, 2),
    ];
    for (h, w) in (0..81).map(|i| (1 + i / 9, 1 + i % 9)) {
        for (stride, side) in [(1, 3), (2, 3), (1, 5), (2, 5)] {
            for padding in [Padding::Same, Padding::Symmetric] {
                let c = [1, 7, 16, 24, 33][(h * 2 + w) % 5];
                shapes.push(DepthwiseShape { n: 1, h, w, c, stride, side, padding });
            }
        }
    }
    shapes
}

#[test]
fn the_convolution_is_that_of_the_plain_loops_on_every_shape_and_instruction_set() {
    for s in shapes() {
        let (x, k, b) = (random(1, s.input_len()), random(2, s.kernel_len()), random(3, s.c));
        let x: Vec<f32> = x.iter().map(|x| x * 3.0).collect();
        let sums = reference::forward(&wide(&x), s, &wide(&k), &wide(&b));
        let clamped: Vec<f64> = sums.iter().map(|v| v.clamp(0.0, 6.0)).collect();
        for isa in Isa::available() {
            let mut y = vec![f32::NAN; s.output_len()];
            forward_on(isa, &x, s, &k, &b, Activation::Linear, &mut y);
            assert_close(&format!("{} {s:?}", isa.name()), &y, &sums);
            forward_on(isa, &x, s, &k, &b, Activation::Relu6, &mut y);
            assert_close(&format!("{} {s:?}", isa.name()), &y, &clamped);
        }
    }
}

#[test]
fn the_gradients_are_those_of_the_plain_loops_on_every_shape_and_instruction_set() {
    for s in shapes() {
        let (x, k, dy) = (random(1, s.input_len()), random(2, s.kernel_len()), random(3, s.output_len()));
        let mask: Vec<f32> = random(4, s.input_len()).iter().map(|v| v * 5.0 + 3.0).collect();
        let dx = reference::backward_input(&wide(&dy), s, &wide(&k));
        let passed = |(d, &m): (&f64, &f32)| if m > 0.0 && m < 6.0 { *d } else { 0.0 };
        let masked: Vec<f64> = dx.iter().zip(&mask).map(passed).collect();
        let (dk, db) = reference::backward_weights(&wide(&x), &wide(&dy), s);
        for isa in Isa::available() {
            let what = format!("{} {s:?}", isa.name());
            let mut y = vec![f32::NAN; s.input_len()];
            backward_input_on(isa, &dy, s, &k, None, &mut y);
            assert_close(&what, &y, &dx);
            backward_input_on(isa, &dy, s, &k, Some(&mask), &mut y);
            assert_close(&what, &y, &masked);
            let (mut gk, mut gb) = (vec![f32::NAN; s.kernel_len()], vec![f32::NAN; s.c]);
            backward_weights_on(isa, &x, &dy, s, &mut gk, &mut gb);
            assert_close(&what, &gk, &dk);
            assert_close(&what, &gb, &db);
        }
    }
}

#[test]
#[cfg(target_arch = "aarch64")]
fn neon_has_the_bits_of_the_portable_form() {
    for s in shapes() {
        let (x, k, b) = (random(1, s.input_len()), random(2, s.kernel_len()), random(3, s.c));
        let dy = random(4, s.output_len());
        let of = |isa| {
            let (mut y, mut dx) = (vec![f32::NAN; s.output_len()], vec![f32::NAN; s.input_len()]);
            forward_on(isa, &x, s, &k, &b, Activation::Relu6, &mut y);
            backward_input_on(isa, &dy, s, &k, Some(&x), &mut dx);
            let (mut dk, mut db) = (vec![f32::NAN; s.kernel_len()], vec![f32::NAN; s.c]);
            backward_weights_on(isa, &x, &dy, s, &mut dk, &mut db);
            [y, dx, dk, db]
        };
        assert_eq!(of(Isa::Neon), of(Isa::Portable), "{s:?}");
    }
}

#[test]
fn padding_is_keras_own() {
    let shape = |h, w, stride| DepthwiseShape { n: 1, h, w, c: 1, stride, side: 3, padding: Padding::Same };
    let even = shape(160, 80, 2);
    assert_eq!((even.out_h(), even.out_w(), even.pad_top(), even.pad_left()), (80, 40, 0, 0));
    let odd = shape(5, 7, 2);
    assert_eq!((odd.out_h(), odd.out_w(), odd.pad_top(), odd.pad_left()), (3, 4, 1, 1));
    let same = shape(6, 5, 1);
    assert_eq!((same.out_h(), same.out_w(), same.pad_top(), same.pad_left()), (6, 5, 1, 1));
}

#[test]
fn the_plain_gradients_agree_with_finite_differences() {
    let small = [(3, 4, 1, 3), (4, 5, 2, 3), (5, 4, 2, 3), (3, 6, 1, 5), (6, 5, 2, 5)];
    let both = |s| [Padding::Same, Padding::Symmetric].map(|padding| (s, padding));
    for ((h, w, stride, side), padding) in small.into_iter().flat_map(both) {
        let s = DepthwiseShape { n: 2, h, w, c: 2, stride, side, padding };
        let [mut x, mut k, mut b, g] =
            [(1, s.input_len()), (2, s.kernel_len()), (3, s.c), (4, s.output_len())]
                .map(|(key, n)| wide(&random(key, n)));
        let dx = reference::backward_input(&g, s, &k);
        let (dk, db) = reference::backward_weights(&x, &g, s);
        let e = 1e-5;
        for (which, gradient) in [dx, dk, db].iter().enumerate() {
            for (i, expected) in gradient.iter().enumerate() {
                let mut at = |d: f64| {
                    [&mut x, &mut k, &mut b][which][i] += d;
                    let y = reference::forward(&x, s, &k, &b);
                    y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
                };
                let difference = (at(e) - at(-2.0 * e)) / (2.0 * e);
                at(e);
                assert!((difference - expected).abs() < 1e-8, "{which} {i}: {difference} {expected}");
            }
        }
    }
}
