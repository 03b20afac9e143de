//! A convolution with its BatchNormalization folded into it, on the GPU, and the gradients back out of it:
//! [`crate::ops::conv_bn`] for [`Cuda`].

use std::cell::RefCell;
use std::sync::Mutex;

use dfdx::prelude::{Cuda, CudaError, Gradients, HasShape};

use super::calls::Parts;
use super::memory::Memory;
use super::{address, calls, product, recorder, recording, unset_gradient, Card};
use crate::ops::conv_bn::ConvBn;
use crate::{Error, Result};

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
pub(crate) struct At {
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
    pub(super) fn of(&self, card: &'static Card, conv: &ConvBn<Cuda>) -> Result<At> {
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
        if folded.version != Some(conv.version) {
            // What is recorded is not computed yet, and would count as right.
            if recorder::current().is_some() {
                return Err(Error::Device("A convolution was to be folded while a step is recorded.".into()));
            }
            let call = calls::fold_batch_norm(variables(conv)?, conv.epsilon, (rows, c), at.w, at.b)?;
            // SAFETY: the memory was taken for this convolution's kernel and bias, and the variables have the
            // lengths of their tensors.
            unsafe { card.launch(call) }?;
            folded.version = Some(conv.version);
        }
        Ok(at)
    }
}

/// Gradients of folded convolutions that wait for the end of the backward pass, where one launch brings them all to
/// their variables.
#[derive(Default)]
struct Waiting {
    table: Vec<u64>,
    /// What the table has addresses of.
    held: Vec<Memory>,
}

thread_local! {
    static WAITING: RefCell<Option<Waiting>> = const { RefCell::new(None) };
}

/// Runs a backward pass, and behind it what waits for its end.
pub(super) fn with_gradients<T>(card: &'static Card, backward: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = WAITING.replace(Some(Waiting::default()));
    let done = backward();
    let waiting = WAITING.replace(before).unwrap_or_default();
    let done = done?;
    unfold(card, waiting)?;
    Ok(done)
}

fn unfold(card: &'static Card, waiting: Waiting) -> Result<()> {
    if waiting.table.is_empty() {
        return Ok(());
    }
    let rows = waiting.table.len() / calls::UNFOLD_WORDS;
    let table = recording::table(card, &waiting.table)?;
    // SAFETY: gradients and variables are as long as the rows say, and what is held is still there.
    unsafe { card.launch(calls::unfold_all(table.address(), rows)?) }
}

/// Gives the variables that train the gradients that `dw` and `db` of the folded convolution mean for them: at the end
/// of the backward pass, or at once where none is under way. A variable has its gradient from one convolution alone.
///
/// # Safety
/// `dw` is as long as the kernel and `db` as γ, and `held` is what they lie in.
pub(super) unsafe fn set_gradients(
    card: &'static Card,
    conv: &ConvBn<Cuda>,
    sums: (Parts<u64>, Parts<u64>),
    held: Vec<Memory>,
    grads: &mut Gradients<f32, Cuda>,
) -> Result<(), CudaError> {
    let d_kernel = match conv.trains.kernel {
        true => Some(unset_gradient(grads, &conv.kernel)?),
        false => None,
    };
    let d_norm = match conv.trains.batch_norm {
        true => Some((unset_gradient(grads, &conv.gamma)?, unset_gradient(grads, &conv.beta)?)),
        false => None,
    };
    let run = || {
        let rows = calls::unfold_rows(variables(conv)?, conv.epsilon, sums, d_kernel, d_norm, sides(conv));
        let now = WAITING.with_borrow_mut(|waiting| match waiting {
            Some(waiting) => {
                waiting.table.extend(&rows);
                waiting.held.extend(held);
                None
            }
            None => Some(Waiting { table: rows, held }),
        });
        now.map_or(Ok(()), |now| unfold(card, now))
    };
    run().map_err(|e| card.failed(e))
}

/// The gradients of a pointwise convolution's variables, from its input `x (rows, ci)` and the gradient
/// `dy (rows, co)` of its output, if any of them trains.
///
/// # Safety
/// `x` and `dy` have these sizes, and the kernel is `(ci, co)`.
pub(super) unsafe fn set_pointwise_gradients(
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
        let partition = calls::column_partition(rows, co);
        let (dw, partials) = (card.memory(ci * co)?, card.memory(partition.len())?);
        // SAFETY: the caller's promise, and memory of the sizes that are asked for.
        unsafe {
            product::backward_weights(card, x, dy, dw.address(), (rows, ci, co))?;
            card.launch(calls::column_sums(dy, partials.address(), rows, co)?)?;
        }
        let db = Parts { at: partials.address(), parts: partition.parts, each: partition.each };
        Ok(((Parts::whole(dw.address()), db), vec![dw, partials]))
    };
    let (sums, held) = run().map_err(|e| card.failed(e))?;
    // SAFETY: as above.
    unsafe { set_gradients(card, conv, sums, held, grads) }
}

/// The gradients of a convolution's variables from partial sums, each `taps` numbers of the kernel and, behind them,
/// those of the bias.
///
/// # Safety
/// `partials` are as many as `partition` says, and a kernel's and a bias' numbers each.
pub(super) unsafe fn set_gradients_of_parts(
    card: &'static Card,
    conv: &ConvBn<Cuda>,
    partials: Memory,
    partition: calls::Partition,
    taps: usize,
    grads: &mut Gradients<f32, Cuda>,
) -> Result<(), CudaError> {
    let part = |first: usize| Parts {
        at: partials.address() + (first * size_of::<f32>()) as u64,
        parts: partition.parts,
        each: partition.each,
    };
    let sums = (part(0), part(taps));
    // SAFETY: the caller's promise.
    unsafe { set_gradients(card, conv, sums, vec![partials], grads) }
}

/// Folded convolutions that are folded anew by one launch, at the start of a recorded step.
pub(crate) struct FoldTogether {
    table: Vec<u64>,
}

impl FoldTogether {
    pub fn new() -> Self {
        FoldTogether { table: Vec::new() }
    }

    /// Folds a convolution now where that is due, and with `again` adds it to those that are folded together. What was
    /// folded counts as right from here on.
    pub fn add(
        &mut self,
        card: &'static Card,
        folded: &Folded,
        conv: &ConvBn<Cuda>,
        again: bool,
    ) -> Result<()> {
        let at = folded.of(card, conv)?;
        if !again {
            return Ok(());
        }
        self.table.extend(calls::fold_rows(variables(conv)?, conv.epsilon, sides(conv), at.w, at.b));
        Ok(())
    }

    /// Folds all of them.
    pub fn launch(&self, card: &'static Card) -> Result<()> {
        if self.table.is_empty() {
            return Ok(());
        }
        let table = recording::table(card, &self.table)?;
        // SAFETY: the table has the addresses of variables and of memory that was made for what they give.
        unsafe { card.launch(calls::fold_all(table.address(), self.table.len() / calls::FOLD_WORDS)?) }
    }
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
