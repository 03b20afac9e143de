//! An image as the cache keeps it: 16-bit fixed-point numbers.
//!
//! 256 steps to a grey level, so a number is at most 1/512 of a grey level off.

/// Steps in one grey level.
const STEPS: f32 = 256.0;
/// Numbers behind the last pixel, so that two pixels can be loaded as eight numbers.
const SPARE: usize = 8;

/// A cached image, `(h, w, 3)`, to be read by an [`ImageMap`](super::ImageMap).
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a>(&'a [u16]);

/// Makes what [`Stored`] reads.
pub(crate) fn store(image: &[f32]) -> Box<[u16]> {
    image.iter().map(|&value| quantise(value)).chain([0; SPARE]).collect()
}

/// Bytes that an image of `len` numbers takes.
pub(super) fn stored_bytes(len: usize) -> usize {
    (len + SPARE) * size_of::<u16>()
}

/// Changes an image to what storing and unpacking it would give.
pub(super) fn pass_through(image: &mut [f32]) {
    for value in image {
        *value = f32::from(quantise(*value)) / STEPS;
    }
}

impl<'a> Stored<'a> {
    pub(crate) fn new(kept: &'a [u16]) -> Self {
        Stored(kept)
    }

    /// Writes the image's numbers, grey levels 0..255, to `image`, as many as that holds.
    pub fn unpack(&self, image: &mut [f32]) {
        for (to, &from) in image.iter_mut().zip(self.0) {
            *to = f32::from(from) * Self::STEP;
        }
    }

    /// What the stored numbers are multiples of.
    pub(crate) const STEP: f32 = 1.0 / STEPS;

    /// The stored numbers of an image of `len`, and at least [`SPARE`] more, if it is that long.
    // What reads them is written for these processors.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn numbers(&self, len: usize) -> Option<&'a [u16]> {
        (self.0.len() >= len + SPARE).then_some(self.0)
    }
}

fn quantise(value: f32) -> u16 {
    // `as` saturates; resized values lie within 0..255 and so within 0..65280.
    (value * STEPS + 0.5) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_point_is_within_half_a_step_and_stable() {
        let image: Vec<f32> = (0..=25_500).map(|i| i as f32 / 100.0).collect();
        let kept = store(&image);
        assert_eq!(kept.len() * 2, stored_bytes(image.len()));
        let (mut back, mut passed) = (vec![0.0; image.len()], image.clone());
        Stored::new(&kept).unpack(&mut back);
        pass_through(&mut passed);
        assert_eq!(back, passed);
        for (value, &back) in image.iter().zip(&back) {
            assert!((back - value).abs() <= 1.0 / 512.0 + 1e-5, "{value} became {back}");
            assert_eq!(quantise(back), quantise(*value));
        }
    }
}
