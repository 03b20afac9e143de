//! The ops above the base: global average pooling, dropout and the dense layer.

use std::sync::Arc;

use dfdx::prelude::{HasShape, PutTape, SplitTape, Tape};

use super::backend::{Activations, Backend, Flat, Matrix};
use crate::{Error, Result};

/// Mean over height and width: `(n, h, w, c)` to `(n, c)`.
///
/// # Errors
/// Where the device fails.
pub fn global_average_pooling<D: Backend, T: Tape<f32, D>>(x: Activations<D, T>) -> Result<Matrix<D, T>> {
    let (x, mut tape) = x.split_tape();
    let y = D::pool_forward(&x)?;
    let y_kept = y.clone();
    tape.add_backward_op(move |grads| D::pool_backward(&x, &y_kept, grads));
    Ok(y.put_tape(tape))
}

/// Multiplies `x` `(n, c)` with constants, `n·c` of them. Dropout is this, with zeros for what is
/// dropped and `1/(1−rate)` for what stays.
///
/// # Errors
/// Where there are not as many factors as elements, or the device fails.
pub fn scale<D: Backend, T: Tape<f32, D>>(x: Matrix<D, T>, factors: Vec<f32>) -> Result<Matrix<D, T>> {
    let (n, c) = *x.shape();
    if factors.len() != n * c {
        return Err(Error::Shape(format!(
            "Scaling expected one factor for each of the {n}x{c} elements. Received: {}",
            factors.len()
        )));
    }
    let (x, mut tape) = x.split_tape();
    let factors = Arc::new(factors);
    let y = D::scale_forward(&x, &factors)?;
    let y_kept = y.clone();
    tape.add_backward_op(move |grads| D::scale_backward(&x, &y_kept, &factors, grads));
    Ok(y.put_tape(tape))
}

/// `xW + b`: `(n, c)` to `(n, units)`. With `input_gradient` backward also computes the gradient of `x`.
///
/// # Errors
/// Where the shapes do not fit each other, or the device fails.
pub fn dense<D: Backend, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    kernel: &Flat<D>,
    bias: &Flat<D>,
    input_gradient: bool,
) -> Result<Matrix<D, T>> {
    let ((n, c), units) = (*x.shape(), bias.shape().0);
    if kernel.shape().0 != c * units {
        return Err(Error::Shape(format!(
            "A dense layer of {units} units with {} weights expected an input of shape (n, {}). Received: ({n}, {c})",
            kernel.shape().0,
            kernel.shape().0 / units.max(1)
        )));
    }
    let (x, mut tape) = x.split_tape();
    let y = D::dense_forward(&x, kernel, bias)?;
    let (kernel, bias, y_kept) = (kernel.clone(), bias.clone(), y.clone());
    tape.add_backward_op(move |grads| D::dense_backward(&x, &kernel, &bias, &y_kept, input_gradient, grads));
    Ok(y.put_tape(tape))
}
