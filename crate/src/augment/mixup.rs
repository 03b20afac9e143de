//! MixUp: each image of a batch becomes a mean of itself and another one, and so does its label (Zhang et
//! al. 2017, <https://arxiv.org/abs/1710.09412>). Not a layer of [`Sequential`](super::Sequential), because
//! it needs a whole batch and its labels.
//!
//! As Keras' `MixUp` layer does it: the part of each image is drawn from Beta(α, α), and its partner is
//! where a random order of the batch puts it. What is drawn depends on (seed, epoch, batch) for the order and
//! on (seed, epoch, image) for the parts alone.

use std::f64::consts::TAU;

use ndarray::Array4;

use crate::data::Batch;
#[cfg(feature = "plot")]
use crate::plot::{image_grid, Figure};
use crate::random::Rng;
use crate::{Error, Result};

/// Purposes that random numbers are drawn for.
const ORDER: u64 = u64::from_be_bytes(*b"mixorder");
const PART: u64 = u64::from_be_bytes(*b"mixparts");

/// Two images of a batch in one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mix {
    /// The other one's position in the batch.
    pub partner: usize,
    /// The part of the first.
    pub part: f32,
}

/// MixUp of the images of a batch. Training does it with [`FitOptions::mixup`](crate::train::FitOptions::mixup);
/// this is to see what it does.
///
/// ```
/// use ndarray::{array, Array4};
/// use transfer::augment::MixUp;
/// use transfer::data::Batch;
///
/// let images = Array4::from_shape_fn((2, 4, 4, 3), |(i, ..)| 100.0 * i as f32);
/// let mixed = MixUp::new(0.4).apply(&Batch::new(images, array![0, 1])?, 0)?;
/// let part = mixed.parts[0];
/// if mixed.partners[0] == 1 {
///     assert!((mixed.images[(0, 0, 0, 0)] - 100.0 * (1.0 - part)).abs() < 1e-3);
/// }
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixUp {
    alpha: f64,
    seed: u64,
}

/// A batch that was mixed.
#[derive(Debug, Clone)]
pub struct Mixed {
    /// The mixed images, shaped as they were.
    pub images: Array4<f32>,
    /// The label of each image before.
    pub labels: Vec<u32>,
    /// The position in the batch of what each image was mixed with.
    pub partners: Vec<usize>,
    /// How much of each image is still itself, 0 to 1.
    pub parts: Vec<f32>,
}

impl MixUp {
    /// MixUp with this α, seeded by [`crate::seed`]. With 0.2 most images stay close to one of the two; with 1
    /// all parts are equally likely.
    pub fn new(alpha: f64) -> Self {
        MixUp { alpha, seed: crate::environment::seed_or_default() }
    }

    /// Another seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The α.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// The images of a batch, mixed as in epoch `epoch`.
    ///
    /// # Errors
    /// Where α is not a number above 0.
    pub fn apply(&self, batch: &Batch, epoch: u64) -> Result<Mixed> {
        self.check()?;
        let mix = self.mix(epoch, batch.number, &batch.indices);
        let (n, h, w, c) = batch.images.dim();
        let images = batch.images.as_standard_layout();
        let mixed = mixed(images.as_slice().unwrap_or_default(), &mix);
        let images = Array4::from_shape_vec((n, h, w, c), mixed)
            .map_err(|e| Error::Shape(format!("MixUp expected a batch of {n} images: {e}")))?;
        Ok(Mixed {
            images,
            labels: batch.labels.to_vec(),
            partners: mix.iter().map(|mix| mix.partner).collect(),
            parts: mix.iter().map(|mix| mix.part).collect(),
        })
    }

    pub(crate) fn check(&self) -> Result<()> {
        crate::seed()?;
        if self.alpha.is_finite() && self.alpha > 0.0 {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "MixUp expected an alpha above 0, such as 0.2. Received: {}. Leave it out to mix nothing.",
            self.alpha
        )))
    }

    /// Which images of batch `number` are mixed, and how much of each stays.
    pub(crate) fn mix(&self, epoch: u64, number: usize, indices: &[usize]) -> Vec<Mix> {
        let mut partners: Vec<usize> = (0..indices.len()).collect();
        Rng::new(&[self.seed, ORDER, epoch, number as u64]).shuffle(&mut partners);
        let parts = indices
            .iter()
            .map(|&image| beta(&mut Rng::new(&[self.seed, PART, epoch, image as u64]), self.alpha) as f32);
        partners.into_iter().zip(parts).map(|(partner, part)| Mix { partner, part }).collect()
    }
}

impl Mixed {
    /// The first nine mixed images, each with the parts of its classes over it.
    ///
    /// # Errors
    /// Where there is no image, or they are not of grey levels.
    #[cfg(feature = "plot")]
    pub fn figure(&self, class_names: &[String]) -> Result<Figure> {
        let name = |i: usize| match class_names.get(self.labels[i] as usize) {
            Some(name) => name.clone(),
            None => format!("class {}", self.labels[i]),
        };
        let title = |i: usize| {
            let (own, other) = (name(i), name(self.partners[i]));
            if own == other {
                return own;
            }
            let percent = (100.0 * self.parts[i]).round();
            match percent {
                100.0 => own,
                0.0 => other,
                _ if percent >= 50.0 => format!("{percent:.0} % {own}, {:.0} % {other}", 100.0 - percent),
                _ => format!("{:.0} % {other}, {percent:.0} % {own}", 100.0 - percent),
            }
        };
        let titles: Vec<String> = (0..self.labels.len()).map(title).collect();
        image_grid(&self.images, &titles)
    }
}

/// Images of a batch, mixed; as many numbers as there were.
pub(crate) fn mixed(images: &[f32], mix: &[Mix]) -> Vec<f32> {
    let len = images.len() / mix.len().max(1);
    let mut out = Vec::with_capacity(images.len());
    for (own, &Mix { partner, part }) in images.chunks_exact(len.max(1)).zip(mix) {
        let other = &images[partner * len..(partner + 1) * len];
        out.extend(own.iter().zip(other).map(|(a, b)| part * a + (1.0 - part) * b));
    }
    out
}

/// A number from Beta(α, α): x / (x + y) of two from Gamma(α). Their logarithms are drawn, because for a
/// small α both would vanish.
fn beta(chance: &mut Rng, alpha: f64) -> f64 {
    let (x, y) = (ln_gamma_variate(chance, alpha), ln_gamma_variate(chance, alpha));
    1.0 / (1.0 + (y - x).exp())
}

/// The logarithm of a number from Gamma(α): that of Gamma(α + 1) (Marsaglia & Tsang 2000,
/// <https://doi.org/10.1145/358407.358414>) times a uniform number to the power of 1/α.
fn ln_gamma_variate(chance: &mut Rng, alpha: f64) -> f64 {
    let d = alpha + 1.0 - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(chance);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && above_zero(chance).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            // Two infinities would have no difference.
            return ((d * v).ln() + above_zero(chance).ln() / alpha).max(f64::MIN);
        }
    }
}

/// A number from the normal distribution (Box & Muller).
fn normal(chance: &mut Rng) -> f64 {
    (-2.0 * above_zero(chance).ln()).sqrt() * (TAU * above_zero(chance)).cos()
}

/// A number above 0 and at most 1, in steps of 2⁻⁵³.
fn above_zero(chance: &mut Rng) -> f64 {
    ((chance.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_mean_and_the_spread_of_the_beta_distribution() {
        for alpha in [0.05, 0.2, 0.4, 1.0, 3.0, 50.0] {
            let parts: Vec<f64> = (0..40_000).map(|i| beta(&mut Rng::new(&[i]), alpha)).collect();
            let n = parts.len() as f64;
            let mean = parts.iter().sum::<f64>() / n;
            let variance = parts.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / n;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: mean {mean}");
            assert!(
                (variance / expected - 1.0).abs() < 0.05,
                "{alpha}: variance {variance}, expected {expected}"
            );
            assert!(parts.iter().all(|p| (0.0..=1.0).contains(p)));
        }
        // With an α of 1 all parts are equally likely.
        let below = (0..40_000).filter(|&i| beta(&mut Rng::new(&[i]), 1.0) < 0.1).count();
        assert!((3700..4300).contains(&below), "{below}");
    }

    #[test]
    fn tiny_and_huge_alphas_give_numbers() {
        for alpha in [f64::MIN_POSITIVE, 1e-9, 1e9, 1e300] {
            let part = beta(&mut Rng::new(&[3]), alpha);
            assert!((0.0..=1.0).contains(&part), "{alpha}: {part}");
        }
    }

    #[test]
    fn what_is_mixed_depends_on_seed_epoch_and_batch_alone() {
        let mix = |seed, epoch, number| MixUp::new(0.4).seed(seed).mix(epoch, number, &[4, 9, 2, 7]);
        assert_eq!(mix(1, 2, 3), mix(1, 2, 3));
        for other in [mix(2, 2, 3), mix(1, 3, 3), mix(1, 2, 4)] {
            assert_ne!(mix(1, 2, 3), other);
        }
        let mut partners: Vec<usize> = mix(1, 2, 3).iter().map(|m| m.partner).collect();
        partners.sort();
        assert_eq!(partners, [0, 1, 2, 3], "each image is the partner of one");
    }

    #[test]
    fn an_alpha_of_nothing_is_refused() {
        for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(MixUp::new(alpha).check().unwrap_err().to_string().contains("above 0"));
        }
    }
}
