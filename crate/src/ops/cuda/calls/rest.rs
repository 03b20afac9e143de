//! Launches of what works number by number: activations, pooling, sums, optimizers, images.

use super::{int, ints, width, Arg, Call, THREADS};
use crate::preprocess::Rescaling;
use crate::{Error, Result};
use transfer_kernels::optimizer::UpdateRule;
use transfer_kernels::Activation;

/// In place `y = act(y + bias + residual)`: what follows a product that is a pointwise convolution.
/// `y` and `residual` `(rows, c)`, `bias (c)`.
pub(crate) fn bias_epilogue<P>(
    y: P,
    bias: P,
    residual: Option<P>,
    act: Activation,
    rows: usize,
    c: usize,
) -> Result<Call<P>> {
    let mut args = vec![
        Arg::Pointer(y),
        Arg::Pointer(bias),
        Arg::optional(residual),
        Arg::Int(i32::from(act == Activation::Relu6)),
    ];
    args.extend(ints(&[rows, c])?);
    Call::over("bias_epilogue", rows * (c / width(c)), args)
}

/// In place `dy = dy where 0 < y < 6, else 0`; with a `bias (c)` it is `y + bias` that must lie there.
/// `y` and `dy` are `(rows, c)`.
pub(crate) fn relu6_backward<P>(y: P, bias: Option<P>, dy: P, rows: usize, c: usize) -> Result<Call<P>> {
    let mut args = vec![Arg::Pointer(y), Arg::optional(bias), Arg::Pointer(dy)];
    args.extend(ints(&[rows, c])?);
    Call::over("relu6_backward", rows * (c / width(c)), args)
}

fn flat<P>(kernel: &'static str, pointers: impl IntoIterator<Item = P>, len: usize) -> Result<Call<P>> {
    let mut args: Vec<_> = pointers.into_iter().map(Arg::Pointer).collect();
    args.push(Arg::Int(int(len)?));
    Call::over(kernel, len / width(len), args)
}

/// `sum += x`.
pub(crate) fn add_into<P>(x: P, sum: P, len: usize) -> Result<Call<P>> {
    flat("add_into", [x, sum], len)
}

/// `y = x ⊙ scale`: dropout.
pub(crate) fn multiply<P>(x: P, scale: P, y: P, len: usize) -> Result<Call<P>> {
    flat("multiply", [x, scale, y], len)
}

/// `dx += dy ⊙ scale`: dropout's gradient.
pub(crate) fn multiply_add<P>(dy: P, scale: P, dx: P, len: usize) -> Result<Call<P>> {
    flat("multiply_add", [dy, scale, dx], len)
}

/// `y (n, c)` is the mean over the pixels of `x (n, pixels, c)`.
pub(crate) fn pool_forward<P>(x: P, y: P, n: usize, pixels: usize, c: usize) -> Result<Call<P>> {
    let mut args = vec![Arg::Pointer(x), Arg::Pointer(y)];
    args.extend(ints(&[n, pixels, c])?);
    Call::over("pool_forward", n * (c / width(c)), args)
}

/// `dx (n, pixels, c) += dy (n, c) / pixels`.
pub(crate) fn pool_backward<P>(dy: P, dx: P, n: usize, pixels: usize, c: usize) -> Result<Call<P>> {
    let mut args = vec![Arg::Pointer(dy), Arg::Pointer(dx)];
    args.extend(ints(&[n, pixels, c])?);
    Call::over("pool_backward", n * pixels * (c / width(c)), args)
}

/// One optimizer step on `len` weights `w` with gradient `g`; Adam needs `m`.
///
/// # Errors
/// Where Adam has no `m`, or there are too many weights.
pub(crate) fn update<P>(rule: UpdateRule, w: P, g: P, m: Option<P>, v: P, len: usize) -> Result<Call<P>> {
    let (mut call, constants) = match (rule, m) {
        (UpdateRule::Adam { rate, beta_1, beta_2, epsilon }, Some(m)) => {
            (flat("adam", [w, g, m, v], len)?, vec![rate, beta_1, beta_2, epsilon])
        }
        (UpdateRule::Adam { .. }, None) => {
            return Err(Error::Invalid("Adam needs a first moment; none was given.".into()));
        }
        (UpdateRule::RmsProp { rate, rho, epsilon }, _) => {
            (flat("rmsprop", [w, g, v], len)?, vec![rate, rho, epsilon])
        }
    };
    call.args.extend(constants.into_iter().map(Arg::Float));
    Ok(call)
}

/// Numbers that a block of [`update_all`] changes.
#[cfg(any(test, feature = "cuda"))]
pub(crate) const PIECE: usize = 2048;

/// One optimizer step on all variables: `table (pieces, 6)` of 64-bit numbers holds for each piece of at most [`PIECE`]
/// numbers the addresses of weights, gradient, `m` (anything where the rule has none) and `v`, how many numbers, and
/// which of `rates` is its learning rate. The rate in the rule is not used.
#[cfg(any(test, feature = "cuda"))]
pub(crate) fn update_all<P>(rule: UpdateRule, table: P, rates: P, pieces: usize) -> Result<Call<P>> {
    let (kernel, constants) = match rule {
        UpdateRule::Adam { beta_1, beta_2, epsilon, .. } => ("adam_all", vec![beta_1, beta_2, epsilon]),
        UpdateRule::RmsProp { rho, epsilon, .. } => ("rmsprop_all", vec![rho, epsilon]),
    };
    let mut args = vec![Arg::Pointer(table), Arg::Pointer(rates)];
    args.extend(constants.into_iter().map(Arg::Float));
    Ok(Call { kernel, grid: [int(pieces)? as u32, 1, 1], block: [THREADS as u32, 1, 1], args })
}

/// `y (n, c) = x ⊙ factors`: dropout of this rate, whose factor for feature `j` of image `i` is 0 where number `j` of
/// the random stream that starts from `keys[i]` is below the rate, and `1/(1−rate)` elsewhere. `keys` are 64-bit.
#[cfg(any(test, feature = "cuda"))]
pub(crate) fn dropout<P>(x: P, keys: P, rate: f32, y: P, n: usize, c: usize) -> Result<Call<P>> {
    by_keys("dropout", x, keys, rate, y, n, c)
}

/// `dx += dy ⊙ factors`: its gradient.
#[cfg(any(test, feature = "cuda"))]
pub(crate) fn dropout_backward<P>(dy: P, keys: P, rate: f32, dx: P, n: usize, c: usize) -> Result<Call<P>> {
    by_keys("dropout_backward", dy, keys, rate, dx, n, c)
}

#[cfg(any(test, feature = "cuda"))]
fn by_keys<P>(kernel: &'static str, x: P, keys: P, rate: f32, y: P, n: usize, c: usize) -> Result<Call<P>> {
    let keep = 1.0 / (1.0 - rate);
    let mut args =
        vec![Arg::Pointer(x), Arg::Pointer(keys), Arg::Float(rate), Arg::Float(keep), Arg::Pointer(y)];
    args.extend(ints(&[n, c])?);
    Call::over(kernel, n * (c / width(c)), args)
}

/// Units of a dense layer at most, for the kernels below; more are products of matrices.
#[cfg(feature = "cuda")]
pub(crate) const MOST_UNITS: usize = 16;

/// Features of a block of [`dense_backward`].
const DENSE_LANES: usize = 32;

fn dense<P>(kernel: &'static str, blocks: usize, args: Vec<Arg<P>>, sizes: &[usize]) -> Result<Call<P>> {
    let mut args = args;
    args.extend(ints(sizes)?);
    Ok(Call { kernel, grid: [int(blocks)? as u32, 1, 1], block: [THREADS as u32, 1, 1], args })
}

/// `y (n, units) = x (n, c) · w (c, units) + b (units)`.
pub(crate) fn dense_forward<P>(
    x: P,
    w: P,
    b: P,
    y: P,
    (n, c, units): (usize, usize, usize),
) -> Result<Call<P>> {
    ints::<P>(&[n, c])?;
    dense("dense_forward", n, [x, w, b, y].map(Arg::Pointer).into(), &[c, units])
}

/// What stands above frozen layers: `features (n, c)` are the means over the pixels of `x (n, pixels, c)`, with dropout
/// by `keys` (see [`dropout`]) where there are some, and `y (n, units)` the dense layer of them.
#[cfg(any(test, feature = "cuda"))]
#[allow(clippy::too_many_arguments)] // a layer's each
pub(crate) fn head_forward<P>(
    x: P,
    keys: Option<P>,
    rate: f32,
    [w, b]: [P; 2],
    features: P,
    y: P,
    (n, pixels, c): (usize, usize, usize),
    units: usize,
) -> Result<Call<P>> {
    ints::<P>(&[n, c])?;
    let dropping = [Arg::optional(keys), Arg::Float(rate), Arg::Float(1.0 / (1.0 - rate))];
    let args =
        [Arg::Pointer(x)].into_iter().chain(dropping).chain([w, b, features, y].map(Arg::Pointer)).collect();
    dense("head_forward", n, args, &[pixels, c, units])
}

/// `d_kernel (c, units) = xᵀ · dy` and `d_bias (units)`, the sums over `dy (n, units)`; they are not added to.
pub(crate) fn dense_backward<P>(
    x: P,
    dy: P,
    [d_kernel, d_bias]: [P; 2],
    (n, c, units): (usize, usize, usize),
) -> Result<Call<P>> {
    ints::<P>(&[n, c])?;
    let args = [x, dy, d_kernel, d_bias].map(Arg::Pointer).into();
    let call = dense("dense_backward", c.div_ceil(DENSE_LANES), args, &[n, c, units])?;
    Ok(Call { grid: [call.grid[0], int(units)? as u32, 1], ..call })
}

/// `dx (n, c) += dy (n, units) · wᵀ`.
pub(crate) fn dense_backward_input<P>(
    dy: P,
    w: P,
    dx: P,
    (n, c, units): (usize, usize, usize),
) -> Result<Call<P>> {
    let blocks = int(transfer_kernels::count(&[n, c]))? as usize;
    dense(
        "dense_backward_input",
        blocks.div_ceil(THREADS),
        [dy, w, dx].map(Arg::Pointer).into(),
        &[n, c, units],
    )
}

/// Numbers that say where the pixels of one image come from, [`augment`]'s `places`.
#[cfg(any(test, feature = "cuda"))]
pub(crate) const PLACE: usize = 8;

/// Flips, turns and rescales: `y[i] = turn(flip(x[which[i]]))·scale + offset` for the images `(n, h, w, c)`, `x` being
/// 16-bit numbers in steps of 1/256 of a grey level, as the cache of images holds them, `which (n)` ints, and `y`
/// floats.
///
/// `places (n, 8)` holds for each image `a, b, c, d, e, f` of
/// `x_in = a·x + b·y + c, y_in = d·x + e·y + f` (`1, 0, 0, 0, 1, 0` moves nothing), and whether it is
/// flipped horizontally and vertically before (1 or 0). The bits are those of the processor's.
pub(crate) fn augment<P>(
    x: P,
    which: P,
    places: P,
    r: Rescaling,
    y: P,
    (n, h, w, c): (usize, usize, usize, usize),
) -> Result<Call<P>> {
    let mut args: Vec<_> = [x, which, places].map(Arg::Pointer).into();
    args.extend(r.scale.map(Arg::Float));
    args.extend(r.offset.map(Arg::Float));
    args.push(Arg::Pointer(y));
    args.extend(ints(&[n, h, w, c])?);
    Call::over("augment", n * h * w, args)
}
