//! Files with a group for each layer, and files with the names of another library.

use std::collections::HashMap;

use hdf5_reader::{group::Group, Dataset};

use super::{tensor, LayerShapes};
use crate::architecture::NameMap;
use crate::weights::Weights;

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

/// The group below which variables have these names, if the file has them.
pub(super) fn renamed_root(root: &Group, names: &NameMap, layers: &[LayerShapes]) -> Option<Group> {
    if !names.root.is_empty() {
        return parent_of(root, names.root, 3)?.group(names.root).ok();
    }
    let first = layers.first()?;
    let (variable, _) = first.variables.first()?;
    data_set(root, &(names.place)(&first.name, variable)).ok()?;
    Some(root.clone())
}

/// The data set at `place`, a path.
fn data_set(root: &Group, place: &str) -> Result<Dataset, String> {
    let (folder, name) = place.rsplit_once('/').unwrap_or(("", place));
    let mut folders = folder.split('/').filter(|part| !part.is_empty());
    let group = folders.try_fold(root.clone(), |group, name| group.group(name));
    group.and_then(|group| group.dataset(name)).map_err(|e| format!("{folder}: {e}"))
}

pub(super) fn renamed(root: &Group, layers: &[LayerShapes], names: &NameMap) -> Result<Weights, String> {
    let mut weights = Weights::new();
    for layer in layers {
        for (variable, shape) in &layer.variables {
            let place = (names.place)(&layer.name, variable);
            weights.insert(format!("{}/{variable}", layer.name), tensor(&data_set(root, &place)?, shape)?);
        }
    }
    Ok(weights)
}

pub(super) fn keras(root: &Group, layers: &[LayerShapes]) -> Result<Weights, String> {
    // A whole model has the state of its optimizer beside it, under the same names.
    let root = &root.group("model_weights").unwrap_or_else(|_| root.clone());
    let first = layers.first().map(|layer| &*layer.name).unwrap_or_default();
    let groups = match parent_of(root, first, 2) {
        Some(group) => layers.iter().map(|l| group.group(&l.name).map_err(|e| e.to_string())).collect(),
        // Names of layers have changed over Keras' life; their order has not.
        None => in_keras_order(root, first, layers.len()),
    };
    let mut weights = Weights::new();
    for (layer, group) in layers.iter().zip(groups.map_err(|e| format!("a layer is missing: {e}"))?) {
        keras_layer(layer, &group, &mut weights)?;
    }
    Ok(weights)
}

fn in_keras_order(root: &Group, first: &str, expected: usize) -> Result<Vec<Group>, String> {
    let names = root.attribute("layer_names").and_then(|names| names.read_strings());
    let names = names.map_err(|_| format!("it has neither a group `{first}` nor a list `layer_names`"))?;
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

fn keras_layer(layer: &LayerShapes, group: &Group, weights: &mut Weights) -> Result<(), String> {
    let found = variables(group)?;
    for (variable, shape) in &layer.variables {
        // Keras 3 calls every kernel so.
        let kernel = Some("kernel").filter(|_| *variable == "depthwise_kernel");
        let data_set = found.get(*variable).or_else(|| found.get(kernel?)).ok_or_else(|| {
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
