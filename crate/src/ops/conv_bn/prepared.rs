//! A convolution's folded and packed weights, kept for as long as its variables stay the same.
//!
//! Between two steps of training everything that trains changes; but what does not train stays, and
//! so does everything from one batch of an evaluation to the next.

use std::sync::Arc;

use dfdx::prelude::{Cpu, HasShape};

use super::cpu::fold;
use super::ConvBn;
use crate::ops::multiplying::{Factor, Multiplying};
use transfer_kernels::batch_norm::Folded;
use transfer_kernels::kept::Kept;
use transfer_kernels::{PackedBf16, PackedWeights};

/// Folded and packed weights of one convolution. Any number of threads may use them at the same time.
///
/// Each part remembers the [`version`](ConvBn::version) that it was made from, so it must not serve
/// convolutions of two networks.
#[derive(Debug, Default)]
pub struct Prepared {
    folded: Kept<Folded>,
    packed: Kept<PackedWeights>,
    transposed: Kept<PackedWeights>,
    packed_bf16: Kept<PackedBf16>,
    transposed_bf16: Kept<PackedBf16>,
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
    pub fn packed(&self, conv: &ConvBn<Cpu>, how: Multiplying) -> Factor {
        let ((ci, co), version) = (channels(conv), conv.version);
        match how {
            Multiplying::F32 => Factor::F32(self.packed.get(version, |older| {
                let f = self.folded(conv);
                again(older, |p| p.repack(&f.w, &f.b), || PackedWeights::new(&f.w, &f.b, ci, co))
            })),
            Multiplying::Bf16(unit) => Factor::Bf16(self.packed_bf16.get(version, |older| {
                let f = self.folded(conv);
                again(older, |p| p.repack(&f.w, &f.b), || PackedBf16::new(unit, &f.w, &f.b, ci, co))
            })),
        }
    }

    /// The weights of a pointwise convolution as its gradient by the input reads them.
    pub fn transposed(&self, conv: &ConvBn<Cpu>, how: Multiplying) -> Factor {
        let ((ci, co), version) = (channels(conv), conv.version);
        match how {
            Multiplying::F32 => Factor::F32(self.transposed.get(version, |older| {
                let f = self.folded(conv);
                again(older, |p| p.repack_transposed(&f.w), || PackedWeights::new_transposed(&f.w, ci, co))
            })),
            Multiplying::Bf16(unit) => Factor::Bf16(self.transposed_bf16.get(version, |older| {
                let f = self.folded(conv);
                again(older, |p| p.repack_transposed(&f.w), || PackedBf16::new_transposed(unit, &f.w, ci, co))
            })),
        }
    }
}

/// A new value, in the memory of an older one where there is one.
fn again<T>(older: Option<T>, replace: impl FnOnce(&mut T), new: impl FnOnce() -> T) -> T {
    match older {
        Some(mut value) => {
            replace(&mut value);
            value
        }
        None => new(),
    }
}

fn channels(conv: &ConvBn<Cpu>) -> (usize, usize) {
    let co = conv.gamma.shape().0;
    (conv.kernel.shape().0 / co.max(1), co)
}

#[cfg(test)]
mod tests {
    // Not in `kept.rs`, which loom compiles, too: these need no threads.
    use super::*;

    #[test]
    fn a_thread_that_makes_a_value_may_be_given_work_that_asks_for_it() {
        let kept: Kept<Vec<i32>> = Kept::default();
        // As a thread that waits in the pool is given another image, which goes through the same unit.
        let value = kept.get(1, |_| {
            assert_eq!(*kept.get(1, |_| vec![7]), [7]);
            vec![7]
        });
        assert_eq!(*value, [7]);
    }

    #[test]
    fn memory_is_used_again_where_nobody_has_the_older_value() {
        let kept: Kept<Vec<i32>> = Kept::default();
        let first = kept.get(1, |_| vec![1]);
        assert!(Arc::ptr_eq(&first, &kept.get(1, |_| unreachable!("it is there"))));
        let second = kept.get(2, |older| older.unwrap_or(vec![2]));
        assert_eq!((&*first, &*second), (&vec![1], &vec![2]));
        let address = second.as_ptr();
        drop(second);
        assert_eq!(kept.get(3, |older| older.unwrap_or_default()).as_ptr(), address);
    }
}
