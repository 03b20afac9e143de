//! Matrix products in bfloat16: f32 with the mantissa cut to 8 bits, products summed in f32.
//!
//! Half the memory traffic and an instruction that multiplies pairs can be worth more than the last digits. Both
//! factors are rounded to the nearest bfloat16 (ties to even); bias, sums and results are f32.
//!
//! There are two units that can do it, and [`Bf16Unit`] says which one this processor has: the tile
//! registers of AMX, and the instruction `vdpbf16ps` of AVX512-BF16. They add in another order, so
//! their results differ in the last bits of an f32.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod backward_weights;
pub(crate) mod gemm;
mod packed;
mod panels;
mod pointwise;
#[cfg(test)]
mod tests;

pub(crate) use packed::padded;
pub use packed::PackedBf16;
pub use pointwise::{pointwise_backward_input_bf16, pointwise_backward_weights_bf16, pointwise_bf16};

use crate::simd::{isa, Isa, Kernel};
use crate::{Error, Result};

/// Rows and columns of the product that is computed at a time: two by two tiles of AMX.
pub(crate) const SIDE: usize = 32;

/// What multiplies in bfloat16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bf16Unit {
    /// `vdpbf16ps` of AVX512-BF16.
    Avx512,
    /// The tile registers of AMX, several times as fast.
    Amx,
}

impl Bf16Unit {
    /// All that this processor has, the faster one last.
    pub fn available() -> Vec<Bf16Unit> {
        [Bf16Unit::Avx512, Bf16Unit::Amx].into_iter().filter(|unit| unit.is_available()).collect()
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if Isa::Avx512.is_available() && is_x86_feature_detected!("avx512bf16") {
            return self == Bf16Unit::Avx512 || amx::is_available();
        }
        false
    }

    /// # Panics
    /// Where this processor does not have it.
    #[track_caller]
    pub(crate) fn check(self) {
        assert!(self.is_available(), "this processor does not have {self:?} for bfloat16");
    }

    /// The faster one that may be used.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the processor has none, or `TRANSFER_ISA` asks for a lesser
    /// instruction set.
    pub fn best() -> Result<Bf16Unit> {
        let isa = isa()?;
        if isa != Isa::Avx512 && Isa::Avx512.is_available() {
            return Err(Error::Unsupported(format!(
                "Precision::Bf16 expected AVX-512, but TRANSFER_ISA asks for {}. Unset the variable, or stay \
                 with Precision::F32.",
                isa.name()
            )));
        }
        Self::available().pop().ok_or_else(|| {
            Error::Unsupported(format!(
                "Precision::Bf16 expected a processor with AVX512-BF16 (Intel since Cooper Lake, AMD since Zen 4). \
                 Received: one whose best instruction set is {}. Stay with Precision::F32.",
                isa.name()
            ))
        })
    }
}

/// Runs a kernel that multiplies in bfloat16.
///
/// # Safety
/// What the kernel's fields promise must hold.
pub(crate) unsafe fn dispatch<K: Kernel>(unit: Bf16Unit, kernel: K) {
    debug_assert!(unit.is_available());
    #[cfg(target_arch = "x86_64")]
    {
        let _tiles = (unit == Bf16Unit::Amx).then(amx::Tiles::configure);
        // SAFETY: a unit comes from `Bf16Unit::available`, which asked the processor; the rest is the
        // caller's promise.
        unsafe { crate::simd::run_avx512_bf16(kernel) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = kernel;
}

/// `out = bias + a · b`: [`SIDE`] rows and columns, of which at least the first `rows` are right.
///
/// # Safety
/// Within [`dispatch`] of this unit. Row `i` of `a`, 0 to [`SIDE`] - 1, is `32 * k_tiles` valid
/// numbers from `a + i * lda` on (where `rows` is at most half, only that half); `b` is a panel of
/// [`PackedBf16`] with `k_tiles` pairs of tiles, `bias` and a row of `out` have [`SIDE`] numbers.
#[inline(always)]
pub(crate) unsafe fn product(
    unit: Bf16Unit,
    rows: usize,
    (a, lda): (*const u16, usize),
    (b, k_tiles): (*const u16, usize),
    bias: *const f32,
    out: &mut Product,
) {
    // SAFETY: the caller's promise.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        match unit {
            Bf16Unit::Amx if rows > SIDE / 2 => amx::whole((a, lda), (b, k_tiles), bias, out),
            Bf16Unit::Amx => amx::upper_half((a, lda), (b, k_tiles), bias, out),
            Bf16Unit::Avx512 => avx512::product(rows, (a, lda), (b, k_tiles), bias, out),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (unit, rows, a, lda, b, k_tiles, bias, out);
}

/// Room for a result of [`product`].
#[repr(C, align(64))]
pub(crate) struct Product([[f32; SIDE]; SIDE]);

impl Product {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Product([[0.0; SIDE]; SIDE])
    }

    /// Where row `r` begins.
    #[inline(always)]
    pub(crate) fn row(&self, r: usize) -> *const f32 {
        self.0[r].as_ptr()
    }
}

/// `x` rounded to the nearest bfloat16, ties to even; what is not a number stays so.
#[inline(always)]
pub(crate) fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The number that a bfloat16 stands for.
#[cfg(test)]
pub(crate) fn widen(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}
