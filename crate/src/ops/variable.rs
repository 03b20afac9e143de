//! A named variable, as Keras counts them.

use crate::ops::backend::{Backend, Flat};

/// A named tensor with its Keras shape.
#[derive(Debug, Clone)]
pub struct Variable<D: Backend> {
    /// `layer/variable`, as in `block_1_expand/kernel`.
    pub name: String,
    /// Keras' shape, as in `[1, 1, 16, 96]`.
    pub shape: Vec<usize>,
    /// The values, flat and row-major.
    pub tensor: Flat<D>,
}

impl<D: Backend> Variable<D> {
    /// A variable filled with zeros.
    pub(crate) fn zeros(device: &D, name: String, shape: &[usize]) -> crate::Result<Self> {
        let len: usize = shape.iter().product();
        let tensor = D::zeroed(device, (len,))?;
        Ok(Variable { name, shape: shape.to_vec(), tensor })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A model whose variables an optimizer can reach.
pub trait Variables<D: Backend> {
    /// The variables that train, always in the same order.
    fn trainable_variables_mut(&mut self) -> Vec<&mut Variable<D>>;
}
