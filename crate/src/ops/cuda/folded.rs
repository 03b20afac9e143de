//! A convolution with its BatchNormalization folded into it, on the GPU, and the gradients back out of it:
//! [`crate::ops::conv_bn`] for [`Cuda`].

use std::sync::Mutex;

use dfdx::prelude::{Cuda, CudaError, Gradients, HasShape};

use super::card::Memory;
use super::{address, calls, gradient, product, Card};
use crate::ops::conv_bn::ConvBn;
use crate::Result;

/// Folded kernel and bias, kept until a variable changes. Not to be shared by two convolutions.
#[derive(Default)]
pub struct Folded(Mutex<InMemory>);

#[derive(Default)]
struct InMemory {
    kernel_and_bias: Option<(Memory, Memory)>,
    version: Option<u64>,
}

/// Addresses of a folded kernel and bias.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub w: u64,
    pub b: u64,
}

fn variables(conv: &ConvBn<Cuda>) -> Result<calls::Variables<u64>> {
    Ok(calls::Variables {
        kernel: address(&conv.kernel)?,
        gamma: address(&conv.gamma)?,
        beta: address(&conv.beta)?,
        mean: address(&conv.mean)?,
        variance: address(&conv.variance)?,
    })
}

/// Rows and columns of a kernel: its last axis is the output channel.
fn sides(conv: &ConvBn<Cuda>) -> (usize, usize) {
    let c = conv.gamma.shape().0;
    (conv.kernel.shape().0 / c.max(1), c)
}

impl Folded {
    /// The folded convolution, made anew where a variable may have changed.
    pub fn of(&self, card: &'static Card, conv: &ConvBn<Cuda>) -> Result<At> {
        let (rows, c) = sides(conv);
        // Held while a kernel is put behind others on the GPU's stream; nothing waits meanwhile.
        let mut folded = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if folded.kernel_and_bias.is_none() {
            let memory = (card.memory(rows * c)?, card.memory(c)?);
            (folded.kernel_and_bias, folded.version) = (Some(memory), None);
        }
        let at = folded
            .kernel_and_bias
            .as_ref()
            .map_or(At { w: 0, b: 0 }, |(w, b)| At { w: w.address(), b: b.address() });
        // Each run of a recording starts with other values of what trains.
        let each_time = conv.trains.any() && super::recording::current().is_some();
        if each_time || folded.version != Some(conv.version) {
            let call = calls::fold_batch_norm(variables(conv)?, conv.epsilon, (rows, c), at.w, at.b)?;
            // SAFETY: the memory was taken for this convolution's kernel and bias, and the variables have the
            // lengths of their tensors.
            unsafe { card.launch(call) }?;
            folded.version = Some(conv.version);
        }
        Ok(at)
    }
}

/// Adds to `grads` what the folded gradients `dw` and `db` mean for the variables that train.
///
/// # Safety
/// `dw` is as long as the kernel and `db` as γ.
pub(super) unsafe fn add_gradients(
    card: &'static Card,
    conv: &ConvBn<Cuda>,
    dw: u64,
    db: u64,
    grads: &mut Gradients<f32, Cuda>,
) -> Result<(), CudaError> {
    let (rows, c) = sides(conv);
    let d_kernel = match conv.trains.kernel {
        true => Some(gradient(grads, &conv.kernel)?),
        false => None,
    };
    let d_norm = match conv.trains.batch_norm {
        true => Some((gradient(grads, &conv.gamma)?, gradient(grads, &conv.beta)?)),
        false => None,
    };
    let run = || {
        let v = variables(conv)?;
        let partials = card.memory(calls::column_partition(rows, c).len())?;
        let at = partials.address();
        // SAFETY: gradients are as long as their variables, the partial sums as their partition says, and the
        // rest is the caller's promise.
        unsafe {
            card.launch(calls::unfold_partials(v, conv.epsilon, dw, d_kernel, at, rows, c)?)?;
            if let Some((d_gamma, d_beta)) = d_norm {
                let (mean, variance) = (v.mean, v.variance);
                let epsilon = conv.epsilon;
                let call = calls::unfold_finish(at, db, mean, variance, epsilon, d_gamma, d_beta, rows, c)?;
                card.launch(call)?;
            }
        }
        Ok(())
    };
    run().map_err(|e| card.failed(e))
}

/// The gradients of a pointwise convolution's variables, from its input `x (rows, ci)` and the gradient
/// `dy (rows, co)` of its output, if any of them trains.
///
/// # Safety
/// `x` and `dy` have these sizes, and the kernel is `(ci, co)`.
pub(super) unsafe fn add_pointwise_gradients(
    card: &'static Card,
    conv: &ConvBn<Cuda>,
    x: u64,
    dy: u64,
    (rows, ci, co): (usize, usize, usize),
    grads: &mut Gradients<f32, Cuda>,
) -> Result<(), CudaError> {
    if !conv.trains.any() {
        return Ok(());
    }
    let run = || {
        let (dw, db) = (card.memory(ci * co)?, card.memory(co)?);
        // SAFETY: the caller's promise, and memory of the sizes that are asked for.
        unsafe {
            product::backward_weights(card, x, dy, dw.address(), (rows, ci, co))?;
            sum_columns(card, dy, rows, co, db.address(), false)?;
        }
        Ok((dw, db))
    };
    let (dw, db) = run().map_err(|e| card.failed(e))?;
    // SAFETY: as above.
    unsafe { add_gradients(card, conv, dw.address(), db.address(), grads) }
}

/// The sums of partial sums of `taps` numbers of a kernel and, behind them, `c` of a bias: both in memory of their
/// own, where kernels find them aligned.
///
/// # Safety
/// `partials` are as many as `partition` says.
pub(super) unsafe fn sum_taps_and_bias(
    card: &'static Card,
    partials: u64,
    partition: calls::Partition,
    (taps, c): (usize, usize),
) -> Result<(Memory, Memory)> {
    let (dw, db) = (card.memory(taps)?, card.memory(c)?);
    // SAFETY: the caller's promise, and memory of the sizes that are asked for.
    unsafe {
        card.launch(calls::sum_partials(partials, partition, 0..taps, false, dw.address())?)?;
        card.launch(calls::sum_partials(partials, partition, taps..taps + c, false, db.address())?)?;
    }
    Ok((dw, db))
}

/// `sums[c] = Σ x (rows, c)` over the rows, or `+=` with `accumulate`.
///
/// # Safety
/// `x` and `sums` have these sizes.
pub(super) unsafe fn sum_columns(
    card: &'static Card,
    x: u64,
    rows: usize,
    c: usize,
    sums: u64,
    accumulate: bool,
) -> Result<()> {
    let partition = calls::column_partition(rows, c);
    let partials = card.memory(partition.len())?;
    // SAFETY: the partial sums are as long as their partition says; the rest is the caller's promise.
    unsafe {
        card.launch(calls::column_sums(x, partials.address(), rows, c)?)?;
        card.launch(calls::sum_partials(partials.address(), partition, 0..c, accumulate, sums)?)
    }
}
