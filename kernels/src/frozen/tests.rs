//! The fused pass against the plain loops of its layers, one after the other.

use super::matrix::Arithmetic;
use super::{FoldedBlock, FoldedConv, FoldedUnit, FrozenPlan, FrozenSpec, Images};
use crate::bf16::{round, widen};
use crate::depthwise::{reference as depthwise, DepthwiseShape};
use crate::simd::Isa;
use crate::testing::bf16_units;
use crate::testing::wide;
use crate::testing::Rng;
use crate::Padding;
use crate::{conv3x3::reference as conv3x3, pointwise::reference as pointwise};

fn conv(rng: &mut Rng, taps: usize, co: usize) -> FoldedConv {
    let scale = (3.0 / taps as f32).sqrt() * 1.4;
    let w = (0..taps * co).map(|_| (rng.uniform() * 2.0 - 1.0) * scale).collect();
    FoldedConv { w, b: (0..co).map(|_| rng.uniform() * 0.4).collect() }
}

/// Blocks from (expanded, co, stride); no expansion where `expanded` equals the input's channels.
fn spec(input: (usize, usize), first: usize, blocks: &[(usize, usize, usize)], last: usize) -> FrozenSpec {
    let mut rng = Rng::new(&[input.0 as u64, input.1 as u64, first as u64]);
    let mut units = vec![FoldedUnit::FirstConvolution(conv(&mut rng, 27, first))];
    let mut ci = first;
    for &(expanded, co, stride) in blocks {
        units.push(FoldedUnit::InvertedResidual(FoldedBlock {
            ci,
            expanded,
            co,
            stride,
            side: 3,
            residual: stride == 1 && ci == co,
            expand: (expanded != ci).then(|| conv(&mut rng, ci, expanded)),
            depthwise: conv(&mut rng, 9, expanded),
            project: conv(&mut rng, expanded, co),
        }));
        ci = co;
    }
    if last > 0 {
        units.push(FoldedUnit::Pointwise(conv(&mut rng, ci, last)));
    }
    FrozenSpec { input, units, padding: Padding::Same, pool: false }
}

/// The same with 5x5 kernels in every block but the first, and another padding.
fn with_five(mut spec: FrozenSpec, padding: Padding) -> FrozenSpec {
    spec.padding = padding;
    let mut rng = Rng::new(&[25]);
    for unit in &mut spec.units[2..] {
        if let FoldedUnit::InvertedResidual(block) = unit {
            (block.side, block.depthwise) = (5, conv(&mut rng, 25, block.expanded));
        }
    }
    spec
}

fn clamp(x: Vec<f64>) -> Vec<f64> {
    x.into_iter().map(|x| x.clamp(0.0, 6.0)).collect()
}

/// `factor` is what becomes of the factors of pointwise convolutions.
fn plain(spec: &FrozenSpec, images: &[f32], n: usize, factor: fn(f64) -> f64) -> Vec<f64> {
    let point = |x: &[f64], c: &FoldedConv, ci: usize| {
        let factors = |x: &[f64]| x.iter().map(|&x| factor(x)).collect::<Vec<_>>();
        pointwise::forward(&factors(x), &factors(&wide(&c.w)), &wide(&c.b), (ci, c.b.len()))
    };
    let (mut h, mut w) = spec.input;
    let mut c = 3;
    let mut x = wide(images);
    for unit in &spec.units {
        match unit {
            FoldedUnit::FirstConvolution(first) => {
                x = clamp(conv3x3::forward(&x, (n, h, w), spec.padding, &wide(&first.w), &wide(&first.b)));
                (h, w, c) = (h.div_ceil(2), w.div_ceil(2), first.b.len());
            }
            FoldedUnit::InvertedResidual(b) => {
                let expanded = match &b.expand {
                    Some(e) => clamp(point(&x, e, b.ci)),
                    None => x.clone(),
                };
                let s = DepthwiseShape {
                    n,
                    h,
                    w,
                    c: b.expanded,
                    stride: b.stride,
                    side: b.side,
                    padding: spec.padding,
                };
                let d = depthwise::forward(&expanded, s, &wide(&b.depthwise.w), &wide(&b.depthwise.b));
                let mut y = point(&clamp(d), &b.project, b.expanded);
                if b.residual {
                    y.iter_mut().zip(&x).for_each(|(y, x)| *y += x);
                }
                (h, w, c, x) = (s.out_h(), s.out_w(), b.co, y);
            }
            FoldedUnit::Pointwise(conv) => {
                x = clamp(point(&x, conv, c));
                c = conv.b.len();
            }
        }
    }
    if spec.pool {
        let mean = |x: &[f64], i: usize| x.iter().skip(i).step_by(c).sum::<f64>() / (h * w) as f64;
        x = x.chunks(h * w * c).flat_map(|x| (0..c).map(|i| mean(x, i)).collect::<Vec<_>>()).collect();
    }
    x
}

fn images(n: usize, (h, w): (usize, usize)) -> Vec<f32> {
    let mut rng = Rng::new(&[7]);
    (0..n * h * w * 3).map(|_| rng.uniform() * 2.0 - 1.0).collect()
}

#[track_caller]
fn assert_matches(spec: &FrozenSpec, n: usize) {
    let x = images(n, spec.input);
    let expected = plain(spec, &x, n, |x| x);
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for isa in Isa::available() {
        let plan = FrozenPlan::new_on(Arithmetic { isa, bf16: None }, spec.clone()).unwrap();
        let (h, w, c) = plan.output_shape();
        let mut y = vec![f32::NAN; n * h * w * c];
        plan.run(&x, n, &mut y).unwrap();
        assert_eq!(y.len(), expected.len());
        for (i, (&y, e)) in y.iter().zip(&expected).enumerate() {
            let error = (f64::from(y) - e).abs();
            assert!(error <= 1e-5 * largest, "{} {plan:?}: at {i}: {y} for {e} ({largest})", isa.name());
        }
    }
}

/// MobileNetV2 as far as 160x160 pixels take it, with every kind of block.
const MOBILE: &[(usize, usize, usize)] = &[
    (32, 16, 1),
    (96, 24, 2),
    (144, 24, 1),
    (144, 32, 2),
    (192, 32, 1),
    (192, 64, 2),
    (384, 64, 1),
    (384, 96, 1),
    (576, 96, 1),
    (576, 160, 2),
    (960, 160, 1),
    (960, 320, 1),
];

#[test]
fn mobilenet_v2_is_computed_as_by_the_plain_loops() {
    assert_matches(&spec((160, 160), 32, MOBILE, 1280), 1);
    let mut pooled = spec((64, 96), 32, MOBILE, 1280);
    pooled.pool = true;
    assert_matches(&pooled, 3);
}

/// EfficientNet-Lite0 as far as it differs from MobileNetV2 in what a block is.
#[test]
fn blocks_of_5x5_and_symmetric_padding_are_computed_as_by_the_plain_loops() {
    const LITE: &[(usize, usize, usize)] = &[
        (32, 16, 1),
        (96, 24, 2),
        (144, 40, 2),
        (240, 40, 1),
        (240, 80, 2),
        (480, 112, 1),
        (672, 192, 2),
        (1152, 192, 1),
    ];
    for padding in [Padding::Same, Padding::Symmetric] {
        assert_matches(&with_five(spec((112, 96), 32, LITE, 128), padding), 1);
        let mut mobile = spec((66, 64), 32, MOBILE, 128);
        mobile.padding = padding;
        assert_matches(&mobile, 2);
        for (h, w) in [(1, 1), (2, 3), (5, 4), (7, 9), (16, 33), (45, 52)] {
            for n in [1, 2, 11] {
                let odd = spec((h, w), 7, &[(7, 9, 1), (20, 9, 1), (33, 40, 2), (41, 40, 1)], 0);
                assert_matches(&with_five(odd, padding), n);
            }
            assert_matches(&with_five(spec((h, w), 5, &[(18, 5, 1), (5, 5, 1), (5, 6, 2)], 19), padding), 3);
        }
    }
}

/// The largest error relative to the largest number, and the root mean square of all.
fn errors(y: &[f32], expected: &[f64]) -> (f64, f64) {
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let error = |(&y, e): (&f32, &f64)| (f64::from(y) - e).abs();
    let (mut worst, mut squares) = (0.0f64, 0.0);
    for pair in y.iter().zip(expected) {
        worst = worst.max(error(pair) / largest);
        squares += error(pair).powi(2);
    }
    (worst, (squares / expected.iter().map(|e| e * e).sum::<f64>()).sqrt())
}

#[test]
fn in_bfloat16_the_factors_of_pointwise_convolutions_are_rounded_and_nothing_else() {
    let units = bf16_units();
    let odd: &[_] = &[(7, 9, 1), (20, 9, 1), (33, 40, 2), (41, 40, 1)];
    for (input, first, blocks, last) in
        [((160, 160), 32, MOBILE, 1280), ((45, 51), 7, odd, 0), ((9, 5), 33, &[(33, 33, 1)][..], 19)]
    {
        let mut spec = spec(input, first, blocks, last);
        if last == 0 {
            spec = with_five(spec, Padding::Symmetric);
        }
        let x = images(3, input);
        let expected = plain(&spec, &x, 3, |x| f64::from(widen(round(x as f32))));
        let mut of_units = vec![];
        for &unit in &units {
            let with = Arithmetic { isa: Isa::Avx512, bf16: Some(unit) };
            let plan = FrozenPlan::new_on(with, spec.clone()).unwrap();
            let mut y = vec![f32::NAN; expected.len()];
            plan.run(&x, 3, &mut y).unwrap();
            let (worst, rms) = errors(&y, &expected);
            // Not 1e-5: where an f32 lies close to the middle of two bfloat16, the sums' order decides,
            // and each block carries that on. Rounding a wrong factor, or one too many, shows in the
            // shallow networks.
            let most = if last == 1280 { (0.15, 0.03) } else { (0.02, 0.004) };
            assert!(worst < most.0 && rms < most.1, "{unit:?} {input:?}: {worst}, rms {rms}");
            let (len, n) = (y.len() / 3, x.len() / 3);
            for (x, expected) in x.chunks_exact(n).zip(y.chunks_exact(len)) {
                let mut alone = vec![0.0; len];
                plan.run(x, 1, &mut alone).unwrap();
                assert_eq!(alone, expected, "alone and among others");
            }
            of_units.push(y);
        }
        if let [a, b] = &of_units[..] {
            let wide: Vec<f64> = b.iter().map(|&b| f64::from(b)).collect();
            let (worst, _) = errors(a, &wide);
            assert!(worst < 0.15, "the units differ by {worst}");
        }
    }
}

#[test]
fn odd_sizes_and_channels_are_computed_as_by_the_plain_loops() {
    for (h, w) in [(1, 1), (2, 3), (5, 4), (7, 9), (16, 33), (45, 51)] {
        for n in [1, 2, 11] {
            assert_matches(&spec((h, w), 7, &[(7, 9, 1), (20, 9, 1), (33, 40, 2), (41, 40, 1)], 0), n);
        }
        assert_matches(&spec((h, w), 5, &[(18, 5, 1), (5, 5, 1), (5, 6, 2)], 19), 3);
        assert_matches(&spec((h, w), 33, &[(33, 33, 1)], 0), 2);
        assert_matches(&spec((h, w), 33, &[], 5), 2);
        assert_matches(&spec((h, w), 3, &[], 0), 2);
    }
}

#[test]
#[cfg(target_arch = "aarch64")]
fn neon_has_the_bits_of_the_portable_form() {
    let spec = spec((50, 34), 32, MOBILE, 1280);
    let x = images(2, spec.input);
    let [neon, portable] = [Isa::Neon, Isa::Portable].map(|isa| {
        let plan = FrozenPlan::new_on(Arithmetic { isa, bf16: None }, spec.clone()).unwrap();
        let (h, w, c) = plan.output_shape();
        let mut y = vec![f32::NAN; 2 * h * w * c];
        plan.run(&x, 2, &mut y).unwrap();
        y
    });
    assert_eq!(neon, portable);
}

#[test]
fn an_image_gets_the_same_bits_alone_and_among_others() {
    let spec = spec((50, 34), 32, MOBILE, 1280);
    for isa in Isa::available() {
        let plan = FrozenPlan::new_on(Arithmetic { isa, bf16: None }, spec.clone()).unwrap();
        let (h, w, c) = plan.output_shape();
        let (len, x) = (h * w * c, images(19, spec.input));
        let mut all = vec![0.0; 19 * len];
        plan.run(&x, 19, &mut all).unwrap();
        for (x, expected) in x.chunks_exact(x.len() / 19).zip(all.chunks_exact(len)).take(3) {
            let mut y = vec![0.0; len];
            plan.run(x, 1, &mut y).unwrap();
            assert_eq!(y, expected);
        }
        let each = x.len() / 19;
        let write = |i: usize, image: &mut [f32]| image.copy_from_slice(&x[i * each..][..each]);
        for n in [1, 2, 19] {
            let mut y = vec![f32::NAN; n * len];
            plan.run_on(Images::Written(&write), n, &mut y).unwrap();
            assert_eq!(y, all[..n * len], "{n} images, each written when it is needed");
        }
        assert_eq!(*Images::Written(&write).in_memory(19, each), x[..]);
    }
}

#[test]
fn pointwise_convolutions_may_stand_anywhere() {
    for pool in [false, true] {
        let mut spec = spec((21, 18), 8, &[(8, 8, 1), (40, 12, 2), (30, 12, 1)], 24);
        spec.pool = pool;
        let mut rng = Rng::new(&[3]);
        spec.units.insert(3, FoldedUnit::Pointwise(conv(&mut rng, 12, 12)));
        spec.units.insert(1, FoldedUnit::Pointwise(conv(&mut rng, 8, 8)));
        spec.units.push(FoldedUnit::Pointwise(conv(&mut rng, 24, 10)));
        for n in [1, 3, 9] {
            assert_matches(&spec, n);
        }
    }
}

fn first(spec: &mut FrozenSpec) -> &mut FoldedConv {
    let FoldedUnit::FirstConvolution(conv) = &mut spec.units[0] else { unreachable!() };
    conv
}

fn block(spec: &mut FrozenSpec) -> &mut FoldedBlock {
    let FoldedUnit::InvertedResidual(block) = &mut spec.units[1] else { unreachable!() };
    block
}

#[test]
fn weights_that_do_not_fit_are_refused_in_words() {
    let good = spec((8, 8), 4, &[(8, 4, 1)], 6);
    let refuse = |change: &dyn Fn(&mut FrozenSpec), text: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let error = FrozenPlan::new(bad).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    refuse(&|s| s.input.0 = 0, "must have pixels");
    refuse(&|s| drop(s.units.remove(0)), "the first unit must be a first convolution. Received: another");
    refuse(&|s| s.units.clear(), "Received: no unit");
    refuse(&|s| s.units.push(s.units[0].clone()), "unit 3 must not be a first convolution");
    refuse(&|s| first(s).w.truncate(5), "first convolution must have 27 x 4");
    refuse(&|s| block(s).ci = 5, "block 1 must take 4");
    refuse(&|s| block(s).stride = 3, "stride must be 1 or 2");
    refuse(&|s| block(s).side = 4, "must have a side of 3 or 5");
    refuse(&|s| block(s).side = 5, "must have 25 x 8 weights");
    refuse(&|s| block(s).stride = 2, "has a residual");
    refuse(&|s| block(s).expand = None, "no expansion");
    refuse(&|s| block(s).project.b.clear(), "block 1's projection");
    refuse(&|s| s.units[2] = FoldedUnit::Pointwise(FoldedConv { w: vec![], b: vec![] }), "of unit 2");
    let plan = FrozenPlan::new(good.clone()).unwrap();
    let error = plan.run(&[0.0; 5], 1, &mut [0.0; 96]).unwrap_err().to_string();
    assert!(error.contains("images must hold 1 times (8, 8, 3)"), "{error}");
}
