//! The convolutions' kernels against the plain loops.

use super::super::calls::*;
use super::{on_emulator, Emulator};
use transfer_kernels::conv3x3::reference as first;
use transfer_kernels::depthwise::reference;
use transfer_kernels::testing::{assert_close, random, wide};
use transfer_kernels::{Activation, DepthwiseShape, Padding};

/// Relative to the largest expected number.
const FORWARD: f64 = 1e-5;
const BACKWARD: f64 = 1e-4;

/// Every combination of small sizes, with one and with four channels at a time, and more rows than one
/// round of a block.
fn shapes() -> Vec<DepthwiseShape> {
    let mut shapes = Vec::new();
    for side in [3, 5] {
        let shape = |n, h, w, c, stride| DepthwiseShape { n, h, w, c, stride, side, padding: Padding::Same };
        shapes.extend([
            shape(2, 10, 10, 64, 1),
            shape(2, 10, 10, 36, 2),
            shape(9, 9, 11, 8, 2),
            shape(700, 3, 2, 4, 1),
        ]);
        for (h, w) in (1..=7).flat_map(|h| (1..=9).map(move |w| (h, w))) {
            let of = |stride| shape(1, h, w, [1, 4, 7, 12][(h + w) % 4], stride);
            // At stride 1 both kinds of padding are the same.
            shapes.extend([of(1), of(2), DepthwiseShape { padding: Padding::Symmetric, ..of(2) }]);
        }
    }
    shapes
}

fn clamped(sums: &[f64]) -> Vec<f64> {
    sums.iter().map(|v| v.clamp(0.0, 6.0)).collect()
}

/// `relu6(z + bias)`, with every number well away from the borders, where rounding would decide.
fn activated(z: &[f32], bias: &[f32]) -> Vec<f32> {
    z.iter().enumerate().map(|(i, z)| (z + bias[i % bias.len()]).clamp(0.0, 6.0)).collect()
}

fn lengths(s: DepthwiseShape) -> (usize, usize) {
    (s.n * s.h * s.w * s.c, s.n * s.out_h() * s.out_w() * s.c)
}

#[test]
fn the_depthwise_convolution_is_that_of_the_plain_loops() {
    let shapes = shapes();
    let inputs = |s: DepthwiseShape| {
        let z: Vec<f32> = random(1, lengths(s).0).iter().map(|v| v * 8.0).collect();
        (z, random(2, s.c), random(3, s.side * s.side * s.c), random(4, s.c))
    };
    let results = on_emulator(|card: &mut Emulator| {
        let mut results = Vec::new();
        for &s in &shapes {
            let (z, b_in, k, b) = inputs(s);
            let [z, b_in, k, b] = [z, b_in, k, b].map(|v| card.floats(&v));
            for (b_in, act) in
                [(None, Activation::Linear), (None, Activation::Relu6), (Some(b_in), Activation::Linear)]
            {
                let y = card.unwritten(lengths(s).1);
                card.launch(depthwise_forward(z, b_in, k, b, act, y, &s));
                results.push(card.read(y));
            }
        }
        results
    });
    let Some(results) = results else { return };
    for (&s, results) in shapes.iter().zip(results.chunks_exact(3)) {
        let (z, b_in, k, b) = inputs(s);
        let sums = reference::forward(&wide(&z), s, &wide(&k), &wide(&b));
        assert_close(&format!("{s:?}"), &results[0], &sums, FORWARD);
        assert_close(&format!("{s:?}, ReLU6"), &results[1], &clamped(&sums), FORWARD);
        let sums = reference::forward(&wide(&activated(&z, &b_in)), s, &wide(&k), &wide(&b));
        assert_close(&format!("{s:?}, behind a bias and ReLU6"), &results[2], &sums, FORWARD);
    }
}

#[test]
fn the_depthwise_gradient_by_the_input_is_that_of_the_plain_loops() {
    let shapes = shapes();
    let inputs = |s: DepthwiseShape| {
        let (input, output) = lengths(s);
        let mask: Vec<f32> = random(4, input).iter().map(|v| v * 5.0 + 3.0).collect();
        (random(1, output), random(2, s.side * s.side * s.c), mask, random(5, s.c), random(6, input))
    };
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for &s in &shapes {
            let (dy, k, mask, bias, sum) = inputs(s);
            let [dy, k, mask, bias] = [dy, k, mask, bias].map(|v| card.floats(&v));
            for (mask, bias) in [(None, None), (Some(mask), None), (Some(mask), Some(bias))] {
                let dx = card.unwritten(lengths(s).0);
                card.launch(depthwise_backward_input(dy, k, mask, bias, false, dx, &s));
                results.push(card.read(dx));
            }
            let dx = card.floats(&sum);
            card.launch(depthwise_backward_input(dy, k, None, None, true, dx, &s));
            results.push(card.read(dx));
        }
        results
    });
    let Some(results) = results else { return };
    for (&s, results) in shapes.iter().zip(results.chunks_exact(4)) {
        let (dy, k, mask, bias, sum) = inputs(s);
        let dx = reference::backward_input(&wide(&dy), s, &wide(&k));
        let masked = |mask: &[f32]| -> Vec<f64> {
            dx.iter().zip(mask).map(|(d, &m)| if m > 0.0 && m < 6.0 { *d } else { 0.0 }).collect()
        };
        let shifted: Vec<f32> = mask.iter().enumerate().map(|(i, m)| m + bias[i % s.c]).collect();
        assert_close(&format!("{s:?}"), &results[0], &dx, BACKWARD);
        assert_close(&format!("{s:?}, masked"), &results[1], &masked(&mask), BACKWARD);
        assert_close(&format!("{s:?}, masked behind a bias"), &results[2], &masked(&shifted), BACKWARD);
        let sums: Vec<f64> = dx.iter().zip(&sum).map(|(d, &s)| d + f64::from(s)).collect();
        assert_close(&format!("{s:?}, added"), &results[3], &sums, BACKWARD);
    }
}

#[test]
fn the_depthwise_gradients_by_kernel_and_bias_are_those_of_the_plain_loops() {
    let shapes = shapes();
    let inputs = |s: DepthwiseShape| {
        let z: Vec<f32> = random(1, lengths(s).0).iter().map(|v| v * 8.0).collect();
        (z, random(2, s.c), random(3, lengths(s).1))
    };
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for &s in &shapes {
            let (z, bias, dy) = inputs(s);
            let [z, bias, dy] = [z, bias, dy].map(|v| card.floats(&v));
            for bias in [None, Some(bias)] {
                let partition = depthwise_partition(&s);
                let partials = card.unwritten(partition.len());
                card.launch(depthwise_backward_weights(z, bias, dy, partials, &s));
                let (dk, db) = (card.unwritten(s.side * s.side * s.c), card.floats(&vec![1.0; s.c]));
                card.launch(sum_partials(partials, partition, 0..s.side * s.side * s.c, false, dk));
                card.launch(sum_partials(
                    partials,
                    partition,
                    s.side * s.side * s.c..(s.side * s.side + 1) * s.c,
                    true,
                    db,
                ));
                results.extend([card.read(dk), card.read(db)]);
            }
        }
        results
    });
    let Some(results) = results else { return };
    for (&s, results) in shapes.iter().zip(results.chunks_exact(4)) {
        let (z, bias, dy) = inputs(s);
        for (x, results) in [z.clone(), activated(&z, &bias)].iter().zip(results.chunks_exact(2)) {
            let (dk, db) = reference::backward_weights(&wide(x), &wide(&dy), s);
            assert_close(&format!("{s:?}, taps"), &results[0], &dk, BACKWARD);
            let db: Vec<f64> = db.iter().map(|b| b + 1.0).collect();
            assert_close(&format!("{s:?}, bias"), &results[1], &db, BACKWARD);
        }
    }
}

#[test]
fn the_first_convolution_and_its_gradients_are_those_of_the_plain_loops() {
    let mut shapes = vec![(2, 12, 40, 32), (5, 3, 2, 8), (3, 9, 9, 36)];
    shapes.extend((0..49).map(|i| (1, 1 + i / 7, 1 + i % 7, [1, 7, 16, 32][i % 4])));
    let both = |shape| [Padding::Same, Padding::Symmetric].map(|padding| (shape, padding));
    let shapes: Vec<_> = shapes.into_iter().flat_map(both).collect();
    let inputs = |(n, h, w, co): (usize, usize, usize, usize)| {
        let outputs = n * h.div_ceil(2) * w.div_ceil(2) * co;
        (random(1, n * h * w * 3), random(2, 27 * co), random(3, co), random(4, outputs))
    };
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for &((n, h, w, co), padding) in &shapes {
            let (x, k, b, dy) = inputs((n, h, w, co));
            let len = dy.len();
            let [x, k, b, dy] = [x, k, b, dy].map(|v| card.floats(&v));
            for act in [Activation::Linear, Activation::Relu6] {
                let y = card.unwritten(len);
                card.launch(first_forward(x, k, b, act, y, (n, h, w), padding, co));
                results.push(card.read(y));
            }
            let partition = first_partition((n, h, w), co);
            let (partials, sums) = (card.unwritten(partition.len()), card.unwritten(28 * co));
            card.launch(first_backward_weights(x, dy, partials, (n, h, w), padding, co));
            card.launch(sum_partials(partials, partition, 0..28 * co, false, sums));
            results.push(card.read(sums));
        }
        results
    });
    let Some(results) = results else { return };
    for (&((n, h, w, co), padding), results) in shapes.iter().zip(results.chunks_exact(3)) {
        let what = format!("{n} {h} {w} {co} {padding:?}");
        let (x, k, b, dy) = inputs((n, h, w, co));
        let sums = first::forward(&wide(&x), (n, h, w), padding, &wide(&k), &wide(&b));
        assert_close(&what, &results[0], &sums, FORWARD);
        assert_close(&what, &results[1], &clamped(&sums), FORWARD);
        let (dk, db) = first::backward_weights(&wide(&x), &wide(&dy), (n, h, w), padding, co);
        assert_close(&format!("{what}, taps"), &results[2][..27 * co], &dk, BACKWARD);
        assert_close(&format!("{what}, bias"), &results[2][27 * co..], &db, BACKWARD);
    }
}
