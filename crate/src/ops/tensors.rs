//! The shapes of tensors, and errors about them.

use dfdx::prelude::Tensor;

/// A flat tensor: how every variable is kept, whatever its Keras shape.
pub type Flat<D> = Tensor<(usize,), f32, D>;
/// Activations `(n, h, w, c)`.
pub type Activations<D, T = dfdx::prelude::NoneTape> = Tensor<(usize, usize, usize, usize), f32, D, T>;
/// Features or logits `(n, c)`.
pub type Matrix<D, T = dfdx::prelude::NoneTape> = Tensor<(usize, usize), f32, D, T>;

/// dfdx's error, in this crate's words.
pub(crate) fn device_error(e: impl std::fmt::Display) -> crate::Error {
    crate::Error::Device(format!(
        "The device could not compute or allocate ({e}). Smaller batches need less memory."
    ))
}

/// The error for host values that do not fill a tensor.
pub(crate) fn wrong_length(expected: usize, received: usize) -> crate::Error {
    crate::Error::Shape(format!("A tensor of {expected} elements received {received} values."))
}
