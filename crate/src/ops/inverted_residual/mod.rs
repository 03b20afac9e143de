//! The inverted residual block as one op on dfdx's tape.
//!
//! ```text
//! x ─► expand 1x1 ─► ReLU6 ─► depthwise 3x3 ─► ReLU6 ─► project 1x1 ─► (+ x) ─► y
//! ```
//!
//! Each convolution carries its BatchNormalization in inference mode (see
//! [`conv_bn`](crate::ops::conv_bn)). The expanded activations, six times as wide as `x`, never
//! leave the op. The block knows for each of its convolutions what trains, and computes no gradient
//! that nobody asked for; `fine_tune_at` may fall anywhere inside it.

pub(crate) mod cpu;
#[cfg(test)]
pub(crate) mod reference;

use std::sync::Arc;

use dfdx::prelude::{PutTape, SplitTape, Tape};

use super::backend::{Activations, Backend};
use super::conv_bn::ConvBn;
use crate::Result;
use transfer_kernels::BlockShape;

/// The variables of a block and what is wanted of its backward pass.
pub struct BlockParams<D: Backend> {
    /// The 1x1 convolution to the expanded channels; absent in the first block.
    pub expand: Option<ConvBn<D>>,
    /// The 3x3 depthwise convolution.
    pub depthwise: ConvBn<D>,
    /// The 1x1 convolution to the output channels, without activation.
    pub project: ConvBn<D>,
    /// Whether something below this block trains, so that the gradient of `x` is needed.
    pub input_gradient: bool,
    /// What the block keeps from step to step; not to be shared with another block, but with other threads that
    /// compute this one.
    pub scratch: Arc<D::UnitScratch>,
}

// Not derived: the scratch memory is shared, and need not be `Clone` itself.
impl<D: Backend> Clone for BlockParams<D> {
    fn clone(&self) -> Self {
        BlockParams {
            expand: self.expand.clone(),
            depthwise: self.depthwise.clone(),
            project: self.project.clone(),
            input_gradient: self.input_gradient,
            scratch: self.scratch.clone(),
        }
    }
}

impl<D: Backend> BlockParams<D> {
    /// Whether backward has anything to do.
    pub fn needs_backward(&self) -> bool {
        self.input_gradient
            || self.project.trains.any()
            || self.depthwise.trains.any()
            || self.expand.as_ref().is_some_and(|e| e.trains.any())
    }
}

/// Applies the block to `x` `(n, h, w, ci)`, giving `(n, h/stride, w/stride, co)`.
///
/// # Errors
/// Where `x` does not have the block's shape, or the device fails.
pub fn inverted_residual<D: Backend, T: Tape<f32, D>>(
    x: Activations<D, T>,
    shape: &BlockShape,
    params: &BlockParams<D>,
) -> Result<Activations<D, T>> {
    let (x, mut tape) = x.split_tape();
    let keep = T::OWNS_TAPE && params.needs_backward();
    let (y, saved) = D::block_forward(&x, shape, params, keep)?;
    if let Some(saved) = saved {
        let (y_kept, shape, params) = (y.clone(), *shape, params.clone());
        tape.add_backward_op(move |grads| D::block_backward(&shape, &params, saved, &x, &y_kept, grads));
    }
    Ok(y.put_tape(tape))
}
