//! Each op on the device against the CPU, forward and backward, on the network's own shapes and on some that
//! fit nothing well.

use std::sync::Arc;

use dfdx::prelude::{Cpu, Gradients, HasShape, NoneTape, Trace};
use transfer::architecture::{efficientnet_lite, mobilenet_v2, Architecture, UnitKind};
use transfer::ops::backend::{Activations, Backend, Flat};
use transfer::ops::conv::{first_convolution, pointwise_convolution};
use transfer::ops::conv_bn::{ConvBn, Trains};
use transfer::ops::head;
use transfer::ops::inverted_residual::{inverted_residual, BlockParams};
use transfer::random::Rng;
use transfer::Device;
use transfer_kernels::optimizer::UpdateRule;
use transfer_kernels::{BlockShape, Padding};

use crate::report::Report;
use crate::Result;

/// Sums of a few thousand products in f32, formed in another order.
const FORWARD: f64 = 1e-4;
const BACKWARD: f64 = 1e-3;

/// Names and values, in order.
type Values = Vec<(String, Vec<f32>)>;

/// Runs every op on both and compares.
pub fn check(device: &Device, report: &mut Report) -> Result<()> {
    on(device, report, false)
}

/// Each kind of op once or twice, on odd sizes.
pub fn few(device: &Device, report: &mut Report) -> Result<()> {
    on(device, report, true)
}

fn on(device: &Device, report: &mut Report, few: bool) -> Result<()> {
    #[cfg(feature = "cuda")]
    if let Some(cuda) = device.dfdx_cuda() {
        return compare(&cuda, report, few);
    }
    println!("  on the CPU, each op is compared with itself");
    let _ = device;
    compare(&Cpu::default(), report, few)
}

fn compare<D: Backend>(device: &D, report: &mut Report, few: bool) -> Result<()> {
    let cpu = Cpu::default();
    let mut both = |name: &str, ours: Values, theirs: Values| {
        for ((what, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            let name = format!("{name}, {what}");
            match *what == "y" {
                true => report.near(&name, ours, theirs, FORWARD)?,
                false => report.near_gradients(&name, ours, theirs, BACKWARD)?,
            }
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    };
    let from = |all: usize| if few { all } else { 0 };
    let shapes = shapes();
    for (name, shape) in &shapes[from(shapes.len() - ODD)..] {
        both(name, block(device, shape)?, block(&cpu, shape)?)?;
    }
    for sizes in &[(3, 160, 160, 32), (2, 33, 70, 32), (1, 5, 4, 6)][from(1)..] {
        let (n, h, w, co) = sizes;
        for padding in [Padding::Same, Padding::Symmetric] {
            let name = format!("first convolution {n}x{h}x{w} to {co}, {padding:?}");
            both(&name, first(device, *sizes, padding)?, first(&cpu, *sizes, padding)?)?;
        }
    }
    for sizes in &[(32, 5, 320, 1280), (3, 3, 10, 7)][from(1)..] {
        let (n, side, ci, co) = sizes;
        let name = format!("last convolution {n}x{side}x{side}x{ci} to {co}");
        both(&name, last(device, *sizes)?, last(&cpu, *sizes)?)?;
    }
    for units in [1, 5] {
        both(&format!("pooling, dropout, dense of {units}"), top(device, units)?, top(&cpu, units)?)?;
    }
    let adam = UpdateRule::Adam { rate: 1e-3, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 };
    let rms_prop = UpdateRule::RmsProp { rate: 1e-3, rho: 0.9, epsilon: 1e-7 };
    for (name, rule) in [("Adam", adam), ("RMSprop", rms_prop)] {
        both(name, steps(device, rule)?, steps(&cpu, rule)?)?;
    }
    Ok(())
}

/// Blocks at the end of [`shapes`] that are none of the networks'.
const ODD: usize = 6;

fn shapes() -> Vec<(String, BlockShape)> {
    let mut shapes: Vec<(String, BlockShape)> = Vec::new();
    let networks = [(mobilenet_v2(), 160), (efficientnet_lite(0), 224)];
    for unit in networks.iter().flat_map(|(network, size)| Architecture::new(network, *size, *size).units) {
        if let UnitKind::InvertedResidual(s) = unit.kind {
            if !shapes.iter().any(|(_, seen)| *seen == s) {
                let plus = if s.residual { ", added" } else { "" };
                let (h, w, side) = (s.h, s.w, s.side);
                shapes.push((
                    format!(
                        "block {h}x{w}x{} by {} to {}, {side}x{side}, stride {}{plus}",
                        s.ci, s.expanded, s.co, s.stride
                    ),
                    s,
                ));
            }
        }
    }
    let odd = |h, w, ci, expanded, co, stride, residual| {
        let (side, padding) = (3, Padding::Same);
        BlockShape { h, w, ci, expanded, co, stride, side, padding, residual }
    };
    let five = |h, w, stride, padding| BlockShape { side: 5, padding, ..odd(h, w, 5, 30, 3, stride, false) };
    shapes.push(("block 7x5x8 by 48, odd sides, added".into(), odd(7, 5, 8, 48, 8, 1, true)));
    shapes.push(("block 9x7x5 by 30, stride 2, odd channels".into(), odd(9, 7, 5, 30, 3, 2, false)));
    shapes.push(("block 1x1x4 by 8".into(), odd(1, 1, 4, 8, 4, 1, true)));
    shapes.push(("block 9x7x5 by 30, 5x5, odd sides".into(), five(9, 7, 1, Padding::Same)));
    shapes.push(("block 8x6x5 by 30, 5x5, stride 2".into(), five(8, 6, 2, Padding::Same)));
    shapes.push(("block 8x6x5 by 30, 5x5, stride 2, symmetric".into(), five(8, 6, 2, Padding::Symmetric)));
    shapes
}

/// Numbers in -1..1 that depend on what they are for.
fn random(key: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(&[99, key]);
    (0..len).map(|_| 2.0 * rng.uniform() - 1.0).collect()
}

fn flat<D: Backend>(device: &D, values: Vec<f32>) -> Result<Flat<D>> {
    let len = values.len();
    Ok(D::tensor(device, (len,), &values)?)
}

/// A convolution of `rows` by `co` numbers whose activations stay of size 1.
fn conv<D: Backend>(device: &D, key: u64, rows: usize, co: usize) -> Result<ConvBn<D>> {
    let scale = (6.0 / rows as f32).sqrt();
    let near_one = |v: f32| 1.0 + 0.3 * v;
    Ok(ConvBn {
        epsilon: 1e-3,
        kernel: flat(device, random(key, rows * co).iter().map(|v| v * scale).collect())?,
        gamma: flat(device, random(key + 1, co).into_iter().map(near_one).collect())?,
        beta: flat(device, random(key + 2, co))?,
        mean: flat(device, random(key + 3, co))?,
        variance: flat(device, random(key + 4, co).into_iter().map(near_one).collect())?,
        trains: Trains { kernel: true, batch_norm: true },
        version: 0,
    })
}

/// The gradients of everything, from a random one of `y`.
fn gradients<D: Backend>(y: Activations<D, Taped<D>>) -> Result<Gradients<f32, D>> {
    let (n, h, w, c) = *y.shape();
    Ok(D::backward_from(y, &random(7, n * h * w * c))?)
}

/// `y` of `forward`, and the gradients of `x` and of the convolutions' variables.
fn differentiate<D: Backend>(
    x: &Activations<D>,
    convs: &[&ConvBn<D>],
    forward: impl FnOnce(Activations<D, Taped<D>>) -> transfer::Result<Activations<D, Taped<D>>>,
) -> Result<Values> {
    let y = forward(x.leaky_trace())?;
    let mut values = vec![("y".to_owned(), D::read(&y.retaped::<NoneTape>())?)];
    let grads = gradients(y)?;
    values.push(("x".into(), D::read(&grads.get(x))?));
    for conv in convs {
        for (name, variable) in [("kernel", &conv.kernel), ("gamma", &conv.gamma), ("beta", &conv.beta)] {
            values.push((name.into(), D::read(&grads.get(variable))?));
        }
    }
    Ok(values)
}

type Taped<D> = dfdx::prelude::OwnedTape<f32, D>;

fn block<D: Backend>(device: &D, s: &BlockShape) -> Result<Values> {
    let n = 3;
    let x = D::tensor(device, (n, s.h, s.w, s.ci), &random(1, n * s.h * s.w * s.ci))?;
    let params = BlockParams {
        expand: if s.expanded == s.ci { None } else { Some(conv(device, 10, s.ci, s.expanded)?) },
        depthwise: conv(device, 20, s.side * s.side, s.expanded)?,
        project: conv(device, 30, s.expanded, s.co)?,
        input_gradient: true,
        scratch: Arc::default(),
    };
    let convs: Vec<&ConvBn<D>> = params.expand.iter().chain([&params.depthwise, &params.project]).collect();
    differentiate(&x, &convs, |x| inverted_residual(x, s, &params))
}

fn first<D: Backend>(
    device: &D,
    (n, h, w, co): (usize, usize, usize, usize),
    padding: Padding,
) -> Result<Values> {
    let x = D::tensor(device, (n, h, w, 3), &random(2, n * h * w * 3))?;
    let conv = conv(device, 40, 27, co)?;
    let y = first_convolution(x.leaky_trace(), &conv, padding, &Arc::default())?;
    let mut values = vec![("y".to_owned(), D::read(&y.retaped::<NoneTape>())?)];
    // The image's own gradient is never computed.
    let grads = gradients(y)?;
    for (name, variable) in [("kernel", &conv.kernel), ("gamma", &conv.gamma), ("beta", &conv.beta)] {
        values.push((name.into(), D::read(&grads.get(variable))?));
    }
    Ok(values)
}

fn last<D: Backend>(device: &D, (n, side, ci, co): (usize, usize, usize, usize)) -> Result<Values> {
    let x = D::tensor(device, (n, side, side, ci), &random(3, n * side * side * ci))?;
    let (conv, scratch) = (conv(device, 50, ci, co)?, Arc::default());
    differentiate(&x, &[&conv], |x| pointwise_convolution(x, &conv, true, &scratch))
}

fn top<D: Backend>(device: &D, units: usize) -> Result<Values> {
    let (n, side, c) = (32, 5, 1280);
    let x = D::tensor(device, (n, side, side, c), &random(4, n * side * side * c))?;
    let kernel = flat(device, random(5, c * units))?;
    let bias = flat(device, random(6, units))?;
    let features = head::global_average_pooling(x.leaky_trace())?;
    let y = head::dense(head::scale(features, random(8, n * c))?, &kernel, &bias, true)?;
    let mut values = vec![("y".to_owned(), D::read(&y.retaped::<NoneTape>())?)];
    let grads = D::backward_from(y, &random(7, n * units))?;
    values.push(("x".into(), D::read(&grads.get(&x))?));
    values.push(("kernel".into(), D::read(&grads.get(&kernel))?));
    values.push(("bias".into(), D::read(&grads.get(&bias))?));
    Ok(values)
}

/// Three steps of an optimizer on a dense layer's kernel.
fn steps<D: Backend>(device: &D, rule: UpdateRule) -> Result<Values> {
    let (n, len) = (4, 1003);
    let (mut w, bias) = (flat(device, random(60, len))?, flat(device, vec![0.1])?);
    let (mut m, mut v) = (flat(device, vec![0.0; len])?, flat(device, vec![0.0; len])?);
    for step in 0..3 {
        let x = D::tensor(device, (n, len), &random(61 + step, n * len))?;
        let y = head::dense(x.leaky_trace(), &w, &bias, false)?;
        let mut grads = D::backward_from(y, &random(70 + step, n))?;
        D::update(rule, &mut w, &mut grads, Some(&mut m), &mut v)?;
    }
    Ok(vec![("y".into(), D::read(&w)?), ("m".into(), D::read(&m)?), ("v".into(), D::read(&v)?)])
}
