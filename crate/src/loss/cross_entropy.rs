//! The formula that several losses share.

/// Binary cross-entropy of the logit `x` where the target is `z`, 0 to 1: `max(x, 0) − x·z + ln(1 + e^−|x|)`, which
/// never overflows.
pub(crate) fn binary_cross_entropy(x: f64, z: f64) -> f64 {
    x.max(0.0) - x * z + (-x.abs()).exp().ln_1p()
}
