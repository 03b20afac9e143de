//! Launches of the convolutions and of what belongs to them.

use super::{int, ints, width, Arg, Call, Numbers, Partition, LANES, ROWS};
use crate::Result;
use transfer_kernels::{Activation, DepthwiseShape, Padding};

/// Output pixels in a row that a thread computes.
const STRIP: usize = 4;
/// The same, of the first convolution.
const FIRST_STRIP: usize = 8;

fn flag<P>(value: bool) -> Arg<P> {
    Arg::Int(i32::from(value))
}

/// The sizes of both sides, checked, as `n, h, w, c, stride, side, pad_top, pad_left`.
fn depthwise_ints<P>(s: &DepthwiseShape) -> Result<Vec<Arg<P>>> {
    let mut args = ints(&[s.n, s.h, s.w, s.c])?;
    for value in [s.stride, s.side, s.pad_top(), s.pad_left()] {
        args.push(Arg::Int(int(value)?));
    }
    Ok(args)
}

/// `y = act(BN-folded depthwise convolution of x)`: `y = act(x' ∗ k + bias)`, where `x'` is `x`, or
/// `relu6(x + input_bias)` where that is given: `x` may so be the bare product of the expansion.
///
/// `x (n, h, w, c)`, `input_bias (c)`, `k (side, side, c)`, `bias (c)`, `y (n, ⌈h/stride⌉, ⌈w/stride⌉, c)`.
pub(crate) fn depthwise_forward<P>(
    x: P,
    input_bias: Option<P>,
    k: P,
    bias: P,
    act: Activation,
    y: P,
    s: &DepthwiseShape,
) -> Result<Call<P>> {
    let mut args = vec![
        Arg::Pointer(x),
        Arg::optional(input_bias),
        Arg::Pointer(k),
        Arg::Pointer(bias),
        flag(act == Activation::Relu6),
        Arg::Pointer(y),
    ];
    args.extend(depthwise_ints(s)?);
    let items = s.n * s.out_h() * s.out_w().div_ceil(STRIP) * (s.c / width(s.c));
    Call::over("depthwise_forward", items, args)
}

/// The same call for activations that are stored as `numbers`.
pub(crate) fn stored_as<P>(numbers: Numbers, call: Call<P>) -> Call<P> {
    let kernel = match (numbers, call.kernel) {
        (Numbers::Bf16, "depthwise_forward") => "depthwise_forward_bf16",
        (Numbers::Bf16, "first_forward") => "first_forward_bf16",
        (_, kernel) => kernel,
    };
    Call { kernel, ..call }
}

/// Gradient of a depthwise convolution by its input: `dx = mask(dy ∗ᵀ k)`, or `dx += …` with
/// `accumulate`. The mask lets through where `0 < m < 6`, `m` being `mask`, or `mask + mask_bias` where
/// that is given, too.
///
/// `dy` as `y` of [`depthwise_forward`], `k (side, side, c)`, `mask` and `dx` `(n, h, w, c)`, `mask_bias (c)`.
pub(crate) fn depthwise_backward_input<P>(
    dy: P,
    k: P,
    mask: Option<P>,
    mask_bias: Option<P>,
    accumulate: bool,
    dx: P,
    s: &DepthwiseShape,
) -> Result<Call<P>> {
    let mut args = vec![
        Arg::Pointer(dy),
        Arg::Pointer(k),
        Arg::optional(mask),
        Arg::optional(mask_bias),
        flag(accumulate),
        Arg::Pointer(dx),
    ];
    args.extend(depthwise_ints(s)?);
    // At stride 2 strips start where a window does, which may be left of the image.
    let strips = match s.stride {
        1 => s.w.div_ceil(STRIP),
        _ => (s.w + s.pad_left()).div_ceil(STRIP),
    };
    Call::over("depthwise_backward_input", s.n * s.h * strips * (s.c / width(s.c)), args)
}

/// The partition of [`depthwise_backward_weights`].
pub(crate) fn depthwise_partition(s: &DepthwiseShape) -> Partition {
    Partition::new(s.n * s.out_h(), 1, (s.side * s.side + 1) * s.c)
}

/// First stage of the gradients of a depthwise convolution by kernel and bias: writes
/// `depthwise_partition(s)`'s partial sums to `partials`, each the taps `(side, side, c)` and behind them
/// the bias `(c)`. [`sum_partials`](super::sum_partials) is the second. `x` and `input_bias` as for
/// [`depthwise_forward`].
pub(crate) fn depthwise_backward_weights<P>(
    x: P,
    input_bias: Option<P>,
    dy: P,
    partials: P,
    s: &DepthwiseShape,
) -> Result<Call<P>> {
    let mut args = vec![Arg::Pointer(x), Arg::optional(input_bias), Arg::Pointer(dy), Arg::Pointer(partials)];
    args.extend(depthwise_ints(s)?);
    let partition = depthwise_partition(s);
    int(partition.len())?;
    Ok(Call {
        kernel: "depthwise_backward_weights",
        // Of 5x5 a row of the kernel each.
        grid: [
            int((s.c / width(s.c)).div_ceil(LANES))? as u32,
            partition.parts as u32,
            if s.side == 3 { 1 } else { 5 },
        ],
        block: [LANES as u32, ROWS as u32, 1],
        args,
    })
}

/// Channels of the first convolution's output, and the zeros above and left of its input.
fn first_ints<P>(co: usize, padding: Padding, (h, w): (usize, usize)) -> Result<Vec<Arg<P>>> {
    let all = [co, padding.before(h, 3, 2), padding.before(w, 3, 2)];
    all.into_iter().map(|value| Ok(Arg::Int(int(value)?))).collect()
}

/// `y = act(x ∗ k + bias)`, 3x3 over three colours at stride 2: `x (n, h, w, 3)`, `k (3, 3, 3, co)`,
/// `bias (co)`, `y (n, ⌈h/2⌉, ⌈w/2⌉, co)`.
#[allow(clippy::too_many_arguments)] // the shape, spelled out
pub(crate) fn first_forward<P>(
    x: P,
    k: P,
    bias: P,
    act: Activation,
    y: P,
    (n, h, w): (usize, usize, usize),
    padding: Padding,
    co: usize,
) -> Result<Call<P>> {
    int(transfer_kernels::count(&[n, h.div_ceil(2), w.div_ceil(2), co]))?;
    ints::<P>(&[n, h, w, 3])?;
    let mut args = vec![
        Arg::Pointer(x),
        Arg::Pointer(k),
        Arg::Pointer(bias),
        flag(act == Activation::Relu6),
        Arg::Pointer(y),
    ];
    args.extend(ints(&[n, h, w])?);
    args.extend(first_ints(co, padding, (h, w))?);
    let items = n * h.div_ceil(2) * w.div_ceil(2).div_ceil(FIRST_STRIP) * (co / width(co));
    Call::over("first_forward", items, args)
}

/// The partition of [`first_backward_weights`].
pub(crate) fn first_partition((n, h, _): (usize, usize, usize), co: usize) -> Partition {
    Partition::new(n * h.div_ceil(2), 1, 28 * co)
}

/// First stage of the first convolution's gradients: `first_partition`'s partial sums, each the 27
/// taps `(3, 3, 3, co)` and behind them the bias `(co)`.
pub(crate) fn first_backward_weights<P>(
    x: P,
    dy: P,
    partials: P,
    (n, h, w): (usize, usize, usize),
    padding: Padding,
    co: usize,
) -> Result<Call<P>> {
    int(transfer_kernels::count(&[n, h.div_ceil(2), w.div_ceil(2), co]))?;
    ints::<P>(&[n, h, w, 3])?;
    let mut args = vec![Arg::Pointer(x), Arg::Pointer(dy), Arg::Pointer(partials)];
    args.extend(ints(&[n, h, w])?);
    args.extend(first_ints(co, padding, (h, w))?);
    let partition = first_partition((n, h, w), co);
    int(partition.len())?;
    Ok(Call {
        kernel: "first_backward_weights",
        // A third of the taps each.
        grid: [int((co / width(co)).div_ceil(LANES))? as u32, partition.parts as u32, 3],
        block: [LANES as u32, ROWS as u32, 1],
        args,
    })
}
