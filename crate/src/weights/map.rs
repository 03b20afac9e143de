//! Named tensors in host memory: what a weight file holds, before and after it is a model.

use super::WeightsOrigin;
use crate::{Error, Result};
use std::collections::btree_map::{self, BTreeMap};

/// Numbers with a shape, in row-major order (the last axis varies fastest).
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The length of each axis; empty for a single number.
    pub shape: Vec<usize>,
    /// As many values as the axes multiplied.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor of `data` in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] where the number of values is not the product of the axes.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self> {
        let shape = shape.into();
        let expected = shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
        if expected != Some(data.len()) {
            return Err(Error::Shape(format!(
                "a tensor of shape {shape:?} needs {} values. Received: {}",
                expected.map_or("more than memory can hold".into(), |n| n.to_string()),
                data.len()
            )));
        }
        Ok(Tensor { shape, data })
    }
}

/// An ordered map from names such as `block_1_expand_BN/gamma` to tensors.
///
/// The names are Keras' own, `{layer}/{variable}`; kernels lie as Keras keeps them: `(h, w, in, out)`,
/// depthwise `(h, w, channels, 1)`. Iteration goes by name.
///
/// ```
/// use transfer::weights::{Tensor, Weights};
///
/// let mut weights = Weights::new();
/// weights.insert("dense/bias", Tensor::new([2], vec![0.5, -0.5])?);
/// assert_eq!(weights.get("dense/bias")?.shape, [2]);
/// let missing = weights.get("dense/kernel").unwrap_err();
/// assert!(missing.to_string().contains("dense/kernel"));
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    origin: Option<WeightsOrigin>,
}

/// By names, shapes and values; which file they come from does not matter.
impl PartialEq for Weights {
    fn eq(&self, other: &Self) -> bool {
        self.tensors == other.tensors
    }
}

impl Weights {
    /// A map without tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// The file that they were read from, if they come from one.
    pub fn origin(&self) -> Option<&WeightsOrigin> {
        self.origin.as_ref()
    }

    /// Takes over where others came from.
    pub(super) fn set_origin_of(&mut self, other: &Weights) {
        self.origin = other.origin.clone();
    }

    pub(crate) fn set_origin(&mut self, origin: WeightsOrigin) {
        self.origin = Some(origin);
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// [`Error::Weights`] where there is none; the text names those that come closest.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| {
            let layer = name.split('/').next().unwrap_or(name);
            let of_layer: Vec<_> =
                self.tensors.keys().filter(|k| k.split('/').next() == Some(layer)).take(8).collect();
            let hint = match (self.tensors.keys().next(), of_layer.is_empty()) {
                (None, _) => "there are no tensors at all".to_string(),
                (Some(_), false) => format!("layer `{layer}` has {of_layer:?}"),
                (Some(first), true) => format!("no name starts with `{layer}/`; the first is `{first}`"),
            };
            Error::Weights(format!(
                "expected a tensor named `{name}` among {}, but {hint}. Is this file for another model?",
                self.tensors.len()
            ))
        })
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Puts a tensor under a name and returns the one that it replaces.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Option<Tensor> {
        self.tensors.insert(name.into(), tensor)
    }

    /// Takes a tensor out.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.tensors.remove(name)
    }

    /// Names and tensors, by name.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.tensors.iter())
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The number of values in all tensors together.
    pub fn num_parameters(&self) -> usize {
        self.tensors.values().map(|t| t.data.len()).sum()
    }

    /// Refuses NaN and infinities, which no working model has.
    pub(crate) fn check_finite(&self) -> std::result::Result<(), String> {
        for (name, tensor) in self {
            if let Some(i) = tensor.data.iter().position(|v| !v.is_finite()) {
                return Err(format!(
                    "`{name}` has the value {} at position {i}, where only finite numbers make sense",
                    tensor.data[i]
                ));
            }
        }
        Ok(())
    }
}

/// Names and tensors of a [`Weights`], by name.
#[derive(Debug, Clone)]
pub struct Iter<'a>(btree_map::Iter<'a, String, Tensor>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a Tensor);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, tensor)| (name.as_str(), tensor))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Weights {
    type Item = (&'a str, &'a Tensor);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl IntoIterator for Weights {
    type Item = (String, Tensor);
    type IntoIter = btree_map::IntoIter<String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.into_iter()
    }
}

impl FromIterator<(String, Tensor)> for Weights {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Weights { tensors: tensors.into_iter().collect(), origin: None }
    }
}
