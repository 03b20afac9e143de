//! A convolution with its BatchNormalization folded in, as an exported model has it.

use crate::architecture::{ConvBnSpec, ConvKind};
use crate::weights::Weights;
use crate::Result;

/// Kernel and bias of a convolution.
pub(super) struct Folded {
    /// `(height, width, inputs, outputs)`; of a depthwise convolution `(height, width, outputs)`.
    pub kernel: Vec<f32>,
    /// One number for each output channel.
    pub bias: Vec<f32>,
}

impl Folded {
    /// Folds in f64.
    pub fn of(spec: &ConvBnSpec, weights: &Weights) -> Result<Self> {
        let names = spec.variable_names();
        let of = |i: usize| weights.get(&names[i]).map(|tensor| tensor.data.as_slice());
        let (kernel, gamma, beta, mean, variance) = (of(0)?, of(1)?, of(2)?, of(3)?, of(4)?);
        let scaled = gamma.iter().zip(variance);
        let factors: Vec<f64> =
            scaled.map(|(&g, &v)| f64::from(g) / f64::from(v + spec.epsilon).sqrt()).collect();
        // The output channel is innermost in both kinds of kernel.
        let kernel = kernel.iter().zip(factors.iter().cycle()).map(|(&k, f)| (f64::from(k) * f) as f32);
        let rest = beta.iter().zip(mean);
        let bias = factors.iter().zip(rest).map(|(f, (&b, &m))| (f64::from(b) - f * f64::from(m)) as f32);
        Ok(Folded { kernel: kernel.collect(), bias: bias.collect() })
    }

    /// Number of output channels.
    pub fn channels(&self) -> usize {
        self.bias.len()
    }
}

/// ONNX' shape of a kernel: outputs, inputs of each (1 where each channel is by itself), height, width.
pub(super) fn onnx_shape(spec: &ConvBnSpec, channels: usize) -> [usize; 4] {
    let inputs = if spec.kind == ConvKind::Depthwise { 1 } else { spec.input.2 };
    [channels, inputs, spec.side, spec.side]
}

/// The numbers of a kernel in ONNX' order, from those with the output channel innermost.
pub(super) fn onnx_order<T: Copy>(kernel: &[T], [channels, inputs, h, w]: [usize; 4]) -> Vec<T> {
    let mut ordered = Vec::with_capacity(kernel.len());
    for o in 0..channels {
        for i in 0..inputs {
            ordered.extend((0..h * w).map(|at| kernel[(at * inputs + i) * channels + o]));
        }
    }
    ordered
}
