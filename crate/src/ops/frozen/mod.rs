//! The frozen part of MobileNetV2, run without a tape.
//!
//! [`FrozenPlan`] takes folded weights, packs them once, and maps images to the features that the
//! trainable part starts from. Nothing is kept for a gradient, and the 6x expanded activations
//! never leave the cache.

mod spec;

pub use spec::{FoldedBlock, FoldedConv, FrozenSpec};

use crate::ops::conv3x3;
use crate::ops::{depthwise, pointwise, Activation, DepthwiseShape, PackedWeights};
use crate::{Error, Result};

/// Packed weights and planned buffers of the frozen part.
#[derive(Debug, Clone)]
pub struct FrozenPlan {
    spec: FrozenSpec,
}

impl FrozenPlan {
    /// Checks the shapes and packs the weights.
    ///
    /// # Errors
    /// [`Error::Shape`] where the weights do not fit each other, [`Error::Invalid`] where
    /// `TRANSFER_ISA` asks for instructions that the processor lacks.
    pub fn new(spec: FrozenSpec) -> Result<Self> {
        crate::ops::simd::isa()?;
        spec.check()?;
        Ok(FrozenPlan { spec })
    }

    /// `(h, w, c)` of what one image becomes; `(1, 1, c)` after pooling.
    pub fn output_shape(&self) -> (usize, usize, usize) {
        self.spec.output_shape()
    }

    /// Computes `n` images, `(n, h, w, 3)` in `-1..=1`, to `y`, `(n, h, w, c)` as
    /// [`output_shape`](Self::output_shape) says.
    ///
    /// # Errors
    /// [`Error::Shape`] where a slice has another length.
    pub fn run(&self, images: &[f32], n: usize, y: &mut [f32]) -> Result<()> {
        let (h, w) = self.spec.input;
        let (oh, ow, oc) = self.output_shape();
        for (what, len, each, unit) in
            [("images", images.len(), h * w * 3, (h, w, 3)), ("y", y.len(), oh * ow * oc, (oh, ow, oc))]
        {
            if len != n * each {
                return Err(Error::Shape(format!(
                    "FrozenPlan::run: {what} must hold {n} times {unit:?} numbers, {} in all. Received: {len}.",
                    n * each
                )));
            }
        }
        let (h, w) = (h.div_ceil(2), w.div_ceil(2));
        let conv1 = &self.spec.conv1;
        let co = conv1.b.len();
        let packed = PackedWeights::new(&conv1.w, &conv1.b, 27, co);
        let mut x = vec![0.0; n * h * w * co];
        conv3x3::cpu::forward(
            images,
            (n, self.spec.input.0, self.spec.input.1),
            &packed,
            Activation::Relu6,
            &mut x,
        );
        let (mut h, mut w, mut c) = (h, w, co);
        for b in &self.spec.blocks {
            let mut e = x.clone();
            if let Some(expand) = &b.expand {
                let p = PackedWeights::new(&expand.w, &expand.b, b.ci, b.expanded);
                e = vec![0.0; n * h * w * b.expanded];
                pointwise(&x, n * h * w, &p, Activation::Relu6, None, &mut e);
            }
            let s = DepthwiseShape { n, h, w, c: b.expanded, stride: b.stride };
            (h, w, c) = (s.out_h(), s.out_w(), b.co);
            let mut d = vec![0.0; n * h * w * b.expanded];
            depthwise(&e, s, &b.depthwise.w, &b.depthwise.b, Activation::Relu6, &mut d);
            let p = PackedWeights::new(&b.project.w, &b.project.b, b.expanded, b.co);
            let mut out = vec![0.0; n * h * w * c];
            pointwise(&d, n * h * w, &p, Activation::Linear, b.residual.then_some(&x[..]), &mut out);
            x = out;
        }
        if let Some(last) = &self.spec.conv_last {
            let p = PackedWeights::new(&last.w, &last.b, c, last.b.len());
            let mut out = vec![0.0; n * h * w * p.co()];
            pointwise(&x, n * h * w, &p, Activation::Relu6, None, &mut out);
            c = p.co();
            x = out;
        }
        if self.spec.pool {
            y.fill(0.0);
            for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(h * w * c)) {
                for x in x.chunks_exact(c) {
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
                }
                y.iter_mut().for_each(|y| *y /= (h * w) as f32);
            }
        } else {
            y.copy_from_slice(&x);
        }
        Ok(())
    }
}
