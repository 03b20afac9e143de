//! Units that do not train, one after the other, without a tensor between them: activations are stored in the numbers
//! that the precision asks for.

use dfdx::prelude::{Cuda, HasShape};

use super::block::{self, UnitScratch};
use super::calls::{self, Numbers};
use super::memory::Memory;
use super::{address, Card};
use crate::ops::backend::Activations;
use crate::ops::conv_bn::ConvBn;
use crate::ops::inverted_residual::BlockParams;
use crate::{Error, Precision, Result};
use transfer_kernels::{Activation, BlockShape, Padding};

/// A unit with what it is computed with.
pub(crate) enum FrozenUnit<'a> {
    First(ConvBn<Cuda>, Padding, &'a UnitScratch),
    Block(BlockShape, Box<BlockParams<Cuda, UnitScratch>>),
    Pointwise(ConvBn<Cuda>, &'a UnitScratch),
}

impl FrozenUnit<'_> {
    /// Whether the kernels for numbers of any kind take its channels, given those of its input.
    pub fn fits(&self, channels: usize) -> bool {
        match self {
            FrozenUnit::First(conv, ..) => calls::fits(conv.gamma.shape().0),
            FrozenUnit::Block(s, _) => block::fits(s),
            FrozenUnit::Pointwise(conv, _) => calls::fits(channels) && calls::fits(conv.gamma.shape().0),
        }
    }

    /// Height, width and channels of its output.
    pub fn output(&self, (h, w, _): (usize, usize, usize)) -> (usize, usize, usize) {
        match self {
            FrozenUnit::First(conv, ..) => (h.div_ceil(2), w.div_ceil(2), conv.gamma.shape().0),
            FrozenUnit::Block(s, _) => (s.out_h(), s.out_w(), s.co),
            FrozenUnit::Pointwise(conv, _) => (h, w, conv.gamma.shape().0),
        }
    }
}

/// Applies the units to images `x (n, h, w, 3)`; the result, floats again, goes to `y`.
///
/// # Errors
/// Where `y` is not what they give, or the GPU fails.
pub(crate) fn forward(
    units: &[FrozenUnit<'_>],
    precision: Precision,
    x: &Activations<Cuda>,
    y: &Activations<Cuda>,
) -> Result<()> {
    let card = Card::get()?;
    let (n, h, w, c) = *x.shape();
    let numbers = match precision {
        Precision::F32 => Numbers::F32,
        Precision::Tf32 => Numbers::Tf32,
        Precision::Bf16 => Numbers::Bf16,
    };
    let mut size = (h, w, c);
    // What the last unit has made; images are floats.
    let (mut at, mut kind, mut _held): (u64, Numbers, Option<Memory>) = (address(x)?, Numbers::F32, None);
    for (i, unit) in units.iter().enumerate() {
        let last = i + 1 == units.len();
        let (oh, ow, oc) = unit.output(size);
        let to_kind = if last && numbers == Numbers::Bf16 { Numbers::F32 } else { numbers };
        if last && *y.shape() != (n, oh, ow, oc) {
            return Err(Error::Shape(format!(
                "Frozen layers expected room for ({n}, {oh}, {ow}, {oc}) numbers. Received: {:?}",
                y.shape()
            )));
        }
        let memory = match last {
            true => None,
            false => Some(card.memory((n * oh * ow * oc * to_kind.bytes()).div_ceil(4))?),
        };
        let to = memory.as_ref().map_or_else(|| address(y), |memory| Ok(memory.address()))?;
        let rows = n * oh * ow;
        // SAFETY: the memory was taken for the output of this unit, and `at` has the output of the one before.
        unsafe {
            match unit {
                FrozenUnit::First(conv, padding, scratch) => {
                    let folded = scratch.project.of(card, conv)?;
                    let (w, b, act) = (folded.w, folded.b, Activation::Relu6);
                    let image = (n, size.0, size.1);
                    let call = calls::first_forward(at, w, b, act, to, image, *padding, oc)?;
                    card.launch(calls::stored_as(to_kind, call))?;
                }
                FrozenUnit::Block(s, params) => {
                    block::forward_fused(card, kind, to_kind, at, to, n, s, params)?
                }
                FrozenUnit::Pointwise(conv, scratch) => {
                    let folded = scratch.project.of(card, conv)?;
                    let (float_result, act) = (to_kind != Numbers::Bf16, Activation::Relu6);
                    let sizes = (rows, size.2, oc);
                    let (w, b) = (folded.w, Some(folded.b));
                    card.launch(calls::pointwise(kind, float_result, at, w, b, None, act, to, sizes)?)?;
                }
            }
        }
        (at, kind, size) = (to, to_kind, (oh, ow, oc));
        // What was read is free for the unit after the next: everything is on one stream.
        _held = memory;
    }
    Ok(())
}
