//! A convolution and its BatchNormalization as one: folding, and the gradients back through it.
//!
//! In inference mode BatchNormalization is `y = γ (x − μ)/σ + β` with `σ = sqrt(variance + ε)`, so
//! convolution and normalization together are a convolution with
//!
//! ```text
//! W' = W · γ/σ      b' = β − γ·μ/σ
//! ```
//!
//! and from the gradients of `W'` and `b'` those of the three variables follow exactly:
//!
//! ```text
//! dγ = Σ (dW' ⊙ W)/σ − db'·μ/σ      dβ = db'      dW = dW'·γ/σ
//! ```
//!
//! In all three kinds of convolution the output channel is the innermost index of the kernel (the
//! trailing 1 of a depthwise kernel's shape changes nothing), so one function serves them all.

pub(crate) mod cpu;
#[cfg(test)]
pub(crate) mod reference;

use crate::model::architecture::BATCH_NORM_EPSILON;
use crate::ops::backend::{Backend, Flat};

/// Which variables of a convolution and its BatchNormalization train.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trains {
    /// The convolution's kernel.
    pub kernel: bool,
    /// γ and β, which share a layer and so always go together.
    pub batch_norm: bool,
}

impl Trains {
    /// Whether anything here trains.
    pub fn any(self) -> bool {
        self.kernel || self.batch_norm
    }
}

/// The five variables, as flat tensors, and which of them train.
#[derive(Debug, Clone)]
pub struct ConvBn<D: Backend> {
    /// The kernel, output channels innermost.
    pub kernel: Flat<D>,
    /// γ, one a channel.
    pub gamma: Flat<D>,
    /// β, one a channel.
    pub beta: Flat<D>,
    /// The moving mean μ, one a channel.
    pub mean: Flat<D>,
    /// The moving variance σ² − ε, one a channel.
    pub variance: Flat<D>,
    /// Which variables train.
    pub trains: Trains,
}

/// A convolution that has swallowed its BatchNormalization.
#[derive(Debug, Clone, Default)]
pub struct Folded {
    /// `W'`, laid out as the kernel.
    pub w: Vec<f32>,
    /// `b'`, one a channel.
    pub b: Vec<f32>,
}

/// The variables of one convolution as slices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slices<'a> {
    pub kernel: &'a [f32],
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    pub mean: &'a [f32],
    pub variance: &'a [f32],
}

/// `σ` from a moving variance.
fn sigma(variance: f32) -> f32 {
    (variance + BATCH_NORM_EPSILON).sqrt()
}

/// Folds into `out`, reusing its memory.
pub(crate) fn fold(v: Slices<'_>, out: &mut Folded) {
    let channels = v.gamma.len();
    let scale: Vec<f32> = (0..channels).map(|c| v.gamma[c] / sigma(v.variance[c])).collect();
    out.b.clear();
    out.b.extend((0..channels).map(|c| v.beta[c] - scale[c] * v.mean[c]));
    out.w.clear();
    out.w.reserve(v.kernel.len());
    for row in v.kernel.chunks_exact(channels) {
        out.w.extend(row.iter().zip(&scale).map(|(w, s)| w * s));
    }
}

/// Turns `dW'` into `dW` in place and returns `dγ`; `dβ` is `db'` itself.
pub(crate) fn unfold_gradients(v: Slices<'_>, dw: &mut [f32], db: &[f32]) -> Vec<f32> {
    let channels = v.gamma.len();
    let mut dgamma = vec![0.0f32; channels];
    let inv_sigma: Vec<f32> = v.variance.iter().map(|&x| 1.0 / sigma(x)).collect();
    let scale: Vec<f32> = v.gamma.iter().zip(&inv_sigma).map(|(g, i)| g * i).collect();
    for (dw_row, w_row) in dw.chunks_exact_mut(channels).zip(v.kernel.chunks_exact(channels)) {
        for c in 0..channels {
            dgamma[c] += dw_row[c] * w_row[c];
            dw_row[c] *= scale[c];
        }
    }
    for c in 0..channels {
        dgamma[c] = (dgamma[c] - db[c] * v.mean[c]) * inv_sigma[c];
    }
    dgamma
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    fn random(rng: &mut Rng, n: usize) -> Vec<f32> {
        (0..n).map(|_| rng.uniform() * 2.0 - 1.0).collect()
    }

    /// `Σ g ⊙ BN(xW)` in f64, straight from the definitions.
    fn objective(x: &[f32], g: &[f32], k: usize, c: usize, v: &[Vec<f64>; 5]) -> f64 {
        let rows = x.len() / k;
        let mut total = 0.0;
        for r in 0..rows {
            for j in 0..c {
                let conv: f64 = (0..k).map(|i| f64::from(x[r * k + i]) * v[0][i * c + j]).sum();
                let s = (v[4][j] + f64::from(BATCH_NORM_EPSILON)).sqrt();
                total += f64::from(g[r * c + j]) * (v[1][j] * (conv - v[3][j]) / s + v[2][j]);
            }
        }
        total
    }

    #[test]
    fn folded_gradients_unfold_to_those_of_finite_differences() {
        let (rows, k, c) = (5, 4, 3);
        let mut rng = Rng::new(&[7]);
        let x = random(&mut rng, rows * k);
        let g = random(&mut rng, rows * c);
        let v = [
            random(&mut rng, k * c),
            random(&mut rng, c),
            random(&mut rng, c),
            random(&mut rng, c),
            random(&mut rng, c).iter().map(|x| x.abs() + 0.1).collect(),
        ];
        let slices = |v: &[Vec<f32>; 5]| -> Folded {
            let mut out = Folded::default();
            let s = Slices { kernel: &v[0], gamma: &v[1], beta: &v[2], mean: &v[3], variance: &v[4] };
            fold(s, &mut out);
            out
        };
        let folded = slices(&v);
        // Forward: the folded convolution gives the same objective.
        let direct = objective(&x, &g, k, c, &v.clone().map(|a| a.iter().map(|&x| f64::from(x)).collect()));
        let mut via_fold = 0.0f64;
        let (mut dw, mut db) = (vec![0.0; k * c], vec![0.0; c]);
        for r in 0..rows {
            for j in 0..c {
                let conv: f32 = (0..k).map(|i| x[r * k + i] * folded.w[i * c + j]).sum();
                via_fold += f64::from(g[r * c + j] * (conv + folded.b[j]));
                db[j] += g[r * c + j];
                (0..k).for_each(|i| dw[i * c + j] += x[r * k + i] * g[r * c + j]);
            }
        }
        assert!((direct - via_fold).abs() < 1e-4, "{direct} {via_fold}");

        let s = Slices { kernel: &v[0], gamma: &v[1], beta: &v[2], mean: &v[3], variance: &v[4] };
        let dgamma = unfold_gradients(s, &mut dw, &db);
        for (which, ours) in [(0, &dw), (1, &dgamma), (2, &db)] {
            for i in 0..ours.len() {
                let at = |d: f64| {
                    let mut w: [Vec<f64>; 5] = v.clone().map(|a| a.iter().map(|&x| f64::from(x)).collect());
                    w[which][i] += d;
                    objective(&x, &g, k, c, &w)
                };
                let numeric = (at(1e-4) - at(-1e-4)) / 2e-4;
                assert!((numeric - f64::from(ours[i])).abs() < 1e-4, "{which} {i}: {numeric} {}", ours[i]);
            }
        }
    }
}
