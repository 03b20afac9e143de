//! The base network on any device: its variables, which of them train, and its forward pass.
//!
//! This is the generic core; [`Backbone`](super::Backbone) is what a notebook sees of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use dfdx::prelude::Tape;
use transfer_kernels::FrozenPlan;

use super::extractor::Extractor;
use crate::architecture::{Architecture, Network, Unit, UnitKind};
use crate::ops::backend::{Activations, Backend, Flat};
use crate::ops::conv::{first_convolution, pointwise_convolution};
use crate::ops::conv_bn::{ConvBn, Trains};
use crate::ops::inverted_residual::{inverted_residual, BlockParams};
use crate::ops::variable::Variable;
use crate::weights::Weights;
use crate::{Error, Precision, Result};

/// A network without its top on device `D`.
pub struct Base<D: Backend> {
    pub(crate) device: D,
    pub(crate) architecture: Architecture,
    variables: Vec<Variable<D>>,
    index: HashMap<String, usize>,
    /// One flag a layer: Keras' `layer.trainable`.
    trainable: Vec<bool>,
    precision: Precision,
    train_precision: Precision,
    /// For each unit the numbers of the five variables of each of its convolutions.
    convs: Vec<Vec<[usize; 5]>>,
    pub(super) scratch: Vec<Arc<D::UnitScratch>>,
    /// Another number whenever any variable may have changed; only ever grows.
    changes: u64,
    /// Another one for each base of this process.
    number: u64,
    /// What `changes` was when a variable that does not train may last have changed.
    version: u64,
    pub(super) plans: Mutex<HashMap<PlanKey, Arc<FrozenPlan>>>,
    /// What computes the unit [`UnitKind::Features`], where the network is one.
    pub(super) extractor: Option<Arc<dyn Extractor>>,
}

/// The largest side of an image, in pixels.
pub(crate) const MOST_PIXELS: usize = 4096;

fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// Number of units, pooled, version.
pub(super) type PlanKey = (usize, bool, u64);

impl<D: Backend> Base<D> {
    /// `network` for images `(h, w, 3)`, with `weights`.
    ///
    /// # Errors
    /// Where a tensor is missing or has another shape, or the size is unusable.
    pub fn new(device: D, network: &Network, (h, w): (usize, usize), weights: &Weights) -> Result<Self> {
        let sides = network.reduction()..=MOST_PIXELS;
        if !sides.contains(&h) || !sides.contains(&w) {
            return Err(Error::Invalid(format!(
                "{} expected an input of {} to {MOST_PIXELS} pixels a side, such as 160x160. Received: {h}x{w}",
                network.family(),
                sides.start()
            )));
        }
        let architecture = Architecture::new(network, h, w);
        let mut variables = Vec::new();
        let mut index = HashMap::new();
        for layer in &architecture.layers {
            for variable in &layer.variables {
                let (name, shape) = (format!("{}/{}", layer.name, variable.name), &variable.shape);
                let source = weights.get(&name)?;
                if source.shape != *shape {
                    return Err(Error::Weights(format!(
                        "The weight {name} expected shape {shape:?}. Received: {:?}. \
                         This model needs {} without its top.",
                        source.shape,
                        network.name()
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
            unit.convs.iter().map(|conv| conv.variable_names().map(|name| index[&name])).collect()
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
            train_precision: Precision::default(),
            scratch,
            changes: 0,
            number: next_number(),
            version: 0,
            plans: Default::default(),
            extractor: None,
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
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
        self.frozen_changed();
    }

    /// The precision in which layers that train multiply during training.
    pub fn train_precision(&self) -> Precision {
        self.train_precision
    }

    /// Chooses the precision of layers that train; where the processor does not have it, they stay in f32.
    pub fn set_train_precision(&mut self, precision: Precision) {
        self.train_precision = precision;
    }

    /// Makes this thread multiply as training with this base does, for as long as the result lives.
    pub fn multiplying_as_in_training(&self) -> D::Multiplying {
        D::multiplying(self.precision, self.train_precision)
    }

    fn frozen_changed(&mut self) {
        self.changes += 1;
        self.version = self.changes;
    }

    /// Keras' `trainable` of each layer.
    pub fn trainable(&self) -> &[bool] {
        &self.trainable
    }

    /// Tells this base apart from all others of this process.
    pub fn number(&self) -> u64 {
        self.number
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
        layers.flat_map(|(l, &on)| l.variables.iter().map(move |v| on && v.trainable)).collect()
    }

    /// The variables that train, in order.
    pub fn trainable_variables_mut(&mut self) -> Vec<&mut Variable<D>> {
        self.changes += 1;
        let trains = self.trains();
        self.variables.iter_mut().zip(trains).filter(|(_, on)| *on).map(|(v, _)| v).collect()
    }

    /// The variables of each unit that train, each with its place among all that train.
    pub(crate) fn training_by_unit(&self) -> Vec<Vec<(usize, Flat<D>)>> {
        let mut training = self.trains().into_iter().zip(&self.variables);
        let mut place = 0;
        // Units follow each other and cover all layers, and variables have the order of the layers.
        let mut of_unit = |unit: &Unit| {
            let mut own = Vec::new();
            let count = self.architecture.layers[unit.layers.clone()].iter().map(|l| l.variables.len()).sum();
            for (_, variable) in training.by_ref().take(count).filter(|(trains, _)| *trains) {
                own.push((place, variable.tensor.clone()));
                place += 1;
            }
            own
        };
        self.architecture.units.iter().map(&mut of_unit).collect()
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
        let spec = &self.architecture.units[unit].convs[i];
        let [kernel, gamma, beta, mean, variance] =
            self.convs[unit][i].map(|number| self.variables[number].tensor.clone());
        let trains =
            Trains { kernel: self.trainable[spec.conv_layer], batch_norm: self.trainable[spec.bn_layer] };
        let version = if trains.any() { self.changes } else { self.version };
        ConvBn { kernel, gamma, beta, mean, variance, epsilon: spec.epsilon, trains, version }
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
        // Without a tape, as for a validation, layers that train compute in f32, as when the model is used.
        let training = if T::OWNS_TAPE { self.train_precision } else { Precision::F32 };
        let _multiplying = D::multiplying(self.precision, training);
        for (i, unit) in self.architecture.units.iter().enumerate().take(units.end).skip(units.start) {
            let input_gradient = first_trainable < i;
            let scratch = self.scratch[i].clone();
            x = match &unit.kind {
                UnitKind::FirstConvolution => {
                    first_convolution(x, &self.conv_bn(i, 0), unit.convs[0].padding, &scratch)?
                }
                UnitKind::Pointwise => {
                    pointwise_convolution(x, &self.conv_bn(i, 0), input_gradient, &scratch)?
                }
                UnitKind::InvertedResidual(shape) => {
                    inverted_residual(x, shape, &self.block_params(i, input_gradient))?
                }
                UnitKind::Features => self.extracted(x)?,
            };
        }
        Ok(x)
    }

    /// Inverted residual block `i`, ready to be applied.
    pub(super) fn block_params(&self, i: usize, input_gradient: bool) -> BlockParams<D, D::UnitScratch> {
        let project = self.architecture.units[i].convs.len() - 1;
        BlockParams {
            expand: (project == 2).then(|| self.conv_bn(i, 0)),
            depthwise: self.conv_bn(i, project - 1),
            project: self.conv_bn(i, project),
            input_gradient,
            scratch: self.scratch[i].clone(),
        }
    }

    /// Height, width and channels of what units `0..to` give; of the image where `to` is 0.
    pub fn output_of(&self, to: usize) -> (usize, usize, usize) {
        self.architecture.output_of(to)
    }
}
