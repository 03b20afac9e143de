//! MobileNetV2 (width 1.0, without top) from the two HDF5 layouts that it is published in.
//!
//! The HDF5 decoding itself is the `hdf5-reader` crate's. It gets the bytes in memory, no way to
//! other files, and runs where a panic of its own becomes an error.

use super::table::{self, Layer};
use super::{read_bytes, LoadOptions, Tensor, Weights, WeightsOrigin};
use crate::Show;
use crate::{Error, Result};
use hdf5_reader::{group::Group, Dataset, Hdf5File, OpenOptions};
use std::collections::HashMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;

/// The first bytes of every HDF5 file.
pub(super) const MAGIC: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// Weight files of this model have 9 MB; one saved together with its optimizer has three times that.
const MAX_BYTES: u64 = 256 << 20;

/// Reads MobileNetV2 from a Keras model file with a TF-Hub layer, in which the tensors are named
/// `…/MobilenetV2/expanded_conv_3/depthwise/depthwise_weights:0`.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is damaged, truncated, or
/// not this model.
pub fn read_tf_hub_h5(path: impl AsRef<Path>) -> Result<Weights> {
    read(path.as_ref(), Layout::TfHub, LoadOptions::default())
}

/// Reads MobileNetV2 from a file in the layout of Keras' own
/// `mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_160_no_top.h5`: one group a layer.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is damaged, truncated, or
/// not this model.
pub fn read_keras_h5(path: impl AsRef<Path>) -> Result<Weights> {
    read(path.as_ref(), Layout::Keras, LoadOptions::default())
}

pub(super) fn read_any_h5(path: &Path, options: LoadOptions) -> Result<Weights> {
    read(path, Layout::Either, options)
}

/// How tensors are named and nested in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    TfHub,
    Keras,
    Either,
}

/// Opens the file and reads it, with everything that can go wrong made an error.
fn read(path: &Path, layout: Layout, options: LoadOptions) -> Result<Weights> {
    let bytes = read_bytes(path, MAX_BYTES)?;
    let origin = WeightsOrigin::of(path, &bytes);
    let mut weights = decode(bytes, layout, &table::layers(), options).map_err(|what| {
        Error::Weights(format!(
            "cannot use {} as MobileNetV2 weights (width 1.0, HDF5): {what}. It may be damaged or made for \
             another model: delete it and fetch it again, or name another with TRANSFER_WEIGHTS",
            path.shown()
        ))
    })?;
    weights.set_origin(origin);
    Ok(weights)
}

/// Reads `layers` from the bytes of a file.
///
/// The library is the only code here that is not ours, and it trusts its input more than we do. What
/// it gets is moved in and dies with it, so that catching a panic leaves nothing half done.
pub(crate) fn decode(
    bytes: Vec<u8>,
    layout: Layout,
    layers: &[Layer],
    options: LoadOptions,
) -> Result<Weights, String> {
    let work = AssertUnwindSafe(|| decode_unguarded(bytes, layout, layers, options));
    catch_unwind(work).unwrap_or_else(|_| Err("it cannot be decoded".into()))
}

fn decode_unguarded(
    bytes: Vec<u8>,
    layout: Layout,
    layers: &[Layer],
    options: LoadOptions,
) -> Result<Weights, String> {
    if !bytes.starts_with(&MAGIC) {
        return Err(format!("it does not start like an HDF5 file ({} bytes)", bytes.len()));
    }
    let length = bytes.len();
    // Published files are not compressed. So a file never makes more numbers than it has room for, and
    // the little that the library allocates unseen (5 MB for a list that a short file may announce) is
    // never more than the file either.
    let values =
        layers.iter().flat_map(|layer| &layer.variables).map(|(_, shape)| shape.iter().product::<usize>());
    let needed = 4 * values.sum::<usize>();
    if needed > length {
        return Err(format!(
            "it is truncated or compressed: {length} bytes, where its numbers alone take {needed}"
        ));
    }
    let limits = OpenOptions::default().with_max_chunk_bytes(length).with_max_read_bytes(length);
    let limits = limits.with_max_object_header_bytes(length.min(16 << 20)).with_chunk_cache_bytes(0);
    let file = Hdf5File::from_vec_with_options(bytes, limits).map_err(|e| e.to_string())?;
    let stated = file.superblock().eof_address;
    if stated > length as u64 {
        return Err(format!("it is truncated: {length} bytes of {stated}"));
    }
    let root = file.root_group().map_err(|e| e.to_string())?;
    let weights = match (layout, tf_hub_group(&root)) {
        (Layout::TfHub | Layout::Either, Some(group)) => tf_hub(&group, layers)?,
        (Layout::TfHub, None) => return Err("it has no group `MobilenetV2`, as TF-Hub's layout does".into()),
        (Layout::Keras, _) | (Layout::Either, None) => keras(&root, layers)?,
    };
    options.check(&weights)?;
    Ok(weights)
}

/// The group below `root` (at most `depth` steps) that has a child group `child`. Breadth first, with
/// a bound on the groups looked at, since a hostile file can link groups in circles.
fn parent_of(root: &Group, child: &str, depth: usize) -> Option<Group> {
    let (mut level, mut budget) = (vec![root.clone()], 2000usize);
    for _ in 0..=depth {
        let mut next = Vec::new();
        for group in level {
            budget = budget.checked_sub(1)?;
            if group.group(child).is_ok() {
                return Some(group);
            }
            next.extend(group.groups().unwrap_or_default());
        }
        level = next;
    }
    None
}

fn tf_hub_group(root: &Group) -> Option<Group> {
    parent_of(root, "MobilenetV2", 3)?.group("MobilenetV2").ok()
}

fn tf_hub(root: &Group, layers: &[Layer]) -> Result<Weights, String> {
    let mut weights = Weights::new();
    for layer in layers {
        let (conv, batch_norm) = match layer.name.as_str() {
            "bn_Conv1" => ("Conv1", true),
            "Conv_1_bn" => ("Conv_1", true),
            name => name.strip_suffix("_BN").map_or((name, false), |conv| (conv, true)),
        };
        let mut folder = match conv {
            "Conv1" => "Conv".into(),
            "Conv_1" => "Conv_1".into(),
            _ => {
                let (block, part) = conv.rsplit_once('_').unwrap_or((conv, ""));
                format!("{}/{part}", block.replace("block_", "expanded_conv_"))
            }
        };
        if batch_norm {
            folder.push_str("/BatchNorm");
        }
        let group = folder.split('/').try_fold(root.clone(), |group, name| group.group(name));
        let group = group.map_err(|e| format!("{folder}: {e}"))?;
        for (variable, shape) in &layer.variables {
            let theirs = match *variable {
                "kernel" => "weights",
                "depthwise_kernel" => "depthwise_weights",
                same => same,
            };
            let data_set = group.dataset(&format!("{theirs}:0")).map_err(|e| format!("{folder}: {e}"))?;
            weights.insert(format!("{}/{variable}", layer.name), tensor(&data_set, shape)?);
        }
    }
    Ok(weights)
}

fn keras(root: &Group, layers: &[Layer]) -> Result<Weights, String> {
    let groups = match parent_of(root, "Conv1", 2) {
        Some(group) => layers.iter().map(|l| group.group(&l.name).map_err(|e| e.to_string())).collect(),
        // Names of layers have changed over Keras' life; their order has not.
        None => in_keras_order(root, layers.len()),
    };
    let mut weights = Weights::new();
    for (layer, group) in layers.iter().zip(groups.map_err(|e| format!("a layer is missing: {e}"))?) {
        keras_layer(layer, &group, &mut weights)?;
    }
    Ok(weights)
}

fn in_keras_order(root: &Group, expected: usize) -> Result<Vec<Group>, String> {
    let root = root.group("model_weights").unwrap_or_else(|_| root.clone());
    let names = root.attribute("layer_names").and_then(|names| names.read_strings());
    let names = names.map_err(|_| "it has neither a group `Conv1` nor a list `layer_names`")?;
    let wrong_number = |n| format!("expected {expected} layers with weights. Received: {n}");
    if !(expected..1000).contains(&names.len()) {
        return Err(wrong_number(names.len()));
    }
    let mut groups = Vec::new();
    for name in &names {
        let group = root.group(name).map_err(|e| e.to_string())?;
        if !variables(&group)?.is_empty() {
            groups.push(group);
        }
    }
    match groups.len() == expected {
        true => Ok(groups),
        false => Err(wrong_number(groups.len())),
    }
}

fn keras_layer(layer: &Layer, group: &Group, weights: &mut Weights) -> Result<(), String> {
    let found = variables(group)?;
    for (variable, shape) in &layer.variables {
        let data_set = found.get(*variable).ok_or_else(|| {
            let mut names: Vec<_> = found.keys().collect();
            names.sort();
            format!("layer `{}` should have a variable `{variable}`. Received: {names:?}", layer.name)
        })?;
        weights.insert(format!("{}/{variable}", layer.name), tensor(data_set, shape)?);
    }
    Ok(())
}

/// The data sets below a layer's group, by the last part of their name without `:0`. Keras nests them
/// differently from version to version, but only with names that say nothing.
fn variables(group: &Group) -> Result<HashMap<String, Dataset>, String> {
    let (mut found, mut level) = (HashMap::new(), vec![group.clone()]);
    for _ in 0..4 {
        let mut next = Vec::new();
        for group in level.drain(..).take(16) {
            let (groups, data_sets) = group.members().map_err(|e| e.to_string())?;
            next.extend(groups);
            for data_set in data_sets {
                let name = data_set.name().rsplit('/').next().unwrap_or_default();
                let name = name.split(':').next().unwrap_or_default().to_string();
                if found.insert(name, data_set).is_some() {
                    return Err(format!("layer `{}` has a variable twice", group.name()));
                }
            }
        }
        level = next;
    }
    Ok(found)
}

/// Reads one data set whose shape must be `shape`; nothing is allocated before that is known.
fn tensor(data_set: &Dataset, shape: &[usize]) -> Result<Tensor, String> {
    if !data_set.shape().iter().copied().eq(shape.iter().map(|&axis| axis as u64)) {
        let (name, received) = (data_set.name(), data_set.shape());
        return Err(format!("`{name}` should have shape {shape:?}. Received: {received:?}"));
    }
    // Nor are they cut into chunks, whose index could be made far longer than the file.
    if data_set.chunks().is_some() {
        return Err(format!("`{}` is chunked or compressed; save it without", data_set.name()));
    }
    let mut values = vec![0f32; shape.iter().product()];
    data_set.read_into(&mut values).map_err(|e| format!("cannot read `{}`: {e}", data_set.name()))?;
    Tensor::new(shape, values).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_finite_is_refused_unless_it_is_allowed() {
        let bytes = include_bytes!("../../../tests/fuzz/corpus/tf_hub_h5/nan.h5");
        let layers = [Layer { name: "Conv1".into(), variables: vec![("kernel", vec![3, 3, 3, 2])] }];
        let read = |options| decode(bytes.to_vec(), Layout::TfHub, &layers, options);
        let error = read(LoadOptions::default()).unwrap_err();
        assert!(error.contains("Conv1/kernel") && error.contains("NaN"), "{error}");
        let weights = read(LoadOptions::default().allow_non_finite(true)).unwrap();
        assert!(weights.get("Conv1/kernel").unwrap().data[0].is_nan());
    }
}
