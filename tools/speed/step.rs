//! How long a training step takes and where the time goes, on 32 synthetic images and random weights:
//! phase 1 (the base is frozen) and phase 2 (fine-tuning from layer 100), the latter also with training in bfloat16 where
//! the processor multiplies in it.
//!
//! ```text
//! cargo run --release -p transfer-tools --bin step-speed [-- [--threads=N] [--steps=N] [--kernels]]
//! ```
//!
//! `--kernels` times the kernels of phase 2's trainable part by themselves, and prints for each class its FLOP and bytes,
//! what they take at least on this machine, and what they take; with one thread they are timed by a
//! clock that stands still while other processes run. Allocations are counted, those on all
//! threads.

mod profile;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dfdx::losses::binary_cross_entropy_with_logits_loss;
use dfdx::prelude::{AsArray, Backward, Cache, Cpu, Gradients, TensorFromVec, Trace};

use transfer::architecture::{mobilenet_v2, Architecture};
use transfer::network::base::Base;
use transfer::ops::head;
use transfer::ops::variable::{Variable, Variables};
use transfer::optim::{Adam, KerasOptimizer, OptimizerConfig, RmsProp};
use transfer::random::Rng;
use transfer::weights::{Tensor, Weights};
use transfer::{Precision, Result};
use transfer_kernels::*;

const N: usize = 32;
const SIZE: usize = 160;
const FINE_TUNE_AT: usize = 100;

struct Counting;
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a step trains: base and head.
struct Net {
    base: Base<Cpu>,
    kernel: Variable<Cpu>,
    bias: Variable<Cpu>,
}

impl Variables<Cpu> for Net {
    fn trainable_variables_mut(&mut self) -> Vec<&mut Variable<Cpu>> {
        let mut all = self.base.trainable_variables_mut();
        all.push(&mut self.kernel);
        all.push(&mut self.bias);
        all
    }
}

/// Seconds of the parts of a step, by the clock on the wall and of computing on all threads.
#[derive(Clone, Copy)]
struct Parts([[f64; 2]; 5]);
const PARTS: [&str; 5] = ["frozen forward", "trainable forward", "loss", "backward", "optimizer"];

fn main() -> Result<()> {
    let (mut threads, mut steps, mut kernels) = (2, 20, false);
    for argument in std::env::args().skip(1) {
        if let Some(n) = argument.strip_prefix("--threads=") {
            threads = n.parse().expect("--threads=N");
        } else if let Some(n) = argument.strip_prefix("--steps=") {
            steps = n.parse().expect("--steps=N");
        } else {
            kernels |= argument == "--kernels";
        }
    }
    transfer::threads::set_threads(threads);
    println!(
        "{threads} threads, {N} images of {SIZE}x{SIZE}, {}, best (median) of {steps}",
        simd::isa()?.name()
    );
    let device = Cpu::default();
    device.enable_cache();
    let mut base = Base::new(
        device.clone(),
        &mobilenet_v2(),
        (SIZE, SIZE),
        &random_weights(&Architecture::new(&mobilenet_v2(), SIZE, SIZE))?,
    )?;
    let layers = base.trainable().len();
    base.set_trainable(0..layers, false);
    let head = |name: &str, values: Vec<f32>| Variable {
        name: name.to_owned(),
        shape: vec![values.len()],
        tensor: device.tensor_from_vec(values.clone(), (values.len(),)),
    };
    let kernel = head("dense/kernel", random(&mut Rng::new(&[2]), 1280, 0.02));
    let mut net = Net { base, kernel, bias: head("dense/bias", vec![0.0]) };
    let images = random(&mut Rng::new(&[3]), N * SIZE * SIZE * 3, 1.0);

    let pool = transfer::threads::pool();
    let phase_1 = pool.install(|| report("phase 1", &mut net, &images, Adam::new(1e-4).into(), steps))?;
    net.base.set_trainable(FINE_TUNE_AT..layers, true);
    let phase_2 = pool.install(|| report("phase 2", &mut net, &images, RmsProp::new(1e-5).into(), steps))?;
    let (flop, backward) = (profile::backward_flop(&net.base), phase_2.parts[3]);
    println!("  backward: {:.2} GFLOP, {:.0} GFLOP/s", flop / 1e9, flop / backward / 1e9);
    if Bf16Unit::best().is_ok() {
        net.base.set_train_precision(Precision::Bf16);
        for frozen in [Precision::F32, Precision::Bf16] {
            net.base.set_precision(frozen);
            let name = format!("phase 2, training in bf16, frozen layers in {}", frozen.name());
            pool.install(|| report(&name, &mut net, &images, RmsProp::new(1e-5).into(), steps))?;
        }
    }
    if kernels {
        net.base.set_train_precision(Precision::F32);
        let times =
            profile::Measured { phase_1: phase_1.median, phase_2: phase_2.median, frozen: phase_2.parts[0] };
        profile::print(&net.base, &times);
    }
    Ok(())
}

/// Seconds of a step.
struct Seconds {
    median: f64,
    /// The medians of its parts.
    parts: [f64; 5],
}

/// Prints the parts of a step, and returns what they take.
fn report(name: &str, net: &mut Net, images: &[f32], rule: OptimizerConfig, steps: usize) -> Result<Seconds> {
    let mut optimizer = KerasOptimizer::new(rule)?;
    let start = Instant::now();
    step(net, images, &mut optimizer)?;
    let first = start.elapsed().as_secs_f64();
    step(net, images, &mut optimizer)?;
    let (count, bytes) = (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    step(net, images, &mut optimizer)?;
    let count = ALLOCATIONS.load(Ordering::Relaxed) - count;
    let bytes = BYTES.load(Ordering::Relaxed) - bytes;
    let (mut all, mut totals, mut computing) = (vec![], vec![], vec![]);
    for _ in 0..steps {
        let (start, start_cpu) = (Instant::now(), cpu());
        all.push(step(net, images, &mut optimizer)?);
        totals.push(start.elapsed().as_secs_f64());
        computing.push(cpu() - start_cpu);
    }
    let ((best, median), (least, middle)) = (best_and_median(&mut totals), best_and_median(&mut computing));
    println!(
        "{name}: {:.1} ms ({:.1}), of computing {:.1} ({:.1}), {:.0} images/s; first step {:.0} ms; \
         {count} allocations of {bytes} bytes",
        1e3 * best,
        1e3 * median,
        1e3 * least,
        1e3 * middle,
        N as f64 / best,
        1e3 * first
    );
    let mut parts = [0.0; 5];
    for (i, part) in PARTS.iter().enumerate() {
        let [wall, computing] = [0, 1].map(|clock| {
            let mut times: Vec<f64> = all.iter().map(|p| 1e3 * p.0[i][clock]).collect();
            best_and_median(&mut times)
        });
        println!(
            "  {part:18}{:7.2} ms ({:.2}), of computing {:.2} ({:.2})",
            wall.0, wall.1, computing.0, computing.1
        );
        parts[i] = 1e-3 * wall.1;
    }
    Ok(Seconds { median, parts })
}

fn best_and_median(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
}

/// Seconds that all threads of this process have computed, which other processes do not change as
/// much as the time that passes meanwhile; 0 where there is no such clock.
fn cpu() -> f64 {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    {
        extern "C" {
            fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
        }
        const PROCESS: i32 = 2;
        let mut time = [0; 2];
        // SAFETY: a 64-bit Linux has this function, and two such numbers are what it fills in.
        unsafe { clock_gettime(PROCESS, &mut time) };
        time[0] as f64 + 1e-9 * time[1] as f64
    }
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    0.0
}

/// One step, as `fit` does it, without dropout.
fn step(net: &mut Net, images: &[f32], optimizer: &mut KerasOptimizer<Cpu>) -> Result<Parts> {
    let mut parts = Parts([[0.0; 2]; 5]);
    let mut at = (Instant::now(), cpu());
    let mut lap = |i: usize| {
        parts.0[i] = [at.0.elapsed().as_secs_f64(), cpu() - at.1];
        at = (Instant::now(), cpu());
    };
    let base = &net.base;
    let _multiplying = base.multiplying_as_in_training();
    let to = base.first_trainable_unit();
    let frozen = !base.trainable().contains(&true);
    let features = if frozen {
        let x = base.frozen_features(images.into(), N)?;
        lap(0);
        x.leaky_traced()
    } else {
        let x = base.frozen_activations(images.into(), N, to)?;
        lap(0);
        head::global_average_pooling(base.forward(x.leaky_traced(), to)?)?
    };
    let logits = head::dense(features, &net.kernel.tensor, &net.bias.tensor, !frozen)?;
    lap(1);
    let device = Cpu::default();
    let targets = device.tensor_from_vec((0..N).map(|i| (i % 2) as f32).collect(), (N, 1));
    let loss = binary_cross_entropy_with_logits_loss(logits, targets);
    assert!(loss.array().is_finite());
    lap(2);
    let mut gradients: Gradients<f32, Cpu> = loss.backward();
    lap(3);
    optimizer.apply(net, &mut gradients)?;
    lap(4);
    Ok(parts)
}

fn random(rng: &mut Rng, len: usize, scale: f32) -> Vec<f32> {
    (0..len).map(|_| (rng.uniform() * 2.0 - 1.0) * scale).collect()
}

/// Weights that keep activations alive through all layers.
fn random_weights(architecture: &Architecture) -> Result<Weights> {
    let mut weights = Weights::new();
    let mut rng = Rng::new(&[1]);
    for layer in &architecture.layers {
        for variable in &layer.variables {
            let (name, shape) = (variable.name, &variable.shape);
            let inputs: usize = match name {
                "depthwise_kernel" => 9,
                _ => shape.iter().rev().skip(1).product(),
            };
            let len = shape.iter().product();
            let values = match name {
                "gamma" | "moving_variance" => vec![1.0; len],
                "beta" | "moving_mean" => random(&mut rng, len, 0.3),
                _ => random(&mut rng, len, (6.0 / inputs as f32).sqrt()),
            };
            weights.insert(format!("{}/{name}", layer.name), Tensor::new(shape.clone(), values)?);
        }
    }
    Ok(weights)
}
