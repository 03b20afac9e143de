//! The formulas of the optimizers on slices.

use crate::ops::backend::UpdateRule;
use crate::ops::check_len;
use crate::ops::simd::{active, dispatch, Kernel, Simd};
use crate::ops::workspace::{parallel, part, threads, Shared};
use crate::{Error, Result};

/// One step on the weights `w` with gradient `g`. `m` is needed by Adam alone. The result is the same
/// bits with any instruction set: square root and quotient are exactly rounded in all of them.
pub(crate) fn update(
    rule: UpdateRule,
    w: &mut [f32],
    g: &[f32],
    m: Option<&mut [f32]>,
    v: &mut [f32],
) -> Result<()> {
    let len = w.len();
    check_len("update: g", g.len(), len);
    check_len("update: v", v.len(), len);
    let m = match (rule, m) {
        (UpdateRule::Adam { .. }, None) => {
            return Err(Error::Invalid("Adam needs a first moment; none was given.".into()));
        }
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
        let of = |s: Shared| unsafe { std::slice::from_raw_parts_mut(s.ptr().add(range.start), range.len()) };
        let piece = Piece { rule, w: of(w), g: &g[range.clone()], m: m.map(of), v: of(v) };
        // SAFETY: safe code.
        unsafe { dispatch(active(), piece) };
    });
    Ok(())
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
