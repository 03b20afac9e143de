//! int8: convolutions of uint8 levels with int8 kernels, as ONNX Runtime computes them.
//!
//! A level is held as a float, less the level of 0, and so is a kernel. The kernels for floats then give the sums of whole
//! numbers that int32 gives: exactly below 2²⁴, and beyond that to the last bits of f32, which the scaling behind it
//! rounds to in any case.

use transfer_kernels::Activation;

use super::layers::{means, Arithmetic, Convolution};
use super::ranges::Scale;
use crate::architecture::ConvBnSpec;
use crate::model::onnx::fold::Folded;
use crate::threads;

/// The largest number of a kernel; the least is minus this.
const MOST: f32 = 127.0;
/// The largest bias, in units of its scale. Sums of products stay far below 2³⁰.
const MOST_BIAS: f32 = (1u32 << 30) as f32;
/// Numbers that a thread scales at a time, about.
const AT_ONCE: usize = 1 << 16;

/// A convolution's numbers as the file has them.
pub(super) struct Integers {
    /// With the output channel innermost.
    pub kernel: Vec<i8>,
    /// What a step of the kernel stands for, one number for each output channel.
    pub scales: Vec<f32>,
    /// In units of the input's scale times that.
    pub bias: Vec<i32>,
}

impl Integers {
    /// Kernel and bias of a convolution whose input has the scale `input`.
    pub fn of(folded: &Folded, input: f32) -> Self {
        let channels = folded.channels();
        let mut largest = vec![0f32; channels];
        for row in folded.kernel.chunks_exact(channels) {
            largest.iter_mut().zip(row).for_each(|(largest, k)| *largest = largest.max(k.abs()));
        }
        // A channel with hardly a kernel has a coarser scale, where its bias would not fit otherwise.
        let least = |bias: &f32| (bias.abs() / (input * MOST_BIAS)).max(f32::MIN_POSITIVE / input.min(1.0));
        let scales: Vec<f32> =
            largest.iter().zip(&folded.bias).map(|(k, bias)| (k / MOST).max(least(bias))).collect();
        let level = |(k, scale): (&f32, &f32)| (k / scale).round_ties_even().clamp(-MOST, MOST) as i8;
        let kernel = folded.kernel.iter().zip(scales.iter().cycle()).map(level).collect();
        let bias = folded.bias.iter().zip(&scales);
        let bias = bias
            .map(|(&bias, &scale)| (f64::from(bias) / f64::from(input * scale)).round_ties_even() as i32)
            .collect();
        Integers { kernel, scales, bias }
    }
}

/// A convolution that computes with levels.
struct Fixed {
    convolution: Convolution,
    bias: Vec<f64>,
    scales: Vec<f32>,
}

/// Convolutions and scales of tensors.
pub(super) struct Levels {
    convolutions: Vec<Fixed>,
    pub scales: Vec<Scale>,
}

impl Levels {
    /// From each convolution's shape and numbers, and the scale of each tensor.
    pub fn new<'a>(
        convolutions: impl Iterator<Item = (&'a ConvBnSpec, &'a Integers)>,
        scales: Vec<Scale>,
    ) -> Self {
        let fixed = |(spec, integers): (&ConvBnSpec, &Integers)| {
            let kernel = integers.kernel.iter().map(|&k| f32::from(k)).collect();
            let without_bias = Folded { kernel, bias: vec![0.0; integers.bias.len()] };
            Fixed {
                convolution: Convolution::new(spec, &without_bias),
                bias: integers.bias.iter().map(|&bias| f64::from(bias)).collect(),
                scales: integers.scales.clone(),
            }
        };
        Levels { convolutions: convolutions.map(fixed).collect(), scales }
    }

    /// The levels of floats of tensor 0.
    pub fn pixels(&self, mut floats: Vec<f32>) -> Vec<f32> {
        let scale = self.scales[0];
        floats.iter_mut().for_each(|x| *x = scale.level(*x));
        floats
    }
}

impl Arithmetic for Levels {
    fn convolve(&self, conv: usize, (from, to): (usize, usize), x: &[f32], n: usize) -> Vec<f32> {
        let Fixed { convolution, bias, scales } = &self.convolutions[conv];
        let mut sums = convolution.apply(x, n, Activation::Linear);
        let (from, to) = (self.scales[from], self.scales[to]);
        let factors: Vec<f32> = scales.iter().map(|scale| from.scale * scale / to.scale).collect();
        let channels = convolution.channels;
        let rows = (AT_ONCE / channels).max(1);
        threads::each(sums.chunks_mut(rows * channels).collect(), |part: &mut [f32]| {
            for row in part.chunks_exact_mut(channels) {
                for ((sum, bias), factor) in row.iter_mut().zip(bias).zip(&factors) {
                    // The whole number, rounded to f32 once, as the conversion of an int32 rounds it.
                    *sum = to.cut((f64::from(*sum) + bias) as f32 * factor);
                }
            }
        });
        sums
    }

    fn add(&self, (a, b, to): (usize, usize, usize), x: &[f32], y: &[f32]) -> Vec<f32> {
        let [a, b, to] = [a, b, to].map(|tensor| self.scales[tensor]);
        let (of_a, of_b) = (a.scale / to.scale, b.scale / to.scale);
        x.iter().zip(y).map(|(x, y)| to.cut(x * of_a + y * of_b)).collect()
    }

    fn means(&self, tensor: usize, x: &[f32], n: usize, channels: usize) -> Vec<f32> {
        means(x, n, channels, self.scales[tensor].scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_a_scale_of_its_own_and_a_bias_fits() {
        let folded = Folded { kernel: vec![1.0, 0.012, 0.0, -0.6, 0.02, 0.0], bias: vec![0.5, -0.1, 3.0] };
        let integers = Integers::of(&folded, 0.02);
        assert_eq!(integers.kernel, [127, 76, 0, -76, 127, 0]);
        for (channel, (&bias, &scale)) in integers.bias.iter().zip(&integers.scales).enumerate() {
            let found = f64::from(bias) * f64::from(0.02 * scale);
            let expected = f64::from(folded.bias[channel]);
            assert!(
                (found - expected).abs() < 1e-4 && bias.abs() <= (1 << 30) + (1 << 8),
                "{channel} {found} {bias}"
            );
        }
    }
}
