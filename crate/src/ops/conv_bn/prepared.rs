//! A convolution's folded and packed weights, kept for as long as its variables stay the same.
//!
//! Between two steps of training everything that trains changes; but what does not train stays, and
//! so does everything from one batch of an evaluation to the next.

use std::sync::Arc;

use dfdx::prelude::{Cpu, HasShape};

use super::cpu::fold;
use super::{ConvBn, Folded};
use crate::ops::kept::Kept;
use crate::ops::pointwise::PackedWeights;

/// Folded and packed weights of one convolution. Any number of threads may use them at the same time.
///
/// Each part remembers the [`version`](ConvBn::version) that it was made from, so it must not serve
/// convolutions of two networks.
#[derive(Debug, Default)]
pub struct Prepared {
    folded: Kept<Folded>,
    packed: Kept<PackedWeights>,
    transposed: Kept<PackedWeights>,
}

impl Prepared {
    /// The folded convolution.
    pub fn folded(&self, conv: &ConvBn<Cpu>) -> Arc<Folded> {
        self.folded.get(conv.version, |older| {
            let mut folded = older.unwrap_or_default();
            fold(conv, &mut folded);
            folded
        })
    }

    /// The weights of a pointwise convolution as its forward pass reads them.
    pub fn packed(&self, conv: &ConvBn<Cpu>) -> Arc<PackedWeights> {
        self.packed.get(conv.version, |older| {
            let (folded, (ci, co)) = (self.folded(conv), channels(conv));
            match older {
                Some(mut packed) => {
                    packed.repack(&folded.w, &folded.b);
                    packed
                }
                None => PackedWeights::new(&folded.w, &folded.b, ci, co),
            }
        })
    }

    /// The weights of a pointwise convolution as its gradient by the input reads them.
    pub fn transposed(&self, conv: &ConvBn<Cpu>) -> Arc<PackedWeights> {
        self.transposed.get(conv.version, |older| {
            let (folded, (ci, co)) = (self.folded(conv), channels(conv));
            match older {
                Some(mut transposed) => {
                    transposed.repack_transposed(&folded.w);
                    transposed
                }
                None => PackedWeights::new_transposed(&folded.w, ci, co),
            }
        })
    }
}

fn channels(conv: &ConvBn<Cpu>) -> (usize, usize) {
    let co = conv.gamma.shape().0;
    (conv.kernel.shape().0 / co.max(1), co)
}
