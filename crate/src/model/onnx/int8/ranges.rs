//! Which numbers the 256 levels of a tensor stand for, from what calibration saw of it.

/// Parts that the numbers seen are counted in.
const BINS: usize = 2048;
/// Cuts that are tried on each side of the range, and how far the last goes.
const CUTS: usize = 64;
const FURTHEST: f64 = 0.75;
/// The most levels of uint8, counted from 0.
const LEVELS: f32 = 255.0;

/// How uint8 stands for numbers: `(level - zero) · scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub scale: f32,
    /// The level of 0.
    pub zero: u8,
}

impl Scale {
    /// Levels for `low..=high`, which are widened to hold 0; 0 is a level.
    pub fn of(low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        // Of a tensor of zeros any scale is right.
        let scale = if high - low < 1e-6 { 1.0 / LEVELS } else { (high - low) / LEVELS };
        Scale { scale, zero: (-low / scale).round_ties_even().clamp(0.0, LEVELS) as u8 }
    }

    /// The level of a number, less that of 0, as ONNX' QuantizeLinear has it.
    pub fn level(self, value: f32) -> f32 {
        self.cut(value / self.scale)
    }

    /// The nearest level (of two the even one) of a number in units of the scale, less that of 0.
    pub fn cut(self, levels: f32) -> f32 {
        // Adding and taking away 1.5 · 2²³ rounds to whole numbers, halves to even ones, in vector instructions.
        const ROUND: f32 = 12_582_912.0;
        let zero = f32::from(self.zero);
        (levels.clamp(-zero, LEVELS - zero) + ROUND) - ROUND
    }
}

/// The least and the greatest number of a tensor.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extremes {
    /// 0 or less.
    pub low: f32,
    /// 0 or more.
    pub high: f32,
}

impl Extremes {
    pub fn are_finite(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }

    pub fn see(&mut self, values: &[f32]) {
        for &value in values {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
        }
    }
}

/// How many numbers of a tensor lie where between its extremes.
pub(super) struct Histogram {
    extremes: Extremes,
    counts: Vec<u64>,
}

impl Histogram {
    pub fn new(extremes: Extremes) -> Self {
        Histogram { extremes, counts: vec![0; BINS] }
    }

    /// Counts all but zeros, which every scale holds exactly.
    pub fn see(&mut self, values: &[f32]) {
        let Extremes { low, high } = self.extremes;
        let bins_per_unit = BINS as f32 / (high - low).max(f32::MIN_POSITIVE);
        for &value in values.iter().filter(|&&value| value != 0.0) {
            let bin = ((value - low) * bins_per_unit) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    /// The scale with the least expected square of what rounding and cutting off change.
    pub fn scale(&self) -> Scale {
        let Extremes { low, high } = self.extremes;
        let mut best = (low, high, self.error(low, high));
        // Both sides in turn, each with the best of the other.
        for _ in 0..2 {
            for side in 0..2 {
                let (from_low, from_high) = (best.0, best.1);
                for cut in 0..CUTS {
                    let part = (1.0 - FURTHEST * cut as f64 / CUTS as f64) as f32;
                    let (l, h) = if side == 0 { (from_low, high * part) } else { (low * part, from_high) };
                    let error = self.error(l, h);
                    if error < best.2 {
                        best = (l, h, error);
                    }
                }
            }
        }
        Scale::of(best.0, best.1)
    }

    /// The sum of squares that a range changes.
    fn error(&self, low: f32, high: f32) -> f64 {
        let Extremes { low: from, high: to } = self.extremes;
        let width = f64::from(to - from) / BINS as f64;
        let step = f64::from(high - low) / f64::from(LEVELS);
        let (low, high) = (f64::from(low), f64::from(high));
        let mut sum = 0.0;
        for (bin, &count) in self.counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
            let middle = f64::from(from) + (bin as f64 + 0.5) * width;
            let beyond = (low - middle).max(middle - high).max(0.0);
            sum += count as f64 * (beyond * beyond + step * step / 12.0);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_a_level_and_levels_round_halves_to_even_ones() {
        let scale = Scale::of(-1.0, 1.0);
        assert_eq!((scale.zero, scale.level(0.0)), (128, 0.0));
        assert_eq!(Scale::of(0.0, 6.0), Scale { scale: 6.0 / 255.0, zero: 0 });
        assert_eq!(Scale::of(1.0, 2.0).zero, 0);
        let ones = Scale { scale: 1.0, zero: 100 };
        assert_eq!(
            [0.5, 1.5, -2.5, 0.49, 400.0, -400.0].map(|x| ones.level(x)),
            [0.0, 2.0, -2.0, 0.0, 155.0, -100.0]
        );
        assert!(Scale::of(0.0, 0.0).scale > 0.0);
    }

    #[test]
    fn a_few_numbers_far_away_are_cut_off_and_evenly_spread_ones_are_not() {
        let even: Vec<f32> = (0..=60_000).map(|i| i as f32 / 10_000.0).collect();
        let chosen = |values: &[f32]| {
            let mut extremes = Extremes::default();
            extremes.see(values);
            let mut histogram = Histogram::new(extremes);
            histogram.see(values);
            histogram.scale()
        };
        assert_eq!(chosen(&even), Scale::of(0.0, 6.0));
        let mut far = even.clone();
        far.push(24.0);
        let scale = chosen(&far).scale;
        assert!(scale < 12.0 / 255.0 && scale > 5.5 / 255.0, "{scale}");
    }
}
