//! The formulas of the optimizers on slices.

use crate::check_len;
use crate::simd::{active, dispatch, Kernel, Simd};
use crate::workspace::{parallel, part, threads, Shared};

/// Constants of one optimizer step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UpdateRule {
    /// `m += (1−β₁)(g−m); v += (1−β₂)(g²−v); w −= rate · m/(√v + ε)`, `rate` already corrected for bias.
    Adam {
        /// Learning rate times the bias correction of this step.
        rate: f32,
        /// Decay of the first moment.
        beta_1: f32,
        /// Decay of the second moment.
        beta_2: f32,
        /// Keeps the quotient finite.
        epsilon: f32,
    },
    /// `v = ρ v + (1−ρ) g²; w −= rate · g/√(v + ε)`.
    RmsProp {
        /// Learning rate.
        rate: f32,
        /// Decay of the mean square.
        rho: f32,
        /// Keeps the quotient finite.
        epsilon: f32,
    },
}

/// One step on the weights `w` with gradient `g` and the moments `m` (Adam alone) and `v`, all of one length. The
/// result has the same bits with any instruction set: square root and quotient are exactly rounded in all of them.
///
/// ```
/// use transfer_kernels::optimizer::{update, UpdateRule};
/// let rule = UpdateRule::RmsProp { rate: 0.5, rho: 0.0, epsilon: 0.0 };
/// let (mut w, mut v) = ([1.0, 1.0], [0.0, 0.0]);
/// update(rule, &mut w, &[2.0, -4.0], None, &mut v);
/// assert_eq!((w, v), ([0.5, 1.5], [4.0, 16.0]));
/// ```
///
/// # Panics
/// When the slices differ in length, or Adam is given no `m`.
pub fn update(rule: UpdateRule, w: &mut [f32], g: &[f32], m: Option<&mut [f32]>, v: &mut [f32]) {
    let len = w.len();
    check_len("update: g", g.len(), len);
    check_len("update: v", v.len(), len);
    let m = match (rule, m) {
        (UpdateRule::Adam { .. }, None) => panic!("update: Adam needs the first moment m. Received: none."),
        (UpdateRule::Adam { .. }, Some(m)) => {
            check_len("update: m", m.len(), len);
            Some(Shared::new(m))
        }
        (UpdateRule::RmsProp { .. }, _) => None,
    };
    let (w, v) = (Shared::new(w), Shared::new(v));
    // Smaller pieces would be over before another thread wakes up.
    let pieces = (len / 8192).clamp(1, 2 * threads());
    parallel(pieces, |i| {
        let range = part(len, pieces, 16, i);
        // SAFETY: the slices have the same length, and each piece has elements of its own.
        let of = |s: Shared| unsafe { s.slice_mut(range.clone()) };
        let piece = Piece { rule, w: of(w), g: &g[range.clone()], m: m.map(of), v: of(v) };
        // SAFETY: safe code.
        unsafe { dispatch(active(), piece) };
    });
}

struct Piece<'a> {
    rule: UpdateRule,
    w: &'a mut [f32],
    g: &'a [f32],
    m: Option<&'a mut [f32]>,
    v: &'a mut [f32],
}

impl Kernel for Piece<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Piece { rule, w, g, m, v } = self;
        match rule {
            UpdateRule::Adam { rate, beta_1, beta_2, epsilon } => {
                for (((w, g), m), v) in w.iter_mut().zip(g).zip(m.unwrap_or_default()).zip(v) {
                    *m += (g - *m) * (1.0 - beta_1);
                    *v += (g * g - *v) * (1.0 - beta_2);
                    *w -= rate * *m / (v.sqrt() + epsilon);
                }
            }
            UpdateRule::RmsProp { rate, rho, epsilon } => {
                for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
                    *v = rho * *v + (1.0 - rho) * g * g;
                    *w -= rate * g / (*v + epsilon).sqrt();
                }
            }
        }
    }
}
