//! The fast first convolution against the plain loops, and those against finite differences.

use super::{backward_weights_on, forward_on, reference};
use crate::simd::Isa;
use crate::testing::{random, wide};
use crate::{Activation, Padding};

const BOTH: [Padding; 2] = [Padding::Same, Padding::Symmetric];

/// Relative to the largest expected number.
const TOLERANCE: f64 = 3e-6;

#[track_caller]
fn assert_close(what: &str, y: &[f32], expected: &[f64]) {
    crate::testing::assert_close(what, y, expected, TOLERANCE);
}

fn shapes() -> Vec<(usize, usize, usize, usize)> {
    let mut shapes = vec![(2, 20, 160, 32), (0, 4, 4, 32), (5, 3, 2, 8)];
    shapes.extend((0..81).map(|i| (1, 1 + i / 9, 1 + i % 9, [1, 7, 16, 32, 40][i % 5])));
    shapes
}

#[test]
fn the_convolution_and_its_gradients_are_those_of_the_plain_loops_on_every_instruction_set() {
    for ((n, h, w, co), padding) in shapes().into_iter().flat_map(|s| BOTH.map(|padding| (s, padding))) {
        let outputs = n * h.div_ceil(2) * w.div_ceil(2) * co;
        let (x, k) = (random(1, n * h * w * 3), random(2, 27 * co));
        let (b, dy) = (random(3, co), random(4, outputs));
        let sums = reference::forward(&wide(&x), (n, h, w), padding, &wide(&k), &wide(&b));
        let clamped: Vec<f64> = sums.iter().map(|v| v.clamp(0.0, 6.0)).collect();
        let (dk, db) = reference::backward_weights(&wide(&x), &wide(&dy), (n, h, w), padding, co);
        for isa in Isa::available() {
            let what = format!("{} {n} {h} {w} {co} {padding:?}", isa.name());
            let mut y = vec![f32::NAN; outputs];
            forward_on(isa, &x, (n, h, w), padding, &k, &b, co, Activation::Linear, &mut y);
            assert_close(&what, &y, &sums);
            forward_on(isa, &x, (n, h, w), padding, &k, &b, co, Activation::Relu6, &mut y);
            assert_close(&what, &y, &clamped);
            let (mut gk, mut gb) = (vec![f32::NAN; 27 * co], vec![f32::NAN; co]);
            backward_weights_on(isa, &x, &dy, (n, h, w), padding, co, &mut gk, &mut gb);
            assert_close(&what, &gk, &dk);
            assert_close(&what, &gb, &db);
        }
    }
}

#[test]
fn the_plain_gradients_agree_with_finite_differences() {
    BOTH.into_iter().for_each(gradients_agree_with_differences);
}

fn gradients_agree_with_differences(padding: Padding) {
    let (shape, co) = ((2, 4, 5), 3);
    let [x, mut k, mut b, g] =
        [(1, 120), (2, 27 * co), (3, co), (4, 12 * co)].map(|(key, len)| wide(&random(key, len)));
    let (dk, db) = reference::backward_weights(&x, &g, shape, padding, co);
    let e = 1e-5;
    for (which, gradient) in [dk, db].iter().enumerate() {
        for (i, expected) in gradient.iter().enumerate() {
            let mut at = |d: f64| {
                [&mut k, &mut b][which][i] += d;
                let y = reference::forward(&x, shape, padding, &k, &b);
                y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
            };
            let difference = (at(e) - at(-2.0 * e)) / (2.0 * e);
            at(e);
            assert!((difference - expected).abs() < 1e-8, "{which} {i}: {difference} {expected}");
        }
    }
}
