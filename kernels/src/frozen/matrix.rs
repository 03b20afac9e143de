//! The pointwise convolutions of a plan, in its precision.

use super::spec::FoldedConv;
use crate::bf16::{self, padded, Bf16Unit, PackedBf16};
use crate::pointwise::cpu::{Finish, Gemm};
use crate::pointwise::PackedWeights;
use crate::simd::{self, Isa, Kernel};
use std::ops::Range;

/// What a plan computes with: the instruction set, and the unit for bfloat16 where that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arithmetic {
    pub(super) isa: Isa,
    pub(super) bf16: Option<Bf16Unit>,
}

impl Arithmetic {
    /// Runs a kernel.
    ///
    /// # Safety
    /// What the kernel's fields promise must hold.
    pub(super) unsafe fn dispatch<K: Kernel>(self, kernel: K) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.bf16 {
                None => simd::dispatch(self.isa, kernel),
                Some(unit) => bf16::dispatch(unit, kernel),
            }
        }
    }

    /// Numbers (of an f32's size) that a row of `c` factors takes.
    pub(super) fn factors(self, c: usize) -> usize {
        match self.bf16 {
            None => c.next_multiple_of(self.isa.lanes()),
            Some(_) => padded(c) / 2,
        }
    }
}

/// Packed weights of a pointwise convolution.
#[derive(Debug, Clone)]
pub(super) enum Matrix {
    F32(PackedWeights),
    Bf16(PackedBf16),
}

impl Matrix {
    pub(super) fn new(with: Arithmetic, conv: &FoldedConv, ci: usize, co: usize) -> Self {
        match with.bf16 {
            None => Matrix::F32(PackedWeights::new_on(with.isa, &conv.w, &conv.b, ci, co)),
            Some(unit) => Matrix::Bf16(PackedBf16::new(unit, &conv.w, &conv.b, ci, co)),
        }
    }

    pub(super) fn ci(&self) -> usize {
        match self {
            Matrix::F32(w) => w.ci(),
            Matrix::Bf16(w) => w.ci(),
        }
    }

    pub(super) fn co(&self) -> usize {
        match self {
            Matrix::F32(w) => w.co(),
            Matrix::Bf16(w) => w.co(),
        }
    }

    pub(super) fn panels(&self) -> usize {
        match self {
            Matrix::F32(w) => w.panels(),
            Matrix::Bf16(w) => w.panels(),
        }
    }

    /// Rows `rows` and panels `panels` of the product with `x`, whose rows lie `ldx` numbers apart (of
    /// an f32's size, though it holds bfloat16 where the weights do).
    ///
    /// # Safety
    /// `x` and what `finish` names have the rows; behind those of `x`, memory goes on as
    /// [`bf16::gemm::Gemm`] asks. Nobody else writes these rows and panels.
    pub(super) unsafe fn multiply(
        &self,
        x: &[f32],
        ldx: usize,
        rows: Range<usize>,
        panels: Range<usize>,
        finish: Finish<'_>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Matrix::F32(w) => simd::dispatch(w.isa, Gemm { x, ldx, w, rows, panels, finish }),
                Matrix::Bf16(w) => {
                    let (x, ldx, unit) = (x.as_ptr().cast(), 2 * ldx, w.unit());
                    bf16::dispatch(unit, bf16::gemm::Gemm { unit, x, ldx, w, rows, panels, finish });
                }
            }
        }
    }
}
