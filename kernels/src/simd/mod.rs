//! The vector instructions that the kernels are written in, and the choice between them.
//!
//! A kernel is written once, over the small trait `Simd`, and compiled for AVX-512, for AVX2 with
//! FMA, for NEON, and for the portable form that the compiler vectorises itself. Which one runs is settled
//! when the program starts: the best that the processor has, or a lesser one that `TRANSFER_ISA`
//! (`avx512`, `avx2`, `neon` or `portable`) asks for. Nothing has to be said to the compiler.
//!
//! ```
//! use transfer_kernels::simd::{isa, Isa};
//! assert!(Isa::available().contains(&isa()?));
//! # Ok::<(), transfer_kernels::Error>(())
//! ```

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::run_avx512_bf16;

use crate::{settings, Result};
use std::sync::OnceLock;

/// An instruction set that the kernels exist for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, vectorised by the compiler for the least processor of the architecture.
    Portable,
    /// AVX2 and FMA: 16 registers of 8 numbers.
    Avx2,
    /// AVX-512 F, VL, BW and DQ: 32 registers of 16 numbers.
    Avx512,
    /// NEON of 64-bit ARM processors: 32 registers of 4 numbers.
    Neon,
}

impl Isa {
    /// All that this processor has, the best one last.
    pub fn available() -> Vec<Isa> {
        let all = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Neon];
        all.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this processor can run it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            // What another architecture has.
            _ => false,
        }
    }

    /// Its name, as `TRANSFER_ISA` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }

    /// Numbers in one vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Isa::Portable => portable::Portable::LANES,
            Isa::Avx2 => 8,
            Isa::Avx512 => 16,
            Isa::Neon => 4,
        }
    }
}

/// The instruction set in use.
///
/// Settled at the first call; later changes of the variable have no effect.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) where `TRANSFER_ISA` names none, or one that this processor lacks.
pub fn isa() -> Result<Isa> {
    static CHOICE: OnceLock<Result<Isa>> = OnceLock::new();
    let choice = CHOICE.get_or_init(|| {
        let asked = settings::read("TRANSFER_ISA", &expected(), by_name)?;
        Ok(asked.unwrap_or_else(best))
    });
    choice.clone()
}

/// What the kernels use that have no way to report: as [`isa`], and the best there is where that
/// fails.
pub(crate) fn active() -> Isa {
    isa().unwrap_or_else(|_| best())
}

fn best() -> Isa {
    Isa::available().pop().unwrap_or(Isa::Portable)
}

/// The instruction set of that name, if this processor has it.
fn by_name(name: &str) -> Option<Isa> {
    Isa::available().into_iter().find(|isa| isa.name() == name)
}

fn expected() -> String {
    let names: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
    format!("an instruction set that this processor has ({})", names.join(", "))
}

/// Vectors of `f32`, as far as the kernels need them.
///
/// # Safety
/// Every method needs a processor that has the instruction set; `load` and `store` need
/// [`LANES`](Simd::LANES) (the `_partial` forms: `n`) valid numbers at the pointer, aligned as any
/// `f32` is. [`dispatch`] is the one place that vouches for the first.
pub(crate) trait Simd: Copy {
    /// Numbers in a vector.
    const LANES: usize;
    /// Rows of the register tile that is two vectors wide.
    const ROWS: usize;
    /// Registers of a vector each.
    const REGISTERS: usize;
    /// Outputs that a depthwise pass holds in registers beside the weights: nine, or one row of five at a time.
    const OUTPUTS: usize;
    /// Whether [`mul_add_lane`](Simd::mul_add_lane) is one instruction. The register tile then loads whole vectors of
    /// `x`; else it loads one number into all places of a vector, which other processors do while they load.
    const BY_LANE: bool = false;
    /// A vector.
    type V: Copy;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn load_partial(p: *const f32, n: usize) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    unsafe fn store_partial(p: *mut f32, n: usize, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a * b[LANE] + c`: one number of `b` is the factor of all. Used where [`BY_LANE`](Simd::BY_LANE) says so.
    #[inline(always)]
    unsafe fn mul_add_lane<const LANE: i32>(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let mut numbers = [0.0f32; 16];
        // SAFETY: no vector is longer; the rest is the caller's promise.
        unsafe {
            Self::store(numbers.as_mut_ptr(), b);
            Self::mul_add(a, Self::splat(numbers[LANE as usize]), c)
        }
    }
    /// `min(max(v, 0), 6)`; what is not a number stays so.
    unsafe fn relu6(v: Self::V) -> Self::V;
    /// `v` where `0 < y < 6`, else 0.
    unsafe fn where_inside(v: Self::V, y: Self::V) -> Self::V;

    /// Stores a whole vector rounded to bfloat16, as [`round`](crate::bf16::round) does.
    #[inline(always)]
    unsafe fn store_bf16(p: *mut u16, v: Self::V) {
        let mut numbers = [0.0f32; 16];
        // SAFETY: no vector is longer; the rest is the caller's promise.
        unsafe {
            Self::store(numbers.as_mut_ptr(), v);
            for (i, &x) in numbers[..Self::LANES].iter().enumerate() {
                *p.add(i) = crate::bf16::round(x);
            }
        }
    }
}

/// Work written over [`Simd`].
pub(crate) trait Kernel {
    /// Does the work; to be `#[inline(always)]`, or the instructions stay calls.
    ///
    /// # Safety
    /// The processor has the instruction set of `S`, and what the kernel's fields promise holds.
    unsafe fn run<S: Simd>(self);
}

/// Runs a kernel with the vectors of `isa`.
///
/// # Safety
/// What the kernel's fields promise must hold.
pub(crate) unsafe fn dispatch<K: Kernel>(isa: Isa, kernel: K) {
    debug_assert!(isa.is_available(), "this processor has no {}", isa.name());
    // SAFETY: an `Isa` other than Portable comes from `Isa::available`, which asked the processor;
    // the rest is the caller's promise.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::run_avx512(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::run_avx2(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::run_neon(kernel),
            _ => kernel.run::<portable::Portable>(),
        }
    }
}

/// Does nothing but multiply and add in registers, `steps` times over, and returns how many
/// floating-point operations that was: a yardstick for benchmarks.
pub fn register_peak(steps: usize) -> usize {
    struct Peak(usize, f32);
    const SUMS: usize = 10;
    impl Kernel for Peak {
        #[inline(always)]
        unsafe fn run<S: Simd>(self) {
            // SAFETY: no memory but `y` is touched.
            unsafe {
                let (x, w) = (S::splat(self.1), S::splat(self.1 * 0.5));
                let mut sums = [S::splat(0.0); SUMS];
                for _ in 0..self.0 {
                    for sum in &mut sums {
                        *sum = S::mul_add(x, w, *sum);
                    }
                }
                let mut y = [0.0f32; 16];
                for sum in sums {
                    S::store(y.as_mut_ptr(), S::add(S::load(y.as_ptr()), sum));
                }
                std::hint::black_box(y);
            }
        }
    }
    // SAFETY: Peak promises nothing.
    unsafe { dispatch(active(), Peak(steps, std::hint::black_box(0.25))) };
    steps * SUMS * 2 * active().lanes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_set_is_found_by_name_where_the_processor_has_it() {
        assert_eq!(by_name("sse9"), None);
        assert_eq!(by_name("portable"), Some(Isa::Portable));
        for isa in [Isa::Avx2, Isa::Avx512, Isa::Neon] {
            assert_eq!(by_name(isa.name()).is_some(), isa.is_available());
        }
        assert!(expected().contains("portable"), "{}", expected());
    }

    struct Probe<'a>(&'a mut Vec<f32>);
    impl Kernel for Probe<'_> {
        #[inline(always)]
        unsafe fn run<S: Simd>(self) {
            let x: Vec<f32> = (0..S::LANES).map(|i| i as f32 - 2.0).collect();
            let mut y = vec![9.0; S::LANES];
            // SAFETY: x and y hold LANES numbers.
            unsafe {
                let v = S::load(x.as_ptr());
                let v = S::mul_add(v, S::splat(2.0), S::add(v, S::splat(0.5)));
                S::store(y.as_mut_ptr(), S::where_inside(S::relu6(v), S::relu6(v)));
                S::store_partial(y.as_mut_ptr(), 3, S::load_partial(x.as_ptr(), 3));
            }
            *self.0 = y;
        }
    }

    #[test]
    fn every_instruction_set_computes_the_same() {
        for isa in Isa::available() {
            let mut y = vec![];
            // SAFETY: available, and Probe promises nothing.
            unsafe { dispatch(isa, Probe(&mut y)) };
            let expected: Vec<f32> = (0..isa.lanes())
                .map(|i| {
                    let x = i as f32 - 2.0;
                    let v = (3.0 * x + 0.5).clamp(0.0, 6.0);
                    match v {
                        _ if i < 3 => x,
                        v if v < 6.0 => v,
                        _ => 0.0,
                    }
                })
                .collect();
            assert_eq!(y, expected, "{}", isa.name());
        }
    }
}
