//! The block on the CPU, made of the pointwise and depthwise kernels.

use dfdx::prelude::{Cpu, Gradients, HasShape, ZerosTensor};

use super::params::BlockParams;
use crate::ops::backend::{device_error, Activations};
use crate::ops::conv_bn::{cpu as conv_bn, prepared::Prepared, ConvBn};
use crate::ops::multiplying::{Factor, Multiplying};
use crate::ops::view::{slice, slice_mut};
use crate::threads::{each, join};
use crate::{Error, Result};
use transfer_kernels::batch_norm::Folded;
use transfer_kernels::depthwise::{depthwise, depthwise_backward_input, depthwise_backward_weights};
use transfer_kernels::recycled::RecycledBuffer;
use transfer_kernels::warm;
use transfer_kernels::workspace::with_scratch;
use transfer_kernels::BlockShape;
use transfer_kernels::{add_into, Activation};

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
    expanded: Option<RecycledBuffer>,
    /// After the depthwise convolution and ReLU6 `(n, h', w', expanded)`.
    filtered: RecycledBuffer,
}

/// Numbers that are kept for each channel of a depthwise kernel's gradient: the taps and the bias.
fn taps_and_bias(s: &BlockShape) -> usize {
    s.side * s.side + 1
}

/// Images that go through the whole block together, so that what one convolution writes is still in
/// the cache when the next one reads it. Their number depends on the block's shape alone: sums are
/// formed group by group, and must come out the same whatever the number of threads.
#[derive(Clone, Copy)]
struct Groups {
    images: usize,
}

impl Groups {
    fn new(n: usize, s: &BlockShape) -> Self {
        /// Numbers between expansion and projection that the cache of one core holds beside the weights.
        const NUMBERS: usize = 128 * 1024;
        /// With fewer pixels the weights would pass through the cache too often.
        const PIXELS: usize = 200;
        let outputs = s.out_h() * s.out_w();
        let each = (s.h * s.w + outputs) * s.expanded;
        Groups { images: (NUMBERS / each.max(1)).max(PIXELS.div_ceil(outputs.max(1))).clamp(1, n.max(1)) }
    }

    fn count(self, n: usize) -> usize {
        n.div_ceil(self.images)
    }

    /// The groups of a slice that holds `n` images.
    fn of(self, all: &[f32], n: usize) -> std::slice::Chunks<'_, f32> {
        all.chunks((all.len() / n.max(1) * self.images).max(1))
    }

    fn of_mut(self, all: &mut [f32], n: usize) -> std::slice::ChunksMut<'_, f32> {
        let len = all.len();
        all.chunks_mut((len / n.max(1) * self.images).max(1))
    }

    /// As many empty slices where there is nothing.
    fn of_optional_mut(self, all: Option<&mut [f32]>, n: usize) -> impl Iterator<Item = &mut [f32]> {
        let missing = if all.is_none() { self.count(n) } else { 0 };
        let empty = std::iter::repeat_with(|| &mut [][..]).take(missing);
        self.of_mut(all.unwrap_or_default(), n).chain(empty)
    }
}

pub(crate) fn forward(
    x: &Activations<Cpu>,
    s: &BlockShape,
    p: &BlockParams<Cpu, UnitScratch>,
    keep: bool,
) -> Result<(Activations<Cpu>, Option<BlockSaved>)> {
    let (n, h, w, c) = *x.shape();
    if (h, w, c) != (s.h, s.w, s.ci) {
        return Err(Error::Shape(format!(
            "An inverted residual block expected activations of shape (n, {}, {}, {}). Received: ({n}, {h}, {w}, {c})",
            s.h, s.w, s.ci
        )));
    }
    let UnitScratch { expand, depthwise: filter, project } = &*p.scratch;
    let how = Multiplying::here();
    let (expand, (filter, project)) = join(
        || p.expand.as_ref().map(|conv| expand.packed(conv, how)),
        || (filter.folded(&p.depthwise), project.packed(&p.project, how)),
    );
    let mut y = x.device().try_zeros_like(&(n, s.out_h(), s.out_w(), s.co)).map_err(device_error)?;
    let rows_in = n * s.h * s.w;
    let rows_out = n * s.out_h() * s.out_w();

    let mut expanded = p.expand.as_ref().map(|_| RecycledBuffer::take(rows_in * s.expanded));
    let mut filtered = RecycledBuffer::take(rows_out * s.expanded);
    let groups = Groups::new(n, s);
    let x_parts = groups.of(slice(x), n);
    let parts = x_parts
        .zip(groups.of_optional_mut(expanded.as_deref_mut(), n))
        .zip(groups.of_mut(&mut filtered, n))
        .zip(groups.of_mut(slice_mut(&mut y), n));
    each(parts.collect(), |(((x, expanded), filtered), y)| {
        let shape = s.depthwise(x.len() / (s.h * s.w * s.ci));
        let (rows_in, rows_out) = (shape.n * s.h * s.w, shape.n * s.out_h() * s.out_w());
        let input = match &expand {
            Some(w) => {
                warm(x);
                warm(expanded);
                w.forward(x, rows_in, Activation::Relu6, None, expanded);
                expanded
            }
            None => x,
        };
        warm(filtered);
        depthwise(input, shape, &filter.w, &filter.b, Activation::Relu6, filtered);
        project.forward(filtered, rows_out, Activation::Linear, s.residual.then_some(x), y);
    });
    let saved = keep.then(|| BlockSaved { x: x.clone(), expanded, filtered });
    Ok((y, saved))
}

pub(crate) fn backward(
    s: &BlockShape,
    p: &BlockParams<Cpu, UnitScratch>,
    saved: BlockSaved,
    x_kept: &Activations<Cpu>,
    y_kept: &Activations<Cpu>,
    grads: &mut Gradients<f32, Cpu>,
) -> Result<(), dfdx::tensor::CpuError> {
    let n = saved.x.shape().0;
    let rows_in = n * s.h * s.w;
    let rows_out = n * s.out_h() * s.out_w();
    let UnitScratch { expand, depthwise: filter, project } = &*p.scratch;
    let expand_trains = p.expand.as_ref().is_some_and(|e| e.trains.any());
    let below_depthwise = expand_trains || p.input_gradient;
    let below_project = p.depthwise.trains.any() || below_depthwise;
    let how = Multiplying::here();
    let (expand, prepared) = join(
        || p.expand.as_ref().filter(|_| p.input_gradient).map(|conv| expand.transposed(conv, how)),
        || below_project.then(|| (filter.folded(&p.depthwise), project.transposed(&p.project, how))),
    );
    let dy = std::mem::take(&mut **grads.get_or_alloc_mut(y_kept)?);

    let weights = |conv: &ConvBn<Cpu>, x: &[f32], dy: &[f32], rows, ci, co, grads: &mut _| {
        if !conv.trains.any() {
            return Ok(());
        }
        let (mut dw, mut db) = (RecycledBuffer::take(ci * co), RecycledBuffer::take(co));
        how.backward_weights(x, dy, rows, (&mut dw, &mut db));
        conv_bn::add_gradients(conv, &dw, &db, grads)
    };

    weights(&p.project, &saved.filtered, &dy, rows_out, s.expanded, s.co, grads)?;
    if let Some((filter, project)) = prepared {
        let groups = Groups::new(n, s);
        let mut d_input = below_depthwise.then(|| RecycledBuffer::take(rows_in * s.expanded));
        let mut dx = match p.input_gradient {
            true => Some(std::mem::take(&mut **grads.get_or_alloc_mut(x_kept)?)),
            false => None,
        };
        let each_group = taps_and_bias(s) * s.expanded;
        let mut taps = RecycledBuffer::take(groups.count(n) * each_group);
        let input: &[f32] = saved.expanded.as_deref().unwrap_or(slice(&saved.x));
        let parts = groups
            .of(&dy, n)
            .zip(groups.of(&saved.filtered, n))
            .zip(groups.of(input, n))
            .zip(groups.of_optional_mut(d_input.as_deref_mut(), n))
            .zip(groups.of_optional_mut(dx.as_deref_mut(), n))
            .zip(taps.chunks_exact_mut(each_group));
        let below =
            Below { s, p, filter: &filter, project: &project, expand: expand.as_ref(), below_depthwise };
        each(parts.collect(), |(((((dy, filtered), input), d_input), dx), taps)| {
            below.group(Group { dy, filtered, input, d_input, dx, taps });
        });
        if let Some(dx) = dx {
            **grads.get_or_alloc_mut(x_kept)? = dx;
        }
        if p.depthwise.trains.any() {
            let mut groups = taps.chunks_exact_mut(each_group);
            if let Some(sum) = groups.next() {
                groups.for_each(|group| add_into(sum, group));
                let (dk, db) = sum.split_at(each_group - s.expanded);
                conv_bn::add_gradients(&p.depthwise, dk, db, grads)?;
            }
        }
        if let (Some(conv), Some(d_input)) = (&p.expand, &d_input) {
            weights(conv, slice(&saved.x), d_input, rows_in, s.ci, s.expanded, grads)?;
        }
    }
    **grads.get_or_alloc_mut(y_kept)? = dy;
    Ok(())
}

/// What the groups of a block's backward pass share.
struct Below<'a> {
    s: &'a BlockShape,
    p: &'a BlockParams<Cpu, UnitScratch>,
    filter: &'a Folded,
    /// Transposed.
    project: &'a Factor,
    /// Transposed; where the gradient of the input is wanted.
    expand: Option<&'a Factor>,
    /// Whether anything below the depthwise convolution trains.
    below_depthwise: bool,
}

/// The slices of one group of images; what is not wanted is empty.
struct Group<'a> {
    dy: &'a [f32],
    filtered: &'a [f32],
    input: &'a [f32],
    d_input: &'a mut [f32],
    dx: &'a mut [f32],
    /// The taps and the bias of each channel.
    taps: &'a mut [f32],
}

impl Below<'_> {
    /// Backward from the projection down, for one group of images.
    fn group(&self, group: Group<'_>) {
        let (s, p, below_depthwise) = (self.s, self.p, self.below_depthwise);
        let Group { dy, filtered, input, d_input, dx, taps } = group;
        with_scratch(|scratch| {
            let shape = s.depthwise(input.len() / (s.h * s.w * s.expanded));
            let (rows_in, rows_out) = (shape.n * s.h * s.w, shape.n * s.out_h() * s.out_w());
            let d_filtered = scratch.a.at_least(rows_out * s.expanded);
            warm(filtered);
            self.project.backward_input(dy, rows_out, Some(filtered), None, d_filtered);
            warm(input);
            if p.depthwise.trains.any() {
                let (dk, db) = taps.split_at_mut(s.side * s.side * s.expanded);
                depthwise_backward_weights(input, d_filtered, shape, dk, db);
            }
            if !below_depthwise {
                return;
            }
            // Without an expansion there is no ReLU6 of this block in front of the depthwise
            // convolution: the activation below masks its own gradient.
            let mask = p.expand.is_some().then_some(input);
            warm(d_input);
            depthwise_backward_input(d_filtered, shape, &self.filter.w, mask, d_input);
            match self.expand {
                Some(wt) => {
                    let here = scratch.b.at_least(rows_in * s.ci);
                    let residual = s.residual.then_some(dy);
                    wt.backward_input(d_input, rows_in, None, residual, here);
                    add_into(dx, here);
                }
                None if p.input_gradient => {
                    add_into(dx, d_input);
                    if s.residual {
                        add_into(dx, dy);
                    }
                }
                None => (),
            }
        });
    }
}
