//! Launches of sums over rows, in two stages: blocks sum fixed parts, then the parts are summed in
//! their order. Nothing depends on when a block runs, so the bits are the same each time.

use super::{int, ints, width, Arg, Call};
use crate::Result;

/// Vectors of channels that a block of a first stage sums: with four numbers each a line of 128 bytes.
pub(super) const LANES: usize = 8;
/// Rows that such a block sums at once.
pub(super) const ROWS: usize = 32;
/// Parts at most.
const PARTS: usize = 64;
/// Columns that a block of a second stage sums, and parts that it sums at once.
const FINISH: [u32; 3] = [32, 8, 1];

/// How a sum over rows is cut: by the number of rows alone, never by what the GPU is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Partial sums; at least one, also of no rows.
    pub(crate) parts: usize,
    /// Numbers in each.
    pub(crate) each: usize,
}

impl Partition {
    /// Of `rows`, of which a thread should have at least `serial`, to sums of `each` numbers.
    pub(super) fn new(rows: usize, serial: usize, each: usize) -> Self {
        Partition { parts: rows.div_ceil(ROWS * serial).clamp(1, PARTS), each }
    }

    /// Floats that the partial sums take.
    pub(crate) fn len(self) -> usize {
        transfer_kernels::count(&[self.parts, self.each])
    }
}

/// Second stage: `out[i] = Σ partials[p][i]`, or `out[i] += …` with `accumulate`, for the numbers
/// `first..first + out's length` of each partial sum.
pub(crate) fn sum_partials<P>(
    partials: P,
    partition: Partition,
    columns: std::ops::Range<usize>,
    accumulate: bool,
    out: P,
) -> Result<Call<P>> {
    int(partition.len())?;
    let args = vec![
        Arg::Pointer(partials),
        Arg::Int(int(partition.parts)?),
        Arg::Int(int(partition.each)?),
        Arg::Int(int(columns.start)?),
        Arg::Int(int(columns.len())?),
        Arg::Int(i32::from(accumulate)),
        Arg::Pointer(out),
    ];
    Ok(Call { kernel: "sum_partials", grid: finish_grid(columns.len())?, block: FINISH, args })
}

fn finish_grid(columns: usize) -> Result<[u32; 3]> {
    Ok([int(columns.div_ceil(FINISH[0] as usize))? as u32, 1, 1])
}

fn rows_call<P>(kernel: &'static str, (rows, c): (usize, usize), mut args: Vec<Arg<P>>) -> Result<Call<P>> {
    args.extend(ints(&[rows, c])?);
    let parts = column_partition(rows, c).parts as u32;
    let blocks = int((c / width(c)).div_ceil(LANES))? as u32;
    Ok(Call { kernel, grid: [blocks, parts, 1], block: [LANES as u32, ROWS as u32, 1], args })
}

/// The partition of [`column_sums`] and [`unfold_partials`].
pub(crate) fn column_partition(rows: usize, c: usize) -> Partition {
    Partition::new(rows, 4, c)
}

/// First stage of the sums over the rows of `x (rows, c)`: `column_partition(rows, c)`'s partial sums.
pub(crate) fn column_sums<P>(x: P, partials: P, rows: usize, c: usize) -> Result<Call<P>> {
    rows_call("column_sums", (rows, c), vec![Arg::Pointer(x), Arg::Pointer(partials)])
}

/// The variables of a convolution and its BatchNormalization: kernel `(rows, c)`, the others `(c)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variables<P> {
    pub(crate) kernel: P,
    pub(crate) gamma: P,
    pub(crate) beta: P,
    pub(crate) mean: P,
    pub(crate) variance: P,
}

/// `w = W·γ/σ` `(rows, c)` and `b = β − γ·μ/σ` `(c)`; see [`crate::ops::conv_bn`].
pub(crate) fn fold_batch_norm<P>(
    v: Variables<P>,
    epsilon: f32,
    (rows, c): (usize, usize),
    w: P,
    b: P,
) -> Result<Call<P>> {
    let mut args: Vec<_> =
        [v.kernel, v.gamma, v.beta, v.mean, v.variance].into_iter().map(Arg::Pointer).collect();
    args.extend([Arg::Float(epsilon), Arg::Pointer(w), Arg::Pointer(b)]);
    args.extend(ints(&[rows, c])?);
    Call::over("fold_batch_norm", rows.max(1) * c / width(c), args)
}

/// First stage of the way back through the folding, from `dw (rows, c)`: adds `dw·γ/σ` to `d_kernel`
/// if there is one, and writes `column_partition(rows, c)`'s partial sums of `dw ⊙ W`.
pub(crate) fn unfold_partials<P: Copy>(
    v: Variables<P>,
    epsilon: f32,
    dw: P,
    d_kernel: Option<P>,
    partials: P,
    rows: usize,
    c: usize,
) -> Result<Call<P>> {
    let args = vec![
        Arg::Pointer(v.kernel),
        Arg::Pointer(v.gamma),
        Arg::Pointer(v.variance),
        Arg::Float(epsilon),
        Arg::Pointer(dw),
        Arg::optional(d_kernel),
        Arg::Pointer(partials),
    ];
    rows_call("unfold_partials", (rows, c), args)
}

/// Second stage: `d_gamma += (Σ partials − db·μ)/σ`, `d_beta += db`, all of `c` numbers.
#[allow(clippy::too_many_arguments)] // one a term of the formula
pub(crate) fn unfold_finish<P>(
    partials: P,
    db: P,
    mean: P,
    variance: P,
    epsilon: f32,
    d_gamma: P,
    d_beta: P,
    rows: usize,
    c: usize,
) -> Result<Call<P>> {
    let partition = column_partition(rows, c);
    let args = vec![
        Arg::Pointer(partials),
        Arg::Int(int(partition.parts)?),
        Arg::Pointer(db),
        Arg::Pointer(mean),
        Arg::Pointer(variance),
        Arg::Float(epsilon),
        Arg::Pointer(d_gamma),
        Arg::Pointer(d_beta),
        Arg::Int(int(c)?),
    ];
    Ok(Call { kernel: "unfold_finish", grid: finish_grid(c)?, block: FINISH, args })
}
