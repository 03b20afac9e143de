//! Folding and unfolding on dfdx's CPU tensors.

use dfdx::prelude::{Cpu, Gradients};
use dfdx::tensor::CpuError;

use super::{fold as fold_slices, unfold_gradients, ConvBn, Folded, Slices};
use crate::ops::view::slice;

fn slices(conv: &ConvBn<Cpu>) -> Slices<'_> {
    Slices {
        kernel: slice(&conv.kernel),
        gamma: slice(&conv.gamma),
        beta: slice(&conv.beta),
        mean: slice(&conv.mean),
        variance: slice(&conv.variance),
    }
}

/// Folds `conv` into `out`, reusing its memory.
pub(crate) fn fold(conv: &ConvBn<Cpu>, out: &mut Folded) {
    fold_slices(slices(conv), out);
}

/// Adds to `grads` what the folded gradients mean for the variables that train. `dw` is overwritten.
pub(crate) fn add_gradients(
    conv: &ConvBn<Cpu>,
    dw: &mut [f32],
    db: &[f32],
    grads: &mut Gradients<f32, Cpu>,
) -> Result<(), CpuError> {
    let dgamma = unfold_gradients(slices(conv), dw, db);
    if conv.trains.kernel {
        add_into(grads.get_or_alloc_mut(&conv.kernel)?, dw);
    }
    if conv.trains.batch_norm {
        add_into(grads.get_or_alloc_mut(&conv.gamma)?, &dgamma);
        add_into(grads.get_or_alloc_mut(&conv.beta)?, db);
    }
    Ok(())
}

/// `sum += add`.
pub(crate) fn add_into(sum: &mut [f32], add: &[f32]) {
    debug_assert_eq!(sum.len(), add.len());
    for (s, a) in sum.iter_mut().zip(add) {
        *s += a;
    }
}
