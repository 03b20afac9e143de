//! The gradients of the whole trainable part against an f64 reference, and that against finite
//! differences, for boundaries at every kind of place in a block.

use dfdx::prelude::*;

use crate::architecture::{mobilenet_v2, Architecture, ConvKind, Padding, Unit, UnitKind};
use crate::network::base::Base;
use crate::ops::conv_bn::reference::{Dims, Gradient, Kind, Reference};
use crate::ops::inverted_residual::reference::ReferenceBlock;
use crate::ops::{head, view};
use crate::random::Rng;
use crate::weights::{Tensor, Weights};

const SIZE: usize = 32;
const N: usize = 2;

/// Weights that keep activations alive through all layers: He-scaled kernels, BN near identity.
pub(crate) fn random_weights() -> Weights {
    let mut weights = Weights::new();
    for layer in &Architecture::new(&mobilenet_v2(), SIZE, SIZE).layers {
        for variable in &layer.variables {
            let (name, shape) = (variable.name, &variable.shape);
            let key = format!("{}/{name}", layer.name);
            let mut rng = Rng::new(&[5, key.bytes().fold(0, |h, b| h.wrapping_mul(31) + u64::from(b))]);
            let fan_in: usize =
                if name == "depthwise_kernel" { 9 } else { shape.iter().rev().skip(1).product() };
            let scale = (6.0 / fan_in as f32).sqrt();
            let len: usize = shape.iter().product();
            let values = (0..len)
                .map(|_| {
                    let u = rng.uniform() * 2.0 - 1.0;
                    match name {
                        "gamma" => 1.0 + 0.3 * u,
                        "beta" => 0.5 * u,
                        "moving_mean" => 0.2 * u,
                        "moving_variance" => 1.0 + 0.5 * u,
                        _ => scale * u,
                    }
                })
                .collect();
            weights.insert(key, Tensor::new(shape.clone(), values).unwrap());
        }
    }
    weights
}

fn reference(base: &Base<Cpu>, unit: &Unit) -> ReferenceBlock {
    let values = |name: String| -> Vec<f64> {
        view::slice(&base.variable(&name).unwrap().tensor).iter().map(|&v| f64::from(v)).collect()
    };
    let convs = unit.convs.iter().map(|spec| {
        let kind = match spec.kind {
            ConvKind::Full => Kind::First,
            ConvKind::Depthwise => Kind::Depthwise { stride: spec.stride, side: spec.side },
            ConvKind::Pointwise => Kind::Pointwise,
        };
        let [kernel, gamma, beta, mean, variance] = spec.variable_names().map(values);
        let (epsilon, relu6) = (f64::from(spec.epsilon), spec.relu6);
        let symmetric = spec.padding == Padding::Symmetric;
        Reference { kind, symmetric, kernel, gamma, beta, mean, variance, epsilon, relu6 }
    });
    let residual = matches!(&unit.kind, UnitKind::InvertedResidual(s) if s.residual);
    ReferenceBlock { convs: convs.collect(), residual }
}

/// `Σ g ⊙ mean over pixels of the output of all units`, for fixed random `g`.
struct Objective {
    blocks: Vec<ReferenceBlock>,
    x: Vec<f64>,
    dims: Dims,
    g: Vec<f64>,
}

impl Objective {
    fn value(&self) -> f64 {
        let (mut x, mut d) = (self.x.clone(), self.dims);
        for b in &self.blocks {
            x = b.forward(&x, d);
            d = b.out_dims(d);
        }
        let pixels = (d.1 * d.2) as f64;
        x.iter().enumerate().map(|(i, v)| v * self.g_at(i, d) / pixels).sum()
    }

    fn g_at(&self, i: usize, d: Dims) -> f64 {
        self.g[i / (d.1 * d.2 * d.3) * d.3 + i % d.3]
    }

    fn gradients(&self) -> Vec<Vec<Gradient>> {
        let mut inputs = vec![(self.x.clone(), self.dims)];
        for b in &self.blocks {
            let (x, d) = &inputs[inputs.len() - 1];
            inputs.push((b.forward(x, *d), b.out_dims(*d)));
        }
        let (last, d) = inputs.pop().unwrap();
        let pixels = (d.1 * d.2) as f64;
        let mut dy: Vec<f64> = (0..last.len()).map(|i| self.g_at(i, d) / pixels).collect();
        let mut all = Vec::new();
        for (b, (x, d)) in self.blocks.iter().zip(&inputs).rev() {
            let (dx, g) = b.backward(x, *d, &dy);
            dy = dx;
            all.insert(0, g);
        }
        all
    }
}

fn images() -> Vec<f32> {
    let mut rng = Rng::new(&[11]);
    (0..N * SIZE * SIZE * 3).map(|_| rng.uniform() * 2.0 - 1.0).collect()
}

fn relative_error(ours: &[f32], reference: &[f64]) -> f64 {
    let largest = reference.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let worst = ours.iter().zip(reference).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0f64, f64::max);
    worst / largest.max(1e-12)
}

/// Gradients of our ops for `fine_tune_at`, compared with the reference and with differences.
fn check(fine_tune_at: usize) {
    let dev = Cpu::default();
    let mut base = Base::new(dev.clone(), &mobilenet_v2(), (SIZE, SIZE), &random_weights()).unwrap();
    let layers = base.architecture.layers.len();
    base.set_trainable(0..fine_tune_at, false);
    assert_eq!(base.trainable().iter().filter(|&&t| t).count(), layers - fine_tune_at);
    let from = base.first_trainable_unit();

    let x = base.frozen_activations(images()[..].into(), N, from).unwrap();
    let dims = *x.shape();
    let mut rng = Rng::new(&[13]);
    let g: Vec<f32> = (0..N * 1280).map(|_| rng.uniform() * 2.0 - 1.0).collect();
    let units = base.architecture.units[from..].to_vec();
    let mut objective = Objective {
        blocks: units.iter().map(|u| reference(&base, u)).collect(),
        x: view::slice(&x).iter().map(|&v| f64::from(v)).collect(),
        dims,
        g: g.iter().map(|&v| f64::from(v)).collect(),
    };

    let y = head::global_average_pooling(base.forward(x.leaky_traced(), from).unwrap()).unwrap();
    let loss = head::scale(y, g).unwrap().sum::<Rank0, _>();
    assert!((f64::from(loss.array()) - objective.value()).abs() < 1e-3 * objective.value().abs().max(1.0));
    let grads = loss.backward();
    let expected = objective.gradients();

    let mut compared = 0;
    for (u, unit) in units.iter().enumerate() {
        for (c, names) in unit.convs.iter().enumerate() {
            let kernel = names.kernel_name();
            let e = &expected[u][c];
            for (layer, index, variable, reference) in [
                (&names.conv, names.conv_layer, kernel, &e.kernel),
                (&names.bn, names.bn_layer, "gamma", &e.gamma),
                (&names.bn, names.bn_layer, "beta", &e.beta),
            ] {
                if index < fine_tune_at {
                    continue;
                }
                let name = format!("{layer}/{variable}");
                let ours = grads.get(&base.variable(&name).unwrap().tensor).as_vec();
                let error = relative_error(&ours, reference);
                assert!(error < 1e-3, "fine_tune_at {fine_tune_at}, {name}: {error}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, base.trains().iter().filter(|&&t| t).count());

    // The reference itself against differences, at the lowest variables that train.
    for (k, lowest) in expected[0].iter().enumerate() {
        for which in 0..3 {
            let gradient = [&lowest.kernel, &lowest.gamma, &lowest.beta][which];
            for at in [0, gradient.len() / 2, gradient.len() - 1] {
                let mut difference = |h: f64| {
                    let r = &mut objective.blocks[0].convs[k];
                    let slot = match which {
                        0 => &mut r.kernel[at],
                        1 => &mut r.gamma[at],
                        _ => &mut r.beta[at],
                    };
                    *slot += h;
                    let value = objective.value();
                    let r = &mut objective.blocks[0].convs[k];
                    match which {
                        0 => r.kernel[at] -= h,
                        1 => r.gamma[at] -= h,
                        _ => r.beta[at] -= h,
                    }
                    value
                };
                let h = 1e-6;
                let numeric = (difference(h) - difference(-h)) / (2.0 * h);
                let scale = gradient.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
                let error = (numeric - gradient[at]).abs() / scale;
                assert!(
                    error < 1e-4,
                    "at {fine_tune_at}, conv {k}, {which}, {at}: {numeric} {}",
                    gradient[at]
                );
            }
        }
    }
}

#[test]
fn gradients_are_right_when_fine_tuning_from_98_the_expansions_kernel() {
    check(98);
}

#[test]
fn gradients_are_right_when_fine_tuning_from_99_between_a_kernel_and_its_batch_norm() {
    check(99);
}

#[test]
fn gradients_are_right_when_fine_tuning_from_100_inside_a_block() {
    check(100);
}

#[test]
fn gradients_are_right_when_fine_tuning_from_101_the_depthwise_kernel() {
    check(101);
}

#[test]
fn gradients_are_right_when_fine_tuning_from_134_at_a_blocks_start() {
    check(134);
}

#[test]
fn gradients_are_right_when_everything_trains() {
    check(0);
}

#[test]
fn gradients_are_right_when_only_the_last_batch_norm_trains() {
    check(152);
}
