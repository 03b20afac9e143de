//! The two convolutions outside of blocks, as dfdx ops: the first (3x3, stride 2) and pointwise ones, each with its
//! BatchNormalization in inference mode and ReLU6.

use std::sync::Arc;

use dfdx::prelude::{PutTape, SplitTape, Tape};

use super::backend::{Activations, Backend};
use super::conv_bn::ConvBn;
use crate::Result;
use transfer_kernels::Padding;

/// 3x3 convolution of images with stride 2: `(n, h, w, 3)` to `(n, h/2, w/2, co)`. `scratch` is what the convolution
/// keeps from step to step, not to be shared with another.
///
/// # Errors
/// Where the shapes do not fit each other, or the device fails.
pub fn first_convolution<D: Backend, T: Tape<f32, D>>(
    x: Activations<D, T>,
    conv: &ConvBn<D>,
    padding: Padding,
    scratch: &Arc<D::UnitScratch>,
) -> Result<Activations<D, T>> {
    let (x, mut tape) = x.split_tape();
    let y = D::first_forward(&x, conv, padding, scratch)?;
    if T::OWNS_TAPE && conv.trains.any() {
        let (y, conv) = (y.clone(), conv.clone());
        tape.add_backward_op(move |grads| D::first_backward(&x, &y, &conv, padding, grads));
    }
    Ok(y.put_tape(tape))
}

/// 1x1 convolution: `(n, h, w, ci)` to `(n, h, w, co)`. With `input_gradient`
/// backward also computes the gradient of `x`. `scratch` is what the convolution keeps from step to
/// step, not to be shared with another.
///
/// # Errors
/// Where the shapes do not fit each other, or the device fails.
pub fn pointwise_convolution<D: Backend, T: Tape<f32, D>>(
    x: Activations<D, T>,
    conv: &ConvBn<D>,
    input_gradient: bool,
    scratch: &Arc<D::UnitScratch>,
) -> Result<Activations<D, T>> {
    let (x, mut tape) = x.split_tape();
    let y = D::pointwise_forward(&x, conv, scratch)?;
    if T::OWNS_TAPE && (conv.trains.any() || input_gradient) {
        let (y, conv, scratch) = (y.clone(), conv.clone(), scratch.clone());
        tape.add_backward_op(move |grads| {
            D::pointwise_backward(&x, &y, &conv, input_gradient, &scratch, grads)
        });
    }
    Ok(y.put_tape(tape))
}
