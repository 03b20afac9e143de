//! Biases that make up for what rounding changes on average: each output channel of a convolution has the same mean in int8
//! as in f32, on some photographs (Nagel et al. 2019, <https://arxiv.org/abs/1906.04721>, section 4.2).

use super::fixed::{Integers, Levels};
use super::layers::{Arithmetic, Floats};
use crate::architecture::Unit;
use crate::model::onnx::convolutions::has_residual;
use transfer_kernels::Activation;

/// Images that the means are of. All are in memory, in f32 and in int8.
pub(super) const IMAGES: usize = 16;
/// The most that a bias may come to.
const MOST: f64 = (1u32 << 30) as f64;

/// Corrects the biases of all convolutions in their order, each with what those before it give when they are corrected.
pub(super) fn correct(
    units: &[Unit],
    floats: &Floats,
    levels: &mut Levels,
    integers: &mut [Integers],
    (pixels, n): (Vec<f32>, usize),
) {
    let mut whole = levels.pixels(pixels.clone());
    let (mut x, mut tensor, mut conv) = (pixels, 0, 0);
    for unit in units {
        let before = has_residual(unit).then(|| (tensor, x.clone(), whole.clone()));
        for _ in &unit.convs {
            let expected = floats.convolutions[conv].apply(&x, n, Activation::Linear);
            let sums = levels.sums(conv, &whole, n);
            let input = levels.scales[tensor].scale;
            let integers = &mut integers[conv];
            correct_one(integers, input, &expected, &sums);
            levels.set_bias(conv, &integers.bias);
            whole = levels.levels(conv, (tensor, tensor + 1), sums);
            x = expected;
            (conv, tensor) = (conv + 1, tensor + 1);
            if floats.tensors[tensor].relu6 {
                x.iter_mut().for_each(|x| *x = x.clamp(0.0, 6.0));
            }
        }
        if let Some((from, x_before, whole_before)) = before {
            x = floats.add((from, tensor, tensor + 1), &x_before, &x);
            whole = levels.add((from, tensor, tensor + 1), &whole_before, &whole);
            tensor += 1;
        }
    }
}

/// Moves each bias by the mean difference, in whole steps.
fn correct_one(integers: &mut Integers, input: f32, expected: &[f32], sums: &[f32]) {
    let channels = integers.bias.len();
    let places = (expected.len() / channels.max(1)).max(1) as f64;
    let mut means = vec![(0.0f64, 0.0f64); channels];
    for (expected, sums) in expected.chunks_exact(channels).zip(sums.chunks_exact(channels)) {
        for ((of_floats, of_sums), (expected, sum)) in means.iter_mut().zip(expected.iter().zip(sums)) {
            *of_floats += f64::from(*expected);
            *of_sums += f64::from(*sum);
        }
    }
    for ((bias, scale), (of_floats, of_sums)) in integers.bias.iter_mut().zip(&integers.scales).zip(means) {
        let wanted = of_floats / places / f64::from(input * scale) - of_sums / places;
        *bias = wanted.round_ties_even().clamp(-MOST, MOST) as i32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::onnx::fold::Folded;

    #[test]
    fn a_channel_has_the_mean_that_it_has_in_f32() {
        let folded = Folded { kernel: vec![0.3, 0.7, -0.2, 0.111], bias: vec![0.1, -0.2] };
        let mut integers = Integers::of(&folded, 0.5);
        // What f32 gives of three places, and the sums of whole numbers, which are a little off.
        let expected = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0];
        let steps = |channel: usize| 0.5 * integers.scales[channel];
        let sums: Vec<f32> = expected.iter().enumerate().map(|(i, x)| (x + 0.07) / steps(i % 2)).collect();
        let scales = integers.scales.clone();
        correct_one(&mut integers, 0.5, &expected, &sums);
        for (bias, scale) in integers.bias.iter().zip(scales) {
            assert!((f64::from(*bias) * f64::from(0.5 * scale) + 0.07).abs() < f64::from(scale));
        }
    }
}
