//! From a pickle's objects and the bytes of its storages to named tensors.

use half::{bf16, f16};

use super::objects::{Id, Kind, Unpickled, Value, View};
use crate::weights::{Tensor, Weights};

/// Under which names programs keep the weights beside other things, such as the state of an optimizer.
const NESTED: [&str; 5] = ["state_dict", "model_state_dict", "model", "net_dict", "net"];
/// What `DataParallel` puts before each name.
const PARALLEL: &str = "module.";

/// The tensors by name. Values of kinds that no network computes with, such as numbers of batches, are passed over.
///
/// `limit` is the greatest number of values that may be made: tensors may share a storage, so a file of a few KB could
/// ask for any number of values.
pub(super) fn tensors(
    unpickled: &Unpickled,
    bytes_of: &dyn Fn(usize) -> Result<Vec<u8>, String>,
    limit: usize,
) -> Result<Weights, String> {
    let named = named_views(unpickled)?;
    let mut room = limit;
    // Storage by storage, so that the bytes of one are in memory at a time.
    let mut by_storage: Vec<Vec<(&str, &View)>> = vec![Vec::new(); unpickled.storages.len()];
    for &(name, view) in &named {
        let values = check(name, view, unpickled)?;
        room = room.checked_sub(values).ok_or_else(|| {
            format!("its tensors have more than {limit} values together, more than such a file holds")
        })?;
        by_storage[view.storage].push((name, view));
    }
    let prefixed = named.iter().all(|(name, _)| name.starts_with(PARALLEL));
    let mut weights = Weights::new();
    for (number, views) in by_storage.iter().enumerate() {
        let kind = unpickled.storages[number].kind;
        if views.is_empty() || matches!(kind, Kind::Other(_)) {
            continue;
        }
        let bytes = bytes_of(number)?;
        for (name, view) in views {
            let name = if prefixed { &name[PARALLEL.len()..] } else { name };
            let values = gather(&bytes, kind, view);
            let tensor =
                values.and_then(|values| Tensor::new(&*view.shape, values).map_err(|e| e.to_string()));
            if weights.insert(name, tensor.map_err(|what| format!("`{name}`: {what}"))?).is_some() {
                return Err(format!("it has the tensor `{name}` twice"));
            }
        }
    }
    Ok(weights)
}

/// The dictionary that holds tensors: the object itself, or the one in it that is known to be the weights.
fn named_views(unpickled: &Unpickled) -> Result<Vec<(&str, &View)>, String> {
    let direct = |id: Id| -> Vec<(&str, &View)> {
        let Value::Dict(items, _) = unpickled.value(id) else { return Vec::new() };
        let tensor = |&(key, value): &(Id, Id)| match (unpickled.value(key), unpickled.value(value)) {
            (Value::Text(name), Value::Tensor(view)) => Some((name.as_str(), view)),
            _ => None,
        };
        items.iter().filter_map(tensor).collect()
    };
    let views = direct(unpickled.root);
    if !views.is_empty() {
        return Ok(views);
    }
    let Value::Dict(items, _) = unpickled.value(unpickled.root) else {
        return Err("it holds no dictionary of tensors".into());
    };
    for wanted in NESTED {
        let named = items
            .iter()
            .filter(|(key, _)| matches!(unpickled.value(*key), Value::Text(name) if name == wanted));
        for &(_, value) in named {
            let views = direct(value);
            if !views.is_empty() {
                return Ok(views);
            }
        }
    }
    Err(format!(
        "it holds no dictionary of tensors, neither as a whole nor under one of the names {NESTED:?}"
    ))
}

/// The number of values of a tensor, which all lie in its storage.
fn check(name: &str, view: &View, unpickled: &Unpickled) -> Result<usize, String> {
    let len = unpickled.storages.get(view.storage).map_or(0, |storage| storage.len);
    let values = view.shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
    let values = values.ok_or_else(|| format!("`{name}` has more values than memory can hold"))?;
    if values == 0 {
        return Ok(0);
    }
    let reach = view.shape.iter().zip(&view.strides).try_fold(view.offset, |at, (&axis, &stride)| {
        (axis - 1).checked_mul(stride).and_then(|further| at.checked_add(further))
    });
    match reach {
        Some(last) if last < len => Ok(values),
        _ => Err(format!("`{name}` of shape {:?} reaches beyond its storage of {len} values", view.shape)),
    }
}

fn gather(bytes: &[u8], kind: Kind, view: &View) -> Result<Vec<f32>, String> {
    let outside = || "lies outside of its storage".to_owned();
    let size = kind.bytes();
    let at = |place: usize| {
        let start = place.checked_mul(size)?;
        let bytes = bytes.get(start..start.checked_add(size)?)?;
        Some(match kind {
            Kind::F32 => f32::from_le_bytes(bytes.try_into().ok()?),
            Kind::F16 => f16::from_le_bytes(bytes.try_into().ok()?).to_f32(),
            Kind::Bf16 => bf16::from_le_bytes(bytes.try_into().ok()?).to_f32(),
            Kind::Other(_) => return None,
        })
    };
    let len = view.shape.iter().product();
    let mut values = Vec::with_capacity(len);
    let mut index = vec![0usize; view.shape.len()];
    let mut place = view.offset;
    while values.len() < len {
        values.push(at(place).ok_or_else(outside)?);
        // The next index in row-major order.
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            place += view.strides[axis];
            if index[axis] < view.shape[axis] {
                break;
            }
            place -= index[axis] * view.strides[axis];
            index[axis] = 0;
        }
    }
    Ok(values)
}
