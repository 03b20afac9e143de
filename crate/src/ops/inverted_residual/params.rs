//! What an inverted residual block is computed from.

use std::sync::Arc;

use dfdx::prelude::Device;

use crate::ops::conv_bn::ConvBn;

/// The variables of a block and what is wanted of its backward pass. `S` is the device's
/// [`UnitScratch`](crate::ops::backend::Backend::UnitScratch).
pub struct BlockParams<D: Device<f32>, S> {
    /// The 1x1 convolution to the expanded channels; absent in the first block.
    pub expand: Option<ConvBn<D>>,
    /// The depthwise convolution, 3x3 or 5x5.
    pub depthwise: ConvBn<D>,
    /// The 1x1 convolution to the output channels, without activation.
    pub project: ConvBn<D>,
    /// Whether something below this block trains, so that the gradient of `x` is needed.
    pub input_gradient: bool,
    /// What the block keeps from step to step; not to be shared with another block, but with other threads that
    /// compute this one.
    pub scratch: Arc<S>,
}

// Not derived: the scratch memory is shared, and need not be `Clone` itself.
impl<D: Device<f32>, S> Clone for BlockParams<D, S> {
    fn clone(&self) -> Self {
        BlockParams {
            expand: self.expand.clone(),
            depthwise: self.depthwise.clone(),
            project: self.project.clone(),
            input_gradient: self.input_gradient,
            scratch: self.scratch.clone(),
        }
    }
}

impl<D: Device<f32>, S> BlockParams<D, S> {
    /// Whether backward has anything to do.
    pub fn needs_backward(&self) -> bool {
        self.input_gradient
            || self.project.trains.any()
            || self.depthwise.trains.any()
            || self.expand.as_ref().is_some_and(|e| e.trains.any())
    }
}
