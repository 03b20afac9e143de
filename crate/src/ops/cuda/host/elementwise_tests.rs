//! What works number by number, mostly to the processor's bits.

use super::super::calls::*;
use super::on_emulator;
use crate::random::Rng;
use transfer_kernels::optimizer::update as update_here;
use transfer_kernels::optimizer::UpdateRule;
use transfer_kernels::testing::{assert_close, random};
use transfer_kernels::{pooling, relu6_backward as relu6_backward_here, Activation};

const LENGTHS: [usize; 6] = [1, 4, 7, 1280, 1283, 4096];

#[test]
fn an_epilogue_adds_bias_and_residual_and_clamps() {
    let sizes = [(5, 8), (33, 7), (1, 1), (300, 4), (3, 320), (0, 4)];
    let inputs = |rows, c| -> [Vec<f32>; 3] {
        [(1, rows * c), (2, c), (3, rows * c)]
            .map(|(key, len)| random(key, len).iter().map(|v| v * 4.0).collect())
    };
    let cases = [(false, Activation::Relu6), (false, Activation::Linear), (true, Activation::Linear)];
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for (rows, c) in sizes {
            for (with_residual, act) in cases {
                let [y, bias, residual] = inputs(rows, c).map(|v| card.floats(&v));
                card.launch(bias_epilogue(y, bias, with_residual.then_some(residual), act, rows, c));
                results.push(card.read(y));
            }
        }
        results
    });
    let mut results = results.into_iter().flatten();
    for (rows, c) in sizes {
        let [y, bias, residual] = inputs(rows, c);
        for (with_residual, act) in cases {
            let Some(result) = results.next() else { return };
            for i in 0..rows * c {
                let sum = y[i] + bias[i % c] + if with_residual { residual[i] } else { 0.0 };
                let expected = if act == Activation::Relu6 { sum.clamp(0.0, 6.0) } else { sum };
                assert_eq!(result[i], expected, "{rows} {c} at {i}");
            }
        }
    }
}

#[test]
fn relu6_passes_its_gradient_where_its_input_lay_strictly_between_0_and_6() {
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for (rows, c) in [(50, 4), (50, 7)] {
            // Steps of a half meet both borders exactly.
            let y: Vec<f32> = (0..rows * c).map(|i| (i % 17) as f32 * 0.5 - 1.0).collect();
            let bias: Vec<f32> = (0..c).map(|i| i as f32 * 0.5 - 1.0).collect();
            let (y, bias) = (card.floats(&y), card.floats(&bias));
            for bias in [None, Some(bias)] {
                let dy = card.floats(&random(1, rows * c));
                card.launch(relu6_backward(y, bias, dy, rows, c));
                results.push(card.read(dy));
            }
        }
        results
    });
    let mut results = results.into_iter().flatten();
    for (rows, c) in [(50, 4), (50, 7)] {
        for with_bias in [false, true] {
            let Some(result) = results.next() else { return };
            let input = |i: usize| {
                let bias = if with_bias { (i % c) as f32 * 0.5 - 1.0 } else { 0.0 };
                (i % 17) as f32 * 0.5 - 1.0 + bias
            };
            let input: Vec<f32> = (0..rows * c).map(input).collect();
            let mut expected = random(1, rows * c);
            relu6_backward_here(&input, &mut expected);
            assert_eq!(result, expected);
        }
    }
}

#[test]
fn sums_and_products_are_number_by_number() {
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for len in LENGTHS {
            let [a, b] = [1, 2].map(|key| card.floats(&random(key, len)));
            let product = card.unwritten(len);
            let [into, added] = [3, 3].map(|key| card.floats(&random(key, len)));
            card.launch(add_into(a, into, len));
            card.launch(multiply(a, b, product, len));
            card.launch(multiply_add(a, b, added, len));
            results.extend([into, product, added].map(|b| card.read(b)));
        }
        results
    });
    let Some(results) = results else { return };
    for (len, results) in LENGTHS.into_iter().zip(results.chunks_exact(3)) {
        let [a, b, c] = [1, 2, 3].map(|key| random(key, len));
        for i in 0..len {
            let (a, b, c) = (a[i], b[i], c[i]);
            let expected = [c + a, a * b, c + a * b];
            let got: Vec<f32> = results.iter().map(|r| r[i]).collect();
            assert_eq!(got, expected, "{len} at {i}");
        }
    }
}

#[test]
fn the_mean_over_pixels_and_its_gradient_are_the_processors() {
    let sizes = [(3, 25, 64), (2, 4, 3), (1, 1, 4), (5, 49, 7)];
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for (n, pixels, c) in sizes {
            let x = card.floats(&random(1, n * pixels * c));
            let (y, dy) = (card.unwritten(n * c), card.floats(&random(2, n * c)));
            let dx = card.floats(&random(3, n * pixels * c));
            card.launch(pool_forward(x, y, n, pixels, c));
            card.launch(pool_backward(dy, dx, n, pixels, c));
            results.extend([card.read(y), card.read(dx)]);
        }
        results
    });
    let Some(results) = results else { return };
    for ((n, pixels, c), results) in sizes.into_iter().zip(results.chunks_exact(2)) {
        let mut y = vec![0.0; n * c];
        pooling::average(&random(1, n * pixels * c), pixels, c, &mut y);
        let mut dx = random(3, n * pixels * c);
        pooling::spread(&random(2, n * c), pixels, c, &mut dx);
        assert_eq!(results, [y, dx], "{n} {pixels} {c}");
    }
}

#[test]
fn an_optimizers_steps_have_the_bits_of_the_processors() {
    let rules = [
        UpdateRule::Adam { rate: 3e-4, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 },
        UpdateRule::RmsProp { rate: 1e-3, rho: 0.9, epsilon: 1e-7 },
    ];
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for len in LENGTHS {
            for rule in rules {
                let w = card.floats(&random(1, len));
                let [m, v] = [0, 1].map(|_| card.floats(&vec![0.0; len]));
                for step in 0..3 {
                    let g = card.floats(&random(10 + step, len));
                    card.launch(update(rule, w, g, Some(m), v, len));
                }
                results.extend([w, m, v].map(|b| card.read(b)));
            }
        }
        results
    });
    let Some(results) = results else { return };
    let mut results = results.chunks_exact(3);
    for (len, rule) in LENGTHS.into_iter().flat_map(|len| rules.map(|rule| (len, rule))) {
        let (mut w, mut m, mut v) = (random(1, len), vec![0.0; len], vec![0.0; len]);
        for step in 0..3 {
            update_here(rule, &mut w, &random(10 + step, len), Some(&mut m), &mut v);
        }
        assert_eq!(results.next().unwrap(), [w, m, v], "{rule:?}, {len}");
    }
    let adam = UpdateRule::Adam { rate: 1.0, beta_1: 0.9, beta_2: 0.9, epsilon: 1e-7 };
    assert!(update(adam, 0, 1, None, 2, 8).is_err(), "Adam without a first moment");
}

#[test]
fn all_variables_at_once_are_updated_as_one_by_one() {
    // Pieces of all kinds: whole, the last of several, odd lengths, none.
    let lens = [PIECE, PIECE + 4, 3 * PIECE - 8, 7, PIECE + 1, 1];
    let rates = [3e-4f32, 0.0, 1e-3];
    let rules = |rate| {
        [
            UpdateRule::Adam { rate, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 },
            UpdateRule::RmsProp { rate, rho: 0.9, epsilon: 1e-7 },
        ]
    };
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for rule in rules(f32::NAN) {
            let rates = card.floats(&rates);
            let variables: Vec<_> = lens
                .iter()
                .map(|&len| {
                    [random(1, len), random(2, len), vec![0.0; len], vec![0.0; len]].map(|v| card.floats(&v))
                })
                .collect();
            let pieces: usize = lens.iter().map(|len| len.div_ceil(PIECE)).sum();
            let table = card.bytes(&vec![0; pieces * 6 * 8]);
            let mut row = 0;
            for (i, (buffers, len)) in variables.iter().zip(lens).enumerate() {
                for start in (0..len).step_by(PIECE) {
                    for (column, &buffer) in buffers.iter().enumerate() {
                        card.write_address(table, row * 6 + column, buffer, 4 * start);
                    }
                    card.write_number(table, row * 6 + 4, (len - start).min(PIECE) as u64);
                    card.write_number(table, row * 6 + 5, (i % 3) as u64);
                    row += 1;
                }
            }
            (0..2).for_each(|_| card.launch(update_all(rule, table, rates, pieces)));
            results.extend(variables.iter().flat_map(|[w, _, m, v]| [*w, *m, *v]).map(|b| card.read(b)));
        }
        results
    });
    let Some(results) = results else { return };
    let mut results = results.chunks_exact(3);
    for kind in 0..2 {
        for (i, &len) in lens.iter().enumerate() {
            let rule = rules(rates[i % 3])[kind];
            let (mut w, mut m, mut v) = (random(1, len), vec![0.0; len], vec![0.0; len]);
            (0..2).for_each(|_| update_here(rule, &mut w, &random(2, len), Some(&mut m), &mut v));
            assert_eq!(results.next().unwrap(), [w, m, v], "{rule:?}, {len}");
        }
    }
}

#[test]
fn dropout_by_keys_has_the_processors_factors() {
    let (n, rate) = (3, 0.3f32);
    let keys: Vec<Rng> = (0..n as u64).map(|i| Rng::new(&[5, i])).collect();
    let bytes: Vec<u8> = keys.iter().flat_map(|key| key.state().to_le_bytes()).collect();
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for c in [8, 7, 1280] {
            let (x, keys) = (card.floats(&random(1, n * c)), card.bytes(&bytes));
            let (y, dx) = (card.unwritten(n * c), card.floats(&random(2, n * c)));
            card.launch(dropout(x, keys, rate, y, n, c));
            card.launch(dropout_backward(x, keys, rate, dx, n, c));
            results.extend([y, dx].map(|b| card.read(b)));
        }
        results
    });
    let Some(results) = results else { return };
    for (c, results) in [8, 7, 1280].into_iter().zip(results.chunks_exact(2)) {
        let keep = 1.0 / (1.0 - rate);
        let factors: Vec<f32> = keys
            .iter()
            .flat_map(|key| {
                let mut rng = key.clone();
                (0..c).map(|_| if rng.uniform() < rate { 0.0 } else { keep }).collect::<Vec<_>>()
            })
            .collect();
        let (x, before) = (random(1, n * c), random(2, n * c));
        let y: Vec<f32> = x.iter().zip(&factors).map(|(x, f)| x * f).collect();
        let dx: Vec<f32> = before.iter().zip(&y).map(|(dx, y)| dx + y).collect();
        assert_eq!(results, [y, dx], "{c}");
        let dropped = factors.iter().filter(|&&f| f == 0.0).count();
        assert!(
            c < 100 || (0.25..0.35).contains(&(dropped as f32 / (n * c) as f32)),
            "{dropped} of {}",
            n * c
        );
    }
}

#[test]
fn a_dense_layer_of_few_units_and_its_gradients_are_plain_sums() {
    let cases = [(3, 1, 1280, 1), (5, 4, 7, 5), (1, 25, 260, 16), (2, 1, 1, 1)];
    let (rate, keys) = (0.4f32, |n: usize| (0..n as u64).map(|i| Rng::new(&[8, i])).collect::<Vec<_>>());
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for (n, pixels, c, units) in cases {
            let bytes: Vec<u8> = keys(n).iter().flat_map(|key| key.state().to_le_bytes()).collect();
            let [x, w, b] =
                [random(1, n * pixels * c), random(2, c * units), random(3, units)].map(|v| card.floats(&v));
            let keys = card.bytes(&bytes);
            for keys in [None, Some(keys)] {
                let (features, y) = (card.unwritten(n * c), card.unwritten(n * units));
                card.launch(head_forward(x, keys, rate, [w, b], features, y, (n, pixels, c), units));
                let again = card.unwritten(n * units);
                card.launch(dense_forward(features, w, b, again, (n, c, units)));
                let dy = card.floats(&random(4, n * units));
                let (d_kernel, d_bias) = (card.unwritten(c * units), card.unwritten(units));
                card.launch(dense_backward(features, dy, [d_kernel, d_bias], (n, c, units)));
                let dx = card.floats(&vec![1.0; n * c]);
                card.launch(dense_backward_input(dy, w, dx, (n, c, units)));
                results.extend([features, y, again, d_kernel, d_bias, dx].map(|b| card.read(b)));
            }
        }
        results
    });
    let Some(results) = results else { return };
    let mut results = results.chunks_exact(6);
    for (n, pixels, c, units) in cases {
        for dropping in [false, true] {
            let [features, y, again, d_kernel, d_bias, dx] = results.next().unwrap() else { panic!() };
            let (x, w, b, dy) =
                (random(1, n * pixels * c), random(2, c * units), random(3, units), random(4, n * units));
            let mut expected = vec![0.0; n * c];
            pooling::average(&x, pixels, c, &mut expected);
            if dropping {
                for (row, mut key) in expected.chunks_mut(c).zip(keys(n)) {
                    row.iter_mut()
                        .for_each(|v| *v *= if key.uniform() < rate { 0.0 } else { 1.0 / (1.0 - rate) });
                }
            }
            assert_eq!(features, &expected);
            assert_eq!(y, again);
            let f = |i: usize| f64::from(features[i]);
            let sums = |count: usize, of: &dyn Fn(usize) -> f64| (0..count).map(of).collect::<Vec<f64>>();
            let logits = sums(n * units, &|i| {
                let products = (0..c).map(|k| f(i / units * c + k) * f64::from(w[k * units + i % units]));
                products.sum::<f64>() + f64::from(b[i % units])
            });
            assert_close("logits", y, &logits, 1e-5);
            let g = |image: usize, unit: usize| f64::from(dy[image * units + unit]);
            let kernel = sums(c * units, &|i| (0..n).map(|m| f(m * c + i / units) * g(m, i % units)).sum());
            assert_close("kernel", d_kernel, &kernel, 1e-5);
            assert_close("bias", d_bias, &sums(units, &|u| (0..n).map(|m| g(m, u)).sum()), 1e-5);
            let input = sums(n * c, &|i| {
                1.0 + (0..units).map(|u| g(i / c, u) * f64::from(w[i % c * units + u])).sum::<f64>()
            });
            assert_close("input", dx, &input, 1e-5);
        }
    }
}

#[test]
fn tensors_that_32_bits_cannot_count_are_refused_with_a_hint() {
    let error = bias_epilogue(0, 1, None, Activation::Linear, 1 << 20, 1 << 12).unwrap_err().to_string();
    assert!(error.contains("smaller") && error.contains("4294967296"), "{error}");
    assert!(bias_epilogue(0, 1, None, Activation::Linear, 1 << 20, 1 << 10).is_ok());
}
