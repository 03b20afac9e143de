//! A convolution and its BatchNormalization as one: folding, and the gradients back through it.
//!
//! See [`transfer_kernels::batch_norm`] for the formulas.

pub(crate) mod cpu;
pub(crate) mod host;
pub(crate) mod prepared;
#[cfg(test)]
pub(crate) mod reference;

use dfdx::prelude::Device;

use crate::ops::tensors::Flat;

/// Which variables of a convolution and its BatchNormalization train.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trains {
    /// The convolution's kernel.
    pub kernel: bool,
    /// γ and β, which share a layer and so always go together.
    pub batch_norm: bool,
}

impl Trains {
    /// Whether anything here trains.
    pub fn any(self) -> bool {
        self.kernel || self.batch_norm
    }
}

/// The five variables, as flat tensors, and which of them train.
#[derive(Debug, Clone)]
pub struct ConvBn<D: Device<f32>> {
    /// The kernel, output channels innermost.
    pub kernel: Flat<D>,
    /// γ, one a channel.
    pub gamma: Flat<D>,
    /// β, one a channel.
    pub beta: Flat<D>,
    /// The moving mean μ, one a channel.
    pub mean: Flat<D>,
    /// The moving variance σ² − ε, one a channel.
    pub variance: Flat<D>,
    /// ε.
    pub epsilon: f32,
    /// Which variables train.
    pub trains: Trains,
    /// Another number whenever one of the variables may have changed, so that what was made of them
    /// can be kept as long as it is the same.
    pub version: u64,
}
