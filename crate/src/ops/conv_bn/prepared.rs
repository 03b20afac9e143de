//! A convolution's folded and packed weights, kept for as long as its variables stay the same.
//!
//! Between two steps of training everything that trains changes; but what does not train stays, and
//! so does everything from one batch of an evaluation to the next.

use dfdx::prelude::{Cpu, HasShape};

use super::cpu::fold;
use super::{ConvBn, Folded};
use crate::ops::pointwise::PackedWeights;

/// Folded and packed weights of one convolution.
///
/// Each part remembers the [`version`](ConvBn::version) that it was made from, so it must not serve
/// convolutions of two networks.
#[derive(Debug, Default)]
pub struct Prepared {
    folded: Folded,
    packed: Option<PackedWeights>,
    transposed: Option<PackedWeights>,
    /// Versions of the three.
    versions: [Option<u64>; 3],
}

impl Prepared {
    /// The folded convolution.
    pub fn folded(&mut self, conv: &ConvBn<Cpu>) -> &Folded {
        if self.versions[0] != Some(conv.version) {
            fold(conv, &mut self.folded);
            self.versions[0] = Some(conv.version);
        }
        &self.folded
    }

    /// The weights of a pointwise convolution as its forward pass reads them.
    pub fn packed(&mut self, conv: &ConvBn<Cpu>) -> &PackedWeights {
        self.folded(conv);
        let Prepared { folded, packed, versions, .. } = self;
        let (ci, co) = channels(conv);
        let packed = packed.get_or_insert_with(|| {
            versions[1] = Some(conv.version);
            PackedWeights::new(&folded.w, &folded.b, ci, co)
        });
        if versions[1] != Some(conv.version) {
            packed.repack(&folded.w, &folded.b);
            versions[1] = Some(conv.version);
        }
        packed
    }

    /// The weights of a pointwise convolution as its gradient by the input reads them.
    pub fn transposed(&mut self, conv: &ConvBn<Cpu>) -> &PackedWeights {
        self.folded(conv);
        let Prepared { folded, transposed, versions, .. } = self;
        let (ci, co) = channels(conv);
        let transposed = transposed.get_or_insert_with(|| {
            versions[2] = Some(conv.version);
            PackedWeights::new_transposed(&folded.w, ci, co)
        });
        if versions[2] != Some(conv.version) {
            transposed.repack_transposed(&folded.w);
            versions[2] = Some(conv.version);
        }
        transposed
    }
}

fn channels(conv: &ConvBn<Cpu>) -> (usize, usize) {
    let co = conv.gamma.shape().0;
    (conv.kernel.shape().0 / co.max(1), co)
}
