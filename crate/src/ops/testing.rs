//! What the kernels' tests share: random inputs, f64 copies, and comparison with a reference.

use crate::random::Rng;

/// `len` numbers from -1 to 1 that depend on `key` alone.
pub(crate) fn random(key: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(&[key]);
    (0..len).map(|_| rng.uniform() * 2.0 - 1.0).collect()
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Fails unless each number is within `tolerance` of the expected one, relative to the largest.
#[track_caller]
pub(crate) fn assert_close(what: &str, y: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(y.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (&y, e)) in y.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(y) - e).abs() <= tolerance * largest,
            "{what}: at {i}: {y} for {e}, largest {largest}"
        );
    }
}
