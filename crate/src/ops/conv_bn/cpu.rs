//! Folding and unfolding on dfdx's CPU tensors.

use dfdx::prelude::{Cpu, Gradients};
use dfdx::tensor::CpuError;

use transfer_kernels::add_into;
use transfer_kernels::batch_norm::{fold as fold_slices, unfold_gradients, Folded, Variables};
use transfer_kernels::recycled::RecycledBuffer;

use super::ConvBn;
use crate::ops::view::slice;

fn slices(conv: &ConvBn<Cpu>) -> Variables<'_> {
    Variables {
        kernel: slice(&conv.kernel),
        gamma: slice(&conv.gamma),
        beta: slice(&conv.beta),
        mean: slice(&conv.mean),
        variance: slice(&conv.variance),
        epsilon: conv.epsilon,
    }
}

/// Folds `conv` into `out`, reusing its memory.
pub(crate) fn fold(conv: &ConvBn<Cpu>, out: &mut Folded) {
    fold_slices(slices(conv), out);
}

/// Adds to `grads` what the folded gradients mean for the variables that train.
pub(crate) fn add_gradients(
    conv: &ConvBn<Cpu>,
    dw: &[f32],
    db: &[f32],
    grads: &mut Gradients<f32, Cpu>,
) -> Result<(), CpuError> {
    let mut dgamma = RecycledBuffer::take(db.len());
    let kernel = match conv.trains.kernel {
        true => Some(&mut grads.get_or_alloc_mut(&conv.kernel)?[..]),
        false => None,
    };
    unfold_gradients(slices(conv), dw, db, kernel, &mut dgamma);
    if conv.trains.batch_norm {
        add_into(grads.get_or_alloc_mut(&conv.gamma)?, &dgamma);
        add_into(grads.get_or_alloc_mut(&conv.beta)?, db);
    }
    Ok(())
}
