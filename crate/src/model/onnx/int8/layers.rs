//! The base's convolutions one by one, with all that lies between them in memory: what calibration looks at, and what
//! int8 computes. Prediction with a [`Model`](crate::model::Model) has a faster way.

use transfer_kernels::{conv3x3_first, depthwise, pointwise, Activation, DepthwiseShape, PackedWeights};

use crate::architecture::{Architecture, ConvBnSpec, ConvKind, Unit};
use crate::model::onnx::convolutions::has_residual;
use crate::model::onnx::fold::Folded;

/// A convolution without what follows it.
pub(super) struct Convolution {
    spec: ConvBnSpec,
    kernel: Kernel,
    pub channels: usize,
}

enum Kernel {
    Plain { kernel: Vec<f32>, bias: Vec<f32> },
    Packed(PackedWeights),
}

impl Convolution {
    pub fn new(spec: &ConvBnSpec, folded: &Folded) -> Self {
        let channels = folded.channels();
        let kernel = match spec.kind {
            ConvKind::Pointwise => {
                Kernel::Packed(PackedWeights::new(&folded.kernel, &folded.bias, spec.input.2, channels))
            }
            _ => Kernel::Plain { kernel: folded.kernel.clone(), bias: folded.bias.clone() },
        };
        Convolution { spec: spec.clone(), kernel, channels }
    }

    /// Its sums for `n` inputs `(n, h, w, c)`, or ReLU6 of them.
    pub fn apply(&self, x: &[f32], n: usize, activation: Activation) -> Vec<f32> {
        let ConvBnSpec { input: (h, w, c), stride, side, padding, kind, .. } = self.spec;
        let mut y = vec![0.0; n * h.div_ceil(stride) * w.div_ceil(stride) * self.channels];
        match &self.kernel {
            Kernel::Packed(weights) => pointwise(x, n * h * w, weights, activation, None, &mut y),
            Kernel::Plain { kernel, bias } if kind == ConvKind::Depthwise => {
                let shape = DepthwiseShape { n, h, w, c, stride, side, padding };
                depthwise(x, shape, kernel, bias, activation, &mut y);
            }
            Kernel::Plain { kernel, bias } => {
                conv3x3_first(x, n, h, w, padding, kernel, bias, self.channels, activation, &mut y);
            }
        }
        y
    }
}

/// A tensor between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Between {
    /// Whether ReLU6 gives it.
    pub relu6: bool,
    /// Number of its channels.
    pub channels: usize,
}

/// The tensors in the order in which they are computed: the pixels, and what each convolution and each addition gives.
pub(super) fn tensors(architecture: &Architecture) -> Vec<Between> {
    let mut all = vec![Between { relu6: false, channels: 3 }];
    for unit in &architecture.units {
        let next = unit.convs.iter().skip(1).map(|spec| spec.input.2).chain([unit.output.2]);
        all.extend(
            unit.convs.iter().zip(next).map(|(spec, channels)| Between { relu6: spec.relu6, channels }),
        );
        if has_residual(unit) {
            all.push(Between { relu6: false, channels: unit.output.2 });
        }
    }
    all
}

/// How numbers are computed with. Tensors and convolutions are named by their numbers.
pub(super) trait Arithmetic {
    /// What convolution `conv` makes of the first tensor: the second one.
    fn convolve(&self, conv: usize, from_to: (usize, usize), x: &[f32], n: usize) -> Vec<f32>;

    /// The sum of tensors `a` and `b`: tensor `to`.
    fn add(&self, numbers: (usize, usize, usize), a: &[f32], b: &[f32]) -> Vec<f32>;

    /// Whoever looks at each tensor.
    fn see(&self, _tensor: usize, _x: &[f32]) {}

    /// The means over height and width `(n, c)` of tensor `tensor`, `(n, places, c)`.
    fn means(&self, tensor: usize, x: &[f32], n: usize, channels: usize) -> Vec<f32>;
}

/// What the base gives for `n` images: means of its last unit, and of the last of `frozen` units.
pub(super) struct Features {
    pub pooled: Vec<f32>,
    pub frozen: Option<Vec<f32>>,
}

/// Computes units one after the other from `pixels`, tensor 0.
pub(super) fn forward(
    units: &[Unit],
    arithmetic: &impl Arithmetic,
    pixels: Vec<f32>,
    n: usize,
    frozen_units: Option<usize>,
) -> Features {
    let (mut x, mut tensor, mut conv) = (pixels, 0, 0);
    let mut frozen = None;
    arithmetic.see(0, &x);
    for (i, unit) in units.iter().enumerate() {
        let residual = has_residual(unit).then(|| (tensor, x.clone()));
        for _ in &unit.convs {
            x = arithmetic.convolve(conv, (tensor, tensor + 1), &x, n);
            (conv, tensor) = (conv + 1, tensor + 1);
            arithmetic.see(tensor, &x);
        }
        if let Some((from, before)) = residual {
            x = arithmetic.add((from, tensor, tensor + 1), &before, &x);
            tensor += 1;
            arithmetic.see(tensor, &x);
        }
        if frozen_units == Some(i + 1) {
            frozen = Some(arithmetic.means(tensor, &x, n, unit.output.2));
        }
    }
    let channels = units.last().map_or(3, |unit| unit.output.2);
    Features { pooled: arithmetic.means(tensor, &x, n, channels), frozen }
}

/// Means over places of `(n, places, channels)`, each times `scale`.
pub(super) fn means(x: &[f32], n: usize, channels: usize, scale: f32) -> Vec<f32> {
    let places = x.len() / (n * channels).max(1);
    let mut sums = vec![0.0f64; channels];
    let mut all = Vec::with_capacity(n * channels);
    for image in x.chunks_exact((places * channels).max(1)) {
        sums.fill(0.0);
        for place in image.chunks_exact(channels) {
            sums.iter_mut().zip(place).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        all.extend(sums.iter().map(|sum| (sum * f64::from(scale) / places as f64) as f32));
    }
    all
}

/// f32, as an exported model without quantisation computes.
pub(super) struct Floats {
    pub convolutions: Vec<Convolution>,
    pub tensors: Vec<Between>,
}

impl Arithmetic for Floats {
    fn convolve(&self, conv: usize, (_, to): (usize, usize), x: &[f32], n: usize) -> Vec<f32> {
        let activation = if self.tensors[to].relu6 { Activation::Relu6 } else { Activation::Linear };
        self.convolutions[conv].apply(x, n, activation)
    }

    fn add(&self, _: (usize, usize, usize), a: &[f32], b: &[f32]) -> Vec<f32> {
        a.iter().zip(b).map(|(a, b)| a + b).collect()
    }

    fn means(&self, _: usize, x: &[f32], n: usize, channels: usize) -> Vec<f32> {
        means(x, n, channels, 1.0)
    }
}
