//! Dropout on the tape, by keys that are on the GPU.

use dfdx::prelude::{Cuda, HasShape, PutTape, SplitTape, Tape};

use super::{address, calls, gradient, zeros, Card};
use crate::ops::backend::Matrix;
use crate::Result;

/// Dropout by keys that are on the GPU, 64 bits for each row of `x (n, c)`: see
/// [`calls::dropout`](super::calls::dropout).
///
/// # Safety
/// `keys` is an address of as many keys, which stay there until the backward pass is over.
pub(crate) unsafe fn dropout<T: Tape<f32, Cuda>>(
    x: Matrix<Cuda, T>,
    keys: u64,
    rate: f32,
) -> Result<Matrix<Cuda, T>> {
    let (x, mut tape) = x.split_tape();
    let (card, (n, c)) = (Card::get()?, *x.shape());
    let y = zeros(x.device(), (n, c))?;
    // SAFETY: two tensors of one shape, and the caller's promise.
    unsafe { card.launch(calls::dropout(address(&x)?, keys, rate, address(&y)?, n, c)?) }?;
    let y_kept = y.clone();
    tape.add_backward_op(move |grads| {
        let (dy, dx) = (gradient(grads, &y_kept)?, gradient(grads, &x)?);
        let call = calls::dropout_backward(dy, keys, rate, dx, n, c);
        // SAFETY: gradients have the shapes of their tensors; the rest is the caller's promise.
        call.and_then(|call| unsafe { card.launch(call) }).map_err(|e| card.failed(e))
    });
    Ok(y.put_tape(tape))
}
