//! The base network on any device: its variables, which of them train, and its forward pass.
//!
//! This is the generic core; [`MobileNetV2`](super::MobileNetV2) is what a notebook sees of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use dfdx::prelude::{Cpu, Shape, Tape, Tensor, ZerosTensor};

use super::architecture::{Architecture, ConvBnNames, Unit, UnitKind};
use super::variable::Variable;
use crate::ops::backend::{device_error, Activations, Backend, Matrix};
use crate::ops::conv::{first_convolution, last_convolution};
use crate::ops::conv_bn::{cpu::fold, ConvBn, Folded, Trains};
use crate::ops::frozen::{FoldedBlock, FoldedConv, FrozenPlan, FrozenSpec};
use crate::ops::inverted_residual::{inverted_residual, BlockParams};
use crate::weights::Weights;
use crate::{Error, Precision, Result};

/// MobileNetV2 without its top on device `D`.
pub struct Base<D: Backend> {
    pub(crate) device: D,
    pub(crate) architecture: Architecture,
    variables: Vec<Variable<D>>,
    index: HashMap<String, usize>,
    /// One flag a layer: Keras' `layer.trainable`.
    trainable: Vec<bool>,
    precision: Precision,
    /// For each unit the numbers of the five variables of each of its convolutions.
    convs: Vec<Vec<[usize; 5]>>,
    scratch: Vec<Arc<D::UnitScratch>>,
    /// Another number whenever any variable may have changed; only ever grows.
    changes: u64,
    /// What `changes` was when a variable that does not train may last have changed.
    version: u64,
    plans: Mutex<HashMap<PlanKey, Arc<FrozenPlan>>>,
}

/// Number of units, pooled, version.
type PlanKey = (usize, bool, u64);

impl<D: Backend> Base<D> {
    /// The network for images `(h, w, 3)`, with `weights`.
    ///
    /// # Errors
    /// Where a tensor is missing or has another shape, or the size is unusable.
    pub fn new(device: D, (h, w): (usize, usize), weights: &Weights) -> Result<Self> {
        if !(32..=4096).contains(&h) || !(32..=4096).contains(&w) {
            return Err(Error::Invalid(format!(
                "MobileNetV2 expected an input of 32 to 4096 pixels a side, such as 160x160. Received: {h}x{w}"
            )));
        }
        let architecture = Architecture::new(h, w);
        let mut variables = Vec::new();
        let mut index = HashMap::new();
        for layer in &architecture.layers {
            for (variable, shape, _) in &layer.variables {
                let name = format!("{}/{variable}", layer.name);
                let source = weights.get(&name)?;
                if source.shape != *shape {
                    return Err(Error::Weights(format!(
                        "The weight {name} expected shape {shape:?}. Received: {:?}. \
                         This model needs MobileNetV2 1.0 without its top.",
                        source.shape
                    )));
                }
                let mut v = Variable::zeros(&device, name.clone(), shape)?;
                D::write(&mut v.tensor, &source.data)?;
                index.insert(name, variables.len());
                variables.push(v);
            }
        }
        let trainable = vec![true; architecture.layers.len()];
        let scratch = architecture.units.iter().map(|_| Default::default()).collect();
        let numbers = |unit: &Unit| {
            let each = |(i, c): (usize, &ConvBnNames)| variable_names(unit, i, c).map(|name| index[&name]);
            unit.convs.iter().enumerate().map(each).collect()
        };
        let convs = architecture.units.iter().map(numbers).collect();
        Ok(Base {
            device,
            convs,
            architecture,
            variables,
            index,
            trainable,
            precision: Precision::default(),
            scratch,
            changes: 0,
            version: 0,
            plans: Default::default(),
        })
    }

    /// Sets Keras' `trainable` of the layers in `range`.
    pub fn set_trainable(&mut self, range: std::ops::Range<usize>, trainable: bool) {
        self.trainable[range].fill(trainable);
        self.frozen_changed();
    }

    /// The precision of the frozen part.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Chooses the precision of the frozen part; whether the processor has it is the caller's matter.
    pub(crate) fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
        self.frozen_changed();
    }

    fn frozen_changed(&mut self) {
        self.changes += 1;
        self.version = self.changes;
    }

    /// Keras' `trainable` of each layer.
    pub fn trainable(&self) -> &[bool] {
        &self.trainable
    }

    /// Tells results that were computed with the frozen layers apart from those after a change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All variables, in Keras' order of layers.
    pub fn variables(&self) -> &[Variable<D>] {
        &self.variables
    }

    /// The variable called `layer/variable`.
    pub fn variable(&self, name: &str) -> Option<&Variable<D>> {
        self.index.get(name).map(|&i| &self.variables[i])
    }

    /// Replaces the values of the variable called `layer/variable`.
    ///
    /// # Errors
    /// Where there is no such variable, or not as many values.
    pub fn set_variable(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let Some(&i) = self.index.get(name) else {
            return Err(Error::Invalid(format!(
                "The base expected the name of a variable, such as block_1_expand/kernel. Received: {name}"
            )));
        };
        self.frozen_changed();
        D::write(&mut self.variables[i].tensor, values)
    }

    /// For each variable, in order, whether gradient descent changes it now.
    pub fn trains(&self) -> Vec<bool> {
        let layers = self.architecture.layers.iter().zip(&self.trainable);
        layers.flat_map(|(l, &on)| l.variables.iter().map(move |(_, _, may)| on && *may)).collect()
    }

    /// The variables that train, in order.
    pub fn trainable_variables_mut(&mut self) -> Vec<&mut Variable<D>> {
        self.changes += 1;
        let trains = self.trains();
        self.variables.iter_mut().zip(trains).filter(|(_, on)| *on).map(|(v, _)| v).collect()
    }

    /// Number of the first unit in which anything trains; the number of units where nothing does.
    pub fn first_trainable_unit(&self) -> usize {
        let units = &self.architecture.units;
        units.iter().position(|u| self.unit_trains(u)).unwrap_or(units.len())
    }

    fn unit_trains(&self, unit: &Unit) -> bool {
        unit.convs.iter().any(|c| self.trainable[c.conv_layer] || self.trainable[c.bn_layer])
    }

    /// Convolution `i` of unit `unit`.
    pub(crate) fn conv_bn(&self, unit: usize, i: usize) -> ConvBn<D> {
        let names = &self.architecture.units[unit].convs[i];
        let [kernel, gamma, beta, mean, variance] =
            self.convs[unit][i].map(|number| self.variables[number].tensor.clone());
        let trains =
            Trains { kernel: self.trainable[names.conv_layer], batch_norm: self.trainable[names.bn_layer] };
        let version = if trains.any() { self.changes } else { self.version };
        ConvBn { kernel, gamma, beta, mean, variance, trains, version }
    }

    /// Units `from..` applied to `x`. With a tape each unit puts its backward on it.
    ///
    /// # Errors
    /// Where `x` does not fit unit `from`, or the device fails.
    pub fn forward<T: Tape<f32, D>>(&self, x: Activations<D, T>, from: usize) -> Result<Activations<D, T>> {
        self.forward_units(x, from..self.architecture.units.len())
    }

    /// [`forward`](Self::forward) of some units, one after the other.
    pub(crate) fn forward_units<T: Tape<f32, D>>(
        &self,
        mut x: Activations<D, T>,
        units: std::ops::Range<usize>,
    ) -> Result<Activations<D, T>> {
        let first_trainable = self.first_trainable_unit();
        for (i, unit) in self.architecture.units.iter().enumerate().take(units.end).skip(units.start) {
            let input_gradient = first_trainable < i;
            let scratch = self.scratch[i].clone();
            x = match &unit.kind {
                UnitKind::First { .. } => first_convolution(x, &self.conv_bn(i, 0))?,
                UnitKind::Last { .. } => last_convolution(x, &self.conv_bn(i, 0), input_gradient, &scratch)?,
                UnitKind::Block(shape) => {
                    let project = unit.convs.len() - 1;
                    let params = BlockParams {
                        expand: (project == 2).then(|| self.conv_bn(i, 0)),
                        depthwise: self.conv_bn(i, project - 1),
                        project: self.conv_bn(i, project),
                        input_gradient,
                        scratch,
                    };
                    inverted_residual(x, shape, &params)?
                }
            };
        }
        Ok(x)
    }

    /// Height, width and channels of what units `0..to` give; of the image where `to` is 0.
    pub fn output_of(&self, to: usize) -> (usize, usize, usize) {
        match to {
            0 => self.architecture.layers[0].output,
            _ => self.architecture.units[to - 1].output(),
        }
    }
}

impl<D: Backend> Base<D> {
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
    pub fn frozen_features(&self, images: &[f32], n: usize) -> Result<Matrix<D>> {
        D::frozen_features(self, images, n)
    }

    /// As [`activations_from`](Self::activations_from), computed from images in [-1, 1].
    ///
    /// # Errors
    /// Where the lengths do not fit or memory is short.
    pub fn frozen_activations(&self, images: &[f32], n: usize, to: usize) -> Result<Activations<D>> {
        D::frozen_activations(self, images, n, to)
    }
}

impl Base<Cpu> {
    /// The plan of units `0..to` (at least 1), with pooling at the end where `pool`; packed once and
    /// kept until a frozen variable changes.
    fn plan(&self, to: usize, pool: bool) -> Result<Arc<FrozenPlan>> {
        let key = (to, pool, self.version);
        let plans = || self.plans.lock().unwrap_or_else(|e| e.into_inner());
        let known = plans().get(&key).cloned();
        if let Some(plan) = known {
            return Ok(plan);
        }
        // Without the lock, so that nobody waits: two threads may each make the plan, and it is the same one.
        let plan = Arc::new(self.new_plan(to, pool)?);
        let mut plans = plans();
        plans.retain(|k, _| k.2 == self.version);
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
        let mut spec = FrozenSpec {
            input: (h, w),
            conv1: FoldedConv { w: Vec::new(), b: Vec::new() },
            blocks: Vec::new(),
            conv_last: None,
            pool,
        };
        for (u, unit) in self.architecture.units[..to].iter().enumerate() {
            match unit.kind {
                UnitKind::First { .. } => spec.conv1 = folded(u, 0),
                UnitKind::Last { .. } => spec.conv_last = Some(folded(u, 0)),
                UnitKind::Block(s) => {
                    let project = unit.convs.len() - 1;
                    spec.blocks.push(FoldedBlock {
                        ci: s.ci,
                        expanded: s.expanded,
                        co: s.co,
                        stride: s.stride,
                        residual: s.residual,
                        expand: (project == 2).then(|| folded(u, 0)),
                        depthwise: folded(u, project - 1),
                        project: folded(u, project),
                    });
                }
            }
        }
        // Only what is frozen is rounded: a pass through trainable layers is one of f32.
        let precision = if to <= self.first_trainable_unit() { self.precision } else { Precision::F32 };
        FrozenPlan::with_precision(spec, precision)
    }

    /// Units `0..to` on images in [-1, 1], `n` of `(h, w, 3)`; written to `y`, `n` of
    /// [`output_of(to)`](Self::output_of), or `n` times the channels where `pool`. No tape, no copy of
    /// what lies between.
    ///
    /// # Errors
    /// Where the lengths do not fit.
    pub fn frozen_forward(
        &self,
        images: &[f32],
        n: usize,
        to: usize,
        pool: bool,
        y: &mut [f32],
    ) -> Result<()> {
        if to == 0 {
            if y.len() != images.len() {
                return Err(Error::Shape(format!(
                    "The base expected {} values of images. Received: {}",
                    y.len(),
                    images.len()
                )));
            }
            y.copy_from_slice(images);
            return Ok(());
        }
        self.plan(to, pool)?.run(images, n, y)
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

    /// See [`Backend::frozen_features`].
    pub(crate) fn frozen_features_on_cpu(&self, images: &[f32], n: usize) -> Result<Matrix<Cpu>> {
        let to = self.architecture.units.len();
        self.filled((n, self.output_of(to).2), |y| self.frozen_forward(images, n, to, true, y))
    }

    /// See [`Backend::frozen_activations`].
    pub(crate) fn frozen_activations_on_cpu(
        &self,
        images: &[f32],
        n: usize,
        to: usize,
    ) -> Result<Activations<Cpu>> {
        let (h, w, c) = self.output_of(to);
        self.filled((n, h, w, c), |y| self.frozen_forward(images, n, to, false, y))
    }
}

/// Kernel, γ, β, mean and variance of convolution `i` of `unit`.
fn variable_names(unit: &Unit, i: usize, names: &ConvBnNames) -> [String; 5] {
    let depthwise = unit.convs.len() > 1 && i == unit.convs.len() - 2;
    let kernel = if depthwise { "depthwise_kernel" } else { "kernel" };
    let of_bn = |variable: &str| format!("{}/{variable}", names.bn);
    [
        format!("{}/{kernel}", names.conv),
        of_bn("gamma"),
        of_bn("beta"),
        of_bn("moving_mean"),
        of_bn("moving_variance"),
    ]
}
