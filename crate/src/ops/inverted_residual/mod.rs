//! The inverted residual block as one op on dfdx's tape.
//!
//! ```text
//! x ─► expand 1x1 ─► ReLU6 ─► depthwise ─► ReLU6 ─► project 1x1 ─► (+ x) ─► y
//! ```
//!
//! Each convolution carries its BatchNormalization in inference mode (see
//! [`conv_bn`](crate::ops::conv_bn)). The expanded activations, six times as wide as `x`, never
//! leave the op. The block knows for each of its convolutions what trains, and computes no gradient
//! that nobody asked for; `fine_tune_at` may fall anywhere inside it.

pub(crate) mod cpu;
mod params;
#[cfg(test)]
pub(crate) mod reference;

use dfdx::prelude::{PutTape, SplitTape, Tape};

pub use params::BlockParams;

use super::backend::{Activations, Backend};
use crate::Result;
use transfer_kernels::BlockShape;

/// Applies the block to `x` `(n, h, w, ci)`, giving `(n, h/stride, w/stride, co)`.
///
/// # Errors
/// Where `x` does not have the block's shape, or the device fails.
pub fn inverted_residual<D: Backend, T: Tape<f32, D>>(
    x: Activations<D, T>,
    shape: &BlockShape,
    params: &BlockParams<D, D::UnitScratch>,
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
