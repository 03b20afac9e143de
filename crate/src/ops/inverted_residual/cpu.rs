//! The block on the CPU, made of the pointwise and depthwise kernels.

use dfdx::prelude::{Cpu, Gradients, HasShape, ZerosTensor};

use super::BlockParams;
use crate::model::architecture::BlockShape;
use crate::ops::backend::{device_error, Activations};
use crate::ops::buffer::Buffer;
use crate::ops::conv_bn::{cpu as conv_bn, prepared::Prepared, ConvBn};
use crate::ops::depthwise::{
    depthwise, depthwise_backward_input, depthwise_backward_weights, DepthwiseShape,
};
use crate::ops::pointwise::{pointwise, pointwise_backward_input, pointwise_backward_weights};
use crate::ops::view::{slice, slice_mut};
use crate::ops::Activation;
use crate::threads::join;
use crate::{Error, Result};

/// Folded and packed weights, kept as long as they are right, and after that for their memory.
#[derive(Default)]
pub struct UnitScratch {
    expand: Prepared,
    depthwise: Prepared,
    /// The projection, or the last convolution.
    pub(crate) project: Prepared,
}

/// What backward needs of forward.
pub struct BlockSaved {
    x: Activations<Cpu>,
    /// After expansion and ReLU6 `(n, h, w, expanded)`; `None` where the block does not expand.
    expanded: Option<Buffer>,
    /// After the depthwise convolution and ReLU6 `(n, h', w', expanded)`.
    filtered: Buffer,
}

fn depthwise_shape(n: usize, s: &BlockShape) -> DepthwiseShape {
    DepthwiseShape { n, h: s.h, w: s.w, c: s.expanded, stride: s.stride }
}

pub(crate) fn forward(
    x: &Activations<Cpu>,
    s: &BlockShape,
    p: &BlockParams<Cpu>,
    keep: bool,
) -> Result<(Activations<Cpu>, Option<BlockSaved>)> {
    let (n, h, w, c) = *x.shape();
    if (h, w, c) != (s.h, s.w, s.ci) {
        return Err(Error::Shape(format!(
            "An inverted residual block expected activations of shape (n, {}, {}, {}). Received: ({n}, {h}, {w}, {c})",
            s.h, s.w, s.ci
        )));
    }
    let mut scratch = p.scratch.lock().unwrap_or_else(|e| e.into_inner());
    let UnitScratch { expand, depthwise: filter, project } = &mut *scratch;
    join(
        || {
            p.expand.iter().for_each(|conv| _ = expand.packed(conv));
        },
        || {
            filter.folded(&p.depthwise);
            project.packed(&p.project);
        },
    );
    let mut y = x.device().try_zeros_like(&(n, s.out_h(), s.out_w(), s.co)).map_err(device_error)?;
    let rows_in = n * s.h * s.w;
    let rows_out = n * s.out_h() * s.out_w();

    let expanded = p.expand.as_ref().map(|conv| {
        let mut e = Buffer::take(rows_in * s.expanded);
        pointwise(slice(x), rows_in, expand.packed(conv), Activation::Relu6, None, &mut e);
        e
    });
    let mut filtered = Buffer::take(rows_out * s.expanded);
    let dw = filter.folded(&p.depthwise);
    let input = expanded.as_deref().unwrap_or(slice(x));
    depthwise(input, depthwise_shape(n, s), &dw.w, &dw.b, Activation::Relu6, &mut filtered);
    let residual = s.residual.then(|| slice(x));
    let packed = project.packed(&p.project);
    pointwise(&filtered, rows_out, packed, Activation::Linear, residual, slice_mut(&mut y));
    let saved = keep.then(|| BlockSaved { x: x.clone(), expanded, filtered });
    Ok((y, saved))
}

pub(crate) fn backward(
    s: &BlockShape,
    p: &BlockParams<Cpu>,
    saved: BlockSaved,
    x_kept: &Activations<Cpu>,
    y_kept: &Activations<Cpu>,
    grads: &mut Gradients<f32, Cpu>,
) -> Result<(), dfdx::tensor::CpuError> {
    let n = saved.x.shape().0;
    let rows_in = n * s.h * s.w;
    let rows_out = n * s.out_h() * s.out_w();
    let mut scratch = p.scratch.lock().unwrap_or_else(|e| e.into_inner());
    let UnitScratch { expand, depthwise: filter, project } = &mut *scratch;
    let expand_trains = p.expand.as_ref().is_some_and(|e| e.trains.any());
    let below_depthwise = expand_trains || p.input_gradient;
    let below_project = p.depthwise.trains.any() || below_depthwise;
    join(
        || {
            let conv = p.expand.as_ref().filter(|_| p.input_gradient);
            conv.iter().for_each(|conv| _ = expand.transposed(conv));
        },
        || {
            if below_project {
                project.transposed(&p.project);
            }
        },
    );
    let dy = std::mem::take(&mut **grads.get_or_alloc_mut(y_kept)?);

    let weights = |conv: &ConvBn<Cpu>, x: &[f32], dy: &[f32], rows, ci, co, grads: &mut _| {
        if !conv.trains.any() {
            return Ok(());
        }
        let (mut dw, mut db) = (Buffer::take(ci * co), Buffer::take(co));
        pointwise_backward_weights(x, dy, rows, ci, co, &mut dw, &mut db);
        conv_bn::add_gradients(conv, &dw, &db, grads)
    };

    weights(&p.project, &saved.filtered, &dy, rows_out, s.expanded, s.co, grads)?;
    if below_project {
        let mut d_filtered = Buffer::take(rows_out * s.expanded);
        let wt = project.transposed(&p.project);
        pointwise_backward_input(&dy, rows_out, wt, Some(&saved.filtered), None, &mut d_filtered);
        let shape = depthwise_shape(n, s);
        let input: &[f32] = saved.expanded.as_deref().unwrap_or(slice(&saved.x));
        if p.depthwise.trains.any() {
            let (mut dk, mut db) = (Buffer::take(9 * s.expanded), Buffer::take(s.expanded));
            depthwise_backward_weights(input, &d_filtered, shape, &mut dk, &mut db);
            conv_bn::add_gradients(&p.depthwise, &dk, &db, grads)?;
        }
        if below_depthwise {
            let mut d_input = Buffer::take(rows_in * s.expanded);
            // Without an expansion there is no ReLU6 of this block in front of the depthwise
            // convolution: the activation below masks its own gradient.
            let mask = saved.expanded.as_deref();
            depthwise_backward_input(&d_filtered, shape, &filter.folded(&p.depthwise).w, mask, &mut d_input);
            match &p.expand {
                Some(conv) => {
                    weights(conv, slice(&saved.x), &d_input, rows_in, s.ci, s.expanded, grads)?;
                    if p.input_gradient {
                        let mut dx = Buffer::take(rows_in * s.ci);
                        let residual = s.residual.then_some(&dy[..]);
                        let wt = expand.transposed(conv);
                        pointwise_backward_input(&d_input, rows_in, wt, None, residual, &mut dx);
                        conv_bn::add_into(grads.get_or_alloc_mut(x_kept)?, &dx);
                    }
                }
                None => {
                    let dx = grads.get_or_alloc_mut(x_kept)?;
                    conv_bn::add_into(dx, &d_input);
                    if s.residual {
                        conv_bn::add_into(dx, &dy);
                    }
                }
            }
        }
    }
    **grads.get_or_alloc_mut(y_kept)? = dy;
    Ok(())
}
