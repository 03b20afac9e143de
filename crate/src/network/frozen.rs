//! The forward pass through units that do not train, without a tape.

use std::sync::Arc;

use dfdx::prelude::{Cpu, Shape, Tensor, ZerosTensor};
use transfer_kernels::batch_norm::Folded;
use transfer_kernels::{FoldedBlock, FoldedConv, FoldedUnit, FrozenPlan, FrozenSpec, Images};

use super::base::Base;
use super::extractor;
use crate::architecture::UnitKind;
use crate::ops::backend::{device_error, Activations, Backend, Matrix};
use crate::ops::conv_bn::cpu::fold;
#[cfg(feature = "cuda")]
use crate::ops::conv_bn::ConvBn;
#[cfg(feature = "cuda")]
use crate::ops::head::global_average_pooling;
use crate::{Error, Precision, Result};

/// A device that computes the frozen part of a network in a way of its own.
pub trait NetworkBackend: Backend {
    /// Units `0..to` of a network without a tape: `n` images in [-1, 1] to `y`, each channel's mean where
    /// `pool`.
    ///
    /// # Errors
    /// Where the lengths do not fit, or the device fails.
    fn frozen_forward(
        base: &Base<Self>,
        images: &[f32],
        n: usize,
        to: usize,
        pool: bool,
        y: &mut [f32],
    ) -> Result<()>;

    /// As [`frozen_forward`](Self::frozen_forward), to a tensor, without pooling.
    ///
    /// # Errors
    /// As there.
    fn frozen_activations(
        base: &Base<Self>,
        images: Images<'_>,
        n: usize,
        to: usize,
    ) -> Result<Activations<Self>>;

    /// As [`frozen_forward`](Self::frozen_forward) of all units with pooling, to a tensor.
    ///
    /// # Errors
    /// As there.
    fn frozen_features(base: &Base<Self>, images: Images<'_>, n: usize) -> Result<Matrix<Self>>;

    /// Images that are on the GPU, as a batch of activations in [-1, 1].
    ///
    /// # Errors
    /// On the CPU.
    #[cfg(feature = "cuda")]
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn placed(_device: &Self, _placed: &crate::ops::cuda::Placed<'_>) -> Result<Activations<Self>> {
        Err(crate::Error::Device("The CPU was given images that are on the GPU.".into()))
    }

    /// Units `0..to` without a tape, of images that are on the device.
    ///
    /// # Errors
    /// Where the device fails.
    fn frozen_on_device(base: &Base<Self>, x: Activations<Self>, to: usize) -> Result<Activations<Self>> {
        base.forward_units(x, 0..to)
    }

    /// A batch that is on the GPU.
    ///
    /// # Errors
    /// On the CPU.
    #[cfg(feature = "cuda")]
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn kept(_batch: &crate::ops::cuda::KeptBatch) -> Result<Activations<Self>> {
        Err(crate::Error::Device("The CPU was given images that are on the GPU.".into()))
    }
}

impl<D: NetworkBackend> Base<D> {
    /// A tensor on `device` with the pooled features `(n, c)` of all units, from values computed before, ready to be
    /// traced.
    ///
    /// # Errors
    /// Where the lengths do not fit or memory is short.
    pub fn features_from(&self, device: &D, values: &[f32], n: usize) -> Result<Matrix<D>> {
        D::tensor(device, (n, self.output_of(self.architecture.units.len()).2), values)
    }

    /// A tensor on `device` with the outputs of units `0..to`, from values computed before, ready to be traced.
    ///
    /// # Errors
    /// Where the lengths do not fit or memory is short.
    pub fn activations_from(
        &self,
        device: &D,
        values: &[f32],
        n: usize,
        to: usize,
    ) -> Result<Activations<D>> {
        let (h, w, c) = self.output_of(to);
        D::tensor(device, (n, h, w, c), values)
    }

    /// As [`features_from`](Self::features_from), computed from images in [-1, 1].
    ///
    /// # Errors
    /// Where the lengths do not fit or memory is short.
    pub fn frozen_features(&self, images: Images<'_>, n: usize) -> Result<Matrix<D>> {
        D::frozen_features(self, images, n)
    }

    /// As [`activations_from`](Self::activations_from), computed from images in [-1, 1].
    ///
    /// # Errors
    /// Where the lengths do not fit or memory is short.
    pub fn frozen_activations(&self, images: Images<'_>, n: usize, to: usize) -> Result<Activations<D>> {
        D::frozen_activations(self, images, n, to)
    }
}

impl NetworkBackend for Cpu {
    fn frozen_forward(
        base: &Base<Cpu>,
        images: &[f32],
        n: usize,
        to: usize,
        pool: bool,
        y: &mut [f32],
    ) -> Result<()> {
        base.frozen_forward(images.into(), n, to, pool, y)
    }

    fn frozen_activations(
        base: &Base<Cpu>,
        images: Images<'_>,
        n: usize,
        to: usize,
    ) -> Result<Activations<Cpu>> {
        let (h, w, c) = base.output_of(to);
        base.filled((n, h, w, c), |y| base.frozen_forward(images, n, to, false, y))
    }

    fn frozen_features(base: &Base<Cpu>, images: Images<'_>, n: usize) -> Result<Matrix<Cpu>> {
        let to = base.architecture.units.len();
        base.filled((n, base.output_of(to).2), |y| base.frozen_forward(images, n, to, true, y))
    }
}

impl Base<Cpu> {
    /// The plan of units `0..to` (at least 1), with pooling at the end where `pool`; packed once and
    /// kept until a frozen variable changes.
    fn plan(&self, to: usize, pool: bool) -> Result<Arc<FrozenPlan>> {
        let key = (to, pool, self.version());
        let plans = || self.plans.lock().unwrap_or_else(|e| e.into_inner());
        let known = plans().get(&key).cloned();
        if let Some(plan) = known {
            return Ok(plan);
        }
        // Without the lock, so that nobody waits: two threads may each make the plan, and it is the same one.
        let plan = Arc::new(self.new_plan(to, pool)?);
        let mut plans = plans();
        plans.retain(|k, _| k.2 == self.version());
        // A plan through trainable layers is out of date after the next step.
        if to <= self.first_trainable_unit() {
            plans.insert(key, plan.clone());
        }
        Ok(plan)
    }

    fn new_plan(&self, to: usize, pool: bool) -> Result<FrozenPlan> {
        let folded = |unit: usize, i: usize| {
            let mut f = Folded::default();
            fold(&self.conv_bn(unit, i), &mut f);
            FoldedConv { w: f.w, b: f.b }
        };
        let (h, w, _) = self.architecture.layers[0].output;
        let mut units = Vec::new();
        for (u, unit) in self.architecture.units[..to].iter().enumerate() {
            units.push(match unit.kind {
                UnitKind::FirstConvolution => FoldedUnit::FirstConvolution(folded(u, 0)),
                UnitKind::Pointwise => FoldedUnit::Pointwise(folded(u, 0)),
                UnitKind::Features => return Err(extractor::missing()),
                UnitKind::InvertedResidual(s) => {
                    let project = unit.convs.len() - 1;
                    FoldedUnit::InvertedResidual(FoldedBlock {
                        ci: s.ci,
                        expanded: s.expanded,
                        co: s.co,
                        stride: s.stride,
                        side: s.side,
                        residual: s.residual,
                        expand: (project == 2).then(|| folded(u, 0)),
                        depthwise: folded(u, project - 1),
                        project: folded(u, project),
                    })
                }
            });
        }
        let spec = FrozenSpec { input: (h, w), units, padding: self.architecture.network.padding, pool };
        // Only what is frozen is rounded: a pass through trainable layers is one of f32.
        let precision = if to <= self.first_trainable_unit() { self.precision() } else { Precision::F32 };
        Ok(FrozenPlan::with_precision(spec, precision)?)
    }

    /// Units `0..to` on images in [-1, 1], `n` of `(h, w, 3)`; written to `y`, `n` of
    /// [`output_of(to)`](Self::output_of), or `n` times the channels where `pool`. No tape, no copy of
    /// what lies between.
    ///
    /// # Errors
    /// Where the lengths do not fit.
    pub fn frozen_forward(
        &self,
        images: Images<'_>,
        n: usize,
        to: usize,
        pool: bool,
        y: &mut [f32],
    ) -> Result<()> {
        let (h, w, c) = self.output_of(0);
        if to == 0 {
            let images = images.in_memory(n, h * w * c);
            if y.len() != images.len() {
                return Err(Error::Shape(format!(
                    "The base expected {} values of images. Received: {}",
                    y.len(),
                    images.len()
                )));
            }
            y.copy_from_slice(&images);
            return Ok(());
        }
        if self.extractor.is_some() {
            return self.extract(&images.in_memory(n, h * w * c), n, y);
        }
        Ok(self.plan(to, pool)?.run_on(images, n, y)?)
    }

    fn filled<S: Shape>(
        &self,
        shape: S,
        fill: impl FnOnce(&mut [f32]) -> Result<()>,
    ) -> Result<Tensor<S, f32, Cpu>> {
        let mut x = self.device.try_zeros_like(&shape).map_err(device_error)?;
        fill(crate::ops::view::slice_mut(&mut x))?;
        Ok(x)
    }
}

#[cfg(feature = "cuda")]
impl NetworkBackend for dfdx::prelude::Cuda {
    fn frozen_forward(
        base: &Base<Self>,
        images: &[f32],
        n: usize,
        to: usize,
        pool: bool,
        y: &mut [f32],
    ) -> Result<()> {
        let x = Self::frozen_activations(base, images.into(), n, to)?;
        let values = if pool { Self::read(&global_average_pooling(x)?)? } else { Self::read(&x)? };
        if values.len() != y.len() {
            return Err(crate::ops::backend::wrong_length(values.len(), y.len()));
        }
        y.copy_from_slice(&values);
        Ok(())
    }

    fn frozen_activations(
        base: &Base<Self>,
        images: Images<'_>,
        n: usize,
        to: usize,
    ) -> Result<Activations<Self>> {
        let (h, w, c) = base.output_of(0);
        let images = images.in_memory(n, h * w * c);
        frozen_on_card(base, base.activations_from(&base.device, &images, n, 0)?, to)
    }

    #[allow(private_interfaces)]
    fn placed(device: &Self, placed: &crate::ops::cuda::Placed<'_>) -> Result<Activations<Self>> {
        placed.activations(device)
    }

    fn frozen_on_device(base: &Base<Self>, x: Activations<Self>, to: usize) -> Result<Activations<Self>> {
        frozen_on_card(base, x, to)
    }

    #[allow(private_interfaces)]
    fn kept(batch: &crate::ops::cuda::KeptBatch) -> Result<Activations<Self>> {
        Ok(batch.tensor().clone())
    }

    fn frozen_features(base: &Base<Self>, images: Images<'_>, n: usize) -> Result<Matrix<Self>> {
        let to = base.architecture.units.len();
        global_average_pooling(Self::frozen_activations(base, images, n, to)?)
    }
}

#[cfg(feature = "cuda")]
impl Base<dfdx::prelude::Cuda> {
    /// Clones of whatever a recorded step has addresses of.
    pub(crate) fn what_a_recording_keeps(&self) -> impl std::any::Any {
        (self.variables().iter().map(|v| v.tensor.clone()).collect::<Vec<_>>(), self.scratch.clone())
    }

    /// All convolutions, each with what is kept of it in folded form.
    pub(crate) fn convs(
        &self,
    ) -> impl Iterator<Item = (ConvBn<dfdx::prelude::Cuda>, &crate::ops::cuda::folded::Folded)> {
        let units = self.architecture.units.iter().enumerate();
        let convs = units.flat_map(|(i, unit)| (0..unit.convs.len()).map(move |j| (i, j, unit.convs.len())));
        convs.map(|(i, j, all)| {
            let (conv, scratch) = (self.conv_bn(i, j), &self.scratch[i]);
            let folded = match all - j {
                1 => &scratch.project,
                2 => &scratch.depthwise,
                _ => &scratch.expand,
            };
            (conv, folded)
        })
    }
}

/// Units `0..to` without a tape, from images that are on the GPU. In bfloat16 only where none of them trains, as on the
/// CPU.
#[cfg(feature = "cuda")]
pub(crate) fn frozen_on_card(
    base: &Base<dfdx::prelude::Cuda>,
    x: Activations<dfdx::prelude::Cuda>,
    to: usize,
) -> Result<Activations<dfdx::prelude::Cuda>> {
    use crate::ops::cuda::frozen::{forward, FrozenUnit};
    use dfdx::prelude::HasShape;
    if base.extractor.is_some() {
        return base.forward_units(x, 0..to);
    }
    let unit = |i: usize| {
        Ok(match &base.architecture.units[i].kind {
            UnitKind::FirstConvolution => {
                FrozenUnit::First(base.conv_bn(i, 0), base.architecture.network.padding, &base.scratch[i])
            }
            UnitKind::Pointwise => FrozenUnit::Pointwise(base.conv_bn(i, 0), &base.scratch[i]),
            UnitKind::InvertedResidual(shape) => {
                FrozenUnit::Block(*shape, Box::new(base.block_params(i, false)))
            }
            UnitKind::Features => return Err(extractor::missing()),
        })
    };
    let units = (0..to).map(unit).collect::<Result<Vec<FrozenUnit<'_>>>>()?;
    let (n, h, w, c) = *x.shape();
    let mut size = (h, w, c);
    let fits = units.iter().all(|unit| {
        let fits = unit.fits(size.2);
        size = unit.output(size);
        fits
    });
    if to == 0 || !fits {
        return base.forward_units(x, 0..to);
    }
    let precision = match base.precision() {
        Precision::Bf16 if to > base.first_trainable_unit() => Precision::Tf32,
        precision => precision,
    };
    let y = crate::ops::cuda::zeros(&base.device, (n, size.0, size.1, size.2))?;
    forward(&units, precision, &x, &y)?;
    Ok(y)
}
