//! Each kernel by itself, on MobileNetV2's and (5x5) EfficientNet-Lite0's shapes: GFLOP/s, and the share of what a matrix product
//! reaches on this machine in the same run.
//!
//! ```text
//! cargo bench -p transfer-kernels [-- [--threads=N] [--batch=N] [part of a name] …]
//! ```
//!
//! The yardsticks are the `gemm` crate (on stable Rust it has no AVX-512), this crate's own product
//! of 768 x 768 matrices, and multiply-adds on registers alone, which nothing can exceed. Each
//! figure is the best of several repetitions, and a yardstick is taken again before each kernel,
//! because the clock of a shared machine is not constant. With the default batch of 8 most
//! tensors fit the cache; a larger one measures the memory as well.

use std::time::{Duration, Instant};
use transfer_kernels::testing::Rng;
use transfer_kernels::*;

/// (name, height and width of the input, ci, expanded, co, stride)
const BLOCKS: [(&str, usize, usize, usize, usize, usize); 11] = [
    ("block 0", 80, 32, 32, 16, 1),
    ("block 1", 80, 16, 96, 24, 2),
    ("block 2", 40, 24, 144, 24, 1),
    ("block 3", 40, 24, 144, 32, 2),
    ("blocks 4, 5", 20, 32, 192, 32, 1),
    ("block 6", 20, 32, 192, 64, 2),
    ("blocks 7 to 9", 10, 64, 384, 64, 1),
    ("block 10", 10, 64, 384, 96, 1),
    ("blocks 11, 12", 10, 96, 576, 96, 1),
    ("block 13", 10, 96, 576, 160, 2),
    ("blocks 14, 15", 5, 160, 960, 160, 1),
];

fn main() {
    let (mut threads, mut batch, mut names) = (1, 8, vec![]);
    for argument in std::env::args().skip(1) {
        if let Some(n) = argument.strip_prefix("--threads=") {
            threads = n.parse().expect("--threads=N");
        } else if let Some(n) = argument.strip_prefix("--batch=") {
            batch = n.parse().expect("--batch=N");
        } else if !argument.starts_with("--") {
            names.push(argument);
        }
    }
    transfer_kernels::threads::set_threads(threads);
    let mut bench = Bench { threads, names };
    println!("{} threads, batch {batch}, {:?}", threads, simd::isa());
    println!("registers alone  {:7.1} GFLOP/s", bench.registers());
    println!("crate gemm       {:7.1} GFLOP/s", bench.crate_gemm());
    println!("own product      {:7.1} GFLOP/s", bench.own_product());
    println!("{:44}{:>9}{:>9}{:>8}{:>8}", "", "us", "GFLOP/s", "of own", "of reg.");
    pointwise_kernels(&mut bench, batch);
    depthwise_kernels(&mut bench, batch);
    five_by_five_kernels(&mut bench, batch);
    first_convolution(&mut bench, batch);
}

struct Bench {
    threads: usize,
    names: Vec<String>,
}

/// The best time of `f`, over at least five runs and a tenth of a second.
fn best(mut f: impl FnMut()) -> Duration {
    f();
    let (mut best, started, mut runs) = (Duration::MAX, Instant::now(), 0);
    while runs < 5 || started.elapsed() < Duration::from_millis(100) {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed());
        runs += 1;
    }
    best
}

fn gflops(flop: f64, time: Duration) -> f64 {
    flop / time.as_secs_f64() / 1e9
}

impl Bench {
    /// Times `f`, which does `flop` operations, beside the yardsticks.
    fn time(&mut self, name: &str, flop: usize, f: impl FnMut()) {
        if !self.names.is_empty() && !self.names.iter().any(|n| name.contains(n.as_str())) {
            return;
        }
        let (own, registers) = (self.own_product(), self.registers());
        let time = best(f);
        let speed = gflops(flop as f64, time);
        println!(
            "{name:44}{:9.0}{speed:9.1}{:7.0}%{:7.0}%",
            time.as_secs_f64() * 1e6,
            100.0 * speed / own,
            100.0 * speed / registers
        );
    }

    fn crate_gemm(&self) -> f64 {
        let n = 768;
        let (a, b, mut c) = (random(1, n * n), random(2, n * n), vec![0.0f32; n * n]);
        let parallelism =
            if self.threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(self.threads) };
        let time = best(|| {
            let (rs, cs) = (n as isize, 1);
            // SAFETY: three n x n matrices, row by row.
            unsafe {
                gemm::gemm(
                    n,
                    n,
                    n,
                    c.as_mut_ptr(),
                    cs,
                    rs,
                    false,
                    a.as_ptr(),
                    cs,
                    rs,
                    b.as_ptr(),
                    cs,
                    rs,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    parallelism,
                );
            }
        });
        gflops(2.0 * (n * n * n) as f64, time)
    }

    fn own_product(&self) -> f64 {
        let n = 768;
        let (a, b, mut c) = (random(1, n * n), random(2, n * n), vec![0.0f32; n * n]);
        let b = PackedWeights::new(&b, &vec![0.0; n], n, n);
        let time = best(|| pointwise(&a, n, &b, Activation::Linear, None, &mut c));
        gflops(2.0 * (n * n * n) as f64, time)
    }

    /// Multiply-adds that touch no memory, on each thread.
    fn registers(&self) -> f64 {
        let steps = 20_000;
        let flop = simd::register_peak(1);
        let time = best(|| {
            std::thread::scope(|scope| {
                for _ in 1..self.threads {
                    scope.spawn(|| simd::register_peak(steps));
                }
                simd::register_peak(steps);
            });
        });
        gflops((flop * steps * self.threads) as f64, time)
    }
}

fn random(key: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(&[key]);
    (0..len).map(|_| rng.uniform() * 2.0 - 1.0).collect()
}

fn pointwise_kernels(bench: &mut Bench, n: usize) {
    let mut shapes = vec![];
    for (name, size, ci, expanded, co, stride) in BLOCKS {
        if ci != expanded {
            shapes.push((format!("{name}: expand"), size, ci, expanded));
        }
        shapes.push((format!("{name}: project"), size.div_ceil(stride), expanded, co));
    }
    shapes.push(("block 16: project".into(), 5, 960, 320));
    shapes.push(("Conv_1".into(), 5, 320, 1280));
    for (name, size, ci, co) in shapes {
        let rows = n * size * size;
        let flop = 2 * rows * ci * co;
        let (x, w, b, dy) = (random(1, rows * ci), random(2, ci * co), random(3, co), random(4, rows * co));
        let packed = PackedWeights::new(&w, &b, ci, co);
        let transposed = PackedWeights::new_transposed(&w, ci, co);
        let (mut y, mut dx) = (vec![0.0; rows * co], vec![0.0; rows * ci]);
        let (mut dw, mut db) = (vec![0.0; ci * co], vec![0.0; co]);
        bench.time(&format!("{name} {ci} -> {co}, forward"), flop, || {
            pointwise(&x, rows, &packed, Activation::Relu6, None, &mut y);
        });
        bench.time(&format!("{name} {ci} -> {co}, by input"), flop, || {
            pointwise_backward_input(&dy, rows, &transposed, Some(&x), None, &mut dx);
        });
        bench.time(&format!("{name} {ci} -> {co}, by weights"), flop, || {
            pointwise_backward_weights(&x, &dy, rows, ci, co, &mut dw, &mut db);
        });
    }
}

fn depthwise_kernels(bench: &mut Bench, n: usize) {
    for (name, size, _, c, _, stride) in BLOCKS {
        let s = DepthwiseShape { n, h: size, w: size, c, stride, side: 3, padding: Padding::Same };
        depthwise_of(bench, &format!("{name}: depthwise {c}"), s);
    }
}

/// (height and width of the input, channels, stride) of the 5x5 kernels of EfficientNet-Lite0 at 224x224. Each is
/// measured with 3x3 beside it, for the share of the peak that either reaches.
const FIVE_BY_FIVE: [(usize, usize, usize); 6] =
    [(56, 144, 2), (28, 240, 1), (14, 480, 1), (14, 672, 1), (14, 672, 2), (7, 1152, 1)];

fn five_by_five_kernels(bench: &mut Bench, n: usize) {
    for (size, c, stride) in FIVE_BY_FIVE {
        for side in [3, 5] {
            let s = DepthwiseShape { n, h: size, w: size, c, stride, side, padding: Padding::Same };
            depthwise_of(bench, &format!("{side}x{side} on {size}, stride {stride}: {c}"), s);
        }
    }
}

fn depthwise_of(bench: &mut Bench, name: &str, s: DepthwiseShape) {
    let (taps, c) = (s.side * s.side, s.c);
    let (inputs, outputs) = (s.n * s.h * s.w * c, s.n * s.out_h() * s.out_w() * c);
    let flop = 2 * taps * outputs;
    let (x, k, b, dy) = (random(1, inputs), random(2, taps * c), random(3, c), random(4, outputs));
    let (mut y, mut dx) = (vec![0.0; outputs], vec![0.0; inputs]);
    let (mut dk, mut db) = (vec![0.0; taps * c], vec![0.0; c]);
    bench.time(&format!("{name}, forward"), flop, || {
        depthwise(&x, s, &k, &b, Activation::Relu6, &mut y);
    });
    bench.time(&format!("{name}, by input"), flop, || {
        depthwise_backward_input(&dy, s, &k, Some(&x), &mut dx);
    });
    bench.time(&format!("{name}, by weights"), flop, || {
        depthwise_backward_weights(&x, &dy, s, &mut dk, &mut db);
    });
}

fn first_convolution(bench: &mut Bench, n: usize) {
    let (size, co) = (160, 32);
    let outputs = n * 80 * 80 * co;
    let (x, k, b, dy) =
        (random(1, n * size * size * 3), random(2, 27 * co), random(3, co), random(4, outputs));
    let mut y = vec![0.0; outputs];
    bench.time("first convolution, forward", 2 * 27 * outputs, || {
        conv3x3_first(&x, n, size, size, Padding::Same, &k, &b, co, Activation::Relu6, &mut y);
    });
    let (mut dk, mut db) = (vec![0.0; 27 * co], vec![0.0; co]);
    bench.time("first convolution, by weights", 2 * 27 * outputs, || {
        conv3x3_first_backward_weights(&x, &dy, n, size, size, Padding::Same, co, &mut dk, &mut db);
    });
}
