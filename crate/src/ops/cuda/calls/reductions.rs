//! Launches of sums over rows, in two stages: blocks sum fixed parts, then the parts are summed in
//! their order. Nothing depends on when a block runs, so the bits are the same each time.

use super::{int, ints, width, Arg, Call, THREADS};
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

/// The partition of [`column_sums`].
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

/// Words of a row of the table of [`fold_all`], and vectors that a row folds at most.
#[cfg(any(test, feature = "cuda"))]
pub(crate) const FOLD_WORDS: usize = 12;
#[cfg(any(test, feature = "cuda"))]
const FOLD_VECTORS: usize = 2048;

/// The rows of one convolution in the table of [`fold_all`]; see [`fold_batch_norm`].
#[cfg(any(test, feature = "cuda"))]
pub(crate) fn fold_rows(
    v: Variables<u64>,
    epsilon: f32,
    (rows, c): (usize, usize),
    w: u64,
    b: u64,
) -> Vec<u64> {
    let vectors = rows.max(1) * c / width(c);
    let piece = |first: usize| {
        let count = (vectors - first).min(FOLD_VECTORS);
        let addresses = [v.kernel, v.gamma, v.beta, v.mean, v.variance, w, b];
        let numbers = [rows, c, first, count].map(|n| n as u64);
        addresses.into_iter().chain(numbers).chain([u64::from(epsilon.to_bits())])
    };
    (0..vectors).step_by(FOLD_VECTORS).flat_map(piece).collect()
}

/// Folds all convolutions of a table of 64-bit words, [`FOLD_WORDS`] a row.
#[cfg(any(test, feature = "cuda"))]
pub(crate) fn fold_all<P>(table: P, rows: usize) -> Result<Call<P>> {
    Ok(Call {
        kernel: "fold_all",
        grid: [int(rows)? as u32, 1, 1],
        block: [THREADS as u32, 1, 1],
        args: vec![Arg::Pointer(table)],
    })
}

/// Partial sums on the GPU: `parts` of them, `each` numbers apart, whose sum is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<P> {
    pub(crate) at: P,
    pub(crate) parts: usize,
    pub(crate) each: usize,
}

impl<P> Parts<P> {
    /// A sum that is there as a whole.
    pub(crate) fn whole(at: P) -> Self {
        Parts { at, parts: 1, each: 0 }
    }
}

/// Words of a row of the table of [`unfold_all`].
#[cfg(any(test, feature = "cuda"))]
pub(crate) const UNFOLD_WORDS: usize = 17;

/// The rows of one convolution in the table of [`unfold_all`]: the way back through the folding, from the gradients
/// `dw (rows, c)` and `db (c)` of the folded kernel and bias to `d_kernel = dw·γ/σ`, `d_gamma = (Σ dw ⊙ W − db·μ)/σ` and
/// `d_beta = db`, as far as they are asked for.
#[cfg(any(test, feature = "cuda"))]
pub(crate) fn unfold_rows(
    v: Variables<u64>,
    epsilon: f32,
    (dw, db): (Parts<u64>, Parts<u64>),
    d_kernel: Option<u64>,
    d_norm: Option<(u64, u64)>,
    (rows, c): (usize, usize),
) -> Vec<u64> {
    let (d_gamma, d_beta) = d_norm.unwrap_or((0, 0));
    let piece = |first: usize| {
        let sums = [dw, db].into_iter().flat_map(|s| [s.at, s.parts as u64, s.each as u64]);
        let of = [v.kernel, v.gamma, v.mean, v.variance, d_kernel.unwrap_or(0), d_gamma, d_beta];
        let numbers = [rows as u64, c as u64, first as u64, u64::from(epsilon.to_bits())];
        sums.chain(of).chain(numbers)
    };
    (0..c).step_by(LANES * width(c)).flat_map(piece).collect()
}

/// Unfolds the gradients of all convolutions of a table of 64-bit words, [`UNFOLD_WORDS`] a row.
#[cfg(any(test, feature = "cuda"))]
pub(crate) fn unfold_all<P>(table: P, rows: usize) -> Result<Call<P>> {
    Ok(Call {
        kernel: "unfold_all",
        grid: [int(rows)? as u32, 1, 1],
        block: [LANES as u32, ROWS as u32, 1],
        args: vec![Arg::Pointer(table)],
    })
}
