//! Where the time of a step goes: each kernel of phase 2's trainable part by itself, and how far it is from what the
//! machine's arithmetic and memory allow.

use std::ops::RangeBounds;
use std::time::Instant;

use dfdx::prelude::Cpu;
use transfer::architecture::{mobilenet_v2, Architecture, ConvKind};
use transfer::network::base::Base;
use transfer::random::Rng;
use transfer_kernels::*;

use crate::{best_and_median, random, N, SIZE};

/// A convolution: pixels of a side that go in, channels, and numbers that a result is computed from.
struct Convolution {
    name: String,
    size: usize,
    stride: usize,
    ci: usize,
    co: usize,
    taps: usize,
    depthwise: bool,
    by_input: bool,
    by_weights: bool,
}

impl Convolution {
    fn flop(&self) -> f64 {
        let out = N * self.size.div_ceil(self.stride).pow(2);
        2.0 * (out * self.co * self.taps) as f64
    }

    /// Bytes that a kernel reads and writes at least: what goes in and comes out, and weights. By input it also reads the
    /// activations, where ReLU6 was flat.
    fn bytes(&self, which: usize) -> f64 {
        let (x, y) = (N * self.size.pow(2) * self.ci, N * self.size.div_ceil(self.stride).pow(2) * self.co);
        let w = self.co * self.taps;
        let masks = if which == 1 { x } else { 0 };
        4.0 * (x + y + w + masks) as f64
    }
}

/// The convolutions of units `units`.
fn convolutions(base: &Base<Cpu>, units: impl RangeBounds<usize>) -> Vec<Convolution> {
    let architecture = Architecture::new(&mobilenet_v2(), SIZE, SIZE);
    let mut all = vec![];
    for unit in &architecture.units[(units.start_bound().cloned(), units.end_bound().cloned())] {
        for (i, spec) in unit.convs.iter().enumerate() {
            let co = unit.convs.get(i + 1).map_or(unit.output.2, |next| next.input.2);
            let ((size, _, ci), stride, name) = (spec.input, spec.stride, spec.conv.clone());
            let by_weights = base.trainable()[spec.conv_layer];
            let by_input = all.iter().any(|c: &Convolution| c.by_weights);
            let depthwise = spec.kind == ConvKind::Depthwise;
            let taps = match spec.kind {
                ConvKind::Full => 27,
                ConvKind::Depthwise => 9,
                _ => ci,
            };
            all.push(Convolution { name, size, stride, ci, co, taps, depthwise, by_input, by_weights });
        }
    }
    all
}

/// Those that train; the first one of the network is none of them.
fn trainable(base: &Base<Cpu>) -> Vec<Convolution> {
    convolutions(base, base.first_trainable_unit().max(1)..)
}

/// FLOP of the forward pass of units `units`, by their convolutions.
fn forward_flop(base: &Base<Cpu>, units: impl RangeBounds<usize>) -> f64 {
    convolutions(base, units).iter().map(Convolution::flop).sum()
}

pub fn backward_flop(base: &Base<Cpu>) -> f64 {
    let flop = |c: &Convolution| c.flop() * f64::from(u8::from(c.by_input) + u8::from(c.by_weights));
    trainable(base).iter().map(flop).sum()
}

/// Buffers of a convolution and the times of its three kernels.
struct Kernels {
    c: Convolution,
    x: Vec<f32>,
    dy: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    y: Vec<f32>,
    dx: Vec<f32>,
    dw: Vec<f32>,
    db: Vec<f32>,
    packed: Option<[PackedWeights; 2]>,
    seconds: [Vec<f64>; 3],
}

impl Kernels {
    fn new(c: Convolution, rng: &mut Rng) -> Self {
        let (rows, out) = (N * c.size.pow(2), N * c.size.div_ceil(c.stride).pow(2));
        let (x, dy) = (random(rng, rows * c.ci, 3.0), random(rng, out * c.co, 1.0));
        let (w, b) = (random(rng, c.taps * c.co, 0.1), vec![0.1; c.co]);
        let (y, dx) = (vec![0.0; out * c.co], vec![0.0; rows * c.ci]);
        let (dw, db) = (vec![0.0; c.taps * c.co], vec![0.0; c.co]);
        let pack = || [PackedWeights::new(&w, &b, c.ci, c.co), PackedWeights::new_transposed(&w, c.ci, c.co)];
        let packed = (!c.depthwise).then(pack);
        Kernels { c, x, dy, w, b, y, dx, dw, db, packed, seconds: Default::default() }
    }

    fn run(&mut self, which: usize) {
        let Kernels { c, x, dy, w, b, y, dx, dw, db, packed, seconds } = self;
        let (size, stride) = (c.size, c.stride);
        let s = DepthwiseShape { n: N, h: size, w: size, c: c.ci, stride, side: 3, padding: Padding::Same };
        let rows = N * c.size.pow(2);
        let start = Instant::now();
        match (which, packed) {
            (0, None) => depthwise(x, s, w, b, Activation::Relu6, y),
            (1, None) => depthwise_backward_input(dy, s, w, Some(x), dx),
            (_, None) => depthwise_backward_weights(x, dy, s, dw, db),
            (0, Some([packed, _])) => pointwise(x, rows, packed, Activation::Relu6, None, y),
            (1, Some([_, wt])) => pointwise_backward_input(dy, rows, wt, Some(x), None, dx),
            (_, Some(_)) => pointwise_backward_weights(x, dy, rows, c.ci, c.co, dw, db),
        }
        seconds[which].push(start.elapsed().as_secs_f64());
    }

    fn median(&self, which: usize) -> f64 {
        best_and_median(&mut self.seconds[which].clone()).1
    }
}

/// What this machine reaches where nothing else is to be done.
struct Peak {
    /// FLOP a second of the product of 768 x 768 matrices, which lie in the cache.
    product: f64,
    /// Bytes a second of a copy in main memory, read and written.
    memory: f64,
}

impl Peak {
    fn measure(rng: &mut Rng) -> Self {
        const SIDE: usize = 768;
        const LONG: usize = 32 << 20;
        let (a, b) = (random(rng, SIDE * SIDE, 1.0), random(rng, SIDE * SIDE, 1.0));
        let (packed, mut c) = (PackedWeights::new(&b, &vec![0.0; SIDE], SIDE, SIDE), vec![0.0; SIDE * SIDE]);
        let (from, mut to) = (vec![1.0f32; LONG], vec![0.0f32; LONG]);
        let piece = LONG / transfer::threads::pool().current_num_threads();
        let (mut product, mut copy) = (f64::MAX, f64::MAX);
        for _ in 0..40 {
            let start = Instant::now();
            pointwise(&a, SIDE, &packed, Activation::Linear, None, &mut c);
            product = product.min(start.elapsed().as_secs_f64());
        }
        for _ in 0..8 {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for (from, to) in from.chunks(piece).zip(to.chunks_mut(piece)) {
                    scope.spawn(|| to.copy_from_slice(from));
                }
            });
            copy = copy.min(start.elapsed().as_secs_f64());
        }
        Peak { product: 2.0 * SIDE.pow(3) as f64 / product, memory: 2.0 * (4 * LONG) as f64 / copy }
    }

    /// Seconds that neither arithmetic nor memory allows to go below.
    fn floor(&self, flop: f64, bytes: f64) -> f64 {
        (flop / self.product).max(bytes / self.memory)
    }
}

/// A line of the profile.
#[derive(Default)]
struct Class {
    flop: f64,
    bytes: f64,
    floor: f64,
    seconds: f64,
}

impl Class {
    fn add(&mut self, flop: f64, bytes: f64, floor: f64, seconds: f64) {
        (self.flop, self.bytes) = (self.flop + flop, self.bytes + bytes);
        (self.floor, self.seconds) = (self.floor + floor, self.seconds + seconds);
    }

    fn print(&self, name: &str) {
        let Class { flop, bytes, floor, seconds } = self;
        println!(
            "| {name} | {:.2} | {:.0} | {:.1} | {:.1} | {:.0} % |",
            flop / 1e9,
            bytes / 1e6,
            1e3 * floor,
            1e3 * seconds,
            100.0 * floor / seconds
        );
    }
}

/// The steps' times that the profile explains, in seconds.
pub struct Measured {
    /// A step of phase 1.
    pub phase_1: f64,
    /// A step of phase 2, and of it the frozen part.
    pub phase_2: f64,
    pub frozen: f64,
}

/// Times each kernel in the order of a step, so that it finds in the cache what it would find there, and prints how far
/// each class is from what the machine allows.
pub fn print(base: &Base<Cpu>, measured: &Measured) {
    let mut rng = Rng::new(&[4]);
    let peak = Peak::measure(&mut rng);
    let mut all: Vec<Kernels> = trainable(base).into_iter().map(|c| Kernels::new(c, &mut rng)).collect();
    for _ in 0..12 {
        all.iter_mut().for_each(|k| k.run(0));
        for k in all.iter_mut().rev() {
            k.run(2);
            k.run(1);
        }
    }
    let mut classes: [[Class; 3]; 2] = Default::default();
    println!("{:24}{:>24}{:>24}{:>24}", "us (GFLOP/s)", "forward", "by input", "by weights");
    for k in &all {
        print!("{:24}", k.c.name);
        let wanted = [true, k.c.by_input, k.c.by_weights];
        for i in 0..3 {
            print!("{:14.0} ({:7.1})", 1e6 * k.median(i), k.c.flop() / k.median(i) / 1e9);
            if wanted[i] {
                let (flop, bytes) = (k.c.flop(), k.c.bytes(i));
                classes[usize::from(k.c.depthwise)][i].add(flop, bytes, peak.floor(flop, bytes), k.median(i));
            }
        }
        println!();
    }
    println!(
        "\nA product of 768 x 768 matrices: {:.0} GFLOP/s. A copy in main memory: {:.1} GB/s, read and written.\n",
        peak.product / 1e9,
        peak.memory / 1e9
    );
    println!("| phase 2, a batch of {N} | GFLOP | MB | floor, ms | measured, ms | floor of measured |");
    println!("|---|---:|---:|---:|---:|---:|");
    let to = base.first_trainable_unit();
    let frozen = forward_flop(base, ..to);
    let bytes = 4.0 * (N * (SIZE * SIZE * 3 + numbers(base.output_of(to)))) as f64;
    let mut whole = Class::default();
    let frozen = Class { flop: frozen, bytes, floor: peak.floor(frozen, bytes), seconds: measured.frozen };
    frozen.print("frozen part, forward, in one pass");
    whole.add(frozen.flop, frozen.bytes, frozen.floor, frozen.seconds);
    for (kind, classes) in ["1x1", "depthwise"].into_iter().zip(&classes) {
        for (what, class) in ["forward", "gradient by input", "gradient by weights"].into_iter().zip(classes)
        {
            class.print(&format!("{kind}, {what}"));
            whole.add(class.flop, class.bytes, class.floor, class.seconds);
        }
    }
    // Not the sum: in a step the kernels of a block take turns on a few images, which stay in the cache.
    whole.seconds = measured.phase_2;
    whole.print("the step");
    let all = forward_flop(base, ..);
    let bytes = 4.0 * (N * SIZE * SIZE * 3) as f64;
    Class { flop: all, bytes, floor: peak.floor(all, bytes), seconds: measured.phase_1 }
        .print("a step of phase 1");
}

fn numbers((h, w, c): (usize, usize, usize)) -> usize {
    h * w * c
}
