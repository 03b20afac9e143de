//! The CPU's [`Backend`]: each method calls kernels on slices.

use dfdx::prelude::{
    Backward, Cpu, Gradients, HasShape, OwnedTape, PutTape, Rank0, Shape, SplitTape, Tape, Tensor,
    ZerosTensor,
};
use dfdx::tensor::CpuError;

use super::backend::{device_error, wrong_length, Activations, Backend, Flat, Matrix};
use super::conv_bn::{cpu as conv_bn, ConvBn};
use super::inverted_residual::{cpu as block, BlockParams};
use super::lent::LentCpu;
use super::multiplying::{Multiplying, WhileMultiplying};
use super::view::{slice, slice_mut};
use crate::{Error, Precision, Result};
use transfer_kernels::batch_norm::Folded;
use transfer_kernels::conv3x3::{conv3x3_first, conv3x3_first_backward_weights};
use transfer_kernels::optimizer::{update, UpdateRule};
use transfer_kernels::pointwise::{
    pointwise, pointwise_backward_input, pointwise_backward_weights, PackedWeights,
};
use transfer_kernels::pooling;
use transfer_kernels::recycled::RecycledBuffer;
use transfer_kernels::{add_into, relu6_backward, Activation};
use transfer_kernels::{BlockShape, Padding};

impl Backend for Cpu {
    type BlockSaved = block::BlockSaved;
    type UnitScratch = block::UnitScratch;
    type Lent = LentCpu;
    type StepScratch = ();
    type Multiplying = WhileMultiplying;

    // Frozen layers have plans of their own.
    fn multiplying(_: Precision, training: Precision) -> WhileMultiplying {
        WhileMultiplying::by(training)
    }

    fn lend(&self) -> LentCpu {
        LentCpu::take()
    }

    fn block_forward(
        x: &Activations<Cpu>,
        shape: &BlockShape,
        params: &BlockParams<Cpu, block::UnitScratch>,
        keep: bool,
    ) -> Result<(Activations<Cpu>, Option<Self::BlockSaved>)> {
        block::forward(x, shape, params, keep)
    }

    fn block_backward(
        shape: &BlockShape,
        params: &BlockParams<Cpu, block::UnitScratch>,
        saved: Self::BlockSaved,
        x: &Activations<Cpu>,
        y: &Activations<Cpu>,
        grads: &mut Gradients<f32, Cpu>,
    ) -> Result<(), CpuError> {
        block::backward(shape, params, saved, x, y, grads)
    }

    fn first_forward(
        x: &Activations<Cpu>,
        conv: &ConvBn<Cpu>,
        padding: Padding,
        _: &block::UnitScratch,
    ) -> Result<Activations<Cpu>> {
        let (n, h, w, c) = *x.shape();
        let co = conv.gamma.shape().0;
        if c != 3 {
            return Err(Error::Shape(format!(
                "The first convolution expected images of shape (n, h, w, 3). Received: ({n}, {h}, {w}, {c})"
            )));
        }
        let mut f = Folded::default();
        conv_bn::fold(conv, &mut f);
        let shape = (n, h.div_ceil(2), w.div_ceil(2), co);
        let mut y = x.device().try_zeros_like(&shape).map_err(device_error)?;
        conv3x3_first(slice(x), n, h, w, padding, &f.w, &f.b, co, Activation::Relu6, slice_mut(&mut y));
        Ok(y)
    }

    fn first_backward(
        x: &Activations<Cpu>,
        y: &Activations<Cpu>,
        conv: &ConvBn<Cpu>,
        padding: Padding,
        grads: &mut Gradients<f32, Cpu>,
    ) -> Result<(), CpuError> {
        let (n, h, w, _) = *x.shape();
        let co = y.shape().3;
        let dy = grads.get_or_alloc_mut(y)?;
        relu6_backward(slice(y), dy);
        let (mut dk, mut db) = (RecycledBuffer::take(27 * co), RecycledBuffer::take(co));
        conv3x3_first_backward_weights(slice(x), dy, n, h, w, padding, co, &mut dk, &mut db);
        conv_bn::add_gradients(conv, &dk, &db, grads)
    }

    fn pointwise_forward(
        x: &Activations<Cpu>,
        conv: &ConvBn<Cpu>,
        scratch: &block::UnitScratch,
    ) -> Result<Activations<Cpu>> {
        let (n, h, w, ci) = *x.shape();
        let co = conv.gamma.shape().0;
        if conv.kernel.shape().0 != ci * co {
            return Err(Error::Shape(format!(
                "A pointwise convolution expected activations of shape (n, h, w, {}). Received: ({n}, {h}, {w}, {ci})",
                conv.kernel.shape().0 / co.max(1)
            )));
        }
        let mut y = x.device().try_zeros_like(&(n, h, w, co)).map_err(device_error)?;
        let packed = scratch.project.packed(conv, Multiplying::here());
        packed.forward(slice(x), n * h * w, Activation::Relu6, None, slice_mut(&mut y));
        Ok(y)
    }

    fn pointwise_backward(
        x: &Activations<Cpu>,
        y: &Activations<Cpu>,
        conv: &ConvBn<Cpu>,
        input_gradient: bool,
        scratch: &block::UnitScratch,
        grads: &mut Gradients<f32, Cpu>,
    ) -> Result<(), CpuError> {
        let (n, h, w, ci) = *x.shape();
        let (rows, co) = (n * h * w, y.shape().3);
        let mut dy = std::mem::take(&mut **grads.get_or_alloc_mut(y)?);
        relu6_backward(slice(y), &mut dy);
        let how = Multiplying::here();
        if conv.trains.any() {
            let (mut dw, mut db) = (RecycledBuffer::take(ci * co), RecycledBuffer::take(co));
            how.backward_weights(slice(x), &dy, rows, (&mut dw, &mut db));
            conv_bn::add_gradients(conv, &dw, &db, grads)?;
        }
        if input_gradient {
            let mut dx = RecycledBuffer::take(rows * ci);
            scratch.project.transposed(conv, how).backward_input(&dy, rows, None, None, &mut dx);
            add_into(grads.get_or_alloc_mut(x)?, &dx);
        }
        **grads.get_or_alloc_mut(y)? = dy;
        Ok(())
    }

    fn pool_forward(x: &Activations<Cpu>) -> Result<Matrix<Cpu>> {
        let (n, h, w, c) = *x.shape();
        let mut y = x.device().try_zeros_like(&(n, c)).map_err(device_error)?;
        pooling::average(slice(x), h * w, c, slice_mut(&mut y));
        Ok(y)
    }

    fn pool_backward(
        x: &Activations<Cpu>,
        y: &Matrix<Cpu>,
        grads: &mut Gradients<f32, Cpu>,
    ) -> Result<(), CpuError> {
        let (_, h, w, c) = *x.shape();
        let dy = std::mem::take(&mut **grads.get_or_alloc_mut(y)?);
        pooling::spread(&dy, h * w, c, grads.get_or_alloc_mut(x)?);
        **grads.get_or_alloc_mut(y)? = dy;
        Ok(())
    }

    fn scale_forward(x: &Matrix<Cpu>, scale: &[f32]) -> Result<Matrix<Cpu>> {
        let mut y = x.device().try_zeros_like(x.shape()).map_err(device_error)?;
        for ((y, x), s) in slice_mut(&mut y).iter_mut().zip(slice(x)).zip(scale) {
            *y = x * s;
        }
        Ok(y)
    }

    fn scale_backward(
        x: &Matrix<Cpu>,
        y: &Matrix<Cpu>,
        scale: &[f32],
        grads: &mut Gradients<f32, Cpu>,
    ) -> Result<(), CpuError> {
        let dy = std::mem::take(&mut **grads.get_or_alloc_mut(y)?);
        for ((dx, dy), s) in grads.get_or_alloc_mut(x)?.iter_mut().zip(&dy).zip(scale) {
            *dx += dy * s;
        }
        **grads.get_or_alloc_mut(y)? = dy;
        Ok(())
    }

    fn dense_forward(x: &Matrix<Cpu>, kernel: &Flat<Cpu>, bias: &Flat<Cpu>) -> Result<Matrix<Cpu>> {
        let ((n, c), units) = (*x.shape(), bias.shape().0);
        let packed = PackedWeights::new(slice(kernel), slice(bias), c, units);
        let mut y = x.device().try_zeros_like(&(n, units)).map_err(device_error)?;
        pointwise(slice(x), n, &packed, Activation::Linear, None, slice_mut(&mut y));
        Ok(y)
    }

    fn dense_backward(
        x: &Matrix<Cpu>,
        kernel: &Flat<Cpu>,
        bias: &Flat<Cpu>,
        y: &Matrix<Cpu>,
        input_gradient: bool,
        grads: &mut Gradients<f32, Cpu>,
    ) -> Result<(), CpuError> {
        let ((n, c), units) = (*x.shape(), bias.shape().0);
        let dy = std::mem::take(&mut **grads.get_or_alloc_mut(y)?);
        let (mut dw, mut db) = (RecycledBuffer::take(c * units), RecycledBuffer::take(units));
        pointwise_backward_weights(slice(x), &dy, n, c, units, &mut dw, &mut db);
        add_into(grads.get_or_alloc_mut(kernel)?, &dw);
        add_into(grads.get_or_alloc_mut(bias)?, &db);
        if input_gradient {
            let transposed = PackedWeights::new_transposed(slice(kernel), c, units);
            let mut dx = RecycledBuffer::take(n * c);
            pointwise_backward_input(&dy, n, &transposed, None, None, &mut dx);
            add_into(grads.get_or_alloc_mut(x)?, &dx);
        }
        **grads.get_or_alloc_mut(y)? = dy;
        Ok(())
    }

    fn update(
        rule: UpdateRule,
        variable: &mut Flat<Cpu>,
        grads: &mut Gradients<f32, Cpu>,
        m: Option<&mut Flat<Cpu>>,
        v: &mut Flat<Cpu>,
    ) -> Result<()> {
        let gradient = grads.get_or_alloc_mut(&*variable).map_err(device_error)?;
        Self::update_by(rule, variable, gradient, m, v)
    }

    fn update_by(
        rule: UpdateRule,
        variable: &mut Flat<Cpu>,
        gradient: &[f32],
        m: Option<&mut Flat<Cpu>>,
        v: &mut Flat<Cpu>,
    ) -> Result<()> {
        let len = variable.shape().0;
        if len != gradient.len() {
            return Err(wrong_length(len, gradient.len()));
        }
        update(rule, slice_mut(variable), gradient, m.map(slice_mut), slice_mut(v));
        Ok(())
    }

    fn with_gradient(
        grads: &mut Gradients<f32, Cpu>,
        variable: &Flat<Cpu>,
        f: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        f(grads.get_or_alloc_mut(variable).map_err(device_error)?);
        Ok(())
    }

    fn write(t: &mut Flat<Cpu>, values: &[f32]) -> Result<()> {
        let len = t.shape().0;
        if len != values.len() {
            return Err(wrong_length(len, values.len()));
        }
        slice_mut(t).copy_from_slice(values);
        Ok(())
    }

    fn read<S: Shape, T: std::fmt::Debug>(t: &Tensor<S, f32, Cpu, T>) -> Result<Vec<f32>> {
        Ok(slice(t).to_vec())
    }

    fn zeroed<S: Shape>(device: &Cpu, shape: S) -> Result<Tensor<S, f32, Cpu>> {
        device.try_zeros_like(&shape).map_err(device_error)
    }

    fn tensor<S: Shape>(device: &Cpu, shape: S, values: &[f32]) -> Result<Tensor<S, f32, Cpu>> {
        let mut t = device.try_zeros_like(&shape).map_err(device_error)?;
        let to = slice_mut(&mut t);
        if to.len() != values.len() {
            return Err(wrong_length(to.len(), values.len()));
        }
        to.copy_from_slice(values);
        Ok(t)
    }

    fn backward_from<S: Shape>(
        y: Tensor<S, f32, Cpu, OwnedTape<f32, Cpu>>,
        dy: &[f32],
    ) -> Result<Gradients<f32, Cpu>> {
        let len = y.shape().num_elements();
        if len != dy.len() {
            return Err(wrong_length(len, dy.len()));
        }
        let (y, mut tape) = y.split_tape();
        let seed: Tensor<Rank0, f32, Cpu> = y.device().try_zeros_like(&()).map_err(device_error)?;
        let dy = dy.to_vec();
        tape.add_backward_op(move |grads| {
            grads.get_or_alloc_mut(&y)?.copy_from_slice(&dy);
            Ok(())
        });
        seed.put_tape(tape).try_backward().map_err(device_error)
    }
}
