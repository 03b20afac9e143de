//! BatchNormalization in inference mode, folded into the convolution before it, and the gradients back out.
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
//! In all kinds of convolution the output channel is the innermost index of the kernel, so one function serves
//! them all.

use crate::check_len;
use crate::simd::{active, dispatch, Kernel, Simd};
use crate::workspace::{parallel, part, threads, Shared};

/// A convolution that has swallowed its BatchNormalization.
#[derive(Debug, Clone, Default)]
pub struct Folded {
    /// `W'`, laid out as the kernel.
    pub w: Vec<f32>,
    /// `b'`, one a channel.
    pub b: Vec<f32>,
}

/// A convolution's kernel and the variables of its BatchNormalization, `c` channels.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    /// The kernel `(…, c)`.
    pub kernel: &'a [f32],
    /// γ `(c)`.
    pub gamma: &'a [f32],
    /// β `(c)`.
    pub beta: &'a [f32],
    /// The moving mean μ `(c)`.
    pub mean: &'a [f32],
    /// The moving variance σ² − ε `(c)`.
    pub variance: &'a [f32],
    /// ε.
    pub epsilon: f32,
}

impl Variables<'_> {
    /// `σ` of a channel.
    fn sigma(&self, channel: usize) -> f32 {
        (self.variance[channel] + self.epsilon).sqrt()
    }

    #[track_caller]
    fn check(&self) {
        let c = self.gamma.len();
        check_len("batch_norm: beta", self.beta.len(), c);
        check_len("batch_norm: mean", self.mean.len(), c);
        check_len("batch_norm: variance", self.variance.len(), c);
        let k = self.kernel.len();
        assert!(
            c > 0 && k.is_multiple_of(c),
            "batch_norm: kernel must hold rows of {c} numbers. Received: {k}."
        );
    }
}

/// Folds into `out`, reusing its memory.
///
/// ```
/// use transfer_kernels::batch_norm::{fold, Folded, Variables};
/// let one = Variables { kernel: &[2.0], gamma: &[3.0], beta: &[1.0], mean: &[4.0], variance: &[9.0], epsilon: 0.0 };
/// let mut folded = Folded::default();
/// fold(one, &mut folded);
/// assert_eq!((folded.w, folded.b), (vec![2.0], vec![-3.0]));
/// ```
///
/// # Panics
/// When the slices do not fit each other.
pub fn fold(v: Variables<'_>, out: &mut Folded) {
    v.check();
    let channels = v.gamma.len();
    // The bias' memory first holds γ/σ.
    out.b.clear();
    out.b.extend(v.gamma.iter().enumerate().map(|(c, g)| g / v.sigma(c)));
    // Whatever was there is overwritten, so there is no need for zeros.
    if out.w.len() != v.kernel.len() {
        out.w.resize(v.kernel.len(), 0.0);
    }
    for (to, row) in out.w.chunks_exact_mut(channels).zip(v.kernel.chunks_exact(channels)) {
        to.iter_mut().zip(row).zip(&out.b).for_each(|((to, w), s)| *to = w * s);
    }
    out.b.iter_mut().zip(v.beta).zip(v.mean).for_each(|((b, beta), mean)| *b = beta - *b * mean);
}

/// Columns of [`unfold_gradients`], some of `(·, channels)` matrices and of vectors that have
/// `channels` elements.
struct Unfold<'a> {
    v: Variables<'a>,
    /// `dW'`.
    dw: &'a [f32],
    /// `db'`.
    db: &'a [f32],
    /// Where `dW` is added, if anywhere.
    kernel: Option<Shared>,
    /// Where `dγ` is written.
    gamma: Shared,
    /// Which channels.
    columns: std::ops::Range<usize>,
}

impl Kernel for Unfold<'_> {
    /// # Safety
    /// `kernel` and `gamma` are as long as the kernel and γ, and nobody else uses these columns.
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        const AT_ONCE: usize = 64;
        let Unfold { v, dw, db, kernel, gamma, columns } = self;
        let channels = v.gamma.len();
        for first in columns.clone().step_by(AT_ONCE) {
            let n = AT_ONCE.min(columns.end - first);
            let (mut scale, mut sums) = ([0.0f32; AT_ONCE], [0.0f32; AT_ONCE]);
            for (i, scale) in scale[..n].iter_mut().enumerate() {
                *scale = v.gamma[first + i] * (1.0 / v.sigma(first + i));
            }
            for at in (first..dw.len()).step_by(channels) {
                let (dw, w) = (&dw[at..at + n], &v.kernel[at..at + n]);
                for ((sum, dw), w) in sums[..n].iter_mut().zip(dw).zip(w) {
                    *sum += dw * w;
                }
                if let Some(kernel) = &kernel {
                    // SAFETY: the caller's promise.
                    let to = unsafe { kernel.slice_mut(at..at + n) };
                    for ((to, dw), scale) in to.iter_mut().zip(dw).zip(&scale[..n]) {
                        *to += dw * scale;
                    }
                }
            }
            // SAFETY: as above.
            let to = unsafe { gamma.slice_mut(first..first + n) };
            for (i, to) in to.iter_mut().enumerate() {
                let c = first + i;
                *to = (sums[i] - db[c] * v.mean[c]) * (1.0 / v.sigma(c));
            }
        }
    }
}

/// From `dW'` and `db'` makes `dW`, which it adds to `kernel`, and `dγ`, which it writes to `gamma`;
/// `dβ` is `db'` itself.
///
/// # Panics
/// When the slices do not fit each other.
pub fn unfold_gradients(
    v: Variables<'_>,
    dw: &[f32],
    db: &[f32],
    kernel: Option<&mut [f32]>,
    gamma: &mut [f32],
) {
    v.check();
    let channels = v.gamma.len();
    check_len("unfold_gradients: dw", dw.len(), v.kernel.len());
    check_len("unfold_gradients: db", db.len(), channels);
    check_len("unfold_gradients: gamma", gamma.len(), channels);
    let kernel = kernel.map(|kernel| {
        check_len("unfold_gradients: kernel", kernel.len(), dw.len());
        Shared::new(kernel)
    });
    let gamma = Shared::new(gamma);
    // Smaller pieces would be over before another thread wakes up.
    let pieces = (dw.len() / 16384).clamp(1, threads());
    parallel(pieces, |i| {
        let columns = part(channels, pieces, 16, i);
        // SAFETY: lengths were checked, and each piece has columns of its own.
        unsafe { dispatch(active(), Unfold { v, dw, db, kernel, gamma, columns }) };
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    const EPSILON: f32 = 1e-3;

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
                let s = (v[4][j] + f64::from(EPSILON)).sqrt();
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
            let s = Variables {
                kernel: &v[0],
                gamma: &v[1],
                beta: &v[2],
                mean: &v[3],
                variance: &v[4],
                epsilon: EPSILON,
            };
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

        let s = Variables {
            kernel: &v[0],
            gamma: &v[1],
            beta: &v[2],
            mean: &v[3],
            variance: &v[4],
            epsilon: EPSILON,
        };
        let (mut kernel, mut dgamma) = (vec![0.0; k * c], vec![0.0; c]);
        unfold_gradients(s, &dw, &db, Some(&mut kernel), &mut dgamma);
        for (which, ours) in [(0, &kernel), (1, &dgamma), (2, &db)] {
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
