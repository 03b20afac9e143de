//! Folding in host memory.

use transfer_kernels::batch_norm::{fold, Folded, Variables};

use super::ConvBn;
use crate::ops::backend::Backend;
use crate::Result;

/// Folds a convolution on any device, in host memory.
pub(crate) fn fold_on_host<D: Backend>(conv: &ConvBn<D>) -> Result<Folded> {
    let (kernel, gamma, beta) = (D::read(&conv.kernel)?, D::read(&conv.gamma)?, D::read(&conv.beta)?);
    let (mean, variance) = (D::read(&conv.mean)?, D::read(&conv.variance)?);
    let mut out = Folded::default();
    let epsilon = conv.epsilon;
    let v =
        Variables { kernel: &kernel, gamma: &gamma, beta: &beta, mean: &mean, variance: &variance, epsilon };
    fold(v, &mut out);
    Ok(out)
}
