//! Folding and unfolding on dfdx's CPU tensors.

use dfdx::prelude::{Cpu, Gradients};
use dfdx::tensor::CpuError;

use super::{fold as fold_slices, unfold_gradients, ConvBn, Folded, Slices};
use crate::ops::buffer::Buffer;
use crate::ops::simd::{active, dispatch, Kernel, Simd};
use crate::ops::view::slice;
use crate::ops::workspace::{parallel, part, threads, Shared};

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

/// Adds to `grads` what the folded gradients mean for the variables that train.
pub(crate) fn add_gradients(
    conv: &ConvBn<Cpu>,
    dw: &[f32],
    db: &[f32],
    grads: &mut Gradients<f32, Cpu>,
) -> Result<(), CpuError> {
    let mut dgamma = Buffer::take(db.len());
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

/// `sum += add`.
pub(crate) fn add_into(sum: &mut [f32], add: &[f32]) {
    crate::ops::check_len("add_into: add", add.len(), sum.len());
    let sum = Shared::new(sum);
    // Smaller pieces would be over before another thread wakes up.
    let pieces = (add.len() / 65536).clamp(1, threads());
    parallel(pieces, |i| {
        let range = part(add.len(), pieces, 16, i);
        // SAFETY: both slices have the same length, and each piece has elements of its own.
        unsafe {
            let sum = std::slice::from_raw_parts_mut(sum.ptr().add(range.start), range.len());
            dispatch(active(), Add { sum, add: &add[range] });
        }
    });
}

struct Add<'a> {
    sum: &'a mut [f32],
    add: &'a [f32],
}

impl Kernel for Add<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (s, a) in self.sum.iter_mut().zip(self.add) {
            *s += a;
        }
    }
}
