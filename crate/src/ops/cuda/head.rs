//! The dense layer above frozen layers, for recorded steps.

use dfdx::prelude::{Cuda, HasShape, Shape};

use super::memory::Memory;
use super::{address, calls, zeros, Card};
use crate::ops::backend::{wrong_length, Activations, Flat, Matrix};
use crate::Result;

/// The dense layer above frozen layers, with what lies between, by one launch each way; nothing is on a tape.
pub(crate) struct HeadOnCard {
    features: Matrix<Cuda>,
    logits: Matrix<Cuda>,
    d_logits: Memory,
    /// Gradients of kernel and bias.
    gradients: [Memory; 2],
}

impl HeadOnCard {
    /// For features `(n, c)` and so many units, of which the kernels take few.
    pub fn new(cuda: &Cuda, n: usize, c: usize, units: usize) -> Result<Option<Self>> {
        if units > calls::MOST_UNITS {
            return Ok(None);
        }
        let card = Card::get()?;
        Ok(Some(HeadOnCard {
            features: zeros(cuda, (n, c))?,
            logits: zeros(cuda, (n, units))?,
            d_logits: card.memory(n * units)?,
            gradients: [card.memory(c * units)?, card.memory(units)?],
        }))
    }

    /// Where the logits are.
    pub fn logits(&self) -> Result<u64> {
        address(&self.logits)
    }

    /// Where their gradient belongs.
    pub fn d_logits(&self) -> u64 {
        self.d_logits.address()
    }

    /// Where the gradients of kernel and bias are.
    pub fn gradients(&self) -> [u64; 2] {
        [self.gradients[0].address(), self.gradients[1].address()]
    }

    /// Logits of `x (n, h, w, c)`.
    ///
    /// # Safety
    /// Keys, where there are some, are as many as images, and stay until this has run.
    pub unsafe fn forward(
        &self,
        x: &Activations<Cuda>,
        dropping: Option<(u64, f32)>,
        kernel: &Flat<Cuda>,
        bias: &Flat<Cuda>,
    ) -> Result<()> {
        let ((n, h, w, c), units) = (*x.shape(), bias.shape().0);
        if (n, c) != *self.features.shape() || units != self.logits.shape().1 || kernel.shape().0 != c * units
        {
            return Err(wrong_length(n * c, self.features.shape().num_elements()));
        }
        let (keys, rate) = dropping.map_or((None, 0.0), |(keys, rate)| (Some(keys), rate));
        let (features, y) = (address(&self.features)?, address(&self.logits)?);
        let weights = [address(kernel)?, address(bias)?];
        let call = calls::head_forward(address(x)?, keys, rate, weights, features, y, (n, h * w, c), units)?;
        // SAFETY: the sizes were compared; the rest is the caller's promise.
        unsafe { Card::get()?.launch(call) }
    }

    /// The gradients of kernel and bias.
    pub fn backward(&self) -> Result<()> {
        let ((n, c), units) = (*self.features.shape(), self.logits.shape().1);
        let call = calls::dense_backward(
            address(&self.features)?,
            self.d_logits(),
            self.gradients(),
            (n, c, units),
        )?;
        // SAFETY: memory of these sizes, taken by `new`.
        unsafe { Card::get()?.launch(call) }
    }
}
