//! The output of any layer, to look inside the network.
//!
//! Training and prediction never compute most of them (BatchNormalization, ReLU6 and padding live
//! inside other ops), so this is a slow lane of its own, from one layer to the next.

use ndarray::Array4;

use super::{Backbone, LayerRef};
use crate::architecture::{ConvBnSpec, ConvKind};
use crate::network::base::Base;
use crate::network::on_device::on_device;
use crate::ops::backend::Backend;
use crate::ops::conv_bn::host::fold_on_host;
use crate::{Error, Result};
use transfer_kernels::batch_norm::Folded;
use transfer_kernels::{conv3x3_first, depthwise, pointwise, Activation, DepthwiseShape, PackedWeights};

type Dims = (usize, usize, usize, usize);

/// How far into a convolution's three layers to go.
#[derive(Clone, Copy)]
enum Stage {
    Convolution,
    BatchNorm,
    Activation,
}

impl Backbone {
    /// What `layer` makes of preprocessed images `(n, h, w, 3)` in [-1, 1]: `(n, h', w', c)`.
    ///
    /// # Errors
    /// Where there is no such layer, or the images have another size.
    pub fn layer_output(&self, images: &Array4<f32>, layer: impl Into<LayerRef>) -> Result<Array4<f32>> {
        let at = self.layer_index(layer)?;
        let dims = images.dim();
        if (dims.1, dims.2, dims.3) != self.input_shape() {
            let (h, w, c) = self.input_shape();
            return Err(Error::Shape(format!(
                "{} expected images of shape (n, {h}, {w}, {c}). Received: {dims:?}",
                self.network().family()
            )));
        }
        let mut x: Vec<f32> = images.iter().copied().collect();
        let mut dims = dims;
        let units = &self.architecture().units;
        for (u, unit) in units.iter().enumerate() {
            if at == 0 {
                break;
            }
            (x, dims) =
                on_device!(&self.base => base, base.unit_output(u, x, dims, at.min(unit.layers.end - 1)))?;
            if unit.layers.contains(&at) {
                break;
            }
        }
        Array4::from_shape_vec(dims, x).map_err(|e| Error::Shape(e.to_string()))
    }
}

impl<D: Backend> Base<D> {
    /// The output of layer `last` of unit `u`, of which `x` is the input.
    fn unit_output(&self, u: usize, x: Vec<f32>, dims: Dims, last: usize) -> Result<(Vec<f32>, Dims)> {
        let unit = &self.architecture.units[u];
        let (mut y, mut d) = (x.clone(), dims);
        for (i, spec) in unit.convs.iter().enumerate() {
            if last < spec.conv_layer {
                // Only padding stands between two convolutions.
                return Ok(pad(&y, d, spec));
            }
            let stage = match last {
                l if l == spec.conv_layer => Stage::Convolution,
                l if l == spec.bn_layer || !spec.relu6 => Stage::BatchNorm,
                _ => Stage::Activation,
            };
            (y, d) = self.convolution(u, i, &y, d, stage)?;
            if last <= spec.bn_layer || (spec.relu6 && last == spec.bn_layer + 1) {
                return Ok((y, d));
            }
        }
        y.iter_mut().zip(&x).for_each(|(y, x)| *y += x);
        Ok((y, d))
    }

    fn convolution(
        &self,
        u: usize,
        i: usize,
        x: &[f32],
        (n, h, w, ci): Dims,
        stage: Stage,
    ) -> Result<(Vec<f32>, Dims)> {
        let spec = &self.architecture.units[u].convs[i];
        let conv = self.conv_bn(u, i);
        let kernel = D::read(&conv.kernel)?;
        let channels = D::read(&conv.gamma)?.len();
        let mut f = Folded { w: kernel, b: vec![0.0; channels] };
        if !matches!(stage, Stage::Convolution) {
            f = fold_on_host(&conv)?;
        }
        let act = match stage {
            Stage::Activation => Activation::Relu6,
            _ => Activation::Linear,
        };
        let co = f.b.len();
        let (oh, ow) = (h.div_ceil(spec.stride), w.div_ceil(spec.stride));
        let mut y = vec![0.0; n * oh * ow * co];
        match spec.kind {
            ConvKind::Depthwise => {
                let ConvBnSpec { stride, side, padding, .. } = *spec;
                let shape = DepthwiseShape { n, h, w, c: ci, stride, side, padding };
                depthwise(x, shape, &f.w, &f.b, act, &mut y);
            }
            ConvKind::Full => conv3x3_first(x, n, h, w, spec.padding, &f.w, &f.b, co, act, &mut y),
            ConvKind::Pointwise => {
                let packed = PackedWeights::new(&f.w, &f.b, ci, co);
                pointwise(x, n * h * w, &packed, act, None, &mut y);
            }
        }
        Ok((y, (n, oh, ow, co)))
    }
}

/// The zeros that the convolution `spec` reads around `x`.
fn pad(x: &[f32], (n, h, w, c): Dims, spec: &ConvBnSpec) -> (Vec<f32>, Dims) {
    let ((top, bottom), (left, right)) = (spec.zeros(h), spec.zeros(w));
    let (oh, ow) = (h + top + bottom, w + left + right);
    let mut y = vec![0.0; n * oh * ow * c];
    for i in 0..n {
        for row in 0..h {
            let to = ((i * oh + row + top) * ow + left) * c;
            let from = (i * h + row) * w * c;
            y[to..to + w * c].copy_from_slice(&x[from..from + w * c]);
        }
    }
    (y, (n, oh, ow, c))
}
