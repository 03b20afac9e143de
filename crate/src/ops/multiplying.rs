//! In which precision the CPU multiplies in pointwise convolutions that train, and their weights, packed for it.

use std::cell::Cell;
use std::sync::Arc;

use crate::Precision;
use transfer_kernels::pointwise::{pointwise, pointwise_backward_input, pointwise_backward_weights};
use transfer_kernels::{
    pointwise_backward_input_bf16, pointwise_backward_weights_bf16, pointwise_bf16, Activation, Bf16Unit,
    PackedBf16, PackedWeights,
};

thread_local! {
    static HOW: Cell<Multiplying> = const { Cell::new(Multiplying::F32) };
}

/// How factors are rounded before they are multiplied. Sums are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Multiplying {
    /// Not at all.
    F32,
    /// To bfloat16, for this part of the processor.
    Bf16(Bf16Unit),
}

impl Multiplying {
    /// As it was asked for in this thread.
    pub(crate) fn here() -> Self {
        HOW.get()
    }

    /// Gradients by weights and bias; see [`pointwise_backward_weights`].
    pub(crate) fn backward_weights(
        self,
        x: &[f32],
        dy: &[f32],
        rows: usize,
        (dw, db): (&mut [f32], &mut [f32]),
    ) {
        let (ci, co) = (dw.len() / db.len().max(1), db.len());
        match self {
            Multiplying::F32 => pointwise_backward_weights(x, dy, rows, ci, co, dw, db),
            Multiplying::Bf16(unit) => pointwise_backward_weights_bf16(unit, x, dy, rows, ci, co, dw, db),
        }
    }
}

/// While it lives, pointwise convolutions of this thread multiply as it was asked for.
#[derive(Debug)]
pub struct WhileMultiplying {
    before: Multiplying,
}

impl WhileMultiplying {
    /// In a precision. Whether the processor has it was asked before.
    pub(crate) fn by(precision: Precision) -> Self {
        let how = match precision {
            Precision::Bf16 => Bf16Unit::best().map_or(Multiplying::F32, Multiplying::Bf16),
            Precision::F32 | Precision::Tf32 => Multiplying::F32,
        };
        WhileMultiplying { before: HOW.replace(how) }
    }
}

impl Drop for WhileMultiplying {
    fn drop(&mut self) {
        HOW.set(self.before);
    }
}

/// Packed weights of a pointwise convolution, in the precision in which they are multiplied.
#[derive(Debug, Clone)]
pub enum Factor {
    /// As they are.
    F32(Arc<PackedWeights>),
    /// Rounded.
    Bf16(Arc<PackedBf16>),
}

impl Factor {
    /// See [`pointwise`].
    pub(crate) fn forward(
        &self,
        x: &[f32],
        rows: usize,
        act: Activation,
        residual: Option<&[f32]>,
        y: &mut [f32],
    ) {
        match self {
            Factor::F32(w) => pointwise(x, rows, w, act, residual, y),
            Factor::Bf16(w) => pointwise_bf16(x, rows, w, act, residual, y),
        }
    }

    /// See [`pointwise_backward_input`].
    pub(crate) fn backward_input(
        &self,
        dy: &[f32],
        rows: usize,
        mask: Option<&[f32]>,
        add: Option<&[f32]>,
        dx: &mut [f32],
    ) {
        match self {
            Factor::F32(wt) => pointwise_backward_input(dy, rows, wt, mask, add, dx),
            Factor::Bf16(wt) => pointwise_backward_input_bf16(dy, rows, wt, mask, add, dx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_ends_with_its_scope() {
        assert_eq!(Multiplying::here(), Multiplying::F32);
        {
            let _all = WhileMultiplying::by(Precision::Bf16);
            let expected = Bf16Unit::best().map_or(Multiplying::F32, Multiplying::Bf16);
            assert_eq!(Multiplying::here(), expected);
            {
                let _exact = WhileMultiplying::by(Precision::F32);
                assert_eq!(Multiplying::here(), Multiplying::F32);
            }
            assert_eq!(Multiplying::here(), expected);
        }
        assert_eq!(Multiplying::here(), Multiplying::F32);
    }
}
