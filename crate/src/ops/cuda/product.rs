//! Products of matrices by cuBLAS. Ours are row-major and its are column-major: a row-major matrix is
//! the transposed one to cuBLAS, so the factors change places.
//!
//! In f32 (cuBLAS takes no shorter numbers for f32 unless it is asked to), or in TF32 where
//! [`Multiplying`](super::card::Multiplying) asks for it, and with the same bits each time: all is on one stream, and
//! atomics are off unless they are asked for.

use cudarc::cublas::result::sgemm;
use cudarc::cublas::sys::cublasOperation_t::{self, CUBLAS_OP_N as N, CUBLAS_OP_T as T};

use super::Card;
use crate::{Error, Result};

/// `y (rows, co) = x (rows, ci) · w (ci, co)`.
///
/// # Safety
/// The addresses are of memory of these sizes, `y` overlaps with neither factor.
pub(crate) unsafe fn forward(
    card: &'static Card,
    x: u64,
    w: u64,
    y: u64,
    (rows, ci, co): (usize, usize, usize),
) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { product(card, [N, N], [co, rows, ci], (w, co), (x, ci), 0.0, (y, co)) }
}

/// `dx (rows, ci) = dy (rows, co) · wᵀ`, or `dx += …` with `accumulate`.
///
/// # Safety
/// As [`forward`].
pub(crate) unsafe fn backward_input(
    card: &'static Card,
    dy: u64,
    w: u64,
    dx: u64,
    (rows, ci, co): (usize, usize, usize),
    accumulate: bool,
) -> Result<()> {
    let beta = if accumulate { 1.0 } else { 0.0 };
    // SAFETY: the caller's promise.
    unsafe { product(card, [T, N], [ci, rows, co], (w, co), (dy, co), beta, (dx, ci)) }
}

/// `dw (ci, co) = xᵀ · dy`.
///
/// # Safety
/// As [`forward`].
pub(crate) unsafe fn backward_weights(
    card: &'static Card,
    x: u64,
    dy: u64,
    dw: u64,
    (rows, ci, co): (usize, usize, usize),
) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { product(card, [N, T], [co, ci, rows], (dy, co), (x, ci), 0.0, (dw, co)) }
}

/// cuBLAS' `c (m, n) = op(a) (m, k) · op(b) (k, n) + beta·c`, each with its leading dimension.
#[allow(clippy::too_many_arguments)] // cuBLAS' own
unsafe fn product(
    card: &'static Card,
    [op_a, op_b]: [cublasOperation_t; 2],
    [m, n, k]: [usize; 3],
    (a, lda): (u64, usize),
    (b, ldb): (u64, usize),
    beta: f32,
    (c, ldc): (u64, usize),
) -> Result<()> {
    if m == 0 || n == 0 {
        return Ok(());
    }
    let int = |size: usize| {
        i32::try_from(size).map_err(|_| {
            Error::Shape(format!(
                "A product on the GPU expected sides of less than 2^31. Received: {size}. Use a smaller batch."
            ))
        })
    };
    let alpha = 1.0;
    let blas = card.blas()?;
    // SAFETY: the memory is the caller's promise; the constants are read before the function returns.
    let done = unsafe {
        sgemm(
            *blas.blas.handle(),
            op_a,
            op_b,
            int(m)?,
            int(n)?,
            int(k)?,
            &alpha,
            a as *const f32,
            int(lda)?,
            b as *const f32,
            int(ldb)?,
            &beta,
            c as *mut f32,
            int(ldc)?,
        )
    };
    done.map_err(|e| {
        Error::Device(format!("The GPU could not multiply {m}x{k} by {k}x{n} numbers: {:?}.", e.0))
    })
}
