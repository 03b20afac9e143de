//! How fast the frozen pass is: Backbone without top, random weights, random images of 160x160.
//!
//! ```text
//! cargo run --release -p transfer-tools --bin forward-speed -- [batch] [threads] [blocks] [bf16]
//! ```
//!
//! Prints images a second, best and median, beside the speed of a matrix product taken in turn with
//! them, since the clock of a shared machine is not constant. With fewer than 17 blocks the pass
//! ends there.

use std::time::Instant;
use transfer::random::Rng;
use transfer::Precision;
use transfer_kernels::*;

/// (expanded by, channels, repeats, stride of the first), the table of the paper.
const TABLE: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

fn main() {
    let precision = if std::env::args().any(|a| a == "bf16") { Precision::Bf16 } else { Precision::F32 };
    let numbers = std::env::args().skip(1).filter(|a| a != "bf16");
    let mut arguments = numbers.map(|a| a.parse::<usize>().expect("a number"));
    let batch = arguments.next().unwrap_or(32);
    let threads = arguments.next().unwrap_or(2);
    let blocks = arguments.next().unwrap_or(17);
    transfer::threads::set_threads(threads);
    let plan = FrozenPlan::with_precision(mobilenet(blocks), precision).expect("the shapes fit");
    let (h, w, c) = plan.output_shape();
    let images = random(&mut Rng::new(&[1]), batch * 160 * 160 * 3, 1.0);
    let mut y = vec![0.0; batch * h * w * c];

    let n = 512;
    let a = random(&mut Rng::new(&[2]), n * n, 1.0);
    let b = PackedWeights::new(&a, &vec![0.0; n], n, n);
    let mut product = vec![0.0; n * n];

    let (mut speeds, mut yardsticks) = (vec![], vec![]);
    let started = Instant::now();
    while started.elapsed().as_secs() < 8 || speeds.len() < 10 {
        let start = Instant::now();
        plan.run(&images, batch, &mut y).expect("the sizes fit");
        speeds.push(batch as f64 / start.elapsed().as_secs_f64());
        let start = Instant::now();
        pointwise(&a, n, &b, Activation::Linear, None, &mut product);
        yardsticks.push(2.0 * (n * n * n) as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    for values in [&mut speeds, &mut yardsticks] {
        values.sort_by(f64::total_cmp);
    }
    println!(
        "batch {batch}, {threads} threads, {blocks} blocks: {:.0} images/s, median {:.0}; a product {:.0} GFLOP/s, \
         median {:.0}",
        speeds[speeds.len() - 1],
        speeds[speeds.len() / 2],
        yardsticks[yardsticks.len() - 1],
        yardsticks[yardsticks.len() / 2]
    );
}

fn random(rng: &mut Rng, len: usize, scale: f32) -> Vec<f32> {
    (0..len).map(|_| (rng.uniform() * 2.0 - 1.0) * scale).collect()
}

fn conv(rng: &mut Rng, taps: usize, co: usize) -> FoldedConv {
    FoldedConv { w: random(rng, taps * co, (3.0 / taps as f32).sqrt()), b: random(rng, co, 0.1) }
}

fn mobilenet(count: usize) -> FrozenSpec {
    let mut rng = Rng::new(&[0]);
    let mut units = vec![FoldedUnit::FirstConvolution(conv(&mut rng, 27, 32))];
    let mut ci = 32;
    for (t, co, repeats, first_stride) in TABLE {
        for i in 0..repeats {
            let (expanded, stride) = (t * ci, if i == 0 { first_stride } else { 1 });
            units.push(FoldedUnit::InvertedResidual(FoldedBlock {
                ci,
                expanded,
                co,
                stride,
                side: 3,
                residual: stride == 1 && ci == co,
                expand: (t > 1).then(|| conv(&mut rng, ci, expanded)),
                depthwise: conv(&mut rng, 9, expanded),
                project: conv(&mut rng, expanded, co),
            }));
            ci = co;
        }
    }
    units.truncate(count + 1);
    if count == 17 {
        units.push(FoldedUnit::Pointwise(conv(&mut rng, 320, 1280)));
    }
    FrozenSpec { input: (160, 160), units, padding: Padding::Same, pool: false }
}
