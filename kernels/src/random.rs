//! Random numbers that depend on what they are for, not on when they are drawn.
//!
//! Each number is a hash of a key such as (seed, purpose, epoch, image), so that the order of
//! threads, batches or calls changes nothing.

/// A small generator (SplitMix64, Steele et al. 2014, <https://doi.org/10.1145/2714064.2660195>)
/// started from a key.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The generator of a key; different keys give unrelated streams.
    pub fn new(key: &[u64]) -> Self {
        let mut rng = Rng(0x9E37_79B9_7F4A_7C15);
        for &part in key {
            rng.0 ^= part;
            rng.0 = rng.next_u64();
        }
        rng
    }

    /// Where the stream is: number `i` of what follows, from 0, is the hash of `state + (i + 1)·0x9E3779B97F4A7C15`
    /// alone, so that it can be made without those before it.
    pub fn state(&self) -> u64 {
        self.0
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0.0..1.0`.
    pub fn uniform(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// A number in `0..n`; `n` must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Shuffles in place (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
