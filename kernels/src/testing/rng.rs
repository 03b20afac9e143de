//! Random numbers for tests.

/// A small generator (SplitMix64, Steele et al. 2014, <https://doi.org/10.1145/2714064.2660195>) started from a key.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The generator of a key.
    pub fn new(key: &[u64]) -> Self {
        let mut rng = Rng(0);
        for &part in key {
            rng.0 ^= part;
            rng.0 = rng.next();
        }
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0.0..1.0`.
    pub fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }
}
