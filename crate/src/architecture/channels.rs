//! How many channels a layer of a wider or narrower network has.

/// The multiple of 8 that is nearest to `channels`, at least 8, and never more than a tenth below it: the rounding that
/// MobileNetV2 and EfficientNet have in common.
pub(super) fn round_channels(channels: f64) -> usize {
    let rounded = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * channels {
        rounded + 8
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_multiples_of_eight_and_not_a_tenth_too_few() {
        let rounded = [1.0, 11.2, 12.0, 19.2, 26.4, 44.0, 123.2, 448.0].map(round_channels);
        assert_eq!(rounded, [8, 16, 16, 24, 24, 48, 120, 448]);
    }
}
