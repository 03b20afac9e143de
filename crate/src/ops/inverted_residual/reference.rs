//! The block as a chain of plain f64 convolutions: what the op is tested against.

use crate::ops::conv_bn::reference::{Dims, Gradient, Reference};

/// Convolutions in order, and whether the input is added to the output.
#[derive(Debug, Clone)]
pub struct ReferenceBlock {
    pub convs: Vec<Reference>,
    pub residual: bool,
}

impl ReferenceBlock {
    pub fn out_dims(&self, dims: Dims) -> Dims {
        self.convs.iter().fold(dims, |d, c| c.out_dims(d))
    }

    pub fn forward(&self, x: &[f64], dims: Dims) -> Vec<f64> {
        let (mut y, mut d) = (x.to_vec(), dims);
        for conv in &self.convs {
            y = conv.forward(&y, d);
            d = conv.out_dims(d);
        }
        if self.residual {
            y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
        }
        y
    }

    /// The gradient of `x`, and those of each convolution.
    pub fn backward(&self, x: &[f64], dims: Dims, dy: &[f64]) -> (Vec<f64>, Vec<Gradient>) {
        let mut inputs = vec![(x.to_vec(), dims)];
        for conv in &self.convs {
            let (x, d) = &inputs[inputs.len() - 1];
            inputs.push((conv.forward(x, *d), conv.out_dims(*d)));
        }
        let (mut d, mut all) = (dy.to_vec(), Vec::new());
        for (conv, (x, dims)) in self.convs.iter().zip(&inputs).rev() {
            let (dx, g) = conv.backward(x, *dims, &d);
            d = dx;
            all.insert(0, g);
        }
        if self.residual {
            d.iter_mut().zip(dy).for_each(|(d, dy)| *d += dy);
        }
        (d, all)
    }
}
