//! For the tests of these packages, without a promise that it stays: random inputs, f64 copies, comparison with a
//! reference, and tests that say that they were skipped.

use crate::Bf16Unit;

mod skipped;

pub use crate::random::Rng;
pub use skipped::{folder_or_skip, skipped};

/// The processor's units for products in bfloat16; where it has none, it is said that nothing is tested.
pub fn bf16_units() -> Vec<Bf16Unit> {
    let units = Bf16Unit::available();
    if units.is_empty() {
        skipped("TRANSFER_REQUIRE_BF16", "this processor does not multiply in bfloat16");
    }
    units
}

/// `len` numbers from -1 to 1 that depend on `key` alone.
pub fn random(key: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(&[key]);
    (0..len).map(|_| rng.uniform() * 2.0 - 1.0).collect()
}

/// The same numbers in f64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Fails unless each number is within `tolerance` of the expected one, relative to the largest.
#[track_caller]
pub fn assert_close(what: &str, y: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(y.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (&y, e)) in y.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(y) - e).abs() <= tolerance * largest,
            "{what}: at {i}: {y} for {e}, largest {largest}"
        );
    }
}

#[cfg(test)]
#[test]
fn kernels_are_tested_on_every_instruction_set_that_there_is() {
    use crate::simd::Isa;
    let available = Isa::available();
    assert_eq!(available.first(), Some(&Isa::Portable));
    let others = if cfg!(target_arch = "aarch64") { &[Isa::Neon][..] } else { &[Isa::Avx2, Isa::Avx512] };
    for &isa in others.iter().filter(|isa| !available.contains(isa)) {
        let name = isa.name();
        skipped("TRANSFER_REQUIRE_ISA", format!("this processor cannot run the kernels for {name}"));
    }
}
