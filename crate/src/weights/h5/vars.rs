//! Files in which variables have numbers: `layers/conv2d_1/vars/0`.
//!
//! Groups are named after the classes of their layers and counted in the order of the layers, for each model by itself: a
//! base inside of another model has its own group `layers` below its group there. Keras 3 also notes each layer's own
//! name.

use std::collections::HashMap;

use hdf5_reader::group::Group;

use super::{tensor, LayerShapes};
use crate::weights::Weights;

const LAYERS: &str = "layers";
const VARS: &str = "vars";
/// How deep models may lie in each other.
const DEPTH: usize = 4;
/// Groups that are looked at, since a hostile file can link them in circles.
const MOST_GROUPS: usize = 4000;

pub(super) fn is_there(root: &Group) -> bool {
    root.group(LAYERS).is_ok()
}

/// The weights of the first model in the file that has all layers.
pub(super) fn read(root: &Group, layers: &[LayerShapes]) -> Result<Weights, String> {
    let mut level = vec![root.group(LAYERS).map_err(|e| e.to_string())?];
    let mut budget = MOST_GROUPS;
    let mut first_error = None;
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for group in level {
            let members = group.groups().map_err(|e| e.to_string())?;
            budget = budget.checked_sub(members.len()).ok_or("it has more groups than any model")?;
            match by_name(&members, layers).unwrap_or_else(|| in_order(&members, layers)) {
                Ok(weights) => return Ok(weights),
                Err(error) => first_error = first_error.or(Some(error)),
            }
            next.extend(members.iter().filter_map(|member| member.group(LAYERS).ok()));
        }
        level = next;
    }
    Err(first_error.unwrap_or_else(|| "it holds no layers".into()))
}

/// By the names that Keras 3 notes; `None` where the first layer's is not among them.
fn by_name(members: &[Group], layers: &[LayerShapes]) -> Option<Result<Weights, String>> {
    let named = members.iter().filter_map(|member| {
        let vars = member.group(VARS).ok()?;
        Some((vars.attribute("name").ok()?.read_string().ok()?, vars))
    });
    let named: HashMap<String, Group> = named.collect();
    named.get(&layers.first()?.name)?;
    Some(collect(layers, |layer| named.get(&layer.name).cloned()))
}

/// By the classes of the layers, counted.
fn in_order(members: &[Group], layers: &[LayerShapes]) -> Result<Weights, String> {
    let by_name: HashMap<&str, &Group> =
        members.iter().map(|member| (last_part(member.name()), member)).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    collect(layers, |layer| {
        let class = class(layer);
        let count = counts.entry(class).or_default();
        let name = if *count == 0 { class.to_owned() } else { format!("{class}_{count}") };
        *count += 1;
        by_name.get(name.as_str())?.group(VARS).ok()
    })
}

/// What Keras calls a group of a layer of this class.
fn class(layer: &LayerShapes) -> &'static str {
    match layer.variables.first() {
        Some(("gamma", _)) => "batch_normalization",
        Some(("depthwise_kernel", _)) => "depthwise_conv2d",
        _ => "conv2d",
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

fn collect(
    layers: &[LayerShapes],
    mut vars_of: impl FnMut(&LayerShapes) -> Option<Group>,
) -> Result<Weights, String> {
    let mut weights = Weights::new();
    for layer in layers {
        let vars = vars_of(layer).ok_or_else(|| format!("layer `{}` is missing", layer.name))?;
        for (number, (variable, shape)) in layer.variables.iter().enumerate() {
            let data_set = vars.dataset(&number.to_string());
            let data_set = data_set.map_err(|e| format!("`{variable}` of layer `{}`: {e}", layer.name))?;
            weights.insert(format!("{}/{variable}", layer.name), tensor(&data_set, shape)?);
        }
    }
    Ok(weights)
}
