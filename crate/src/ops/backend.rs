//! What a device must be able to compute for this crate: one method an op and direction.
//!
//! Everything above `ops/` is generic over [`Backend`]; everything that differs between devices is
//! an implementation of it.

use dfdx::prelude::{Cpu, Device, Gradients, OwnedTape, Shape, Tensor};

use transfer_kernels::optimizer::UpdateRule;

pub(crate) use super::tensors::{device_error, wrong_length};
pub use super::tensors::{Activations, Flat, Matrix};

use super::conv_bn::ConvBn;
use super::inverted_residual::BlockParams;
use crate::{Precision, Result};
use transfer_kernels::{BlockShape, Padding};

mod sealed {
    pub trait Sealed {}
    impl Sealed for dfdx::prelude::Cpu {}
    #[cfg(feature = "cuda")]
    impl Sealed for dfdx::prelude::Cuda {}
}

/// A device with this crate's ops: dfdx' `Cpu`, and `Cuda` with the feature `cuda`. No other type can implement it.
pub trait Backend: Device<f32> + sealed::Sealed {
    /// What a block keeps between forward and backward.
    type BlockSaved: 'static;
    /// What a unit of the network (a block, or a pointwise convolution) keeps from step to step: memory,
    /// and whatever it has made of its variables. Threads that compute with one model at the same time share it, so
    /// it must hold no lock while it computes.
    type UnitScratch: Default + Send + Sync + 'static;

    /// What an optimizer keeps from step to step besides its moments.
    type StepScratch: Default + std::fmt::Debug;

    /// While it lives, convolutions of this thread multiply in the precision that was asked for.
    type Multiplying;

    /// Makes convolutions of this thread multiply in a precision, where the device has a choice: that of frozen layers,
    /// which a GPU uses for all, and that of layers that train.
    fn multiplying(frozen: Precision, training: Precision) -> Self::Multiplying;

    /// A device for one pass without a tape.
    type Lent: std::ops::Deref<Target = Self>;

    /// What a pass without a tape allocates its tensors on. Other threads may do such a pass at the same time, which
    /// would not be safe on a model's own device.
    fn lend(&self) -> Self::Lent;

    /// Inverted residual block; with `keep`, what its backward needs is returned too.
    fn block_forward(
        x: &Activations<Self>,
        shape: &BlockShape,
        params: &BlockParams<Self, Self::UnitScratch>,
        keep: bool,
    ) -> Result<(Activations<Self>, Option<Self::BlockSaved>)>;

    /// Adds the gradients of the variables that train, and of `x` if it is asked for.
    fn block_backward(
        shape: &BlockShape,
        params: &BlockParams<Self, Self::UnitScratch>,
        saved: Self::BlockSaved,
        x: &Activations<Self>,
        y: &Activations<Self>,
        grads: &mut Gradients<f32, Self>,
    ) -> Result<(), Self::Err>;

    /// First convolution (3x3, stride 2), BatchNormalization, ReLU6.
    fn first_forward(
        x: &Activations<Self>,
        conv: &ConvBn<Self>,
        padding: Padding,
        scratch: &Self::UnitScratch,
    ) -> Result<Activations<Self>>;

    /// Adds the gradients of its variables; the image's own is never needed.
    fn first_backward(
        x: &Activations<Self>,
        y: &Activations<Self>,
        conv: &ConvBn<Self>,
        padding: Padding,
        grads: &mut Gradients<f32, Self>,
    ) -> Result<(), Self::Err>;

    /// Pointwise convolution, BatchNormalization, ReLU6.
    fn pointwise_forward(
        x: &Activations<Self>,
        conv: &ConvBn<Self>,
        scratch: &Self::UnitScratch,
    ) -> Result<Activations<Self>>;

    /// Adds the gradients of its variables, and of `x` with `input_gradient`.
    fn pointwise_backward(
        x: &Activations<Self>,
        y: &Activations<Self>,
        conv: &ConvBn<Self>,
        input_gradient: bool,
        scratch: &Self::UnitScratch,
        grads: &mut Gradients<f32, Self>,
    ) -> Result<(), Self::Err>;

    /// Mean over height and width.
    fn pool_forward(x: &Activations<Self>) -> Result<Matrix<Self>>;

    /// Spreads the gradient of the mean.
    fn pool_backward(
        x: &Activations<Self>,
        y: &Matrix<Self>,
        grads: &mut Gradients<f32, Self>,
    ) -> Result<(), Self::Err>;

    /// `y = x ⊙ scale`, element by element (dropout, with its mask and factor in `scale`).
    fn scale_forward(x: &Matrix<Self>, scale: &[f32]) -> Result<Matrix<Self>>;

    /// `dx += dy ⊙ scale`.
    fn scale_backward(
        x: &Matrix<Self>,
        y: &Matrix<Self>,
        scale: &[f32],
        grads: &mut Gradients<f32, Self>,
    ) -> Result<(), Self::Err>;

    /// `y = xW + b`, `W` being `(x's columns, b's length)`.
    fn dense_forward(x: &Matrix<Self>, kernel: &Flat<Self>, bias: &Flat<Self>) -> Result<Matrix<Self>>;

    /// Adds the gradients of `kernel`, `bias` and, with `input_gradient`, `x`.
    fn dense_backward(
        x: &Matrix<Self>,
        kernel: &Flat<Self>,
        bias: &Flat<Self>,
        y: &Matrix<Self>,
        input_gradient: bool,
        grads: &mut Gradients<f32, Self>,
    ) -> Result<(), Self::Err>;

    /// One optimizer step on one variable, whose gradient is in `grads`; `m` and `v` are its moments
    /// (RMSprop has no `m`). A variable without a gradient counts as one whose gradient is zero.
    fn update(
        rule: UpdateRule,
        variable: &mut Flat<Self>,
        grads: &mut Gradients<f32, Self>,
        m: Option<&mut Flat<Self>>,
        v: &mut Flat<Self>,
    ) -> Result<()>;

    /// [`update`](Self::update) with a gradient in host memory.
    fn update_by(
        rule: UpdateRule,
        variable: &mut Flat<Self>,
        gradient: &[f32],
        m: Option<&mut Flat<Self>>,
        v: &mut Flat<Self>,
    ) -> Result<()>;

    /// Shows the gradient of a variable, in host memory; one that has none counts as zero.
    fn with_gradient(
        grads: &mut Gradients<f32, Self>,
        variable: &Flat<Self>,
        f: &mut dyn FnMut(&[f32]),
    ) -> Result<()>;

    /// Writes host values into a tensor of the same length.
    fn write(t: &mut Flat<Self>, values: &[f32]) -> Result<()>;

    /// The numbers of a contiguous tensor, in host memory.
    fn read<S: Shape, T: std::fmt::Debug>(t: &Tensor<S, f32, Self, T>) -> Result<Vec<f32>>;

    /// A tensor of zeros.
    ///
    /// # Errors
    /// Where memory is short.
    fn zeroed<S: Shape>(device: &Self, shape: S) -> Result<Tensor<S, f32, Self>>;

    /// A tensor of host values.
    ///
    /// # Errors
    /// Where there are not as many as the shape asks for, or memory is short.
    fn tensor<S: Shape>(device: &Self, shape: S, values: &[f32]) -> Result<Tensor<S, f32, Self>>;

    /// The gradients of all that `y` was made of, from the gradient `dy` of `y`: runs its tape backwards.
    ///
    /// # Errors
    /// Where `dy` has another length, or the device fails.
    fn backward_from<S: Shape>(
        y: Tensor<S, f32, Self, OwnedTape<f32, Self>>,
        dy: &[f32],
    ) -> Result<Gradients<f32, Self>>;
}

// The CPU's implementation is one file with one short function a method; the kernels are elsewhere.
const _: fn() = || {
    fn implements<D: Backend>() {}
    implements::<Cpu>();
};
