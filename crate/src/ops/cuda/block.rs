//! The inverted residual block on the GPU; `inverted_residual/cpu.rs` has the same steps.
//!
//! The bare product of the expansion is kept, without bias and ReLU6: the kernels of the depthwise
//! convolution apply them as they read, which saves a pass over the largest activation in each direction.

use dfdx::prelude::{Cuda, CudaError, Gradients, HasShape};

use super::calls::Numbers;
use super::card;
use super::folded::{set_gradients_of_parts, set_pointwise_gradients, Folded};
use super::memory::Memory;
use super::{address, calls, gradient, product, zeros, Card};
use crate::ops::backend::Activations;
use crate::ops::conv_bn::ConvBn;
use crate::ops::inverted_residual::BlockParams;
use crate::{Error, Result};
use transfer_kernels::BlockShape;
use transfer_kernels::{Activation, DepthwiseShape};

/// Folded convolutions, kept as long as they are right.
#[derive(Default)]
pub struct UnitScratch {
    pub(crate) expand: Folded,
    pub(crate) depthwise: Folded,
    /// The projection, or the one convolution of a unit that has no more.
    pub(crate) project: Folded,
}

/// What backward needs of forward.
pub struct BlockSaved {
    /// The bare product of the expansion `(n, h, w, expanded)`; `None` where the block does not expand.
    product: Option<Memory>,
    /// After the depthwise convolution and ReLU6 `(n, h', w', expanded)`.
    filtered: Memory,
}

/// Sizes of a block for `n` images.
struct Sizes {
    shape: DepthwiseShape,
    rows_in: usize,
    rows_out: usize,
}

impl Sizes {
    fn new(n: usize, s: &BlockShape) -> Self {
        let shape = s.depthwise(n);
        Sizes { shape, rows_in: n * s.h * s.w, rows_out: n * s.out_h() * s.out_w() }
    }
}

pub(super) fn forward(
    card: &'static Card,
    x: &Activations<Cuda>,
    s: &BlockShape,
    p: &BlockParams<Cuda, UnitScratch>,
    keep: bool,
) -> Result<(Activations<Cuda>, Option<BlockSaved>)> {
    let (n, h, w, c) = *x.shape();
    if (h, w, c) != (s.h, s.w, s.ci) {
        return Err(Error::Shape(format!(
            "An inverted residual block expected activations of shape (n, {}, {}, {}). Received: ({n}, {h}, {w}, {c})",
            s.h, s.w, s.ci
        )));
    }
    let Sizes { shape, rows_in, rows_out } = Sizes::new(n, s);
    let scratch = &p.scratch;
    let y = zeros(x.device(), (n, s.out_h(), s.out_w(), s.co))?;
    let numbers = card::numbers();
    if !keep && fits(s) {
        // SAFETY: the tensors have these shapes.
        unsafe { forward_fused(card, numbers, numbers, address(x)?, address(&y)?, n, s, p) }?;
        return Ok((y, None));
    }
    let (x_at, y_at) = (address(x)?, address(&y)?);
    let filtered = card.memory(rows_out * s.expanded)?;
    let mut expanded = None;
    // SAFETY: tensors and memory have the sizes that are given with them, by the checks above and in
    // `Base::new`, which refuses variables of other shapes.
    unsafe {
        let (mut input, mut input_bias) = (x_at, None);
        if let Some(conv) = &p.expand {
            let at = scratch.expand.of(card, conv)?;
            let z = card.memory(rows_in * s.expanded)?;
            if fits(s) {
                let (to, sizes) = (z.address(), (rows_in, s.ci, s.expanded));
                let act = Activation::Linear;
                card.launch(calls::pointwise(numbers, true, x_at, at.w, None, None, act, to, sizes)?)?;
            } else {
                product::forward(card, x_at, at.w, z.address(), (rows_in, s.ci, s.expanded))?;
            }
            (input, input_bias) = (z.address(), Some(at.b));
            expanded = Some(z);
        }
        let at = scratch.depthwise.of(card, &p.depthwise)?;
        let (act, to) = (Activation::Relu6, filtered.address());
        card.launch(calls::depthwise_forward(input, input_bias, at.w, at.b, act, to, &shape)?)?;
        let at = scratch.project.of(card, &p.project)?;
        let (from, sizes) = (filtered.address(), (rows_out, s.expanded, s.co));
        let (residual, act) = (s.residual.then_some(x_at), Activation::Linear);
        if fits(s) {
            card.launch(calls::pointwise(
                numbers,
                true,
                from,
                at.w,
                Some(at.b),
                residual,
                act,
                y_at,
                sizes,
            )?)?;
        } else {
            product::forward(card, from, at.w, y_at, sizes)?;
            card.launch(calls::bias_epilogue(y_at, at.b, residual, act, rows_out, s.co)?)?;
        }
    }
    Ok((y, keep.then_some(BlockSaved { product: expanded, filtered })))
}

/// Whether the fused kernels take the block's channels.
pub(super) fn fits(s: &BlockShape) -> bool {
    [s.ci, s.expanded, s.co].into_iter().all(calls::fits)
}

/// A block of which nothing is kept, from `x` to `y`, which are addresses of numbers of these kinds: of `from` `x` and
/// what lies between, of `to` the result.
///
/// # Safety
/// `x (n, h, w, ci)` and `y (n, h', w', co)` are addresses of as many numbers, and the block [`fits`].
#[allow(clippy::too_many_arguments)] // kinds and places of two arrays
pub(super) unsafe fn forward_fused(
    card: &'static Card,
    from: Numbers,
    to: Numbers,
    x: u64,
    y: u64,
    n: usize,
    s: &BlockShape,
    p: &BlockParams<Cuda, UnitScratch>,
) -> Result<()> {
    let Sizes { shape, rows_out, .. } = Sizes::new(n, s);
    let filtered = card.memory((rows_out * s.expanded * from.bytes()).div_ceil(4))?;
    let at = p.scratch.depthwise.of(card, &p.depthwise)?;
    let between = filtered.address();
    let call = match &p.expand {
        Some(conv) => {
            let e = p.scratch.expand.of(card, conv)?;
            calls::expand_depthwise(from, x, [e.w, e.b], [at.w, at.b], between, n, s)?
        }
        None => {
            let call = calls::depthwise_forward(x, None, at.w, at.b, Activation::Relu6, between, &shape)?;
            calls::stored_as(from, call)
        }
    };
    let at = p.scratch.project.of(card, &p.project)?;
    let (residual, sizes) = (s.residual.then_some(x), (rows_out, s.expanded, s.co));
    let (float_result, act) = (to != Numbers::Bf16, Activation::Linear);
    let project = calls::pointwise(from, float_result, between, at.w, Some(at.b), residual, act, y, sizes)?;
    // SAFETY: the caller's promise, and memory of as many numbers between the two.
    unsafe {
        card.launch(call)?;
        card.launch(project)
    }
}

pub(super) fn backward(
    card: &'static Card,
    s: &BlockShape,
    p: &BlockParams<Cuda, UnitScratch>,
    saved: BlockSaved,
    x: &Activations<Cuda>,
    y: &Activations<Cuda>,
    grads: &mut Gradients<f32, Cuda>,
) -> Result<(), CudaError> {
    let Sizes { shape, rows_in, rows_out } = Sizes::new(x.shape().0, s);
    let expand_trains = p.expand.as_ref().is_some_and(|e| e.trains.any());
    let below_depthwise = expand_trains || p.input_gradient;
    let below_project = p.depthwise.trains.any() || below_depthwise;
    let dy = gradient(grads, y)?;
    let dx = match p.input_gradient {
        true => Some(gradient(grads, x)?),
        false => None,
    };
    let scratch = &p.scratch;
    let failed = |e| card.failed(e);
    let (filtered, x) = (saved.filtered.address(), address(x).map_err(failed)?);
    // SAFETY: as in `forward`, where the saved memory was filled for these sizes.
    unsafe {
        set_pointwise_gradients(card, &p.project, filtered, dy, (rows_out, s.expanded, s.co), grads)?;
        if !below_project {
            return Ok(());
        }
        let d_filtered = card.memory(rows_out * s.expanded).map_err(failed)?;
        let d = d_filtered.address();
        let (input, input_bias) = match (&saved.product, &p.expand) {
            (Some(z), Some(conv)) => (z.address(), Some(scratch.expand.of(card, conv).map_err(failed)?.b)),
            _ => (x, None),
        };
        let run = || {
            let at = scratch.project.of(card, &p.project)?;
            product::backward_input(card, dy, at.w, d, (rows_out, s.expanded, s.co), false)?;
            card.launch(calls::relu6_backward(filtered, None, d, rows_out, s.expanded)?)
        };
        run().map_err(failed)?;
        if p.depthwise.trains.any() {
            depthwise_weights(card, s, &p.depthwise, (input, input_bias), d, &shape, grads)?;
        }
        if !below_depthwise {
            return Ok(());
        }
        let at = scratch.depthwise.of(card, &p.depthwise).map_err(failed)?;
        let Some(conv) = &p.expand else {
            // Without an expansion there is no ReLU6 of this block in front of the depthwise convolution: the
            // activation below masks its own gradient.
            let run = || {
                let Some(dx) = dx else { return Ok(()) };
                card.launch(calls::depthwise_backward_input(d, at.w, None, None, true, dx, &shape)?)?;
                if s.residual {
                    card.launch(calls::add_into(dy, dx, rows_in * s.ci)?)?;
                }
                Ok(())
            };
            return run().map_err(failed);
        };
        let d_input = card.memory(rows_in * s.expanded).map_err(failed)?;
        let run = || {
            let (mask, to) = (Some(input), d_input.address());
            card.launch(calls::depthwise_backward_input(d, at.w, mask, input_bias, false, to, &shape)?)?;
            let Some(dx) = dx else { return Ok(()) };
            let at = scratch.expand.of(card, conv)?;
            product::backward_input(card, to, at.w, dx, (rows_in, s.ci, s.expanded), true)?;
            if s.residual {
                card.launch(calls::add_into(dy, dx, rows_in * s.ci)?)?;
            }
            Ok(())
        };
        run().map_err(failed)?;
        set_pointwise_gradients(card, conv, x, d_input.address(), (rows_in, s.ci, s.expanded), grads)
    }
}

/// Adds the gradients of a depthwise convolution's variables: `input` with the bias that its values lack, and the
/// gradient `d` of the output.
///
/// # Safety
/// The addresses are of arrays of these sizes.
unsafe fn depthwise_weights(
    card: &'static Card,
    s: &BlockShape,
    conv: &ConvBn<Cuda>,
    (input, input_bias): (u64, Option<u64>),
    d: u64,
    shape: &DepthwiseShape,
    grads: &mut Gradients<f32, Cuda>,
) -> Result<(), CudaError> {
    let run = || {
        let partition = calls::depthwise_partition(shape);
        let partials = card.memory(partition.len())?;
        let from = partials.address();
        // SAFETY: the partial sums are as many as their partition says; the rest is the caller's promise.
        unsafe {
            card.launch(calls::depthwise_backward_weights(input, input_bias, d, from, shape)?)?;
        }
        Ok((partials, partition))
    };
    let (partials, partition) = run().map_err(|e| card.failed(e))?;
    // SAFETY: as many as the convolution has taps and channels.
    unsafe { set_gradients_of_parts(card, conv, partials, partition, s.side * s.side * s.expanded, grads) }
}
