//! The GPU's [`Backend`]: each method finds its tensors' addresses and starts kernels.

use dfdx::prelude::{
    Backward, Cuda, CudaError, Gradients, HasShape, OwnedTape, PutTape, Rank0, Shape, SplitTape, Tape,
    Tensor, Trace,
};

use super::block::{self, BlockSaved, UnitScratch};
use super::card::Multiplying;
use super::folded::{set_gradients_of_parts, set_pointwise_gradients, sum_columns, with_gradients};
use super::recorded_step::StepScratch;
use super::{address, calls, copy, gradient, product, unset_gradient, zeros, Card};
use crate::ops::backend::{device_error, wrong_length, Activations, Backend, Flat, Matrix};
use crate::ops::conv_bn::ConvBn;
use crate::ops::inverted_residual::BlockParams;
use crate::{Error, Precision, Result};
use transfer_kernels::optimizer::UpdateRule;
use transfer_kernels::Activation;
use transfer_kernels::{BlockShape, Padding};

/// The GPU for a method on the tape, where errors are dfdx's.
fn card() -> Result<&'static Card, CudaError> {
    // Whoever has a tensor on the GPU has had the GPU.
    Card::get().map_err(|_| CudaError::Cpu(dfdx::tensor::CpuError::WrongNumElements))
}

impl Backend for Cuda {
    type BlockSaved = BlockSaved;
    type UnitScratch = UnitScratch;
    type Lent = Box<Cuda>;
    type StepScratch = StepScratch;
    type Multiplying = Multiplying;

    fn multiplying(frozen: Precision, _: Precision) -> Multiplying {
        Multiplying::in_tf32(frozen != Precision::F32)
    }

    fn lend(&self) -> Box<Cuda> {
        // One GPU has one memory; `zeros` keeps threads apart.
        Box::new(self.clone())
    }

    fn block_forward(
        x: &Activations<Cuda>,
        shape: &BlockShape,
        params: &BlockParams<Cuda, UnitScratch>,
        keep: bool,
    ) -> Result<(Activations<Cuda>, Option<BlockSaved>)> {
        block::forward(Card::get()?, x, shape, params, keep)
    }

    fn block_backward(
        shape: &BlockShape,
        params: &BlockParams<Cuda, UnitScratch>,
        saved: BlockSaved,
        x: &Activations<Cuda>,
        y: &Activations<Cuda>,
        grads: &mut Gradients<f32, Cuda>,
    ) -> Result<(), CudaError> {
        block::backward(card()?, shape, params, saved, x, y, grads)
    }

    fn first_forward(
        x: &Activations<Cuda>,
        conv: &ConvBn<Cuda>,
        padding: Padding,
        scratch: &UnitScratch,
    ) -> Result<Activations<Cuda>> {
        let (n, h, w, c) = *x.shape();
        let co = conv.gamma.shape().0;
        if c != 3 {
            return Err(Error::Shape(format!(
                "The first convolution expected images of shape (n, h, w, 3). Received: ({n}, {h}, {w}, {c})"
            )));
        }
        let card = Card::get()?;
        let y = zeros(x.device(), (n, h.div_ceil(2), w.div_ceil(2), co))?;
        let at = scratch.project.of(card, conv)?;
        let (x, to, act) = (address(x)?, address(&y)?, Activation::Relu6);
        // SAFETY: the tensors have these shapes, and the kernel is (3, 3, 3, co) by `Base::new`.
        unsafe { card.launch(calls::first_forward(x, at.w, at.b, act, to, (n, h, w), padding, co)?) }?;
        Ok(y)
    }

    fn first_backward(
        x: &Activations<Cuda>,
        y: &Activations<Cuda>,
        conv: &ConvBn<Cuda>,
        padding: Padding,
        grads: &mut Gradients<f32, Cuda>,
    ) -> Result<(), CudaError> {
        let card = card()?;
        let ((n, h, w, _), (_, oh, ow, co)) = (*x.shape(), *y.shape());
        let dy = gradient(grads, y)?;
        let run = || {
            let partition = calls::first_partition((n, h, w), co);
            let partials = card.memory(partition.len())?;
            let from = partials.address();
            // SAFETY: the tensors have these shapes, a gradient that of its tensor, and the rest is as long as
            // the calls' functions say.
            unsafe {
                card.launch(calls::relu6_backward(address(y)?, None, dy, n * oh * ow, co)?)?;
                card.launch(calls::first_backward_weights(address(x)?, dy, from, (n, h, w), padding, co)?)?;
            }
            Ok((partials, partition))
        };
        let (partials, partition) = run().map_err(|e| card.failed(e))?;
        // SAFETY: 27 taps and a bias for each channel, as the kernel has.
        unsafe { set_gradients_of_parts(card, conv, partials, partition, 27 * co, grads) }
    }

    fn pointwise_forward(
        x: &Activations<Cuda>,
        conv: &ConvBn<Cuda>,
        scratch: &UnitScratch,
    ) -> Result<Activations<Cuda>> {
        let (n, h, w, ci) = *x.shape();
        let (rows, co) = (n * h * w, conv.gamma.shape().0);
        if conv.kernel.shape().0 != ci * co {
            return Err(Error::Shape(format!(
                "A pointwise convolution expected activations of shape (n, h, w, {}). Received: ({n}, {h}, {w}, {ci})",
                conv.kernel.shape().0 / co.max(1)
            )));
        }
        let card = Card::get()?;
        let y = zeros(x.device(), (n, h, w, co))?;
        let at = scratch.project.of(card, conv)?;
        let (x, to) = (address(x)?, address(&y)?);
        // SAFETY: tensors and kernel have these sizes.
        unsafe {
            if calls::fits(ci) && calls::fits(co) {
                let (numbers, act) = (super::card::numbers(), Activation::Relu6);
                let sizes = (rows, ci, co);
                card.launch(calls::pointwise(numbers, true, x, at.w, Some(at.b), None, act, to, sizes)?)?;
                return Ok(y);
            }
            product::forward(card, x, at.w, to, (rows, ci, co))?;
            card.launch(calls::bias_epilogue(to, at.b, None, Activation::Relu6, rows, co)?)?;
        }
        Ok(y)
    }

    fn pointwise_backward(
        x: &Activations<Cuda>,
        y: &Activations<Cuda>,
        conv: &ConvBn<Cuda>,
        input_gradient: bool,
        scratch: &UnitScratch,
        grads: &mut Gradients<f32, Cuda>,
    ) -> Result<(), CudaError> {
        let card = card()?;
        let (n, h, w, ci) = *x.shape();
        let (rows, co) = (n * h * w, y.shape().3);
        let dy = gradient(grads, y)?;
        let failed = |e| card.failed(e);
        let (x_at, y_at) = (address(x).map_err(failed)?, address(y).map_err(failed)?);
        // SAFETY: tensors have these shapes, gradients those of their tensors.
        unsafe {
            let call = calls::relu6_backward(y_at, None, dy, rows, co);
            call.and_then(|call| card.launch(call)).map_err(failed)?;
            set_pointwise_gradients(card, conv, x_at, dy, (rows, ci, co), grads)?;
            if input_gradient {
                let dx = gradient(grads, x)?;
                let at = scratch.project.of(card, conv).map_err(failed)?;
                product::backward_input(card, dy, at.w, dx, (rows, ci, co), true).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn pool_forward(x: &Activations<Cuda>) -> Result<Matrix<Cuda>> {
        let (n, h, w, c) = *x.shape();
        let y = zeros(x.device(), (n, c))?;
        // SAFETY: the tensors have these shapes.
        unsafe { Card::get()?.launch(calls::pool_forward(address(x)?, address(&y)?, n, h * w, c)?) }?;
        Ok(y)
    }

    fn pool_backward(
        x: &Activations<Cuda>,
        y: &Matrix<Cuda>,
        grads: &mut Gradients<f32, Cuda>,
    ) -> Result<(), CudaError> {
        let card = card()?;
        let (n, h, w, c) = *x.shape();
        let (dy, dx) = (gradient(grads, y)?, gradient(grads, x)?);
        let call = calls::pool_backward(dy, dx, n, h * w, c);
        // SAFETY: gradients have the shapes of their tensors.
        call.and_then(|call| unsafe { card.launch(call) }).map_err(|e| card.failed(e))
    }

    fn scale_forward(x: &Matrix<Cuda>, scale: &[f32]) -> Result<Matrix<Cuda>> {
        let card = Card::get()?;
        let (y, factors) = (zeros(x.device(), *x.shape())?, Self::tensor(x.device(), *x.shape(), scale)?);
        let len = scale.len();
        // SAFETY: three tensors of one shape.
        unsafe { card.launch(calls::multiply(address(x)?, address(&factors)?, address(&y)?, len)?) }?;
        Ok(y)
    }

    fn scale_backward(
        x: &Matrix<Cuda>,
        y: &Matrix<Cuda>,
        scale: &[f32],
        grads: &mut Gradients<f32, Cuda>,
    ) -> Result<(), CudaError> {
        let card = card()?;
        let (dy, dx) = (gradient(grads, y)?, gradient(grads, x)?);
        let run = || {
            let factors = Self::tensor(x.device(), *x.shape(), scale)?;
            // SAFETY: gradients have the shapes of their tensors, which are one.
            unsafe { card.launch(calls::multiply_add(dy, address(&factors)?, dx, scale.len())?) }
        };
        run().map_err(|e| card.failed(e))
    }

    fn dense_forward(x: &Matrix<Cuda>, kernel: &Flat<Cuda>, bias: &Flat<Cuda>) -> Result<Matrix<Cuda>> {
        let card = Card::get()?;
        let ((n, c), units) = (*x.shape(), bias.shape().0);
        let y = zeros(x.device(), (n, units))?;
        let to = address(&y)?;
        let _exact = Multiplying::in_tf32(false);
        // SAFETY: the tensors have these shapes; `head::dense` has compared the kernel's.
        unsafe {
            if units <= calls::MOST_UNITS {
                let (x, w, b) = (address(x)?, address(kernel)?, address(bias)?);
                card.launch(calls::dense_forward(x, w, b, to, (n, c, units))?)?;
                return Ok(y);
            }
            product::forward(card, address(x)?, address(kernel)?, to, (n, c, units))?;
            card.launch(calls::bias_epilogue(to, address(bias)?, None, Activation::Linear, n, units)?)?;
        }
        Ok(y)
    }

    fn dense_backward(
        x: &Matrix<Cuda>,
        kernel: &Flat<Cuda>,
        bias: &Flat<Cuda>,
        y: &Matrix<Cuda>,
        input_gradient: bool,
        grads: &mut Gradients<f32, Cuda>,
    ) -> Result<(), CudaError> {
        let card = card()?;
        let sizes @ (n, c, units) = (x.shape().0, x.shape().1, bias.shape().0);
        let dy = gradient(grads, y)?;
        let few = units <= calls::MOST_UNITS;
        let set = if few { unset_gradient } else { gradient };
        let (d_kernel, d_bias) = (set(grads, kernel)?, set(grads, bias)?);
        let dx = match input_gradient {
            true => Some(gradient(grads, x)?),
            false => None,
        };
        if few {
            // SAFETY: as in `dense_forward`; gradients have the shapes of their tensors.
            let run = || unsafe {
                card.launch(calls::dense_backward(address(x)?, dy, [d_kernel, d_bias], sizes)?)?;
                match dx {
                    Some(dx) => card.launch(calls::dense_backward_input(dy, address(kernel)?, dx, sizes)?),
                    None => Ok(()),
                }
            };
            return run().map_err(|e| card.failed(e));
        }
        let _exact = Multiplying::in_tf32(false);
        let run = || {
            let dw = card.memory(c * units)?;
            // SAFETY: as in `dense_forward`; gradients have the shapes of their tensors.
            unsafe {
                product::backward_weights(card, address(x)?, dy, dw.address(), sizes)?;
                card.launch(calls::add_into(dw.address(), d_kernel, c * units)?)?;
                sum_columns(card, dy, n, units, d_bias, true)?;
                if let Some(dx) = dx {
                    product::backward_input(card, dy, address(kernel)?, dx, sizes, true)?;
                }
            }
            Ok(())
        };
        run().map_err(|e| card.failed(e))
    }

    fn update(
        rule: UpdateRule,
        variable: &mut Flat<Cuda>,
        grads: &mut Gradients<f32, Cuda>,
        m: Option<&mut Flat<Cuda>>,
        v: &mut Flat<Cuda>,
    ) -> Result<()> {
        let len = variable.shape().0;
        let same = |t: &Flat<Cuda>| match t.shape().0 {
            found if found == len => address(t),
            found => Err(wrong_length(len, found)),
        };
        let g = gradient(grads, &*variable).map_err(device_error)?;
        // In place: nobody else has the storage of a variable or a moment, since `write` gives each its own and
        // whatever a tape kept is gone after backward.
        let (w, m, v) = (same(variable)?, m.map(|m| same(m)).transpose()?, same(v)?);
        // SAFETY: lengths were compared, and a gradient is as long as its variable.
        unsafe { Card::get()?.launch(calls::update(rule, w, g, m, v, len)?) }
    }

    fn update_by(
        rule: UpdateRule,
        variable: &mut Flat<Cuda>,
        by: &[f32],
        m: Option<&mut Flat<Cuda>>,
        v: &mut Flat<Cuda>,
    ) -> Result<()> {
        let mut gradient = Self::backward_from(variable.leaky_trace(), by)?;
        Self::update(rule, variable, &mut gradient, m, v)
    }

    fn with_gradient(
        grads: &mut Gradients<f32, Cuda>,
        variable: &Flat<Cuda>,
        f: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        let mut values = vec![0.0; variable.shape().0];
        let from = gradient(grads, variable).map_err(device_error)?;
        // SAFETY: a gradient is as long as its variable.
        unsafe { copy::to_host(Card::get()?, from, &mut values) }?;
        f(&values);
        Ok(())
    }

    fn write(t: &mut Flat<Cuda>, values: &[f32]) -> Result<()> {
        // Storage of its own: a clone keeps what it has.
        *t = Self::tensor(t.device(), *t.shape(), values)?;
        Card::get()?.moved();
        Ok(())
    }

    fn read<S: Shape, T: std::fmt::Debug>(t: &Tensor<S, f32, Cuda, T>) -> Result<Vec<f32>> {
        let mut values = vec![0.0; t.shape().num_elements()];
        // SAFETY: the tensor has as many numbers.
        unsafe { copy::to_host(Card::get()?, address(t)?, &mut values) }?;
        Ok(values)
    }

    fn zeroed<S: Shape>(device: &Cuda, shape: S) -> Result<Tensor<S, f32, Cuda>> {
        zeros(device, shape)
    }

    fn tensor<S: Shape>(device: &Cuda, shape: S, values: &[f32]) -> Result<Tensor<S, f32, Cuda>> {
        if shape.num_elements() != values.len() {
            return Err(wrong_length(shape.num_elements(), values.len()));
        }
        let t = zeros(device, shape)?;
        // SAFETY: lengths were compared.
        unsafe { copy::to_card(Card::get()?, values, address(&t)?) }?;
        Ok(t)
    }

    fn backward_from<S: Shape>(
        y: Tensor<S, f32, Cuda, OwnedTape<f32, Cuda>>,
        dy: &[f32],
    ) -> Result<Gradients<f32, Cuda>> {
        let (card, len) = (Card::get()?, y.shape().num_elements());
        if len != dy.len() {
            return Err(wrong_length(len, dy.len()));
        }
        let dy = dy.to_vec();
        // SAFETY: a gradient is as long as its tensor, which was compared with these numbers.
        backward_by(y, move |to| unsafe { copy::to_card(card, &dy, to) })
    }
}

/// The gradients of all that `y` was made of; `seed` writes the gradient of `y` to the address that it is given.
pub(crate) fn backward_by<S: Shape>(
    y: Tensor<S, f32, Cuda, OwnedTape<f32, Cuda>>,
    seed: impl FnOnce(u64) -> Result<()> + 'static,
) -> Result<Gradients<f32, Cuda>> {
    let card = Card::get()?;
    let (y, mut tape) = y.split_tape();
    let last: Tensor<Rank0, f32, Cuda> = zeros(y.device(), ())?;
    tape.add_backward_op(move |grads| seed(gradient(grads, &y)?).map_err(|e| card.failed(e)));
    with_gradients(card, || last.put_tape(tape).try_backward().map_err(|e| card.failure(e)))
}
