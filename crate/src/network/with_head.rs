//! What an optimizer changes: the base and the head's two variables, on one device.

use dfdx::prelude::Cpu;

use super::base::Base;
use super::frozen::NetworkBackend;
use super::on_device::{on_device, Any, Kind};
use super::Backbone;
use crate::ops::backend::Backend;
#[cfg(feature = "cuda")]
use crate::ops::cuda::OnCard;
use crate::ops::variable::{Variable, Variables};
use crate::weights::{Tensor, Weights};
use crate::{Error, Result};

/// Base and head of a model.
pub(crate) struct WithHead {
    pub base: Backbone,
    pub head: Any<Heads>,
}

/// The dense layer's variables on device `D`.
pub(crate) struct Head<D: NetworkBackend> {
    pub kernel: Variable<D>,
    pub bias: Variable<D>,
}

pub(crate) struct Heads;

impl Kind for Heads {
    type On<D: NetworkBackend> = Head<D>;
}

/// Base and head on device `D`, to change.
pub(crate) struct Parts<'a, D: NetworkBackend> {
    pub base: &'a mut Base<D>,
    pub head: &'a mut Head<D>,
}

impl<D: NetworkBackend> Variables<D> for Parts<'_, D> {
    fn trainable_variables_mut(&mut self) -> Vec<&mut Variable<D>> {
        let mut all = self.base.trainable_variables_mut();
        all.push(&mut self.head.kernel);
        all.push(&mut self.head.bias);
        all
    }
}

impl<D: NetworkBackend> Head<D> {
    /// Variables of its own with these values.
    fn new(device: &D, kernel: &Variable<Cpu>, bias: &Variable<Cpu>) -> Result<Self> {
        let copy = |from: &Variable<Cpu>| {
            let mut to = Variable::zeros(device, from.name.clone(), &from.shape)?;
            D::write(&mut to.tensor, &Cpu::read(&from.tensor)?)?;
            Ok::<_, Error>(to)
        };
        Ok(Head { kernel: copy(kernel)?, bias: copy(bias)? })
    }
}

/// Name and Keras shape of a variable.
pub(crate) type NameAndShape = (String, Vec<usize>);

impl WithHead {
    /// The base with a head of these variables, which are copied to the base's device.
    pub fn new(base: Backbone, kernel: &Variable<Cpu>, bias: &Variable<Cpu>) -> Result<Self> {
        let head = match &base.base {
            Any::Cpu(base) => Any::Cpu(Head::new(&base.device, kernel, bias)?),
            #[cfg(feature = "cuda")]
            Any::Cuda(base) => Any::Cuda(OnCard(Head::new(&base.0.device, kernel, bias)?)),
        };
        Ok(WithHead { base, head })
    }

    /// Number of outputs.
    pub fn units(&self) -> usize {
        on_device!(&self.head => head, head.bias.len())
    }

    /// Names and shapes of all variables, in the order of the layers.
    pub fn names_and_shapes(&self) -> Vec<NameAndShape> {
        let of = |name: &String, shape: &Vec<usize>| (name.clone(), shape.clone());
        let mut all: Vec<_> = on_device!(&self.base.base => base,
            base.variables().iter().map(|v| of(&v.name, &v.shape)).collect());
        on_device!(&self.head => head, all.extend([&head.kernel, &head.bias].map(|v| of(&v.name, &v.shape))));
        all
    }

    /// The dense layer's kernel and bias, in host memory.
    pub fn head_values(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        on_device!(&self.head => head, read(head))
    }

    /// All variables, in host memory.
    pub fn weights(&self) -> Result<Weights> {
        on_device!(&self.base.base => base, &self.head => head; all_of(base, head))
    }

    /// The variables that train now, in host memory.
    pub fn weights_that_train(&mut self) -> Result<Weights> {
        on_device!(&mut self.base.base => base, &mut self.head => head; training(Parts { base, head }))
    }

    /// Gives variables that train now, and that `weights` has, its values. Frozen ones stay, and so does what
    /// was computed with them.
    pub fn set_what_trains(&mut self, weights: &Weights) -> Result<()> {
        on_device!(&mut self.base.base => base, &mut self.head => head;
            set_training(Parts { base, head }, weights))
    }

    /// Gives the dense layer's variables these values.
    pub fn set_head(&mut self, kernel: &[f32], bias: &[f32]) -> Result<()> {
        on_device!(&mut self.head => head, write(head, kernel, bias))
    }
}

fn read<D: NetworkBackend>(head: &Head<D>) -> Result<(Vec<f32>, Vec<f32>)> {
    Ok((D::read(&head.kernel.tensor)?, D::read(&head.bias.tensor)?))
}

fn write<D: NetworkBackend>(head: &mut Head<D>, kernel: &[f32], bias: &[f32]) -> Result<()> {
    D::write(&mut head.kernel.tensor, kernel)?;
    D::write(&mut head.bias.tensor, bias)
}

fn all_of<D: NetworkBackend>(base: &Base<D>, head: &Head<D>) -> Result<Weights> {
    let mut weights = Weights::new();
    for v in base.variables().iter().chain([&head.kernel, &head.bias]) {
        weights.insert(v.name.clone(), Tensor::new(v.shape.clone(), D::read(&v.tensor)?)?);
    }
    Ok(weights)
}

fn training<D: NetworkBackend>(mut parts: Parts<'_, D>) -> Result<Weights> {
    let mut weights = Weights::new();
    for v in parts.trainable_variables_mut() {
        weights.insert(v.name.clone(), Tensor::new(v.shape.clone(), D::read(&v.tensor)?)?);
    }
    Ok(weights)
}

fn set_training<D: NetworkBackend>(mut parts: Parts<'_, D>, weights: &Weights) -> Result<()> {
    for v in parts.trainable_variables_mut() {
        if weights.contains(&v.name) {
            D::write(&mut v.tensor, &weights.get(&v.name)?.data)?;
        }
    }
    Ok(())
}
