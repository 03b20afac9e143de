//! From the names and layouts of other libraries to the network's own.

use super::{Tensor, Weights};
use crate::architecture::{KernelLayout, NameMap, Network};

/// The name that the dense layer for ImageNet's classes gets; Keras' own.
pub(crate) const TOP: &str = "predictions";

/// The tensors of `network` under its own names and in its own layout, by that of its maps that `weights` has most names
/// of; `None` where they have names of none. With `top` the dense layer for ImageNet's classes is among them.
pub(super) fn own_names(network: &Network, weights: &Weights, top: bool) -> Result<Option<Weights>, String> {
    let variables = network.variables();
    let Some((first, _)) = variables.first() else { return Ok(None) };
    let is_of = |map: &&NameMap| place(map, first).is_some_and(|name| weights.contains(&name));
    let present = |map: &&NameMap| {
        let known = |name: &str| place(map, name).is_some_and(|name| weights.contains(&name));
        variables.iter().filter(|(name, _)| known(name)).count()
    };
    // Of several with as many names the first one.
    let map = network.names.iter().rev().filter(is_of).max_by_key(present);
    let Some(map) = map else { return Ok(None) };
    let mut own = Weights::new();
    for (name, shape) in variables {
        let theirs = place(map, &name).ok_or_else(|| format!("`{name}` is no variable of a layer"))?;
        let tensor = weights.get(&theirs).map_err(|e| e.to_string())?;
        let tensor = match map.layout {
            KernelLayout::Keras => tensor.clone(),
            KernelLayout::PyTorch => to_keras(tensor, name.ends_with("/depthwise_kernel")),
        };
        if tensor.shape != shape {
            return Err(format!(
                "`{theirs}` should have the shape of {shape:?}. Received: {:?}",
                tensor.shape
            ));
        }
        own.insert(name, tensor);
    }
    if top {
        add_top(map, weights, &mut own)?;
    }
    own.set_origin_of(weights);
    Ok(Some(own))
}

fn place(map: &NameMap, name: &str) -> Option<String> {
    let (layer, variable) = name.rsplit_once('/')?;
    Some((map.place)(layer, variable))
}

fn add_top(map: &NameMap, weights: &Weights, own: &mut Weights) -> Result<(), String> {
    let Some(theirs) = map.top else {
        return Err("files with these names have no layer for ImageNet's classes".into());
    };
    let get = |part: &str| weights.get(&format!("{theirs}.{part}")).map_err(|e| e.to_string());
    let (kernel, bias) = (get("weight")?, get("bias")?);
    own.insert(format!("{TOP}/kernel"), to_keras(kernel, false));
    own.insert(format!("{TOP}/bias"), bias.clone());
    Ok(())
}

/// The same numbers with PyTorch's axes in Keras' order: `(out, in, h, w)` becomes `(h, w, in, out)`, of a depthwise
/// convolution `(channels, 1, h, w)` becomes `(h, w, channels, 1)`, `(out, in)` becomes `(in, out)`.
fn to_keras(tensor: &Tensor, depthwise: bool) -> Tensor {
    let (outer, inner, [h, w]) = match tensor.shape[..] {
        [outer, inner, h, w] => (outer, inner, [h, w]),
        [outer, inner] => (outer, inner, [1, 1]),
        _ => return tensor.clone(),
    };
    let (third, fourth) = if depthwise { (outer, inner) } else { (inner, outer) };
    let from = |y: usize, x: usize, a: usize, b: usize| {
        let (outer_at, inner_at) = if depthwise { (a, b) } else { (b, a) };
        tensor.data[((outer_at * inner + inner_at) * h + y) * w + x]
    };
    let mut data = Vec::with_capacity(tensor.data.len());
    for y in 0..h {
        for x in 0..w {
            for a in 0..third {
                data.extend((0..fourth).map(|b| from(y, x, a, b)));
            }
        }
    }
    let shape = if tensor.shape.len() == 2 { vec![third, fourth] } else { vec![h, w, third, fourth] };
    Tensor { shape, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_put_in_keras_order() {
        let tensor = |shape: &[usize]| {
            let len = shape.iter().product::<usize>();
            Tensor::new(shape, (0..len).map(|i| i as f32).collect()).unwrap()
        };
        let kernel = to_keras(&tensor(&[2, 3, 1, 2]), false);
        assert_eq!(kernel.shape, [1, 2, 3, 2]);
        // (out, in, 0, x) lies at 6 out + 2 in + x.
        assert_eq!(kernel.data, [0., 6., 2., 8., 4., 10., 1., 7., 3., 9., 5., 11.]);
        let depthwise = to_keras(&tensor(&[3, 1, 2, 1]), true);
        assert_eq!(
            (&depthwise.shape[..], &depthwise.data[..]),
            (&[2, 1, 3, 1][..], &[0., 2., 4., 1., 3., 5.][..])
        );
        let dense = to_keras(&tensor(&[2, 3]), false);
        assert_eq!((&dense.shape[..], &dense.data[..]), (&[3, 2][..], &[0., 3., 1., 4., 2., 5.][..]));
        assert_eq!(to_keras(&tensor(&[4]), false), tensor(&[4]));
    }
}
