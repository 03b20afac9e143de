//! The convolutions that do several things at once, against plain loops in f64 over the numbers that they are given.

use super::super::calls::*;
use super::emulator::Buffer;
use super::emulator::Emulator;
use super::on_emulator;
use transfer_kernels::testing::random;
use transfer_kernels::{Activation, BlockShape, Padding};

const ALL: [Numbers; 3] = [Numbers::F32, Numbers::Tf32, Numbers::Bf16];

/// bfloat16 bits, to the nearest, ties to even.
fn bf16(v: f32) -> u16 {
    half::bf16::from_f32(v).to_bits()
}

/// `v` as it is stored and multiplied.
fn stored(numbers: Numbers, v: f32) -> f32 {
    match numbers {
        Numbers::Bf16 => half::bf16::from_f32(v).to_f32(),
        Numbers::F32 | Numbers::Tf32 => v,
    }
}

/// `v` as the tensor cores see it.
fn factor(numbers: Numbers, v: f32) -> f64 {
    match numbers {
        Numbers::F32 => f64::from(v),
        Numbers::Tf32 | Numbers::Bf16 => f64::from(f32::from_bits((v.to_bits() + 0x1000) & 0xffff_e000)),
    }
}

fn put(card: &mut Emulator, numbers: Numbers, values: &[f32]) -> Buffer {
    match numbers {
        Numbers::Bf16 => {
            let bytes: Vec<u8> = values.iter().flat_map(|v| bf16(*v).to_le_bytes()).collect();
            card.bytes(&bytes)
        }
        Numbers::F32 | Numbers::Tf32 => card.floats(values),
    }
}

/// Room for as many numbers, all NaN.
fn room(card: &mut Emulator, numbers: Numbers, len: usize) -> Buffer {
    put(card, numbers, &vec![f32::NAN; len])
}

fn get(card: &mut Emulator, numbers: Numbers, buffer: Buffer, len: usize) -> Vec<f32> {
    match numbers {
        Numbers::Bf16 => {
            let words =
                card.read(buffer).into_iter().flat_map(|v| [v.to_bits() as u16, (v.to_bits() >> 16) as u16]);
            words.map(|bits| half::bf16::from_bits(bits).to_f32()).take(len).collect()
        }
        Numbers::F32 | Numbers::Tf32 => card.read(buffer),
    }
}

#[track_caller]
fn assert_near(what: &str, ours: &[f32], expected: &[f64], limit: f64) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(expected).enumerate() {
        let near = (f64::from(*a) - b).abs() <= limit * largest;
        assert!(near, "{what} at {i}: {a}, expected {b}");
    }
}

/// How far a result may be off: its own rounding, and that of a sum of so many products in f32, which grows as a random
/// walk does.
fn limit(result: Numbers, depth: usize) -> f64 {
    match result {
        Numbers::Bf16 => 4e-3,
        Numbers::F32 | Numbers::Tf32 => 5e-7 * (depth.max(4) as f64).sqrt(),
    }
}

#[test]
fn a_pointwise_convolution_has_its_bias_residual_and_activation() {
    // Whole tiles and rests, in rows, depth and columns.
    let sizes = [
        (64, 32, 64),
        (65, 36, 24),
        (3, 4, 4),
        (130, 100, 68),
        (64, 16, 32),
        (200, 96, 132),
        (70, 264, 68),
        (5, 300, 40),
    ];
    let cases = [
        (false, false, Activation::Linear),
        (true, false, Activation::Relu6),
        (true, true, Activation::Linear),
    ];
    let inputs = |(rows, ci, co): (usize, usize, usize)| {
        let scaled = |key, len| random(key, len).into_iter().map(|v| 2.0 * v).collect::<Vec<f32>>();
        (scaled(1, rows * ci), scaled(2, ci * co), scaled(3, co), scaled(4, rows * co))
    };
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for numbers in ALL {
            for float_result in [false, true] {
                for size in sizes {
                    let (x, w, bias, residual) = inputs(size);
                    let (rows, _, co) = size;
                    let (x, w) = (put(card, numbers, &x), card.floats(&w));
                    let (bias, residual) = (card.floats(&bias), put(card, numbers, &residual));
                    let to = if float_result { Numbers::F32 } else { numbers };
                    for (with_bias, with_residual, act) in cases {
                        let y = room(card, to, rows * co);
                        let (b, r) = (with_bias.then_some(bias), with_residual.then_some(residual));
                        card.launch(pointwise(numbers, float_result, x, w, b, r, act, y, size));
                        results.push(get(card, to, y, rows * co));
                    }
                }
            }
        }
        results
    });
    let Some(results) = results else { return };
    let mut results = results.iter();
    for numbers in ALL {
        for float_result in [false, true] {
            for size @ (rows, ci, co) in sizes {
                let (x, w, bias, residual) = inputs(size);
                for (with_bias, with_residual, act) in cases {
                    let expected: Vec<f64> = (0..rows * co)
                        .map(|i| {
                            let (row, column) = (i / co, i % co);
                            let products = (0..ci).map(|k| {
                                factor(numbers, stored(numbers, x[row * ci + k]))
                                    * factor(numbers, w[k * co + column])
                            });
                            let mut sum: f64 = products.sum();
                            if with_bias {
                                sum += f64::from(bias[column]);
                            }
                            if with_residual {
                                sum += f64::from(stored(numbers, residual[i]));
                            }
                            if act == Activation::Relu6 {
                                sum.clamp(0.0, 6.0)
                            } else {
                                sum
                            }
                        })
                        .collect();
                    let to = if float_result { Numbers::F32 } else { numbers };
                    let what = format!("{numbers:?} to {to:?}, {size:?}, {act:?}");
                    assert_near(&what, results.next().unwrap(), &expected, limit(to, ci));
                }
            }
        }
    }
}

/// The expansion and the depthwise convolution behind it.
fn plainly(numbers: Numbers, n: usize, s: &BlockShape, v: &[Vec<f32>; 5]) -> Vec<f64> {
    let [x, w1, b1, w2, b2] = v;
    let c = s.expanded;
    let expand = |pixel: usize, channel: usize| {
        let products = (0..s.ci).map(|k| {
            factor(numbers, stored(numbers, x[pixel * s.ci + k])) * factor(numbers, w1[k * c + channel])
        });
        (products.sum::<f64>() + f64::from(b1[channel])).clamp(0.0, 6.0)
    };
    let (top, left) = (s.depthwise(n).pad_top(), s.depthwise(n).pad_left());
    let mut y = Vec::new();
    for i in 0..n {
        for (oy, ox) in (0..s.out_h()).flat_map(|oy| (0..s.out_w()).map(move |ox| (oy, ox))) {
            for channel in 0..c {
                let mut sum = f64::from(b2[channel]);
                for tap in 0..s.side * s.side {
                    let (iy, ix) = (oy * s.stride + tap / s.side, ox * s.stride + tap % s.side);
                    let (iy, ix) = (iy.wrapping_sub(top), ix.wrapping_sub(left));
                    if iy < s.h && ix < s.w {
                        let pixel = (i * s.h + iy) * s.w + ix;
                        sum += expand(pixel, channel) * f64::from(w2[tap * c + channel]);
                    }
                }
                y.push(sum.clamp(0.0, 6.0));
            }
        }
    }
    y
}

#[test]
fn the_expansion_and_the_depthwise_convolution_are_one() {
    let shape = |h, w, ci, expanded, stride| {
        let (side, padding) = (3, Padding::Same);
        BlockShape { h, w, ci, expanded, co: 8, stride, side, padding, residual: false }
    };
    let five = |h, w, stride, padding| BlockShape { side: 5, padding, ..shape(h, w, 8, 48, stride) };
    let shapes = [
        // Several tiles of an image, whole images, several images of a tile, one pixel; odd sides.
        (2, shape(14, 14, 8, 48, 1)),
        (1, shape(24, 22, 16, 96, 2)),
        (7, shape(5, 5, 40, 68, 1)),
        (3, shape(10, 10, 4, 64, 2)),
        (2, shape(7, 9, 12, 72, 2)),
        (130, shape(1, 1, 4, 8, 1)),
        (2, five(14, 14, 1, Padding::Same)),
        (1, five(24, 22, 2, Padding::Same)),
        (6, five(4, 5, 1, Padding::Same)),
        (3, five(10, 8, 2, Padding::Symmetric)),
        (2, BlockShape { padding: Padding::Symmetric, ..shape(8, 10, 8, 48, 2) }),
    ];
    let inputs = |n: usize, s: &BlockShape| -> [Vec<f32>; 5] {
        let around = |key, len, scale: f32, shift: f32| -> Vec<f32> {
            random(key, len).into_iter().map(|v| v * scale + shift).collect()
        };
        [
            around(1, n * s.h * s.w * s.ci, 1.0, 0.0),
            around(2, s.ci * s.expanded, 1.0, 0.0),
            around(3, s.expanded, 1.0, 1.0),
            around(4, s.side * s.side * s.expanded, 0.5, 0.0),
            around(5, s.expanded, 0.5, 1.0),
        ]
    };
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for numbers in ALL {
            for (n, s) in &shapes {
                let [x, w1, b1, w2, b2] = inputs(*n, s);
                let x = put(card, numbers, &x);
                let [w1, b1, w2, b2] = [w1, b1, w2, b2].map(|v| card.floats(&v));
                let len = n * s.out_h() * s.out_w() * s.expanded;
                let y = room(card, numbers, len);
                card.launch(expand_depthwise(numbers, x, [w1, b1], [w2, b2], y, *n, s));
                results.push(get(card, numbers, y, len));
            }
        }
        results
    });
    let Some(results) = results else { return };
    let mut results = results.iter();
    for numbers in ALL {
        for (n, s) in &shapes {
            let expected = plainly(numbers, *n, s, &inputs(*n, s));
            assert_near(
                &format!("{numbers:?}, {s:?}"),
                results.next().unwrap(),
                &expected,
                limit(numbers, s.ci + s.side * s.side),
            );
        }
    }
}

#[test]
fn the_first_and_a_depthwise_convolution_are_stored_as_bfloat16() {
    let (n, h, w, c) = (2, 7, 12, 8);
    let results = on_emulator(|card| {
        let image = card.floats(&random(1, n * h * w * 3));
        let [k, bias] = [random(2, 27 * c), random(3, c)].map(|v| card.floats(&v));
        let sides = (n, h, w);
        let len = n * h.div_ceil(2) * w.div_ceil(2) * c;
        let (floats, halves) = (card.unwritten(len), room(card, Numbers::Bf16, len));
        let act = Activation::Relu6;
        card.launch(first_forward(image, k, bias, act, floats, sides, Padding::Same, c));
        let call = first_forward(image, k, bias, act, halves, sides, Padding::Same, c);
        card.launch(call.map(|call| stored_as(Numbers::Bf16, call)));
        let (h, w) = (h.div_ceil(2), w.div_ceil(2));
        let s = transfer_kernels::DepthwiseShape { n, h, w, c, stride: 2, side: 3, padding: Padding::Same };
        let out = s.n * s.out_h() * s.out_w() * c;
        let taps = card.floats(&random(4, 9 * c));
        let first = get(card, Numbers::Bf16, halves, len);
        let rounded = card.floats(&first);
        let (from_floats, from_halves) = (card.unwritten(out), room(card, Numbers::Bf16, out));
        card.launch(depthwise_forward(rounded, None, taps, bias, act, from_floats, &s));
        let call = depthwise_forward(halves, None, taps, bias, act, from_halves, &s);
        card.launch(call.map(|call| stored_as(Numbers::Bf16, call)));
        vec![card.read(floats), first, card.read(from_floats), get(card, Numbers::Bf16, from_halves, out)]
    });
    let Some(results) = results else { return };
    for pair in results.chunks_exact(2) {
        let expected: Vec<f32> = pair[0].iter().map(|v| stored(Numbers::Bf16, *v)).collect();
        assert_eq!(pair[1], expected);
        assert!(expected.iter().any(|v| *v > 0.0));
    }
}
